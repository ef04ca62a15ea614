"""How fresh logs are told to be: delays, volumes beside those of earlier days, gaps, and a build that waits."""

import datetime
import gzip
import json

import pytest

from retrolabel.pipelines.check_command import check_project
from retrolabel.pipelines.freshness import check_freshness, wait_until_fresh
from retrolabel.pipelines.freshness_command import render
from retrolabel.schemas.errors import ConfigError, InputError
from tests.end_to_end.test_versions import run
from tests.support.messy import TIMESTAMP

DATE = datetime.date(2026, 11, 20)
NOON = datetime.datetime(2026, 11, 20, 12, tzinfo=datetime.UTC)
MINUTE, HOUR = datetime.timedelta(minutes=1), datetime.timedelta(hours=1)

CONFIG = """\
dataset: shoes
predictions: {format: fluentd, path: "serving/{date:%Y-%m-%d}.log*", schema: event.avsc, key: id, time: at}
outcomes:
  click: {format: json, path: "clicks.log*", schema: click.avsc, key: id, time: at, where: "kind = 'click'"}
labels:
  clicked: {outcome: click, window: 2h, value: any}
freshness:
  predictions: {max_delay: 10m, max_gap: 30m, min_volume: 0.5}
  click: {max_delay: 1h}
"""


@pytest.fixture
def shop(tmp_path):
    """Eight days of 60 events an hour; on the last, up to noon, eight o'clock is nearly silent."""
    fields = [{"name": "at", "type": TIMESTAMP}, {"name": "id", "type": "string"}]
    for name, more in (("event", []), ("click", [{"name": "kind", "type": "string"}])):
        (tmp_path / f"{name}.avsc").write_text(json.dumps({"type": "record", "name": name, "fields": fields + more}))
    (tmp_path / "shoes.yaml").write_text(CONFIG)
    (tmp_path / "serving").mkdir()
    clicks = []
    for day in range(8):
        start = datetime.datetime(2026, 11, 13 + day, tzinfo=datetime.UTC)
        moments = [start + minute * MINUTE for minute in range(24 * 60) if start + minute * MINUTE < NOON]
        if start.date() == DATE:
            moments = [moment for moment in moments if moment.hour != 8 or moment.minute < 6]
        text = "".join(served(moment) for moment in moments).encode()
        path = tmp_path / f"serving/{start:%Y-%m-%d}.log"
        path.write_bytes(text)
        if day == 3:  # rotated: there twice, counted once
            (tmp_path / f"serving/{start:%Y-%m-%d}.log.gz").write_bytes(gzip.compress(text))
        clicks += [clicked(moment, "click" if moment < NOON - 2 * HOUR else "view") for moment in moments]
    (tmp_path / "clicks.log").write_text("".join(clicks))
    return tmp_path


def served(moment: datetime.datetime) -> str:
    return f"{moment.isoformat()}\tml\t" + json.dumps({"at": moment.isoformat(), "id": str(moment)}) + "\n"


def clicked(moment: datetime.datetime, kind: str) -> str:
    return json.dumps({"at": moment.isoformat(), "id": str(moment), "kind": kind}) + "\n"


def look(shop, now=NOON, date=DATE, **chosen):
    return check_freshness(check_project(str(shop / "shoes.yaml")), date, now, **chosen)


def test_volume_is_compared_with_the_same_hours_of_earlier_days(shop):
    predictions = look(shop).sources[0]
    assert [hour.events for hour in predictions.hours] == [60] * 8 + [6] + [60] * 3
    assert {hour.usual for hour in predictions.hours} == {60.0}
    assert [hour.complete for hour in predictions.hours] == [True] * 11 + [False], "the last may be 10 minutes late"
    assert predictions.per_minute == pytest.approx((10 * 60 + 6) / 11 / 60)
    assert predictions.usual_per_minute == 1.0


def test_a_drop_and_a_gap_break_their_rules(shop):
    assert look(shop).problems == (
        "predictions: no event from 2026-11-20T08:05:00Z to 2026-11-20T09:00:00Z, 55 min; max_gap allows 30 min",
        "predictions: 6 events in the hour from 2026-11-20T08:00:00Z, usually 60 (10%); min_volume asks for 50%",
        "click: the last event, 2026-11-20T09:59:00Z, is 2 h 1 min behind; max_delay allows 1 h",
    )


def test_delays_count_up_to_now_and_no_further_than_the_build_needs(shop):
    predictions, click = look(shop, now=NOON + 30 * HOUR).sources
    assert predictions.delay == 12 * HOUR + MINUTE, "up to the end of the day"
    assert click.delay == 16 * HOUR + MINUTE, "up to the end of the last window"


