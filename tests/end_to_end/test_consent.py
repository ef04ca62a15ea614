"""A log of consent: who is in the dataset, worked out person by person, and what the accounting says of the others."""

import csv
import datetime
import gzip
import io
import json
import random
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner

import retrolabel
from retrolabel.pipelines.build_command import run_pipeline
from retrolabel.pipelines.check_command import check_project
from retrolabel.pipelines.cli import commands
from retrolabel.pipelines.planning import plan_build
from retrolabel.pipelines.runner import choose_runner
from retrolabel.schemas.errors import ConfigError, InputError, ValidationError
from retrolabel.schemas.manifest import DayManifest, SourceCounts, broken_identities
from retrolabel.transforms.dataset import read_day_manifest, read_version
from tests.support.writers import WRITERS

DAY = datetime.datetime(2026, 11, 20, tzinfo=datetime.UTC)
HOUR = datetime.timedelta(hours=1)
TIMESTAMP = {"type": "long", "logicalType": "timestamp-micros"}

CONFIG = """\
dataset: shop
predictions: {format: json, path: logs/served.json, schema: served.avsc, key: id, time: at}
outcomes:
  click: {format: json, path: logs/clicks.json, schema: click.avsc, key: id, time: at}
labels:
  clicked: {outcome: click, window: 24h, value: any}
  clicks: {outcome: click, window: 2h, value: count}
consent:
  log:
    format: json
    path: logs/consent.json
    schema: consent.avsc
    key: person
    prediction_key: user
    time: decided_at
    state: decision
    granted: [granted, renewed]
"""

CONTRACTS = {
    "served": [{"name": "at", "type": TIMESTAMP}, {"name": "id", "type": "string"}, {"name": "user", "type": "string"}],
    "click": [{"name": "at", "type": TIMESTAMP}, {"name": "id", "type": "string"}],
    "consent": [
        {"name": "decided_at", "type": TIMESTAMP},
        {"name": "person", "type": "string"},
        {"name": "decision", "type": ["null", "string"]},
        {"name": "channel", "type": ["null", "string"]},
    ],
}


def write_lines(path: Path, records: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record, default=lambda moment: moment.isoformat()) + "\n" for record in records))


