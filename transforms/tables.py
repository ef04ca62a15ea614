"""Rows of any files as blocks: Parquet, Avro, TFRecord, CSV and JSON lines, read in bounded memory."""

import collections
import concurrent.futures
import gzip
import io
import itertools
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import IO, Any

import fastavro
import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.json as arrow_json
import pyarrow.parquet as pq
import zstandard

from retrolabel.schemas.errors import InputError, IntegrityError
from retrolabel.transforms.kernels.table_statistics import Sliced, partial_statistics
from retrolabel.transforms.parts import read_records

BLOCK_BYTES = 32 * 2**20
"""Of a block in memory, about."""

_RECORDS = 50_000
_PLAIN_CSV = (pa.int64(), pa.float64(), pa.null())
_WIDER = {pa.null(): pa.int64(), pa.int64(): pa.float64()}
_BAD_COLUMN = re.compile(r"In CSV column #(\d+)")


def statistics_of_files(
    paths: Sequence[str],
    columns: Sequence[str] | None = None,
    slices: Sequence[Sequence[str]] = (),
    labels: Sequence[str] = (),
    weight: str | None = None,
) -> Iterator[Sliced]:
    """Partial statistics of each block of files, in order, on all cores.

    Args:
        paths: local files.
        columns: which; all by default.
        slices: as for `partial_statistics`.
        labels: as for `partial_statistics`.
        weight: the column with the rows' weights.

    Raises:
        InputError: a file cannot be read, or a column has no statistics.
    """
    workers = os.cpu_count() or 1
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        waiting: collections.deque[concurrent.futures.Future[Sliced]] = collections.deque()
        for block in itertools.chain.from_iterable(blocks_of(path, columns) for path in paths):
            waiting.append(pool.submit(partial_statistics, block, slices, labels, weight))
            if len(waiting) > workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def blocks_of(path: str, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """The rows of one file, some megabytes at a time.

    Raises:
        InputError: it cannot be read, or its name does not tell its format.
    """
    plain = re.sub(r"\.(gz|gzip|zst|zstd)$", "", path)
    read = _READERS.get(plain.rpartition(".")[2].lower())
    if read is None:
        raise InputError(f"{path!r}: its name does not tell its format; expected one of {', '.join('.' + one for one in _READERS)}, "
                         "plain or with .gz or .zst")  # fmt: skip
    try:
        for table in read(path):
            yield table if columns is None else _chosen(table, columns, path)
    except OSError as error:
        raise InputError(f"cannot read {path!r}: {error.strerror or error}") from None
    except (pa.ArrowInvalid, IntegrityError, ValueError, EOFError, zstandard.ZstdError) as error:
        raise InputError(
            f"{path!r} is not what its name says, or damaged: {str(error).splitlines()[0][:200]}"
        ) from None


def _chosen(table: pa.Table, columns: Sequence[str], path: str) -> pa.Table:
    if missing := [name for name in columns if name not in table.column_names]:
        raise InputError(f"{path!r} has no column {missing[0]!r}; it has {', '.join(table.column_names[:20])}")
    return table.select(list(columns))


def _opened(path: str) -> IO[bytes]:
    if path.endswith((".gz", ".gzip")):
        return gzip.open(path, "rb")  # type: ignore[return-value]
    if path.endswith((".zst", ".zstd")):
        return io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(open(path, "rb"), read_across_frames=True))
    return open(path, "rb")


def _parquet(path: str) -> Iterator[pa.Table]:
    with pq.ParquetFile(path, memory_map=True) as file:
        size = sum(file.metadata.row_group(number).total_byte_size for number in range(file.num_row_groups))
        rows = max(1, int(file.metadata.num_rows * BLOCK_BYTES / max(size, 1)))
        if not file.metadata.num_rows:
            yield file.schema_arrow.empty_table()
        for batch in file.iter_batches(batch_size=min(rows, 1_000_000)):
            yield pa.Table.from_batches([batch])


def _csv(path: str) -> Iterator[pa.Table]:
    """Columns of whole numbers, fractions or texts, as all their values allow, which a first pass tells; an empty field is missing."""
    types: dict[str, pa.DataType] = {}
    while (wider := _wider_types(path, types)) != types:
        types = wider
    for batch in _csv_batches(path, types):
        yield pa.Table.from_batches([batch])


