"""The daily command: what it builds and what it leaves, with what exit code, however often and by however many it is started."""

import datetime
import json
import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

import retrolabel
from retrolabel.configs.load import load_project
from retrolabel.pipelines import build_command, planning
from retrolabel.pipelines.cli import commands
from retrolabel.pipelines.run_command import alone, run_due_days
from retrolabel.pipelines.runner import choose_runner
from tests.end_to_end.test_versions import files_of
from tests.support.daily import click, make_shop, midnight, serve

NOON = "2026-11-22T12:00:00Z"


@pytest.fixture
def shop(tmp_path):
    """Two days of logs."""
    make_shop(tmp_path / "shop")
    for date in ("2026-11-20", "2026-11-21"):
        serve(tmp_path / "shop", date)
        click(tmp_path / "shop", date)
    return tmp_path / "shop"


def run(shop, *arguments: str, now: str = NOON, code: int = 0) -> list[dict]:
    """What `retrolabel run --json` says of each day."""
    result = CliRunner().invoke(commands, ["run", str(shop / "shop.yaml"), "--now", now, "--json", *arguments])
    assert result.exit_code == code, result.output + str(result.exception)
    return [json.loads(line) for line in result.stdout.splitlines()]


def told(results: list[dict]) -> list[tuple]:
    return [(result["date"], result["outcome"], result["reason"]) for result in results]


def status(shop, *arguments: str) -> list[dict]:
    result = CliRunner().invoke(commands, ["status", str(shop / "datasets/shop"), "--json", *arguments])
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_a_week_of_a_scheduler(shop):
    (shop / "logs/2026/11/21").rename(shop / "tomorrow")
    assert told(run(shop, now="2026-11-21T00:00:00Z")) == [("2026-11-20", "published", "new")]
    assert run(shop, now="2026-11-21T00:00:00Z", code=8) == []
    (shop / "tomorrow").rename(shop / "logs/2026/11/21")  # and with it the outcomes of the day before
    second = run(shop)
    assert told(second) == [("2026-11-20", "published", "immature"), ("2026-11-21", "published", "new")]
    assert second[0]["changes"]["examples_added"] == second[0]["accounting"]["predictions"]["examples"] > 0
    assert run(shop, code=8) == []
    # One file comes late, for a day that was mature.
    serve(shop, "2026-11-20", range(5), name="served-late")
    assert told(run(shop)) == [("2026-11-20", "published", "late")]
    days = status(shop, "--now", "2100-01-01")
    assert [(day["date"], day["version"]) for day in days] == [("2026-11-20", 4), ("2026-11-21", 3)]
    assert days[0]["immature"] == 0
    assert days[1]["mature"] == 0
    assert all(day["age_seconds"] > 86_400 for day in days)


def test_data_that_is_not_there_is_told_and_built_when_it_comes(shop):
    first = run(shop, now="2026-11-23T00:00:00Z", code=4)
    assert told(first)[-1] == ("2026-11-22", "not_ready", "not_ready")
    assert "no file matches" in first[-1]["message"]
    assert told(run(shop, now="2026-11-23T00:00:00Z", code=4)) == [("2026-11-22", "not_ready", "not_ready")]
    serve(shop, "2026-11-22")
    click(shop, "2026-11-22")
    assert told(run(shop, now="2026-11-23T00:00:00Z"))[-1] == ("2026-11-22", "published", "new")