def write_shop(folder: Path, served: list[dict], clicks: list[dict], decisions: list[dict]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, fields in CONTRACTS.items():
        (folder / f"{name}.avsc").write_text(json.dumps({"type": "record", "name": name, "fields": fields}))
    write_lines(folder / "logs/served.json", served)
    write_lines(folder / "logs/clicks.json", [*clicks, {"at": DAY + 72 * HOUR, "id": "of nobody"}])
    write_lines(folder / "logs/consent.json", decisions)
    (folder / "shop.yaml").write_text(CONFIG)
    return folder / "shop.yaml"


def prediction(name: str, hour: float, user: str) -> dict:
    return {"at": DAY + hour * HOUR, "id": name, "user": user}


def decision(person: str | None, hour: float, what: str | None) -> dict:
    return {"decided_at": DAY + hour * HOUR, "person": person, "decision": what}


def build(config: Path, *, in_process: bool = True) -> tuple[dict[str, dict], DayManifest]:
    plan, inputs = plan_build(check_project(str(config)), DAY.date(), {}, in_process=in_process)
    run_pipeline(plan, inputs, choose_runner([]))
    root = str(config.parent / "datasets/shop")
    manifest = read_day_manifest(root, read_version(root).days[str(DAY.date())])
    for source, counts in manifest.accounting.items():
        assert not broken_identities(source, counts)
    return {row["id"]: row for row in retrolabel.load(root).to_table().to_pylist()}, manifest


def test_an_outcome_after_a_withdrawal_is_not_used_and_its_prediction_is_no_negative(tmp_path):
    served = [prediction("before", 1, "ann"), prediction("between", 1, "bob"), prediction("after", 1, "cyd")]
    clicks = [{"at": DAY + 3 * HOUR, "id": name} for name in ("before", "between", "after")]
    decisions = [decision(person, -9000, "granted") for person in ("ann", "bob", "cyd")]
    decisions += [decision("bob", 2, "withdrawn"), decision("cyd", 25, "withdrawn"), decision("ann", 0.5, "withdrawn")]
    rows, manifest = build(write_shop(tmp_path, served, clicks, decisions))
    assert {name: row["clicked"] for name, row in rows.items()} == {"after": True}
    counts = manifest.accounting["predictions"]
    assert (counts.no_consent, counts.undecided, counts.refused, counts.withdrawn) == (2, 0, 1, 1)
    assert (counts.parsed, counts.unique, counts.examples) == (3, 1, 1)
    assert (manifest.accounting["click"].attributed, manifest.accounting["click"].orphan) == (1, 2)
    decided = manifest.accounting["consent"]
    assert (decided.unique, decided.attributed, decided.unattributed, decided.orphan) == (6, 4, 2, 0)
    assert "consent" not in manifest.watermarks


def messy(seed: int) -> tuple[list[dict], list[dict], list[dict]]:
    chance = random.Random(seed)
    served = [
        prediction(f"p{number}", chance.randrange(-4, 100) / 4, f"u{chance.randrange(25)}") for number in range(300)
    ]
    served += chance.choices(served, k=40)
    clicks = [
        {"at": chance.choice(served)["at"] + chance.randrange(100) / 4 * HOUR, "id": f"p{chance.randrange(300)}"} for _ in range(300)
    ]  # fmt: skip
    words = ["granted", "granted", "renewed", "withdrawn", None]
    decisions = [
        decision(f"u{chance.randrange(30)}", chance.choice([-9000, chance.randrange(-8, 240) / 4]), chance.choice(words)) for _ in range(90)
    ]  # fmt: skip
    decisions += [{**one, "channel": "again"} for one in chance.choices(decisions, k=20)]
    chance.shuffle(decisions)
    return served, clicks, decisions


def fate(row: dict, decisions: list[dict]) -> str:
    """One prediction at a time, from the meaning in docs/privacy.md."""
    mine = [
        (one["decided_at"], one["decision"] in ("granted", "renewed"))
        for one in decisions
        if one["person"] == row["user"]
    ]
    before = [at for at, _ in mine if at <= row["at"]]
    if not before:
        return "undecided"
    if not all(given for at, given in mine if at == max(before)):
        return "refused"
    ends = row["at"] + 24 * HOUR
    return "withdrawn" if any(row["at"] < at < ends and not given for at, given in mine) else "kept"


@pytest.mark.parametrize("seed", [1, 2])
def test_every_prediction_of_a_messy_day_is_there_or_counted(tmp_path, seed):
    served, clicks, decisions = messy(seed)
    rows, manifest = build(write_shop(tmp_path / "a", served, clicks, decisions))
    today = [row for row in served if DAY <= row["at"] < DAY + 24 * HOUR]
    fates = [fate(row, decisions) for row in today]
    expected = {row["id"] for row, what in zip(today, fates, strict=True) if what == "kept"}
    assert len(expected) > 20
    assert set(rows) == expected
    starts = {row["id"]: row["at"] for row in today}
    for name, row in rows.items():
        delays = {one["at"] - starts[name] for one in clicks if one["id"] == name}
        assert row["clicked"] == any(0 * HOUR <= delay < 24 * HOUR for delay in delays)
        assert row["clicks"] == sum(0 * HOUR <= delay < 2 * HOUR for delay in delays)
    counts = manifest.accounting["predictions"]
    for name in ("undecided", "refused", "withdrawn"):
        assert getattr(counts, name) == fates.count(name) > 0
    assert counts.no_consent == len(today) - fates.count("kept")
    assert (
        counts.parsed - counts.out_of_range - counts.no_consent - counts.duplicate == counts.examples == len(expected)
    )
    decided = manifest.accounting["consent"]
    assert decided.lines == decided.parsed == len(decisions)
    assert decided.out_of_range == sum(one["decided_at"] >= DAY + 48 * HOUR for one in decisions)

    # Decisions in any order, and rows that travel through an engine's shuffle, give the same bytes.
    other = write_shop(tmp_path / "b", served, clicks, decisions)
    again = build(other, in_process=False)[1]
    assert [part.sha256 for part in again.files] == [part.sha256 for part in manifest.files]
    assert again.to_json() == manifest.to_json()


def snapshot(people: dict[str, object]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows([["person", "decision"], *people.items()])
    return text.getvalue().encode()


def test_snapshots_without_times_are_those_of_the_day(tmp_path):
    config = write_shop(tmp_path, [prediction(user, 23.5, user) for user in ("ann", "bob", "cyd")], [], [])
    config.write_text(
        CONFIG.replace("format: json\n    path: logs/consent.json", "format: csv\n    path: 'logs/{date:%Y%m%d}.csv'\n    holds: snapshots")
        .replace("    time: decided_at\n", "").replace("dataset: shop", "dataset: shop\ntimezone: Europe/Berlin")
    )  # fmt: skip
    fields = [field for field in CONTRACTS["consent"] if field["name"] in ("person", "decision")]
    (tmp_path / "consent.avsc").write_text(json.dumps({"type": "record", "name": "consent", "fields": fields}))
    for day, people in ((19, {"bob": "granted"}), (20, {"ann": "granted", "bob": "no"}), (21, {"cyd": "granted"})):
        (tmp_path / f"logs/202611{day}.csv").write_bytes(snapshot(people))
    write_lines(tmp_path / "logs/served.json", [prediction(user, 12, user) for user in ("ann", "bob", "cyd")])
    rows, manifest = build(config)
    assert set(rows) == {"ann"}
    assert [file.path for file in manifest.inputs if file.source == "consent"] == ["logs/20261120.csv"]
    assert (manifest.accounting["predictions"].refused, manifest.accounting["predictions"].undecided) == (1, 1)


def test_a_log_of_changes_by_day_is_read_from_its_first_day_to_the_close_of_the_windows(tmp_path):
    config = write_shop(tmp_path, [prediction(user, 12, user) for user in ("ann", "bob", "cyd")], [], [])
    config.write_text(
        CONFIG.replace("path: logs/consent.json", "path: 'logs/consent/{date:%Y-%m-%d}.json'\n    since: 2024-02-01")
    )
    of_days = {"2024-01-31": [decision("cyd", -24660, "granted")], "2024-02-01": [decision("ann", -24600, "granted"), decision("bob", -24600, "granted")],
               "2026-11-21": [decision("bob", 35, "withdrawn")], "2026-11-22": [decision("ann", 48.5, "withdrawn")]}  # fmt: skip
    for day, decisions in of_days.items():
        write_lines(tmp_path / f"logs/consent/{day}.json", decisions)
    rows, manifest = build(config)
    assert set(rows) == {"ann"}
    assert {file.path[13:23] for file in manifest.inputs if file.source == "consent"} == {"2024-02-01", "2026-11-21"}
    assert (manifest.accounting["predictions"].withdrawn, manifest.accounting["predictions"].undecided) == (1, 1)

    # A decision that is delivered late changes the next build of the day.
    write_lines(
        tmp_path / "logs/consent/2026-11-21.json", [decision("bob", 35, "withdrawn"), decision("ann", 11, "withdrawn")]
    )
    late, manifest = build(config)
    assert not late
    assert manifest.accounting["predictions"].refused == 1


@pytest.mark.parametrize("log_format", ["fluentd", "parquet"])
def test_any_format_and_hashed_keys(tmp_path, monkeypatch, log_format):
    monkeypatch.setenv("SHOP_KEY", "k3Y-" * 12)
    config = write_shop(tmp_path, [prediction(user, 12, user) for user in ("7", "8")], [], [])
    decisions = [decision(person, -5, what) for person, what in (("7", "granted"), ("8", "no"))]
    records = [{**one, "person": int(one["person"]), "decided_at": one["decided_at"].isoformat()} for one in decisions]
    (tmp_path / "logs/consent.json").write_bytes(WRITERS[log_format](records))
    config.write_text(
        CONFIG.replace("format: json\n    path: logs/cons", f"format: {log_format}\n    path: logs/cons")
        + "privacy: {key: {env: SHOP_KEY}}\n"
    )
    for name, field, kind in (("served", "user", "string"), ("consent", "person", "long")):
        text = (tmp_path / f"{name}.avsc").read_text()
        (tmp_path / f"{name}.avsc").write_text(
            text.replace(f'"name": "{field}", "type": "string"', f'"name": "{field}", "type": "{kind}", "pii": "hash"')
        )
    rows, _ = build(config)
    assert set(rows) == {"7"}


def test_a_line_of_the_log_that_cannot_be_read_may_be_a_withdrawal(tmp_path):
    config = write_shop(tmp_path, [prediction("a", 1, "ann")], [], [decision("ann", 0, "granted")])
    with open(tmp_path / "logs/consent.json", "a") as file:
        file.write('{"person": "ann", "decision": "withd\n')
    with pytest.raises(ValidationError, match="consent: 1 of 2 lines"):
        build(config)
    (tmp_path / "logs/consent.json").unlink()
    with pytest.raises(InputError, match="consent: no file matches"):
        build(config)


def test_a_log_of_consent_that_is_cut_off_publishes_nothing(tmp_path):
    config = write_shop(tmp_path, [prediction("a", 1, "ann")], [], [])
    lines = "".join(json.dumps(decision(f"u{number}", 0, "granted"), default=str) + "\n" for number in range(5000))
    (tmp_path / "logs/consent.json").write_bytes(gzip.compress(lines.encode(), mtime=0)[:-200])
    with pytest.raises(ValidationError, match=r"consent: logs/consent\.json is damaged"):
        build(config)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("    key: person\n", "    key: persn\n", "consent.log.key.*no field 'persn'. Did you mean 'person'"),
        ("    prediction_key: user\n", "", "consent.log.key.*the predictions have no field 'person'"),
        ("    state: decision\n", "", "consent.log.*the key 'state' is missing"),
        ("    state: decision\n", "    state: decided_at\n", "consent.log.state.*a decision is a boolean or a text"),
        ("    granted: [granted, renewed]\n", "", "list under 'granted' which of its values mean consent"),
        ("    time: decided_at\n", "", "'time' is missing"),
        ("    time: decided_at\n", "    time: person\n", "consent.log.time.*'person' is a string"),
        ("path: logs/consent.json", "path: 'logs/{date:%Y}.json'", "give its first day, 'since: 2024-01-31'"),
        (
            "    state:",
            "    holds: snapshots\n    since: 2024-01-31\n    state:",
            "consent.log.since.*is for 'holds: changes'",
        ),
        ("    state:", "    holds: changed\n    state:", "Did you mean 'changes'"),
        ("    state:", "    grantd: [yes]\n    state:", "consent.log.grantd.*unknown key. Did you mean 'granted'"),
        (
            "format: json\n    path: logs/cons",
            "format: jsn\n    path: logs/cons",
            "consent.log.format.*Did you mean 'json'",
        ),
        ("    state:", "    where: persn = 1\n    state:", "consent.log.where"),
        ("consent:\n", "consent:\n  field: user\n", "give either 'field'"),
    ],
)
def test_check_finds_what_is_wrong_with_a_log_of_consent(tmp_path, old, new, told):
    config = write_shop(tmp_path, [], [], [])
    assert old in CONFIG
    config.write_text(CONFIG.replace(old, new))
    with pytest.raises(ConfigError, match=told):
        check_project(str(config))


