r"""`docker`: the files of Docker's json-file driver, `{"log":"text\n","stream":"stdout","time":"…"}` a line.

https://docs.docker.com/engine/logging/drivers/json-file/. Docker cuts a line of more than 16 KiB; only the last piece then ends with a
line end (https://github.com/moby/moby/blob/master/daemon/logger/copier.go). Pieces are joined where `unwrap: log` asks for the
application's JSON; `time` is then that of the last piece.
"""

import functools
import re

import numpy as np
import pyarrow as pa

from retrolabel.transforms.formats.interface import Format, Unwrapped, given, made, share_of_lines, stretch
from retrolabel.transforms.kernels.coerce import Column
from retrolabel.transforms.kernels.columns import Mask, Octets, begins_with, has_near, strings
from retrolabel.transforms.kernels.json_line import JsonObject, loads
from retrolabel.transforms.kernels.lines import Lines, Positions

_BEGIN, _CLOSE = b'{"log":"', b'"}'
_OUT, _ERR = (b'\\n","stream":"%s","time":"' % stream for stream in (b"stdout", b"stderr"))
_SHORTEST, _LONGEST = len("2026-11-20T10:00:00Z"), len("2026-11-20T10:00:00.123456789Z")
_QUOTES = (_BEGIN + _OUT + _CLOSE).count(b'"')
_NEARLY_ALL = 0.98
"""The share of lines that must be as Docker writes them, with no escapes but of quotes: others are judged one by one."""

_CHUNK = 2**18
"""Bytes that are looked at together, so that what is found out about them stays in the processor's cache."""

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
    stops, _ = _ends_of_texts(lines)
    left = np.flatnonzero((stops < 1) | (lines.octets[np.maximum(stops - 1, 0)] == ord("\\")))
    if len(left):
        left = np.setdiff1d(left, _rows_of(_END, lines))
    return np.setdiff1d(left, _rows_of(_WHOLE, lines)) if len(left) else left


def _rows_of(pattern: re.Pattern[bytes], lines: Lines) -> Positions:
    places = np.array([match.start() for match in pattern.finditer(lines.data)], dtype=np.int64)
    return np.searchsorted(lines.starts, places, side="right") - 1


def unwrap(lines: Lines) -> Unwrapped:
    """Takes the texts out of lines as Docker writes them; a block with many others is read as JSON."""
    octets, starts, ends = lines.octets, lines.starts, lines.ends
    stops, times = _ends_of_texts(lines)
    sure = begins_with(octets, starts, _BEGIN) & (starts + len(_BEGIN) <= stops)
    sure = _plain(lines, sure)
    if np.count_nonzero(sure) < len(lines) * _NEARLY_ALL:
        return Unwrapped(lines.data, {"logtag": made(functools.partial(_tags, lines))})
    # All backslashes of such lines stand before quotes, but the one before the `n` at the end of the text.
    bare = np.frombuffer(lines.data.translate(None, b"\\"), dtype=np.uint8)
    before, after = (np.append(np.flatnonzero(text == ord("\n")), len(text)) for text in (octets, bare))
    gone = np.append(before - after, 0)  # up to each line end; none up to the first line
    now = ends - gone[np.searchsorted(before, ends)]
    firsts = np.where(sure, starts - gone[np.searchsorted(before, starts) - 1] + len(_BEGIN), now)
    lasts = np.where(sure, now - (ends - stops - 1), now)

    def texts() -> pa.Array:
        ended = bare.copy()
        ended[lasts[sure]] = ord("\n")
        return strings(ended, firsts, lasts + sure)

    streams = times - len(_OUT) + _OUT.index(b"stdout")
    values = {"stream": (streams, streams + len(b"stdout")), "time": (times, ends - len(_CLOSE))}
    fields = {
        name: stretch(octets, *(np.where(sure, place, ends) for place in bounds)) for name, bounds in values.items()
    }
    fields |= {"log": made(lambda: (texts(), None)), "logtag": given(pa.repeat("F", len(lines)))}
    return Unwrapped(None, fields, np.flatnonzero(~sure), texts={"log": (bare, firsts, lasts, sure)})


def _ends_of_texts(lines: Lines) -> tuple[Positions, Positions]:
    """Where the text of each line ends, and where its time begins; -1 in lines that do not end as Docker ends them."""
    octets, closes = lines.octets, lines.ends - len(_CLOSE)
    stops, times = np.full((2, len(lines)), -1, dtype=np.int64)
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
        found = begins_with(octets, ahead, _OUT) | begins_with(octets, ahead, _ERR)
        found[found] = ~has_near(octets, begins[found], length, "\\")
        times[left[found]], stops[left[found]] = begins[found], ahead[found]
        left = left[~found]
    return stops, times


def _plain(lines: Lines, sure: Mask) -> Mask:
    """Of such lines those in which no strings but the text hold escapes, and that only ones of quotes."""
    count = len(lines)
    counts = sum(
        (_counts(lines.octets[begin : begin + _CHUNK + 1]) for begin in range(0, len(lines.octets), _CHUNK)),
        np.zeros(4, np.int64),
    )
    # No such line has fewer: if together they have no more, none has.
    if sure.all() and counts[0] == count and counts[1] == count * _QUOTES and counts[2] == counts[3]:
        return sure
    octets, ends = lines.octets, lines.ends
    slashes, quotes = octets == ord("\\"), octets == ord('"')
    pairs = slashes[:-1] & quotes[1:]
    slashes[:-1] &= ~pairs
    quotes[1:] &= ~pairs
    one, twelve = (
        np.bincount(np.searchsorted(ends, np.flatnonzero(marks), side="right"), minlength=count + 1)[:count]
        for marks in (slashes, quotes)
    )
    sure = sure & (one == 1) & (twelve == _QUOTES)
    controls = np.flatnonzero((octets < ord(" ")) & (octets != ord("\n")))
    rows = np.searchsorted(lines.starts, controls, side="right") - 1
    sure[rows[(rows >= 0) & (controls < ends[rows])]] = False
    return sure


def _counts(octets: Octets) -> Positions:
    """How many backslashes and quotes there are besides those of escaped quotes, control characters, and line ends, in all but the last octet."""
    slashes, quotes, octets = octets[:-1] == ord("\\"), octets[1:] == ord('"'), octets[:-1]
    paired = np.count_nonzero(slashes & quotes)
    marks = slashes, octets == ord('"'), octets < ord(" "), octets == ord("\n")
    return np.array([np.count_nonzero(found) for found in marks]) - [paired, paired, 0, 0]


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
