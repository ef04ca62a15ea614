"""`csv`: values between delimiters, as RFC 4180 (https://www.rfc-editor.org/rfc/rfc4180) has it.

A value in quotes may hold delimiters, line ends and doubled quotes. A value without quotes is text as it stands; an empty one is null,
as an empty one in quotes is not. The first record of a file names the columns, and tells the delimiter, unless `options` do:
`{columns: [time, tag, id], delimiter: ";"}`. Fluentd's csv formatter writes no header (https://docs.fluentd.org/formatter/csv).
"""

import collections
import datetime
import functools
import re
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from retrolabel.schemas.reject import Reason, Rejected
from retrolabel.transforms.formats.interface import Below, Format, Unwrapped, made
from retrolabel.transforms.kernels.coerce import Column
from retrolabel.transforms.kernels.columns import strings
from retrolabel.transforms.kernels.json_line import JsonObject
from retrolabel.transforms.kernels.lines import Lines, Positions, without_ends

_DELIMITERS = ",\t;|"
_PATIENCE = 10 * 2**20
"""Bytes after which a quote is taken for one that is never closed."""


def record(columns: tuple[str, ...], delimiter: str, text: bytes) -> JsonObject:
    """Reads one record."""
    try:
        values = _values(text.decode(), delimiter)
    except UnicodeDecodeError as error:
        raise Rejected(Reason.UTF8, f"not valid UTF-8 at byte {error.start} of the line") from None
    if len(values) != len(columns):
        raise Rejected(Reason.WRAPPER, f"expected {len(columns)} columns, got {len(values)}")
    found = JsonObject(zip(columns, values, strict=True))
    if len(found) < len(columns):
        found.repeated = _repeated(columns)
    return found


@functools.lru_cache(maxsize=16)
def _repeated(columns: tuple[str, ...]) -> frozenset[str]:
    return frozenset(name for name, count in collections.Counter(columns).items() if count > 1)


def _values(text: str, delimiter: str) -> list[str | None]:
    values: list[str | None] = []
    for value in _field(delimiter).findall(text + delimiter):
        value = value[: -len(delimiter)]
        if value[:1] != '"':
            values.append(value or None)
        elif re.fullmatch('"(?:[^"]|"")*"', value):
            values.append(value[1:-1].replace('""', '"'))
        else:
            raise Rejected(Reason.MALFORMED, f"the quotes of column {len(values) + 1} do not match")
    return values


@functools.cache
def _field(delimiter: str) -> re.Pattern[str]:
    end = re.escape(delimiter)
    return re.compile(f'(?:"(?:[^"]|"")*"[^{end}]*|[^{end}]*){end}')


@functools.cache
def _record_end(delimiter: str) -> re.Pattern[bytes]:
    end = re.escape(delimiter)
    value = f'(?:"(?:[^"]|"")*"[^{end}\\n]*|[^{end}\\n]*)'
    return re.compile(f"{value}(?:{end}{value})*(?:\\n|\\Z)".encode())


def lines_of(delimiter: str, data: bytes) -> Lines:
    """The records of a block: line ends in quotes end none."""
    ends = _newlines(delimiter, Lines(data))
    if data and (not len(ends) or ends[-1] < len(data) - 1):
        ends = np.append(ends, len(data))
    return without_ends(data, ends)


def _newlines(delimiter: str, lines: Lines) -> Positions:
    """The line ends that end records."""
    newlines, quotes = (np.flatnonzero(lines.octets == octet) for octet in b'\n"')
    if not len(quotes):
        return newlines
    if _in_order(delimiter, lines, quotes):
        return np.asarray(newlines[np.searchsorted(quotes, newlines) % 2 == 0])
    ends = [match.end() - 1 for match in _record_end(delimiter).finditer(lines.data) if match[0][-1:] == b"\n"]
    return np.array(ends, dtype=np.int64)


