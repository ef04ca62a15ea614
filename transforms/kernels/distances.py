"""How far two distributions of a feature lie apart, and how far two samples of one distribution would.

L-infinity and Jensen-Shannon are what TensorFlow Data Validation computes over the values of texts. For numbers it compares
histograms between the extremes of each sample, so its answer depends on the largest value of either; here both samples are counted in
bins that they share.
"""

import dataclasses
import math
from statistics import NormalDist
from typing import Literal

import numpy as np
import numpy.typing as npt
from tensorflow_metadata.proto.v0.statistics_pb2 import FeatureNameStatistics, Histogram

from retrolabel.transforms.kernels.spread import Spread, common
from retrolabel.transforms.kernels.statistics_proto import spread_from

Measure = Literal["L_INFTY", "JENSEN_SHANNON_DIVERGENCE", "NORMALIZED_ABSOLUTE_DIFFERENCE"]
"""As `DriftSkewInfo.Measurement.Type` calls them."""

CONFIDENCE = 0.999
"""How often two samples of one distribution lie closer together than the noise that is stated."""

_BINS = 20
_RARE = 10
"""How often a text must occur for its frequencies to be compared."""

_FOREIGN_ERROR = 0.02
"""What is added to the noise of a divergence of TensorFlow Data Validation's deciles: each is off by up to 1 % of the values."""

Masses = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Distance:
    """How far the distributions of a feature lie apart."""

    measure: Measure
    value: float
    noise: float
    """Below which two samples of one distribution, of these sizes, stay with a probability of `CONFIDENCE`."""
    furthest: str = ""
    """The text whose frequency differs most."""


def text_counts(feature: FeatureNameStatistics, by_weight: bool = False) -> dict[str, float]:
    """How often each text of the rank histogram occurs; empty for numbers."""
    stats = feature.string_stats
    histogram = stats.weighted_string_stats.rank_histogram if by_weight else stats.rank_histogram
    return {bucket.label: bucket.sample_count for bucket in histogram.buckets}


def l_infinity(current: FeatureNameStatistics, control: FeatureNameStatistics, by_weight: bool = False) -> Distance:
    """The largest difference of the share of a text; 0 for numbers."""
    texts, first, second = _text_masses(current, control, by_weight)
    if not texts:
        return Distance("L_INFTY", 0.0, 0.0)
    apart = np.abs(_shares(first) - _shares(second))
    furthest = _last_largest(apart)
    sizes = _ranked_values(current, by_weight), _ranked_values(control, by_weight)
    noise = _largest_noise(first, second, sizes, max(len(texts), current.string_stats.unique))
    return Distance("L_INFTY", float(apart[furthest]), noise, texts[furthest])


def normalized_difference(
    current: FeatureNameStatistics, control: FeatureNameStatistics, by_weight: bool = False
) -> Distance:
    """The largest difference of the count of a text, over the counts of both together."""
    texts, first, second = _text_masses(current, control, by_weight)
    total = first.sum() + second.sum()
    if not total:
        return Distance("NORMALIZED_ABSOLUTE_DIFFERENCE", 0.0, 0.0)
    apart = np.abs(first - second) / total
    furthest = _last_largest(apart)
    # A count varies as a Poisson number does: its variance is the count.
    noise = _normal(len(texts)) * math.sqrt(float((first + second).max())) / total
    return Distance("NORMALIZED_ABSOLUTE_DIFFERENCE", float(apart[furthest]), float(noise), texts[furthest])


def jensen_shannon(
    current: FeatureNameStatistics, control: FeatureNameStatistics, by_weight: bool = False
) -> Distance | None:
    """The Jensen-Shannon divergence, in bits; None where a side has no values, or only one side has texts."""
    texts, first, second = _text_masses(current, control, by_weight)
    sizes = _values(current), _values(control)
    if texts:
        if not text_counts(current, by_weight) or not text_counts(control, by_weight):
            return None
        sizes = _ranked_values(current, by_weight), _ranked_values(control, by_weight)
        extra = _too_rare(first, second) + 1 - min(sizes[0] / _values(current), sizes[1] / _values(control))
    else:
        found = _common_bins(current, control)
        if found is None:
            return None
        first, second, extra = found
    if not first.sum() or not second.sum():
        return None
    noise = min(1.0, _divergence_noise(first, second, sizes) + extra)
    return Distance("JENSEN_SHANNON_DIVERGENCE", divergence(first, second), noise)


def divergence(first: Masses, second: Masses) -> float:
    """The Jensen-Shannon divergence of two distributions over the same bins, in bits (Lin, IEEE Trans. Inf. Theory 37, 1991)."""
    p, q = _shares(first), _shares(second)
    middle = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(p > 0, p * np.log2(p / middle), 0.0) + np.where(q > 0, q * np.log2(q / middle), 0.0)
    return float(min(max(terms.sum() / 2, 0.0), 1.0))


def _common_bins(current: FeatureNameStatistics, control: FeatureNameStatistics) -> tuple[Masses, Masses, float] | None:
    """Both samples in the same bins, each with about as many values; NaN and the infinities have bins of their own."""
    mine, theirs = spread_from(current), spread_from(control)
    outside = [_outside(current), _outside(control)]
    extra = 0.0
    if mine is not None and theirs is not None:
        masses = _equal_groups(*common(mine, theirs, bins=256))
    elif (found := _from_quantiles(current, control)) is not None:
        masses, extra = found, _FOREIGN_ERROR
    elif any(mass.sum() for mass in outside):
        masses = np.zeros(1), np.zeros(1)
    else:
        return None
    return np.concatenate([masses[0], outside[0]]), np.concatenate([masses[1], outside[1]]), extra


