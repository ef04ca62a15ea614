"""`syslog`: lines of syslog daemons, with or without the priority in front.

- rsyslog's default and `RSYSLOG_FileFormat`: `2026-11-23T10:00:00.123456+02:00 host tag: message` (https://www.rsyslog.com/doc/configuration/templates.html)
- RFC 5424: `<165>1 2026-11-23T10:00:00Z host app procid msgid [data] message` (https://www.rfc-editor.org/rfc/rfc5424)
- the traditional layout, RFC 3164: `Nov 23 10:00:00 host tag: message` (https://www.rfc-editor.org/rfc/rfc3164). Its time says neither year nor
  zone: with `options: {until: 2026-11}` it lies in the twelve months up to that one, in the source's `timezone`; without, it is no time.

Fields: `time`, `host`, `program`, `pid`, `message`. JSON in the message, with or without the mark `@cee:`, is read with `unwrap: message`.
"""

import dataclasses
import datetime
import functools
import re
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from retrolabel.schemas.reject import Reason, Rejected
from retrolabel.transforms.formats.interface import Format, Unwrapped, given, made, share_of_lines
from retrolabel.transforms.kernels.coerce import Column
from retrolabel.transforms.kernels.columns import Mask, Octets, groups, has_shape, next_of, next_place, strings
from retrolabel.transforms.kernels.json_line import JsonObject
from retrolabel.transforms.kernels.lines import Lines, Positions
from retrolabel.transforms.kernels.time_texts import MONTHS

_LAYOUTS = (
    r"^<\d{1,3}>1 (?P<time>[^ ]+) (?P<host>[^ ]+) (?P<program>[^ ]+) (?P<pid>[^ ]+) [^ ]+ (?:-|(?:\[(?:[^\]\\]|\\.)*\])+)(?: (?P<message>.*))?$",
    (
        r"^(?:<\d{1,3}>)?(?P<time>\d{4}-\d\d-\d\dT[^ ]+|[A-Z][a-z][a-z] [ \d]\d \d\d:\d\d:\d\d) (?P<host>[^ ]+) "
        r"(?P<program>[^ \[:]+)(?:\[(?P<pid>[^ \]]*)\])?:? ?(?P<message>.*)$"
    ),
)
_TIME_LENGTH = len("Nov 23 10:00:00")
_NAMES = ("time", "host", "program", "pid", "message")
_TAGGED = re.compile(rb"^[^ ]+(?: [ \d]\d \d\d:\d\d:\d\d)? [\w.:-]+ [\w./@-]+(?:\[[^ \]]*\])?: ?")
_LINES = [re.compile(layout, re.ASCII) for layout in _LAYOUTS]


def record(months: Sequence[str], line: bytes) -> JsonObject:
    """Reads one line; `months` are the year and month of each month, none if they are not known."""
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        raise Rejected(Reason.UTF8, f"not valid UTF-8 at byte {error.start} of the line") from None
    match = next(filter(None, (layout.fullmatch(text) for layout in _LINES)), None)
    if match is None:
        raise Rejected(Reason.WRAPPER, "expected time host program: message")
    found = JsonObject({name: None if value in ("", "-") else value for name, value in match.groupdict().items()})
    time = found["time"]
    if months and time and time[:3] in MONTHS and len(time) == _TIME_LENGTH:
        found["time"] = f"{months[MONTHS.index(time[:3])]}-{time[4:6].replace(' ', '0')}T{time[7:]}"
    return found


def unwrap(months: Sequence[str], lines: Lines) -> Unwrapped:
    """Finds the ends of the parts of all lines at once; where lines have priorities, matches them."""
    found = _matched(lines) if (lines.octets[lines.starts] == ord("<")).any() else _parts(lines)
    if not months:
        return found
    time = found.fields["time"]
    fields = {**found.fields, "time": made(lambda: (_dated(months, time(())[0]), None))}
    return dataclasses.replace(found, fields=fields)


