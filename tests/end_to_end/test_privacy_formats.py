"""People's data in every format: one build of logs of all of them leaves nothing of it in the clear, wherever one looks."""

import datetime
import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import retrolabel
from retrolabel.pipelines.build_command import leave_report, run_pipeline
from retrolabel.pipelines.check_command import check_project
from retrolabel.pipelines.cli import commands
from retrolabel.pipelines.planning import plan_build
from retrolabel.pipelines.runner import choose_runner
from retrolabel.transforms.dataset import read_day_manifest, read_version
from retrolabel.transforms.formats import FORMATS
from tests.end_to_end.test_privacy import DAY, KEY, TIMESTAMP, assert_clear_of_people, texts_below
from tests.support.writers import WRITERS

UNWRAP = {"cri": "log", "docker": "log", "syslog": "message", "gcp_logging": "jsonPayload"}
GARBAGE = '{"person": "canary-cut'
SPOILT = {
    "access_log": 'canary-host - canary-user [canary-time] "GET /?person=canary" 200 1',
    "cri": f"{DAY}T10:00:00Z stdout F {GARBAGE}",
    "csv": 'canary,"canary',
    "docker": json.dumps({"log": GARBAGE + "\n", "stream": "stdout", "time": f"{DAY}T10:00:00Z"}),
    "elasticsearch": GARBAGE,
    "fluentbit": f"app.tag: [1795460771.5, {GARBAGE}]",
    "fluentd": f"{DAY}T10:00:00Z\tapp.tag\t{GARBAGE}",
    "gcp_logging": json.dumps({"textPayload": "canary-text", "logName": "l"}),
    "json": GARBAGE,
    "logstash": json.dumps({"person": "canary", "tags": ["_canary_failure"]}),
    "ltsv": "canary-label canary-value",
    "syslog": f"{DAY}T10:00:00Z web-1 ml[42]: {GARBAGE}",
}
"""Lines that a format cannot read, of those whose records are lines."""

PREDICTION = [
    {"name": "at", "type": TIMESTAMP},
    {"name": "user", "type": "string", "pii": "hash"},
    {"name": "staff_note", "type": "string", "pii": "drop"},
    {"name": "item", "type": "string"},
]
CONSENT = [
    {"name": "at", "type": TIMESTAMP},
    {"name": "person", "type": "string", "pii": "hash"},
    {"name": "agreed", "type": "boolean"},
]
SEEN = [
    {"name": "at", "type": TIMESTAMP},
    {"name": "person", "type": "string", "pii": "hash"},
    {"name": "account", "type": "long", "pii": "hash"},
    {"name": "mail", "type": "string", "pii": "tokenize"},
    {"name": "comment", "type": ["null", "string"], "pii": "redact"},
    {"name": "staff_note", "type": ["null", "string"], "pii": "drop"},
    {"name": "income", "type": "long", "pii": "generalize", "generalize": {"edges": [1000]}},
    {"name": "zip", "type": "string", "pii": "generalize", "generalize": {"prefix": 2}},
    {"name": "ip", "type": "string", "pii": "generalize", "generalize": {"ip": [24, 48]}},
]


def seen(number: int, **other: object) -> dict:
    return {
        "at": f"{DAY}T10:00:00Z", "person": f"canary-user-{number}", "account": 7770001110 + number, "mail": f"canary-{number}@example.org",
        "comment": f"write to canary{number}@example.org", "staff_note": f"canary note {number}", "income": 7770000 + number,
        "zip": f"ca-canary{number}", "ip": f"203.0.113.{number}", **other,
    }  # fmt: skip


