"""Outcomes by another key, near the borders of days: each counts for one prediction, as if all days were one."""

import datetime
import json
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

import retrolabel
from retrolabel.pipelines.build_command import run_pipeline
from retrolabel.pipelines.check_command import check_project
from retrolabel.pipelines.due_days import due_days
from retrolabel.pipelines.planning import plan_build
from retrolabel.pipelines.runner import choose_runner
from retrolabel.schemas.errors import ConfigError, InputError
from retrolabel.schemas.manifest import broken_identities
from retrolabel.transforms import consent, label
from retrolabel.transforms.dataset import read_day_manifest, read_version, version_numbers

ZONE_DAYS = {"UTC": datetime.date(2026, 11, 20), "Europe/Berlin": datetime.date(2026, 10, 24)}
"""The second begins two days one of which has 25 hours."""

HOUR = datetime.timedelta(hours=1)
WINDOW, AFTER = 30 * HOUR, 1 * HOUR
TIMESTAMP = {"type": "long", "logicalType": "timestamp-micros"}

CONFIG = """\
dataset: shop
timezone: {zone}
predictions: {{format: json, path: "served/{{date:%Y-%m-%d}}.json", schema: served.avsc, key: id, time: at, where: kind = 'shown'}}
outcomes:
  sale: {{format: json, path: "sales/{{date:%Y-%m-%d}}.json", schema: sale.avsc, key: [user, item], time: at, attribution: last}}
labels:
  to_last: {{outcome: sale, window: 30h, after: 1h, value: count}}
  to_first: {{outcome: sale, window: 30h, after: 1h, value: count, attribution: first}}
  to_all: {{outcome: sale, window: 30h, after: 1h, value: count, attribution: all}}
"""
CONSENT = """\
consent:
  log: {format: json, path: consent.json, schema: consent.avsc, key: user, time: at, state: given}
"""
CONTRACTS = {
    "served": {"at": TIMESTAMP, "id": "string", "user": "string", "item": "long", "kind": "string"},
    "sale": {"at": TIMESTAMP, "user": "string", "item": "long"},
    "consent": {"at": TIMESTAMP, "user": "string", "given": "boolean"},
}


def write_shop(folder: Path, zone: str, served: list[dict], sales: list[dict], decisions: Sequence[dict] = ()) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, fields in CONTRACTS.items():
        contract = [{"name": field, "type": kind} for field, kind in fields.items()]
        (folder / f"{name}.avsc").write_text(json.dumps({"type": "record", "name": name, "fields": contract}))
    for name, events in (("served", served), ("sales", sales)):
        (folder / name).mkdir()
        for event in events:
            with (folder / name / f"{event['at'].date()}.json").open("a") as file:
                file.write(json.dumps(event, default=str) + "\n")
    (folder / "consent.json").write_text("".join(json.dumps(one, default=str) + "\n" for one in decisions))
    (folder / "shop.yaml").write_text(CONFIG.format(zone=zone) + (CONSENT if decisions else ""))
    return folder / "shop.yaml"


def random_shop(seed: int, start: datetime.datetime) -> tuple[list[dict], list[dict]]:
    """Four days of predictions, some delivered twice, and of sales; few people and items, so that many compete."""
    chance = random.Random(seed)

    def moment() -> datetime.datetime:
        return start + chance.choice([chance.randrange(-24 * 4, 72 * 4), chance.randrange(23 * 4, 26 * 4)]) * HOUR / 4

    served = [
        {"at": moment(), "id": f"p{number}", "user": f"u{chance.randrange(6)}", "item": chance.randrange(3),
         "kind": chance.choice(["shown", "shown", "shown", "shadow"])} for number in range(150)
    ]  # fmt: skip
    sales = [{"at": moment(), "user": f"u{chance.randrange(7)}", "item": chance.randrange(3)} for _ in range(150)]
    sales.append({"at": start + 200 * HOUR, "user": "nobody", "item": 0})
    return [*served, *chance.choices(served, k=30)], sales


