"""`syslog`: lines of syslog daemons, with or without the priority in front.

- rsyslog's default and `RSYSLOG_FileFormat`: `2026-11-23T10:00:00.123456+02:00 host tag: message` (https://www.rsyslog.com/doc/configuration/templates.html)
- RFC 5424: `<165>1 2026-11-23T10:00:00Z host app procid msgid [data] message` (https://www.rfc-editor.org/rfc/rfc5424)
- the traditional layout, RFC 3164: `Nov 23 10:00:00 host tag: message` (https://www.rfc-editor.org/rfc/rfc3164). Its time says neither year nor
  zone and cannot be an event time: take one that the application logs in its message.

Fields: `time`, `host`, `program`, `pid`, `message`. JSON in the message, with or without the mark `@cee:`, is read with `unwrap: message`.
"""

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from retrolabel.schemas.reject import Reason, Rejected
from retrolabel.transforms.formats.interface import Format, Unwrapped, given, share_of_lines
from retrolabel.transforms.kernels.columns import Mask, groups, next_place, places, strings
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
_TIME = r"^(\d{4}-\d\d-\d\dT.+|[A-Z][a-z][a-z] [ \d]\d \d\d:\d\d:\d\d)$"
_TAG_END = np.isin(np.arange(256), list(b" [:\n"))
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
    if (lines.octets[lines.starts] == ord("<")).any():
        columns, doubtful = _matched(lines)
    else:
        columns, doubtful = _parts(lines)
    nothing = pa.array(["", "-"])
    return Unwrapped(
        None,
        {name: given(pc.if_else(pc.is_in(column, nothing), None, column)) for name, column in columns.items()},
        doubtful,
    )


def _matched(lines: Lines) -> tuple[dict[str, pa.Array], Positions]:
    (found, unmatched), (others, neither) = (groups(lines, layout) for layout in _LAYOUTS)
    columns = {name: pc.coalesce(pc.struct_field(found, name), pc.struct_field(others, name)) for name in _NAMES}
    return columns, np.intersect1d(unmatched, neither)


def _parts(lines: Lines) -> tuple[dict[str, pa.Array], Positions]:
    octets, starts, ends, size = lines.octets, lines.starts, lines.ends, len(lines.octets)
    spaces = places(octets, " ")

    def at(positions: Positions, character: str) -> Mask:
        return np.asarray((positions < ends) & (octets[np.minimum(positions, size - 1)] == ord(character)))

    time = np.where(
        (octets[starts] >= ord("0")) & (octets[starts] <= ord("9")), next_place(spaces, starts), starts + 15
    )
    host = next_place(spaces, np.minimum(time + 1, size))
    marks = np.append(np.flatnonzero(_TAG_END[octets]), size)
    program = next_place(marks, np.minimum(host + 1, size))
    closed = next_place(places(octets, "]"), program)
    bracket = at(program, "[")
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
    bounds = {"time": (starts, time), "host": (time + 1, host), "program": (host + 1, program),
              "pid": (program + bracket, np.where(bracket, closed, program)), "message": (after, ends)}  # fmt: skip
    columns = {
        name: strings(octets, np.where(sure, one, starts), np.where(sure, other, starts))
        for name, (one, other) in bounds.items()
    }
    sure &= pc.match_substring_regex(columns["time"], _TIME).to_numpy(zero_copy_only=False)
    return columns, np.flatnonzero(~sure)


FORMAT = Format(
    "syslog",
    "Lines of rsyslog and other syslog daemons.",
    record,
    lambda sample: share_of_lines(sample, lambda line: 0.9 if record(line) else 0.0),
    unwrap,
)
