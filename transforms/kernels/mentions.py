"""Where texts mention somebody: as a whole word, however the text spells it."""

import dataclasses
import functools
import html
import itertools
import json
import re
import urllib.parse
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from retrolabel.transforms.kernels.forgotten import in_rows

FORGOTTEN = "[forgotten]"
"""Stands where a text mentioned somebody."""

_SHORTEST_NUMBER = 6
"""Digits from which on a number is looked for within longer texts: shorter ones are everywhere, in times and sizes and counts."""

_AT_ONCE = 200
_BEFORE, _AFTER = "(?:^|[^A-Za-z0-9_])", "(?:$|[^A-Za-z0-9_])"


@dataclasses.dataclass(frozen=True)
class Mentions:
    """What mentions of somebody look like."""

    names: tuple[str, ...]
    """By which they were known: values as they stand in logs, and their pseudonyms."""

    @functools.cached_property
    def telling(self) -> tuple[str, ...]:
        """The names that are looked for within longer texts; numbers of few digits are not."""
        return tuple(name for name in self.names if not name.isdecimal() or len(name) >= _SHORTEST_NUMBER)

    def rows(self, table: pa.Table) -> npt.NDArray[np.bool_]:
        """Of each row whether any of its texts, or an item of a list of texts, is or mentions a name."""
        found = np.zeros(table.num_rows, dtype=np.bool_)
        for column in table.columns:
            values = column.combine_chunks()
            items = values.flatten() if pa.types.is_list(values.type) else values
            if pa.types.is_string(items.type):
                found |= in_rows(values, self._hits(items, self.telling))
        return found

    def lines(self, lines: pa.Array) -> npt.NDArray[np.bool_]:
        """Of each rejected line whether it mentions a name, also one of few digits: a text too many that is not kept does no harm."""
        return in_rows(lines, self._hits(lines, self.names))

    def _hits(self, items: pa.Array, within: tuple[str, ...]) -> pa.Array:
        texts = pa.array([name.encode() for name in self.names]).cast(items.type)
        hits = pc.is_in(items, value_set=texts)
        for pattern in _patterns(within):
            hits = pc.or_(hits, pc.fill_null(pc.match_substring_regex(items, pattern), False))
        return hits

    def in_text(self, text: str) -> bool:
        """Whether a text is or mentions a name."""
        if text in self.names:
            return True
        return any(word in text for word in self._words) and any(pattern.search(text) for pattern in self._compiled)

    def in_bytes(self, data: bytes) -> bool:
        """Whether bytes mention a name."""
        there = any(word.encode() in data for word in self._words)  # much quicker than a search, and seldom so
        return there and any(pattern.search(data) for pattern in self._compiled_bytes)

    def cleared(self, text: str) -> str:
        """The text with `FORGOTTEN` in the place of names."""
        if text in self.names:
            return FORGOTTEN
        for pattern in self._compiled:
            text = pattern.sub(lambda match: f"{match[1]}{FORGOTTEN}{match[2]}", text)
        return text

    @functools.cached_property
    def _words(self) -> list[str]:
        return [spelling for name in self.telling for spelling in spellings(name)]

    @functools.cached_property
    def _compiled(self) -> list[re.Pattern[str]]:
        return [_as_python(pattern) for pattern in _patterns(self.telling)]

    @functools.cached_property
    def _compiled_bytes(self) -> list[re.Pattern[bytes]]:
        return [re.compile(pattern.encode()) for pattern in _patterns(self.telling)]


def spellings(name: str) -> list[str]:
    """A name as texts spell it: as it is, in JSON with and without escapes, in HTML, and in a URL."""
    found = [name, json.dumps(name)[1:-1], json.dumps(name, ensure_ascii=False)[1:-1], html.escape(name), urllib.parse.quote(name, safe="")]  # fmt: skip
    return list(dict.fromkeys(found))


def _patterns(names: tuple[str, ...]) -> Iterator[str]:
    """Regular expressions that RE2 and Python read alike."""
    words = iter(sorted({re.escape(spelling) for name in names for spelling in spellings(name)}))
    while some := list(itertools.islice(words, _AT_ONCE)):
        yield f"{_BEFORE}(?:{'|'.join(some)}){_AFTER}"


def _as_python(pattern: str) -> re.Pattern[str]:
    """With what stands before and after a name in groups of their own."""
    return re.compile(f"({_BEFORE}){pattern.removeprefix(_BEFORE).removesuffix(_AFTER)}({_AFTER})")
