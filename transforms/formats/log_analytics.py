"""`log_analytics`: results of queries to Azure's Log Analytics, `{"tables":[{"name":…,"columns":[…],"rows":[[…]]}]}`.

https://learn.microsoft.com/azure/azure-monitor/logs/api/response-format. Each row of each table is a record with the columns' names as keys. A file is
one result, or several; a result is read as a whole, which a service bounds at 64 MB. What a data export writes is `azure_monitor`.
"""

import itertools
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from retrolabel.schemas.reject import Reason, Rejected
from retrolabel.transforms.formats.interface import Format, Unwrapped
from retrolabel.transforms.formats.parquet import unwrap as columns_of
from retrolabel.transforms.kernels.json_line import JsonObject, loads
from retrolabel.transforms.kernels.json_text import spans
from retrolabel.transforms.kernels.lines import Lines, Positions, Rows


class _Column(msgspec.Struct):
    name: str


class _Table(msgspec.Struct):
    columns: list[_Column]
    rows: list[list[Any]]


class _Result(msgspec.Struct):
    tables: list[_Table]


_decoder = msgspec.json.Decoder(_Result)


def record(text: bytes) -> JsonObject:
    """Reads the JSON object that stands for one row."""
    found = loads(text)
    if "tables" in found:
        raise Rejected(Reason.WRAPPER, "expected tables with columns and with rows as long as these")
    return found


def lines_of(data: bytes) -> Lines:
    """The rows of all tables."""
    octets = np.frombuffer(data, dtype=np.uint8)
    begins, ends = spans(octets)
    ends = np.append(ends, len(data)) if len(ends) < len(begins) else ends
    try:
        results = [_decoder.decode(data[begin:end]) for begin, end in zip(begins.tolist(), ends.tolist(), strict=True)]
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return Lines(data, (begins, ends))
    tables = [table for result in results for table in result.tables]
    if any(set(map(len, table.rows)) - {len(table.columns)} for table in tables):
        return Lines(data, (begins, ends))
    offsets = spans(octets, level=4)[0]
    offsets = offsets[octets[offsets] == ord("[")]
    names = dict.fromkeys(column.name for table in tables for column in table.columns)
    columns = {name: list(itertools.chain.from_iterable(_values(table, name) for table in tables)) for name in names}
    try:
        return Rows(pa.table(columns), offsets)
    except pa.ArrowException:  # values of several kinds in one column
        return _lines(columns, offsets)


def _values(table: _Table, name: str) -> Any:
    place = next((number for number, column in enumerate(table.columns) if column.name == name), None)
    if place is None:
        return itertools.repeat(None, len(table.rows))
    return next(itertools.islice(zip(*table.rows, strict=True), place, None), ())


def _lines(columns: dict[str, list[Any]], offsets: Positions) -> Lines:
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    text = msgspec.json.Encoder().encode_lines(rows)
    ends = np.flatnonzero(np.frombuffer(text, np.uint8) == ord("\n"))
    return Lines(text, (np.concatenate([[0], ends[:-1] + 1]), ends), 0, offsets)


def unwrap(lines: Lines) -> Unwrapped:
    """The columns are there already."""
    return columns_of(lines) if isinstance(lines, Rows) else Unwrapped(lines.data)


def cut(data: bytes) -> int:
    """Up to the end of the last whole result."""
    _, ends = spans(np.frombuffer(data, dtype=np.uint8))
    return int(ends[-1]) if len(ends) else 0


def sniff(sample: bytes) -> float:
    """Whether the sample begins as results do."""
    begin = b"".join(sample[:200].split())
    return 0.99 if begin.startswith(b'{"tables":[{"name":') and b'"columns":[' in b"".join(sample[:2000].split()) else 0.0


FORMAT = Format(
    "log_analytics",
    "Results of queries to Azure's Log Analytics.",
    record,
    sniff,
    unwrap,
    lines_of,
    cut,
)
