"""Why a label changed: other examples (covariate shift, P(x)), or other outcomes of the same ones (concept shift, P(y|x))."""

import dataclasses
import math

import numpy as np
import numpy.typing as npt
from tensorflow_metadata.proto.v0.statistics_pb2 import FeatureNameStatistics

from retrolabel.transforms.kernels.distances import text_counts
from retrolabel.transforms.kernels.significance import chi_square_tail
from retrolabel.transforms.kernels.spread import NONE
from retrolabel.transforms.kernels.statistics_proto import spread_from

_GROUPS = 10
_VALUES = 50
_LEAST = 10
"""Rows, or positive ones, that both days together must have in a bin for it to be compared."""

Counts = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Binned:
    """Rows of two days by the bins of one feature."""

    bins: tuple[str, ...]
    rows: tuple[Counts, Counts]
    """Before and now."""
    positives: tuple[Counts, Counts]
    """Of those, where the label is true."""


@dataclasses.dataclass(frozen=True)
class Shift:
    """How one feature and the label given it differ between two days."""

    covariate_p: float
    """The probability that chance alone makes the distributions of the feature differ as much."""
    concept_p: float
    """The same of the label's rates within the bins of the feature."""
    mix: float
    """The part of the label's change that comes from other frequencies of the bins, and `rate` from other rates within them."""
    rate: float
    moved: str
    """The bin whose share of rows differs most, with `shares` before and now."""
    shares: tuple[float, float]
    turned: str
    """The bin whose rate differs most beyond chance, with `rates` before and now."""
    rates: tuple[float, float]


def binned(
    rows: tuple[FeatureNameStatistics, FeatureNameStatistics],
    positives: tuple[FeatureNameStatistics, FeatureNameStatistics],
) -> Binned | None:
    """The bins of a feature that both days have in common: texts, or ranges of numbers with about as many rows each.

    Args:
        rows: the statistics of all examples, before and now.
        positives: those of the examples where the label is true.
    """
    if rows[0].WhichOneof("stats") != rows[1].WhichOneof("stats"):
        return None
    if rows[0].HasField("string_stats"):
        return _by_text([text_counts(feature) for feature in (*rows, *positives)])
    spreads = [spread_from(feature) or NONE for feature in (*rows, *positives)]
    if not len(spreads[0].keys) or not len(spreads[1].keys):
        return None
    pooled = sum(spreads[1:], spreads[0]).coarser(256)
    counts = [np.zeros(len(pooled.keys)) for _ in spreads]
    for count, spread in zip(counts, spreads, strict=True):
        coarse = spread.at(pooled.shift) if len(spread.keys) else spread
        count[np.searchsorted(pooled.keys, coarse.keys)] = coarse.counts
    both = counts[0] + counts[1]
    groups = np.minimum((np.cumsum(both) - both / 2) / both.sum() * _GROUPS, _GROUPS - 1).astype(np.int64)
    used = np.unique(groups)
    lows, highs = (
        [float(side[groups == group][place]) for group in used]
        for side, place in ((pooled.lows, 0), (pooled.highs, -1))
    )
    names = tuple(
        f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}" for low, high in zip(lows, highs, strict=True)
    )
    grouped = [np.bincount(groups, count, _GROUPS)[used] for count in counts]
    return Binned(names, (grouped[0], grouped[1]), (grouped[2], grouped[3]))


def _by_text(counts: list[dict[str, float]]) -> Binned | None:
    pooled = {text: counts[0].get(text, 0.0) + counts[1].get(text, 0.0) for text in {*counts[0], *counts[1]}}
    texts = sorted(pooled, key=lambda text: (-pooled[text], text))[:_VALUES]
    if not texts:
        return None
    found = [np.array([count.get(text, 0.0) for text in texts]) for count in counts]
    return Binned(tuple(texts), (found[0], found[1]), (found[2], found[3]))


def shift_of(found: Binned) -> Shift | None:
    """Tests both kinds of shift, and takes the label's change apart (Kitagawa, "Components of a difference between two rates", 1955).

    None where a day has no rows in the bins. One feature is looked at by itself: that its rates changed may also mean that another
    feature, on which the label depends, did.
    """
    (n0, n1), (k0, k1) = found.rows, found.positives
    if not n0.sum() or not n1.sum():
        return None
    p0, p1 = n0 / n0.sum(), n1 / n1.sum()
    often = n0 + n1 >= _LEAST
    pooled = (n0 + n1) / (n0 + n1).sum()
    apart = (p1 - p0) ** 2 / np.maximum(pooled, 1e-300) / (1 / n0.sum() + 1 / n1.sum())
    rates = (
        np.divide(k0, n0, out=np.zeros_like(k0), where=n0 > 0),
        np.divide(k1, n1, out=np.zeros_like(k1), where=n1 > 0),
    )
    rate = (k0 + k1) / np.maximum(n0 + n1, 1)
    tested = (n0 > 0) & (n1 > 0) & (k0 + k1 >= _LEAST) & (rate < 1)
    error = np.sqrt(rate * (1 - rate) * (1 / np.maximum(n0, 1) + 1 / np.maximum(n1, 1)))
    z = np.where(tested, (rates[1] - rates[0]) / np.where(error > 0, error, 1), 0.0)
    moved, turned = int(np.argmax(np.abs(p1 - p0))), int(np.argmax(np.abs(z)))
    both = (n0 > 0) & (n1 > 0)
    return Shift(
        chi_square_tail(float(apart[often].sum()), int(often.sum()) - 1),
        chi_square_tail(float((z**2).sum()), int(tested.sum())),
        float(((p1 - p0) * (rates[0] + rates[1]) / 2)[both].sum()), float(((rates[1] - rates[0]) * (p0 + p1) / 2)[both].sum()),
        found.bins[moved], (float(p0[moved]), float(p1[moved])), found.bins[turned], (float(rates[0][turned]), float(rates[1][turned])),
    )  # fmt: skip


def rate_change(k0: float, n0: float, k1: float, n1: float) -> float:
    """The two-sided p-value of a difference of two shares."""
    pooled = (k0 + k1) / (n0 + n1) if n0 + n1 else 0.0
    if not n0 or not n1 or pooled in (0.0, 1.0):
        return 1.0
    z = (k1 / n1 - k0 / n0) / math.sqrt(pooled * (1 - pooled) * (1 / n0 + 1 / n1))
    return math.erfc(abs(z) / math.sqrt(2))
