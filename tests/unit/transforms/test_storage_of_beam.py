"""What is stored where only Beam's filesystems reach, here one that keeps its files in memory."""

import pytest
from urllib3.exceptions import HTTPError

import retrolabel
from retrolabel.schemas.errors import StorageError
from retrolabel.transforms import storage
from retrolabel.transforms.dataset import read_version
from retrolabel.transforms.publish import publish
from tests.support import flaky_store
from tests.support.at_rest import examples, store
from tests.support.flaky_store import FILES, WRITTEN_AT


@pytest.fixture(autouse=True)
def no_files():
    FILES.clear()
    flaky_store.reset()


def test_files_are_written_listed_read_and_deleted():
    storage.write_once("flaky://bucket/shoes/a/b.parquet", b"rows")
    storage.write_once("flaky://bucket/shoes/c", b"")
    assert storage.list_files("flaky://bucket/shoes") == {
        "a/b.parquet": (4, WRITTEN_AT),
        "c": (0, WRITTEN_AT),
    }
    assert storage.read_bytes("flaky://bucket/shoes/a/b.parquet") == b"rows"
    storage.delete("flaky://bucket/shoes/c")
    storage.delete("flaky://bucket/shoes/c")
    assert list(FILES) == ["flaky://bucket/shoes/a/b.parquet"]


def test_a_file_that_is_not_there_is_left_to_the_caller():
    with pytest.raises(FileNotFoundError):
        storage.read_bytes("flaky://bucket/nothing")


@pytest.mark.parametrize("folder", ["a[1]", "a[!b]", "wh?t", "st*r", "a[", "**"])
def test_a_folder_whose_name_has_signs_of_patterns_is_listed_and_nothing_beside_it(folder):
    for path in (f"{folder}/x/1", f"{folder}/2", "a1/3", "ac/4", "what/5", "star/6", "7"):
        storage.write_once(f"flaky://bucket/{path}", b"")
    assert sorted(storage.list_files(f"flaky://bucket/{folder}")) == ["2", "x/1"]


def test_an_object_that_is_removed_between_the_look_and_what_follows_is_not_there(monkeypatch):
    path, look = "flaky://bucket/shoes/a", flaky_store.FlakyFileSystem.exists

    def look_then_remove(self, path: str) -> bool:
        found = look(self, path)
        FILES.pop(path, None)
        return found

    monkeypatch.setattr(flaky_store.FlakyFileSystem, "exists", look_then_remove)
    FILES[path] = b"rows"
    with pytest.raises(FileNotFoundError):
        storage.read_bytes(path)
    FILES[path] = b"rows"
    assert storage.modified(path) is None
    FILES[path] = b"rows"
    storage.delete(path)


def test_an_error_of_a_stores_client_is_told_with_the_path(monkeypatch):
    def refuse(*_: object) -> None:
        raise HTTPError("403: Forbidden")

    monkeypatch.setattr(flaky_store.FlakyFileSystem, "open", refuse)
    FILES["flaky://bucket/x"] = b""
    with pytest.raises(StorageError, match="cannot read 'flaky://bucket/x': 403: Forbidden"):
        storage.read_bytes("flaky://bucket/x")


def test_a_record_is_created_only_if_absent():
    assert storage.create_if_absent("flaky://bucket/_versions/1.json", b"first")
    assert not storage.create_if_absent("flaky://bucket/_versions/1.json", b"second")
    assert FILES == {"flaky://bucket/_versions/1.json": b"first"}


def test_a_creator_that_was_overtaken_between_looking_and_writing_is_told(monkeypatch):
    monkeypatch.setattr(flaky_store._Upload, "close", lambda self: FILES.update({self.path: b"the other's"}))
    assert not storage.create_if_absent("flaky://bucket/_versions/1.json", b"mine")


def test_a_scheme_that_beam_does_not_know_is_told_with_the_path():
    with pytest.raises(StorageError, match="cannot read 'nowhere://bucket/shoes/x'"):
        storage.read_bytes("nowhere://bucket/shoes/x")


@pytest.mark.parametrize("file_format", ["parquet", "tfrecord"])
def test_a_dataset_is_published_and_loaded(tmp_path, file_format):
    manifest, folder = store(tmp_path, examples({"a": True, "b": False}), file_format=file_format)
    for part in manifest.files:
        storage.write_once(f"flaky://bucket/shoes/{part.path}", (tmp_path / part.path).read_bytes())
    assert publish("flaky://bucket/shoes", manifest, folder).is_new
    assert not publish("flaky://bucket/shoes", manifest, folder).is_new
    assert retrolabel.load("flaky://bucket/shoes@1").count_rows() == 2


def test_a_listing_that_lags_behind_delays_a_commit_and_loses_none(tmp_path):
    flaky_store.reset(lag=5)
    days = [f"2026-11-{day}" for day in range(20, 24)]
    for day in days:
        manifest, folder = store(tmp_path, examples({"a": True}), date=day)
        for part in manifest.files:
            storage.write_once(f"flaky://bucket/shoes/{part.path}", (tmp_path / part.path).read_bytes())
            flaky_store.TROUBLE.listings_left.clear()  # only the listing of versions lags
        assert publish("flaky://bucket/shoes", manifest, folder).is_new
    flaky_store.reset()
    assert [list(read_version("flaky://bucket/shoes", number).days) for number in (1, 2, 3, 4)] == [
        days[:count] for count in (1, 2, 3, 4)
    ]


def test_a_listing_that_never_shows_a_version_does_not_keep_a_commit_from_it(tmp_path):
    for date in ("2026-11-20", "2026-11-21"):
        manifest, folder = store(tmp_path, examples({"a": True}), date=date)
        for part in manifest.files:
            storage.write_once(f"flaky://bucket/shoes/{part.path}", (tmp_path / part.path).read_bytes())
        flaky_store.reset(lag=1_000_000)
        assert publish("flaky://bucket/shoes", manifest, folder).is_new
    flaky_store.TROUBLE.listings_left.clear()
    assert list(read_version("flaky://bucket/shoes", 2).days) == ["2026-11-20", "2026-11-21"]
