"""The bytes of a part file: Parquet, Avro, or TFRecords of tf.Example; the same rows give the same bytes."""

import hashlib
import io
import json
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import IO, Any

import fastavro
import google_crc32c
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from retrolabel.schemas.errors import IntegrityError
from retrolabel.transforms.kernels.avro_limits import DAMAGE, is_bounded

_DAMAGE = (*DAMAGE, pa.ArrowException, OSError)
"""What pyarrow and fastavro raise for files that are none, or are damaged."""

_DICTIONARY_ROWS = 4096
"""Rows from which it is told whether a column's values repeat enough for a dictionary to pay."""


def encode(table: pa.Table, file_format: str) -> bytes:
    """Encodes rows as one file.

    Args:
        table: columns of strings, booleans, integers, floats, timestamps or lists of the plain ones.
        file_format: `parquet`, `avro` or `tfrecord`.
    """
    return _ENCODERS[file_format](table)


def decode(data: bytes, file_format: str, schema: pa.Schema, columns: Sequence[str] | None = None) -> pa.Table:
    """Reads the rows of a part file.

    Args:
        data: the file's bytes.
        file_format: as it was encoded.
        schema: of the rows, from the manifest; TFRecords do not carry theirs.
        columns: which to read; all by default.

    Raises:
        IntegrityError: the data is damaged.
    """
    try:
        return _decode(data, file_format, schema, list(columns) if columns is not None else schema.names)
    except _DAMAGE as error:
        raise IntegrityError(f"no {file_format} file that can be read ({type(error).__name__})") from None


def _decode(data: bytes, file_format: str, schema: pa.Schema, wanted: list[str]) -> pa.Table:
    if file_format == "parquet":
        return pq.read_table(pa.BufferReader(data), columns=wanted)
    chosen = pa.schema([schema.field(name) for name in wanted])
    records: Iterable[Any] = _read_avro(data) if file_format == "avro" else _read_examples(data, chosen)
    rows = list(records)
    arrays = [pa.array([row.get(field.name) for row in rows], field.type) for field in chosen]
    return pa.Table.from_arrays(arrays, schema=chosen)


