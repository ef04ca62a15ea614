"""Intervals of confidence for proportions, means and their differences."""

import math
from statistics import NormalDist
from typing import NamedTuple

_NORMAL = NormalDist()


class Estimate(NamedTuple):
    """A number that was estimated, between which numbers it lies with the chosen confidence, and how far it spreads."""

    value: float
    low: float
    high: float
    deviation: float
    """The standard error."""


def quantile(confidence: float) -> float:
    """How many standard errors an interval reaches to either side: 1.96 for 0.95."""
    return _NORMAL.inv_cdf(0.5 + confidence / 2)


def upper_tail(score: float) -> float:
    """The chance of a standard normal number above `score`; precise far out, too."""
    return 0.5 * math.erfc(score / math.sqrt(2))


def as_normal(score: float, freedom: float) -> float:
    """The standard normal score as unlikely as one of Student's t (Wallace 1959; below one in a million it errs by an eighth at most)."""
    size = math.sqrt(freedom * math.log1p(score * score / freedom)) * (8 * freedom + 1) / (8 * freedom + 3)
    return math.copysign(size, score)


def around(value: float, deviation: float, z: float) -> Estimate:
    """The symmetric interval of an estimate that is about normal."""
    return Estimate(value, value - z * deviation, value + z * deviation, deviation)


def mean(rows: float, total: float, squares: float, z: float) -> Estimate | None:
    """The mean of numbers of which count, sum and sum of squares are known; None of fewer than two, or where a sum is beyond a double."""
    if rows < 2 or not math.isfinite(total) or not math.isfinite(squares):
        return None
    value = total / rows
    return around(value, math.sqrt(max(squares / rows - value * value, 0.0) / (rows - 1)), z)


def proportion(successes: float, trials: float, z: float) -> Estimate | None:
    """A share with Wilson's score interval (Wilson 1927; recommended by Brown, Cai and DasGupta 2001); None without trials."""
    if trials <= 0:
        return None
    share = min(max(successes / trials, 0.0), 1.0)
    centre = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    reach = z / (1 + z * z / trials) * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    return Estimate(share, max(centre - reach, 0.0), min(centre + reach, 1.0), math.sqrt(share * (1 - share) / trials))


def difference(first: Estimate, second: Estimate) -> Estimate:
    """Of two shares or means with their intervals: Newcombe's hybrid score interval of their difference (1998, method 10)."""
    apart = first.value - second.value
    low = apart - math.hypot(first.value - first.low, second.high - second.value)
    high = apart + math.hypot(first.high - first.value, second.value - second.low)
    return Estimate(apart, low, high, math.hypot(first.deviation, second.deviation))


def logit_interval(value: float, deviation: float, z: float) -> Estimate:
    """The interval of a number between 0 and 1, symmetric on the logit scale, so that it stays between them."""
    if not 0 < value < 1:
        return Estimate(value, value, value, deviation)
    centre, reach = math.log(value / (1 - value)), z * deviation / (value * (1 - value))
    low, high = (1 / (1 + math.exp(-min(max(centre + side * reach, -700), 700))) for side in (-1, 1))
    return Estimate(value, low, high, deviation)
