"""Files are written whole or not at all, and trouble is told with the path and what to do."""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest
from apache_beam.io.filesystem import BeamIOError

from retrolabel.schemas.errors import StorageError
from retrolabel.transforms import storage


def content(folder) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_write_once_makes_the_folders_and_leaves_nothing_else(tmp_path):
    storage.write_once(str(tmp_path / "a/b/part"), b"rows")
    assert content(tmp_path) == {"a/b/part": b"rows"}


def test_write_once_replaces_a_torn_file(tmp_path):
    path = tmp_path / "part"
    for torn in (b"", b"ro", b"rowz"):
        path.write_bytes(torn)
        storage.write_once(str(path), b"rows")
        assert content(tmp_path) == {"part": b"rows"}


def test_write_once_leaves_an_equal_file_but_makes_it_young_for_gc(tmp_path):
    path = tmp_path / "part"
    path.write_bytes(b"rows")
    os.utime(path, (1, 1))
    before = path.stat()
    storage.write_once(str(path), b"rows")
    assert path.stat().st_ino == before.st_ino
    assert path.stat().st_mtime > before.st_mtime


def test_of_many_creators_of_one_file_exactly_one_wins_and_its_content_stands(tmp_path):
    path = str(tmp_path / "_versions/00000001.json")
    with ThreadPoolExecutor(16) as pool:
        won = list(pool.map(lambda number: storage.create_if_absent(path, b"%d" % number * 1000), range(64)))
    assert won.count(True) == 1
    assert content(tmp_path) == {"_versions/00000001.json": b"%d" % won.index(True) * 1000}


def test_a_file_in_place_of_a_folder_is_told_with_the_path(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    path = str(tmp_path / "file/part")
    with pytest.raises(StorageError) as told:
        storage.write_once(path, b"rows")
    assert str(told.value).startswith(f"cannot write {path!r}: ")


def test_a_full_disk_says_so_and_leaves_no_torn_file(tmp_path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)  # a disk that really fills needs a mount of its own
    (tmp_path / "a").mkdir()
    with pytest.raises(StorageError, match=r"cannot write '.*a/part': the disk is full: .*retrolabel gc"):
        storage.write_once(str(tmp_path / "a/part"), b"rows")
    assert content(tmp_path) == {}


def test_reading_what_is_not_there_is_left_to_the_caller(tmp_path):
    with pytest.raises(FileNotFoundError):
        storage.read_bytes(str(tmp_path / "nothing"))


def test_reading_a_folder_is_told_with_the_path(tmp_path):
    with pytest.raises(StorageError, match="cannot read"):
        storage.read_bytes(str(tmp_path))


def test_files_are_listed_below_the_folder_with_sizes(tmp_path):
    storage.write_once(str(tmp_path / "a/b"), b"12")
    storage.write_once(str(tmp_path / "c"), b"1")
    assert {path: size for path, (size, _) in storage.list_files(str(tmp_path)).items()} == {"a/b": 2, "c": 1}
    assert storage.list_files(str(tmp_path / "nothing")) == {}


def test_deleting_what_is_gone_is_fine(tmp_path):
    storage.delete(str(tmp_path / "nothing"))


def test_only_empty_folders_are_removed(tmp_path):
    storage.write_once(str(tmp_path / "a/kept"), b"")
    (tmp_path / "a/empty/deep").mkdir(parents=True)
    storage.remove_empty_folders(str(tmp_path / "a"))
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "kept"]


@pytest.mark.parametrize("folder", ["datasets/shoes", "datasets/shoes/", "gs://bucket/shoes/"])
def test_paths_are_joined_with_one_slash(folder):
    assert storage.join(folder, "a", "b") == folder.rstrip("/") + "/a/b"


@pytest.mark.parametrize(
    ("error", "path", "extra"),
    [
        (ValueError("Unable to get filesystem from specified path"), "gs://bucket/x", "gcp"),
        (BeamIOError("Match operation failed", {"hdfs://n/*": ImportError("Failed to import hdfs")}), "hdfs://n/*", "hdfs"),
    ],
)  # fmt: skip
def test_what_is_not_installed_is_told_with_what_brings_it(error, path, extra):
    assert f"pip install 'retrolabel[{extra}]' brings what reads {path[: path.index('/') + 2]}" in storage.told(
        error, path
    )
