"""`fluentd`: what Fluentd and Fluent Bit write to files.

Two layouts, which may even stand in one file: `time<TAB>tag<TAB>record`, the default formatter of `out_file`
(https://docs.fluentd.org/formatter/out_file), and JSON objects into which `<inject>` has put `time` and `tag`
(https://docs.fluentd.org/configuration/inject-section). In the first, the time and tag of the wrapping stand in place of keys of
those names in the record, as injection would have overwritten them.
"""

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from retrolabel.schemas.reject import Reason, Rejected
from retrolabel.transforms.formats.interface import Format, Unwrapped
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


def unwrap(data: bytes, lines: Lines) -> Unwrapped:
    """Blanks time and tag in a copy of the block, and keeps them as columns."""
    if lines.bare_objects:
        return Unwrapped(data)
    starts, ends, octets = lines.starts, lines.ends, lines.octets
    if not len(starts) or (octets[starts] == ord("{")).all():
        return Unwrapped(data)
    tabs = np.append(np.flatnonzero(octets == ord("\t")), [len(data), len(data)])
    after = np.searchsorted(tabs, starts)
    first, second = tabs[after], tabs[np.minimum(after + 1, len(tabs) - 1)]
    wrapped = (second < ends) & (octets[starts] != ord("{"))
    begins = np.minimum(second + 1, len(data) - 1)
    doubtful = np.flatnonzero(~wrapped | (octets[begins] != ord("{")) | _brace_before(octets, starts, first))
    first, second = np.where(wrapped, first, starts), np.where(wrapped, second, starts)
    bare = bytearray(data)
    np.frombuffer(bare, dtype=np.uint8)[_positions(starts, np.where(wrapped, second + 1, starts))] = ord(" ")
    fields = {"time": _strings(octets, starts, first), "tag": _strings(octets, np.minimum(first + 1, second), second)}
    return Unwrapped(bare, fields, doubtful)


def _brace_before(
    octets: npt.NDArray[np.uint8], starts: npt.NDArray[np.int64], first: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    """Lines with a brace before their first tab: no time has one."""
    braces = np.append(np.flatnonzero(octets[: int(first.max(initial=0))] == ord("{")), len(octets))
    return np.asarray(braces[np.searchsorted(braces, starts)] < first)


def _positions(starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """All positions from each start up to its end."""
    lengths = ends - starts
    before = np.cumsum(lengths) - lengths
    return np.repeat(starts - before, lengths) + np.arange(int(lengths.sum()))


def _strings(octets: npt.NDArray[np.uint8], starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]) -> pa.Array:
    """The slices of the block as an Arrow column."""
    offsets = np.concatenate([[0], np.cumsum(ends - starts)]).astype(np.int32)
    text = octets[_positions(starts, ends)]
    return pa.StringArray.from_buffers(len(starts), pa.py_buffer(offsets), pa.py_buffer(text))


def sniff(lines: Sequence[bytes]) -> float:
    """The share of lines of either layout."""
    return sum(map(_fits, lines)) / max(len(lines), 1)


def _fits(line: bytes) -> float:
    try:
        found = record(line)
    except Rejected:
        return 0.0
    return 0.9 if {"time", "tag"} <= found.keys() else 0.0


FORMAT = Format(
    "fluentd", "Fluentd and Fluent Bit: JSON with time and tag inside, or time<TAB>tag<TAB>JSON.", record, sniff, unwrap
)
