"""`avro`: object container files (https://avro.apache.org/docs/1.12.0/specification/#object-container-files).

A record stands for the JSON of its values: logical timestamps as ISO 8601, decimals as text, bytes in Base64, what is not a number as null.
A file is read block by block. Where a record stands is told by the offset of its block.
"""

import functools
import io
import json
from collections.abc import Iterator
from typing import Any

import fastavro
import msgspec
import numpy as np

from retrolabel.schemas.reject import Reason, Rejected
from retrolabel.transforms.formats.interface import Format, Unwrapped
from retrolabel.transforms.kernels.avro_limits import DAMAGE, is_bounded, is_small
from retrolabel.transforms.kernels.json_line import JsonObject, loads
from retrolabel.transforms.kernels.lines import Lines

_MAGIC = b"Obj\x01"
_SYNC_BYTES = 16
_LARGEST = 2**30
"""Bytes of JSON that are made of a stretch of a file; its further blocks count as damaged."""

_encoder = msgspec.json.Encoder()


def record(text: bytes) -> JsonObject:
    """Reads the JSON of one record (see `lines_of`)."""
    if text[:1] != b"{":
        raise Rejected(Reason.WRAPPER, "no block of an Avro object container file, or one that is damaged")
    return loads(text)


def head(data: bytes) -> int:
    """The header: the schema, the codec and the marker that ends each block; nothing of a schema whose data has no bounds."""
    text = io.BytesIO(data)
    try:
        schema = fastavro.block_reader(text).metadata["avro.schema"]
        return text.tell() if is_bounded(json.loads(schema)) else 0
    except DAMAGE:
        return 0


def cut(first: bytes, data: bytes) -> int:
    """Up to the last marker."""
    found = data.rfind(first[-_SYNC_BYTES:])
    return found + _SYNC_BYTES if found >= 0 else 0


def lines_of(first: bytes, data: bytes) -> Lines:
    """Decodes the blocks into lines of JSON; what cannot be decoded stands there as nothing that could be JSON."""
    texts, offsets, left = [], [], _LARGEST
    for offset, records in _blocks(first, data):
        text = _encoder.encode_lines(records) if records and left > 0 else b"?\n"
        left -= len(text)
        texts.append(text)
        offsets.append(np.full(text.count(b"\n"), offset, dtype=np.int64))
    text = b"".join(texts)
    ends = np.flatnonzero(np.frombuffer(text, np.uint8) == ord("\n"))
    starts = np.concatenate([np.zeros(min(1, len(ends)), np.int64), ends[:-1] + 1])
    return Lines(text, (starts, ends), 0, np.concatenate([np.empty(0, np.int64), *offsets]))


def _blocks(first: bytes, data: bytes) -> Iterator[tuple[int, list[Any]]]:
    """The records of each block; none for bytes that are no block."""
    marker, begin = first[-_SYNC_BYTES:], 0
    codec = fastavro.block_reader(io.BytesIO(first)).codec if first else ""
    while begin < len(data):
        found = data.find(marker, begin) if first else -1
        end = found + _SYNC_BYTES if found >= 0 else len(data)
        records: list[Any] = []
        try:
            if first and is_small(data[begin:end], codec):
                records = [
                    record for block in fastavro.block_reader(io.BytesIO(first + data[begin:end])) for record in block
                ]
        except DAMAGE:
            pass
        yield begin, records
        begin = end


def unwrap(lines: Lines) -> Unwrapped:
    """The records are JSON already."""
    return Unwrapped(lines.data, {}, np.flatnonzero(lines.octets[lines.starts] != ord("{")))


def opened(first: bytes) -> Format:
    """The format of a file by its header."""
    lines, end = functools.partial(lines_of, first), functools.partial(cut, first)
    return Format("avro", FORMAT.summary, record, sniff, unwrap, lines, end if first else None)


def sniff(sample: bytes) -> float:
    """Whether the file begins with Avro's magic bytes."""
    return 1.0 if sample.startswith(_MAGIC) else 0.0


FORMAT = Format(
    "avro",
    "Avro object container files.",
    record,
    sniff,
    unwrap,
    cut=lambda data: len(data),
    head=head,
    opened=opened,
)
