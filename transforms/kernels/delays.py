"""How long outcomes take to arrive: counted while a day is built, estimated when it is looked at."""

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

_EIGHTHS = (1000, 1091, 1189, 1297, 1414, 1542, 1682, 1834)
BOUNDS: npt.NDArray[np.int64] = np.array(
    [0, *(1000 * eighth << octave for octave in range(22) for eighth in _EIGHTHS)], dtype=np.int64
)
"""Upper bounds of the bins of delays in microseconds: 0, then eighths of a doubling from one second to 48 days, each at most 9.2 % above the last."""

DelayCounts = dict[int, tuple[int, int]]
"""By the upper bound of a bin in microseconds: how many predictions had their first outcome in it, and how many were seen no longer."""


def count_delays(delays: npt.NDArray[np.int64], seen: npt.NDArray[np.int64], window: int) -> DelayCounts:
    """Counts each prediction once: where its first outcome came, or else where the knowledge about it ends.

    Args:
        delays: from each prediction to its first outcome in microseconds, negative where there is none.
        seen: for how long after each prediction the outcome log is known, in microseconds.
        window: the end of the label's window; what comes later is not known of anyone.
    """
    seen = np.clip(seen, 0, window)
    arrived = (delays >= 0) & (delays <= seen)
    bounds = np.append(BOUNDS[window > BOUNDS], window)
    bins = np.searchsorted(bounds, np.where(arrived, delays, seen))
    came, left = (np.bincount(bins[chosen], minlength=len(bounds)) for chosen in (arrived, ~arrived))
    return {int(bounds[n]): (int(came[n]), int(left[n])) for n in np.flatnonzero(came + left)}


def add_delays(counts: Iterable[Mapping[int, tuple[int, int]]]) -> DelayCounts:
    """The counts of all together."""
    total: dict[int, tuple[int, int]] = {}
    for counted in counts:
        for bound, (arrived, left) in counted.items():
            before = total.get(bound, (0, 0))
            total[bound] = before[0] + arrived, before[1] + left
    return dict(sorted(total.items()))


@dataclasses.dataclass(frozen=True)
class DelayCurve:
    """Which share of predictions has had an outcome a given time after the prediction."""

    seconds: tuple[float, ...]
    arrived: tuple[float, ...]
    """The share with an outcome by then."""
    error: tuple[float, ...]
    """Its standard error (Greenwood, 1926)."""
    predictions: int
    outcomes: int
    """Predictions whose first outcome is known."""
    waiting: int
    """Predictions without an outcome whose window is still open."""
    to_come: float
    """How many of those waiting are expected to have one yet."""
    complete: bool
    """Whether any prediction was watched to the end of its window: if not, `to_come` is a lower bound."""

    def quantile(self, share: float) -> float | None:
        """Seconds within which that share of the outcomes that ever arrive has arrived; at most 9.2 % too long. None without outcomes."""
        if not self.arrived or not self.arrived[-1]:
            return None
        wanted = share * self.arrived[-1]
        return next(second for second, found in zip(self.seconds, self.arrived, strict=True) if found >= wanted - 1e-12)


def delay_curve(bins: Iterable[tuple[float, int, int]], window: float) -> DelayCurve:
    """Estimates the curve from counts of which some were cut short: a prediction of an hour ago says nothing about the second hour.

    The estimator is that of Kaplan and Meier ("Nonparametric estimation from incomplete observations", 1958) on counts in bins; those whose
    observation ends inside a bin are taken to be at risk for half of it (Cutler and Ederer, "Maximum utilization of the life table
    method", 1958). It assumes that late predictions of the day wait as long as early ones.

    Args:
        bins: upper bound in seconds, first outcomes, and predictions that were seen no longer, ascending.
        window: the end of the label's window in seconds.
    """
    counted = list(bins)
    at_risk = predictions = sum(arrived + left for _, arrived, left in counted)
    survival, variance, to_come = 1.0, 0.0, 0.0
    seconds, shares, errors, open_by_survival = [], [], [], []
    for bound, arrived, left in counted:
        exposed = at_risk - (left / 2 if bound < window else 0)
        if arrived and exposed > 0:
            hazard = min(1.0, arrived / exposed)
            survival *= 1 - hazard
            variance += hazard / (exposed * (1 - hazard)) if hazard < 1 else 0.0
        if left and bound < window:
            open_by_survival.append((left, survival))
        at_risk -= arrived + left
        seconds.append(bound)
        shares.append(1 - survival)
        errors.append(survival * math.sqrt(variance))
    to_come = sum(left * (before - survival) / before for left, before in open_by_survival if before > 0)
    return DelayCurve(
        tuple(seconds), tuple(shares), tuple(errors), predictions, sum(arrived for _, arrived, _ in counted),
        sum(left for left, _ in open_by_survival), to_come, bool(counted) and counted[-1][0] >= window,
    )  # fmt: skip


def as_published(counts: Mapping[int, tuple[int, int]], window: int) -> dict[str, Any]:
    """The counts as a manifest has them: in seconds."""
    return {
        "window": window / 1e6,
        "bins": [[bound / 1e6, arrived, left] for bound, (arrived, left) in sorted(counts.items())],
    }
