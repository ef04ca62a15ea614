"""Forgetting against everything that goes on beside it: builds, other erasures, sweeps; kills are in end_to_end/test_crashes.py."""

import dataclasses
import multiprocessing
import shutil
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrolabel.pipelines import forgetting
from retrolabel.pipelines.forgetting import Forgotten, forget, would_forget
from retrolabel.schemas.errors import ConfigError, ForgottenError, IntegrityError, StorageError
from retrolabel.schemas.manifest import broken_identities
from retrolabel.schemas.receipt import ForgottenSubject, Receipt
from retrolabel.transforms import storage
from retrolabel.transforms.dataset import read_day_manifest, read_version, record_path, version_numbers
from retrolabel.transforms.erase import Request, Subject
from retrolabel.transforms.kernels.forgotten import mark_of
from retrolabel.transforms.kernels.protect import key_id
from retrolabel.transforms.load import load
from retrolabel.transforms.publish import publish
from retrolabel.transforms.receipts import receipt_ids, receipt_path, suffix_of
from retrolabel.transforms.verify import verify
from tests.support import flaky_store
from tests.support.at_rest import examples, publish_day, store
from tests.support.flaky_store import FILES

KEY = b"k" * 32


def asked(root: Path, *names: str, mentions: bool = False) -> tuple[Request, Receipt]:
    subjects = tuple(Subject("prediction_id", name) for name in names)
    marks = sorted(mark_of("prediction_id", name, KEY) for name in names)
    receipt = Receipt(dataset="shoes", key_id=key_id(KEY), subjects=[ForgottenSubject(field="prediction_id", mark=mark) for mark in marks])  # fmt: skip
    return Request(str(root), subjects, {key_id(KEY): KEY}, mentions), receipt


def forget_here(root: Path, *names: str, mentions: bool = False) -> Forgotten:
    return forget(*asked(root, *names, mentions=mentions))


def keys_of(root: Path, version: int) -> set[str]:
    return set(load(str(root), version=version).to_table().column("prediction_id").to_pylist())


def assert_whole(root: Path) -> None:
    for number in version_numbers(str(root)):
        for path in read_version(str(root), number).days.values():
            manifest = read_day_manifest(str(root), path)
            assert list(verify(str(root), manifest)) == []
            assert broken_identities("predictions", manifest.accounting["predictions"]) == []


@pytest.fixture
def root(tmp_path):
    """Three versions of two days, in all of which are ada and bob."""
    folder = tmp_path / "shoes"
    people = {"ada-1": True, "bob-2": False, "c": True, "d": False, "e": None}
    publish_day(folder, examples(people), shards=2)
    publish_day(folder, examples({**people, "f": True}), date="2026-11-21", file_format="avro")
    publish_day(folder, examples({**people, "e": True}), build="b" * 16, shards=2)
    return folder


PEOPLE = {"ada-1", "bob-2", "c", "d", "e"}


def test_all_versions_lose_their_rows_and_one_is_added(root):
    found = forget_here(root, "ada-1")
    assert (found.version, found.is_new, sum(day.examples for day in found.days)) == (4, True, 3)
    assert [keys_of(root, number) for number in (1, 2, 3, 4)] == [PEOPLE - {"ada-1"}] + [PEOPLE - {"ada-1"} | {"f"}] * 3
    assert_whole(root)
    record = read_version(str(root), 4)
    assert (record.parent, record.date, record.receipt) == (3, "2026-11-21", found.receipt)
    assert record.changes is not None
    assert (record.changes["examples_removed"], record.changes["examples_kept"]) == (1, 5)


def test_a_day_without_them_stays_as_it_is(root):
    before = dict(read_version(str(root), 3).days)
    forget_here(root, "f")
    after = read_version(str(root), 3).days
    assert after["2026-11-20"] == before["2026-11-20"]
    assert after["2026-11-21"] != before["2026-11-21"]