def test_without_a_date_it_is_about_the_last_24_hours(shop):
    found = look(shop, date=None, now=NOON + 10 * MINUTE)
    assert found.sources[0].delay == 11 * MINUTE
    assert len(found.sources[0].hours) == 25
    assert found.sources[0].longest_gap == (NOON - 4 * HOUR + 5 * MINUTE, NOON - 3 * HOUR)


def test_hours_before_the_log_began_are_no_usual_volume(shop):
    predictions = look(shop, date=datetime.date(2026, 11, 13)).sources[0]
    assert {hour.usual for hour in predictions.hours} == {None}
    assert not predictions.problems


def test_the_clock_of_an_hour_is_that_of_the_timezone(shop):
    text = CONFIG.replace("dataset: shoes", "dataset: shoes\ntimezone: America/New_York")
    (shop / "shoes.yaml").write_text(text)
    hours = look(shop).sources[0].hours
    assert hours[0].begin == datetime.datetime(2026, 11, 20, 5, tzinfo=datetime.UTC)
    assert [hour.events for hour in hours] == [60, 60, 60, 6, 60, 60, 60]


def test_a_source_without_files_or_events_is_told(shop):
    (shop / "clicks.log").write_text("")
    for file in (shop / "serving").iterdir():
        file.unlink()
    problems = look(shop).problems
    assert problems[0].startswith("predictions: predictions: no file matches")
    assert problems[1] == "predictions: no event at all before 2026-11-20T12:00:00Z; max_delay allows 10 min"
    assert problems[2] == "click: no event at all before 2026-11-20T12:00:00Z; max_delay allows 1 h"


def test_the_command_tells_people_and_machines_and_fails_when_a_rule_is_broken(shop):
    told = run("freshness", str(shop / "shoes.yaml"), "--date", str(DATE), code=4)
    assert "2026-11-20 08:00             6          60     10%" in told
    assert "broken: 6 events in the hour from 2026-11-20T08:00:00Z" in told
    found = json.loads(run("freshness", str(shop / "shoes.yaml"), "--date", str(DATE), "--json", code=4))
    assert (found["dataset"], found["ready"]) == ("shoes", False)
    assert [source["source"] for source in found["sources"]] == ["predictions", "click"]
    (shop / "shoes.yaml").write_text(CONFIG.partition("freshness")[0])
    assert json.loads(run("freshness", str(shop / "shoes.yaml"), "--date", str(DATE), "--json"))["ready"]


def test_what_is_shown_says_how_far_behind_each_source_is(shop):
    told = "\n".join(render(look(shop)))
    assert "  predictions: 1 min behind, last event 2026-11-20 11:59:00, last written " in told
    assert "    0.9 events a minute on 2026-11-20, usually 1.0; longest gap 55 min" in told


def test_a_build_waits_until_the_rules_hold(shop):
    (shop / "shoes.yaml").write_text(CONFIG.replace(", max_gap: 30m, min_volume: 0.5", ""))
    pauses = []

    def deliver(seconds: float) -> None:
        pauses.append(seconds)
        with (shop / "clicks.log").open("a") as log:
            log.write(clicked(NOON - MINUTE, "click" if len(pauses) == 2 else "view"))

    wait_until_fresh(check_project(str(shop / "shoes.yaml")), DATE, HOUR, lambda: NOON, deliver)
    assert pauses == [30.0, 30.0]


def test_a_build_that_waited_in_vain_says_for_what(shop):
    project = check_project(str(shop / "shoes.yaml"))
    moments = iter([NOON, NOON, NOON, NOON + 2 * HOUR, NOON + 2 * HOUR])
    with pytest.raises(
        InputError,
        match=r"2026-11-20: the logs are not ready after 1 h; nothing was built.\n  predictions: the last event",
    ):
        wait_until_fresh(project, DATE, HOUR, lambda: next(moments), lambda seconds: None)
    told = run("build", str(shop / "shoes.yaml"), "--date", str(DATE), "--wait-for", "0s", code=4)
    assert "the logs are not ready" in told
    assert not (shop / "datasets").exists()


def test_a_rule_for_a_source_that_is_not_there_is_a_mistake(shop):
    (shop / "shoes.yaml").write_text(CONFIG.replace("  click: {max_delay", "  clicks: {max_delay"))
    with pytest.raises(ConfigError, match=r"freshness.clicks: no source is called 'clicks'. Did you mean 'click'\?"):
        check_project(str(shop / "shoes.yaml"))
