"""The records of a block, found all at once: lines, mostly."""

import dataclasses
import functools
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Positions = npt.NDArray[np.int64]

_NEWLINE, _RETURN = 10, 13
_WHITE = np.isin(np.arange(256), list(b" \t\r\n"))


class Lines:
    """The records of a block that are not blank: where each begins and ends.

    Args:
        data: the text.
        bounds: where each record begins and ends in `data`; without them each line is a record, without its line end.
        blank: with bounds, how many records were left out as blank.
        offsets: where each record stands in the block, if not where it stands in `data`.
        text: how a record reads when it is looked at alone, if not as its bytes in `data`.
    """

    def __init__(
        self,
        data: bytes,
        bounds: tuple[Positions, Positions] | None = None,
        blank: int = 0,
        offsets: Positions | None = None,
        text: Callable[[int], bytes] | None = None,
    ) -> None:
        self.data = data
        self._given = None if bounds is None else (*bounds, blank)
        self._offsets = offsets
        self._text = text

    @functools.cached_property
    def octets(self) -> npt.NDArray[np.uint8]:
        """The block's bytes."""
        return np.frombuffer(self.data, dtype=np.uint8)

    @functools.cached_property
    def line_ends(self) -> Positions:
        """Where every line ends, blank ones included; the last one perhaps with the text."""
        ends = np.flatnonzero(self.octets == _NEWLINE)
        if len(self.data) and self.data[-1] != _NEWLINE:
            ends = np.append(ends, len(self.data))
        return ends

    @functools.cached_property
    def _raw_bounds(self) -> tuple[Positions, Positions]:
        """Where every line begins and ends, blank ones and white space included."""
        ends = self.line_ends
        return np.concatenate([np.zeros(min(1, len(ends)), dtype=np.int64), ends[:-1] + 1]), ends

    @functools.cached_property
    def bare_objects(self) -> bool:
        """Whether every record begins with `{` and ends with `}`: then nothing is blank and nothing is wrapped."""
        starts, ends = self._given[:2] if self._given else self._raw_bounds
        return bool(
            np.all(ends > starts)
            and np.all(self.octets[starts] == ord("{"))
            and np.all(self.octets[ends - 1] == ord("}"))
        )

    @functools.cached_property
    def _bounds(self) -> tuple[Positions, Positions, int]:
        if self._given:
            return self._given
        starts, ends = self._raw_bounds
        if self.bare_objects:
            return starts, ends, 0
        starts, ends = trimmed(self.octets, starts, ends)
        filled = ends > starts
        return starts[filled], ends[filled], len(filled) - int(filled.sum())

    @property
    def starts(self) -> Positions:
        """Where in `data` each record begins."""
        return self._bounds[0]

    @property
    def ends(self) -> Positions:
        """Where in `data` each record ends."""
        return self._bounds[1]

    @property
    def offsets(self) -> Positions:
        """Where in the block each record begins, for people who look for it."""
        return self.starts if self._offsets is None else self._offsets

    @property
    def blank(self) -> int:
        """How many records hold nothing but white space."""
        return self._bounds[2]

    def __len__(self) -> int:
        return len(self.starts)

    def line(self, position: int) -> bytes:
        """The bytes of one record."""
        if self._text is not None:
            return self._text(position)
        return bytes(self.data[self.starts[position] : self.ends[position]])

    def only(self, positions: Positions) -> "Lines":
        """A block of some of the records."""
        if len(positions) == len(self):
            return self
        text = self._text
        alone = None if text is None else lambda position: text(int(positions[position]))
        data, bounds = slices(self.data, self.starts[positions], self.ends[positions])
        return Lines(data, bounds, 0, self.offsets[positions], alone)

    def readable(self) -> Positions:
        """The positions of the records that are valid UTF-8."""
        if is_utf8(self.data):
            return np.arange(len(self))
        beyond_ascii = np.flatnonzero(self.octets >= 0x80)
        suspects = np.unique(np.searchsorted(self.starts, beyond_ascii, side="right") - 1).tolist()
        broken = [position for position in suspects if position >= 0 and not is_utf8(self.line(position))]
        return remaining(len(self), broken)


