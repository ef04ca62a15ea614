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
from retrolabel.transforms.kernels.json_line import JsonObject, loads
from retrolabel.transforms.kernels.lines import Lines, Positions, remaining

_END = rb'\n","stream":'
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
    if lines.data.count(_END) - lines.data.count(b"\\" + _END) == len(lines):
        return np.empty(0, np.int64)
    whole = [match.start() for match in _WHOLE.finditer(lines.data)]
    rows = np.searchsorted(lines.starts, np.array(whole, dtype=np.int64), side="right") - 1
    return remaining(len(lines), rows)


def unwrap(lines: Lines) -> Unwrapped:
    """The lines are bare."""
    return Unwrapped(lines.data, {"logtag": made(functools.partial(_tags, lines))})


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