def _parquet(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", compression_level=1, use_dictionary=_repeating(table))
    return bytes(sink.getvalue())


def _repeating(table: pa.Table) -> list[str]:
    """The columns whose first rows repeat their values: for others a dictionary is built in vain."""
    head = table.slice(0, _DICTIONARY_ROWS)
    return [
        field.name
        for field in table.schema
        if not pa.types.is_list(field.type)
        and pc.count_distinct(head.column(field.name)).as_py() * 2 <= max(head.num_rows, 1)
    ]


# Avro


def _avro(table: pa.Table) -> bytes:
    schema = avro_schema(table.schema)
    columns = [column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column for column in table.columns]
    rows = pa.table(columns, names=table.column_names).to_pylist()
    sink = io.BytesIO()
    # Avro's own marker is random: the same rows would have other bytes each time.
    marker = hashlib.sha256(repr(schema).encode()).digest()[:16]
    fastavro.writer(sink, schema, rows, codec="deflate", sync_marker=marker)
    return sink.getvalue()


def avro_schema(schema: pa.Schema) -> dict[str, Any]:
    """The Avro schema of example rows; every field may be null."""
    fields = [{"name": field.name, "type": ["null", _avro_type(field.type)], "default": None} for field in schema]
    return {"type": "record", "name": "Example", "fields": fields}


def _avro_type(found: pa.DataType) -> Any:
    if pa.types.is_list(found):
        return {"type": "array", "items": ["null", _avro_type(found.value_type)]}
    if pa.types.is_timestamp(found):
        return {"type": "long", "logicalType": "timestamp-micros"}
    names = {pa.string(): "string", pa.bool_(): "boolean", pa.int32(): "int", pa.int64(): "long", pa.float32(): "float"}
    return names.get(found, "double")


def _read_avro(data: bytes) -> Iterable[Any]:
    reader = fastavro.reader(io.BytesIO(data))
    if not is_bounded(json.loads(reader.metadata["avro.schema"]), least=1):
        raise ValueError("a schema that no build writes")
    return reader


# TFRecord: https://www.tensorflow.org/tutorials/load_data/tfrecord, tensorflow/core/example/{example,feature}.proto

_FEATURE_FIELD = {"bytes": 1, "float": 2, "int64": 3}
_MASK = 0xA282EAD8


def _tfrecord(table: pa.Table) -> bytes:
    table = table.combine_chunks()
    entries = [
        _entries(field.name, column.combine_chunks()) for field, column in zip(table.schema, table.columns, strict=True)
    ]
    if not table.num_rows:
        return b""
    features = pc.binary_join_element_wise(*entries, b"")
    return _framed(_prefixed(b"\x0a", features))


def _entries(name: str, column: pa.Array) -> pa.Array:
    """Of each row the entry of one feature in the map of features; empty where the value is null."""
    kind, items, offsets = _items(column)
    lists = _of_rows(items, offsets)
    if kind != "bytes":
        lists = _prefixed(b"\x0a", lists)  # packed
    inner = _prefixed(bytes([_FEATURE_FIELD[kind] << 3 | 2]), lists)
    key = name.encode()
    entry = _prefixed(b"\x0a", _joined(b"\x0a" + _varint(len(key)) + key, _prefixed(b"\x12", inner)))
    return pc.if_else(pc.is_valid(column), entry, pa.scalar(b"", pa.binary()))


def _items(column: pa.Array) -> tuple[str, pa.Array, npt.NDArray[np.int64]]:
    """The kind of list, the encoded single values, and where those of each row begin and end."""
    if pa.types.is_list(column.type):
        lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy().astype(np.int64)
        kind, items, _ = _items(column.flatten())
        return kind, items, np.concatenate([[0], np.cumsum(lengths)])
    offsets = np.arange(len(column) + 1, dtype=np.int64)
    if pa.types.is_string(column.type):
        return "bytes", _prefixed(b"\x0a", pc.fill_null(column.cast(pa.binary()), b"")), offsets
    if pa.types.is_floating(column.type):
        floats = pc.fill_null(column.cast(pa.float32(), safe=False), 0).to_numpy().astype("<f4")
        return "float", _fixed(floats.view(np.uint8).reshape(-1, 4)), offsets
    whole = column.cast(pa.int8()) if pa.types.is_boolean(column.type) else column
    return "int64", _varints(pc.fill_null(whole.cast(pa.int64()), 0).to_numpy()), offsets


def _of_rows(items: pa.Array, offsets: npt.NDArray[np.int64]) -> pa.Array:
    """Joins the items of each row: they stand one behind the other already."""
    ends = (
        np.frombuffer(items.buffers()[1], dtype=np.int32)[items.offset : items.offset + len(items) + 1]
        if len(items)
        else np.zeros(1, np.int32)
    )
    bounds = ends[offsets].astype(np.int32)
    return pa.Array.from_buffers(
        pa.binary(), len(offsets) - 1, [None, pa.py_buffer(bounds), items.buffers()[2] or pa.py_buffer(b"")]
    )


def _fixed(rows: npt.NDArray[np.uint8]) -> pa.Array:
    bounds = np.arange(len(rows) + 1, dtype=np.int32) * rows.shape[1]
    return pa.Array.from_buffers(
        pa.binary(), len(rows), [None, pa.py_buffer(bounds), pa.py_buffer(np.ascontiguousarray(rows))]
    )


def _varints(values: npt.NDArray[np.int64]) -> pa.Array:
    """Protocol Buffers' base-128 numbers, least significant group first (protobuf.dev/programming-guides/encoding)."""
    if not len(values) or (values.min() >= 0 and values.max() < 128):
        return _fixed(values.astype(np.uint8)[:, None])
    unsigned = values.astype(np.uint64)
    groups = (unsigned[:, None] >> (np.arange(10, dtype=np.uint64) * np.uint64(7))) & np.uint64(0x7F)
    lengths = np.maximum(10 - (groups[:, ::-1] != 0).argmax(axis=1), 1)
    lengths[unsigned == 0] = 1
    places = np.arange(10)
    octets = (groups | np.where(places < (lengths - 1)[:, None], 0x80, 0).astype(np.uint64)).astype(np.uint8)
    bounds = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    content = octets[places < lengths[:, None]]
    return pa.Array.from_buffers(pa.binary(), len(values), [None, pa.py_buffer(bounds), pa.py_buffer(content)])


def _varint(value: int) -> bytes:
    encoded: bytes = _varints(np.array([value]))[0].as_py()
    return encoded


def _prefixed(tag: bytes, values: pa.Array) -> pa.Array:
    """Puts a field's tag and length before each value."""
    lengths = pc.binary_length(values).to_numpy(zero_copy_only=False).astype(np.int64)
    return pc.binary_join_element_wise(pa.scalar(tag, pa.binary()), _varints(lengths), values, b"")


def _joined(before: bytes, values: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise(pa.scalar(before, pa.binary()), values, b"")


def _framed(records: pa.Array) -> bytes:
    """TFRecord's frames: length, checksum of the length, data, checksum of the data, little-endian."""
    pieces: list[bytes] = []
    for record in records.to_pylist():
        length = struct.pack("<Q", len(record))
        pieces += (length, struct.pack("<I", _masked(length)), record, struct.pack("<I", _masked(record)))
    return b"".join(pieces)


def _masked(data: bytes) -> int:
    checksum: int = google_crc32c.value(data)
    return ((checksum >> 15 | checksum << 17) + _MASK) & 0xFFFFFFFF


def _read_examples(data: bytes, schema: pa.Schema) -> Iterator[dict[str, Any]]:
    types = {field.name.encode(): field.type for field in schema}
    for record in _read_frames(io.BytesIO(data)):
        yield _read_example(record, types)


def read_records(file: IO[bytes]) -> Iterator[dict[str, list[Any]]]:
    """The features of each tf.Example in TFRecords, as the lists that they are.

    Raises:
        IntegrityError: a record is cut off or damaged.
    """
    for record in _read_frames(file):
        features: dict[str, list[Any]] = {}
        for _, entries in _fields(record):
            for _, entry in _fields(entries):
                (_, name), *feature = _fields(entry)
                for kind, values in _fields(feature[0][1]) if feature else ():
                    features[name.decode()] = _list_of(kind, values)
        yield features


def _list_of(kind: int, values: bytes) -> list[Any]:
    """Values of a list, packed or one by one."""
    if kind == 1:
        return [value for _, value in _fields(values)]
    if kind == 2:
        return _values(kind, values, pa.float32())
    return _values(kind, values, pa.int64())


def _read_frames(file: IO[bytes]) -> Iterator[bytes]:
    position = 0
    while head := file.read(12):
        try:
            length, checksum = struct.unpack("<QI", head)
            if checksum != _masked(head[:8]):
                raise IntegrityError(f"TFRecord at byte {position}: its checksum does not fit")
            record = file.read(length)
            (tail,) = struct.unpack("<I", file.read(4))
        except (struct.error, OverflowError):
            raise IntegrityError(f"TFRecord at byte {position}: the file ends within it") from None
        if tail != _masked(record):
            raise IntegrityError(f"TFRecord at byte {position}: its checksum does not fit")
        position += 16 + length
        yield record


def _read_example(record: bytes, types: Mapping[bytes, pa.DataType]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for _, features in _fields(record):
        for _, entry in _fields(features):
            (_, name), (_, feature) = _fields(entry)
            if (expected := types.get(name)) is not None:
                ((kind, values),) = _fields(feature)
                found = _values(kind, values, expected)
                row[name.decode()] = found if pa.types.is_list(expected) else found[0]
    return row


def _values(kind: int, values: bytes, found: pa.DataType) -> list[Any]:
    if kind == 1:
        return [value.decode() for _, value in _fields(values)]
    packed = b"".join(value for _, value in _fields(values))
    if kind == 2:
        return list(struct.unpack(f"<{len(packed) // 4}f", packed))
    numbers, position = [], 0
    while position < len(packed):
        number, position = _read_varint(packed, position)
        numbers.append(number - 2**64 if number >= 2**63 else number)
    plain = found.value_type if pa.types.is_list(found) else found
    return [bool(number) for number in numbers] if pa.types.is_boolean(plain) else numbers


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position < len(message):
        tag, position = _read_varint(message, position)
        length, position = _read_varint(message, position)
        yield tag >> 3, message[position : position + length]
        position += length


def _read_varint(data: bytes, position: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        octet = data[position]
        number |= (octet & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if octet < 0x80:
            return number, position


_ENCODERS: dict[str, Callable[[pa.Table], bytes]] = {"parquet": _parquet, "avro": _avro, "tfrecord": _tfrecord}