class Rows(Lines):
    """Records that stand in columns; each reads as a JSON object."""

    def __init__(self, table: pa.Table, offsets: Positions) -> None:
        super().__init__(b"", (offsets, offsets), 0, offsets, self._json)
        self.table = table

    def only(self, positions: Positions) -> "Rows":
        """A block of some of the records."""
        return (
            self if len(positions) == len(self) else Rows(self.table.take(pa.array(positions)), self.offsets[positions])
        )

    def _json(self, position: int) -> bytes:
        (row,) = self.table.slice(position, 1).to_pylist(maps_as_pydicts="lossy")
        return json.dumps(row, default=_as_text).encode()


def _as_text(value: Any) -> str:
    return value.decode(errors="surrogateescape") if isinstance(value, bytes) else str(value)


def trimmed(octets: npt.NDArray[np.uint8], starts: Positions, ends: Positions) -> tuple[Positions, Positions]:
    """Stretches of a text without the white space at their ends."""
    # It is rare: one round settles nearly every block, further rounds the odd line.
    while len(starts) and len(octets):
        trailing = (ends > starts) & _WHITE[octets[np.maximum(ends - 1, 0)]]
        leading = (ends > starts) & _WHITE[octets[np.minimum(starts, len(octets) - 1)]]
        if not trailing.any() and not leading.any():
            break
        ends = ends - trailing
        starts = np.minimum(starts + leading, ends)
    return starts, ends


def untrimmed(data: bytes) -> Lines:
    """The lines of a block with their white space, but for the line end."""
    newlines = np.flatnonzero(np.frombuffer(data, dtype=np.uint8) == _NEWLINE)
    ends = np.append(newlines, len(data)) if data and data[-1] != _NEWLINE else newlines
    return without_ends(data, ends)


def without_ends(data: bytes, ends: Positions) -> Lines:
    """The records of a block that end before some line ends, or at the end of the text; an empty one is blank."""
    starts = np.concatenate([np.zeros(min(1, len(ends)), dtype=np.int64), ends[:-1] + 1])
    octets = np.frombuffer(data, dtype=np.uint8)
    ends = ends - ((ends > starts) & (octets[np.maximum(ends - 1, 0)] == _RETURN)) if len(ends) else ends
    filled = ends > starts
    return Lines(data, (starts[filled], ends[filled]), len(starts) - int(filled.sum()))


def slices(
    data: bytes | bytearray | memoryview, starts: Positions, ends: Positions
) -> tuple[bytes, tuple[Positions, Positions]]:
    """Some stretches of a text, a line each, and where each begins and ends."""
    view = memoryview(data)
    if (
        len(starts)
        and np.array_equal(starts[1:], ends[:-1] + 1)
        and np.all(np.frombuffer(data, np.uint8)[ends[:-1]] == _NEWLINE)
    ):
        return bytes(view[starts[0] : ends[-1]]), (starts - starts[0], ends - starts[0])
    text = b"\n".join([view[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)])
    lengths = ends - starts
    begins = np.cumsum(lengths + 1) - lengths - 1
    return text, (begins, begins + lengths)


def remaining(count: int, taken: Positions | list[int]) -> Positions:
    """The positions below a count that are not taken, ascending."""
    left = np.ones(count, dtype=np.bool_)
    left[taken] = False
    return np.flatnonzero(left)


def is_utf8(data: bytes | bytearray | memoryview) -> bool:
    """Whether text is valid UTF-8."""
    offsets = pa.py_buffer(np.array([0, len(data)], dtype=np.int32))
    try:
        pa.Array.from_buffers(pa.binary(), 1, [None, offsets, pa.py_buffer(data)]).cast(pa.string())
    except pa.ArrowInvalid:
        return False
    return True


@dataclasses.dataclass(frozen=True)
class Block:
    """Whole records of one file."""

    source: str
    path: str
    offset: int
    """Of the first byte, in the (decompressed) file."""
    data: bytes
    skipped: tuple[tuple[int, int, bytes], ...] = ()
    """Records too long to hold: their offset, length and first bytes; they stand behind `data`."""
    raw_offset: int = 0
    """Of the first byte of the stretch of the stored file that the block came from."""
    raw_bytes: int = 0
    """The length of that stretch."""
    crc32c: int = 0
    """The CRC-32C of that stretch."""
    damaged: str | None = None
    """Why nothing more could be read from the file, if so."""
    head: bytes = b""
    """What the file begins with, where the format reads its records by it."""
