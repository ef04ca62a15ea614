"""A person is forgotten: nothing below the dataset's folder is left of them, in any version, and builds from the same logs keep them out."""

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

import retrolabel
from retrolabel.pipelines import planning
from retrolabel.pipelines.cli import commands
from retrolabel.schemas.manifest import broken_identities
from retrolabel.transforms.dataset import read_day_manifest, read_version, version_numbers
from retrolabel.transforms.kernels.monitor import KEYS
from retrolabel.transforms.kernels.protect import pseudonym, token
from retrolabel.transforms.publish import publish
from retrolabel.transforms.verify import verify
from tests.end_to_end.test_anonymity import write_shop as write_anonymous
from tests.end_to_end.test_privacy import texts_below
from tests.end_to_end.test_versions import files_of

KEY = "forget-me-not-" * 3
DAYS = ("2026-11-20", "2026-11-21")
ADA, BOB = "ada-4711", "bob-0815"
PEOPLE = [ADA, BOB, *(f"user-{number}" for number in range(8))]

CONFIG = """\
dataset: shop
predictions:
  format: json
  path: logs/served-{{date:%Y-%m-%d}}.json
  schema: served.avsc
  key: id
  time: at
  max_rejected: 0.5
outcomes:
  click:
    format: json
    path: logs/clicks-{{date:%Y-%m-%d}}.json
    schema: click.avsc
    id: event
    key: [person, item]
    prediction_key: [user, item]
    time: at
    max_rejected: 0.5
labels:
  clicked: {{outcome: click, window: 1h, value: any}}
  clicks: {{outcome: click, window: 1h, value: count}}
split: {{by: id, parts: {{train: 0.5, test: 0.5}}}}
slices: [{slices}]
output: {{format: {output}}}
privacy: {{key: {{env: SHOP_KEY}}}}
monitor: {{score: score, label: clicked, min_rows: 1, query: user, position: place}}
"""
TIMESTAMP = {"type": "long", "logicalType": "timestamp-micros"}


def write_project(folder: Path, output: str = "parquet", pii: str = "") -> Path:
    """Two days of logs in which everybody was served six times a day, once twice, and clicked on half of it."""
    (folder / "logs").mkdir(parents=True)
    treated = {"pii": pii} if pii else {}
    served = [
        {"name": "at", "type": TIMESTAMP},
        {"name": "id", "type": "string"},
        {"name": "user", "type": "string", **treated},
        {"name": "item", "type": "long"},
        {"name": "score", "type": "double"},
        {"name": "place", "type": "int"},
    ]
    click = [
        {"name": "at", "type": TIMESTAMP},
        {"name": "event", "type": "string"},
        {"name": "person", "type": "string", **treated},
        {"name": "item", "type": "long"},
    ]
    for name, fields in (("served", served), ("click", click)):
        (folder / f"{name}.avsc").write_text(json.dumps({"type": "record", "name": name, "fields": fields}))
    for day in DAYS:
        lines, clicks = [], []
        for number, person in enumerate(PEOPLE):
            for item in range(6):
                at = f"{day}T{item + 8:02d}:{number:02d}:00Z"
                row = {
                    "at": at,
                    "id": f"{day}-{number}-{item}",
                    "user": person,
                    "item": item,
                    "place": item + 1,
                    "score": (number + item) / 20,
                }
                lines += [json.dumps(row)] * (2 if item == 0 else 1)
                if (number + item) % 2:
                    clicks.append(json.dumps({"at": at.replace(":00Z", ":30Z"), "event": f"e-{day}-{number}-{item}", "person": person, "item": item}))  # fmt: skip
            lines.append(json.dumps({"at": "never", "user": person}))
        clicks.append(json.dumps({"at": f"{day}T23:59:59Z", "event": f"last-{day}", "person": "nobody", "item": 9}))
        (folder / f"logs/served-{day}.json").write_text("\n".join(lines) + "\n")
        (folder / f"logs/clicks-{day}.json").write_text("\n".join(clicks) + "\n")
    (folder / "shop.yaml").write_text(CONFIG.format(output=output, slices="" if pii else "user"))
    return folder / "shop.yaml"


