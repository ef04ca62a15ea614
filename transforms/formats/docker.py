r"""`docker`: the files of Docker's json-file driver, `{"log":"text\n","stream":"stdout","time":"…"}` a line.

https://docs.docker.com/engine/logging/drivers/json-file/. Docker cuts a line of more than 16 KiB; only the last piece then ends with a
line end (https://github.com/moby/moby/blob/master/daemon/logger/copier.go). Pieces are joined where `unwrap: log` asks for the
application's JSON; `time` is then that of the last piece.
"""

import dataclasses
import functools
import re

import numpy as np
import pyarrow as pa

from retrolabel.transforms.formats.interface import Format, Unwrapped, given, made, share_of_lines, stretch
from retrolabel.transforms.kernels.coerce import Column
from retrolabel.transforms.kernels.columns import HEX, Mask, Octets, begins_with, has_near, strings
from retrolabel.transforms.kernels.json_line import JsonObject, loads
from retrolabel.transforms.kernels.lines import Lines, Positions

_BEGIN, _CLOSE = b'{"log":"', b'"}'
_OUT, _ERR = (b'\\n","stream":"%s","time":"' % stream for stream in (b"stdout", b"stderr"))
_SHORTEST, _LONGEST = len("2026-11-20T10:00:00Z"), len("2026-11-20T10:00:00.123456789Z")
_QUOTES = (_BEGIN + _OUT + _CLOSE).count(b'"')
_NEARLY_ALL = 0.98
"""The share of lines that must be as Docker writes them: others are judged one by one."""

_SLASH, _GONE = 1, 2
"""What stands in a copy for backslashes that stay, and for what goes; control characters stand in no such line."""

_PLAIN = bytes.maketrans(bytes([_SLASH]), b"\\")

_NOWHERE = np.empty(0, dtype=np.int64)

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


class _Lines(Lines):
    """The lines of a block, whose texts are looked for but once."""

    @functools.cached_property
    def ends_of_texts(self) -> tuple[Positions, Positions]:
        """See `_ends_of_texts`."""
        return _ends_of_texts(self)


def pieces(lines: Lines) -> Positions:
    """The lines whose text may have no line end."""
    stops, _ = lines.ends_of_texts if isinstance(lines, _Lines) else _ends_of_texts(lines)
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
    stops, times = lines.ends_of_texts if isinstance(lines, _Lines) else _ends_of_texts(lines)
    sure = begins_with(octets, starts, _BEGIN) & (starts + len(_BEGIN) <= stops)
    escapes = _escapes(lines)
    sure = _plain(lines, sure & (octets[np.maximum(stops - 1, 0)] != ord("\\")), escapes)
    if np.count_nonzero(sure) < len(lines) * _NEARLY_ALL:
        return Unwrapped(lines.data, {"logtag": made(functools.partial(_tags, lines))})
    bare = np.frombuffer(escapes.undone(lines.data), dtype=np.uint8)
    before, after = lines.line_ends, np.append(np.flatnonzero(bare == ord("\n")), len(bare))[: len(lines.line_ends)]
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
        found = begins_with(octets, ahead, _OUT)
        if not found.all():
            found |= begins_with(octets, ahead, _ERR)
        found[found] = ~has_near(octets, begins[found], length, "\\")
        times[left[found]], stops[left[found]] = begins[found], ahead[found]
        left = left[~found]
    return stops, times


@dataclasses.dataclass(frozen=True)
class _Escapes:
    """The escapes of a block but those of quotes and line ends, by the place of the backslash."""

    slashes: Positions
    returns: Positions
    coded: Positions
    """`\\u003c` and the like, of one byte."""
    codes: Octets
    counts: Positions
    """How many other backslashes there are, quotes without one, and control characters."""

    def undone(self, data: bytes) -> bytes | bytearray:
        """The text without escapes, where all other backslashes are those of quotes; `n` for the line end."""
        if not len(self.slashes) + len(self.returns) + len(self.coded):
            return data.translate(None, b"\\")
        text = bytearray(data)
        octets = np.frombuffer(text, dtype=np.uint8)
        octets[self.slashes + 1] = _SLASH
        octets[self.returns + 1] = ord("\r")
        octets[self.coded[:, None] + np.arange(1, 5)] = _GONE
        octets[self.coded + 5] = self.codes
        return text.translate(_PLAIN, bytes([ord("\\"), _GONE]))


def _escapes(lines: Lines) -> _Escapes:
    found, begin = [_escapes_of(lines.octets[:0])], 0
    while begin < len(lines.data):
        end = lines.data.find(b"\n", begin + _CHUNK) + 1 or len(lines.data)
        one = _escapes_of(lines.octets[begin:end])
        found.append(
            dataclasses.replace(one, slashes=one.slashes + begin, returns=one.returns + begin, coded=one.coded + begin)
        )
        begin = end
    slashes, returns, coded, codes = (
        np.concatenate([getattr(one, name) for one in found]) for name in ("slashes", "returns", "coded", "codes")
    )
    return _Escapes(slashes, returns, coded, codes, np.sum([one.counts for one in found], axis=0))


def _escapes_of(octets: Octets) -> _Escapes:
    """Those of some whole lines."""
    slashes, quotes = octets == ord("\\"), octets == ord('"')
    left = np.flatnonzero(slashes[:-1] > quotes[1:])  # those not before a quote
    adjoining = np.count_nonzero(slashes) - len(left) - np.count_nonzero(slashes[-1:])
    first = np.maximum.accumulate(np.where(np.diff(left, prepend=-2) != 1, left, 0))  # of the run of each
    left = left[(left - first) % 2 == 0]
    follows = octets[left + 1]
    double = left[follows == ord("\\")]
    paired = adjoining - np.count_nonzero(quotes[(double + 2)[double + 2 < len(quotes)]])
    others = len(left) - len(double) + np.count_nonzero(slashes[-1:])
    returns, coded = left[follows == ord("r")], left[follows == ord("u")]
    codes = _NOWHERE
    if len(coded):
        coded = coded[begins_with(octets, coded, b"\\u00") & (coded + 5 < len(octets))]
        high, low = HEX[octets[coded + 4]], HEX[octets[coded + 5]]
        codes = high * 16 + low
        good = (
            (high >= 0) & (high < 8) & (low >= 0) & ((codes >= ord(" ")) | (codes == ord("\t"))) & (codes != ord("\\"))
        )
        coded, codes = coded[good], codes[good]
    others -= len(returns) + len(coded)
    controls = np.count_nonzero(octets < ord(" "))
    counts = np.array([others, np.count_nonzero(quotes) - paired, controls])
    return _Escapes(double, returns, coded, codes.astype(np.uint8), counts)


def _plain(lines: Lines, sure: Mask, escapes: _Escapes) -> Mask:
    """Of such lines those in which no strings but the text hold escapes, and that only ones that are understood."""
    count, newlines = len(lines), len(lines.line_ends) - (lines.data[-1:] != b"\n")
    # No such line has fewer: if together they have no more, none has.
    if sure.all() and escapes.counts.tolist() == [count, count * _QUOTES, newlines]:
        return sure
    octets, ends = lines.octets, lines.ends
    slashes, quotes = octets == ord("\\"), octets == ord('"')
    slashes[escapes.slashes] = slashes[escapes.slashes + 1] = slashes[escapes.returns] = slashes[escapes.coded] = False
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
    _Lines,
    pieces=pieces,
)
