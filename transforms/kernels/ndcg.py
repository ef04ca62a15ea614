"""How well lists were ranked: normalised discounted cumulative gain."""

import math
from collections.abc import Iterable, Iterator
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from retrolabel.transforms.kernels.arrange import HASH
from retrolabel.transforms.kernels.engine import in_the_room_there_is
from retrolabel.transforms.kernels.monitor import STATISTICS

ORDER, GAIN = "order", "gain"
CUT = 10
"""Of `ndcg_at_10`."""

READ = 250_000
"""Rows that are added up at a time."""

RANKED_ROWS = "ranked rows"
"""The table of an engine's rows, for `measure_ranking_on_disk`."""

_NAMES = ("ndcg", f"ndcg_at_{CUT}")

_Columns = dict[str, npt.NDArray[Any]]
"""Columns of one length: of numbers, `HASH` of unsigned ones."""


def ranked_rows(
    query: npt.NDArray[np.uint64], order: npt.NDArray[np.float64], gain: npt.NDArray[np.float64]
) -> pa.Table:
    """What NDCG needs of predictions: the hash of their query, what they were ordered by, ascending, and their gain.

    A gain is NaN where the label is not known; its query cannot be measured.
    """
    return pa.table({HASH: query, ORDER: order, GAIN: gain})


def measure_ranking(table: pa.Table) -> pa.Table:
    """NDCG of the queries of one shard, as statistics `queries`, `ndcg` and `ndcg_at_10`, the latter of queries with any gain.

    The gain of an item is its label, discounted by `1 / log2(1 + rank)` (Järvelin and Kekäläinen 2002); items of equal order share the
    mean of their discounts (McSherry and Najork 2008), as in scikit-learn's `ndcg_score`. Queries with an unknown or negative gain are
    counted in `positives` of `queries`, and left out, as are those without any gain.

    Args:
        table: see `ranked_rows`; all rows of each query.
    """
    query, order, gain = (table.column(name).to_numpy() for name in (HASH, ORDER, GAIN))
    return _measured(_taken(table, np.lexsort((gain, order, query))), _taken(table, np.lexsort((-gain, query))))


def measure_ranking_on_disk(engine: duckdb.DuckDBPyConnection) -> pa.Table:
    """Does what `measure_ranking` does, with the rows of the table `RANKED_ROWS`.

    Raises:
        StorageError: memory or disk are full.
    """
    with in_the_room_there_is():
        return _measured(_read(engine, f'"{ORDER}", {GAIN}'), _read(engine, f"{GAIN} DESC"))


def _taken(table: pa.Table, order: npt.NDArray[np.int64]) -> Iterator[pa.Table]:
    for start in range(0, len(order), READ):
        yield table.take(pa.array(order[start : start + READ]))


def _read(engine: duckdb.DuckDBPyConnection, order: str) -> Iterator[pa.Table]:
    sql = f'SELECT {HASH}, "{ORDER}", {GAIN} FROM "{RANKED_ROWS}" ORDER BY {HASH}, {order}'
    for batch in engine.sql(sql).to_arrow_reader(READ):
        yield pa.Table.from_batches([batch])


def _measured(by_order: Iterable[pa.Table], by_gain: Iterable[pa.Table]) -> pa.Table:
    """From the rows of each query in their order and gain, and from the highest gain to the lowest; some at a time."""
    found = _together(_added(_gained(_added(_discounted(by_order), (HASH, ORDER))), (HASH,)))
    best = _together(_added(_gained(_discounted(by_gain)), (HASH,)))
    unknown = found["unknown"] > 0
    rows = [_row("queries", len(unknown), int(unknown.sum()), np.zeros(0))]
    for name in _NAMES:
        measured = ~unknown & (best[name] > 0)
        rows.append(_row(name, int(measured.sum()), 0, found[name][measured] / best[name][measured]))
    return pa.concat_tables(rows)


def _discounted(chunks: Iterable[pa.Table]) -> Iterator[_Columns]:
    """Rows with the discounts of their rank in their query, which may have begun in a chunk before."""
    last, following = None, 0
    for chunk in chunks:
        query, order, gain = (chunk.column(name).to_numpy() for name in (HASH, ORDER, GAIN))
        starts = np.flatnonzero(_changes(query))
        lengths = np.diff(np.append(starts, len(query)))
        rank = np.arange(len(query)) - np.repeat(starts, lengths)
        begun = int(lengths[0]) if query[0] == last else 0
        discount = _discounts(0, int(rank[begun:].max(initial=-1)) + 1)[rank[begun:]]
        if begun:
            discount = np.concatenate([_discounts(following, begun), discount])
            rank[:begun] += following
        last, following = query[-1], int(rank[-1]) + 1
        yield {HASH: query, ORDER: order, GAIN: np.nan_to_num(gain), "rows": np.ones(len(query)),
               "unknown": ~(gain >= 0) | ~np.isfinite(order), "ndcg": discount, "ndcg_at_10": np.where(rank < CUT, discount, 0.0)}  # fmt: skip


def _discounts(start: int, count: int) -> npt.NDArray[np.float64]:
    """Of so many ranks. The logarithm is Python's: NumPy's depends on the machine."""
    return np.fromiter((1 / math.log2(rank + 2) for rank in range(start, start + count)), np.float64, count)


def _gained(rows: Iterable[_Columns]) -> Iterator[_Columns]:
    """What rows, or those of equal order together, which share their discounts, add to the gain of their query."""
    for row in rows:
        gained = {name: row[GAIN] * (row[name] / row["rows"]) for name in _NAMES}
        yield {HASH: row[HASH], "unknown": row["unknown"], **gained}


def _added(chunks: Iterable[_Columns], keys: tuple[str, ...]) -> Iterator[_Columns]:
    """Adds up neighbouring rows of equal keys, one after the other: however they are cut into chunks, the sums are the same."""
    open_one: _Columns = {}
    for chunk in chunks:
        columns = {
            name: np.concatenate([open_one[name], values]) if open_one else values for name, values in chunk.items()
        }
        changes = np.any([_changes(columns[name]) for name in keys], axis=0)
        starts, member = np.flatnonzero(changes), np.cumsum(changes) - 1
        sums = {
            name: values[starts] if name in keys else np.bincount(member, weights=values)
            for name, values in columns.items()
        }
        yield {name: values[:-1] for name, values in sums.items()}
        open_one = {name: values[-1:] for name, values in sums.items()}
    if open_one:
        yield open_one


def _changes(values: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Whether each value differs from the one before; the first does."""
    return np.concatenate([[True], values[1:] != values[:-1]])[: len(values)]


def _together(chunks: Iterable[_Columns]) -> _Columns:
    found = list(chunks)
    return {name: np.concatenate([np.zeros(0), *(chunk[name] for chunk in found)]) for name in ("unknown", *_NAMES)}


def _row(statistic: str, rows: int, positives: int, values: npt.NDArray[np.float64]) -> pa.Table:
    row = {"statistic": statistic, "attribute": "", "value": None, "bin": 0, "age": 0, "rows": rows, "positives": positives,
           "total": math.fsum(values), "squares": math.fsum(values * values)}  # fmt: skip
    return pa.Table.from_pylist([row], schema=STATISTICS)
