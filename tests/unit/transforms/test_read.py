"""From files to blocks: every byte once, whole lines, damage and giants told."""

import bz2
import gzip
import io
import os
import types

import google_crc32c
import pytest
import zstandard
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from retrolabel.schemas.contract import parse_contract
from retrolabel.schemas.errors import InputError, RetrolabelError
from retrolabel.transforms import read
from retrolabel.transforms.formats import FORMATS
from retrolabel.transforms.kernels.crc32c import combine
from retrolabel.transforms.kernels.parse import LineReader
from retrolabel.transforms.plan import Input
from retrolabel.transforms.read import HEAD_BYTES, blocks_of, compression_of, fingerprint_of, stretches_of

CONTRACT = parse_contract({"type": "record", "name": "R", "fields": [{"name": "id", "type": "string"}]})
LINES = LineReader("s", FORMATS["json"], CONTRACT)
COMPRESS = {"gzip": gzip.compress, "bzip2": bz2.compress, "zstd": zstandard.ZstdCompressor().compress, "": bytes}


def as_input(path, size=None) -> Input:
    data = path.read_bytes()
    size = len(data) if size is None else size
    return Input("s", str(path), path.name, size, 0, size, compression_of(data[:HEAD_BYTES]), fingerprint_of(str(path)))


def read_all(path):
    return [block for stretch in stretches_of(as_input(path)) for block in blocks_of(stretch, LINES)]


def checksum_of(blocks) -> int:
    checksum = end = 0
    for block in sorted((block for block in blocks if block.raw_bytes), key=lambda block: block.raw_offset):
        assert block.raw_offset == end
        checksum, end = combine(checksum, block.crc32c, block.raw_bytes), end + block.raw_bytes
    return checksum


