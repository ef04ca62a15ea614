"""Where JSON values begin and end in a text that is not cut into lines."""

import numpy as np

from retrolabel.transforms.kernels.columns import Octets, stretches
from retrolabel.transforms.kernels.lines import Positions

_STEPS = np.zeros(256, dtype=np.int8)
_STEPS[list(b"{[")] = 1
_STEPS[list(b"}]")] = -1
_BETWEEN = np.zeros(256, dtype=bool)
_BETWEEN[list(b" \t\r\n,]}")] = True


def spans(octets: Octets, *levels: int) -> list[tuple[Positions, Positions]]:
    """The objects and arrays of a text that stand so many levels deep in others; the last one has no end if it is not finished.

    Brackets that close more than the text has opened belong to something that was opened before it.

    Returns:
        Of each level where each begins, and where each ends.
    """
    folded = octets & 0xDF  # `[` and `{` are one bit apart, and so are `]` and `}`
    places = np.flatnonzero((folded == ord("[")) | (folded == ord("]")))
    places = places[np.searchsorted(string_marks(octets), places) % 2 == 0]
    steps = _STEPS[octets[places]]
    depth = np.cumsum(steps, dtype=np.int32)
    floor = np.minimum.accumulate(np.minimum(depth, 0))
    depth -= floor
    closing = (steps < 0) & (np.diff(floor, prepend=np.int32(0)) == 0)
    opening = steps > 0
    return [(places[opening & (depth == level + 1)], places[closing & (depth == level)] + 1) for level in levels]


def whole_end(data: bytes) -> int:
    """Where the last whole value of a text ends."""
    ((_, ends),) = spans(np.frombuffer(data, dtype=np.uint8), 0)
    return int(ends[-1]) if len(ends) else 0


def string_marks(octets: Octets) -> Positions:
    """The quotes that begin and end strings, in turn."""
    quotes = np.flatnonzero(octets == ord('"'))
    slashes = np.flatnonzero(octets == ord("\\"))
    if not len(slashes) or not len(quotes):
        return quotes
    first = np.maximum.accumulate(np.where(np.diff(slashes, prepend=-2) != 1, slashes, 0))  # of the run of each
    last = np.searchsorted(slashes, quotes) - 1
    run = np.where((last >= 0) & (slashes[last] == quotes - 1), quotes - first[last], 0)
    return np.asarray(quotes[run % 2 == 0])


def strays(octets: Octets, begins: Positions, ends: Positions) -> tuple[Positions, Positions]:
    """What stands between values and is neither white space nor what separates or closes them."""
    firsts, lasts = np.concatenate([[0], ends]), np.append(begins, len(octets))
    between = stretches(firsts, lasts)
    wrong = between[~_BETWEEN[octets[between]]]
    bad = np.unique(np.searchsorted(firsts, wrong, side="right") - 1)
    return firsts[bad], lasts[bad]