def run(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(commands, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output + str(result.exception)
    return result.output


def forget(target: object, *more: str, code: int = 0) -> dict:
    return json.loads(run("forget", target, "--subject", f"user={ADA}", "--json", *more, code=code).splitlines()[0])


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("SHOP_KEY", KEY)


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SHOP_KEY", KEY)
        return publish_three(write_project(tmp_path_factory.mktemp("published") / "shop")).parent


@pytest.fixture
def shop(published, tmp_path):
    """A dataset of three versions of two days."""
    shutil.copytree(published, tmp_path / "shop")
    return tmp_path / "shop/shop.yaml"


def publish_three(config: Path) -> Path:
    run("build", config, "--date", DAYS[0])
    run("build", config, "--date", DAYS[1])
    click_late(config, DAYS[0])
    run("build", config, "--date", DAYS[0])
    return config


def rows_of(dataset: Path, version: int) -> list[dict]:
    return retrolabel.load(str(dataset), version=version).to_table().to_pylist()


def assert_nothing_of(text: str, root: Path) -> None:
    """No byte below the folder, compressed or not, is of them; nor is any pseudonym or token."""
    stored = texts_below(root)
    assert "user-3" in stored or pseudonym("user-3", KEY.encode()) in stored or token("user-3", KEY.encode()) in stored
    for name in (text, pseudonym(text, KEY.encode()), token(text, KEY.encode())):
        assert name not in stored


def assert_whole(root: Path) -> None:
    """Every version reads, every digest and every number of the accounting holds."""
    for number in version_numbers(str(root)):
        for path in read_version(str(root), number).days.values():
            manifest = read_day_manifest(str(root), path)
            assert list(verify(str(root), manifest)) == []
            counts = manifest.accounting["predictions"]
            assert broken_identities("predictions", counts) == []
            rows = sum(part.rows for part in manifest.files if part.kind == "examples")
            assert rows == counts.examples == sum(split["rows"] for split in manifest.splits.values())


def click_late(config: Path, day: str) -> None:
    """An outcome that arrives after the day was built."""
    late = {"at": f"{day}T08:05:50Z", "event": f"late-{day}", "person": "user-3", "item": 0}
    with (config.parent / f"logs/clicks-{day}.json").open("a") as file:
        file.write(json.dumps(late) + "\n")


def test_a_person_is_gone_from_every_version_and_stays_out(shop):
    root = shop.parent / "datasets/shop"
    before = {number: rows_of(root, number) for number in (1, 2, 3)}
    assert ADA in texts_below(root)
    found = forget(root)
    assert (found["examples"], found["version"], found["published"], found["rejected_lines"]) == (18, 4, True, 3)
    assert sorted((day["date"], day["versions"]) for day in found["days"]) == [
        (DAYS[0], [1, 2]),
        (DAYS[0], [3, 4]),
        (DAYS[1], [2, 3, 4]),
    ]
    assert_nothing_of(ADA, root)
    assert_whole(root)
    for number in (1, 2, 3):
        assert rows_of(root, number) == [row for row in before[number] if row["user"] != ADA]
    for day in DAYS:
        assert "nothing changed" in run("build", shop, "--date", day)
    click_late(shop, DAYS[1])
    built = json.loads(run("build", shop, "--date", DAYS[1], "--json"))
    assert (built["published"], built["version"]) == (True, 5)
    assert built["accounting"]["predictions"]["forgotten"] == 7
    assert built["accounting"]["click"]["forgotten"] == 3
    assert built["changes"]["examples_removed"] == built["changes"]["examples_added"] == 0
    assert_nothing_of(ADA, root)
    assert_whole(root)


@pytest.mark.parametrize(("output", "pii"), [("avro", "hash"), ("tfrecord", "tokenize"), ("tfrecord", "")])
def test_every_format_and_treatment_forgets(tmp_path, output, pii):
    config = write_project(tmp_path, output, pii)
    run("build", config, "--date", DAYS[0])
    root = tmp_path / "datasets/shop"
    ada = {"": ADA, "hash": pseudonym(ADA, KEY.encode()), "tokenize": token(ADA, KEY.encode())}[pii]
    kept = [row for row in rows_of(root, 1) if row["user"] != ada]
    assert ada in texts_below(root)
    assert forget(root)["examples"] == 6
    assert_nothing_of(ADA, root)
    assert rows_of(root, 1) == rows_of(root, 2) == kept
    assert "nothing changed" in run("build", config, "--date", DAYS[0])
    click_late(config, DAYS[0])
    assert json.loads(run("build", config, "--date", DAYS[0], "--json"))["published"]
    assert_nothing_of(ADA, root)
    assert_whole(root)


def test_counts_and_statistics_are_those_of_what_is_left(shop):
    root = shop.parent / "datasets/shop"
    before = read_day_manifest(str(root), read_version(str(root), 2).days[DAYS[1]])
    receipt = forget(shop)["receipt"]
    after = read_day_manifest(str(root), read_version(str(root), 2).days[DAYS[1]])
    counts, earlier = after.accounting["predictions"], before.accounting["predictions"]
    assert (counts.unique, counts.examples, counts.forgotten) == (earlier.unique - 6, (earlier.examples or 0) - 6, 6)
    (erasure,) = after.erasures
    assert erasure.receipt == receipt
    assert sum(split["rows"] for split in erasure.splits.values()) == 6
    assert sum(split["labels"]["clicked"]["true"] for split in erasure.splits.values()) == 3
    for split, told in after.splits.items():
        gone = erasure.splits.get(split, {"rows": 0, "labels": {"clicked": {}}})
        assert told["rows"] == before.splits[split]["rows"] - gone["rows"]
        for value in ("true", "false"):
            assert told["labels"]["clicked"]["values"][value] == before.splits[split]["labels"]["clicked"]["values"][value] - gone["labels"]["clicked"].get(value, 0)  # fmt: skip


@pytest.mark.parametrize("shards", [1, 32])
def test_what_is_left_is_what_a_build_without_the_person_gives(tmp_path, monkeypatch, shards):
    """Part files, statistics and schema are to the byte those of logs in which the person never was."""
    monkeypatch.setattr(planning, "shards_for", lambda inputs: shards)
    shop, other = write_project(tmp_path / "shop"), write_project(tmp_path / "other")
    for path in (tmp_path / "other/logs").iterdir():
        path.write_text("".join(line for line in path.read_text().splitlines(keepends=True) if ADA not in line))
    for config in (shop, other):
        run("build", config, "--date", DAYS[1])
    forget(shop)
    stored = [
        {
            (part.kind, part.split, part.shard): part.sha256
            for part in read_day_manifest(str(root), read_version(str(root)).days[DAYS[1]]).files
            if part.kind not in ("rejects", "monitor")
        }
        for root in (shop.parent / "datasets/shop", tmp_path / "other/datasets/shop")
    ]
    assert stored[0] == stored[1]
    assert len(stored[0]) == 4 if shards == 1 else len(stored[0]) > 2 * 16
    measured = [
        pq.read_table(next((folder / "datasets/shop" / DAYS[1]).rglob("monitor-*"))).to_pylist()
        for folder in (shop.parent, tmp_path / "other")
    ]
    mine, theirs = ({tuple(row[name] for name in KEYS): row for row in rows} for rows in measured)
    assert {key for key in mine.keys() - theirs.keys() if key[0] != "left_out"} == theirs.keys() - mine.keys() == set()
    for key, row in theirs.items():
        assert (mine[key]["rows"], mine[key]["positives"]) == (row["rows"], row["positives"]), key
        assert mine[key]["total"] == pytest.approx(row["total"], abs=1e-9)


def test_a_second_call_finds_everything_done(shop):
    root = shop.parent / "datasets/shop"
    first = forget(shop)
    files = files_of(root)
    again = forget(shop)
    assert (again["published"], again["version"], again["examples"]) == (False, 4, first["examples"])
    assert files_of(root) == files
    assert "version 4 stands" in run("forget", root, "--subject", f"user={ADA}")


def test_a_dry_run_counts_the_same_and_changes_nothing(shop):
    root = shop.parent / "datasets/shop"
    files = files_of(root)
    counted = forget(shop, "--dry-run")
    assert files_of(root) == files
    done = forget(shop)
    assert (counted["examples"], counted["rejected_lines"], counted["receipt"]) == (18, 3, done["receipt"])
    assert "would erase 0 examples of 1 subject" in run("forget", shop, "--subject", "user=nobody-at-all", "--dry-run")


def test_every_command_works_on_what_is_left(shop):
    root = shop.parent / "datasets/shop"
    forget(shop)
    for command in (["show", f"{root}@2"], ["versions", root], ["rejects", root], ["status", root], ["card", root],
                    ["report", f"{root}@1", "-o", shop.parent / "report.html"], ["monitor", root], ["trend", root], ["gc", root, "--older-than", "0s"]):  # fmt: skip
        assert ADA not in run(*command)
    assert "6 forgotten" in run("show", f"{root}@2")
    assert_whole(root)
    assert "nothing to do" in run("run", shop, "--to", DAYS[1], "--now", "2026-11-23T00:00:00Z", "--idle-ok")


def test_what_killed_builds_left_goes_too(shop):
    root = shop.parent / "datasets/shop"
    for left in (f"{DAYS[0]}/{'c' * 16}/train/part-00000-of-00001-{'d' * 16}.avro", "_tmp/0123abcd/segment.arrow", "_reports/00000099.html"):  # fmt: skip
        (root / left).parent.mkdir(parents=True, exist_ok=True)
        (root / left).write_text(ADA)
    forget(shop)
    assert_nothing_of(ADA, root)


def test_a_file_of_ones_own_that_mentions_the_person_is_told(shop):
    root = shop.parent / "datasets/shop"
    (root / "notes.txt").write_text(f"asked by {ADA}: forget me\n")
    output = run("forget", shop, "--subject", f"user={ADA}", code=11)
    assert "notes.txt" in output
    assert ADA not in output
    (root / "notes.txt").unlink()
    assert forget(shop)["mentions"] == []


def test_several_people_from_a_file_are_one_receipt(shop, tmp_path):
    (tmp_path / "requests").write_text(f"user={ADA}\n\nuser={BOB}\n")
    found = json.loads(run("forget", shop, "--subjects", tmp_path / "requests", "--json"))
    root = shop.parent / "datasets/shop"
    assert found["examples"] == 36
    for person in (ADA, BOB):
        assert_nothing_of(person, root)
    assert len(list((root / "_receipts").iterdir())) == 1


def test_one_after_the_other_is_forgotten(shop):
    root = shop.parent / "datasets/shop"
    forget(shop)
    found = json.loads(run("forget", shop, "--subject", f"user={BOB}", "--json"))
    assert (found["examples"], found["version"]) == (18, 5)
    assert_nothing_of(ADA, root)
    assert_nothing_of(BOB, root)
    assert_whole(root)


def test_every_version_keeps_its_report_and_card_those_of_erasures_too(shop):
    root = shop.parent / "datasets/shop"
    for person in (ADA, BOB):
        run("forget", shop, "--subject", f"user={person}")
        for number in version_numbers(str(root)):
            assert (root / f"croissant-{number:08d}.json").exists(), number
            assert (root / f"_reports/{number:08d}.html").exists(), number


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--subject", "usr=ada-4711"], 2, "Did you mean 'user'?"),
        (["--subject", "score=0.5"], 2, "people are told apart by texts and whole numbers"),
        (["--subject", "ada-4711"], 2, "expected FIELD=VALUE"),
        ([], 2, "say who"),
    ],
)
def test_a_mistake_is_told_without_the_person_and_changes_nothing(shop, arguments, code, told):
    files = files_of(shop.parent / "datasets")
    output = run("forget", shop, *arguments, code=code)
    assert told in output
    assert ADA not in output
    assert files_of(shop.parent / "datasets") == files