def write_project(folder: Path) -> Path:
    """A shop whose predictions are JSON, with a log of consent, and an outcome of each format."""
    (folder / "logs").mkdir(parents=True)
    contracts = {"prediction": PREDICTION, "consent": CONSENT, "seen": SEEN}
    plain = [{**field, "path": f"query.{field['name']}"} for field in SEEN[1:]]
    contracts["access_log"] = [{**SEEN[0], "path": "time"}, *plain]
    for name, fields in contracts.items():
        (folder / f"{name}.avsc").write_text(json.dumps({"type": "record", "name": name, "fields": fields}))
    served = [
        {"at": f"{DAY}T08:55:00Z", "user": f"canary-user-{number}", "item": f"item-{number}", "staff_note": "canary"}
        for number in range(20)
    ]
    decided = [{"at": "2024-01-31", "person": f"canary-user-{number}", "agreed": number != 7} for number in range(20)]
    for name, rows in (("served", served), ("consent", decided)):
        (folder / f"logs/{name}.json").write_text("".join(json.dumps(row) + "\n" for row in rows) + GARBAGE + "\n")
    records = [seen(number) for number in range(20)]
    records += [seen(30, account="canary-account"), seen(31, at="canary-time"), {**seen(32), "income": "777000-canary"}]
    outcomes, labels = [], []
    for name in sorted(FORMATS):
        data = WRITERS[name](records)
        if name in SPOILT:
            data += SPOILT[name].encode() + b"\n"
        (folder / f"logs/{name}.log").write_bytes(data)
        contract = "access_log" if name == "access_log" else "seen"
        unwrap = f", unwrap: {UNWRAP[name]}" if name in UNWRAP else ""
        outcomes.append(f"  {name}: {{format: {name}, path: logs/{name}.log, schema: {contract}.avsc, key: person, prediction_key: user, "
                        f"time: at, max_rejected: 0.5{unwrap}}}\n")  # fmt: skip
        labels.append(f"  said_{name}: {{outcome: {name}, window: 3h, value: last(comment)}}\n")
    (folder / "shop.yaml").write_text(
        "dataset: shop\n"
        "predictions: {format: json, path: logs/served.json, schema: prediction.avsc, key: [user, item], time: at, max_rejected: 0.5}\n"
        f"outcomes:\n{''.join(outcomes)}labels:\n{''.join(labels)}"
        "consent:\n  log: {format: json, path: logs/consent.json, schema: consent.avsc, key: person, prediction_key: user, time: at, state: agreed, "
        "max_rejected: 0.5}\n"
        "privacy: {key: {env: SHOP_KEY}}\n"
    )  # fmt: skip
    return folder / "shop.yaml"


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("SHOP_KEY", KEY)


def test_nothing_of_any_format_is_in_the_clear_after_a_build(tmp_path, caplog):
    config, root = write_project(tmp_path), str(tmp_path / "datasets/shop")
    plan, inputs = plan_build(
        check_project(str(config)),
        datetime.date.fromisoformat(DAY),
        dict.fromkeys(FORMATS, datetime.datetime(2026, 11, 22, tzinfo=datetime.UTC)),
        in_process=True,
    )
    caplog.set_level(logging.DEBUG)
    run_pipeline(plan, inputs, choose_runner([]))
    assert leave_report(root, read_version(root))
    manifest = read_day_manifest(root, read_version(root).days[DAY])
    for name in FORMATS:
        counts = manifest.accounting[name]
        assert counts.rejected >= 2, name
        assert counts.attributed == 19, name
    rows = retrolabel.load(root).to_table().to_pylist()
    assert {row["item"] for row in rows} == {f"item-{number}" for number in range(20) if number != 7}, "no consent"
    assert {row[f"said_{name}"] for row in rows for name in FORMATS} == {"write to [EMAIL]"}

    assert len(list(Path(plan.spill).glob("*.arrow"))) > len(FORMATS), "the spill is looked at too"
    for kind in ("*.html", "croissant-*.json", "statistics-*.pb", "schema-*.pbtxt", "rejects/*.parquet"):
        assert list(Path(root).rglob(kind)), kind
    stored = texts_below(Path(root))
    assert "item-8" in stored
    assert_clear_of_people(stored)
    assert "203.0.113.8" not in stored
    assert_clear_of_people(caplog.text)
    for told in (["show"], ["rejects"], ["versions"], ["card"], ["trend"]):
        result = CliRunner().invoke(commands, [*told, root])
        assert result.exit_code == 0, result.output
        assert_clear_of_people(result.output)


@pytest.mark.slow
def test_what_a_build_of_any_format_says_when_it_succeeds_or_is_refused_holds_nothing_personal(tmp_path):
    config = write_project(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "retrolabel", "build", str(config), "--date", DAY, "--json", "--log-format", "json"],
        capture_output=True, text=True, check=False, env=dict(os.environ),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["accounting"]["ltsv"]["rejected"] >= 2
    assert_clear_of_people(done.stdout + done.stderr)

    text = config.read_text()
    config.write_text(text.replace("max_rejected: 0.5", "max_rejected: 0.0"))
    refused = CliRunner().invoke(commands, ["build", str(config), "--date", DAY])
    assert refused.exit_code == 3
    for name in FORMATS:
        assert f"{name}: " in refused.output
    assert_clear_of_people(refused.output)

    failing = "where: CAST(staff_note AS INT) > 1, max_rejected: 0.5}\nout"
    config.write_text(text.replace("max_rejected: 0.5}\nout", failing))
    failed = CliRunner().invoke(commands, ["build", str(config), "--date", DAY])
    assert "the filter fails on the log: ConversionException" in failed.output
    assert_clear_of_people(failed.output)
