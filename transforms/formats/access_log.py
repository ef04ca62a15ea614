r"""`access_log`: requests as Apache and Nginx log them, in the common or the combined format.

`host ident user [10/Oct/2000:13:55:36 -0700] "GET /path?pid=7 HTTP/1.1" 200 2326 "referer" "agent"`
(https://httpd.apache.org/docs/2.4/logs.html#accesslog, https://nginx.org/en/docs/http/ngx_http_log_module.html). Apache writes `\"`, `\\`
and `\xhh` in what the client sent, Nginx `\xhh`; both write `-` for nothing. What follows the known fields is passed over. In the brackets may stand too
Nginx's `$time_iso8601` and `$msec`, and what Apache's `%{…}t` writes as ISO 8601 or as seconds since 1970.

Fields: `vhost` (of `vhost_combined`), `host`, `ident`, `user`, `time` as ISO 8601, `request`, `method`, `path` without the query string, `query.NAME`
with the percent-encoding undone, `protocol`, `status`, `size`, `referer`, `agent`. `time` is when the request came.
"""

import collections
import functools
import re
import urllib.parse
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from retrolabel.schemas.reject import Reason, Rejected
from retrolabel.transforms.formats.interface import Below, Format, Path, Unwrapped, made, share_of_lines
from retrolabel.transforms.kernels.coerce import Column
from retrolabel.transforms.kernels.columns import (
    Mask,
    Octets,
    begins_with,
    next_place,
    percent_decoded,
    placed,
    strings,
)
from retrolabel.transforms.kernels.json_line import JsonObject
from retrolabel.transforms.kernels.lines import Lines, Positions, remaining
from retrolabel.transforms.kernels.time_texts import MONTHS

_TEXT = r'"((?:[^"\\]|\\.)*)"'
_LINE = re.compile(
    rf"(?:(?P<vhost>\S+:\d+) )?(?P<host>\S+) (?P<ident>\S+) (?P<user>\S+|\S.*?\S) "
    rf"\[(?P<time>[^\]]+)\] {_TEXT} (\d{{3}}|-) (\d+|-)(?: {_TEXT} {_TEXT})?(?: .*)?",
    re.DOTALL | re.ASCII,
)
_TIME = re.compile(r"(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d:\d\d:\d\d) ([+-]\d{4})", re.ASCII)
_OTHER_TIME = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}([.,][0-9]{1,9})?(Z|[+-][0-9]{2}:?[0-9]{2})?$|^[0-9]{10}([.][0-9]{1,6})?$"
_PLACES = np.array([65536, 256, 1])
_BY_LETTERS = np.array(sorted((int.from_bytes(name.encode()), number) for number, name in enumerate(MONTHS, 1)))
_TIME_LENGTH = len("10/Oct/2000:13:55:36 -0700")
_RARE = np.isin(np.arange(256), list(b"\\\t\v\f\r"))
_ESCAPE = re.compile(rb"\\(x[0-9a-fA-F]{2}|.)", re.DOTALL)
_LETTERS = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f", b"v": b"\v"}


def record(line: bytes) -> JsonObject:
    """Reads one line."""
    try:
        match = _LINE.fullmatch(line.decode())
    except UnicodeDecodeError as error:
        raise Rejected(Reason.UTF8, f"not valid UTF-8 at byte {error.start} of the line") from None
    if match is None:
        raise Rejected(
            Reason.WRAPPER, 'expected host ident user [time] "request" status size, as in the common or combined format'
        )
    time = _iso(match["time"])
    found = JsonObject({name: _something(match[name]) for name in ("vhost", "host", "ident", "user")})
    found["time"] = time
    request, status, size, referer, agent = match.groups()[5:]
    request = _something(request)
    found.update(request=request, **_parts(request or ""))
    found.update(
        status=None if status == "-" else int(status),
        size=None if size == "-" else float(size) if len(size) > 18 else int(size),
    )
    found.update(referer=_something(referer), agent=_something(agent))
    return found