def _equal_groups(first: Spread, second: Spread) -> tuple[Masses, Masses]:
    """Neighbouring bins in groups that hold about as many values of both together."""
    keys = np.unique(np.concatenate([first.keys, second.keys]))
    masses = [np.zeros(len(keys)), np.zeros(len(keys))]
    for mass, found in zip(masses, (first, second), strict=True):
        mass[np.searchsorted(keys, found.keys)] = found.counts
    pooled = masses[0] + masses[1]
    middle = np.cumsum(pooled) - pooled / 2
    groups = np.minimum(middle / pooled.sum() * _BINS, _BINS - 1).astype(np.int64)
    first_mass, second_mass = (np.bincount(groups, mass, _BINS).astype(np.float64) for mass in masses)
    return first_mass, second_mass


def _outside(feature: FeatureNameStatistics) -> Masses:
    """How many NaN, negative and positive infinite numbers there are."""
    for histogram in feature.num_stats.histograms:
        if histogram.type == Histogram.STANDARD:
            below = sum(bucket.sample_count for bucket in histogram.buckets if bucket.high_value == -math.inf)
            above = sum(bucket.sample_count for bucket in histogram.buckets if bucket.low_value == math.inf)
            return np.array([histogram.num_nan, below, above], dtype=np.float64)
    return np.zeros(3)


def _from_quantiles(current: FeatureNameStatistics, control: FeatureNameStatistics) -> tuple[Masses, Masses] | None:
    """Of statistics that have no spread, such as those of TensorFlow Data Validation: between the deciles of both."""
    deciles = []
    for feature in (current, control):
        histogram = next((one for one in feature.num_stats.histograms if one.type == Histogram.QUANTILES), None)
        if histogram is None or not histogram.buckets:
            return None
        deciles.append(histogram.buckets)
    bounds = np.unique([bucket.high_value for buckets in deciles for bucket in buckets][:-1])
    masses = []
    for buckets in deciles:
        ends = np.array([buckets[0].low_value, *(bucket.high_value for bucket in buckets)])
        reached = np.concatenate([[0.0], np.cumsum([bucket.sample_count for bucket in buckets])])
        distinct, last = np.unique(ends[::-1], return_index=True)
        at = np.interp(bounds, distinct, reached[::-1][last])
        masses.append(np.diff(np.concatenate([[0.0], at, [reached[-1]]])))
    return masses[0], masses[1]


def _text_masses(
    current: FeatureNameStatistics, control: FeatureNameStatistics, by_weight: bool
) -> tuple[list[str], Masses, Masses]:
    """The texts of either side, and how often each occurs on both."""
    mine, theirs = text_counts(current, by_weight), text_counts(control, by_weight)
    texts = sorted({*mine, *theirs}, key=str.encode)
    return texts, np.array([mine.get(text, 0.0) for text in texts]), np.array([theirs.get(text, 0.0) for text in texts])


def _last_largest(apart: Masses) -> int:
    return len(apart) - 1 - int(np.argmax(apart[::-1]))


def _values(feature: FeatureNameStatistics) -> float:
    stats = feature.string_stats if feature.HasField("string_stats") else feature.num_stats
    return float(stats.common_stats.tot_num_values or stats.common_stats.num_non_missing)


def _ranked_values(feature: FeatureNameStatistics, by_weight: bool) -> float:
    """How many of the values are in the rank histogram, which leaves out the rarest texts."""
    return min(sum(text_counts(feature).values()), _values(feature))


def _too_rare(first: Masses, second: Masses) -> float:
    """The share of texts that occur too rarely for their frequencies to be compared."""
    pooled = first + second
    return float(pooled[pooled < _RARE].sum() / pooled.sum())


def _shares(masses: Masses) -> Masses:
    total = masses.sum()
    return masses / total if total else masses


def _divergence_noise(first: Masses, second: Masses, sizes: tuple[float, float]) -> float:
    """What the divergence of two samples of one distribution stays below.

    Expanded about p = q it is the sum of (p - q)^2 / (p + q) / (4 ln 2) bits, and the sum of (p - q)^2 / mean / (1/n + 1/m) is
    Pearson's statistic, chi-squared with as many degrees of freedom as there are bins less one.
    """
    bins = int(((first + second) > 0).sum())
    if bins < 2 or not min(sizes):
        return 0.0
    return chi_squared(bins - 1) * (1 / sizes[0] + 1 / sizes[1]) / (8 * math.log(2))


def _largest_noise(first: Masses, second: Masses, sizes: tuple[float, float], texts: int) -> float:
    """What the largest difference of the shares of so many texts stays below: a normal quantile, corrected for small counts."""
    if not min(sizes):
        return 0.0
    pooled = (_shares(first) * sizes[0] + _shares(second) * sizes[1]) / sum(sizes)
    once, quantile = 1 / sizes[0] + 1 / sizes[1], _normal(texts)
    return float(quantile * np.sqrt(pooled * (1 - pooled) * once).max() + quantile**2 / 6 * once)


def _normal(trials: int) -> float:
    """What the largest of so many standard normal numbers stays within with a probability of `CONFIDENCE`."""
    return NormalDist().inv_cdf(1 - (1 - CONFIDENCE) / (2 * trials))


def chi_squared(degrees: int) -> float:
    """The quantile at `CONFIDENCE` (Wilson and Hilferty, PNAS 17, 1931: off by less than 1 % here)."""
    part = 2 / (9 * degrees)
    return degrees * (1 - part + NormalDist().inv_cdf(CONFIDENCE) * math.sqrt(part)) ** 3
