"""Files are written whole or not at all, and trouble is told with the path and what to do."""

import os
import shutil
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest
from apache_beam.io.filesystem import BeamIOError

from retrolabel.schemas.errors import StorageError
from retrolabel.transforms import parcel, storage
from retrolabel.transforms.exchange import Partition, SpillRows
from retrolabel.transforms.kernels.arrange import HASH


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


def synced(monkeypatch) -> list[str]:
    """The folders that are synced from now on, each by its path, as it is told to the system."""
    found: list[str] = []
    sync = os.fsync

    def sync_and_note(file: int) -> None:
        path = os.readlink(f"/proc/self/fd/{file}")
        if os.path.isdir(path):
            found.append(path)
        sync(file)

    monkeypatch.setattr(os, "fsync", sync_and_note)
    return found


def test_write_once_syncs_the_folder_of_an_equal_file_again(tmp_path, monkeypatch):
    (tmp_path / "part").write_bytes(b"rows")  # by a build that was killed before it came to that
    found = synced(monkeypatch)
    storage.write_once(str(tmp_path / "part"), b"rows")
    assert found == [str(tmp_path)]


def test_folders_that_a_killed_build_made_are_synced_up_to_the_top(tmp_path, monkeypatch):
    (tmp_path / "datasets/shoes/day/build/train").mkdir(parents=True)
    found = synced(monkeypatch)
    storage.settle(str(tmp_path / "datasets/shoes"), ["day/build/train", "day/build"])
    above = {str(tmp_path / "datasets/shoes" / below) for below in ("", "day", "day/build")}
    assert above | {str(tmp_path / "datasets"), str(tmp_path)} <= set(found)


def taken_away(monkeypatch, folder, times: int) -> None:
    """Lets the folder go so many times as soon as it is made, as `gc` takes away those that are empty."""
    make, left = os.mkdir, [times]

    def make_and_lose(path: str, *mode: int) -> None:
        make(path, *mode)
        if str(path) == str(folder) and left[0]:
            left[0] -= 1
            os.rmdir(path)

    monkeypatch.setattr(os, "mkdir", make_and_lose)


@pytest.mark.parametrize("lost", ["a", "a/b"])
def test_a_folder_that_gc_takes_away_while_it_is_empty_is_made_again(tmp_path, monkeypatch, lost):
    taken_away(monkeypatch, tmp_path / lost, 3)
    storage.write_once(str(tmp_path / "a/b/part"), b"rows")
    assert storage.create_if_absent(str(tmp_path / "a/b/record"), b"1")
    assert content(tmp_path) == {"a/b/part": b"rows", "a/b/record": b"1"}


def test_what_is_spilled_and_locks_cope_with_a_folder_that_is_taken_away(tmp_path, monkeypatch):
    spill = tmp_path / "_tmp/run"
    taken_away(monkeypatch, tmp_path / "_tmp", 2)
    assert parcel.receive(parcel.send(b"numbers", str(spill))) == b"numbers"
    shutil.rmtree(tmp_path / "_tmp")
    taken_away(monkeypatch, tmp_path / "_tmp", 2)
    with storage.locked(str(tmp_path / "_tmp/run.lock"), wait=False) as held:
        assert held
    shutil.rmtree(tmp_path / "_tmp")
    taken_away(monkeypatch, spill, 2)
    rows = Partition("rows", pa.table({HASH: pa.array([1], pa.uint64()), "id": ["a"]}))
    spilling = SpillRows(1, str(spill))
    spilling.start_bundle()
    spilling.process(rows)
    assert [sent.value[0] for sent in spilling.finish_bundle()] == [0]


def test_a_folder_that_never_stays_is_told(tmp_path, monkeypatch):
    taken_away(monkeypatch, tmp_path / "a", 1_000_000)
    with pytest.raises(StorageError, match="its folder is not there, however often it is made"):
        storage.write_once(str(tmp_path / "a/part"), b"rows")


@pytest.mark.parametrize("below", ["part", "a/b/part"])
def test_a_link_to_a_folder_that_is_not_there_is_told(tmp_path, below):
    (tmp_path / "datasets").symlink_to(tmp_path / "unmounted")
    for write in (storage.write_once, storage.create_if_absent):
        with pytest.raises(StorageError, match=r"datasets': it is a link to '.*unmounted', which is not there"):
            write(str(tmp_path / "datasets" / below), b"rows")


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