def _iso(text: str) -> str:
    if re.fullmatch(_OTHER_TIME, text):
        return text
    time = _TIME.fullmatch(text)
    if time is None or time[2] not in MONTHS:
        raise Rejected(
            Reason.WRAPPER,
            "the time in brackets is neither as in 10/Oct/2000:13:55:36 -0700, nor ISO 8601, nor seconds since 1970",
        )
    return f"{time[3]}-{MONTHS.index(time[2]) + 1:02d}-{time[1]}T{time[4]}{time[5]}"


def _something(text: str | None) -> str | None:
    if text is None or text == "-":
        return None
    if "\\" not in text:
        return text
    return _ESCAPE.sub(lambda escape: _unescaped(escape[1]), text.encode()).decode(errors="replace")


def _unescaped(escape: bytes) -> bytes:
    return bytes([int(escape[1:], 16)]) if len(escape) == 3 else _LETTERS.get(escape, escape)


def _parts(request: str) -> JsonObject:
    words = request.split(" ")
    if len(words) not in (2, 3):
        return JsonObject(method=None, path=None, query=None, protocol=None)
    path, mark, query = words[1].partition("?")
    protocol = words[2] if len(words) == 3 else None
    return JsonObject(method=words[0], path=path, query=_query(query) if mark else None, protocol=protocol)


def _query(text: str) -> JsonObject:
    pairs = urllib.parse.parse_qsl(text, keep_blank_values=True)
    found = JsonObject(pairs)
    if len(found) < len(pairs):
        counts = collections.Counter(name for name, _ in pairs)
        found.repeated = frozenset(name for name, count in counts.items() if count > 1)
    return found


def unwrap(lines: Lines) -> Unwrapped:
    """Finds brackets, quotes and spaces of the usual shape all at once; what is of another shape is in doubt."""
    octets, starts, ends, size = lines.octets, lines.starts, lines.ends, len(lines.octets)
    if not len(lines):
        return Unwrapped(None, {})
    quotes, spaces = np.append(np.flatnonzero(octets == ord('"')), size), np.flatnonzero(octets == ord(" "))
    first = np.searchsorted(quotes, starts)
    count = np.searchsorted(quotes, ends) - first
    quote = [quotes[np.minimum(first + number, len(quotes) - 1)] for number in range(6)]
    left = next_place(octets, "[", starts)
    right = next_place(octets, "]", left)
    space = [next_place(octets, " ", starts)]
    for _ in range(2):
        space.append(next_place(octets, " ", np.minimum(space[-1] + 1, size)))
    status = quote[1] + 2
    length_ends = np.minimum(next_place(octets, " ", np.minimum(status + 4, size)), ends)
    combined = count >= 6

    def at(positions: Positions, character: str) -> Mask:
        return np.asarray(octets[np.clip(positions, 0, size - 1)] == ord(character))

    sure = ((count == 2) | combined) & (left == space[2] + 1) & (quote[0] == right + 2) & at(right + 1, " ")
    sure &= at(quote[1] + 1, " ") & at(status + 3, " ") & (status + 4 < length_ends)
    sure &= (space[1] > space[0] + 1) & (space[2] > space[1] + 1) & (space[0] > starts)
    sure &= ~combined | ((quote[2] == length_ends + 1) & (quote[4] == quote[3] + 2) & at(quote[3] + 1, " "))
    sure &= ~combined | (quote[5] + 1 == ends) | at(quote[5] + 1, " ")
    sure &= np.searchsorted(spaces, quote[1]) - np.searchsorted(spaces, quote[0]) == 2
    rare = np.flatnonzero(_RARE[octets])
    sure[np.searchsorted(starts, rare, side="right") - 1] = False
    doubtful = np.flatnonzero(~sure)
    if len(doubtful):
        rest = unwrap(lines.only(np.flatnonzero(sure))) if sure.any() else Unwrapped(None, {})
        return _spread(rest, np.flatnonzero(sure), len(lines))
    target = next_place(octets, " ", quote[0]) + 1
    target_ends = next_place(octets, " ", target)
    mark = np.minimum(next_place(octets, "?", target), target_ends)
    after = np.where(combined, quote[2] + 1, ends), np.where(combined, quote[3], ends)
    last = np.where(combined, quote[4] + 1, ends), np.where(combined, quote[5], ends)
    times, bad_time = _times(octets, left + 1, right)
    numbers = [strings(octets, status, status + 3), strings(octets, status + 4, length_ends)]
    wrong = [
        pc.invert(pc.match_substring_regex(column, pattern))
        for column, pattern in zip(numbers, ("^([0-9]{3}|-)$", "^([0-9]{1,18}|-)$"), strict=True)
    ]
    bounds = {
        "host": (starts, space[0]), "ident": (space[0] + 1, space[1]), "user": (space[1] + 1, space[2]), "request": (quote[0] + 1, quote[1]),
        "method": (quote[0] + 1, target - 1), "path": (target, mark), "protocol": (target_ends + 1, quote[1]), "referer": after, "agent": last,
    }  # fmt: skip
    fields: dict[str, Below] = {
        name: made(functools.partial(_text, octets, *found, name)) for name, found in bounds.items()
    }
    fields["vhost"] = made(lambda: (pa.nulls(len(lines), pa.string()), None))
    fields["time"] = made(lambda: (times, None))
    fields["status"], fields["size"] = (made(functools.partial(_number, column)) for column in numbers)
    fields["query"] = _Query(octets, mark, target_ends)
    left_out = np.flatnonzero(bad_time | functools.reduce(pc.or_, wrong).to_numpy(zero_copy_only=False))
    return Unwrapped(None, fields, left_out)