@pytest.mark.parametrize("compression", COMPRESS)
@settings(max_examples=60, deadline=None)
@given(
    lines=st.lists(st.binary(max_size=40).filter(lambda line: b"\n" not in line), max_size=60),
    block=st.integers(8, 200), final=st.booleans(),
)  # fmt: skip
def test_blocks_hold_every_byte_once_at_its_offset_and_end_with_lines(
    tmp_path_factory, compression, lines, block, final
):
    content = b"\n".join(lines) + (b"\n" if final and lines else b"")
    path = tmp_path_factory.mktemp("read") / "a.log"
    path.write_bytes(COMPRESS[compression](content))
    assume(
        compression_of(path.read_bytes()[:HEAD_BYTES]) == compression
    )  # text that begins like a compressed file is taken for one
    assume(not compression_of(content[:HEAD_BYTES]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(read, "BLOCK_BYTES", block)
        blocks = read_all(path)
    assert b"".join(one.data for one in blocks) == content.removeprefix(b"\xef\xbb\xbf")
    for one in blocks:
        assert content[one.offset :].startswith(one.data)
        assert one.data[-1:] in (b"\n", b"") or content.endswith(one.data)
    assert checksum_of(blocks) == google_crc32c.value(path.read_bytes())


@pytest.mark.parametrize("compression", COMPRESS)
def test_a_line_too_long_to_hold_is_skipped_with_its_place_and_length(tmp_path, compression, monkeypatch):
    monkeypatch.setattr(read, "BLOCK_BYTES", 64)
    monkeypatch.setattr(read, "MAX_LINE_BYTES", 100)
    content = b"short\n" + b"x" * 1000 + b"\nafter\n" + b"y" * 500
    path = tmp_path / "a.log"
    path.write_bytes(COMPRESS[compression](content))
    blocks = read_all(path)
    skipped = [(start, length) for block in blocks for start, length, _ in block.skipped]
    assert skipped == [(6, 1001), (1013, 500)]
    assert b"".join(block.data for block in blocks) == b"short\nafter\n"
    assert checksum_of(blocks) == google_crc32c.value(path.read_bytes())


@pytest.mark.parametrize("compression", ["gzip", "bzip2", "zstd"])
def test_of_a_truncated_file_the_readable_part_is_used_and_the_damage_told(tmp_path, compression):
    content = b"".join(b"%s\n" % os.urandom(20).hex().encode() for _ in range(100_000))
    path = tmp_path / "a.log"
    path.write_bytes(COMPRESS[compression](content)[:-5000])
    blocks = read_all(path)
    found = b"".join(block.data for block in blocks)
    assert content.startswith(found)
    assert len(found) > len(content) // 2
    assert blocks[-1].damaged


@pytest.mark.parametrize("compression", ["", "gzip"])
def test_a_storage_that_fails_in_the_middle_is_no_damage_of_the_file(tmp_path, monkeypatch, compression):
    class Failing(io.BytesIO):
        def read(self, size=-1):
            if self.tell() > 2**20:
                raise ConnectionResetError("the server is gone")
            return super().read(size)

    (tmp_path / "a.log").write_bytes(COMPRESS[compression](os.urandom(3 * 2**20).hex().encode() + b"\n"))
    file = as_input(tmp_path / "a.log")._replace(compression=compression, whole=True)
    opened = Failing((tmp_path / "a.log").read_bytes())
    monkeypatch.setattr(read, "beam_filesystems", lambda: types.SimpleNamespace(open=lambda *_, **__: opened))
    with pytest.raises(RetrolabelError, match=r"cannot read .*a.log'?: the server is gone"):
        list(blocks_of(file, LineReader("s", FORMATS["json_documents"], CONTRACT) if not compression else LINES))


@pytest.mark.parametrize("told", ["", "gzip", "zstd"])
@pytest.mark.parametrize("compression", COMPRESS)
def test_a_file_is_what_its_bytes_say_whatever_its_name_told(tmp_path, compression, told):
    path = tmp_path / "fluent-bit-logs-object1a2b"
    path.write_bytes(COMPRESS[compression](b'{"id":"1"}\n'))
    blocks = list(blocks_of(as_input(path)._replace(compression=told), LINES))
    assert b"".join(block.data for block in blocks) == b'{"id":"1"}\n'
    assert all(block.damaged is None for block in blocks)
    assert checksum_of(blocks) == google_crc32c.value(path.read_bytes())


@pytest.mark.parametrize("outer", ["gzip", "zstd", "bzip2"])
def test_what_was_compressed_twice_is_read_and_of_a_truncated_one_what_is_left(tmp_path, outer):
    content = b"".join(b"%s\n" % os.urandom(20).hex().encode() for _ in range(100_000))
    inner = gzip.compress(content[:1000]) + gzip.compress(content[1000:])  # as Firehose puts records together
    path = tmp_path / "stream-1"
    path.write_bytes(COMPRESS[outer](inner))
    assert b"".join(block.data for block in read_all(path)) == content
    path.write_bytes(COMPRESS[outer](inner)[:-5000])
    blocks = read_all(path)
    found = b"".join(block.data for block in blocks)
    assert content.startswith(found)
    assert len(found) > len(content) // 2
    assert blocks[-1].damaged


def test_a_text_that_begins_with_the_letters_of_a_magic_is_text(tmp_path):
    for text in (b"BZh is how bzip2 begins\n", b"BZ\n", b"\x1f\n"):
        path = tmp_path / "a.log"
        path.write_bytes(text)
        assert b"".join(block.data for block in read_all(path)) == text


def test_several_gzip_members_and_zstd_frames_are_one_file(tmp_path):
    for compression in ("gzip", "zstd", "bzip2"):
        path = tmp_path / compression
        path.write_bytes(COMPRESS[compression](b"one\n") + COMPRESS[compression](b"two\n"))
        assert b"".join(block.data for block in read_all(path)) == b"one\ntwo\n"


def test_what_follows_a_gzip_is_damage_but_costs_no_line(tmp_path):
    path = tmp_path / "a.log.gz"
    path.write_bytes(gzip.compress(b"one\ntwo\n") + b"garbage")
    blocks = read_all(path)
    assert b"".join(block.data for block in blocks) == b"one\ntwo\n"
    assert blocks[-1].damaged


def test_a_compressed_bomb_is_read_in_bounded_pieces(tmp_path):
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(b"0" * 200_000_000))
    blocks = read_all(path)
    assert [length for block in blocks for _, length, _ in block.skipped] == [200_000_000]
    assert max(len(block.data) for block in blocks) == 0


def test_a_file_that_shrinks_while_it_is_read_is_noticed(tmp_path):
    path = tmp_path / "a.log"
    path.write_bytes(b"one\ntwo\n")
    with pytest.raises(InputError, match="ended after"):
        list(blocks_of(as_input(path, size=100), LINES))


def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path):
    path = tmp_path / "a.log"
    path.write_bytes(b'\xef\xbb\xbf{"a":1}\n')
    (block,) = read_all(path)
    assert (block.offset, block.data) == (3, b'{"a":1}\n')
