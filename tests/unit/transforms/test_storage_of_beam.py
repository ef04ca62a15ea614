"""What is stored where only Beam's filesystems reach, here one that keeps its files in memory."""

import io

import pytest
from apache_beam.io.filesystem import BeamIOError, FileMetadata, FileSystem

import retrolabel
from retrolabel.schemas.errors import StorageError
from retrolabel.transforms import storage
from retrolabel.transforms.publish import publish
from tests.support.at_rest import examples, store

FILES: dict[str, bytes] = {}


class _Stored(io.BytesIO):
    """Becomes visible whole when it is closed, as an object does."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def close(self) -> None:
        if not self.closed:
            FILES[self.path] = self.getvalue()
        super().close()


class MemoryFileSystem(FileSystem):
    """Beam finds it by its scheme."""

    @classmethod
    def scheme(cls):
        return "memory"

    def join(self, basepath, *paths):
        return "/".join([basepath.rstrip("/"), *paths])

    def split(self, path):
        return tuple(path.rsplit("/", 1))

    def has_dirs(self):
        return False

    def mkdirs(self, path):
        raise AssertionError("an object store has no folders")

    def _list(self, dir_or_prefix):
        for path, data in FILES.items():
            if path.startswith(dir_or_prefix):
                yield FileMetadata(path, len(data), 1_763_600_000.0)

    def create(self, path, mime_type="application/octet-stream", compression_type="auto"):
        return _Stored(path)

    def open(self, path, mime_type="application/octet-stream", compression_type="auto"):
        return io.BytesIO(FILES[path])

    def exists(self, path):
        return path in FILES

    def delete(self, paths):
        for path in paths:
            if path not in FILES:
                raise BeamIOError("not found", {path: KeyError(path)})
            del FILES[path]

    def copy(self, source_file_names, destination_file_names):
        raise AssertionError("nothing is copied")

    def rename(self, source_file_names, destination_file_names):
        raise AssertionError("nothing is renamed")

    def size(self, path):
        return len(FILES[path])

    def last_updated(self, path):
        return 1_763_600_000.0

    def checksum(self, path):
        raise NotImplementedError

    def metadata(self, path):
        return FileMetadata(path, len(FILES[path]), 1_763_600_000.0)


@pytest.fixture(autouse=True)
def no_files():
    FILES.clear()


def test_files_are_written_listed_read_and_deleted():
    storage.write_once("memory://bucket/shoes/a/b.parquet", b"rows")
    storage.write_once("memory://bucket/shoes/c", b"")
    assert storage.list_files("memory://bucket/shoes") == {
        "a/b.parquet": (4, 1_763_600_000.0),
        "c": (0, 1_763_600_000.0),
    }
    assert storage.read_bytes("memory://bucket/shoes/a/b.parquet") == b"rows"
    storage.delete("memory://bucket/shoes/c")
    storage.delete("memory://bucket/shoes/c")
    assert list(FILES) == ["memory://bucket/shoes/a/b.parquet"]


def test_a_file_that_is_not_there_is_left_to_the_caller():
    with pytest.raises(FileNotFoundError):
        storage.read_bytes("memory://bucket/nothing")


def test_a_record_is_created_only_if_absent():
    assert storage.create_if_absent("memory://bucket/_versions/1.json", b"first")
    assert not storage.create_if_absent("memory://bucket/_versions/1.json", b"second")
    assert FILES == {"memory://bucket/_versions/1.json": b"first"}


def test_a_creator_that_was_overtaken_between_looking_and_writing_is_told(monkeypatch):
    monkeypatch.setattr(_Stored, "close", lambda self: FILES.update({self.path: b"the other's"}))
    assert not storage.create_if_absent("memory://bucket/_versions/1.json", b"mine")


def test_a_scheme_that_beam_does_not_know_is_told_with_the_path():
    with pytest.raises(StorageError, match="cannot read 'nowhere://bucket/shoes/x'"):
        storage.read_bytes("nowhere://bucket/shoes/x")


@pytest.mark.parametrize("file_format", ["parquet", "tfrecord"])
def test_a_dataset_is_published_and_loaded(tmp_path, file_format):
    manifest, folder = store(tmp_path, examples({"a": True, "b": False}), file_format=file_format)
    for part in manifest.files:
        storage.write_once(f"memory://bucket/shoes/{part.path}", (tmp_path / part.path).read_bytes())
    assert publish("memory://bucket/shoes", manifest, folder).is_new
    assert not publish("memory://bucket/shoes", manifest, folder).is_new
    assert retrolabel.load("memory://bucket/shoes@1").count_rows() == 2
