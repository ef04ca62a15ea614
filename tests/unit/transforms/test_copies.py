"""Files of equal text count once, whatever they are called and however they are compressed."""

import bz2
import gzip

import pytest
import zstandard
from apache_beam.io.filesystem import FileMetadata

from retrolabel.schemas.errors import InputError
from retrolabel.transforms import copies
from retrolabel.transforms.copies import without_copies
from retrolabel.transforms.plan import Input
from retrolabel.transforms.read import HEAD_BYTES, compression_of, fingerprint_of

TEXT = b"".join(b'{"n": %d}\n' % number for number in range(5000))


@pytest.fixture
def parted(tmp_path):
    """The names of the files to read, and of the copies with what they are copies of."""

    def part(**contents: bytes):
        files = []
        for name, content in contents.items():
            (tmp_path / name).write_bytes(content)
            path = str(tmp_path / name)
            size = len(content)
            files.append(
                Input("click", path, name, size, 0, size, compression_of(content[:HEAD_BYTES]), fingerprint_of(path))
            )
        kept, found = without_copies(files)
        return [file.name for file in kept], {copy.path: copy.copy_of for copy in found}

    return part


def test_a_rotated_file_that_is_there_plain_and_compressed_is_one(parted):
    contents = {"app_log_1_gz": gzip.compress(TEXT), "app_log_1": TEXT, "app_log": TEXT[:100]}
    assert parted(**contents) == (["app_log_1", "app_log"], {"app_log_1_gz": "app_log_1"})


def test_two_compressions_and_two_levels_of_one_text_are_one(parted):
    contents = {"a": gzip.compress(TEXT, 1), "b": gzip.compress(TEXT, 9), "c": bz2.compress(TEXT),
                "d": zstandard.ZstdCompressor().compress(TEXT)}  # fmt: skip
    assert parted(**contents) == (["a"], {"b": "a", "c": "a", "d": "a"})


def test_plain_files_of_equal_text_are_one(parted):
    assert parted(one=TEXT, two=TEXT, three=TEXT[:-1] + b" ") == (["one", "three"], {"two": "one"})


def test_a_file_that_begins_like_another_is_no_copy(parted):
    contents = {"grown": TEXT + TEXT[:10], "before": gzip.compress(TEXT), "torn": gzip.compress(TEXT)[:-9]}
    assert parted(**contents) == (list(contents), {})


def test_empty_files_are_no_copies(parted):
    assert parted(a=b"", b=b"", c=gzip.compress(b"")) == (["a", "b", "c"], {})


def test_files_that_differ_early_are_not_read_to_the_end(parted, monkeypatch):
    monkeypatch.setattr(copies, "_digests", lambda file: pytest.fail(f"{file.name} was read"))
    assert parted(a=TEXT, b=b"x" + TEXT, c=gzip.compress(TEXT[10:])) == (["a", "b", "c"], {})


def test_a_file_that_is_written_to_while_it_is_compared_is_told(tmp_path):
    files = []
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(TEXT)
        path, size = str(tmp_path / name), len(TEXT)
        files.append(Input("click", path, name, size, 0, size, "", fingerprint_of(path)))
    (tmp_path / "b").write_bytes(TEXT + b"{}\n")
    with pytest.raises(
        InputError, match=r"'b' changed while the build read it \(58,890 bytes when it was listed, 58,893 now\)"
    ):
        without_copies(files)


def test_a_listing_and_a_look_give_object_stores_the_same_fingerprint():
    listed = FileMetadata("gs://bucket/a.log", 12, 1_763_600_000.25)
    assert fingerprint_of("gs://bucket/a.log", listed) == (12, 1_763_600_000_250_000_000, 0)
