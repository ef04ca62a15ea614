"""`fluentbit`: the plain layout of Fluent Bit's `out_file`, `tag: [seconds.nanoseconds, {record}]` a line.

https://docs.fluentbit.io/manual/data-pipeline/outputs/file. With metadata, as its stdout output has it, the time is `[seconds.nanoseconds, {…}]`.
`time` and `tag` of the wrapping stand in place of keys of those names. Not-a-number and infinity stand there as `nan` and `inf`, which is not
JSON: such a line is rejected.
"""

import re

import numpy as np
import pyarrow.compute as pc

from retrolabel.schemas.reject import Reason, Rejected
from retrolabel.transforms.formats.interface import Format, Unwrapped, share_of_lines, stretch
from retrolabel.transforms.kernels.columns import has_shape, next_of, next_place, strings
from retrolabel.transforms.kernels.json_line import JsonObject, loads
from retrolabel.transforms.kernels.lines import Lines

_PATTERN = r"^(?P<front>(?P<tag>[^\[{ ]*): \[(?:\[)?(?P<time>\d+(?:\.\d+)?), (?:\{\}\], )?)\{"
_FRONT = re.compile(_PATTERN, re.ASCII)
_TIME = "0000000000.000000000, "


def record(line: bytes) -> JsonObject:
    """Reads one line."""
    try:
        match = _FRONT.match(line.decode())
    except UnicodeDecodeError as error:
        raise Rejected(Reason.UTF8, f"not valid UTF-8 at byte {error.start} of the line") from None
    if match is None or line[-1:] != b"]":
        raise Rejected(Reason.WRAPPER, "expected tag: [time, {…}]")
    found = loads(line[len(match["front"].encode()) : -1])
    found.update(time=match["time"], tag=match["tag"])
    found.repeated -= {"time", "tag"}
    return found


def unwrap(lines: Lines) -> Unwrapped:
    """Finds the ends of tag and time, and the records behind them."""
    octets, starts, ends, last = lines.octets, lines.starts, lines.ends, max(len(lines.octets) - 1, 0)
    space = np.minimum(next_of(octets, " [{", starts), last)
    bracket = np.minimum(space + 1, last)
    usual = has_shape(octets, bracket + 1, _TIME)
    comma = bracket + len(_TIME) - 1
    if not usual.all():
        comma = np.where(usual, comma, np.minimum(next_place(octets, ",", bracket), ends))
    begins = np.minimum(comma + 2, last)
    sure = (
        (octets[space] == ord(" ")) & (octets[bracket] == ord("[")) & (space > starts) & (octets[space - 1] == ord(":"))
    )
    sure &= (octets[begins - 1] == ord(" ")) & (octets[begins] == ord("{"))
    sure &= (octets[ends - 1] == ord("]")) & (begins < ends - 1)
    if not usual[sure].all():
        sure &= next_place(octets, "{", starts) == begins
        rare = np.flatnonzero(sure & ~usual)
        times = strings(octets, bracket[rare] + 1, comma[rare])
        sure[rare] = pc.match_substring_regex(times, r"^\d+(\.\d+)?$").to_numpy(zero_copy_only=False)
    fields = {
        "time": stretch(octets, np.where(sure, bracket + 1, starts), np.where(sure, comma, starts)),
        "tag": stretch(octets, starts, np.where(sure, space - 1, starts)),
    }
    bounds = np.where(sure, begins, starts), np.where(sure, ends - 1, starts)
    return Unwrapped(lines.data, fields, np.flatnonzero(~sure), bounds)


FORMAT = Format(
    "fluentbit",
    "Fluent Bit's plain files: tag: [time, {…}].",
    record,
    lambda sample: share_of_lines(sample, lambda line: 0.95 if _FRONT.match(line.decode(errors="replace")) else 0.0),
    unwrap,
)
