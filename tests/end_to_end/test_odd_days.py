"""Days that are not 24 hours of both predictions and outcomes: empty ones, those when the clock changes, and the moments at their borders."""

import datetime
import json
import pathlib

import pytest

import retrolabel
from tests.end_to_end.test_versions import run
from tests.support.messy import TIMESTAMP

CONFIG = """\
dataset: shop
timezone: {timezone}
predictions: {{format: json, path: served.json, schema: event.avsc, key: id, time: at, {more}}}
outcomes:
  click: {{format: json, path: click.json, schema: event.avsc, key: id, time: at, {more}}}
labels:
  clicked: {{outcome: click, window: 24h, value: any}}
"""
LATER = ("2029-01-01T00:00:00Z", "nobody")
"""An outcome that says that the log goes on until then."""


def shop(folder: pathlib.Path, served: object, clicks: object, timezone: str = "UTC", more: str = "") -> str:
    """Writes a config and logs, of lines or of times and ids; the config's path."""
    fields = [{"name": "at", "type": TIMESTAMP}, {"name": "id", "type": "string"}]
    (folder / "event.avsc").write_text(json.dumps({"type": "record", "name": "Event", "fields": fields}))
    (folder / "shop.yaml").write_text(CONFIG.format(timezone=timezone, more=more))
    for name, events in (("served", served), ("click", clicks)):
        lines = events if isinstance(events, str) else "".join(f'{{"at":"{at}","id":"{key}"}}\n' for at, key in events)
        (folder / f"{name}.json").write_text(lines)
    return str(folder / "shop.yaml")


def build(config: str, date: str, code: int = 0) -> dict:
    told = run("build", config, "--date", date, "--json", code=code)
    return json.loads(told) if code == 0 else {"said": told}


def labels_of(config: str) -> dict[str, bool]:
    rows = retrolabel.load(str(pathlib.Path(config).parent / "datasets/shop")).to_table().to_pylist()
    return {row["id"]: row["clicked"] for row in rows}


@pytest.mark.parametrize(
    ("served", "clicks", "unique"),
    [
        ("", "", 0), ("\n \n", "", 0), ([("2026-11-22T01:00:00Z", "a")], [LATER], 0), ("", [("2026-11-20T01:00:00Z", "a"), LATER], 0),
        ([("2026-11-20T01:00:00Z", "a")], "", 1), ([("2026-11-20T01:00:00Z", "a")], [("2026-11-19T01:00:00Z", "a")], 1),
    ],
    ids=["empty files", "blank lines", "other days", "outcomes alone", "no outcomes", "earlier outcomes"],
)  # fmt: skip
def test_a_day_without_events_is_a_version_without_examples(tmp_path, served, clicks, unique):
    config = shop(tmp_path, served, clicks)
    built = build(config, "2026-11-20")
    counts = built["accounting"]["predictions"]
    assert (built["published"], counts["unique"], counts["examples"], counts["immature"]) == (True, unique, 0, unique)
    assert built["accounting"]["click"]["attributed"] == 0
    dataset = str(tmp_path / "datasets/shop")
    for command in ("show", "versions", "status", "rejects", "trend", "report", "card", "gc"):
        run(command, dataset, *(["-o", str(tmp_path / "report.html")] if command == "report" else []))
    assert retrolabel.load(dataset).count_rows() == 0


def test_a_log_of_which_nothing_is_understood_is_told(tmp_path):
    told = build(shop(tmp_path, "\x00\x01\n<html>\n", [LATER]), "2026-11-20", code=3)["said"]
    assert "predictions: 2 of 2 lines (100.00%) were rejected" in told


@pytest.mark.parametrize(
    ("timezone", "first", "hours"),
    [
        ("America/New_York", "2026-03-07", [24, 23, 24]), ("America/New_York", "2026-10-31", [24, 25, 24]),
        ("America/Santiago", "2026-09-05", [24, 23, 24]),  # the clock jumps at midnight: the day begins at 1
        ("America/Havana", "2026-10-31", [24, 25, 24]),  # the hour after midnight comes twice
        ("Pacific/Apia", "2011-12-29", [24, 0, 24]),  # a day that the calendar left out
        ("Asia/Kathmandu", "2026-12-31", [24, 24]), ("UTC", "2028-02-28", [24, 24, 24]),
    ],
)  # fmt: skip
def test_each_event_is_of_one_day_whatever_the_clocks_do(tmp_path, timezone, first, hours):
    begin = datetime.datetime.fromisoformat(first).replace(tzinfo=datetime.UTC) - datetime.timedelta(days=1)
    moments = [begin + datetime.timedelta(hours=hour) for hour in range(24 * 6)]
    events = [(moment.isoformat(), f"{moment:%d%H}") for moment in moments]
    config = shop(tmp_path, events, [*events, LATER], timezone)
    found = []
    for number in range(len(hours)):
        date = datetime.date.fromisoformat(first) + datetime.timedelta(days=number)
        found.append(build(config, date.isoformat())["splits"]["all"]["rows"])
    labels = labels_of(config)
    assert (found, len(labels), set(labels.values())) == (hours, sum(hours), {True})


