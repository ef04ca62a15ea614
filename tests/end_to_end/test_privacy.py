"""People's data in logs: nothing that a contract marks as personal is anywhere in the clear after a build."""

import datetime
import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import retrolabel
from retrolabel.pipelines.build_command import run_pipeline
from retrolabel.pipelines.check_command import check_project
from retrolabel.pipelines.planning import plan_build
from retrolabel.pipelines.runner import choose_runner
from retrolabel.schemas.errors import ConfigError
from retrolabel.transforms.dataset import read_day_manifest, read_version
from retrolabel.transforms.kernels.protect import pseudonym, reveal
from retrolabel.transforms.parts import read_records

KEY = "k3Y-" * 12
DAY = "2026-11-20"
CANARY, ACCOUNT = "canary", "777000"
TIMESTAMP = {"type": "long", "logicalType": "timestamp-micros"}

CONFIG = """\
dataset: shop
predictions:
  format: {format}
  path: logs/served*
  schema: served.avsc
  key: [user, item]
  time: at
  where: staff_note NOT LIKE '%internal%'
  max_rejected: 0.5
outcomes:
  click:
    format: json
    path: logs/clicks.json
    schema: click.avsc
    id: event
    key: [person, item]
    prediction_key: [user, item]
    time: at
    max_rejected: 0.5
labels:
  clicked: {{outcome: click, window: 1h, value: any}}
  said: {{outcome: click, window: 1h, value: last(comment)}}
split: {{by: user, parts: {{train: 0.5, test: 0.5}}}}
slices: [city]
consent: {{field: consented}}
output: {{format: {output}}}
privacy: {{key: {{env: SHOP_KEY}}}}
"""

SERVED = [
    {"name": "at", "type": TIMESTAMP},
    {"name": "day", "type": TIMESTAMP, "path": "at", "pii": "generalize", "generalize": {"truncate": "day"}},
    {"name": "user", "type": "string", "pii": "hash"},
    {"name": "item", "type": "string"},
    {"name": "mail", "type": "string", "pii": "tokenize"},
    {"name": "phones", "type": {"type": "array", "items": "string"}, "pii": "hash"},
    {"name": "account", "type": "long", "pii": "hash"},
    {"name": "note", "type": ["null", "string"], "pii": "redact"},
    {"name": "staff_note", "type": "string", "pii": "drop"},
    {"name": "age", "type": ["null", "int"], "pii": "generalize", "generalize": {"edges": [18, 30, 50]}},
    {"name": "income", "type": "long", "pii": "generalize", "generalize": {"bin": 1000}},
    {"name": "zip", "type": "string", "pii": "generalize", "generalize": {"prefix": 2}},
    {"name": "ip", "type": "string", "pii": "generalize", "generalize": {"ip": [24, 48]}},
    {"name": "city", "type": "string", "pii": "generalize", "generalize": {"map": {"Berlin": "DE"}, "other": "rest"}},
    {"name": "consented", "type": ["null", "boolean"]},
]
CLICK = [
    {"name": "at", "type": TIMESTAMP},
    {"name": "event", "type": "string", "pii": "hash"},
    {"name": "person", "type": "string", "pii": "hash"},
    {"name": "item", "type": "string"},
    {"name": "comment", "type": ["null", "string"], "pii": "redact"},
]


def served(number: int, **other: object) -> dict:
    return {
        "at": f"{DAY}T10:{number:02d}:00Z", "user": f"canary-user-{number}", "item": f"item-{number}", "mail": f"canary-{number}@example.org",
        "phones": [f"canary-phone-{number}"], "account": 7770001110 + number, "note": f"ask canary{number}@example.org or +49 170 1234{number:03d}",
        "staff_note": f"canary note {number}", "age": 17 + number, "income": 41000 + number, "zip": f"canary{number}",
        "ip": f"203.0.113.{number}", "city": "Berlin", "consented": True, **other,
    }  # fmt: skip


