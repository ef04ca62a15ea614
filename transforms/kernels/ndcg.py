"""How well lists were ranked: normalised discounted cumulative gain."""

import math

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from retrolabel.transforms.kernels.arrange import HASH
from retrolabel.transforms.kernels.monitor import STATISTICS

ORDER, GAIN = "order", "gain"
CUT = 10
"""Of `ndcg_at_10`."""


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
    by_order = np.lexsort((gain, order, query))
    query, order, gain = query[by_order], order[by_order], gain[by_order]
    starts = (
        np.flatnonzero(np.concatenate([[True], query[1:] != query[:-1]])) if len(query) else np.zeros(0, dtype=np.int64)
    )
    lengths = np.diff(np.append(starts, len(query)))
    rank = np.arange(len(query)) - np.repeat(starts, lengths)
    member = np.repeat(np.arange(len(starts)), lengths)
    unknown = np.bincount(member, weights=~(gain >= 0) | ~np.isfinite(order), minlength=len(starts)) > 0
    tied = (
        np.concatenate([[False], (order[1:] == order[:-1]) & (query[1:] == query[:-1])])
        if len(query)
        else np.zeros(0, dtype=np.bool_)
    )
    tie = np.cumsum(~tied) - 1
    ideal = np.nan_to_num(gain[np.lexsort((-gain, query))])
    rows = [_row("queries", len(starts), int(unknown.sum()), np.zeros(0))]
    for name, cut in (("ndcg", len(query)), ("ndcg_at_10", CUT)):
        discount = _discounts(rank, cut)
        shared = np.bincount(tie, weights=discount) / np.maximum(np.bincount(tie), 1) if len(tie) else discount
        reached = np.bincount(member, weights=np.nan_to_num(gain) * shared[tie], minlength=len(starts))
        best = np.bincount(member, weights=ideal * discount, minlength=len(starts))
        measured = ~unknown & (best > 0)
        rows.append(_row(name, int(measured.sum()), 0, reached[measured] / best[measured]))
    return pa.concat_tables(rows)


def _discounts(rank: npt.NDArray[np.int64], cut: int) -> npt.NDArray[np.float64]:
    longest = int(rank.max(initial=-1)) + 1
    table = np.array([1 / math.log2(place + 2) if place < cut else 0.0 for place in range(longest)])
    return table[rank] if len(rank) else np.zeros(0)


def _row(statistic: str, rows: int, positives: int, values: npt.NDArray[np.float64]) -> pa.Table:
    row = {"statistic": statistic, "attribute": "", "value": None, "bin": 0, "age": 0, "rows": rows, "positives": positives,
           "total": math.fsum(values), "squares": math.fsum(values * values)}  # fmt: skip
    return pa.Table.from_pylist([row], schema=STATISTICS)
