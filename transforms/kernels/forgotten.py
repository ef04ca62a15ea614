"""The rows of people who were forgotten: found by keyed marks, which do not tell who the people were."""

import dataclasses
import hmac
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc


@dataclasses.dataclass(frozen=True)
class Sought:
    """Values that are looked for in a column, by their marks."""

    column: str
    field: str
    """The field whose values were marked: the column's own, or one that it is joined with."""
    marks: frozenset[str]


def mark_of(field: str, text: str, key: bytes) -> str:
    """The first 128 bits of the HMAC-SHA-256 of a field's name and a value's text, under a key derived from the key of pseudonyms.

    It differs from the value's pseudonym: nothing that stands in a dataset can be looked up among marks without the key.
    """
    return _mark(field, text, _derived(key))


def forgotten_rows(table: pa.Table, sought: Sequence[Sought], key: bytes) -> npt.NDArray[np.bool_]:
    """Of each parsed row, whether it is of somebody who was forgotten. Each distinct value is marked once.

    Args:
        table: rows as a contract has them, before their personal data is treated.
        sought: columns of texts, integers or lists of texts.
        key: that made the marks.
    """
    found = np.zeros(table.num_rows, dtype=np.bool_)
    derived = _derived(key)
    for one in sought:
        column = table.column(one.column).combine_chunks()
        items = column.flatten() if pa.types.is_list(column.type) else column
        coded = items.cast(pa.string()).dictionary_encode()
        marked = [_mark(one.field, text, derived) in one.marks for text in coded.dictionary.to_pylist()]
        hits = pc.fill_null(pa.array(marked, pa.bool_()).take(coded.indices), False)
        found |= in_rows(column, hits)
    return found


def in_rows(column: pa.Array, hits: pa.Array) -> npt.NDArray[np.bool_]:
    """Of each row of a column whether its value, or an item of its list, is hit; `hits` are those of the values or items in their order."""
    flags: npt.NDArray[np.bool_] = hits.to_numpy(zero_copy_only=False)
    if not pa.types.is_list(column.type):
        return flags
    rows = np.zeros(len(column), dtype=np.bool_)
    rows[pc.list_parent_indices(column).to_numpy()[flags]] = True
    return rows


def _derived(key: bytes) -> bytes:
    return hmac.digest(key, b"retrolabel forgotten", "sha256")


def _mark(field: str, text: str, derived: bytes) -> str:
    return hmac.digest(derived, f"{field}\0{text}".encode(), "sha256")[:16].hex()