def test_a_build_that_somebody_is_forgotten_during_starts_again_without_them(shop, monkeypatch):
    root = shop.parent / "datasets/shop"
    click_late(shop, DAYS[1])
    waiting = [lambda: forget(shop)]

    def committing(*arguments, **chosen):
        if waiting:
            waiting.pop()()
            assert any(ADA in path.read_text("latin-1") for path in (root / "_tmp").rglob("*.arrow")) is False, "swept"
        return publish(*arguments, **chosen)

    monkeypatch.setattr("retrolabel.transforms.commit.publish", committing)
    output = run("build", shop, "--date", DAYS[1])
    assert "it is built again without them" in output
    assert "published version 5 (was 4)" in output
    assert ADA not in output
    assert_nothing_of(ADA, root)
    assert_whole(root)


def test_a_build_needs_the_key_that_the_receipt_was_made_under(shop, monkeypatch):
    forget(shop)
    monkeypatch.setenv("SHOP_KEY", "another-key-" * 3)
    monkeypatch.setenv("FORMER_KEY", KEY)
    click_late(shop, DAYS[1])
    assert "former_keys" in run("build", shop, "--date", DAYS[1], code=2)
    text = shop.read_text()
    shop.write_text(text.replace("{key: {env: SHOP_KEY}}", "{key: {env: SHOP_KEY}, former_keys: [{env: FORMER_KEY}]}"))
    assert json.loads(run("build", shop, "--date", DAYS[1], "--json"))["accounting"]["predictions"]["forgotten"] == 7


