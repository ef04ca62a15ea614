"""Columns out of text by the positions of their values, without a look at each row."""

import re
import string

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from retrolabel.transforms.kernels import compiled
from retrolabel.transforms.kernels.lines import Lines, Positions, is_utf8

Octets = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

_NEAR = 48


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


def groups(lines: Lines, pattern: str) -> tuple[pa.StructArray, Positions]:
    """The named groups of a pattern in each record, null where it does not match, and the positions of those records.

    The pattern is one for Python's `re` and for RE2 alike.
    """
    if not len(lines):
        names = re.compile(pattern).groupindex
        return pa.StructArray.from_arrays([pa.array([], pa.string()) for _ in names], list(names)), np.empty(
            0, np.int64
        )
    found = pc.extract_regex(strings(lines.octets, lines.starts, lines.ends), pattern)
    return found, np.flatnonzero(pc.is_null(found).to_numpy(zero_copy_only=False))


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


def next_place(octets: Octets, character: str, positions: Positions) -> Positions:
    """Of each position the first place from it on where a character stands; the end of the text if there is none."""
    if compiled.scan is not None:
        positions = np.ascontiguousarray(positions, np.int64)
        return np.frombuffer(compiled.scan.next_places(octets, ord(character), positions), dtype=np.int64)
    return _next_of(np.flatnonzero(octets == ord(character)), positions, len(octets))


def _next_of(places: Positions, positions: Positions, size: int) -> Positions:
    return np.append(places, size)[np.searchsorted(places, positions)]


def next_of(octets: Octets, characters: str, positions: Positions) -> Positions:
    """Of each position the first place not before it where one of some characters stands; the end of the text if there is none.

    For places that are near: what lies farther than a few dozen bytes is looked for in the whole text.
    """
    wanted = np.isin(np.arange(256), list(characters.encode()))
    found, left = positions.copy(), np.flatnonzero(positions < len(octets))
    for _ in range(_NEAR):
        left = left[~wanted[octets[found[left]]]]
        if not len(left):
            return found
        found[left] += 1
        left = left[found[left] < len(octets)]
    found[left] = _next_of(np.flatnonzero(wanted[octets]), found[left], len(octets))
    return found


def begins_with(octets: Octets, positions: Positions, text: bytes) -> Mask:
    """Of each position, whether a text stands there, which does not end with a zero byte."""
    fits = positions + len(text) <= len(octets)
    return fits & (_windows(octets, positions, len(text)) == text) if fits.any() else fits


def has_shape(octets: Octets, positions: Positions, shape: str) -> Mask:
    """Of each position, whether a text of that shape stands there: 0 is any digit, ~ a digit or a space, A and a are letters."""
    fits = positions + len(shape) <= len(octets)
    if not fits.any():
        return fits
    found = _windows(octets, positions, len(shape)).view(np.uint8).reshape(len(positions), len(shape))
    for number, character in enumerate(shape):
        fits &= _KINDS[character][found[:, number]] if character in _KINDS else found[:, number] == ord(character)
    return fits


def has_near(octets: Octets, positions: Positions, length: int, character: str) -> Mask:
    """Of each position, whether a character is among so many octets from there on, all of which the text has."""
    if not len(positions):
        return np.zeros(0, dtype=bool)
    found = _windows(octets, positions, length).view(np.uint8).reshape(len(positions), length)
    return np.asarray((found == ord(character)).any(axis=1))


def _windows(octets: Octets, positions: Positions, length: int) -> npt.NDArray[np.bytes_]:
    """The bytes that follow each position; others where the text ends too early."""
    windows: npt.NDArray[np.bytes_] = np.ndarray((len(octets) - length + 1,), f"S{length}", octets, strides=(1,))
    return windows[np.minimum(positions, len(windows) - 1)]


def placed(
    rows: Positions, starts: Positions, ends: Positions, anchors: Positions
) -> tuple[Positions, Positions, Mask, Mask]:
    """Values found for some rows as stretches for all: where each begins and ends, whether there is one, and whether more than one.

    Args:
        rows: of each value its row, ascending.
        starts: where each value begins.
        ends: where each ends.
        anchors: a place within each row, where a row without a value has an empty stretch.
    """
    begins, stops = anchors.copy(), anchors.copy()
    begins[rows], stops[rows] = starts, ends
    counts = np.bincount(rows, minlength=len(anchors))
    return begins, stops, counts > 0, counts > 1


def percent_decoded(column: pa.Array) -> pa.Array:
    """Undoes the percent-encoding of query strings, in which `+` is a space; null where the result is not UTF-8."""
    if not pc.any(pc.match_substring_regex(column, "[%+]")).as_py():
        return column
    column = pa.concat_arrays([column])
    _, bounds, text = column.buffers()
    offsets = np.frombuffer(bounds, np.int32)[column.offset :][: len(column) + 1].astype(np.int64)
    octets = np.frombuffer(text, np.uint8).copy()
    octets[octets == ord("+")] = ord(" ")
    first = np.flatnonzero(octets == ord("%"))
    row_ends = offsets[np.searchsorted(offsets, first, side="right")]
    first = first[first + 2 < row_ends]
    high, low = HEX[octets[first + 1]], HEX[octets[first + 2]]
    coded = (high >= 0) & (low >= 0)
    first = first[coded]
    octets[first] = high[coded] * 16 + low[coded]
    kept = np.ones(len(octets), dtype=bool)
    kept[first + 1] = kept[first + 2] = False
    before = np.concatenate([[0], np.cumsum(kept)])
    decoded = pa.Array.from_buffers(
        pa.binary(), len(column), [None, pa.py_buffer(before[offsets].astype(np.int32)), pa.py_buffer(octets[kept])]
    )
    try:
        decoded = decoded.cast(pa.string())
    except pa.ArrowInvalid:
        decoded = pa.array([value.decode() if is_utf8(value) else None for value in decoded.to_pylist()], pa.string())
    return pc.if_else(pc.is_valid(column), decoded, None)


_EACH = np.arange(256)
_KINDS: dict[str, Mask] = {
    "0": np.isin(_EACH, list(b"0123456789")),
    "~": np.isin(_EACH, list(b" 0123456789")),
    "A": np.isin(_EACH, list(string.ascii_uppercase.encode())),
    "a": np.isin(_EACH, list(string.ascii_lowercase.encode())),
}

HEX = np.full(256, -1, dtype=np.int16)
for _digits, _value in ((b"0123456789", 0), (b"abcdef", 10), (b"ABCDEF", 10)):
    HEX[list(_digits)] = np.arange(_value, _value + len(_digits))