def expected_counts(served: list[dict], sales: list[dict]) -> dict[str, Counter[str]]:
    """For each label, how many sales count for each prediction: one sale at a time, over all days."""
    predictions = sorted({one["id"]: one for one in served}.values(), key=lambda one: (one["at"], one["id"]))
    counts: dict[str, Counter[str]] = {name: Counter() for name in ("to_last", "to_first", "to_all")}
    for sale in {tuple(sale.values()): sale for sale in sales}.values():
        fits = [
            one for one in predictions
            if (one["user"], one["item"]) == (sale["user"], sale["item"]) and one["at"] + AFTER <= sale["at"] < one["at"] + WINDOW
        ]  # fmt: skip
        if fits:
            latest = [one["id"] for one in fits if one["at"] == fits[-1]["at"]]
            counts["to_last"][latest[0]] += 1
            counts["to_first"][fits[0]["id"]] += 1
            counts["to_all"].update(one["id"] for one in fits)
    return counts


def build(config: Path, date: datetime.date, *, in_process: bool = True) -> dict[str, dict]:
    plan, inputs = plan_build(check_project(str(config)), date, {}, in_process=in_process)
    run_pipeline(plan, inputs, choose_runner([]))
    root = str(config.parent / "datasets/shop")
    for source, counts in read_day_manifest(root, read_version(root).days[str(date)]).accounting.items():
        assert not broken_identities(source, counts)
    return {row["id"]: row for row in retrolabel.load(root).to_table().to_pylist()}


@pytest.mark.parametrize("in_process", [True, False])
@pytest.mark.parametrize("zone", ZONE_DAYS)
@pytest.mark.parametrize("seed", [1, 2])
def test_the_labels_of_two_days_are_those_of_all_days_at_once(tmp_path, seed, zone, in_process):
    first = ZONE_DAYS[zone]
    served, sales = random_shop(seed, datetime.datetime(*first.timetuple()[:3], tzinfo=datetime.UTC))
    config = write_shop(tmp_path, zone, served, sales)
    build(config, first, in_process=in_process)
    rows = build(config, first + datetime.timedelta(days=1), in_process=in_process)
    counts = expected_counts([one for one in served if one["kind"] == "shown"], sales)
    assert len(rows) > 50
    for column, of_prediction in counts.items():
        assert {name: row[column] for name, row in rows.items()} == {name: of_prediction[name] for name in rows}
    days_apart = {name: row["at"].date() for name, row in rows.items()}
    assert len(set(days_apart.values())) > 1


def test_a_key_that_is_too_hot_for_memory_gives_the_same_bytes_from_disk(tmp_path, monkeypatch):
    first = ZONE_DAYS["UTC"]
    served, sales = random_shop(1, datetime.datetime(*first.timetuple()[:3], tzinfo=datetime.UTC))
    decisions = [
        {"at": one["at"] - HOUR, "user": one["user"], "given": number % 9 > 0} for number, one in enumerate(served)
    ]
    files = {}
    for name, held, in_process in (("memory", 2**20, True), ("disk", 0, True), ("engine", 0, False)):
        monkeypatch.setattr(label, "HELD_BYTES", held)
        monkeypatch.setattr(consent, "HELD_BYTES", held)
        config = write_shop(tmp_path / name, "UTC", served, [*sales, *sales[:20]], decisions)
        build(config, first, in_process=in_process)
        files[name] = {
            str(path.relative_to(tmp_path / name)): path.read_bytes()
            for path in (tmp_path / name / "datasets").rglob("*.parquet")
        }
    assert files["memory"] == files["disk"] == files["engine"]
    assert files["memory"]


