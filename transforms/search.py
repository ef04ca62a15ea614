"""Everything below a dataset's folder, searched for mentions of somebody: the proof that nothing is left of them."""

import bz2
import gzip
import io
import json
from collections.abc import Iterable, Iterator
from typing import Any

import fastavro
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from retrolabel.schemas.errors import InputError
from retrolabel.schemas.metadata_files import statistics_from, to_bytes
from retrolabel.transforms import storage
from retrolabel.transforms.kernels.mentions import Mentions
from retrolabel.transforms.parts import read_records

_AT_ONCE = 4096


def mentioned_in(root: str, mentions: Mentions) -> list[str]:
    """The files that mention somebody, with the column where they have columns; names of files count as texts.

    Compressed files and columns are read as they were before, protos as text. What running builds have spilled is left out: they know
    who was forgotten, or cannot be published.
    """
    found: dict[str, None] = {}
    for path in sorted(storage.list_files(root)):
        if path.startswith("_tmp/"):
            continue
        try:
            data = storage.read_bytes(storage.join(root, path))
        except FileNotFoundError:  # swept meanwhile
            continue
        places = _places(path, data, mentions)
        found.update(dict.fromkeys(f"{path}: {place}" if place else path for place in places))
        if mentions.in_text(path):
            found[path] = None
    return list(found)


def _places(path: str, data: bytes, mentions: Mentions) -> list[str]:
    """The columns of a file that mention somebody; an empty text for a mention elsewhere in it."""
    suffix = path.rpartition(".")[2]
    columns: list[str] = []
    try:
        if suffix == "parquet":
            columns += _columns(pq.ParquetFile(pa.BufferReader(data)).iter_batches(), mentions)
        elif suffix == "avro":
            columns += _records(fastavro.reader(io.BytesIO(data)), mentions)
        elif suffix == "tfrecord":
            columns += _records(read_records(io.BytesIO(data)), mentions)
        elif suffix == "pb":
            data = to_bytes(statistics_from(data, path), ".pbtxt")
        elif suffix in _OPENERS:
            data = _OPENERS[suffix](data)
    except (OSError, ValueError, EOFError, InputError, pa.ArrowException, zstandard.ZstdError):
        pass  # it is not what its name says: its bytes are looked at as they are
    if columns:
        return columns
    mentioned = any(map(mentions.in_text, _texts(data))) if suffix == "json" else mentions.in_bytes(data)
    return [""] if mentioned else []


_OPENERS = {
    "gz": gzip.decompress,
    "bz2": bz2.decompress,
    "zst": lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data),
}


def _columns(batches: Iterable[pa.RecordBatch], mentions: Mentions) -> Iterator[str]:
    for batch in batches:
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            if pa.types.is_binary(column.type):
                hits = mentions.lines(column)
            else:
                hits = mentions.rows(pa.table({name: column}))
            if np.any(hits):
                yield name


def _records(records: Iterable[Any], mentions: Mentions) -> Iterator[str]:
    """Of Avro and TFRecords: their texts, some rows at a time."""
    rows: dict[str, list[str]] = {}
    for number, record in enumerate(records, 1):
        for name, value in record.items():
            for item in value if isinstance(value, list) else [value]:
                if isinstance(item, bytes):
                    rows.setdefault(name, []).append(item.decode("utf-8", "replace"))
                elif isinstance(item, str):
                    rows.setdefault(name, []).append(item)
        if number % _AT_ONCE == 0:
            yield from _hit(rows, mentions)
            rows = {}
    yield from _hit(rows, mentions)


def _hit(rows: dict[str, list[str]], mentions: Mentions) -> Iterator[str]:
    for name, texts in rows.items():
        if np.any(mentions.rows(pa.table({name: pa.array(texts, pa.string())}))):
            yield name


def _texts(data: bytes) -> Iterator[str]:
    """The texts of JSON, keys too; the whole of what is none."""
    try:
        waiting = [json.loads(data)]
    except (ValueError, RecursionError):
        yield data.decode("utf-8", "replace")
        return
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield from value
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
        elif isinstance(value, str):
            yield value