def test_days_and_windows_hold_their_first_moment_and_not_their_end(tmp_path):
    day, next_day, noon = "2026-11-20T", "2026-11-21T", "2026-11-20T12:00:00Z"
    served = [(f"{day}00:00:00Z", "first"), ("2026-11-19T23:59:59.999999Z", "before"), (f"{day}23:59:59.999999Z", "last"),
              (f"{next_day}00:00:00Z", "after"), (noon, "at once"), (noon, "too early"), (noon, "just in time"), (noon, "too late")]  # fmt: skip
    clicks = [(noon, "at once"), (f"{day}11:59:59.999999Z", "too early"), (f"{next_day}11:59:59.999999Z", "just in time"),
              (f"{next_day}12:00:00Z", "too late"), (f"{next_day}23:59:59.999998Z", "last"), LATER]  # fmt: skip
    config = shop(tmp_path, served, clicks)
    build(config, "2026-11-20")
    assert labels_of(config) == {
        "first": False, "last": True, "at once": True, "too early": False, "just in time": True, "too late": False,
    }  # fmt: skip


def test_a_prediction_is_mature_when_the_log_reaches_the_end_of_its_window(tmp_path):
    config = shop(
        tmp_path,
        [("2026-11-20T12:00:00Z", "closed"), ("2026-11-20T12:00:00.000001Z", "open")],
        [("2026-11-21T12:00:00Z", "x")],
    )
    built = build(config, "2026-11-20")
    assert labels_of(config) == {"closed": False}
    assert built["accounting"]["predictions"]["immature"] == 1


def test_a_build_whose_windows_are_all_open_says_until_when_they_are(tmp_path):
    config = shop(tmp_path, [("2026-11-20T12:00:00Z", "open")], [("2026-11-21T11:00:00Z", "x")], "Europe/Berlin")
    told = run("build", config, "--date", "2026-11-20")
    assert "for all to be examples the logs must reach 2026-11-21T23:00:00Z" in told
    assert "--outcomes-complete-until" in told


def test_outcomes_none_of_which_finds_a_prediction_are_warned_of(tmp_path):
    served = [("2026-11-20T12:00:00Z", "a"), ("2026-11-20T12:00:00Z", "b")]
    config = shop(tmp_path, served, [("2026-11-20T13:00:00Z", "A"), LATER])
    assert "warning: none of these events has the key of a prediction" in run("build", config, "--date", "2026-11-20")
    shop(tmp_path, served, [("2026-11-20T13:00:00Z", "a"), LATER])
    assert "warning: none" not in run("build", config, "--date", "2026-11-20")


def test_a_build_of_a_day_without_predictions_says_so(tmp_path):
    config = shop(tmp_path, [("2026-11-20T12:00:00Z", "a")], [LATER], "Europe/Berlin")
    assert "no prediction of 1 lines lies in this day of Europe/Berlin" in run("build", config, "--date", "2026-11-25")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("timezone: UTC", "timezone: Asia/Tokyo", "timezone (UTC there, Asia/Tokyo here): an example may be in both days, or in none"),
        ("window: 24h", "window: 1h", "labels.clicked: the same name stands for something else"),
        ("labels:", "split: {by: id, parts: {train: 0.5, eval: 0.5}}\nlabels:", "split: equal rows may be in other parts"),
        ("labels:", "sample: {negatives: 0.5}\nlabels:", "sample: other shares of negatives were kept"),
    ],
    ids=["timezone", "label", "split", "sample"],
)  # fmt: skip
def test_a_day_that_is_built_otherwise_than_the_one_before_is_told_once(tmp_path, old, new, said):
    config = shop(tmp_path, [(f"2026-11-{day}T12:00:00Z", f"{day}") for day in (20, 21, 22)], [LATER])
    assert "warning" not in run("build", config, "--from", "2026-11-20", "--to", "2026-11-21")
    path = pathlib.Path(config)
    path.write_text(path.read_text().replace(old, new))
    assert f"warning: 2026-11-21 was built with another {said}" in run("build", config, "--date", "2026-11-22")
    assert "warning" not in run("build", config, "--date", "2026-11-22")


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("build", ["--date", "9999-12-31"]), ("build", ["--date", "0001-01-01"]), ("check", ["--date", "9999-12-30"]), ("freshness", ["--date", "9999-12-31"]),
        ("build", ["--date", "2026-11-20", "--outcomes-complete-until", "0001-01-01T00:00:00+14:00"]),
        ("run", ["--now", "9999-12-31T00:00:00Z"]), ("run", ["--now", "0001-01-01T00:00:00Z"]), ("build", ["--date", "2026-02-29"]),
    ],
)  # fmt: skip
def test_moments_at_the_ends_of_the_calendar_are_refused(tmp_path, command, arguments):
    config = shop(tmp_path, "", "", "Asia/Tokyo")
    assert f"got '{arguments[-1]}'" in run(command, config, *arguments, code=2)


@pytest.mark.parametrize(
    "sections", ["schedule: {since: 9999-12-31}\n", "split: {by: at, parts: {train: 0001-01-01, eval: rest}}\n"]
)
def test_a_config_names_no_day_at_the_ends_of_the_calendar(tmp_path, sections):
    path = pathlib.Path(shop(tmp_path, "", ""))
    path.write_text(path.read_text() + sections)
    assert "is a day of the years 1000 to 9000" in run("check", str(path), code=2)
