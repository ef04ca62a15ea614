"""Columns out of text by the positions of their values, without a look at each row."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from retrolabel.transforms.kernels.lines import Positions

Octets = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]


def strings(octets: Octets, starts: Positions, ends: Positions, valid: Mask | None = None) -> pa.Array:
    """The stretches of a valid UTF-8 text as a column of strings; null where not `valid`.

    The stretches ascend and do not overlap: they and what stands between them are all slices of one Arrow array.
    """
    if not len(starts):
        return pa.array([], pa.string())
    bounds = np.empty(2 * len(starts), dtype=np.int32)
    bounds[::2], bounds[1::2] = starts, ends
    alternating = pa.StringArray.from_buffers(len(bounds) - 1, pa.py_buffer(bounds), pa.py_buffer(octets))
    picked = pa.array(np.arange(0, len(bounds), 2), mask=None if valid is None else ~valid)
    return alternating.take(picked)


def stretches(starts: Positions, ends: Positions) -> Positions:
    """All positions from each start up to its end."""
    lengths = ends - starts
    before = np.cumsum(lengths) - lengths
    return np.repeat(starts - before, lengths) + np.arange(int(lengths.sum()))


def blanked(data: bytes, starts: Positions, ends: Positions) -> bytearray:
    """A copy of a text with spaces in some stretches."""
    bare = bytearray(data)
    np.frombuffer(bare, dtype=np.uint8)[stretches(starts, ends)] = ord(" ")
    return bare


def places(octets: Octets, character: str, after: int = 0) -> Positions:
    """Where a character stands, with an end of the text as a last place."""
    return np.append(np.flatnonzero(octets == ord(character)), len(octets) + after)


def next_place(found: Positions, positions: Positions) -> Positions:
    """Of each position the first of the places that is not before it; the places end with one past the text."""
    return found[np.searchsorted(found, positions)]
