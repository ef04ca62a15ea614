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
from retrolabel.transforms.kernels.columns import blanked, groups
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
    found, _ = groups(lines, _PATTERN)
    octets, starts, ends = lines.octets, lines.starts, lines.ends
    begins = starts + pc.fill_null(pc.binary_length(pc.struct_field(found, "front")), 0).to_numpy().astype(np.int64)
    doubtful = np.flatnonzero((begins == starts) | (octets[ends - 1] != ord("]")) | (begins >= ends - 1))
    fields = {name: given(pc.struct_field(found, name)) for name in ("time", "tag")}
    bare = blanked(lines.data, np.ravel((starts, ends - 1), "F"), np.ravel((begins, ends), "F"))
    return Unwrapped(bare, fields, doubtful, (begins, ends - 1))


FORMAT = Format(
    "fluentbit",
    "Fluent Bit's plain files: tag: [time, {…}].",
    record,
    lambda sample: share_of_lines(sample, lambda line: 0.95 if _FRONT.match(line.decode(errors="replace")) else 0.0),
    unwrap,
)
