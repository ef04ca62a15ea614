"""`log_analytics`: results of queries to Azure's Log Analytics, `{"tables":[{"name":…,"columns":[…],"rows":[[…]]}]}`.

https://learn.microsoft.com/azure/azure-monitor/logs/api/response-format. Each row of each table is a record with the columns' names as keys. A file is
one result, or several; a result is read as a whole, which the service bounds at 64 MB. What a data export writes is `azure_monitor`.
"""

import functools
import itertools
import json
from collections.abc import Sequence

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from retrolabel.schemas.reject import Reason, Rejected
from retrolabel.transforms.formats.interface import Format, Unwrapped, made
from retrolabel.transforms.kernels.coerce import Column, either
from retrolabel.transforms.kernels.columns import Mask, Octets, strings
from retrolabel.transforms.kernels.json_block import Shape, read_objects
from retrolabel.transforms.kernels.json_line import JsonObject, loads
from retrolabel.transforms.kernels.json_text import spans_and_commas, strays, whole_end
from retrolabel.transforms.kernels.lines import Lines, Positions, trimmed

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
    found, (commas, within) = spans_and_commas(octets, (0, 2, 4, 5), 4)
    (begins, ends), tables, (firsts, lasts), (nested, _) = found
    ends = np.append(ends, len(data)) if len(ends) < len(begins) else ends
    stray, stray_ends = strays(octets, begins, ends)
    names = [_names(data[begin:end]) for begin, end in zip(*map(np.ndarray.tolist, tables), strict=False)]
    arrays = octets[firsts] == ord("[")
    commas, arrays = commas[arrays[within]], arrays[: len(lasts)]
    firsts, lasts = firsts[: len(lasts)][arrays], lasts[arrays]
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
    if len(nested) or len(set(names[0])) < len(names[0]) or any(found != names[0] for found in names):
        return _objects(octets, firsts, lasts, commas, of, names)
    return _Rows(data, (firsts, lasts), commas, names[0])


class _Rows(Lines):
    """Rows of plain values under the same names, which are read as columns where they stand."""

    def __init__(
        self, data: bytes, bounds: tuple[Positions, Positions], commas: Positions, names: Sequence[bytes]
    ) -> None:
        super().__init__(data, bounds, text=self._object)
        self.names, self._commas = names, commas
        self._begins, self.right = _placed(bounds, commas, len(names) - 1)

    def only(self, positions: Positions) -> "_Rows":
        """A block of some of the rows."""
        bounds = self.starts[positions], self.ends[positions]
        return self if len(positions) == len(self) else _Rows(self.data, bounds, self._commas, self.names)

    def value(self, number: int) -> tuple[Positions, Positions]:
        """Where the values of a column begin and end; nothing in rows of another length."""
        row = self._begins + number - 1
        places = np.append(self._commas, 0)  # if there is but one column, there are no commas
        begins = self.starts + 1 if number == 0 else places[np.minimum(row, len(self._commas))] + 1
        ends = self.ends - 1 if number == len(self.names) - 1 else places[np.minimum(row + 1, len(self._commas))]
        if not self.right.all():
            begins, ends = np.where(self.right, begins, self.starts), np.where(self.right, ends, self.starts)
        return trimmed(self.octets, begins, ends) if self._spaced else (begins, ends)

    @functools.cached_property
    def _spaced(self) -> bool:
        """Whether there is white space around values, which the service does not write."""
        before, after = (
            np.concatenate(places) for places in ((self.starts, self._commas), (self.ends - 1, self._commas))
        )
        return bool((self.octets[before + 1] <= ord(" ")).any() or (self.octets[after - 1] <= ord(" ")).any())

    @functools.cached_property
    def escapes(self) -> bool:
        """Whether strings may hold escapes."""
        return b"\\" in self.data

    def _object(self, position: int) -> bytes:
        first, last = int(self.starts[position]), int(self.ends[position])
        if not self.right[position]:
            return self.data[first:last]
        begin = int(self._begins[position])
        edges = [first, *self._commas[begin : begin + len(self.names) - 1].tolist(), last - 1]
        values = [self.data[edge + 1 : end] for edge, end in itertools.pairwise(edges)]
        return b"{" + b",".join(map(b"".join, zip(self.names, values, strict=True))) + b"}"


def _placed(bounds: tuple[Positions, Positions], commas: Positions, usual: int) -> tuple[Positions, Mask]:
    """The number of the first comma of each row, and whether the row has as many as is usual."""
    count = len(bounds[0])
    if len(commas) == count * usual:
        each = commas.reshape(count, usual)
        if not usual or (np.all(each[:, 0] > bounds[0]) and np.all(each[:, -1] < bounds[1])):
            return np.arange(count) * usual, np.ones(count, dtype=bool)
    begins, ends = (np.searchsorted(commas, bound) for bound in bounds)
    return begins, ends - begins == usual


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
    """Rows of plain values are columns; objects are bare."""
    if isinstance(lines, _Rows):
        # JSON that could be read whole (see `_names`): what a value is shows its first byte.
        fields = {
            json.loads(name[:-1]): made(functools.partial(_column, lines, number))
            for number, name in enumerate(lines.names)
        }
        return Unwrapped(None, fields, np.flatnonzero(~lines.right))
    return Unwrapped(lines.data, {}, np.flatnonzero(lines.octets[lines.starts] != ord("{")))


def _column(rows: _Rows, number: int) -> Column:
    begins, ends = rows.value(number)
    first = np.where(rows.right, rows.octets[begins], ord("n"))
    quoted = first == ord('"')
    if quoted.all():
        column = strings(rows.octets, begins + 1, ends - 1)
        return _unescaped(column) if rows.escapes else (column, None)
    words, numbers = (first == ord("t")) | (first == ord("f")), (first == ord("-")) | _DIGIT[first]
    if np.count_nonzero(quoted) > np.count_nonzero(words | numbers):
        column, doubt = strings(rows.octets, begins + quoted, ends - quoted, quoted), None
        if rows.escapes:
            column, doubt = _unescaped(column)
        return column, either(doubt, pa.array(words | numbers))
    if np.count_nonzero(words) > np.count_nonzero(numbers):
        return pc.equal(strings(rows.octets, begins, ends, words), "true"), pa.array(quoted | numbers)
    text = strings(rows.octets, begins, ends, numbers)
    doubt = either(pa.array(quoted | words), pc.equal(text, "-0"))  # a float
    try:
        text.slice(0, _FIRST).cast(pa.int64())
        return text.cast(pa.int64()), doubt
    except pa.ArrowInvalid:
        return text.cast(pa.float64()), doubt


def _unescaped(column: pa.Array) -> Column:
    """Strings as JSON escapes them, read."""
    escaped = pc.fill_null(pc.match_substring(column, "\\"), False)
    if not pc.any(escaped).as_py():
        return column, None
    objects = pc.binary_join_element_wise('{"v":"', column.filter(escaped), '"}', "")
    bounds = np.frombuffer(objects.buffers()[1], dtype=np.int32)[objects.offset :][: len(objects) + 1].astype(np.int64)
    text = memoryview(objects.buffers()[2])
    shape = Shape({("v",): "string"})
    found, read, _ = read_objects(text, bounds[:-1], bounds[1:], np.arange(len(objects)), [shape])
    rows = np.flatnonzero(escaped.to_numpy(zero_copy_only=False))
    good, left = (np.isin(np.arange(len(column)), some) for some in (rows[read], np.delete(rows, read)))
    values = found.column("v").combine_chunks()
    return pc.replace_with_mask(column, pa.array(good), values), pa.array(left) if left.any() else None


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
