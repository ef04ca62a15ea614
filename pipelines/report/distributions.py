"""Distributions to be drawn side by side: of two statistics, the shares of the same bins."""

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np
from tensorflow_metadata.proto.v0.statistics_pb2 import FeatureNameStatistics, Histogram, NumericStatistics

from retrolabel.pipelines.report.numbers import number

_BINS = 24
_VALUES = 12


@dataclasses.dataclass(frozen=True)
class Distribution:
    """Shares of bins now and before; what is missing is in none."""

    bins: tuple[str, ...]
    """What each is called."""
    now: tuple[float, ...]
    before: tuple[float, ...] | None


def distribution(now: FeatureNameStatistics, before: FeatureNameStatistics | None) -> Distribution | None:
    """The bins of a column; None if its statistics have no distribution, or it has no values."""
    if now.WhichOneof("stats") == "num_stats":
        other = before.num_stats if before is not None and before.WhichOneof("stats") == "num_stats" else None
        return _of_numbers(now.num_stats, other)
    if now.WhichOneof("stats") == "string_stats":
        texts = before if before is not None and before.WhichOneof("stats") == "string_stats" else None
        return _of_values(now, texts)
    return None


def _of_values(now: FeatureNameStatistics, before: FeatureNameStatistics | None) -> Distribution | None:
    rows, counts = now.string_stats.common_stats.num_non_missing, _frequencies(now)
    earlier = _frequencies(before) if before is not None else {}
    if not rows or not counts:
        return None
    values = list(dict.fromkeys([*itertools.islice(counts, _VALUES), *itertools.islice(earlier, _VALUES)]))[
        : _VALUES + 4
    ]
    was = before.string_stats.common_stats.num_non_missing if before is not None else 0
    return Distribution(
        (*values, "(others)"), _with_rest([counts.get(value, 0) / rows for value in values]),
        _with_rest([earlier.get(value, 0) / was for value in values]) if was else None,
    )  # fmt: skip


def _frequencies(feature: FeatureNameStatistics) -> dict[str, float]:
    return {entry.value: entry.frequency for entry in feature.string_stats.top_values}


def _with_rest(shares: list[float]) -> tuple[float, ...]:
    return (*shares, max(0.0, 1 - sum(shares)))


def _of_numbers(now: NumericStatistics, before: NumericStatistics | None) -> Distribution | None:
    known = [statistics for statistics in (now, before) if statistics is not None and _knots(statistics)]
    if not known or known[0] is not now:
        return None
    edges = _edges([_knots(statistics) for statistics in known])
    names = [f"{number(low)} to {number(high)}" for low, high in itertools.pairwise(edges)]
    return Distribution(
        tuple(names), _shares(_knots(now), edges), _shares(_knots(known[1]), edges) if len(known) > 1 else None
    )


_Knots = list[tuple[float, float]]


def _knots(statistics: NumericStatistics) -> _Knots:
    """Points of the cumulative distribution: value, share of values up to it. From the standard histogram and the quantiles together."""
    points: dict[float, float] = {}
    for histogram in statistics.histograms:
        total, below = sum(bucket.sample_count for bucket in histogram.buckets), 0.0
        if not total:
            continue
        for bucket in histogram.buckets:
            if np.isfinite(bucket.low_value) and (histogram.type == Histogram.STANDARD or not below):
                points.setdefault(bucket.low_value, below / total)
            below += bucket.sample_count
            if np.isfinite(bucket.high_value):
                points[bucket.high_value] = max(points.get(bucket.high_value, 0.0), below / total)
    ordered, highest = [], 0.0
    for value, share in sorted(points.items()):
        highest = max(highest, share)
        ordered.append((value, highest))
    return ordered


def _edges(several: Sequence[_Knots]) -> list[float]:
    """Equal bins over where most values lie; the long ends become the first and the last bin."""
    low = min(_quantile(knots, 0.0) for knots in several)
    high = max(_quantile(knots, 1.0) for knots in several)
    inner = [(_quantile(knots, 0.1), _quantile(knots, 0.9)) for knots in several]
    begin, end = min(pair[0] for pair in inner), max(pair[1] for pair in inner)
    room = (end - begin) or (high - low) or 1.0
    begin, end = max(low, begin - room * 0.6), min(high, end + room * 0.6)
    if end <= begin:
        begin, end = low - 0.5, high + 0.5
    edges = (
        np.linspace(begin / 2, end / 2, _BINS + 1) * 2
    ).tolist()  # halves: how far the largest doubles are apart is none
    return [min(low, edges[0]), *edges[1:-1], max(high, edges[-1])]


def _quantile(knots: _Knots, share: float) -> float:
    values, shares = zip(*knots, strict=True)
    return float(np.interp(share, shares, np.array(values) / 2)) * 2


def _shares(knots: _Knots, edges: Sequence[float]) -> tuple[float, ...]:
    values, shares = zip(*knots, strict=True)
    below = np.interp(np.array(edges) / 2, np.array(values) / 2, shares, left=0.0, right=1.0)
    below[0] = 0.0
    return tuple(np.diff(below).tolist())
