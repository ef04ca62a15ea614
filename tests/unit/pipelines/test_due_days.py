"""Which days need a build: by the calendar, by the files that are there, and by the versions that exist."""

import datetime
import os

import pytest

from retrolabel.configs.load import Project, load_project
from retrolabel.pipelines.due_days import due_days
from retrolabel.schemas.manifest import InputFile
from retrolabel.transforms.publish import publish
from tests.support.at_rest import examples, store
from tests.support.daily import click, make_shop, midnight, serve

DATES = ("2026-11-20", "2026-11-21", "2026-11-22")


def states(project: Project, now: str, **chosen: datetime.date) -> dict[str, str]:
    moment = datetime.datetime.fromisoformat(now).replace(tzinfo=datetime.UTC)
    return {day.date.isoformat(): day.state for day in due_days(project, moment, **chosen)}


def published(project: Project, date: str, immature: int = 0) -> None:
    """Commits a version of a day that was built from the files which are there now."""
    folder = project.directory
    inputs = []
    for source, path in [("predictions", f"logs/{date.replace('-', '/')}/served-a.json"),
                         *(("click", f"logs/{day.replace('-', '/')}/click.json") for day in DATES)]:  # fmt: skip
        full = os.path.join(folder, path)
        follows = source == "predictions" or date <= path[5:15].replace("/", "-") <= next_day(date)
        if os.path.exists(full) and follows:
            inputs.append(InputFile(source=source, path=path, bytes=os.path.getsize(full), crc32c="0" * 8, lines=1))
    manifest, build = store(project.root, examples({date: True}), date=date, immature=immature)
    publish(project.root, manifest.model_copy(update={"inputs": inputs}), build)


def next_day(date: str) -> str:
    return (datetime.date.fromisoformat(date) + datetime.timedelta(days=1)).isoformat()


def shop(folder, sections: str = "") -> Project:
    project = load_project(make_shop(folder / "shop", sections))
    for date in DATES:
        serve(folder / "shop", date)
        click(folder / "shop", date)
    return project


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-11-20T23:59:59", {}),
        ("2026-11-21T00:00:00", {"2026-11-20": "new"}),
        ("2026-11-22T12:00:00", {"2026-11-20": "new", "2026-11-21": "new"}),
        ("2026-11-24T00:00:00", dict.fromkeys(DATES, "new") | {"2026-11-23": "not_ready"}),
    ],
)
def test_a_day_is_due_when_it_has_ended_and_the_first_is_the_first_that_files_are_of(tmp_path, now, expected):
    assert states(shop(tmp_path), now) == expected


def test_the_lag_and_the_timezone_say_when_a_day_is_due(tmp_path):
    project = shop(tmp_path, "timezone: America/New_York\nschedule: {lag: 2h}\n")
    assert states(project, "2026-11-21T06:59:59") == {}
    assert states(project, "2026-11-21T07:00:00") == {"2026-11-20": "new"}


def test_since_says_where_to_begin(tmp_path):
    project = shop(tmp_path, "schedule: {since: 2026-11-21}\n")
    assert states(project, "2026-11-22T12:00:00") == {"2026-11-21": "new"}


def test_days_can_be_named_and_one_that_has_not_ended_is_not_ready(tmp_path):
    day = datetime.date(2026, 11, 21)
    assert states(shop(tmp_path), "2026-11-22T12:00:00", first=day, last=day) == {"2026-11-21": "new"}
    assert states(shop(tmp_path / "b"), "2026-11-21T12:00:00", first=day, last=day) == {"2026-11-21": "not_ready"}


def test_a_day_without_predictions_is_waited_for_then_given_up_and_built_when_they_come_after_all(tmp_path):
    project = shop(tmp_path)
    missing = serve(tmp_path / "shop", "2026-11-21")
    missing.unlink()
    assert states(project, "2026-11-23T00:00:00")["2026-11-21"] == "not_ready"
    assert states(project, "2026-11-29T23:59:59")["2026-11-21"] == "not_ready"
    assert states(project, "2026-11-30T00:00:00")["2026-11-21"] == "no_data"
    serve(tmp_path / "shop", "2026-11-21")
    assert states(project, "2026-11-30T00:00:00")["2026-11-21"] == "new"