@pytest.mark.parametrize("attribution", ["last", "all"])
@pytest.mark.parametrize("in_process", [True, False])
def test_a_label_of_a_key_too_hot_for_memory_that_is_not_finite_fails_the_build(
    tmp_path, monkeypatch, attribution, in_process
):
    monkeypatch.setattr(label, "HELD_BYTES", 0)
    first = ZONE_DAYS["UTC"]
    served, sales = random_shop(1, datetime.datetime(*first.timetuple()[:3], tzinfo=datetime.UTC))
    config = write_shop(tmp_path, "UTC", served, sales)
    huge = f"  huge: {{outcome: sale, window: 30h, value: sum(1e308 * (1 + item)), attribution: {attribution}}}\n"
    config.write_text(config.read_text() + huge)
    with pytest.raises(ConfigError, match="labels huge: the value is not a finite number"):
        build(config, first, in_process=in_process)
    assert not version_numbers(str(tmp_path / "datasets/shop"))


def shop_of_two(tmp_path: Path, **more) -> Path:
    """A prediction late on a day and one early on the next, of one person and item, and a sale after both."""
    midnight = datetime.datetime(2026, 11, 21, tzinfo=datetime.UTC)
    served = [
        {"at": midnight + hours * HOUR, "id": name, "user": "ann", "item": 1, "kind": "shown"}
        for name, hours in (("late", -1), ("early", 1))
    ]
    sales = [
        {"at": midnight + hours * HOUR, "user": user, "item": 1}
        for user, hours in (("ann", 4), ("nobody", 30), ("nobody", 54))
    ]
    return write_shop(tmp_path, "UTC", served, sales, **more)


TWO_DAYS = [datetime.date(2026, 11, 20), datetime.date(2026, 11, 21)]


def test_predictions_of_people_without_consent_are_no_rivals(tmp_path):
    long_ago = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    withdrawn = datetime.datetime(2026, 11, 21, 0, 30, tzinfo=datetime.UTC)
    given = {"at": long_ago, "user": "ann", "given": True}
    for name, decisions, expected in (
        ("consented", [given], {"late": (0, 1), "early": (1, 0)}),
        ("withdrawn", [given, {**given, "at": withdrawn, "given": False}], {}),
        ("late_only", [{**given, "at": withdrawn, "given": True}], {"early": (1, 1)}),
    ):
        config = shop_of_two(tmp_path / name, decisions=decisions)
        rows = {}
        for date in TWO_DAYS:
            rows |= build(config, date)
        assert {name: (row["to_last"], row["to_first"]) for name, row in rows.items()} == expected


def test_a_later_prediction_that_was_filtered_is_no_rival(tmp_path):
    config = shop_of_two(tmp_path)
    later = tmp_path / "served/2026-11-21.json"
    later.write_text(later.read_text().replace("shown", "shadow"))
    assert {name: row["to_last"] for name, row in build(config, TWO_DAYS[0]).items()} == {"late": 1}


def test_the_files_of_the_day_around_are_read_if_they_are_there_and_never_make_a_day(tmp_path):
    config = shop_of_two(tmp_path)
    with pytest.raises(InputError, match="no file matches"):
        build(config, datetime.date(2026, 11, 19))
    (tmp_path / "served/2026-11-21.json").rename(tmp_path / "later.json")
    assert {name: row["to_last"] for name, row in build(config, TWO_DAYS[0]).items()} == {"late": 1}


def test_a_day_is_due_again_when_the_predictions_of_the_next_one_arrive(tmp_path):
    config = shop_of_two(tmp_path)
    (tmp_path / "served/2026-11-21.json").rename(tmp_path / "later.json")
    build(config, TWO_DAYS[0])
    project, now = check_project(str(config)), datetime.datetime(2026, 11, 22, 12, tzinfo=datetime.UTC)
    assert [day.state for day in due_days(project, now, *TWO_DAYS[:1] * 2)] == ["current"]
    (tmp_path / "later.json").rename(tmp_path / "served/2026-11-21.json")
    (day,) = due_days(project, now, *TWO_DAYS[:1] * 2)
    assert (day.state, "served/2026-11-21.json" in day.why) == ("late", True)
    assert {name: row["to_last"] for name, row in build(config, TWO_DAYS[0]).items()} == {"late": 0}