def test_a_store_that_does_not_list_a_version_yet_is_told_and_a_call_once_it_does_forgets(root):
    url = "flaky://bucket/shoes"
    flaky_store.reset()
    FILES.clear()
    FILES.update({f"{url}/{path.relative_to(root)}": path.read_bytes() for path in root.rglob("*") if path.is_file()})
    request, receipt = asked(root, "ada-1")
    there = dataclasses.replace(request, root=url)
    flaky_store.TROUBLE.listings_left[f"{url}/{record_path(3)}"] = 1_000_000
    with pytest.raises(
        StorageError, match=r"_versions/00000003.json' is there, and 'flaky://bucket/shoes' does not list it"
    ):
        forget(there, receipt)
    flaky_store.reset()
    assert forget(there, receipt).version == 4
    for number in version_numbers(url):
        assert "ada-1" not in load(url, version=number).to_table().column("prediction_id").to_pylist()
    FILES.clear()


def test_somebody_who_is_nowhere_is_kept_out_all_the_same(root):
    found = forget_here(root, "zoe-26")
    assert (found.version, found.is_new, found.days) == (4, True, ())
    assert read_version(str(root), 4).days == read_version(str(root), 3).days
    assert len(receipt_ids(str(root))) == 1


def test_all_rows_of_a_day_may_go(tmp_path):
    publish_day(tmp_path, examples({"ada-1": True}))
    forget_here(tmp_path, "ada-1")
    assert load(str(tmp_path), version=1).to_table().num_rows == 0
    assert_whole(tmp_path)


def test_rows_that_mention_them_are_told_and_go_if_asked_to(root):
    publish_day(root, examples({"ada-1": True, "for ada-1, with love": True, "ada-12": False}), date="2026-11-22")
    found = forget_here(root, "ada-1")
    assert [place.partition(": ")[2] for place in found.mentions] == ["prediction_id"]
    assert forget_here(root, "ada-1", mentions=True).mentions == ()
    assert "ada-12" in keys_of(root, 4)
    assert_whole(root)


def between(monkeypatch, act, *, path: str) -> None:
    """Does something right before the first attempt to create a record."""
    waiting, create = [act], storage.create_if_absent

    def created(where: str, data: bytes) -> bool:
        if waiting and where.endswith(path):
            waiting.pop()()
        return create(where, data)

    monkeypatch.setattr(storage, "create_if_absent", created)


def test_a_build_that_has_looked_for_receipts_already_loses_its_number_and_looks_again(root, monkeypatch):
    manifest, folder = store(root, examples({"ada-1": False}), build="c" * 16)
    between(monkeypatch, lambda: forget_here(root, "ada-1"), path=record_path(4))
    with pytest.raises(ForgottenError):
        publish(str(root), manifest, folder)
    assert read_version(str(root)).receipt
    assert all("ada-1" not in keys_of(root, number) for number in version_numbers(str(root)))
    assert_whole(root)


def test_a_build_that_commits_while_people_are_erased_loses_them_too(root, monkeypatch):
    manifest, folder = store(root, examples({"ada-1": False, "g": True}), build="c" * 16)

    def commit() -> None:
        monkeypatch.setattr(
            "retrolabel.transforms.publish.receipt_ids", lambda _: ()
        )  # it had looked before the receipt was there
        publish(str(root), manifest, folder)

    between(monkeypatch, commit, path=record_path(4))
    found = forget_here(root, "ada-1")
    assert (found.version, version_numbers(str(root))) == (5, [1, 2, 3, 4, 5])
    assert "g" in keys_of(root, 4)
    assert all("ada-1" not in keys_of(root, number) for number in (1, 2, 3, 4, 5))
    assert_whole(root)


def test_a_version_that_retention_removes_meanwhile_does_not_come_back(root, monkeypatch):
    between(monkeypatch, lambda: (root / record_path(1)).unlink(), path=record_path(4))
    forget_here(root, "ada-1")
    assert version_numbers(str(root)) == [2, 3, 4]
    assert_whole(root)


