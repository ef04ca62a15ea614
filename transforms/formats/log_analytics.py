"""`log_analytics`: results of queries to Azure's Log Analytics, `{"tables":[{"name":…,"columns":[…],"rows":[[…]]}]}`.

https://learn.microsoft.com/azure/azure-monitor/logs/api/response-format. Each row of each table is a record with the columns' names as keys. A file is
one result, or several; a result is read as a whole, which the service bounds at 64 MB. What a data export writes is `azure_monitor`.
"""

import json

import msgspec
import numpy as np

from retrolabel.schemas.reject import Reason, Rejected
from retrolabel.transforms.formats.interface import Format, Unwrapped
from retrolabel.transforms.kernels.columns import Octets, blanked
from retrolabel.transforms.kernels.json_line import JsonObject, loads
from retrolabel.transforms.kernels.json_text import spans, string_marks, whole_end
from retrolabel.transforms.kernels.lines import Lines, Positions


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
    found = loads(text)
    if "tables" in found or "error" in found:
        raise Rejected(Reason.WRAPPER, "expected tables with columns and rows")
    return found


def lines_of(data: bytes) -> Lines:
    """The rows of all tables, as objects."""
    octets = np.frombuffer(data, dtype=np.uint8)
    (begins, ends), tables, (firsts, lasts) = spans(octets, 0, 2, 4)
    ends = np.append(ends, len(data)) if len(ends) < len(begins) else ends
    names = [_names(data[begin:end]) for begin, end in zip(*map(np.ndarray.tolist, tables), strict=False)]
    arrays = np.flatnonzero(octets[firsts[: len(lasts)]] == ord("["))
    firsts, lasts = firsts[arrays], lasts[arrays]
    if (
        not all(names)
        or len(tables[0]) != len(tables[1])
        or np.bincount(np.searchsorted(begins, tables[0], side="right"), minlength=len(begins) + 1)[1:].min(initial=1)
        < 1
    ):
        return Lines(data, (begins, ends))  # a result that cannot be read is one record
    if not len(firsts):
        return Lines(b"")
    return _objects(octets, firsts, lasts, np.searchsorted(tables[0], firsts, side="right") - 1, names)


def _names(table: bytes) -> list[bytes]:
    """The names of a table's columns, as JSON has them before values."""
    try:
        return [f"{json.dumps(column.name)}:".encode() for column in _decoder.decode(table).columns]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return []


def _objects(octets: Octets, firsts: Positions, lasts: Positions, tables: Positions, names: list[list[bytes]]) -> Lines:
    """Puts the columns' names before the values of rows, and braces around them."""
    commas = _separators(octets, firsts, lasts)
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
    for word_number, word in enumerate(words):
        put_in = begins[which == word_number][:, None] + np.arange(len(word))
        out[put_in], kept[put_in] = np.frombuffer(word, np.uint8), False
    out[kept] = text
    moved = np.concatenate([[0], total])
    starts = firsts + moved[np.searchsorted(places, firsts, side="right")]
    return Lines(out.tobytes(), (starts, lasts + moved[np.searchsorted(places, lasts - 1, side="right")]), 0, firsts)


def _separators(octets: Octets, firsts: Positions, lasts: Positions) -> Positions:
    """The commas between the values of rows."""
    commas = np.flatnonzero(octets == ord(","))
    row = np.searchsorted(firsts, commas, side="right") - 1
    commas = commas[(row >= 0) & (commas < lasts[row])]
    commas = commas[np.searchsorted(string_marks(octets), commas) % 2 == 0]
    ((inner, inner_ends),) = spans(octets, 5)
    if not len(inner):
        return np.asarray(commas)
    within = np.searchsorted(inner, commas, side="right") - 1
    return np.asarray(commas[(within < 0) | (commas >= inner_ends[np.minimum(within, len(inner_ends) - 1)])])


def unwrap(lines: Lines) -> Unwrapped:
    """The rows are objects; what stands between them is blanked."""
    gaps = np.concatenate([[0], lines.ends]), np.append(lines.starts, len(lines.data))
    return Unwrapped(blanked(lines.data, *gaps), {}, np.flatnonzero(lines.octets[lines.starts] != ord("{")))


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