def write_project(folder: Path, log_format: str = "json", output: str = "parquet") -> Path:
    (folder / "logs").mkdir(parents=True)
    for name, fields in (("served", SERVED), ("click", CLICK)):
        (folder / f"{name}.avsc").write_text(json.dumps({"type": "record", "name": name, "fields": fields}))
    rows = [served(number) for number in range(40)]
    rows += [
        served(3),
        served(41, consented=False),
        served(42, consented=None),
        served(43, staff_note="canary internal"),
    ]
    lines = [json.dumps(row) for row in rows]
    lines += [
        json.dumps(served(50, account="canary-account")),
        '{"user": "canary-cut',
        json.dumps(served(51, at="canary-time")),
    ]
    wrap = {"json": "{}", "fluentd": f"{DAY}T10:00:00+00:00\tapp.served\t{{}}", "logstash": "{}"}[log_format]
    lines = [wrap.replace("{}", line) for line in lines]
    if log_format == "logstash":
        lines.append(json.dumps({**served(52), "tags": ["_canary_failure"]}))
    with (
        gzip.open(folder / "logs/served.gz", "wt")
        if output == "avro"
        else open(folder / "logs/served.log", "w") as file
    ):
        file.write("\n".join(lines) + "\n")
    clicks = [
        {"at": f"{DAY}T10:{number:02d}:30Z", "event": f"canary-event-{number}", "person": f"canary-user-{number}", "item": f"item-{number}",
         "comment": f"mail canary-{number}@example.org"}
        for number in range(0, 40, 2)
    ]  # fmt: skip
    clicks.append(
        {"at": f"{DAY}T23:59:59Z", "event": "canary-last", "person": "canary-nobody", "item": "none", "comment": None}
    )
    (folder / "logs/clicks.json").write_text(
        "\n".join([*map(json.dumps, clicks), '{"person": "canary-person", "at": 1}']) + "\n"
    )
    (folder / "shop.yaml").write_text(CONFIG.format(format=log_format, output=output))
    return folder / "shop.yaml"


def texts_below(folder: Path) -> str:
    """All that is stored below a folder, decoded where it is compressed."""
    found = []
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        found += [str(path), path.read_bytes().decode("latin-1")]
        if path.suffix == ".parquet":
            file = pq.ParquetFile(path)
            groups = [file.metadata.row_group(group).to_dict() for group in range(file.metadata.num_row_groups)]
            found += [
                str(file.read().to_pydict()),
                str(file.metadata.to_dict()),
                str(groups),
                str(file.schema_arrow.metadata),
            ]
        elif path.suffix == ".avro":
            with path.open("rb") as opened:
                found.append(str(list(fastavro.reader(opened))))
        elif path.suffix == ".tfrecord":
            with path.open("rb") as opened:
                found.append(str(list(read_records(opened))))
        elif path.suffix == ".arrow":
            with pa.OSFile(str(path)) as segment:
                schema = pa.ipc.read_schema(segment)
                while segment.tell() < segment.size():
                    found.append(str(pa.ipc.read_record_batch(pa.ipc.read_message(segment), schema).to_pydict()))
    return "\n".join(found)


def assert_clear_of_people(text: str) -> None:
    assert CANARY not in text.lower()
    assert ACCOUNT not in text
    assert KEY not in text


def build(config: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "retrolabel", "build", str(config), "--date", DAY, "--log-format", "json"],
        capture_output=True, text=True, cwd=config.parent, env=environment,
    )  # fmt: skip


@pytest.mark.parametrize(("log_format", "output"), [("json", "parquet"), ("fluentd", "avro"), ("logstash", "tfrecord")])
def test_nothing_personal_is_in_the_clear_anywhere_after_a_build(tmp_path, monkeypatch, log_format, output):
    monkeypatch.setenv("SHOP_KEY", KEY)
    config = write_project(tmp_path, log_format, output)
    project = check_project(str(config))
    plan, inputs = plan_build(project, datetime.date.fromisoformat(DAY), {}, in_process=True)
    assert KEY not in repr(plan)
    run_pipeline(plan, inputs, choose_runner([]))

    root = tmp_path / "datasets/shop"
    spilled = list(Path(plan.spill).glob("*.arrow"))
    assert len(spilled) > 1, "the spill is looked at too"
    stored = texts_below(root)
    assert "item-7" in stored
    assert_clear_of_people(stored)
    assert "203.0.113.7" not in stored


def test_what_a_build_says_holds_nothing_personal(tmp_path, monkeypatch):
    monkeypatch.setenv("SHOP_KEY", KEY)
    config = write_project(tmp_path)
    done = build(config, dict(os.environ))
    assert done.returncode == 0, done.stderr
    assert "3 rejected" in done.stdout
    assert_clear_of_people(done.stdout + done.stderr)
    assert list((tmp_path / "datasets").rglob("*.html")), "the report is looked at too"
    assert_clear_of_people(texts_below(tmp_path / "datasets"))
    for more in (["rejects"], ["show"], ["versions"]):
        told = subprocess.run(
            [sys.executable, "-m", "retrolabel", *more, "datasets/shop"], capture_output=True, text=True, cwd=tmp_path
        )
        assert told.returncode == 0, told.stderr
        assert_clear_of_people(told.stdout + told.stderr)

    config.write_text(config.read_text().replace("max_rejected: 0.5", "max_rejected: 0.0"))
    refused = build(config, dict(os.environ))
    assert refused.returncode == 3
    assert "wrong_type" in refused.stderr
    assert_clear_of_people(refused.stdout + refused.stderr)


