"""From files to blocks of whole lines."""

import bz2
import contextlib
import io
import os
import re
import zlib
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO, Protocol

import google_crc32c
import zstandard
from apache_beam.io.filesystem import BeamIOError, CompressionTypes, FileMetadata
from isal import igzip_lib, isal_zlib

from retrolabel.schemas.errors import InputError, StorageError
from retrolabel.schemas.reject import KEPT_BYTES
from retrolabel.transforms.ask import blocks_of_slice
from retrolabel.transforms.kernels.lines import Block
from retrolabel.transforms.kernels.parse import LineReader
from retrolabel.transforms.plan import Fingerprint, Input
from retrolabel.transforms.progress import progress
from retrolabel.transforms.storage import beam_filesystems, is_local, told

BLOCK_BYTES = 8 * 2**20
"""Text of one block: larger ones cost page faults, smaller ones per-block work (measured: ARCHITECTURE.md)."""

MAX_LINE_BYTES = 10 * 2**20
"""Longer lines are rejected unread, whatever they hold. Not less than a block, so that only the first line of one can be too long."""

MAX_RECORD_BYTES = 256 * 2**20
"""The same for records that are no lines, such as one JSON document."""

_PIECE = 2**20
_FED = 2**16
"""Compressed bytes that a decompressor is fed at a time: what the end of a member leaves of them is copied."""

_ZSTD_PIECE = 4096
_ZSTD_WINDOW = 2**28
"""The most that a frame may ask to be kept of its text. `zstd` itself refuses more than half of it unless told otherwise."""

_BOMB_BYTES, _BOMB_RATIO = 2**30, 20_000
"""Text that is more than so many bytes, and more than so many times its file, is no log."""

_BOM = b"\xef\xbb\xbf"

