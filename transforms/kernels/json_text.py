"""Where JSON values begin and end in a text that is not cut into lines."""

from typing import Any

import numpy as np
import numpy.typing as npt

from retrolabel.transforms.kernels import compiled
from retrolabel.transforms.kernels.columns import Mask, Octets, stretches
from retrolabel.transforms.kernels.lines import Positions

_Counts = npt.NDArray[np.signedinteger[Any]]

_STEPS = np.zeros(256, dtype=np.int8)
_STEPS[list(b"{[")] = 1
_STEPS[list(b"}]")] = -1
_WHITE = np.isin(np.arange(256), list(b" \t\r\n"))
_NEAR = 48
"""The white space that is looked through for what stands before it."""

_BETWEEN = np.zeros(256, dtype=bool)
_BETWEEN[list(b" \t\r\n,]}")] = True

_CHUNK = 2**18
"""Bytes that are looked at together, so that what is found out about them stays in the processor's cache."""


def spans(octets: Octets, *levels: int) -> list[tuple[Positions, Positions]]:
    """The objects and arrays of a text that stand so many levels deep in others; the last one has no end if it is not finished.

    Brackets that close more than the text has opened belong to something that was opened before it. A string ends with its line at the
    latest, and a line that begins with `{` where no value can stand begins something new: so one torn object costs no others.

    Returns:
        Of each level where each begins, and where each ends.
    """
    return spans_and_commas(octets, levels)[0]


def spans_and_commas(
    octets: Octets, levels: tuple[int, ...], within: int | None = None
) -> tuple[list[tuple[Positions, Positions]], tuple[Positions, Positions]]:
    """The same as `spans`, and of the objects and arrays of one level the commas between what they hold.

    Returns:
        The spans; and of each comma where it stands, and in which object or array of its level, by number.
    """
    if compiled.scan is not None and (plain := compiled.scan.spans(octets, levels, -1 if within is None else within)):
        return [(_positions(begins), _positions(ends)) for begins, ends in plain[0]], (
            _positions(plain[1]),
            _positions(plain[2]),
        )
    places = _marks(octets, commas=within is not None)
    kinds = octets[places]
    steps = _STEPS[kinds]
    depth, turns = _depths(steps)
    inner = np.flatnonzero((kinds == ord("{")) & (depth > 1))
    if _begins_line(octets, places[inner]).any():
        anew = np.flatnonzero(kinds == ord("{"))
        anew = anew[_begins_line(octets, places[anew])]
        anew = anew[~_goes_on(octets, places[anew])]
        depth, turns = _depths(steps, anew)
        anew = anew[anew > 0]
    else:
        anew = inner[:0]
    brackets = np.flatnonzero(turns)
    at, deep, opening = places[brackets], depth[brackets], turns[brackets] > 0
    found = []
    for level in levels:
        torn = places[anew[depth[anew - 1] > level]]
        ends = at[~opening & (deep == level)] + 1
        found.append((at[opening & (deep == level + 1)], np.sort(np.concatenate([ends, torn])) if len(torn) else ends))
    if within is None:
        return found, (places[:0], places[:0])
    inside = depth == within + 1
    commas = np.flatnonzero(inside & (steps == 0))
    number = np.cumsum(inside & (steps > 0), dtype=np.int32)[commas] - 1
    return found, (places[commas], number.astype(np.int64))


def _positions(octets: bytes) -> Positions:
    return np.frombuffer(octets, dtype=np.int64)


def _depths(steps: _Counts, anew: Positions | None = None) -> tuple[_Counts, _Counts]:
    """How deep a text is behind each bracket, and the steps without those that close what it has not opened; at some brackets it is at level 0 again."""
    depth = np.cumsum(steps, dtype=np.int32)
    if anew is None:
        if depth.min(initial=0) >= 0:
            return depth, steps
        anew = np.empty(0, dtype=np.int64)
    part = np.searchsorted(anew, np.arange(len(steps)), side="right")
    depth = depth - np.concatenate([[0], (depth - steps)[anew]])[part]
    apart = part * (len(steps) + 1)  # each part lies below the one before
    floor = np.minimum.accumulate(np.minimum(depth, 0) - apart) + apart
    return depth - floor, np.where(np.diff(floor, prepend=0) < 0, 0, steps)


