"""k-anonymity of what is published: checked on the rows themselves, by a plain count."""

import collections
import dataclasses
import datetime
import json
import random
from pathlib import Path

import pytest
from click.testing import CliRunner

import retrolabel
from retrolabel.pipelines.build_command import run_pipeline
from retrolabel.pipelines.check_command import check_project
from retrolabel.pipelines.cli import commands
from retrolabel.pipelines.planning import plan_build
from retrolabel.pipelines.report.write import write_report
from retrolabel.pipelines.runner import choose_runner
from retrolabel.schemas.errors import ConfigError
from retrolabel.schemas.manifest import DayManifest, broken_identities
from retrolabel.transforms.dataset import read_day_manifest, read_version

DAY = datetime.datetime(2026, 11, 20, tzinfo=datetime.UTC)
TIMESTAMP = {"type": "long", "logicalType": "timestamp-micros"}

CONFIG = """\
dataset: shop
predictions: {format: json, path: logs/served.json, schema: served.avsc, key: id, time: at, max_rejected: 0.1}
outcomes:
  click: {format: json, path: logs/clicks.json, schema: click.avsc, key: id, time: at}
labels:
  clicked: {outcome: click, window: 1h, value: any}
split: {by: id, parts: {train: 0.8, test: 0.2}}
anonymity:
  k: 5
  quasi_identifiers: [age, zip, ip]
  person: user
  max_suppressed: 0.05
  generalize:
    age: [{bin: 10}, {bin: 40}]
    zip: [{prefix: 3}, {prefix: 1}]
    ip: [{ip: [16, 32]}, {ip: [0, 0]}]
"""

SERVED = [
    {"name": "at", "type": TIMESTAMP},
    {"name": "id", "type": "string"},
    {"name": "user", "type": "long"},
    {"name": "age", "type": ["null", "int"]},
    {"name": "zip", "type": "string"},
    {"name": "ip", "type": "string"},
    {"name": "score", "type": "double"},
]


def write_shop(folder: Path, rows: int = 1500, people: int = 300, seed: int = 1) -> Path:
    chance = random.Random(seed)
    (folder / "logs").mkdir(parents=True)
    click = [field for field in SERVED if field["name"] in ("at", "id")]
    for name, fields in (("served", SERVED), ("click", click)):
        (folder / f"{name}.avsc").write_text(json.dumps({"type": "record", "name": name, "fields": fields}))
    who = [
        (chance.choice([None, *range(18, 80)]), f"1{chance.randrange(100):04d}", f"10.{chance.randrange(3)}.0.1")
        for _ in range(people)
    ]
    lines = []
    for number in range(rows):
        user = min(int(chance.expovariate(1 / 60)), people - 1)
        age, code, address = who[user]
        lines.append({"at": (DAY + datetime.timedelta(seconds=number)).isoformat(), "id": f"p{number}", "user": user, "age": age, "zip": code,
                      "ip": address if number % 500 else "unknown", "score": chance.random()})  # fmt: skip
    clicks = [{"at": line["at"], "id": line["id"]} for line in lines[::3]]
    clicks.append({"at": (DAY + datetime.timedelta(days=2)).isoformat(), "id": "of nobody"})
    served = [*map(json.dumps, [*lines, *lines[:20]]), '{"id": 1, "zip": "secret-zip"}']
    (folder / "logs/served.json").write_text("\n".join(served) + "\n")
    (folder / "logs/clicks.json").write_text("\n".join(map(json.dumps, clicks)) + "\n")
    (folder / "shop.yaml").write_text(CONFIG)
    return folder / "shop.yaml"


def build(config: Path, shards: int = 4, *, in_process: bool = True) -> tuple[list[dict], DayManifest]:
    plan, inputs = plan_build(check_project(str(config)), DAY.date(), {}, in_process=in_process)
    run_pipeline(dataclasses.replace(plan, shards=shards), inputs, choose_runner([]))
    root = str(config.parent / "datasets/shop")
    manifest = read_day_manifest(root, read_version(root).days[str(DAY.date())])
    for source, counts in manifest.accounting.items():
        assert not broken_identities(source, counts)
    return retrolabel.load(root).to_table().to_pylist(), manifest


def logged(folder: Path) -> list[dict]:
    lines = map(json.loads, (folder / "logs/served.json").read_text().splitlines())
    return [line for line in lines if "age" in line]


def groups(rows: list[dict], *names: str) -> dict[tuple, set]:
    found = collections.defaultdict(set)
    for row in rows:
        found[tuple(row[name] for name in names)].add(row["user"])
    return found