def test_a_version_stands_as_long_as_its_files_do(tmp_path):
    project = shop(tmp_path)
    published(project, "2026-11-20")
    assert states(project, "2026-11-21T00:00:00") == {"2026-11-20": "current"}


def test_a_file_that_is_new_or_longer_makes_a_mature_day_late(tmp_path):
    project = shop(tmp_path)
    published(project, "2026-11-20")
    serve(tmp_path / "shop", "2026-11-20", range(3), name="served-b")
    assert states(project, "2026-11-21T00:00:00") == {"2026-11-20": "late"}
    published(project, "2026-11-21")
    click(tmp_path / "shop", "2026-11-22", range(2))
    assert states(project, "2026-11-23T00:00:00")["2026-11-21"] == "late"


def test_a_file_rewritten_to_the_same_size_after_the_build_makes_it_late(tmp_path):
    project = shop(tmp_path)
    path = tmp_path / "shop/logs/2026/11/20/served-a.json"
    published(project, "2026-11-20")
    os.utime(path, (midnight("2099-01-01").timestamp(),) * 2)
    assert states(project, "2026-11-21T00:00:00") == {"2026-11-20": "late"}


def test_late_data_is_looked_for_until_its_time_is_over(tmp_path):
    project = shop(tmp_path, "schedule: {late: 2d}\n")
    published(project, "2026-11-20")
    serve(tmp_path / "shop", "2026-11-20", range(3), name="served-b")
    assert states(project, "2026-11-23T23:59:59")["2026-11-20"] == "late"
    assert states(project, "2026-11-24T00:00:00")["2026-11-20"] == "current"


def test_an_immature_day_needs_a_build_as_soon_as_there_is_new_data_however_late(tmp_path):
    project = shop(tmp_path)
    (tmp_path / "shop/logs/2026/11/21/click.json").unlink()
    published(project, "2026-11-20", immature=3)
    assert states(project, "2026-11-21T00:00:00") == {"2026-11-20": "current"}
    click(tmp_path / "shop", "2026-11-21")
    assert states(project, "2026-11-21T00:00:00") == {"2026-11-20": "immature"}
    assert states(project, "2027-11-21T00:00:00")["2026-11-20"] == "immature"


def test_a_day_whose_logs_were_deleted_is_never_built_from_what_is_left(tmp_path):
    project = shop(tmp_path)
    serve(tmp_path / "shop", "2026-11-20")
    published(project, "2026-11-20", immature=3)
    (tmp_path / "shop/logs/2026/11/20/served-a.json").unlink()
    serve(tmp_path / "shop", "2026-11-20", range(3), name="served-b")
    assert states(project, "2026-11-21T00:00:00") == {"2026-11-20": "gone"}


def test_days_that_retention_would_leave_out_again_are_not_looked_at(tmp_path):
    project = shop(tmp_path, "retention: {days: 2}\n")
    published(project, "2026-11-22")
    assert list(states(project, "2026-11-23T00:00:00")) == ["2026-11-21", "2026-11-22"]


def test_where_names_tell_no_day_the_logs_own_times_do(tmp_path):
    project = shop(tmp_path)
    path = tmp_path / "shop/shop.yaml"
    path.write_text(path.read_text().replace('"logs/{date:%Y/%m/%d}/served-*.json"', '"logs/*/*/*/served-*.json"'))
    project = load_project(str(path))
    assert states(project, "2026-11-22T12:00:00") == {"2026-11-20": "new", "2026-11-21": "new"}
    # The last prediction is of 23:00: the log may go on, for as long as late data is looked for.
    assert states(project, "2026-11-23T00:00:00")["2026-11-22"] == "not_ready"
    assert states(project, "2026-12-01T00:00:00")["2026-11-22"] == "new"
    assert states(project, "2026-12-02T00:00:00")["2026-11-23"] == "no_data"


def test_nothing_is_due_of_logs_that_are_not_there(tmp_path):
    project = load_project(make_shop(tmp_path / "shop"))
    assert states(project, "2026-11-23T00:00:00") == {}