def test_it_waits_for_data_as_long_as_the_schedule_says(shop):
    with open(shop / "shop.yaml", "a") as config:
        config.write("schedule: {wait: 2h}\n")
    moment, pauses = midnight("2026-11-23"), []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 30:
            serve(shop, "2026-11-22")
            click(shop, "2026-11-22")

    project, runner = load_project(str(shop / "shop.yaml")), choose_runner([])

    def clock() -> datetime.datetime:
        return moment + datetime.timedelta(seconds=sum(pauses))

    came = list(run_due_days(project, runner, clock, pause=pause))
    assert [(result.day.date.day, result.outcome) for result in came][-1] == (22, "published")
    assert len(pauses) == 30
    (shop / "logs/2026/11/22/served-a.json").rename(shop / "logs/2026/11/22/elsewhere.json")
    moment, pauses[:] = midnight("2026-11-24"), [0.0] * 30
    (result,) = (result for result in run_due_days(project, runner, clock, pause=pause) if result.day.date.day == 23)
    assert result.outcome == "not_ready"
    assert sum(pauses) == 7200


def test_a_broken_freshness_rule_is_waited_for_until_late_data_no_longer_counts(shop):
    with open(shop / "shop.yaml", "a") as config:
        config.write("freshness: {predictions: {max_gap: 2h}}\n")
    serve(shop, "2026-11-21", range(0, 24, 6))
    results = run(shop, now="2026-11-22T00:00:00Z", code=4)
    assert told(results) == [("2026-11-20", "published", "new"), ("2026-11-21", "not_ready", "not_ready")]
    assert "max_gap allows 2 h" in results[1]["message"]
    assert told(run(shop, now="2026-11-30T00:00:00Z", code=4))[0] == ("2026-11-21", "published", "new")


def test_a_day_that_may_not_be_published_keeps_no_other_from_it_and_heals_when_it_is_mended(shop):
    bad = shop / "logs/2026/11/20/served-b.json"
    bad.write_text("not json\n" * 9)
    results = run(shop, code=3)
    assert told(results) == [("2026-11-20", "failed", "new"), ("2026-11-21", "published", "new")]
    assert "max_rejected" in results[0]["message"]
    assert told(run(shop, code=3)) == [("2026-11-20", "failed", "new")]
    bad.unlink()
    assert told(run(shop)) == [("2026-11-20", "published", "new")]


def test_a_rebuild_that_would_lose_predictions_is_refused(shop):
    run(shop)
    serve(shop, "2026-11-20", range(9))
    (result,) = run(shop, code=3)
    assert "24 predictions when it was last built, and has 9 now" in result["message"]
    assert len(status(shop)) == 2


def test_nothing_published_depends_on_the_moment_on_the_schedule_or_on_how_many_days_are_built_at_once(shop, tmp_path):
    make_shop(tmp_path / "other/shop", "schedule: {parallel: 2, lag: 1h}\nretention: {versions: 9}\n")
    (tmp_path / "other/shop/logs").symlink_to(shop / "logs")
    run(shop, now="2026-11-22T06:00:00Z")
    run(tmp_path / "other/shop", now="2026-11-22T18:00:00Z")
    one, other = (
        {
            path: digest
            for path, digest in files_of(folder / "datasets").items()
            if not path.startswith(("shop/_versions", "shop/_reports", "shop/croissant-"))
        }
        for folder in (shop, tmp_path / "other/shop")
    )
    assert one == other
    assert len([path for path in one if path.endswith(".parquet")]) == 1
    assert len(status(tmp_path / "other/shop")) == 2


def test_an_upgrade_leaves_the_days_that_are_there(shop, monkeypatch):
    run(shop)
    before = files_of(shop / "datasets")
    installed = planning.version
    monkeypatch.setattr(planning, "version", lambda name: "99.0" if name == "retrolabel" else installed(name))
    run(shop, code=8)
    assert files_of(shop / "datasets") == before
    serve(shop, "2026-11-22")
    click(shop, "2026-11-22")
    run(shop, now="2026-11-23T12:00:00Z")
    software = {day: retrolabel.transforms.dataset.read_day_manifest(str(shop / "datasets/shop"), path).software["retrolabel"]
                for day, path in retrolabel.transforms.dataset.read_version(str(shop / "datasets/shop")).days.items()}  # fmt: skip
    assert software == {"2026-11-20": installed("retrolabel"), "2026-11-21": "99.0", "2026-11-22": "99.0"}