def _in_order(delimiter: str, lines: Lines, quotes: Positions) -> bool:
    """Whether quotes open values and close them in turn; a doubled one closes and opens again."""
    opening = quotes[::2]
    before = lines.octets[np.maximum(opening - 1, 0)]
    return len(quotes) % 2 == 0 and bool(np.all((opening == 0) | np.isin(before, list(f'{delimiter}\n"'.encode()))))


def cut(delimiter: str, data: bytes) -> int:
    """Up to the last line end that is in no quotes; past a quote that seems to be never closed."""
    lines = Lines(data)
    quotes, newlines = (np.flatnonzero(lines.octets == octet) for octet in b'"\n')
    outside = newlines[np.searchsorted(quotes, newlines) % 2 == 0]
    end = int(outside[-1]) + 1 if len(outside) else 0
    return end if len(data) - end < _PATIENCE else int(newlines[-1]) + 1 if len(newlines) else 0


def _is_by_line(data: bytes) -> bool:
    return b'"' not in data


def unwrap(columns: tuple[str, ...], delimiter: str, lines: Lines) -> Unwrapped:
    """Finds all delimiters at once; a column is made of what stands between them."""
    octets, starts, ends = lines.octets, lines.starts, lines.ends
    delimiters, quotes = (np.flatnonzero(octets == ord(character)) for character in (delimiter, '"'))
    quoted = np.zeros(len(lines), dtype=bool)
    if len(quotes) and _in_order(delimiter, lines, quotes):
        delimiters = delimiters[np.searchsorted(quotes, delimiters) % 2 == 0]
        closing = quotes[1::2]
        rows = np.searchsorted(starts, closing, side="right") - 1
        after = octets[np.minimum(closing + 1, len(octets) - 1)]
        quoted[rows[(closing + 1 < ends[rows]) & ~np.isin(after, list(f'{delimiter}"'.encode()))]] = True
    elif len(quotes):
        quoted[np.searchsorted(starts, quotes, side="right") - 1] = True
    first = np.searchsorted(delimiters, starts)
    good = (np.searchsorted(delimiters, ends) - first == len(columns) - 1) & ~quoted

    def column(number: int) -> Column:
        begins, stops = starts.copy(), starts.copy()
        begins[good] = starts[good] if number == 0 else delimiters[first[good] + number - 1] + 1
        stops[good] = ends[good] if number == len(columns) - 1 else delimiters[first[good] + number]
        return _unquoted(lines, begins, stops)

    unknown = pa.nulls(len(lines), pa.string()), pa.array(np.ones(len(lines), dtype=bool))
    repeated = _repeated(columns)
    fields: dict[str, Below] = {
        name: made(lambda: unknown) if name in repeated else made(functools.partial(column, number))
        for number, name in enumerate(columns)
    }
    return Unwrapped(None, fields, np.flatnonzero(~good))


def _unquoted(lines: Lines, begins: Positions, stops: Positions) -> Column:
    valid = stops > begins
    opened = valid & (lines.octets[np.minimum(begins, len(lines.data) - 1)] == ord('"'))
    if not opened.any():
        return strings(lines.octets, begins, stops, valid), None
    closed = opened & (stops > begins + 1) & (lines.octets[stops - 1] == ord('"'))
    column = strings(lines.octets, begins + closed, stops - closed, valid)
    if pc.any(pc.match_substring(column, '"')).as_py():
        column = pc.if_else(pa.array(closed), pc.replace_substring(column, '""', '"'), column)
    return column, pa.array(opened & ~closed) if (opened & ~closed).any() else None


def head(data: bytes) -> int:
    """Up to the end of the first record; what other formats begin with is no header, and refused with the records."""
    if _NO_HEADER.match(data):
        return 0
    end = data.find(b"\n") + 1
    while end and data.count(b'"', 0, end) % 2:
        end = data.find(b"\n", end) + 1
    return end or len(data)