def _begins_line(octets: Octets, places: Positions) -> Mask:
    """Of each place, whether it is the first of a line but the first one."""
    return np.asarray((octets[places - 1] == ord("\n")) & (places > 0))


def _goes_on(octets: Octets, places: Positions) -> Mask:
    """Of each place, whether a value may stand there that is part of another: behind `[`, `,` or `:`, or too much white space to tell."""
    before, left = places - 1, np.arange(len(places))
    for _ in range(_NEAR):
        left = left[(before[left] >= 0) & _WHITE[octets[before[left]]]]
        before[left] -= 1
    return (before < 0) | np.isin(octets[np.maximum(before, 0)], list(b"[,: \t\r\n"))


def whole_end(data: bytes) -> int:
    """Where the last whole value of a text ends."""
    ((_, ends),) = spans(np.frombuffer(data, dtype=np.uint8), 0)
    return int(ends[-1]) if len(ends) else 0


def _marks(octets: Octets, *, commas: bool) -> Positions:
    """Where brackets, and commas if asked for, stand outside of strings, which end with their line."""
    found, inside, escaped = [np.empty(0, dtype=np.int64)], False, False
    for begin in range(0, len(octets), _CHUNK):
        text = octets[begin : begin + _CHUNK]
        folded = text & 0xDF  # `[` and `{` are one bit apart, and so are `]` and `}`
        marked = (folded == ord("[")) | (folded == ord("]"))
        if commas:
            marked |= text == ord(",")
        quotes = text == ord('"')
        escapes = _escaped(text, escaped)
        escaped = bool(len(escapes)) and int(escapes[-1]) == len(text)
        quotes[escapes[:-1] if escaped else escapes] = False
        places = np.flatnonzero(marked | (text == ord("\n")))
        # The numbers of quotes up to each place, and behind the last one, modulo 256, of which only the last bit is asked for.
        between = np.add.reduceat(quotes.view(np.uint8), np.concatenate([[0], places]), dtype=np.uint8)
        odd = (np.cumsum(between, dtype=np.uint8) & 1).view(np.bool_)
        line_ends = text[places] == ord("\n")
        within = odd ^ inside
        if within[:-1][line_ends].any():
            last = np.maximum.accumulate(np.where(np.append(line_ends, False), np.arange(len(odd)), -1))
            within = odd ^ np.where(last < 0, inside, odd[last])
        found.append(places[~within[:-1] & ~line_ends] + begin)
        inside = bool(within[-1])
    return np.concatenate(found)


def _escaped(octets: Octets, first: bool) -> Positions:
    """What stands behind a backslash that is not itself escaped, be it behind the text; the first octet may be escaped."""
    slashes = np.flatnonzero(octets == ord("\\"))
    before = np.array([0] if first else [], dtype=np.int64)
    if first and len(slashes) and slashes[0] == 0:
        slashes = slashes[1:]
    if not len(slashes):
        return before
    fresh = np.diff(slashes, prepend=-2) != 1
    if not fresh.all():
        start = np.maximum.accumulate(np.where(fresh, slashes, 0))  # of the run of each
        slashes = slashes[(slashes - start) % 2 == 0]
    return np.concatenate([before, slashes + 1])


def strays(octets: Octets, begins: Positions, ends: Positions) -> tuple[Positions, Positions]:
    """What stands between values and is neither white space nor what separates or closes them."""
    firsts, lasts = np.concatenate([[0], ends]), np.append(begins, len(octets))
    between = stretches(firsts, lasts)
    wrong = between[~_BETWEEN[octets[between]]]
    bad = np.unique(np.searchsorted(firsts, wrong, side="right") - 1)
    return firsts[bad], lasts[bad]
