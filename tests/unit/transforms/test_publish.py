"""A version exists when its record does; records are created one after the other, by however many builds at once."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from retrolabel.schemas.errors import IntegrityError
from retrolabel.transforms.compare import changes_between
from retrolabel.transforms.dataset import head_version, read_version, version_numbers
from retrolabel.transforms.publish import publish
from tests.support.at_rest import examples, publish_day, store

ROOT = Path(__file__).parents[3]
MANY = {f"p{number}": number % 3 == 0 for number in range(200)}


def test_the_first_version_has_no_parent_and_no_changes(tmp_path):
    published = publish_day(tmp_path, examples({"a": True}))
    assert (published.version, published.parent, published.is_new, published.changes) == (1, None, True, None)


def test_publishing_the_same_again_makes_no_version(tmp_path):
    first = publish_day(tmp_path, examples({"a": True}))
    again = publish_day(tmp_path, examples({"a": True}))
    assert (again.version, again.is_new, again.changes) == (first.version, False, None)
    assert version_numbers(str(tmp_path)) == [1]


def test_a_version_is_a_snapshot_of_all_days_and_old_ones_stand(tmp_path):
    publish_day(tmp_path, examples({"a": True}), date="2026-11-20")
    publish_day(tmp_path, examples({"b": True}), date="2026-11-21")
    publish_day(tmp_path, examples({"a": False}), date="2026-11-20", build="b" * 16)
    first, second, third = (read_version(str(tmp_path), number) for number in (1, 2, 3))
    assert list(first.days) == ["2026-11-20"]
    assert second.days == {**first.days, "2026-11-21": third.days["2026-11-21"]}
    assert third.days["2026-11-20"] != first.days["2026-11-20"]
    assert [record.parent for record in (first, second, third)] == [None, 1, 2]
    assert [record.changes is None for record in (first, second, third)] == [True, True, False]


def test_gaps_and_leftovers_among_the_records_are_no_versions(tmp_path):
    publish_day(tmp_path, examples({"a": True}))
    records = tmp_path / "_versions"
    (records / "00000001.json").rename(records / "00000007.json")
    (records / ".tmp-0123").write_bytes(b"torn")
    (records / "00000009.json.bak").write_bytes(b"")
    record = json.loads((records / "00000007.json").read_text())
    (records / "00000007.json").write_text(json.dumps({**record, "version": 7}))
    published = publish_day(tmp_path, examples({"b": True}), date="2026-11-21")
    assert (published.version, published.parent) == (8, 7)


@pytest.mark.parametrize("harm", [Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:-1])])
def test_nothing_is_published_while_a_file_is_missing_or_torn(tmp_path, harm):
    manifest, folder = store(tmp_path, examples({"a": True}))
    harm(tmp_path / manifest.files[0].path)
    with pytest.raises(IntegrityError, match=r"part-00000-of-00001-\w{16}.parquet' was written with"):
        publish(str(tmp_path), manifest, folder)
    assert head_version(str(tmp_path)) is None


@pytest.mark.parametrize("file_format", ["parquet", "avro", "tfrecord"])
@pytest.mark.parametrize(("old_shards", "new_shards"), [(1, 1), (1, 8), (8, 2), (4, 4)])
def test_changes_are_counted_by_key_whatever_the_number_of_shards(tmp_path, old_shards, new_shards, file_format):
    publish_day(tmp_path, examples(MANY, {"p1": 1.5, "p2": 2.1, "p4": 9.0}), shards=old_shards, immature=7)
    later = {key: clicked for key, clicked in MANY.items() if key not in ("p10", "p11")} | {"new": True}
    later |= {"p1": True, "p2": True, "p3": False, "p5": None}
    published = publish_day(
        tmp_path,
        examples(later, {"p1": 2.5, "p2": 2.1, "p4": 3.0, "p5": 1.0}),
        build="b" * 16,
        shards=new_shards,
        file_format=file_format,
        immature=2,
    )
    assert published.changes == {
        "examples_added": 1,
        "examples_removed": 2,
        "examples_kept": 198,
        "immature_before": 7,
        "immature_now": 2,
        "labels": {
            "clicked": {"changed": 4, "transitions": {"false -> true": 2, "false -> unknown": 1, "true -> false": 1}},
            "revenue": {"changed": 3, "transitions": {"decreased": 1, "increased": 1, "unknown -> known": 1}},
        },
    }
    assert read_version(str(tmp_path), 2).changes == published.changes


def test_a_label_of_another_type_is_not_compared(tmp_path):
    before, folder = store(tmp_path, examples({"a": True}))
    publish(str(tmp_path), before, folder)
    rows = examples({"a": True})
    rows = rows.set_column(1, "clicked", rows.column("clicked").cast("int64"))
    after, _ = store(tmp_path, rows, build="b" * 16)
    assert list(changes_between(str(tmp_path), "", before, after)["labels"]) == ["revenue"]


def test_builds_by_other_keys_share_no_example(tmp_path):
    before, _ = store(tmp_path, examples({"a": True}))
    after, _ = store(tmp_path, examples({"a": True}), build="b" * 16)
    after = after.model_copy(update={"key": ["clicked"]})
    changes = changes_between(str(tmp_path), "", before, after)
    assert (changes["examples_added"], changes["examples_removed"], changes["examples_kept"]) == (1, 1, 0)


PUBLISHER = """
import os, sys
from tests.support.at_rest import examples, publish_day
root, day, build = sys.argv[1:]
rows = examples({f"p{n}": build == "b" * 16 for n in range(50)})
published = publish_day(root, rows, date=day, build=build, shards=2)
print(published.version, published.is_new, flush=True)
os._exit(0)  # as the command ends: Arrow's threads can abort a process that takes them down
"""


def publish_at_once(root: Path, builds: list[tuple[str, str]]) -> list[tuple[int, bool]]:
    """Publishes in a process for each build; what each of them was told."""
    processes = [
        subprocess.Popen([sys.executable, "-c", PUBLISHER, str(root), *build], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for build in builds
    ]  # fmt: skip
    told = [process.communicate()[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0] * len(builds)
    return [(int(version), is_new == "True") for version, is_new in told]


def test_builds_of_many_days_at_once_each_get_a_version_and_none_is_lost(tmp_path):
    days = [f"2026-11-{day:02d}" for day in range(1, 17)]
    told = publish_at_once(tmp_path, [(day, "a" * 16) for day in days])
    assert sorted(told) == [(version, True) for version in range(1, 17)]
    for number in range(1, 17):
        record = read_version(str(tmp_path), number)
        assert record.parent == (number - 1 or None)
        assert len(record.days) == number
    assert list(read_version(str(tmp_path)).days) == days
    assert not list(tmp_path.rglob(".tmp-*"))


def test_equal_builds_of_a_day_at_once_are_one_version(tmp_path):
    told = publish_at_once(tmp_path, [("2026-11-20", "a" * 16)] * 4)
    assert sorted(told) == [(1, False), (1, False), (1, False), (1, True)]


def test_different_builds_of_a_day_at_once_are_two_versions_and_the_later_says_what_changed(tmp_path):
    told = publish_at_once(tmp_path, [("2026-11-20", "a" * 16), ("2026-11-20", "b" * 16)])
    assert sorted(told) == [(1, True), (2, True)]
    changes = read_version(str(tmp_path), 2).changes
    assert changes is not None
    assert changes["labels"]["clicked"]["changed"] == changes["examples_kept"] == 50
