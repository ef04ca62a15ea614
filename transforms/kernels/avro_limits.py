"""What an Avro file may make a reader do: a few of its bytes can stand for endless data, or for deeper calls than a process survives."""

import bz2
import io
import lzma
import struct
import zlib
from typing import Any

import fastavro
import zstandard

LARGEST_BLOCK = 256 * 2**20
"""Bytes of a block when it is decompressed."""

MOST_RECORDS = 2**22
"""Of a block: a record without fields takes no byte."""

DAMAGE: Any = (ValueError, EOFError, LookupError, TypeError, AttributeError, OverflowError, MemoryError, RecursionError, struct.error,
               zlib.error, lzma.LZMAError, zstandard.ZstdError, fastavro.schema.SchemaParseException, fastavro.schema.UnknownType)  # fmt: skip
"""What fastavro raises for files that are none, or are damaged."""

_DEEPEST = 50
_DEFLATE_RATIO = 1032
"""The most that DEFLATE (RFC 1951) makes of a byte."""


def is_bounded(schema: Any, least: int = 0) -> bool:
    """Whether data of a schema is no deeper than the schema, and takes at least a byte an item: no type holds itself, no item is empty.

    Args:
        schema: as parsed JSON; names are looked up where they were defined before, as Avro has it.
        least: the bytes that a record must take, so that a file does not hold any number of them.
    """
    try:
        size = _size(schema, {}, 0)
    except (LookupError, TypeError, AttributeError, RecursionError):
        return False
    return size is not None and size >= least


def _size(schema: Any, named: dict[str, int | None], depth: int) -> int | None:
    """The least bytes of a value; None if it is not bounded."""
    if depth > _DEEPEST:
        return None
    if isinstance(schema, list):
        return None if any(_size(branch, named, depth + 1) is None for branch in schema) else 1
    if isinstance(schema, str):
        return {"null": 0}.get(schema, 1) if schema in _PRIMITIVE else named[schema.rpartition(".")[2]]
    kind = schema["type"]
    if kind in ("array", "map"):
        items = _size(schema["items" if kind == "array" else "values"], named, depth + 1)
        return None if items is None or (items == 0 and kind == "array") else 1
    if kind in ("record", "error", "enum", "fixed"):
        name = schema["name"].rpartition(".")[2]
        named[name] = None  # while it is being read: what holds itself is not bounded
        sizes = [_size(field["type"], named, depth + 1) for field in schema.get("fields", ())]
        least = sum(size for size in sizes if size is not None)
        least = {"enum": 1, "fixed": int(schema.get("size", 0))}.get(kind, least)
        named[name] = None if None in sizes else least
        return named[name]
    return _size(kind, named, depth + 1)


_PRIMITIVE = ("null", "boolean", "int", "long", "float", "double", "bytes", "string")


def is_small(block: bytes, codec: str) -> bool:
    """Whether a block (count of records, length, data) holds no more than one may."""
    try:
        count, start = _long(block, 0)
        length, start = _long(block, start)
    except IndexError:
        return False
    if not 0 <= count <= MOST_RECORDS or not 0 <= length <= len(block) - start:
        return False
    data = memoryview(block)[start : start + length]
    return (
        codec == "null"
        or (codec == "deflate" and length * _DEFLATE_RATIO <= LARGEST_BLOCK)
        or _expands_little(data, codec)
    )


def _expands_little(data: memoryview, codec: str) -> bool:
    if codec == "zstandard":
        with zstandard.ZstdDecompressor(max_window_size=2**27).stream_reader(io.BytesIO(data)) as reader:
            left = LARGEST_BLOCK
            while left >= 0 and (piece := reader.read(2**20)):
                left -= len(piece)
        return left >= 0
    if codec == "snappy":  # begins with the length, seven bits a byte
        return sum((octet & 0x7F) << 7 * place for place, octet in enumerate(data[:5])) <= LARGEST_BLOCK
    makers: dict[str, Any] = {
        "deflate": lambda: zlib.decompressobj(-15),
        "bzip2": bz2.BZ2Decompressor,
        "xz": lzma.LZMADecompressor,
    }
    if codec not in makers:
        return False
    decompressor = makers[codec]()
    return len(decompressor.decompress(bytes(data), LARGEST_BLOCK + 1)) <= LARGEST_BLOCK


def _long(data: bytes, place: int) -> tuple[int, int]:
    """A number in Avro's zigzag encoding, and where it ends."""
    number = shift = 0
    while shift < 64:
        octet = data[place]
        number |= (octet & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if octet < 0x80:
            break
    return (number >> 1) ^ -(number & 1), place