_MAGIC = ((rb"\x1f\x8b", "gzip"), (rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)", "bzip2"), (rb"\x28\xb5\x2f\xfd", "zstd"))
HEAD_BYTES = 10
"""Of a file, by which its compression is told."""

_LAYERS = 2
"""Of compression: Firehose compresses what CloudWatch Logs compressed already."""

DAMAGE: Any = (EOFError, OSError, zlib.error, isal_zlib.error, zstandard.ZstdError)


class Readable(Protocol):
    """The one thing that reading needs of a file."""

    def read(self, size: int, /) -> bytes:
        """Returns up to `size` bytes, none at the end."""


def blocks_of(stretch: Input, reader: LineReader) -> Iterator[Block]:
    """Reads one stretch of a file.

    A stretch of lines gives one block: the lines whose first byte lies in it. A file that is read from its beginning on gives as many
    as it takes; the last says what is known of the whole file, and why nothing more could be read if it is damaged.

    Raises:
        InputError: the file is not there, or is not the one that was listed.
    """
    if stretch.query is not None:
        for block in blocks_of_slice(stretch, stretch.query):
            progress.add("reading", bytes=block.raw_bytes)
            yield block
        return
    with reading(stretch.name):
        with beam_filesystems().open(stretch.path, compression_type=CompressionTypes.UNCOMPRESSED) as stored:
            if reader.format.blocks:
                blocks = _container_blocks(stretch, stored, reader)
            elif stretch.compression or not reader.splittable or _is_compressed(stretch, stored):
                blocks = _stream_blocks(stretch, stored, reader)
            else:
                blocks = iter([_plain_block(stretch, stored)])
            for block in blocks:
                progress.add("reading", bytes=block.raw_bytes)
                yield block
        check_unchanged(stretch)


@contextlib.contextmanager
def reading(name: str) -> Iterator[None]:
    """Tells what a storage says of a log while it is read.

    Raises:
        InputError: the file is no longer there.
        StorageError: it cannot be read.
    """
    try:
        yield
    except (BeamIOError, FileNotFoundError) as error:
        raise _gone(name, error) from None
    except OSError as error:
        raise StorageError(f"cannot read {name!r}: {told(error, name)}") from None
    except Exception as error:
        if type(error).__name__ != "NotFound":  # Google's client has an error of its own for what is not there
            raise
        raise _gone(name, error) from None


def _gone(name: str, error: Exception) -> InputError:
    return InputError(f"cannot read {name!r}, which was there when the build began: {told(error, name)}")


def fingerprint_of(path: str, listed: FileMetadata | None = None) -> Fingerprint:
    """What a file is like now.

    Args:
        path: of the file.
        listed: what a listing just said of it, which saves a request on object stores.

    Raises:
        FileNotFoundError, BeamIOError: it is not there.
    """
    if is_local(path):
        status = os.stat(path)
        return Fingerprint(status.st_size, status.st_mtime_ns, status.st_ino)
    found = listed or beam_filesystems().get_filesystem(path).metadata(path)
    return Fingerprint(found.size_in_bytes, round(found.last_updated_in_seconds * 1e6) * 1000, 0)


def check_unchanged(file: Input) -> None:
    """Checks, after a file was read, that it is still the one that was listed.

    Raises:
        InputError: it was written to, replaced or removed.
    """
    if file.fingerprint is None:
        return
    found = fingerprint_of(file.path)
    if found != file.fingerprint:
        how = (
            f"{file.size:,} bytes when it was listed, {found.size:,} now"
            if found.size != file.size
            else "it was written anew"
        )
        raise InputError(
            f"{file.name!r} changed while the build read it ({how}): nothing was published. A file that is still written to, or is "
            "just being rotated, is not ready: build again when it is complete, or name only complete files in 'path'"
        )


def _is_compressed(stretch: Input, stored: BinaryIO) -> bool:
    """Whether a file that is read whole turns out to be compressed, whatever its name told."""
    if stretch.start or stretch.stop < stretch.size:
        return False
    head = stored.read(HEAD_BYTES)
    stored.seek(0)
    return compression_of(head) != ""


def _plain_block(stretch: Input, stored: BinaryIO) -> Block:
    begin = _first_line(stretch.start, stored, stretch.stop)
    if begin >= stretch.stop:  # the stretch lies inside a line that began before it
        return Block(stretch.source, stretch.name, begin, b"")
    end = _first_line(stretch.stop, stored, stretch.size)
    stored.seek(begin)
    # Read in one piece: to put the end of the last line behind the rest would copy it all.
    data = stored.read(min(end, stretch.stop + MAX_LINE_BYTES) - begin)
    length, checksum = len(data), google_crc32c.value(data)
    skipped: tuple[tuple[int, int, bytes], ...] = ()
    last = data.rfind(b"\n", 0, stretch.stop - begin) + 1
    if stretch.stop < stretch.size and end - begin - last > MAX_LINE_BYTES:
        skipped = ((begin + last, end - begin - last, data[last : last + KEPT_BYTES]),)
        data = data[:last]
        while rest := stored.read(min(_PIECE, end - begin - length)):
            length, checksum = length + len(rest), google_crc32c.extend(checksum, rest)
    check_length(stretch, begin + length, end)
    offset = begin
    if begin == 0 and data[:3] == _BOM:
        data, offset = data[3:], 3
    return Block(stretch.source, stretch.name, offset, data, skipped, begin, length, checksum)


def check_length(stretch: Input, read: int, expected: int) -> None:
    """A file that ends before the size that was listed is not taken for a shorter one."""
    if read < expected:
        raise InputError(
            f"{stretch.name!r} ended after {read:,} of {expected:,} bytes while it was read: it is still being written or rotated, "
            "or its storage broke off; build again"
        )


def _first_line(start: int, stored: BinaryIO, limit: int) -> int:
    """Where the first line begins that begins at or after `start`; past `limit` it need not be exact."""
    if start in (0, limit):
        return start
    stored.seek(start - 1)
    position = start - 1
    while position < limit and (piece := stored.readline(_PIECE)):
        position += len(piece)
        if piece[-1:] == b"\n":
            break
    return position


def _stream_blocks(stretch: Input, stored: BinaryIO, reader: LineReader) -> Iterator[Block]:
    source, layout = Checksummed(stored, stretch.name), reader.format
    pieces = Whole(text_of(source))
    offset, pending, head = 0, b"", b""
    while True:
        data = pending + pieces.read(BLOCK_BYTES)
        if len(data) == len(pending):
            break
        if offset == 0 and data[:3] == _BOM:
            data, offset = data[3:], 3
        if offset <= 3 and not head and layout.head:
            head = data[: layout.head(data)]
            data, offset, reader = data[len(head) :], offset + len(head), reader.opened(head)
        first = data.find(b"\n") + 1
        if layout.cut is None and (first or len(data)) > MAX_LINE_BYTES:
            text, length = data[:KEPT_BYTES], first or len(data)
            pending = data[first:] if first else b""
            while not first and (data := pieces.read(BLOCK_BYTES)):
                first = data.find(b"\n") + 1
                length, pending = length + (first or len(data)), data[first:] if first else b""
            yield Block(stretch.source, stretch.name, offset, b"", ((offset, length, text),))
            offset += length
            continue
        end = reader.cut(data)
        if end:
            yield Block(stretch.source, stretch.name, offset, data[:end], head=head)
        elif len(data) > MAX_RECORD_BYTES:
            text, length, data = data[:KEPT_BYTES], len(data), b""
            while piece := pieces.read(BLOCK_BYTES):
                length += len(piece)
            yield Block(stretch.source, stretch.name, offset, b"", ((offset, length, text),))
        offset, pending = offset + end, data[end:]
    for _ in iter(lambda: source.read(2**20), b""):
        pass  # what a decompressor leaves unread is part of the file and of its checksum
    check_length(stretch, source.length, stretch.size)
    yield Block(
        stretch.source, stretch.name, offset, pending, (), 0, source.length, source.checksum, pieces.damage, head
    )


def _container_blocks(stretch: Input, stored: BinaryIO, reader: LineReader) -> Iterator[Block]:
    assert reader.format.blocks is not None
    source, damage = Checksummed(stored, stretch.name), None
    for _ in iter(lambda: source.read(2**20), b""):
        pass
    check_length(stretch, source.length, stretch.size)
    stored.seek(0)
    try:
        for offset, data in reader.format.blocks(stored):
            yield Block(stretch.source, stretch.name, offset, data)
    except ValueError as error:
        damage = str(error)
    yield Block(stretch.source, stretch.name, 0, b"", (), 0, source.length, source.checksum, damage)


def text_of(stored: Readable) -> Iterator[bytes]:
    """The text of a file in pieces of a bounded size, decompressed as its first bytes say: twice, if it was compressed twice."""
    counted = _Counted(stored)
    source: Readable = counted
    for _ in range(_LAYERS):
        source = _Looked(source)
        if not (compression := compression_of(source.head)):
            break
        source = _Decompressed(source, compression)
    length = 0
    while piece := source.read(_PIECE):
        length += len(piece)
        if length > max(_BOMB_BYTES, _BOMB_RATIO * counted.length):
            raise EOFError(f"it becomes more than {_BOMB_RATIO:,} times as large when it is decompressed")
        yield piece


class _Counted:
    """Counts what is read of a file."""

    def __init__(self, stored: Readable) -> None:
        self._stored = stored
        self.length = 0

    def read(self, size: int, /) -> bytes:
        data = self._stored.read(size)
        self.length += len(data)
        return data


def compression_at(path: str) -> str:
    """How a stored file is compressed, by a look at its first bytes: where a file system can fetch so few, it fetches no more."""
    with beam_filesystems().open(path, compression_type=CompressionTypes.UNCOMPRESSED) as stored:
        return compression_of(getattr(stored, "raw", stored).read(HEAD_BYTES))


def sample_of(path: str) -> bytes:
    """The beginning of a file's text, decompressed, in bounded memory."""
    with beam_filesystems().open(path, compression_type=CompressionTypes.UNCOMPRESSED) as stored:
        return Whole(text_of(stored)).read(_PIECE).removeprefix(_BOM)


class _Looked:
    """Reads from a source of which the first bytes were looked at."""

    def __init__(self, source: Readable) -> None:
        self._source = source
        self.head = self._left = source.read(_ZSTD_PIECE)

    def read(self, size: int, /) -> bytes:
        data = self._left[:size] or self._source.read(size)
        self._left = self._left[size:]
        return data


class _Decompressed:
    """Reads the text of a compressed source, a piece at a time."""

    def __init__(self, source: Readable, compression: str) -> None:
        self._pieces, self._piece, self._place = _decompressed(source, compression), b"", 0

    def read(self, size: int, /) -> bytes:
        if self._place >= len(self._piece):
            self._piece, self._place = next(self._pieces, b""), 0
        place = self._place
        self._place += size
        return self._piece[place : place + size]


class Checksummed(io.RawIOBase):
    """Keeps count and checksum of what is read through it; trouble of the storage is no damage of the file."""

    def __init__(self, stored: BinaryIO, name: str) -> None:
        self._stored = stored
        self._name = name
        self.length = 0
        self.checksum = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        with reading(self._name):
            data = self._stored.read(size)
        self.length += len(data)
        self.checksum = google_crc32c.extend(self.checksum, data)
        return data

    def readinto(self, buffer: Any, /) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


class Whole:
    """Reads full pieces, and takes damage for the end, remembering it."""

    def __init__(self, source: Iterator[bytes]) -> None:
        self._source = source
        self._left = b""
        self.damage: str | None = None

    def read(self, size: int) -> bytes:
        pieces, length = [self._left], len(self._left)
        while length < size and self.damage is None:
            try:
                piece = next(self._source, b"")
            except DAMAGE as error:
                self.damage = f"{type(error).__name__}: {error}"
                break
            if not piece:
                break
            pieces.append(piece)
            length += len(piece)
        data = b"".join(pieces)
        data, self._left = data[:size], data[size:]
        return data


def _decompressed(source: Readable, compression: str) -> Iterator[bytes]:
    """The text in pieces of a bounded size, whatever the ratio; what can be read of a damaged file comes before the error."""
    if compression == "zstd":
        yield from _zstd_pieces(source)
        return
    # Member after member; both decompressors have the same interface.
    fed = source.read(_FED)
    while fed:
        member: Any = (
            igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP) if compression == "gzip" else bz2.BZ2Decompressor()
        )
        while not member.eof:
            if piece := member.decompress(fed, _PIECE):
                yield piece
            fed = b""
            if member.needs_input and not member.eof:
                fed = source.read(_FED)
                if not fed:
                    raise EOFError("the file ends before its compressed data does")
        fed = (member.unused_data or source.read(_FED)).lstrip(b"\0")  # padding of tapes and blocks


def _zstd_pieces(source: Readable) -> Iterator[bytes]:
    """Frame after frame; fed little at a time, because four bytes can stand for a block of 128 KiB."""
    fed = source.read(_ZSTD_PIECE)
    while fed:
        frame = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).decompressobj()
        while True:
            if piece := frame.decompress(fed):
                yield piece
            if frame.eof:
                fed = frame.unused_data or source.read(_ZSTD_PIECE)
                break
            fed = source.read(_ZSTD_PIECE)
            if not fed:
                raise EOFError("the file ends in the middle of a frame")


def compression_of(head: bytes) -> str:
    """How a file is compressed, by its first bytes: names lie."""
    return next((name for magic, name in _MAGIC if re.match(magic, head)), "")


def stretches_of(file: Input) -> Iterable[Input]:
    """Cuts a file of plain lines into stretches of a block each; others can be read from their beginning alone."""
    if file.query or file.compression or file.whole or file.size <= BLOCK_BYTES:
        return [file]
    starts = range(0, file.size, BLOCK_BYTES)
    return [file._replace(start=start, stop=min(start + BLOCK_BYTES, file.size)) for start in starts]
