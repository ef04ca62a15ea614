"""`syslog`: lines of syslog daemons, with or without the priority in front.

- rsyslog's default and `RSYSLOG_FileFormat`: `2026-11-23T10:00:00.123456+02:00 host tag: message` (https://www.rsyslog.com/doc/configuration/templates.html)
- RFC 5424: `<165>1 2026-11-23T10:00:00Z host app procid msgid [data] message` (https://www.rfc-editor.org/rfc/rfc5424)
- the traditional layout, RFC 3164: `Nov 23 10:00:00 host tag: message` (https://www.rfc-editor.org/rfc/rfc3164). Its time says neither year nor
  zone and cannot be an event time: take one that the application logs in its message.

Fields: `time`, `host`, `program`, `pid`, `message`. JSON in the message, with or without the mark `@cee:`, is read with `unwrap: message`.
"""

import functools
import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from retrolabel.schemas.reject import Reason, Rejected
from retrolabel.transforms.formats.interface import Format, Unwrapped, given, made, share_of_lines
from retrolabel.transforms.kernels.coerce import Column
from retrolabel.transforms.kernels.columns import Mask, Octets, groups, has_shape, next_of, next_place, places, strings
from retrolabel.transforms.kernels.json_line import JsonObject
from retrolabel.transforms.kernels.lines import Lines, Positions

_LAYOUTS = (
    r"^<\d{1,3}>1 (?P<time>[^ ]+) (?P<host>[^ ]+) (?P<program>[^ ]+) (?P<pid>[^ ]+) [^ ]+ (?:-|(?:\[(?:[^\]\\]|\\.)*\])+)(?: (?P<message>.*))?$",
    (
        r"^(?:<\d{1,3}>)?(?P<time>\d{4}-\d\d-\d\dT[^ ]+|[A-Z][a-z][a-z] [ \d]\d \d\d:\d\d:\d\d) (?P<host>[^ ]+) "
        r"(?P<program>[^ \[:]+)(?:\[(?P<pid>[^ \]]*)\])?:? ?(?P<message>.*)$"
    ),
)
_NAMES = ("time", "host", "program", "pid", "message")
_LINES = [re.compile(layout, re.ASCII) for layout in _LAYOUTS]


def record(line: bytes) -> JsonObject:
    """Reads one line."""
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        raise Rejected(Reason.UTF8, f"not valid UTF-8 at byte {error.start} of the line") from None
    match = next(filter(None, (layout.fullmatch(text) for layout in _LINES)), None)
    if match is None:
        raise Rejected(Reason.WRAPPER, "expected time host program: message")
    return JsonObject({name: None if value in ("", "-") else value for name, value in match.groupdict().items()})


def unwrap(lines: Lines) -> Unwrapped:
    """Finds the ends of the parts of all lines at once; where lines have priorities, matches them."""
    return _matched(lines) if (lines.octets[lines.starts] == ord("<")).any() else _parts(lines)


def _matched(lines: Lines) -> Unwrapped:
    (found, unmatched), (others, neither) = (groups(lines, layout) for layout in _LAYOUTS)
    columns = {name: pc.coalesce(pc.struct_field(found, name), pc.struct_field(others, name)) for name in _NAMES}
    fields = {name: given(_something(column)) for name, column in columns.items()}
    return Unwrapped(None, fields, np.intersect1d(unmatched, neither))


def _something(column: pa.Array) -> pa.Array:
    return pc.if_else(pc.is_in(column, pa.array(["", "-"])), None, column)


def _parts(lines: Lines) -> Unwrapped:
    octets, starts, ends, size = lines.octets, lines.starts, lines.ends, len(lines.octets)
    spaces = places(octets, " ")

    def at(positions: Positions, character: str) -> Mask:
        return np.asarray((positions < ends) & (octets[np.minimum(positions, size - 1)] == ord(character)))

    time = np.where(
        (octets[starts] >= ord("0")) & (octets[starts] <= ord("9")), next_place(spaces, starts), starts + 15
    )
    host = next_place(spaces, np.minimum(time + 1, size))
    program = next_of(octets, " [:\n", np.minimum(host + 1, size))
    bracket = at(program, "[")
    closed = next_of(octets, "]\n", program)
    closed = np.where(at(closed, "]"), closed, ends)
    after = np.where(bracket, closed + 1, program)
    after = after + at(after, ":")
    after = np.minimum(after + at(after, " "), ends)
    sure = (
        (host < ends)
        & (host > time + 1)
        & at(time, " ")
        & (program > host + 1)
        & (program <= ends)
        & (~bracket | (closed < ends))
    )
    sure &= ~bracket | (next_place(spaces, program) > closed)
    sure &= _is_time(octets, starts, time)
    pid = program + bracket, np.where(bracket, closed, program)
    parts = (starts, time), (time + 1, host), (host + 1, program), pid, (after, ends)
    bounds = {
        name: (np.where(sure, one, starts), np.where(sure, other, starts))
        for name, (one, other) in zip(_NAMES, parts, strict=True)
    }
    fields = {name: made(functools.partial(_column, octets, *pair)) for name, pair in bounds.items()}
    first, last = bounds["message"]
    there = sure & (last > first) & ~((last == first + 1) & at(first, "-"))
    return Unwrapped(None, fields, np.flatnonzero(~sure), texts={"message": (first, last, there)})


def _column(octets: Octets, starts: Positions, ends: Positions) -> Column:
    return _something(strings(octets, starts, ends)), None


def _is_time(octets: Octets, starts: Positions, ends: Positions) -> Mask:
    modern = has_shape(octets, starts, "0000-00-00T") & (ends > starts + 11)
    return modern if modern.all() else modern | has_shape(octets, starts, "Aaa ~0 00:00:00")


FORMAT = Format(
    "syslog",
    "Lines of rsyslog and other syslog daemons.",
    record,
    lambda sample: share_of_lines(sample, lambda line: 0.9 if record(line) else 0.0),
    unwrap,
)