def build_here(config: Path) -> dict[str, dict]:
    project = check_project(str(config))
    plan, inputs = plan_build(project, datetime.date.fromisoformat(DAY), {}, in_process=True)
    run_pipeline(plan, inputs, choose_runner([]))
    rows = retrolabel.load(f"{config.parent}/datasets/shop").to_table().to_pylist()
    return {row["item"]: row for row in rows}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shop")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SHOP_KEY", KEY)
        return folder, build_here(write_project(folder / "project"))


def test_pseudonyms_join_split_and_stay_equal_and_the_rest_is_coarser(built):
    rows, key = built[1], KEY.encode()
    assert len(rows) == 40
    assert [row["clicked"] for _, row in sorted(rows.items(), key=lambda row: int(row[0][5:]))] == [True, False] * 20
    row = rows["item-4"]
    assert row["user"] == pseudonym("canary-user-4", key)
    assert row["account"] == pseudonym("7770001114", key)
    assert row["phones"] == [pseudonym("canary-phone-4", key)]
    assert reveal(row["mail"], key) == "canary-4@example.org"
    assert row["note"] == "ask [EMAIL] or [PHONE]"
    assert row["said"] == "mail [EMAIL]"
    assert row["day"] == datetime.datetime(2026, 11, 20, tzinfo=datetime.UTC)
    assert (row["age"], row["income"], row["zip"], row["ip"], row["city"]) == (
        "18-30",
        41000,
        "ca",
        "203.0.113.0/24",
        "DE",
    )
    assert rows["item-0"]["age"] == "<18"
    assert rows["item-39"]["age"] == ">=50"
    assert "staff_note" not in row


def test_consent_is_counted_and_the_accounting_stays_exact(built):
    root = str(built[0] / "project/datasets/shop")
    manifest = read_day_manifest(root, read_version(root).days[DAY])
    counts = manifest.accounting["predictions"]
    assert (counts.lines, counts.rejected, counts.parsed) == (47, 3, 44)
    assert (counts.filtered, counts.no_consent, counts.duplicate, counts.unique) == (1, 2, 1, 40)
    assert manifest.key_id is not None


def test_another_key_makes_another_build_with_other_pseudonyms(built):
    folder, before = built[0] / "project", built[1]
    config, root = folder / "shop.yaml", str(folder / "datasets/shop")
    first = read_day_manifest(root, read_version(root).days[DAY])
    (folder / "key").write_text("another-" * 8 + "\n")
    config.write_text(config.read_text().replace("{env: SHOP_KEY}", "{file: key}"))
    after = build_here(config)
    second = read_day_manifest(root, read_version(root).days[DAY])
    assert first.key_id != second.key_id
    assert {row["user"] for row in before.values()}.isdisjoint(row["user"] for row in after.values())
    assert {item: row["clicked"] for item, row in before.items()} == {
        item: row["clicked"] for item, row in after.items()
    }


@pytest.mark.parametrize(("value", "told"), [(None, "is empty or not there"), ("short-secret", "holds 12 characters")])
def test_a_missing_or_short_key_is_told_without_it(tmp_path, monkeypatch, value, told):
    monkeypatch.delenv("SHOP_KEY", raising=False)
    if value:
        monkeypatch.setenv("SHOP_KEY", value)
    project = check_project(str(write_project(tmp_path)))
    with pytest.raises(ConfigError, match=told) as raised:
        plan_build(project, datetime.date.fromisoformat(DAY), {}, in_process=True)
    assert "short-secret" not in str(raised.value)
    assert "SHOP_KEY" in str(raised.value)


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        (
            "click.avsc",
            '"person", "type": "string", "pii": "hash"',
            '"person", "type": "string"',
            "must be treated alike",
        ),
        (
            "served.avsc",
            '"user", "type": "string", "pii": "hash"',
            '"user", "type": "string", "pii": "redact"',
            "may be hashed or tokenized",
        ),
        ("served.avsc", '"pii": "drop"', '"pii": "remove"', "'pii' is one of"),
        ("served.avsc", '{"bin": 1000}', '{"bin": 0}', "width of a bin"),
        ("served.avsc", '"name": "at", ', '"name": "at", "pii": "hash", ', "the event time decides windows"),
        ("shop.yaml", "privacy: {key: {env: SHOP_KEY}}", "", "say where the key is kept"),
        ("shop.yaml", "{env: SHOP_KEY}", KEY, "a secret must not stand in a config"),
        ("shop.yaml", "field: consented", "field: user", "consent is a boolean"),
        ("shop.yaml", "slices: [city]", "slices: [staff_note]", "is personal data that the contract drops"),
    ],
)
def test_a_wrong_treatment_is_found_by_check(tmp_path, file, old, new, told):
    config = write_project(tmp_path)
    text = (tmp_path / file).read_text()
    assert old in text
    (tmp_path / file).write_text(text.replace(old, new, 1))
    with pytest.raises(ConfigError, match=told) as raised:
        check_project(str(config))
    assert KEY not in str(raised.value)
