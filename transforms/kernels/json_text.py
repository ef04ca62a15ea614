"""Where JSON values begin and end in a text that is not cut into lines."""

from collections.abc import Sequence

import numpy as np

from retrolabel.transforms.kernels.columns import Octets, stretches
from retrolabel.transforms.kernels.lines import Positions

_STEPS = np.zeros(256, dtype=np.int8)
_STEPS[list(b"{[")] = 1
_STEPS[list(b"}]")] = -1
_BETWEEN = np.zeros(256, dtype=bool)
_BETWEEN[list(b" \t\r\n,]}")] = True

_CHUNK = 2**18
"""Bytes that are looked at together, so that what is found out about them stays in the processor's cache."""


def spans(octets: Octets, *levels: int) -> list[tuple[Positions, Positions]]:
    """The objects and arrays of a text that stand so many levels deep in others; the last one has no end if it is not finished.

    Brackets that close more than the text has opened belong to something that was opened before it.

    Returns:
        Of each level where each begins, and where each ends.
    """
    return spans_and_commas(octets, levels)[0]


def spans_and_commas(
    octets: Octets, levels: Sequence[int], within: int | None = None
) -> tuple[list[tuple[Positions, Positions]], tuple[Positions, Positions]]:
    """The same as `spans`, and of the objects and arrays of one level the commas between what they hold.

    Returns:
        The spans; and of each comma where it stands, and in which object or array of its level, by number.
    """
    places = _marks(octets, commas=within is not None)
    steps = _STEPS[octets[places]]
    depth = np.cumsum(steps, dtype=np.int32)
    turns = steps
    if depth.min(initial=0) < 0:
        floor = np.minimum.accumulate(np.minimum(depth, 0))
        depth -= floor
        turns = np.where(np.diff(floor, prepend=np.int32(0)) == 0, steps, 0)
    brackets = np.flatnonzero(turns)
    at, deep, opening = places[brackets], depth[brackets], turns[brackets] > 0
    found = [(at[opening & (deep == level + 1)], at[~opening & (deep == level)] + 1) for level in levels]
    if within is None:
        return found, (places[:0], places[:0])
    inside = depth == within + 1
    commas = np.flatnonzero(inside & (steps == 0))
    number = np.cumsum(inside & (steps > 0), dtype=np.int32)[commas] - 1
    return found, (places[commas], number.astype(np.int64))


def whole_end(data: bytes) -> int:
    """Where the last whole value of a text ends."""
    ((_, ends),) = spans(np.frombuffer(data, dtype=np.uint8), 0)
    return int(ends[-1]) if len(ends) else 0


def _marks(octets: Octets, *, commas: bool) -> Positions:
    """Where brackets, and commas if asked for, stand outside of strings."""
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
        places = np.flatnonzero(marked)
        # The numbers of quotes up to each place, and behind the last one, modulo 256, of which only the last bit is asked for.
        between = np.add.reduceat(quotes.view(np.uint8), np.concatenate([[0], places]), dtype=np.uint8)
        within = (np.cumsum(between, dtype=np.uint8) & 1).view(np.bool_) ^ inside
        found.append(places[~within[:-1]] + begin)
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