def _text(octets: Octets, starts: Positions, ends: Positions, name: str) -> Column:
    column = strings(octets, starts, ends)
    if name in ("method", "path", "protocol"):
        return column, None
    absent = starts >= ends if name in ("referer", "agent") else None
    column = pc.if_else(pc.equal(column, "-"), None, column)
    # Nothing between the quotes is an empty text, no quotes at all are none.
    if absent is not None and absent.any():
        quoted = octets[np.minimum(starts, len(octets) - 1)] == ord('"')
        column = pc.if_else(pa.array(absent & ~quoted), None, column)
    return column, None


def _number(column: pa.Array) -> Column:
    return pc.if_else(pc.equal(column, "-"), None, column), None


def _times(octets: Octets, starts: Positions, ends: Positions) -> tuple[pa.Array, Mask]:
    """The times in brackets as ISO 8601 or as they stand, and which are none."""
    usual = (ends - starts == _TIME_LENGTH) & (octets[starts + 2] == ord("/"))
    if usual.all():
        return _usual_times(octets, starts)
    others = strings(octets, starts, ends)
    bad = pc.invert(pc.match_substring_regex(others, _OTHER_TIME)).to_numpy(zero_copy_only=False)
    if not usual.any():
        return others, bad
    times, bad[usual] = _usual_times(octets, starts[usual])
    return pc.replace_with_mask(others, pa.array(usual), times), bad


def _usual_times(octets: Octets, starts: Positions) -> tuple[pa.Array, Mask]:
    """Those of the common format as ISO 8601, and which are not of that shape."""
    text = octets[starts[:, None] + np.arange(_TIME_LENGTH)]
    letters = text[:, 3:6].astype(np.int64) @ _PLACES
    month = np.minimum(np.searchsorted(_BY_LETTERS[:, 0], letters), 11)
    right = _BY_LETTERS[month, 0] == letters
    month = _BY_LETTERS[month, 1]
    iso = np.empty((len(starts), 24), dtype=np.uint8)
    iso[:, 0:4], iso[:, 8:10], iso[:, 11:19], iso[:, 19:24] = (
        text[:, 7:11],
        text[:, 0:2],
        text[:, 12:20],
        text[:, 21:26],
    )
    iso[:, 4], iso[:, 7], iso[:, 10] = ord("-"), ord("-"), ord("T")
    iso[:, 5], iso[:, 6] = ord("0") + month // 10, ord("0") + month % 10
    offsets = pa.py_buffer(np.arange(0, 24 * (len(starts) + 1), 24, dtype=np.int32))
    digits = text[:, [0, 1, 7, 8, 9, 10, 12, 13, 15, 16, 18, 19, 22, 23, 24, 25]]
    right &= np.all((digits >= ord("0")) & (digits <= ord("9")), axis=1) & np.all(text[:, [2, 6]] == ord("/"), axis=1)
    right &= (
        np.all(text[:, [11, 14, 17]] == ord(":"), axis=1)
        & (text[:, 20] == ord(" "))
        & np.isin(text[:, 21], (ord("+"), ord("-")))
    )
    return pa.StringArray.from_buffers(len(starts), offsets, pa.py_buffer(np.ascontiguousarray(iso))), ~right


