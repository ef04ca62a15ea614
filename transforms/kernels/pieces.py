"""Lines that a container runtime cut in pieces, put together again.

- CRI (containerd, CRI-O): a piece that goes on has the tag `P`, the last one `F`
  (https://github.com/kubernetes/design-proposals-archive/blob/main/node/kubelet-cri-logging.md). Fluentd and Fluent Bit hand the tag
  on as `logtag` or `_p`.
- Docker's `fluentd` logging driver marks pieces with `partial_message` and the last one with `partial_last`
  (https://docs.docker.com/engine/logging/drivers/fluentd/).

Pieces of several streams may stand between each other. Those of one agree in all fields but their text, their time and the marks.
"""

import dataclasses
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from retrolabel.schemas.reject import Reason, Rejected
from retrolabel.transforms.kernels.json_line import JsonObject
from retrolabel.transforms.kernels.lines import Lines, Positions, remaining

Record = Mapping[str, Any]

_MARK = re.compile(rb'"(?:logtag|_p)"\s*:\s*"P"|"partial_message"|^[^ {\t]+ std(?:out|err) P', re.MULTILINE)

_DIFFERS = ("logtag", "_p", "time", "date", "timestamp", "@timestamp", "partial_ordinal", "partial_last")


@dataclasses.dataclass(frozen=True)
class Joined:
    """A block whose pieces are one record each."""

    lines: Lines
    """A joined record reads as its pieces, a line each, and stands where the first piece stands."""
    pieced: Positions
    """The positions of the joined records."""
    unfinished: int
    """Where the first record begins whose last piece is not there; the length of the block if there is none."""


def join_pieces(
    lines: Lines, read: Callable[[bytes], Record], text: str, find: Callable[[Lines], Positions] | None = None
) -> Joined:
    """Finds the pieces of a block and joins them.

    Args:
        lines: the block.
        read: reads one line; raises `Rejected`.
        text: the key of the text that was cut.
        find: finds the positions of the lines that may be pieces which go on; by default those with a mark.
    """
    flagged = (find or _flagged)(lines).tolist()
    if not flagged:
        return Joined(lines, np.empty(0, np.int64), len(lines.data))
    finished, unfinished = _groups(lines, read, text, flagged)
    groups = {group[0]: group for group in (*finished, *unfinished)}
    dropped = [position for group in groups.values() for position in group[1:]]
    kept = remaining(len(lines), dropped)
    place = kept.tolist()

    def whole(position: int) -> bytes:
        return b"\n".join(lines.line(piece) for piece in groups.get(place[position], [place[position]]))

    bounds = lines.starts[kept], lines.ends[kept]
    joined = Lines(lines.data, bounds, lines.blank, lines.offsets[kept], whole)
    first = min((int(lines.starts[group[0]]) for group in unfinished), default=len(lines.data))
    return Joined(joined, np.searchsorted(kept, sorted(groups)), first)


def whole_record(pieces: bytes, read: Callable[[bytes], Record], text: str) -> Record:
    """Reads a record of one or several pieces: the fields of the last, and the text of all.

    Raises:
        Rejected: the last piece is missing, or one cannot be read.
    """
    records = [read(piece) for piece in pieces.split(b"\n")]
    last = records[-1]
    if goes_on(last):
        raise Rejected(Reason.WRAPPER, "the first piece of a line whose last piece is not there")
    if len(records) == 1:
        return last
    found = JsonObject(last)
    found.repeated = getattr(last, "repeated", frozenset())
    found[text] = "".join(str(record.get(text, "")) for record in records)
    return found


def goes_on(record: Record) -> bool:
    """Whether a record is a piece that is not the last one of its line."""
    if record.get("logtag", record.get("_p")) == "P":
        return True
    return record.get("partial_message") in ("true", True) and record.get("partial_last") not in ("true", True)


def _flagged(lines: Lines) -> Positions:
    if not _may_have_marks(lines):
        return np.empty(0, np.int64)
    places = [match.start() for match in _MARK.finditer(lines.data)]
    return np.unique(np.searchsorted(lines.starts, np.array(places, dtype=np.int64), side="right") - 1)


def _may_have_marks(lines: Lines) -> bool:
    """Whether `"P"`, `stdout P`, `stderr P` or `"partial_message"` stands anywhere: `P` and `_` are rare, so this is quick."""
    octets = lines.octets
    tags = np.flatnonzero(octets == ord("P"))
    tags = tags[(tags >= 2) & (tags < len(octets) - 1)]
    quoted = (octets[tags - 1] == ord('"')) & (octets[tags + 1] == ord('"'))
    spaced = (octets[tags - 1] == ord(" ")) & np.isin(octets[tags - 2], (ord("t"), ord("r")))
    if (quoted | spaced).any():
        return True
    below = np.flatnonzero(octets == ord("_"))
    below = below[octets[np.minimum(below + 1, len(octets) - 1)] == ord("m")]
    return len(below) > 0 and b'"partial_message"' in lines.data


def _groups(
    lines: Lines, read: Callable[[bytes], Record], text: str, flagged: Sequence[int]
) -> tuple[list[list[int]], list[list[int]]]:
    """The positions of the pieces of each line whose last piece is there, and of each whose is not."""
    finished: list[list[int]] = []
    waiting: dict[str, list[int]] = {}
    following = iter(flagged)
    position = next(following)
    while position < len(lines):
        try:
            record = read(lines.line(position))
        except Rejected:
            record = {}
        stream = json.dumps(
            {key: value for key, value in record.items() if key not in _DIFFERS and key != text}, default=str
        )
        if goes_on(record):
            waiting.setdefault(stream, []).append(position)
        elif stream in waiting:
            finished.append([*waiting.pop(stream), position])
        position += 1
        if not waiting:
            position = next((flag for flag in following if flag >= position), len(lines))
    return finished, list(waiting.values())
