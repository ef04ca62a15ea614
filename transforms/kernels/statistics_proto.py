"""Statistics as TensorFlow Metadata has them: the meaning of every field is that of TensorFlow Data Validation 1.16."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from tensorflow_metadata.proto.v0.statistics_pb2 import (
    CommonStatistics,
    DatasetFeatureStatistics,
    DatasetFeatureStatisticsList,
    FeatureNameStatistics,
    Histogram,
    RankHistogram,
)

from retrolabel.transforms.kernels.column_statistics import ColumnStatistics, Moments, Numeric, Valency
from retrolabel.transforms.kernels.frequencies import COUNTED, Frequencies
from retrolabel.transforms.kernels.spread import Spread, spread_of
from retrolabel.transforms.kernels.table_statistics import TableStatistics

TOP_VALUES = 20
RANKS = 1000
BUCKETS = 10

SPREAD = "spread"
"""The custom statistic with the bins of a `Spread`, which two days have in common; `spread_shift` is its grid."""
SPREAD_BINS = 256
TYPE = "type"
"""The custom statistic with the Arrow type, where it says more than INT, FLOAT or STRING."""
COUNT_ERROR = "count_error"
"""The custom statistic that says how much larger a count of a text may be, where not all are counted."""
UNIQUE_ERROR = "unique_standard_error"
"""The custom statistic with the relative standard error of `unique`, where it is an estimate."""

_TYPES = {"int": FeatureNameStatistics.INT, "float": FeatureNameStatistics.FLOAT,
          "string": FeatureNameStatistics.STRING, "missing": FeatureNameStatistics.STRING}  # fmt: skip
_PLAIN = ("int", "uint", "float", "double", "halffloat", "string", "large_string", "null", "list", "fixed_size_list")

Numbers = npt.NDArray[np.float64]


def statistics_list(statistics: Mapping[str, TableStatistics]) -> DatasetFeatureStatisticsList:
    """The statistics of several datasets, slices or splits, by their names."""
    return DatasetFeatureStatisticsList(datasets=[_dataset(name, found) for name, found in statistics.items()])


def _dataset(name: str, table: TableStatistics) -> DatasetFeatureStatistics:
    features = [_feature(column, found, table) for column, found in table.columns.items()]
    return DatasetFeatureStatistics(
        name=name, num_examples=table.rows, weighted_num_examples=table.weight or 0.0, features=features
    )


def _feature(name: str, column: ColumnStatistics, table: TableStatistics) -> FeatureNameStatistics:
    feature = FeatureNameStatistics(type=_TYPES[column.kind])
    feature.path.step.append(name)
    weighted = table.weight is not None
    if feature.type == FeatureNameStatistics.STRING:
        _fill_common(feature.string_stats.common_stats, column.levels, table)
        _fill_texts(feature, column, weighted)
    else:
        _fill_common(feature.num_stats.common_stats, column.levels, table)
        _fill_numbers(feature, column.numeric, weighted)
    if column.kind != "missing" and not column.type_name.startswith(_PLAIN):
        feature.custom_stats.add(name=TYPE, str=column.type_name)
    return feature


def _fill_common(common: CommonStatistics, levels: Sequence[Valency], table: TableStatistics) -> None:
    first, weighted = levels[0], table.weight is not None
    common.num_non_missing, common.num_missing = first.present, table.rows - first.present
    common.tot_num_values = first.values
    if first.present:
        common.min_num_values, common.max_num_values = first.fewest, first.most
        common.avg_num_values = first.values / first.present
        lengths = first.lengths
        _fill_quantiles(common.num_values_histogram, lengths, first.fewest, first.most, (0, 0), weighted=False)
    if weighted:
        _fill_weighted(common.weighted_common_stats, first, table.weight or 0.0)
    if len(levels) > 1:
        around, mass = table.rows, table.weight or 0.0
        for level in levels:
            valency = common.presence_and_valency_stats.add(
                num_missing=around - level.present, num_non_missing=level.present
            )
            if level.present:
                valency.min_num_values, valency.max_num_values = level.fewest, level.most
                valency.tot_num_values = level.values
            if weighted:
                _fill_weighted(common.weighted_presence_and_valency_stats.add(), level, mass)
            around, mass = level.values, level.values_weight


def _fill_weighted(common: CommonStatistics, level: Valency, around: float) -> None:
    common.num_non_missing, common.num_missing = level.present_weight, around - level.present_weight
    common.tot_num_values = level.values_weight
    if level.present_weight > 0:
        common.avg_num_values = level.values_weight / level.present_weight


# Numbers


def _fill_numbers(feature: FeatureNameStatistics, numeric: Numeric, weighted: bool) -> None:
    stats = feature.num_stats
    if not numeric.moments.mass and not any(numeric.infinities):
        if numeric.nans:
            stats.histograms.add(type=Histogram.STANDARD, num_nan=numeric.nans)
            stats.histograms.add(type=Histogram.QUANTILES, num_nan=numeric.nans)
        return
    below, above = numeric.infinities
    stats.num_zeros = numeric.zeros
    stats.min = -math.inf if below else numeric.least
    stats.max = math.inf if above else numeric.greatest
    stats.mean, stats.std_dev = _center(numeric, numeric.moments)
    stats.median = _median(numeric, numeric.infinities)
    _fill_histograms(stats.histograms, numeric, numeric.infinities)
    if weighted:
        inner, masses = stats.weighted_numeric_stats, numeric.infinite_weights
        inner.mean, inner.std_dev = _center(numeric, numeric.weighted)
        if numeric.weighted.mass or any(masses):
            inner.median = _median(numeric, masses, weighted=True)
            _fill_histograms(inner.histograms, numeric, masses, weighted=True)
    if len(numeric.spread.keys):
        coarse = numeric.spread.coarser(SPREAD_BINS)
        feature.custom_stats.add(name=f"{SPREAD}_shift", num=coarse.shift)
        histogram = feature.custom_stats.add(name=SPREAD).histogram
        for low, high, count in zip(coarse.lows, coarse.highs, coarse.counts, strict=True):
            histogram.buckets.add(low_value=low, high_value=high, sample_count=count)


def _center(numeric: Numeric, moments: Moments) -> tuple[float, float]:
    """Mean and deviation; of infinite numbers there is no mean, and the deviation is left unset."""
    if any(numeric.infinities):
        return math.nan, 0.0
    if numeric.least == numeric.greatest:
        return numeric.least, 0.0
    return moments.mean, moments.deviation


def _median(numeric: Numeric, infinities: tuple[float, float], *, weighted: bool = False) -> float:
    return float(_quantiles(numeric.spread, [0.5], numeric.least, numeric.greatest, infinities, weighted)[0])


def _fill_histograms(
    histograms: Any, numeric: Numeric, infinities: tuple[float, float], *, weighted: bool = False
) -> None:
    """Adds ten buckets of equal width over the finite numbers, and ten of equal mass; infinite ones have buckets of their own."""
    below, above = infinities
    equal = histograms.add(type=Histogram.STANDARD, num_nan=numeric.nans)
    if below:
        equal.buckets.add(low_value=-math.inf, high_value=-math.inf, sample_count=below)
    if len(numeric.spread.keys):
        least, greatest = numeric.least, numeric.greatest
        with np.errstate(over="ignore", invalid="ignore"):
            bounds = np.linspace(least, greatest, (BUCKETS if least < greatest else 1) + 1)
        if np.isfinite(bounds).all():
            reached = numeric.spread.below(bounds, weighted)
            reached[0], reached[-1] = 0.0, numeric.spread.mass(weighted).sum()
            for low, high, count in zip(bounds, bounds[1:], np.diff(reached), strict=False):
                equal.buckets.add(low_value=low, high_value=high, sample_count=count)
    if above:
        equal.buckets.add(low_value=math.inf, high_value=math.inf, sample_count=above)
    quantiles = histograms.add(num_nan=numeric.nans)
    _fill_quantiles(quantiles, numeric.spread, numeric.least, numeric.greatest, infinities, weighted=weighted)


def _fill_quantiles(
    histogram: Histogram,
    spread: Spread,
    least: float,
    greatest: float,
    infinities: tuple[float, float],
    *,
    weighted: bool,
) -> None:
    """Buckets that end at the deciles; one that ends where the one before ends shares its mass."""
    histogram.type = Histogram.QUANTILES
    bounds = _quantiles(spread, np.arange(BUCKETS + 1) / BUCKETS, least, greatest, infinities, weighted)
    total = float(spread.mass(weighted).sum())
    inner = np.clip(np.nan_to_num(bounds, posinf=greatest, neginf=least), least, greatest) if total else bounds
    reached = infinities[0] + (_reached(spread, inner, least, greatest, weighted) if total else 0.0)
    reached = np.where(
        bounds == -math.inf, infinities[0], np.where(bounds == math.inf, infinities[0] + total + infinities[1], reached)
    )
    counts = np.diff(reached)
    ends, starts = bounds[1:], bounds[:-1]
    for end in np.unique(ends):
        same = ends == end
        counts[same] = counts[same].sum() / same.sum()
    first = (starts == starts[0]) & (ends == ends[0])
    counts[first] += reached[0] / first.sum()
    for low, high, count in zip(starts, ends, counts, strict=True):
        histogram.buckets.add(low_value=low, high_value=high, sample_count=count)


def _reached(spread: Spread, bounds: Numbers, least: float, greatest: float, weighted: bool) -> Numbers:
    """How much mass lies at or below each bound."""
    after = np.nextafter(bounds, math.inf)
    return np.where(bounds >= greatest, spread.mass(weighted).sum(), spread.below(after, weighted))


def _quantiles(
    spread: Spread,
    shares: Sequence[float] | Numbers,
    least: float,
    greatest: float,
    infinities: tuple[float, float],
    weighted: bool,
) -> Numbers:
    """Quantiles of the finite and infinite numbers together."""
    below, above = infinities
    inside = float(spread.mass(weighted).sum())
    ranks = np.asarray(shares, dtype=np.float64) * (below + inside + above)
    if not inside:
        return np.where(ranks <= below, -math.inf, math.inf) if below else np.full(len(ranks), math.inf)
    finite = spread.quantiles(np.clip((ranks - below) / inside, 0, 1).tolist(), least, greatest, weighted)
    if not below and not above:
        finite = np.where(np.asarray(shares) <= 0, least, np.where(np.asarray(shares) >= 1, greatest, finite))
    low = (ranks <= below) if below else np.zeros(len(ranks), np.bool_)
    return np.where(low, -math.inf, np.where(ranks > below + inside, math.inf, finite))


# Texts


def _fill_texts(feature: FeatureNameStatistics, column: ColumnStatistics, weighted: bool) -> None:
    stats, texts = feature.string_stats, column.texts
    values = column.levels[-1].values
    if not values or column.kind == "missing":
        return
    stats.avg_length = texts.octets / values
    stats.invalid_utf8_count = texts.invalid
    stats.unique = texts.unique
    _fill_ranks(stats.top_values, stats.rank_histogram, texts.ranked(RANKS))
    if weighted:
        inner = stats.weighted_string_stats
        _fill_ranks(inner.top_values, inner.rank_histogram, texts.ranked(RANKS, weighted=True))
    _fill_errors(feature, texts)


def _fill_ranks(top_values: Any, histogram: RankHistogram, ranked: Sequence[tuple[str, float]]) -> None:
    for rank, (text, count) in enumerate(ranked):
        if rank < TOP_VALUES:
            top_values.add(value=text, frequency=count)
        histogram.buckets.add(low_rank=rank, high_rank=rank, label=text, sample_count=count)


def _fill_errors(feature: FeatureNameStatistics, texts: Frequencies) -> None:
    if texts.error:
        feature.custom_stats.add(name=COUNT_ERROR, num=texts.error)
    if len(texts.hashes) == COUNTED:
        feature.custom_stats.add(name=UNIQUE_ERROR, num=1 / math.sqrt(COUNTED - 2))


def spread_from(feature: FeatureNameStatistics) -> Spread | None:
    """The spread that statistics hold; None if they are not ours."""
    custom = {found.name: found for found in feature.custom_stats}
    if SPREAD not in custom:
        return None
    buckets = custom[SPREAD].histogram.buckets
    shift = round(custom[f"{SPREAD}_shift"].num)
    exact = spread_of(np.array([bucket.low_value for bucket in buckets]))
    return Spread(shift, exact.keys >> shift, np.array([bucket.sample_count for bucket in buckets]))
