"""From globs and the names of files to paths by day."""

import datetime
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from retrolabel.pipelines.build_command import build_day
from retrolabel.pipelines.check_command import check_project
from retrolabel.pipelines.dated_paths import dated, day_of
from retrolabel.pipelines.init_command import command as init
from retrolabel.pipelines.runner import choose_runner


@pytest.mark.parametrize(
    ("pattern", "paths", "expected"),
    [
        ("logs/*.log", ["logs/2026-11-25-00.log", "logs/2026-11-26-13.log"], "logs/{date:%Y-%m-%d}-*.log"),
        ("logs/*.log.gz", ["logs/app.20261125.log.gz", "logs/app.20261126.log.gz"], "logs/*.{date:%Y%m%d}.log.gz"),
        ("logs/app-*", ["logs/app-20261125", "logs/app-20261126"], "logs/app-{date:%Y%m%d}"),
        (
            "s3://b/*/*/*/x.json",
            ["s3://b/2026/11/25/x.json", "s3://b/2026/11/26/x.json"],
            "s3://b/{date:%Y/%m/%d}/x.json",
        ),
        ("a/dt=*/part-*", ["a/dt=2026-11-25/part-1", "a/dt=2026-11-26/part-22"], "a/dt={date:%Y-%m-%d}/part-*"),
        ("a/*/*", ["a/2026-11-25/x", "a/2026-11-26/y"], "a/{date:%Y-%m-%d}/*"),
        ("logs/*.log", ["logs/2026-11-25.log", "logs/2026-11-25-1.log"], None),  # one day proves nothing
        ("logs/*.log", ["logs/2026-11-25.log", "logs/current.log"], None),
        ("logs/*.log", ["logs/2026-11-25.log", "logs/20261126.log"], None),
        ("logs/2026-*.log", ["logs/2026-11-25.log", "logs/2026-11-26.log"], None),  # the year is written
        ("logs/*.log", ["logs/2026-11-25.log", "logs/x-2026-11-26.log"], None),
        ("logs/*.log", ["logs/1234567890.log", "logs/20269999.log"], None),
    ],
)
def test_the_day_in_the_names_of_files_becomes_a_date(pattern, paths, expected):
    assert dated(pattern, paths) == expected


def test_the_last_day_in_a_name_counts_if_it_is_one():
    assert day_of("old/2025-01-02/app-20261125.log") == datetime.date(2026, 11, 25)
    assert day_of("app-20260231.log") is None


def write_days(folder: Path, days_late: int) -> list[datetime.datetime]:
    """Predictions and clicks of four days, in files that are named after the day, or after the one on which they were rotated."""
    begin = datetime.datetime(2026, 11, 20, 12, tzinfo=datetime.UTC)
    days = [begin + datetime.timedelta(days=n) for n in range(4)]
    for day in days:
        name = day + datetime.timedelta(days=days_late)
        rows = [
            {"ts": (day + datetime.timedelta(minutes=n)).isoformat(), "request_id": f"r{day.day}-{n}"}
            for n in range(200)
        ]
        for kind, extra in (("served", {"score": 0.5}), ("clicks", {"kind": "click"})):
            (folder / kind).mkdir(exist_ok=True)
            lines = "".join(json.dumps(row | extra) + "\n" for row in rows)
            (folder / kind / f"{kind}-{name:%Y-%m-%d}.log").write_text(lines)
    return days


@pytest.mark.parametrize(("days_late", "path"), [(0, "served/*-{date:%Y-%m-%d}.log"), (1, "served/*.log")])
def test_init_reads_a_days_files_alone_where_their_names_are_the_days_of_their_events(tmp_path, days_late, path):
    day, *_ = write_days(tmp_path, days_late)
    arguments = ["--predictions", f"{tmp_path}/served/*.log", "--outcomes", f"{tmp_path}/clicks/*.log"]
    done = CliRunner().invoke(init, [*arguments, "--directory", str(tmp_path)])
    assert done.exit_code == 0, done.output
    project = check_project(str(tmp_path / "retrolabel.yaml"))
    assert project.config.predictions.path == (f"{tmp_path}/{path}",)
    built = build_day(project, day.date(), {}, choose_runner([]))
    counts = built.manifest.accounting["predictions"]
    assert (counts.examples, counts.lines) == (200, 800 if days_late else 400)
