"""Splits by time, sampled negatives, days of other timezones: what the config promises of the rows that are written."""

import datetime
import json
import zoneinfo

import pytest

import retrolabel
from tests.end_to_end.test_versions import DATE, run
from tests.support.messy import CONFIG, DAY, write_logs


@pytest.fixture
def shop(tmp_path):
    write_logs(tmp_path, seed=21, predictions=300)
    return tmp_path


def build(shop, old: str, new: str, date: str = DATE) -> dict:
    assert old in CONFIG
    (shop / "shoes.yaml").write_text(CONFIG.replace(old, new))
    return json.loads(
        run("build", str(shop / "shoes.yaml"), "--date", date, "--json", "--outcomes-complete-until", "2026-12-01")
    )


def rows(shop, **chosen) -> list[dict]:
    return retrolabel.load(str(shop / "datasets/shoes"), **chosen).to_table().to_pylist()


SPLIT = "split: {by: user_id, parts: {train: 0.8, eval: 0.1, test: 0.1}}"


def test_a_split_by_shares_of_the_day(shop):
    build(shop, SPLIT, "split: {by: event_time, parts: {train: 0.75, eval: 0.25}}")
    border = DAY + datetime.timedelta(hours=18)
    assert max(row["event_time"] for row in rows(shop, split="train")) < border
    assert min(row["event_time"] for row in rows(shop, split="eval")) >= border


def test_a_split_by_dates(shop):
    built = build(
        shop, SPLIT, "split: {by: event_time, parts: {train: 2026-11-20, eval: 2026-11-20T12:00:00Z, test: rest}}"
    )
    assert built["splits"]["train"]["rows"] == 0
    assert max(row["event_time"] for row in rows(shop, split="eval")) < DAY + datetime.timedelta(hours=12)
    assert min(row["event_time"] for row in rows(shop, split="test")) >= DAY + datetime.timedelta(hours=12)


def test_without_a_split_there_is_one_part(shop):
    built = build(shop, SPLIT, "")
    assert list(built["splits"]) == ["all"]
    assert len(rows(shop)) == built["splits"]["all"]["rows"]


def test_negatives_are_sampled_by_a_stable_hash_and_weighed(shop):
    labels = CONFIG[CONFIG.index("labels:") : CONFIG.index("split:")]
    one = "labels:\n  clicked: {outcome: click, window: 24h, value: any}\n  bought: {outcome: purchase, window: 48h, value: any}\n"
    everything = build(shop, labels, one)
    whole = {row["prediction_id"]: row for row in rows(shop)}
    sampled = build(shop, labels, one + "sample: {negatives: 0.25}\n")
    kept = {row["prediction_id"]: row for row in rows(shop)}
    counts = sampled["accounting"]["predictions"]
    assert counts["sampled_out"] == len(whole) - len(kept) > 0
    assert everything["accounting"]["predictions"]["examples"] == counts["examples"] + counts["sampled_out"]
    positive = {key for key, row in whole.items() if row["clicked"] or row["bought"]}
    assert positive <= kept.keys()
    assert {row["weight"] for key, row in kept.items() if key in positive} == {1.0}
    assert {row["weight"] for key, row in kept.items() if key not in positive} == {4.0}
    build(shop, labels, one + "sample: {negatives: 0.5}\n")
    assert kept.keys() <= {row["prediction_id"] for row in rows(shop)}, "a larger share holds the smaller"


def test_a_day_is_one_of_the_configs_timezone(shop):
    build(shop, "dataset: shoes\n", "dataset: shoes\ntimezone: America/New_York\n")
    zone = zoneinfo.ZoneInfo("America/New_York")
    days = {row["event_time"].astimezone(zone).date().isoformat() for row in rows(shop)}
    assert days == {DATE}
    assert max(row["event_time"] for row in rows(shop)) >= DAY + datetime.timedelta(hours=24)


def test_rows_stand_in_the_order_of_the_hash_and_not_of_time(shop):
    build(shop, SPLIT, "")
    times = [row["event_time"] for row in rows(shop)]
    assert times != sorted(times)
