"""Where JSON values begin and end in a text that is not cut into lines."""

import numpy as np

from retrolabel.transforms.kernels.columns import Octets
from retrolabel.transforms.kernels.lines import Positions

_STRUCTURE = np.zeros(256, dtype=np.int8)
_STRUCTURE[list(b"{[")] = 1
_STRUCTURE[list(b"}]")] = -1
_BETWEEN = np.zeros(256, dtype=bool)
_BETWEEN[list(b" \t\r\n,]}")] = True


def spans(octets: Octets, level: int = 0) -> tuple[Positions, Positions]:
    """The objects and arrays of a text that stand `level` deep in others; the last one has no end if it is not finished.

    Brackets that close more than the text has opened belong to something that was opened before it.

    Returns:
        Where each begins, and where each ends.
    """
    places = np.flatnonzero(_STRUCTURE[octets])
    places = places[np.searchsorted(string_marks(octets), places) % 2 == 0]
    steps = _STRUCTURE[octets[places]].astype(np.int64)
    depth = np.cumsum(steps)
    floor = np.minimum.accumulate(np.minimum(depth, 0)) if len(depth) else depth
    depth = depth - floor
    before = depth - steps
    begins = places[(steps > 0) & (depth == level + 1)]
    ends = places[(steps < 0) & (depth == level) & (before == level + 1) & (np.diff(floor, prepend=0) == 0)] + 1
    return begins, ends


def string_marks(octets: Octets) -> Positions:
    """The quotes that begin and end strings, in turn."""
    quotes = np.flatnonzero(octets == ord('"'))
    slashes = np.flatnonzero(octets == ord("\\"))
    if not len(slashes) or not len(quotes):
        return quotes
    first = np.maximum.accumulate(np.where(np.diff(slashes, prepend=-2) != 1, slashes, 0))  # of the run of each
    last = np.searchsorted(slashes, quotes) - 1
    run = np.where((last >= 0) & (slashes[last] == quotes - 1), quotes - first[last], 0)
    return quotes[run % 2 == 0]


def strays(octets: Octets, begins: Positions, ends: Positions) -> tuple[Positions, Positions]:
    """What stands between values and is neither white space nor what separates or closes them."""
    firsts, lasts = np.concatenate([[0], ends]), np.append(begins, len(octets))
    wrong = np.concatenate([[0], np.cumsum(~_BETWEEN[octets])])
    bad = wrong[lasts] > wrong[firsts]
    return firsts[bad], lasts[bad]
