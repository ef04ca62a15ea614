"""`log_analytics`: results of queries to Azure's Log Analytics, `{"tables":[{"name":…,"columns":[…],"rows":[[…]]}]}`.

https://learn.microsoft.com/azure/azure-monitor/logs/api/response-format. Each row of each table is a record with the columns' names as keys. A file is
one result, or several; a result is read as a whole, which the service bounds at 64 MB. What a data export writes is `azure_monitor`.
"""

import json

import msgspec
import numpy as np

from retrolabel.schemas.reject import Reason, Rejected
from retrolabel.transforms.formats.interface import Format, Unwrapped
from retrolabel.transforms.kernels import compiled
from retrolabel.transforms.kernels.columns import Octets
from retrolabel.transforms.kernels.json_line import JsonObject, loads
from retrolabel.transforms.kernels.json_text import spans, spans_and_commas, strays, whole_end
from retrolabel.transforms.kernels.lines import Lines, Positions

_DIGIT = np.isin(np.arange(256), list(b"0123456789"))


_FIRST = 100
"""Numbers that are tried as whole ones first: where many are none, Arrow is long about it."""

_LARGEST = 2**30
"""Bytes of the rows of a block once they have their columns' names; a result whose rows would be more is not read."""


class _Column(msgspec.Struct):
    name: str


class _Table(msgspec.Struct):
    columns: list[_Column]
    rows: msgspec.Raw


_decoder = msgspec.json.Decoder(_Table)


def record(text: bytes) -> JsonObject:
    """Reads the object that stands for a row (see `lines_of`)."""
    if text[:1] == b"[":
        raise Rejected(Reason.WRAPPER, "a row that is not as long as its table has columns")
    if text[:1] != b"{":
        raise Rejected(Reason.WRAPPER, "expected tables with columns and rows")
    return loads(text)


def lines_of(data: bytes) -> Lines:
    """The rows of all tables, each of which reads as an object."""
    octets = np.frombuffer(data, dtype=np.uint8)
    (begins, ends), tables, (firsts, lasts) = spans(octets, 0, 2, 4)
    ends = np.append(ends, len(data)) if len(ends) < len(begins) else ends
    stray, stray_ends = strays(octets, begins, ends)
    names = [_names(data[begin:end]) for begin, end in zip(*map(np.ndarray.tolist, tables), strict=False)]
    firsts = firsts[: len(lasts)]
    arrays = octets[firsts] == ord("[")
    firsts, lasts = firsts[arrays], lasts[arrays]
    if (
        not all(names)
        or len(tables[0]) != len(tables[1])
        or np.bincount(np.searchsorted(begins, tables[0], side="right"), minlength=len(begins) + 1)[1:].min(initial=1)
        < 1
        or len(stray)
    ):
        return _unreadable(data, np.concatenate([begins, stray]), np.concatenate([ends, stray_ends]))
    if not len(firsts):
        return Lines(b"")
    of = np.searchsorted(tables[0], firsts, side="right") - 1
    if len(data) + int(np.array([sum(map(len, columns)) for columns in names], dtype=np.int64)[of].sum()) > _LARGEST:
        return _unreadable(data, begins, ends)
    if compiled.scan is not None and all(found == names[0] for found in names):
        text, bounds = compiled.scan.named(octets, firsts, lasts, tuple(names[0]))
        places = np.frombuffer(bounds, dtype=np.int64)
        return Lines(text, (places[:-1], places[1:]), 0, firsts)
    ((rows, _),), (commas, within) = spans_and_commas(octets, (4,), 4)
    return _objects(octets, firsts, lasts, commas[octets[rows[within]] == ord("[")], of, names)


def _unreadable(data: bytes, begins: Positions, ends: Positions) -> Lines:
    """Results that cannot be read, a record each: with a space in front, as no row has."""
    order = np.argsort(begins, kind="stable")
    begins, ends = begins[order], ends[order]
    text = b"".join(b" " + data[begin:end] for begin, end in zip(begins.tolist(), ends.tolist(), strict=True))
    stops = np.cumsum(ends - begins + 1)
    return Lines(text, (stops - (ends - begins) - 1, stops), 0, begins)


def _names(table: bytes) -> list[bytes]:
    """The names of a table's columns, as JSON has them before values."""
    try:
        return [f"{json.dumps(column.name)}:".encode() for column in _decoder.decode(table).columns]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return []


def _objects(
    octets: Octets, firsts: Positions, lasts: Positions, commas: Positions, tables: Positions, names: list[list[bytes]]
) -> Lines:
    """Puts the columns' names before the values of rows, and braces around them."""
    counts = np.searchsorted(commas, lasts) - np.searchsorted(commas, firsts) + 1
    right = counts == np.array([len(columns) for columns in names], dtype=np.int64)[tables]
    fields = np.concatenate([firsts, commas])
    order = np.argsort(fields, kind="stable")
    rows = np.searchsorted(firsts, fields[order], side="right") - 1
    number = np.arange(len(fields)) - np.searchsorted(rows, np.arange(len(firsts)))[rows]
    put = right[rows]
    places, rows, number = fields[order][put] + 1, rows[put], number[put]
    words = [word for columns in names for word in columns]
    lengths = np.array([len(word) for word in words], dtype=np.int64)
    which = np.cumsum([0, *(len(columns) for columns in names)])[tables[rows]] + number
    text = octets.copy()
    text[firsts[right]], text[lasts[right] - 1] = ord("{"), ord("}")
    total = np.cumsum(lengths[which])
    begins = places + total - lengths[which]
    out = np.empty(len(octets) + int(total[-1] if len(total) else 0), dtype=np.uint8)
    kept = np.ones(len(out), dtype=bool)
    by_word = np.argsort(which, kind="stable")
    bounds = np.searchsorted(which[by_word], np.arange(len(words) + 1)).tolist()
    for word, first, last in zip(words, bounds, bounds[1:], strict=False):
        put_in = begins[by_word[first:last]][:, None] + np.arange(len(word))
        out[put_in], kept[put_in] = np.frombuffer(word, np.uint8), False
    out[kept] = text
    moved = np.concatenate([[0], total])
    starts = firsts + moved[np.searchsorted(places, firsts, side="right")]
    return Lines(out.tobytes(), (starts, lasts + moved[np.searchsorted(places, lasts - 1, side="right")]), 0, firsts)


def unwrap(lines: Lines) -> Unwrapped:
    """The objects are bare."""
    return Unwrapped(lines.data, {}, np.flatnonzero(lines.octets[lines.starts] != ord("{")))


def sniff(sample: bytes) -> float:
    """Whether the sample begins as results do."""
    begin = b"".join(sample[:2000].split())
    return 0.99 if begin.startswith(b'{"tables":[{"name":') and b'"columns":[' in begin else 0.0


FORMAT = Format(
    "log_analytics",
    "Results of queries to Azure's Log Analytics.",
    record,
    sniff,
    unwrap,
    lines_of,
    whole_end,
)