def test_a_sweep_of_young_files_is_noticed(root, monkeypatch):
    checked = forgetting._check_stored

    def swept(*arguments: object) -> None:
        knowing = suffix_of(receipt_ids(str(root)))
        for folder in root.glob(f"2026-11-20/*{knowing}/train"):
            shutil.rmtree(folder)
        checked(*arguments)

    monkeypatch.setattr(forgetting, "_check_stored", swept)
    with pytest.raises(IntegrityError, match="is `retrolabel gc` at work"):
        forget_here(root, "ada-1")
    monkeypatch.undo()
    assert version_numbers(str(root)) == [1, 2, 3]
    forget_here(root, "ada-1")
    assert_whole(root)


def test_two_erasures_at_once_both_end(root):
    spawn = multiprocessing.get_context("spawn")
    others = [spawn.Process(target=forget_here, args=(root, name)) for name in ("ada-1", "bob-2", "ada-1")]
    for process in others:
        process.start()
    for process in others:
        process.join()
    assert [process.exitcode for process in others] == [0, 0, 0]
    assert version_numbers(str(root)) == [1, 2, 3, 4, 5]
    assert all(keys_of(root, number).isdisjoint({"ada-1", "bob-2"}) for number in (1, 2, 3, 4, 5))
    assert_whole(root)
    assert forget_here(root, "ada-1").mentions == forget_here(root, "bob-2").mentions == ()


def test_on_an_object_store_another_erasure_is_refused_until_the_first_is_finished(root, monkeypatch):
    monkeypatch.setattr(storage, "is_local", lambda _: False)
    with forgetting._alone(str(root), "one"), pytest.raises(Exception, match="the erasure for receipt one is at work"):
        forgetting._alone(str(root), "other").__enter__()
    monkeypatch.undo()


def test_a_key_of_pseudonyms_that_is_not_there_is_told(tmp_path):
    contract = {"type": "record", "name": "P", "fields": [{"name": "prediction_id", "type": "string", "pii": "hash"}]}
    manifest, folder = store(tmp_path, examples({"ada-1": True}))
    publish(str(tmp_path), manifest.model_copy(update={"contracts": {"predictions": contract}, "key_id": "0badcafe"}), folder)  # fmt: skip
    with pytest.raises(ConfigError, match="former_keys"):
        would_forget(*asked(tmp_path, "ada-1"))


@settings(max_examples=15, deadline=None)
@given(
    people=st.lists(st.dictionaries(st.text("abc0_é\"'\\ ", min_size=1, max_size=4), st.sampled_from([True, False, None]), max_size=8), min_size=1, max_size=3),
    gone=st.lists(st.text("abc0_é\"'\\ ", min_size=1, max_size=4), min_size=1, max_size=3, unique=True),
    file_format=st.sampled_from(["parquet", "avro", "tfrecord"]), shards=st.sampled_from([1, 4]),
)  # fmt: skip
def test_exactly_their_rows_go(tmp_path_factory, people, gone, file_format, shards):
    root = tmp_path_factory.mktemp("random")
    for number, rows in enumerate(people):
        publish_day(root, examples(rows), date=f"2026-11-{20 + number}", file_format=file_format, shards=shards)
    before = {number: load(str(root), version=number).to_table() for number in version_numbers(str(root))}
    counted = would_forget(*asked(root, *gone))
    found = forget_here(root, *gone)
    distinct = sum(len(set(rows) & set(gone)) for rows in people)
    assert sum(day.examples for day in found.days) == sum(day.examples for day in counted.days) == distinct
    for number, table in before.items():
        kept = [row for row in table.to_pylist() if row["prediction_id"] not in gone]
        assert load(str(root), version=number).to_table().to_pylist() == kept
    assert_whole(root)
    assert receipt_path(found.receipt).endswith(".json")
    assert pa.types.is_string(load(str(root)).schema.field("prediction_id").type)