def test_a_dataset_whose_config_names_no_key_is_told_how_to_get_one(shop):
    shop.write_text(shop.read_text().replace("privacy: {key: {env: SHOP_KEY}}\n", ""))
    assert "openssl rand -hex 32" in run("forget", shop, "--subject", f"user={ADA}", code=2)


def test_whole_numbers_are_told_by_their_value(shop):
    assert forget_who(shop, "item=03") == forget_who(shop, "item=3") == 30
    assert forget_who(shop, "item=three") == 0


def forget_who(shop: Path, subject: str) -> int:
    return json.loads(run("forget", shop, "--subject", subject, "--dry-run", "--json"))["examples"]


def test_groups_that_lost_people_are_counted_again_by_the_next_build(tmp_path):
    config = write_anonymous(tmp_path / "shop", rows=400, people=60)
    config.write_text(config.read_text() + "privacy: {key: {env: SHOP_KEY}}\nmonitor: {score: score, label: clicked}\n")
    root = config.parent / "datasets/shop"
    run("build", config, "--date", DAYS[0])
    before = rows_of(root, 1)
    theirs = [row for row in before if row["user"] == 0]
    assert theirs
    found = json.loads(run("forget", config, "--subject", "user=0", "--json"))
    assert found["examples"] == len(theirs)
    assert rows_of(root, 1) == [row for row in before if row["user"] != 0]
    assert_whole(root)
    built = json.loads(run("build", config, "--date", DAYS[0], "--json"))
    assert built["published"]
    assert all(row["user"] != 0 for row in rows_of(root, 3))
    assert built["accounting"]["predictions"]["forgotten"] >= len(theirs)
    assert "nothing changed" in run("build", config, "--date", DAYS[0])
    assert "no day of" in run("forget", config, "--subject", "zip=10001", code=2)