def test_keys_of_different_kinds_are_told(tmp_path):
    config = write_shop(tmp_path, [], [], [])
    text = (tmp_path / "consent.avsc").read_text()
    (tmp_path / "consent.avsc").write_text(text.replace('"person", "type": "string"', '"person", "type": "long"'))
    with pytest.raises(
        ConfigError, match=r"'person' is a long, but the predictions' 'user' is a string; they can never be equal"
    ):
        check_project(str(config))


def test_explain_check_and_show_tell_of_the_log(tmp_path):
    served, clicks, decisions = messy(1)
    config = write_shop(tmp_path, served, clicks, decisions)
    run = CliRunner().invoke
    assert "3 sources" in run(commands, ["check", str(config), "--date", "2026-11-20"]).output
    explained = run(commands, ["explain", str(config)]).output
    assert "decided by user; keep the predictions with consent" in explained
    assert "ASOF LEFT JOIN decided" in explained
    duckdb.connect().execute(explained)  # ready for its shell, as the help says
    build(config)
    shown = run(commands, ["show", str(tmp_path / "datasets/shop")]).output
    assert "no consent = " in shown
    assert "withdrawn before the last window closed" in shown


def test_the_reasons_must_add_up():
    counts = SourceCounts(lines=5, parsed=5, no_consent=3, unique=2, examples=2, undecided=1, refused=1)
    assert broken_identities("predictions", counts) == ["no_consent 3 is not undecided 1 + refused 1 + withdrawn 0"]


def test_a_field_of_the_prediction_is_asked_row_by_row(tmp_path):
    said = {"yes": [True], "no": [False], "null": [None], "changed": [True, False], "again": [None, True, True]}
    served = [{**prediction(name, 1, "ann"), "agreed": agreed} for name, answers in said.items() for agreed in answers]
    served.append(prediction("missing", 1, "ann"))
    config = write_shop(tmp_path, served, [{"at": DAY + 2 * HOUR, "id": name} for name in said], [])
    fields = [*CONTRACTS["served"], {"name": "agreed", "type": ["null", "boolean"]}]
    (tmp_path / "served.avsc").write_text(json.dumps({"type": "record", "name": "served", "fields": fields}))
    config.write_text(CONFIG[: CONFIG.index("consent:")] + "consent: {field: agreed}\n")
    rows, manifest = build(config)
    assert {name: row["clicked"] for name, row in rows.items()} == {"yes": True, "changed": True, "again": True}
    counts = manifest.accounting["predictions"]
    assert (counts.no_consent, counts.duplicate, counts.unique) == (5, 1, 3)
    assert manifest.accounting["click"].orphan == 2
