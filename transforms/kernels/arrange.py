"""Rows in the order of their stable hash, and at most one of each key."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from retrolabel.transforms.kernels.engine import connection
from retrolabel.transforms.kernels.expressions import quoted
from retrolabel.transforms.kernels.hashing import stable_hash

HASH = "__hash"
"""The column that holds each row's stable hash for the step at hand."""


def arrange(table: pa.Table, key: tuple[str, ...]) -> pa.Table:
    """Sorts rows by the stable hash of their key, and keeps the hash in the column `HASH`."""
    if HASH in table.column_names:
        table = table.drop_columns([HASH])
    hashes = stable_hash(table, key, "join")
    order = np.argsort(hashes)
    return table.append_column(HASH, pa.array(hashes)).take(pa.array(order))


@dataclasses.dataclass(frozen=True)
class Deduplicated:
    """`rows in = rows + duplicate`."""

    rows: npt.NDArray[np.int64]
    """Where one row of each key stands, in the order of hash and key."""
    duplicate: int
    conflicting: int
    """Of the duplicates, those that differ from the row that stands for them."""


def first_rows(table: pa.Table, key: tuple[str, ...], order: Sequence[str]) -> Deduplicated:
    """Finds one row of each key: the first in the canonical order of content.

    Sorting the hashes, which the canonical row order needs anyway, brings equal keys together; SQL looks at those alone. Over all
    rows, the same window would take longer than everything else in a build.

    Args:
        table: rows with the column `HASH`, in any order.
        key: what makes two rows the same.
        order: the columns that decide which of them is first: event time, then all others.
    """
    hashes = table.column(HASH).to_numpy()
    by_hash = np.argsort(hashes, kind="stable")
    ordered = hashes[by_hash]
    equal = np.flatnonzero(ordered[1:] == ordered[:-1])
    if not len(equal):
        return Deduplicated(by_hash, 0, 0)
    suspects = np.unique(np.concatenate([equal, equal + 1]))
    rows = by_hash[suspects]
    content = [name for name in table.column_names if name != HASH]
    engine = connection()
    engine.register("suspects", table.take(pa.array(rows)).append_column("__row", pa.array(rows)))
    try:
        verdicts = engine.sql(duplicates_sql(key, order, content)).fetchnumpy()
    finally:
        engine.unregister("suspects")
    # The suspects that stay come back in the order of hash and key, and take the suspects' places from the front.
    kept = verdicts["__row"][verdicts["turn"] == 1]
    remaining = np.delete(by_hash, suspects)
    places = np.searchsorted(hashes[remaining], hashes[kept], side="left")
    result = np.insert(remaining, places, kept)
    return Deduplicated(result, len(rows) - len(kept), int(verdicts["conflicting"].sum()))


def duplicates_sql(key: Sequence[str], order: Sequence[str], content: Sequence[str]) -> str:
    """The query that numbers the rows of each key among `suspects`, in canonical order."""
    keys = ", ".join(map(quoted, key))
    ranked = ", ".join(f"{quoted(name)} NULLS FIRST" for name in order)
    packed = ", ".join(f"{quoted(name)} := {quoted(name)}" for name in content)
    return (
        f"SELECT __row, row_number() OVER same AS turn,\n"
        f"       struct_pack({packed}) IS DISTINCT FROM first_value(struct_pack({packed})) OVER same AS conflicting\n"
        f"FROM suspects\nWINDOW same AS (PARTITION BY {keys} ORDER BY {ranked})\nORDER BY {HASH}, {keys}, turn"
    )