def _wider_types(path: str, types: dict[str, pa.DataType]) -> dict[str, pa.DataType]:
    """The types after the first value that does not fit these; the same if all do."""
    try:
        for batch in _csv_batches(path, types):
            if not types:
                return {field.name: field.type if field.type in _PLAIN_CSV else pa.string() for field in batch.schema}
    except pa.ArrowInvalid as error:
        column = _BAD_COLUMN.search(str(error))
        if column is None:
            raise
        name = list(types)[int(column[1])]
        return {**types, name: _WIDER.get(types[name], pa.string())}
    return types


def _csv_batches(path: str, types: dict[str, pa.DataType]) -> Iterator[pa.RecordBatch]:
    convert = csv.ConvertOptions(column_types=types, strings_can_be_null=True, null_values=[""])
    with _opened(path) as file:
        reader = csv.open_csv(file, csv.ReadOptions(block_size=BLOCK_BYTES // 2), convert_options=convert)
        rows = 0
        for batch in reader:
            rows += batch.num_rows
            yield batch
        if not rows:
            yield pa.RecordBatch.from_pylist([], reader.schema)


def _json_lines(path: str) -> Iterator[pa.Table]:
    with _opened(path) as file:
        while block := file.read(BLOCK_BYTES // 2):
            yield _json_table(block + file.readline())


def _json_table(block: bytes) -> pa.Table:
    """Times stay the texts that they are: whether they all are times is not seen from one block."""
    table = arrow_json.read_json(io.BytesIO(block), arrow_json.ReadOptions(block_size=len(block) + 1))
    plain = pa.schema([pa.field(field.name, _without_times(field.type)) for field in table.schema])
    if plain == table.schema:
        return table
    options = arrow_json.ParseOptions(explicit_schema=plain)
    return arrow_json.read_json(io.BytesIO(block), arrow_json.ReadOptions(block_size=len(block) + 1), options)


def _without_times(found: pa.DataType) -> pa.DataType:
    if pa.types.is_timestamp(found):
        return pa.string()
    if pa.types.is_list(found):
        return pa.list_(_without_times(found.value_type))
    if pa.types.is_struct(found):
        return pa.struct([pa.field(field.name, _without_times(field.type)) for field in found])
    return found


def _avro(path: str) -> Iterator[pa.Table]:
    with _opened(path) as file:
        reader: Any = fastavro.reader(file)
        fields = reader.writer_schema["fields"]
        yield from _in_blocks(
            reader, pa.schema([pa.field(field["name"], _avro_type(field["type"])) for field in fields])
        )


def _avro_type(found: Any) -> pa.DataType:
    """The Arrow type of values of an Avro type, as fastavro reads them."""
    if isinstance(found, list):
        kinds = [one for one in found if one != "null"]
        return _avro_type(kinds[0]) if len(kinds) == 1 else pa.string() if kinds else pa.null()
    if isinstance(found, dict):
        logical = found.get("logicalType", "")
        if logical.startswith(("timestamp-", "local-timestamp-")):
            return pa.timestamp("us", tz="UTC")
        if found["type"] == "array":
            return pa.list_(_avro_type(found["items"]))
        if found["type"] == "record":
            return pa.struct([pa.field(field["name"], _avro_type(field["type"])) for field in found["fields"]])
        return {"date": pa.date32(), "decimal": pa.decimal128(38, found.get("scale", 0))}.get(logical) or _avro_type(
            found["type"]
        )
    types = {"int": pa.int64(), "long": pa.int64(), "float": pa.float32(), "double": pa.float64(), "boolean": pa.bool_(),
             "bytes": pa.binary(), "fixed": pa.binary(), "null": pa.null()}  # fmt: skip
    return types.get(found, pa.string())


def _in_blocks(records: Iterable[dict[str, Any]], schema: pa.Schema | None) -> Iterator[pa.Table]:
    yielded = False
    records = iter(records)
    while block := list(itertools.islice(records, _RECORDS)):
        names = schema.names if schema else dict.fromkeys(name for record in block for name in record)
        yield pa.table(
            {
                name: pa.array([record.get(name) for record in block], schema.field(name).type if schema else None)
                for name in names
            }
        )
        yielded = True
    if not yielded and schema is not None:
        yield schema.empty_table()


def _tfrecord(path: str) -> Iterator[pa.Table]:
    """Every feature is a list, as TensorFlow Data Validation sees it."""
    with _opened(path) as file:
        yield from _in_blocks(read_records(file), None)


_READERS: dict[str, Callable[[str], Iterator[pa.Table]]] = {
    "parquet": _parquet, "avro": _avro, "tfrecord": _tfrecord, "tfrecords": _tfrecord, "csv": _csv, "jsonl": _json_lines, "ndjson": _json_lines,
    "json": _json_lines,
}  # fmt: skip
