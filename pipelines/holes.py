"""Which files of hours or days are not there, between others that are: their events may be missing, and missing outcomes make negatives."""

import bisect
import re
from collections.abc import Collection, Sequence

from retrolabel.transforms.listing import pattern_regex


def holes(series: Sequence[str], paths: Collection[str]) -> list[str]:
    """The patterns that match no path, between two that match one.

    Args:
        series: one pattern expanded for its hours or days, in their order. What lies before the first file or after the last is no hole: a
            log begins, and may not have gone on yet.
        paths: of the files that there are.
    """
    ordered = sorted(paths)
    there = [number for number, pattern in enumerate(series) if _matches_one(pattern, ordered)]
    between = range(there[0], there[-1]) if there else ()
    return [series[number] for number in between if number not in there]


def _matches_one(pattern: str, ordered: Sequence[str]) -> bool:
    prefix = re.split(r"[*?[]", pattern, maxsplit=1)[0]
    named = re.compile(pattern_regex(pattern), re.DOTALL)
    begin = bisect.bisect_left(ordered, prefix)
    end = bisect.bisect_left(ordered, prefix + chr(0x10FFFF))
    return any(named.fullmatch(ordered[number]) for number in range(begin, end))
