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
from retrolabel.transforms.kernels.columns import groups
from retrolabel.transforms.kernels.json_line import JsonObject
from retrolabel.transforms.kernels.lines import Lines

_LAYOUTS = (
    r"^<\d{1,3}>1 (?P<time>[^ ]+) (?P<host>[^ ]+) (?P<program>[^ ]+) (?P<pid>[^ ]+) [^ ]+ (?:-|(?:\[(?:[^\]\\]|\\.)*\])+)(?: (?P<message>.*))?$",
    r"^(?:<\d{1,3}>)?(?P<time>\d{4}-\d\d-\d\dT[^ ]+|[A-Z][a-z][a-z] [ \d]\d \d\d:\d\d:\d\d) (?P<host>[^ ]+) "
    r"(?P<program>[^ \[:]+)(?:\[(?P<pid>[^ \]]*)\])?:? ?(?P<message>.*)$",
)
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
    """Matches all lines at once."""
    (found, unmatched), (others, neither) = (groups(lines, layout) for layout in _LAYOUTS)
    columns = {}
    for name in ("time", "host", "program", "pid", "message"):
        column = pc.coalesce(pc.struct_field(found, name), pc.struct_field(others, name))
        columns[name] = given(pc.if_else(pc.is_in(column, pa.array(["", "-"])), None, column))
    return Unwrapped(None, columns, np.intersect1d(unmatched, neither))


FORMAT = Format(
    "syslog",
    "Lines of rsyslog and other syslog daemons.",
    record,
    lambda sample: share_of_lines(sample, lambda line: 0.9 if record(line) else 0.0),
    unwrap,
)
