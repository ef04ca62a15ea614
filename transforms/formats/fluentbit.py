"""`fluentbit`: the plain layout of Fluent Bit's `out_file`, `tag: [seconds.nanoseconds, {record}]` a line.

https://docs.fluentbit.io/manual/data-pipeline/outputs/file. With metadata, as its stdout output has it, the time is `[seconds.nanoseconds, {…}]`.
`time` and `tag` of the wrapping stand in place of keys of those names. Not-a-number and infinity stand there as `nan` and `inf`, which is not
JSON: such a line is rejected.
"""

import re

import numpy as np
import pyarrow.compute as pc

from retrolabel.schemas.reject import Reason, Rejected
from retrolabel.transforms.formats.interface import Format, Unwrapped, given, share_of_lines
from retrolabel.transforms.kernels.columns import blanked, next_place, places, strings
from retrolabel.transforms.kernels.json_line import JsonObject, loads
from retrolabel.transforms.kernels.lines import Lines

_PATTERN = r"^(?P<front>(?P<tag>[^\[{ ]*): \[(?:\[)?(?P<time>\d+(?:\.\d+)?), (?:\{\}\], )?)\{"
_FRONT = re.compile(_PATTERN, re.ASCII)


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
    """Blanks what stands around the records in a copy of the block."""
    octets, starts, ends, last = lines.octets, lines.starts, lines.ends, max(len(lines.octets) - 1, 0)
    bracket = np.minimum(next_place(places(octets, "["), starts), last)
    space = next_place(places(octets, " "), starts)
    comma = np.minimum(next_place(places(octets, ","), bracket), ends)
    begins = np.minimum(comma + 2, last)
    sure = (
        (space == bracket - 1)
        & (space > starts)
        & (octets[space - 1] == ord(":"))
        & (octets[np.minimum(comma + 1, last)] == ord(" "))
    )
    sure &= (octets[begins] == ord("{")) & (octets[ends - 1] == ord("]")) & (begins < ends - 1)
    tag = strings(octets, starts, np.maximum(space - 1, starts) * sure + starts * ~sure)
    time = strings(octets, np.where(sure, bracket + 1, starts), np.where(sure, comma, starts))
    sure &= pc.match_substring_regex(time, r"^\d+(\.\d+)?$").to_numpy(zero_copy_only=False)
    sure &= pc.invert(pc.match_substring(tag, "{")).to_numpy(zero_copy_only=False)
    begins = np.where(sure, begins, starts)
    bare = blanked(lines.data, np.ravel((starts, ends - 1), "F"), np.ravel((begins, ends), "F"))
    return Unwrapped(bare, {"time": given(time), "tag": given(tag)}, np.flatnonzero(~sure), (begins, ends - 1))


FORMAT = Format(
    "fluentbit",
    "Fluent Bit's plain files: tag: [time, {…}].",
    record,
    lambda sample: share_of_lines(sample, lambda line: 0.95 if _FRONT.match(line.decode(errors="replace")) else 0.0),
    unwrap,
)
