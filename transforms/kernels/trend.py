"""Since when a number that is measured every day is different, beyond what chance and its usual wobble explain."""

import dataclasses
import itertools
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from retrolabel.transforms.kernels.significance import ALPHA, false_discovery, two_sided


@dataclasses.dataclass(frozen=True)
class Metric:
    """One number a day: a mean over the day's rows, of which a share is a special case, or a count of them."""

    name: str
    values: tuple[float | None, ...]
    """None on days that do not have it."""
    rows: tuple[float, ...]
    """How many rows the mean of each day is over; 1 for a count."""
    spread: tuple[float, ...]
    """The variance of one row: `p (1 - p)` for a share, the count itself for a count (Poisson)."""
    unit: str = "number"
    """`number`, `share` or `count`: how it is shown."""


@dataclasses.dataclass(frozen=True)
class Change:
    """A day from which on a metric is different."""

    day: int
    """The number of the day."""
    before: float
    """The mean from the change before, or the beginning, until here."""
    after: float
    """The mean from here until the next change, or the end."""
    q: float
    """The false discovery rate at which it is an alarm; of later changes of one metric, its p-value."""


@dataclasses.dataclass(frozen=True)
class _Stretch:
    """Days that differ from those around them."""

    begin: int
    end: int
    p: float


def find_changes(metrics: Sequence[Metric], alpha: float = ALPHA) -> list[list[Change]]:
    """Of each metric the days on which it changed, oldest first; of all alarms at most `alpha` are false on average.

    Every stretch of days is compared with the days around it, and the p-value of the one that differs most is multiplied by the number
    of stretches (circular binary segmentation: Olshen, Venkatraman, Lucito and Wigler, Biostatistics 5, 2004; here with Bonferroni's bound).
    Where days wobble by more than the chance of sampling explains, as weekdays do, the standard error is widened by the ratio of
    Birge ("The calculation of errors by the method of least squares", Physical Review 40, 1932). Over the metrics the false
    discovery rate is controlled (Benjamini and Hochberg). What a change divides is looked at in the same way.
    """
    if not metrics:
        return []
    best = [_most_different(metric, 0, len(metric.values)) for metric in metrics]
    rates = false_discovery([stretch.p for stretch in best])
    return [
        _segments(metric, stretch, rate, alpha) if rate <= alpha else []
        for metric, stretch, rate in zip(metrics, best, rates.tolist(), strict=True)
    ]


def _segments(metric: Metric, first: _Stretch, rate: float, alpha: float) -> list[Change]:
    found: dict[int, float] = {}
    pieces = [(0, len(metric.values), first, rate)]
    while pieces:
        begin, end, stretch, q = pieces.pop()
        if q > alpha:
            continue
        edges = sorted({begin, stretch.begin, stretch.end, end})
        found.update(dict.fromkeys(edges[1:-1], q))
        for left, right in itertools.pairwise(edges):
            inner = _most_different(metric, left, right)
            pieces.append((left, right, inner, inner.p))
    edges = [0, *sorted(found), len(metric.values)]
    means = [_mean(metric, begin, end) for begin, end in itertools.pairwise(edges)]
    return [Change(day, means[number], means[number + 1], found[day]) for number, day in enumerate(edges[1:-1])]


def _most_different(metric: Metric, begin: int, end: int) -> _Stretch:
    x, n, spread = _known(metric, begin, end)
    days = np.flatnonzero(n > 0)
    none = _Stretch(begin, end, 1.0)
    if len(days) < 2:
        return none
    x, n, spread = x[days], n[days], spread[days]
    variance = float((n * spread).sum() / n.sum())
    if metric.unit == "share":
        pooled = float((n * x).sum() / n.sum())
        variance = pooled * (1 - pooled)
    if variance <= 0:  # constant within every day
        stepped = np.flatnonzero(np.diff(x) != 0)
        return _Stretch(begin + int(days[stepped[0] + 1]), end, 0.0) if len(stepped) else none
    first, last = np.triu_indices(len(days) + 1, 1)
    # Up to the whole: of a beginning and the end that it leaves, one is enough.
    first, last = first[last < len(days)], last[last < len(days)]
    sums = [np.concatenate([[0.0], np.cumsum(values)]) for values in (n, n * x, n * x * x)]
    rows, total, square = (reached[last] - reached[first] for reached in sums)
    other_rows, other_total, other_square = (
        reached[-1] - inside for reached, inside in zip(sums, (rows, total, square), strict=True)
    )
    z = np.abs(total / rows - other_total / other_rows) / np.sqrt(variance * (1 / rows + 1 / other_rows))
    if len(days) > 2:
        within = square - total**2 / rows + other_square - other_total**2 / other_rows
        z = z / np.sqrt(np.maximum(1.0, within / variance / (len(days) - 2)))
    place = int(np.argmax(z))
    edges = [begin + int(days[edge]) if edge else begin for edge in (first[place], last[place])]
    return _Stretch(edges[0], edges[1], min(1.0, two_sided(float(z[place])) * len(z)))


def _known(
    metric: Metric, begin: int, end: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    known = [value is not None and math.isfinite(value) for value in metric.values[begin:end]]
    x, n, spread = (
        np.array(
            [
                value if there and value is not None else 0.0
                for value, there in zip(values[begin:end], known, strict=True)
            ]
        )
        for values in (metric.values, metric.rows, metric.spread)
    )
    return x, n, spread


def _mean(metric: Metric, begin: int, end: int) -> float:
    x, n, _ = _known(metric, begin, end)
    return float((n * x).sum() / n.sum()) if n.sum() else 0.0