def _dated(months: Sequence[str], time: pa.Array) -> pa.Array:
    """Traditional times as ISO 8601, others as they are."""
    month = pc.index_in(pc.utf8_slice_codeunits(time, 0, 3), pa.array(MONTHS))
    day = pc.replace_substring(pc.utf8_slice_codeunits(time, 4, 6), " ", "0")
    date = pc.binary_join_element_wise(pa.array(months).take(month), day, "-")
    iso = pc.binary_join_element_wise(date, pc.utf8_slice_codeunits(time, 7, _TIME_LENGTH), "T")
    traditional = pc.and_(pc.is_valid(month), pc.equal(pc.binary_length(time), _TIME_LENGTH))
    return pc.if_else(traditional, iso, time)


def configure(until: str | None = None) -> Format:
    """The format; the traditional layout's times lie in the twelve months up to `until`, such as `2026-11`."""
    months: list[str] = []
    if until is not None:
        if not re.fullmatch(r"[12]\d{3}-(0[1-9]|1[0-2])", until):
            raise ValueError("is a year and a month, such as 2026-11")
        year, last = int(until[:4]), int(until[5:])
        months = [f"{year if month <= last else year - 1:04d}-{month:02d}" for month in range(1, 13)]
    return Format(
        "syslog",
        "Lines of rsyslog and other syslog daemons.",
        functools.partial(record, months),
        lambda sample: share_of_lines(sample, _fits),
        functools.partial(unwrap, months),
        configure=configure,
        suggest=suggest,
    )


def _fits(line: bytes) -> float:
    """More where the program is named as syslog does: other logs begin with a time too."""
    found = record((), line)
    if line[:1] == b"<" or _TAGGED.search(line):
        return 0.9
    return 0.4 if re.match(r"[\w.:-]+$", str(found["host"])) else 0.0


def suggest(sample: bytes, written: datetime.date) -> dict[str, object]:
    """The month up to which traditional times go."""
    times = (
        match["time"] for match in map(_LINES[1].match, sample.decode(errors="replace").split("\n")[:200]) if match
    )
    return {"until": f"{written:%Y-%m}"} if any(time[:3] in MONTHS for time in times) else {}


def _matched(lines: Lines) -> Unwrapped:
    (found, unmatched), (others, neither) = (groups(lines, layout) for layout in _LAYOUTS)
    columns = {name: pc.coalesce(pc.struct_field(found, name), pc.struct_field(others, name)) for name in _NAMES}
    fields = {name: given(_something(column)) for name, column in columns.items()}
    return Unwrapped(None, fields, np.intersect1d(unmatched, neither))


def _something(column: pa.Array) -> pa.Array:
    return pc.if_else(pc.is_in(column, pa.array(["", "-"])), None, column)


def _parts(lines: Lines) -> Unwrapped:
    octets, starts, ends, size = lines.octets, lines.starts, lines.ends, len(lines.octets)

    def at(positions: Positions, character: str) -> Mask:
        return np.asarray((positions < ends) & (octets[np.minimum(positions, size - 1)] == ord(character)))

    time = np.where(
        (octets[starts] >= ord("0")) & (octets[starts] <= ord("9")), next_place(octets, " ", starts), starts + 15
    )
    host = next_place(octets, " ", np.minimum(time + 1, size))
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
    sure &= ~bracket | (next_place(octets, " ", program) > closed)
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
    return Unwrapped(None, fields, np.flatnonzero(~sure), texts={"message": (octets, first, last, there)})


def _column(octets: Octets, starts: Positions, ends: Positions) -> Column:
    return _something(strings(octets, starts, ends)), None


def _is_time(octets: Octets, starts: Positions, ends: Positions) -> Mask:
    modern = has_shape(octets, starts, "0000-00-00T") & (ends > starts + 11)
    return modern if modern.all() else modern | has_shape(octets, starts, "Aaa ~0 00:00:00")


FORMAT = configure()
