"""`parquet`: Parquet files (https://parquet.apache.org/docs/file-format/), a row a record.

Columns are read as they are. Structs and maps are objects, timestamps and dates ISO 8601, decimals text, binary values text where they are UTF-8.
What looks like JSON in a string is a string, unless `unwrap` says otherwise. Where a record stands is told by the number of its row, from 0: a row
has no place in bytes.
"""

import functools
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from retrolabel.transforms.formats.interface import Format, Path, Unwrapped
from retrolabel.transforms.kernels.coerce import RAW_TYPES, Column
from retrolabel.transforms.kernels.json_line import loads
from retrolabel.transforms.kernels.lines import Lines, Rows

_BATCH_BYTES = 16 * 2**20
_MOST_ROWS = 2**17
"""Of a batch: a run of equal values takes a few bytes however long it is."""

_MAGIC = b"PAR1"


def blocks(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Batches of rows as Arrow IPC, and the number of the first row of each."""
    number = 0
    try:
        found = pq.ParquetFile(pa.PythonFile(file, mode="r"))
        for group in range(found.num_row_groups):
            size = found.metadata.row_group(group)
            rows = min(max(1000, _BATCH_BYTES * size.num_rows // max(size.total_byte_size, 1)), _MOST_ROWS)
            for batch in found.iter_batches(rows, [group], use_threads=False):
                batch = _sound(batch)
                sink = pa.BufferOutputStream()
                with pa.ipc.new_stream(sink, batch.schema) as writer:
                    writer.write_batch(batch)
                yield number, sink.getvalue().to_pybytes()
                number += batch.num_rows
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"not a Parquet file that can be read: {error}") from None


def _sound(batch: pa.RecordBatch) -> pa.RecordBatch:
    """A batch with texts as bytes if one is no UTF-8, which nobody has looked at yet: `_as_json` judges them.

    Raises:
        ArrowException: something else is wrong.
    """
    try:
        batch.validate(full=True)
    except pa.ArrowInvalid:
        raw = pa.schema([pa.field(field.name, _without_text(field.type)) for field in batch.schema])
        batch = pa.RecordBatch.from_arrays(
            [
                (column.dictionary_decode() if pa.types.is_dictionary(column.type) else column).cast(field.type)
                for column, field in zip(batch.columns, raw, strict=True)
            ],
            schema=raw,
        )
        batch.validate(full=True)
    return batch


def _without_text(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(kind):
        return _without_text(kind.value_type)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return pa.binary()
    if pa.types.is_list(kind):
        return pa.list_(_without_text(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(field.name, _without_text(field.type)) for field in kind])
    return kind


def lines_of(data: bytes) -> Lines:
    """The rows of a batch."""
    if not data:
        return Lines(data)
    table = pa.ipc.open_stream(data).read_all()
    return Rows(table, np.arange(table.num_rows))


def unwrap(lines: Lines) -> Unwrapped:
    """The columns are there already."""
    table = lines.table.combine_chunks() if isinstance(lines, Rows) else pa.table({})
    return Unwrapped(
        None, {name: functools.partial(column_below, _chunk(table.column(name))) for name in table.schema.names}
    )


def _chunk(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks else pa.array([], column.type)


def column_below(column: pa.Array, path: Path) -> Column:
    """The values at a path below a column, of the kinds that JSON has."""
    for key in path:
        if pa.types.is_struct(column.type):
            index = column.type.get_field_index(key)
            column = pc.struct_field(column, index) if index >= 0 else pa.nulls(len(column), pa.string())
        elif pa.types.is_map(column.type):
            column = pc.map_lookup(column, pa.scalar(key, column.type.key_type), "last")
        else:
            return pa.nulls(len(column), pa.string()), pc.is_valid(column)
    return _as_json(column)


def _as_json(column: pa.Array) -> Column:
    """A column as one of the kinds that JSON has; what has no such kind is in doubt."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind: Any = column.type
    if pa.types.is_large_list(kind) or (pa.types.is_list(kind) and kind.value_type not in RAW_TYPES.values()):
        values, doubt = _as_json(column.flatten())
        if doubt is None and not column.null_count:
            offsets = np.concatenate([[0], np.cumsum(pc.list_value_length(column).to_numpy())]).astype(np.int32)
            return pa.ListArray.from_arrays(pa.array(offsets), values), None
        return pa.nulls(len(column), pa.string()), pc.is_valid(column)
    target = next((to for test, to in _KINDS if test(kind)), None)
    if kind in RAW_TYPES.values() or pa.types.is_list(kind):
        return column, None
    try:
        if target is not None:
            return column.cast(target), None
        if pa.types.is_timestamp(kind):
            return _iso(column), None
    except pa.ArrowInvalid:
        pass
    return pa.nulls(len(column), pa.string()), pc.is_valid(column)


_KINDS: tuple[tuple[Any, pa.DataType], ...] = (
    (pa.types.is_integer, pa.int64()), (pa.types.is_floating, pa.float64()), (pa.types.is_large_string, pa.string()),
    (pa.types.is_string_view, pa.string()), (pa.types.is_binary, pa.string()), (pa.types.is_large_binary, pa.string()),
    (pa.types.is_decimal, pa.string()), (pa.types.is_date, pa.string()),
)  # fmt: skip


def _iso(column: pa.Array) -> pa.Array:
    """Timestamps as text; without a zone they have none there either."""
    zone = "Z" if column.type.tz else ""
    text = column.cast(pa.timestamp(column.type.unit)).cast(pa.string())
    return pc.binary_join_element_wise(text, zone, "")


def sniff(sample: bytes) -> float:
    """Whether the file begins with Parquet's magic bytes."""
    return 1.0 if sample.startswith(_MAGIC) else 0.0


FORMAT = Format("parquet", "Parquet files.", loads, sniff, unwrap, lines_of, blocks=blocks)
