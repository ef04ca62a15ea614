r"""`docker`: the files of Docker's json-file driver, `{"log":"text\n","stream":"stdout","time":"…"}` a line.

https://docs.docker.com/engine/logging/drivers/json-file/. Docker cuts a line of more than 16 KiB; only the last piece then ends with a
line end (https://github.com/moby/moby/blob/master/daemon/logger/copier.go). Pieces are joined where `unwrap: log` asks for the
application's JSON; `time` is then that of the last piece.
"""

import functools
import re

import numpy as np
import pyarrow as pa

from retrolabel.transforms.formats.interface import Format, Unwrapped, made, share_of_lines
from retrolabel.transforms.kernels.coerce import Column
from retrolabel.transforms.kernels.columns import begins_with, has_near
from retrolabel.transforms.kernels.json_line import JsonObject, loads
from retrolabel.transforms.kernels.lines import Lines, Positions

_CLOSE = b'"}'
_OUT, _ERR = (b'\\n","stream":"%s","time":"' % stream for stream in (b"stdout", b"stderr"))
_SHORTEST, _LONGEST = len("2026-11-20T10:00:00Z"), len("2026-11-20T10:00:00.123456789Z")
_END = re.compile(rb'[^\\]\\n","(?:stream|attrs)":')
_WHOLE = re.compile(rb'(?<!\\)(?:\\\\)*\\n"\s*,\s*"(?:stream|attrs)"')


def record(line: bytes) -> JsonObject:
    """Reads one line; `logtag` is `P` for a piece that goes on, else `F`, as in the files of other runtimes."""
    found = loads(line)
    text = found.get("log")
    found["logtag"] = "P" if isinstance(text, str) and not text.endswith("\n") else "F"
    found.repeated -= {"logtag"}
    return found


def pieces(lines: Lines) -> Positions:
    """The lines whose text may have no line end."""
    stops = _ends_of_texts(lines)
    left = np.flatnonzero((stops < 1) | (lines.octets[np.maximum(stops - 1, 0)] == ord("\\")))
    if len(left):
        left = np.setdiff1d(left, _rows_of(_END, lines))
    return np.setdiff1d(left, _rows_of(_WHOLE, lines)) if len(left) else left


def _rows_of(pattern: re.Pattern[bytes], lines: Lines) -> Positions:
    places = np.array([match.start() for match in pattern.finditer(lines.data)], dtype=np.int64)
    return np.searchsorted(lines.starts, places, side="right") - 1


def unwrap(lines: Lines) -> Unwrapped:
    """The lines are bare; whether a text is a piece shows its end."""
    return Unwrapped(lines.data, {"logtag": made(functools.partial(_tags, lines))})


def _ends_of_texts(lines: Lines) -> Positions:
    """Where the text of each line ends; -1 in lines that do not end as Docker ends them."""
    octets, closes = lines.octets, lines.ends - len(_CLOSE)
    stops = np.full(len(lines), -1, dtype=np.int64)
    left = np.flatnonzero(begins_with(octets, np.maximum(closes - 1, 0), b"Z" + _CLOSE))
    # Nanoseconds are written without their last zeros: as long as the first one most are.
    usual = len(lines.line(0).rpartition(b'"time":"')[2]) - len(_CLOSE) if len(lines) else 0
    for length in (usual, *range(_LONGEST, _SHORTEST - 1, -1)):
        if not len(left):
            break
        if not _SHORTEST <= length <= _LONGEST:
            continue
        begins = closes[left] - length
        ahead = np.maximum(begins - len(_OUT), 0)
        found = begins_with(octets, ahead, _OUT)
        if not found.all():
            found |= begins_with(octets, ahead, _ERR)
        found[found] = ~has_near(octets, begins[found], length, "\\")
        stops[left[found]] = ahead[found]
        left = left[~found]
    return stops


def _tags(lines: Lines) -> Column:
    unsure = np.isin(np.arange(len(lines)), pieces(lines))
    return pa.array(["F"] * len(lines), pa.string()), pa.array(unsure)


def _fits(line: bytes) -> float:
    return 0.95 if {"log", "stream", "time"} <= loads(line).keys() <= {"log", "stream", "time", "attrs"} else 0.0


FORMAT = Format(
    "docker",
    "Docker's json-file: the container's text in `log`.",
    record,
    lambda sample: share_of_lines(sample, _fits),
    unwrap,
    pieces=pieces,
)
