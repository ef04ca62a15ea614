"""`fluentd`: what Fluentd and Fluent Bit write to files.

Two layouts, which may even stand in one file: `time<TAB>tag<TAB>record`, the default formatter of `out_file`
(https://docs.fluentd.org/formatter/out_file), and JSON objects into which `<inject>` has put `time` and `tag`
(https://docs.fluentd.org/configuration/inject-section). In the first, the time and tag of the wrapping stand in place of keys of
those names in the record, as injection would have overwritten them.
"""

import re

import numpy as np

from retrolabel.schemas.reject import Reason, Rejected
from retrolabel.transforms.formats.interface import Format, Unwrapped, given, share_of_lines
from retrolabel.transforms.kernels.columns import next_place, strings
from retrolabel.transforms.kernels.json_line import JsonObject, loads
from retrolabel.transforms.kernels.lines import Lines

_WRAPPED = re.compile(rb"[^\t{]*\t[^\t]*\t")


def record(line: bytes) -> JsonObject:
    """Reads one line of either layout."""
    if line[:1] == b"{":
        return loads(line)
    wrapping = _WRAPPED.match(line)
    if wrapping is None:
        raise Rejected(Reason.WRAPPER, "expected time<TAB>tag<TAB>{…} or a JSON object")
    found = loads(line[wrapping.end() :].strip(b" \t\r"))
    try:
        time, tag, _ = wrapping[0].decode().split("\t")
    except UnicodeDecodeError:
        raise Rejected(Reason.UTF8, "not valid UTF-8 in the time or the tag") from None
    found.update(time=time, tag=tag)
    found.repeated -= {"time", "tag"}
    return found


def unwrap(lines: Lines) -> Unwrapped:
    """Finds time and tag, which become columns, and the objects behind them."""
    starts, ends, octets = lines.starts, lines.ends, lines.octets
    if lines.bare_objects or (octets[starts] == ord("{")).all():
        return Unwrapped(lines.data)
    first = next_place(octets, "\t", starts)
    second = next_place(octets, "\t", np.minimum(first + 1, len(octets)))
    wrapped = (second < ends) & (octets[starts] != ord("{"))
    begins = np.minimum(second + 1, len(octets) - 1)
    # No time has a brace.
    doubtful = np.flatnonzero(~wrapped | (octets[begins] != ord("{")) | (next_place(octets, "{", starts) < first))
    first, second = np.where(wrapped, first, starts), np.where(wrapped, second, starts)
    begins = np.where(wrapped, second + 1, starts)
    fields = {
        "time": given(strings(octets, starts, first)),
        "tag": given(strings(octets, np.minimum(first + 1, second), second)),
    }
    return Unwrapped(lines.data, fields, doubtful, (begins, ends))


def _fits(line: bytes) -> float:
    return 0.9 if {"time", "tag"} <= record(line).keys() else 0.0


FORMAT = Format(
    "fluentd",
    "Fluentd and Fluent Bit: JSON with time and tag inside, or time<TAB>tag<TAB>JSON.",
    record,
    lambda sample: share_of_lines(sample, _fits),
    unwrap,
)