def test_started_twice_at_once_one_run_works_and_the_other_has_nothing_to_do(shop):
    command = [sys.executable, "-m", "retrolabel", "run", str(shop / "shop.yaml"), "--now", NOON]
    both = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(2)]
    assert sorted(process.wait() for process in both) == [0, 8]
    assert [path.name for path in sorted((shop / "datasets/shop/_versions").iterdir())] == [
        "00000001.json", "00000002.json",
    ]  # fmt: skip
    with alone(str(shop / "datasets/shop")) as first, alone(str(shop / "datasets/shop")) as second:
        assert (first, second) == (True, False)


def test_of_two_builds_of_a_day_at_once_one_says_that_it_published(shop, monkeypatch):
    project, outcomes = load_project(shop / "shop.yaml"), []
    run_pipeline = build_command.run_pipeline

    def build() -> None:
        built = build_command.build_day(project, datetime.date(2026, 11, 20), {}, choose_runner([]))
        outcomes.append((built.published.version, built.published.is_new))

    def other_build_first(*arguments) -> None:
        monkeypatch.setattr(build_command, "run_pipeline", run_pipeline)
        build()
        run_pipeline(*arguments)

    monkeypatch.setattr(build_command, "run_pipeline", other_build_first)
    build()
    assert outcomes == [(1, True), (1, False)]


def test_retention_keeps_the_newest_versions_the_pinned_and_whoever_reads(shop):
    with open(shop / "shop.yaml", "a") as config:
        config.write("retention: {versions: 1, days: 2, pinned: [1]}\n")
    for date in ("2026-11-22", "2026-11-23"):
        serve(shop, date)
        click(shop, date)
    run(shop, now="2026-11-24T12:00:00Z")
    versions = shop / "datasets/shop/_versions"
    assert len(list(versions.iterdir())) == 4  # whoever opened one of them just now goes on reading
    for path in (shop / "datasets").rglob("*"):
        os.utime(path, (midnight("2026-11-24").timestamp(),) * 2)
    before = retrolabel.load(str(shop / "datasets/shop")).count_rows()
    run(shop, "--from", "2026-11-22", "--to", "2026-11-23", now="2026-11-25T12:00:00Z", code=8)
    assert sorted(path.name for path in versions.iterdir()) == ["00000001.json", "00000004.json"]
    assert retrolabel.load(str(shop / "datasets/shop")).count_rows() == before
    assert retrolabel.load(str(shop / "datasets/shop@1")).count_rows() == 24
    assert [day["date"] for day in status(shop)] == ["2026-11-22", "2026-11-23"]
    assert not (shop / "datasets/shop/2026-11-21").exists()


def test_a_dry_run_says_what_and_why_and_does_nothing(shop):
    assert [(day["date"], day["state"]) for day in run(shop, "--dry-run")] == [
        ("2026-11-20", "new"), ("2026-11-21", "new"),
    ]  # fmt: skip
    assert not (shop / "datasets").exists()
    out = CliRunner().invoke(commands, ["run", str(shop / "shop.yaml"), "--dry-run", "--now", NOON]).output
    assert out.split() == ["2026-11-20", "to", "2026-11-21", "new", "it", "has", "no", "version"]


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ("schedule: {lagg: 2h}\n", "Did you mean 'lag'?"),
        ("schedule: {since: yesterday}\n", "schedule.since"),
        ("schedule: {parallel: 0}\n", "schedule.parallel"),
        ("retention: {versions: 0}\n", "retention.versions"),
    ],
)
def test_a_wrong_schedule_is_told_with_its_place(tmp_path, sections, said):
    config = make_shop(tmp_path / "shop", sections)
    result = CliRunner().invoke(commands, ["run", config])
    assert result.exit_code == 2
    assert said in result.output
    assert "shop.yaml:17:" in result.output
