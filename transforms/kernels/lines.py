"""The lines of a block of text, found all at once."""

import dataclasses
import functools

import numpy as np
import numpy.typing as npt

Positions = npt.NDArray[np.int64]

_NEWLINE, _RETURN, _SPACE, _TAB = 10, 13, 32, 9


class Lines:
    """The lines of a block that are not blank: where each begins and ends, without its line end."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    @functools.cached_property
    def octets(self) -> npt.NDArray[np.uint8]:
        """The block's bytes."""
        return np.frombuffer(self.data, dtype=np.uint8)

    @functools.cached_property
    def _raw_bounds(self) -> tuple[Positions, Positions]:
        """Where every line begins and ends, blank ones and white space included."""
        ends = np.flatnonzero(self.octets == _NEWLINE)
        if len(self.data) and self.data[-1] != _NEWLINE:
            ends = np.append(ends, len(self.data))
        return np.concatenate([np.zeros(min(1, len(ends)), dtype=np.int64), ends[:-1] + 1]), ends

    @functools.cached_property
    def bare_objects(self) -> bool:
        """Whether every line begins with `{` and ends with `}`: then nothing is blank and nothing is wrapped."""
        starts, ends = self._raw_bounds
        return bool(
            np.all(ends > starts)
            and np.all(self.octets[starts] == ord("{"))
            and np.all(self.octets[ends - 1] == ord("}"))
        )

    @functools.cached_property
    def _bounds(self) -> tuple[Positions, Positions, int]:
        starts, ends = self._raw_bounds
        if self.bare_objects:
            return starts, ends, 0
        total = len(starts)
        # Trailing and leading white space is rare: one round settles nearly every block, further rounds the odd line.
        while len(starts):
            trailing = (ends > starts) & np.isin(self.octets[np.maximum(ends - 1, 0)], (_SPACE, _TAB, _RETURN))
            leading = (ends > starts) & np.isin(
                self.octets[np.minimum(starts, len(self.octets) - 1)], (_SPACE, _TAB, _RETURN)
            )
            if not trailing.any() and not leading.any():
                break
            ends = ends - trailing
            starts = np.minimum(starts + leading, ends)
        filled = ends > starts
        return starts[filled], ends[filled], total - int(filled.sum())

    @property
    def starts(self) -> Positions:
        """Offset in the block of the first byte of each line that is not blank."""
        return self._bounds[0]

    @property
    def ends(self) -> Positions:
        """Offset in the block after the last byte of each line that is not blank."""
        return self._bounds[1]

    @property
    def blank(self) -> int:
        """How many lines hold nothing but white space."""
        return self._bounds[2]

    def __len__(self) -> int:
        return len(self.starts)

    def line(self, position: int) -> bytes:
        """The bytes of one line."""
        return bytes(self.data[self.starts[position] : self.ends[position]])


@dataclasses.dataclass(frozen=True)
class Block:
    """Whole lines of one file."""

    source: str
    path: str
    offset: int
    """Of the first byte, in the (decompressed) file."""
    data: bytes
    skipped: tuple[tuple[int, int, bytes], ...] = ()
    """Lines too long to hold: their offset, length and first bytes; they stand behind `data`."""
    raw_offset: int = 0
    """Of the first byte of the stretch of the stored file that the block came from."""
    raw_bytes: int = 0
    """The length of that stretch."""
    crc32c: int = 0
    """The CRC-32C of that stretch."""
    damaged: str | None = None
    """Why nothing more could be read from the file, if so."""