def opened(delimiter: str | None, first: bytes) -> Format:
    """The format of a file by its header."""
    text = first.decode(errors="replace").strip("\r\n")
    delimiter = delimiter or max(_DELIMITERS, key=text.count)
    try:
        names = tuple(name or f"column_{number}" for number, name in enumerate(_values(text, delimiter), 1))
    except Rejected:
        names = ()
    return _format(names, delimiter)


def configure(columns: list[str] | None = None, delimiter: str | None = None) -> Format:
    """The format of files without a header, or with another delimiter than a look at the header tells."""
    if delimiter is not None and (len(delimiter) != 1 or not delimiter.isascii() or delimiter in '"\r\n'):
        raise ValueError("is one ASCII character, and neither a quote nor a line end")
    if columns:
        return _format(tuple(columns), delimiter or ",")
    return Format(
        "csv",
        "CSV with a header, or with `columns` under `options`; quotes as in RFC 4180.",
        _unopened,
        sniff,
        lambda lines: Unwrapped(None, {}, np.arange(len(lines))),
        cut=functools.partial(cut, delimiter or ","),
        head=head,
        by_line=_is_by_line,
        opened=functools.partial(opened, delimiter),
        configure=configure,
        suggest=suggest,
        typed=False,
    )


def _unopened(_: bytes) -> JsonObject:
    raise Rejected(Reason.WRAPPER, "no header")


def _format(columns: tuple[str, ...], delimiter: str) -> Format:
    return Format(
        "csv",
        "",
        functools.partial(record, columns, delimiter),
        sniff,
        functools.partial(unwrap, columns, delimiter),
        functools.partial(lines_of, delimiter),
        functools.partial(cut, delimiter),
        by_line=_is_by_line,
        typed=False,
    )


_NO_HEADER = re.compile(rb'\s*(?:\{\s*"|\[\s*[{\[])|(?:PAR1|Obj)?[\x00-\x08\x0e-\x1f\x80-\xbf]')
"""JSON, MessagePack, Avro, Parquet."""

_BRACKETED = re.compile(rb"\[[\d\"{\[]")


def _sampled(sample: bytes) -> tuple[str, list[list[str | None]]]:
    """The delimiter, and the values of the first records."""
    text = sample[: head(sample)].decode(errors="replace").strip("\r\n")
    delimiter = max(_DELIMITERS, key=text.count)
    lines = lines_of(delimiter, sample[: sample.rfind(b"\n") + 1] or sample)
    rows = []
    for position in range(min(len(lines), 200)):
        try:
            rows.append(_values(lines.line(position).decode(), delimiter))
        except (Rejected, UnicodeDecodeError):
            rows.append([])
    return delimiter, rows


def _is_header(values: Sequence[str | None]) -> bool:
    names = [value for value in values if value and re.match(r"[^\W\d][\w .@/()\[\]%#?$&+:-]*$", value)]
    return len(names) == len(values) == len(set(names))


def sniff(sample: bytes) -> float:
    """The share of records with as many columns as the first one; JSON and times in brackets are none of them."""
    _, rows = _sampled(sample)
    first = sample[: head(sample)]
    if (
        not rows
        or len(rows[0]) < 2
        or b"{" in sample[:1]
        or b'{"' in first.replace(b'{""', b"")
        or _BRACKETED.search(first)
    ):
        return 0.0
    if len(rows) == 1:
        return 0.3 if _is_header(rows[0]) else 0.0
    return (0.7 if _is_header(rows[0]) else 0.4) * sum(len(row) == len(rows[0]) for row in rows) / len(rows)


def suggest(sample: bytes, _: datetime.date) -> dict[str, object]:
    """Names for the columns of a file without a header."""
    delimiter, rows = _sampled(sample)
    if not rows or _is_header(rows[0]):
        return {}
    columns = [f"column_{number}" for number in range(1, len(rows[0]) + 1)]
    return {"columns": columns} if delimiter == "," else {"columns": columns, "delimiter": delimiter}


FORMAT = configure()
