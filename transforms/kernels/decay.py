"""Where and since when a model has become worse, and in which slices it is weak, with the false ones among those told kept few."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from retrolabel.transforms.kernels.intervals import Estimate, around, as_normal, upper_tail
from retrolabel.transforms.kernels.monitor import COARSE, FINE

Slice = tuple[str, str | None]
"""An attribute and its value; `("", None)` is all rows."""

SMALLEST = {"auc": 0.01, "bias": 0.1, "mae": 0.05, "ndcg": 0.01}
"""The smallest change that matters; of `bias` and `mae` relative to the share of positives, and to the error before."""


@dataclasses.dataclass(frozen=True)
class Series:
    """One measure of one slice, day by day."""

    of: Slice
    measure: str
    days: Sequence[str]
    estimates: Sequence[Estimate]
    smallest: float
    """The change that matters, in the measure's unit."""


@dataclasses.dataclass(frozen=True)
class Finding:
    """A slice in which a measure has become worse, or is worse than in the rest."""

    of: Slice
    measure: str
    reference: Estimate
    """Before, or in the rest."""
    found: Estimate
    since: str | None
    """The first day of the worse ones; None where slices are compared within a day."""
    p: float
    """Adjusted for everything that was looked at: told are those up to the tolerated rate of false discoveries."""


def _worse(measure: str, reference: float, found: float) -> float:
    """By how much a measure is worse than its reference."""
    if measure in ("auc", "ndcg"):
        return reference - found
    return abs(found) - abs(reference)


def find_decay(series: Sequence[Series], rate: float, z: float) -> tuple[list[Finding], int]:
    """Finds the slices that have become worse on some day and have stayed so.

    Each day but the first may be the one: days before it and days from it on are averaged by the inverse of their variances, to which the
    variance between days is added (DerSimonian and Laird 1986): that of the series, or that which is usual among slices, if it is greater.
    The hypothesis "not worse by more than what matters" is tested, by Student's t as far as the variance is that of the series alone. The smallest p-value of a slice is multiplied by the number of days that were tried (Bonferroni); over all slices and measures the rate of
    false discoveries is held, however they depend on each other, by Benjamini and Yekutieli (2001).

    Args:
        series: of all slices and measures, days ascending.
        rate: of false discoveries that is tolerated.
        z: for the intervals, see `intervals.quantile`.

    Returns:
        What was found, the greatest change first, and how many series were tested. Where all rows have become worse, only slices that have
        surely become so by more are told beside them.
    """
    series = [one for one in series if len(one.days) > 1]
    spreads = [_spreads(*_arrays(one)) for one in series]
    usual = _usual(series, spreads)
    tested = [_steepest(one, of, usual.get(_alike(one)), z) for one, of in zip(series, spreads, strict=True)]
    kept = _few_false(tested, rate)
    whole = {one.measure: one for one in kept if one.of == ("", None)}
    told = [
        one
        for one in kept
        if one.of == ("", None) or one.measure not in whole or _is_worse_than(one, whole[one.measure])
    ]
    return _by_size(told), len(tested)


def _is_worse_than(one: Finding, other: Finding) -> bool:
    """Whether one change is greater than another by more than twice its standard error."""
    deviation = math.hypot(
        *(estimate.deviation for finding in (one, other) for estimate in (finding.reference, finding.found))
    )
    return _size(one) - _size(other) > 2 * deviation


def _size(finding: Finding) -> float:
    return _worse(finding.measure, finding.reference.value, finding.found.value)


def _steepest(series: Series, spreads: Sequence[tuple[float, float]], usual: np.ndarray | None, z: float) -> Finding:
    """The day since when a series of two days or more is worse with the greatest certainty."""
    count = len(series.days)
    values, variances = _arrays(series)
    best: tuple[float, int, Estimate, Estimate] | None = None
    for start in range(1, count):
        common = 0.0 if usual is None else float(usual[start - 1])
        between = max(common, _between(*spreads[start - 1], count - 2, count))
        before, before_variance, after, after_variance = _both(values, variances + between, start)
        variance = before_variance + after_variance
        score = (_worse(series.measure, before, after) - series.smallest) / math.sqrt(variance)
        if between > common:
            score = as_normal(score, (count - 2) / _share(values, variances + common, start, variance) ** 2)
        p = upper_tail(score)
        if best is None or p < best[0]:
            best = p, start, around(before, math.sqrt(before_variance), z), around(after, math.sqrt(after_variance), z)
    assert best is not None
    p, start, reference, found = best
    return Finding(series.of, series.measure, reference, found, series.days[start], min(p * (count - 1), 1.0))


def _alike(series: Series) -> tuple[str, tuple[str, ...], bool]:
    """By what series are comparable; all rows are unlike any slice."""
    return series.measure, tuple(series.days), series.of == ("", None)


def _usual(
    series: Sequence[Series], spreads: Sequence[list[tuple[float, float]]]
) -> dict[tuple[str, tuple[str, ...], bool], np.ndarray]:
    """Of comparable series the variance between days, by the first day of the later ones.

    It is the median: a few days of one slice tell little of how much days vary, many slices together do, and those that fell do not move it.
    """
    found: dict[tuple[str, tuple[str, ...], bool], list[list[tuple[float, float]]]] = {}
    for one, of in zip(series, spreads, strict=True):
        found.setdefault(_alike(one), []).append(of)
    usual = {}
    for alike, alike_spreads in found.items():
        days = len(alike[1])
        if days < 4 or len(alike_spreads) < 2:
            continue
        freedom = days - 2
        typical = freedom * (1 - 2 / (9 * freedom)) ** 3  # the median of chi-square (Wilson and Hilferty 1931)
        usual[alike] = np.median([[_between(*spread, typical, days) for spread in of] for of in alike_spreads], axis=0)  # fmt: skip
    return usual