def test_no_row_is_published_that_fewer_than_k_people_are_like(tmp_path):
    rows, manifest = build(write_shop(tmp_path / "a"))
    found = groups(rows, "age", "zip", "ip")
    told = manifest.anonymity
    sizes = [len(people) for people in found.values()]
    assert min(sizes) >= 5
    assert (told["groups"], told["smallest"]) == (len(found), min(sizes))
    assert min(manifest.splits[name]["rows"] for name in ("train", "test")) > 0
    counts = manifest.accounting["predictions"]
    assert counts.unique == 1500
    assert counts.examples == len(rows) == 1500 - told["suppressed"]
    assert 0 < counts.suppressed == told["suppressed"] <= 0.05 * 1500
    assert told["at_risk"] > 1000
    levels = {name: (one["level"], one["steps"]) for name, one in told["quasi_identifiers"].items()}
    assert told["precision"] == pytest.approx(1 - sum(level / steps for level, steps in levels.values()) / 3, abs=1e-6)
    assert sum(level for level, _ in levels.values()) > 0
    assert {row["clicked"] for row in rows if int(row["id"][1:]) % 3 == 0} == {True}
    assert {row["score"] for row in rows} <= {line["score"] for line in logged(tmp_path / "a")}

    # However the rows travel and wherever they meet, the same rows stay; with the same shards, the same bytes.
    again = build(write_shop(tmp_path / "b"), in_process=False)[1]
    assert again.to_json() == manifest.to_json()
    other, one_shard = build(write_shop(tmp_path / "c"), shards=1)
    assert sorted(row["id"] for row in other) == sorted(row["id"] for row in rows)
    assert one_shard.anonymity == told

    # The text of a rejected line would tell what the rows do not.
    assert counts.rejected == 1
    assert b"secret-zip" not in b"".join(
        path.read_bytes() for path in (tmp_path / "a/datasets").rglob("*") if path.is_file()
    )


def test_without_generalization_what_too_few_are_like_is_suppressed(tmp_path):
    config = write_shop(tmp_path)
    text = CONFIG[: CONFIG.index("  generalize:")].replace("[age, zip, ip]", "[age]").replace("  person: user\n", "")
    config.write_text(text.replace("k: 5", "k: 20"))
    served = {line["id"]: line for line in logged(tmp_path)}
    ages = collections.Counter(line["age"] for line in served.values())
    rows, manifest = build(config)
    assert {row["id"] for row in rows} == {name for name, line in served.items() if ages[line["age"]] >= 20}
    kept = [count for count in ages.values() if count >= 20]
    assert manifest.anonymity == {
        "k": 20, "counts": "rows", "quasi_identifiers": {"age": {"level": 0, "steps": 0}}, "groups": len(kept), "smallest": min(kept),
        "suppressed": 1500 - sum(kept), "at_risk": 1500 - sum(kept), "precision": 1.0,
    }  # fmt: skip


def test_a_day_without_examples_has_no_groups(tmp_path):
    config = write_shop(tmp_path)
    (tmp_path / "logs/clicks.json").write_text(
        json.dumps({"at": (DAY + datetime.timedelta(seconds=1)).isoformat(), "id": "p1"}) + "\n"
    )
    rows, manifest = build(config)
    assert not rows
    assert (manifest.anonymity["groups"], manifest.anonymity["smallest"], manifest.anonymity["suppressed"]) == (
        0,
        None,
        0,
    )


def test_summary_report_and_card_tell_what_was_lost(tmp_path):
    config = write_shop(tmp_path)
    _, manifest = build(config)
    root = str(tmp_path / "datasets/shop")
    shown = CliRunner().invoke(commands, ["show", root]).output
    suppressed = manifest.anonymity["suppressed"]
    assert f"{suppressed:,} suppressed" in shown
    assert "anonymity: at least 5 people share the age, ip, zip of each row" in shown
    page = (tmp_path / "datasets/shop" / write_report(root, 1)).read_text()
    assert "At least 5 people share" in page
    card = json.loads(CliRunner().invoke(commands, ["card", root]).output)
    assert any(
        "at least 5 people share the age, ip, zip of each row" in text for text in card["rai:dataManipulationProtocol"]
    )


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("[age, zip, ip]", "[age, zp, ip]", "anonymity.quasi_identifiers.*no field 'zp'. Did you mean 'zip'"),
        ("[age, zip, ip]", "[age, zip, ip, id]", "'id' tells predictions or people apart"),
        ("k: 5", "k: 1", "anonymity.k"),
        ("person: user", "person: score", "'score' is a double"),
        ("{bin: 10}", "{edges: [18, 30]}", "anonymity.generalize.age.0.*'edges' makes texts of numbers"),
        ("{bin: 10}", "{prefix: 1}", "anonymity.generalize.age.0.*is an? int"),
        ("    age: [", "    score: [", "anonymity.generalize.score.*is not among 'quasi_identifiers'"),
        ("{bin: 10}", ", ".join(["{bin: 10}"] * 400), "makes 3,618 ways to generalize; at most 1,000"),
        ("max_suppressed: 0.05", "suppressed: 0.05", "anonymity.suppressed.*Did you mean 'max_suppressed'"),
        (
            "anonymity:",
            "monitor: {score: score, label: clicked, min_rows: 3}\nanonymity:",
            "monitor.min_rows.*at least k, 5",
        ),
    ],
)
def test_check_finds_what_is_wrong(tmp_path, old, new, told):
    config = write_shop(tmp_path, rows=1)
    assert old in CONFIG
    config.write_text(CONFIG.replace(old, new))
    with pytest.raises(ConfigError, match=told):
        check_project(str(config))