class _Query:
    """The parameters of the query strings of a block, found when one is asked for."""

    def __init__(self, octets: Octets, marks: Positions, ends: Positions) -> None:
        self.octets, self.marks, self.ends = octets, marks, ends

    @functools.cached_property
    def parts(self) -> tuple[Positions, Positions, Positions, Positions]:
        """Of all parameters the line, where each begins, its `=` or its end, and its end."""
        there = np.flatnonzero(self.marks < self.ends)
        ands = np.flatnonzero(self.octets == ord("&"))
        rows = np.searchsorted(self.marks, ands, side="right") - 1
        inside = (rows >= 0) & (ands < self.ends[rows])
        ands, rows = ands[inside], rows[inside]
        order = np.argsort(np.concatenate([self.marks[there], ands]), kind="stable")
        firsts = np.concatenate([self.marks[there], ands])[order] + 1
        rows = np.concatenate([there, rows])[order]
        last = np.append(rows[1:] != rows[:-1], True)
        lasts = np.where(last, self.ends[rows], np.append(firsts[1:], 0) - 1) if len(rows) else firsts
        return rows, firsts, np.minimum(next_place(self.octets, "=", firsts), lasts), lasts

    @functools.cached_property
    def unsure(self) -> Positions:
        """The lines with a name that is itself encoded."""
        rows, firsts, equals, _ = self.parts
        encoded = (next_place(self.octets, character, firsts) < equals for character in "%+")
        return np.unique(rows[np.logical_or(*encoded)])

    def __call__(self, path: Path) -> Column:
        """The values of one parameter."""
        if len(path) != 1:
            return pa.nulls(len(self.marks), pa.string()), pa.array(self.marks < self.ends)
        rows, firsts, equals, lasts = self.parts
        name = path[0].encode()
        likely = np.flatnonzero((equals == firsts + len(name)) & (lasts > firsts))
        match = likely[begins_with(self.octets, firsts[likely], name)]
        begins, ends, valid, twice = placed(
            rows[match], np.minimum(equals[match] + 1, lasts[match]), lasts[match], self.marks
        )
        twice[self.unsure] = True
        column = strings(self.octets, begins, ends, valid)
        decoded = percent_decoded(column)
        doubt = pc.or_(pa.array(twice), pc.and_(pc.is_valid(column), pc.is_null(decoded)))
        return decoded, doubt if pc.any(doubt).as_py() else None


def _spread(rest: Unwrapped, rows: Positions, count: int) -> Unwrapped:
    """What was found for some of the lines, for all of them."""
    index = np.full(count, -1, dtype=np.int64)
    index[rows] = np.arange(len(rows))
    taken = pa.array(index, mask=index < 0)

    def spread(below: Callable[[Path], Column], path: Path) -> Column:
        column, doubt = below(path)
        return column.take(taken), None if doubt is None else pc.fill_null(doubt.take(taken), False)

    fields = {name: functools.partial(spread, below) for name, below in rest.fields.items()}
    left = remaining(count, rows)
    return Unwrapped(None, fields, np.union1d(left, rows[rest.doubtful]))


FORMAT = Format(
    "access_log",
    "Requests that Apache or Nginx logged, in the common or combined format.",
    record,
    lambda sample: share_of_lines(sample, lambda line: 0.95 if record(line) else 0.0),
    unwrap,
    typed=False,
)