def _arrays(series: Series) -> tuple[np.ndarray, np.ndarray]:
    """Values and variances, day by day."""
    values = np.array([estimate.value for estimate in series.estimates])
    return values, np.maximum(np.array([estimate.deviation for estimate in series.estimates]) ** 2, 1e-12)


def _both(values: np.ndarray, variances: np.ndarray, start: int) -> tuple[float, float, float, float]:
    """Mean and its variance, of the days before `start` and of those from it on."""
    return *_weighted(values[:start], variances[:start]), *_weighted(values[start:], variances[start:])


def _share(values: np.ndarray, variances: np.ndarray, start: int, variance: float) -> float:
    """Which share of a variance is not in the known `variances` of days, and so rests on as many days as there are (Satterthwaite 1946)."""
    _, before, _, after = _both(values, variances, start)
    return max(1 - (before + after) / variance, 1e-6)


def _weighted(values: np.ndarray, variances: np.ndarray) -> tuple[float, float]:
    weights = 1 / variances
    return float((weights * values).sum() / weights.sum()), float(1 / weights.sum())


def _pooled(values: np.ndarray, variances: np.ndarray) -> tuple[float, float]:
    """Cochran's Q of one side, and what turns its excess into a variance."""
    weights = 1 / variances
    mean, _ = _weighted(values, variances)
    return float((weights * (values - mean) ** 2).sum()), float(weights.sum() - (weights**2).sum() / weights.sum())


def _spreads(values: np.ndarray, variances: np.ndarray) -> list[tuple[float, float]]:
    """Of each day but the first: as `_pooled`, of the days before it and of those from it on together."""
    found = []
    for start in range(1, len(values)):
        sides = (_pooled(values[:start], variances[:start]), _pooled(values[start:], variances[start:]))
        found.append((sides[0][0] + sides[1][0], sides[0][1] + sides[1][1]))
    return found


def _between(spread: float, scale: float, expected: float, days: int) -> float:
    """The variance between days, beyond that of sampling; 0 of three days or fewer, which do not tell."""
    if days < 4 or scale <= 0:
        return 0.0
    return max(0.0, (spread - expected) / scale)


def find_weak(
    slices: Mapping[tuple[Slice, str], tuple[Estimate, Estimate, float]], rate: float
) -> tuple[list[Finding], int]:
    """Finds the slices in which a measure is worse than in the rest of the rows.

    Args:
        slices: of each slice and measure: in the rest, in the slice, and the difference that matters.
        rate: of false discoveries that is tolerated (Benjamini and Yekutieli 2001).

    Returns:
        What was found, the greatest difference first, and how many were tested.
    """
    tested = []
    for (of, measure), (rest, inside, smallest) in slices.items():
        deviation = max(math.hypot(rest.deviation, inside.deviation), 1e-6)
        p = upper_tail((_worse(measure, rest.value, inside.value) - smallest) / deviation)
        tested.append(Finding(of, measure, rest, inside, None, p))
    return _by_size(_few_false(tested, rate)), len(tested)


def _by_size(found: list[Finding]) -> list[Finding]:
    return sorted(found, key=lambda one: (-_size(one), one.measure, one.of[0], one.of[1] or ""))


def _few_false(tested: Sequence[Finding], rate: float) -> list[Finding]:
    """Those whose p-value, adjusted by Benjamini and Yekutieli, is at most the rate."""
    count = len(tested)
    harmonic = sum(1 / number for number in range(1, count + 1))
    adjusted, smallest = [], 1.0
    ordered = sorted(tested, key=lambda one: (one.p, one.measure, one.of[0], one.of[1] or ""))
    for place in range(count, 0, -1):
        smallest = min(smallest, ordered[place - 1].p * count * harmonic / place)
        adjusted.append(dataclasses.replace(ordered[place - 1], p=smallest))
    return [one for one in adjusted if one.p <= rate]


def rest_of(everything: pa.Table, inside: pa.Table) -> pa.Table:
    """The `cell` statistics of all rows less those of a slice, on the slice's grid."""
    columns = {}
    cells = everything.column("bin").to_numpy().astype(np.int64)
    cells = ((cells >> 1) >> (FINE - COARSE)) * 2 + (cells & 1)
    keys = [cells * 1024 + everything.column("age").to_numpy(),
            inside.column("bin").to_numpy().astype(np.int64) * 1024 + inside.column("age").to_numpy()]  # fmt: skip
    found, member = np.unique(np.concatenate(keys), return_inverse=True)
    for name in ("rows", "positives", "total"):
        values = np.concatenate([everything.column(name).to_numpy(), -inside.column(name).to_numpy()])
        columns[name] = np.bincount(member, weights=values, minlength=len(found))
    kept = columns["rows"] > 0
    bins, ages = np.divmod(found[kept], 1024)
    return pa.table({"bin": bins, "age": ages, **{name: values[kept] for name, values in columns.items()}})
