"""Whether a difference is more than chance, and how many of many differences are."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

ALPHA = 0.01
"""The share of false alarms among all alarms that is accepted (the false discovery rate)."""


def two_sided(z: float) -> float:
    """The probability that chance alone takes a standard normal variable as far from zero."""
    return math.erfc(abs(z) / math.sqrt(2))


def chi_square_tail(statistic: float, freedom: int) -> float:
    """The probability of a chi-square variable of whole degrees of freedom beyond a value (Abramowitz and Stegun, 26.4.4 and 26.4.5).

    >>> round(chi_square_tail(11.345, 3), 4)
    0.01
    """
    if freedom < 1 or statistic <= 0:
        return 1.0
    half = statistic / 2
    tail = math.exp(-half) if freedom % 2 == 0 else math.erfc(math.sqrt(half))
    for step in range(2 - freedom % 2, freedom - 1, 2):
        tail += math.exp((step / 2) * math.log(half) - half - math.lgamma(step / 2 + 1))
    return min(1.0, tail)


def false_discovery(p_values: Sequence[float] | npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Of each p-value the smallest false discovery rate at which it is an alarm.

    `false_discovery(p) <= 0.01` picks alarms of which at most 1 % are false on average (Benjamini and Hochberg, "Controlling the false
    discovery rate", 1995).
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    adjusted = np.minimum.accumulate((p[order] * len(p) / np.arange(1, len(p) + 1))[::-1])[::-1]
    found = np.empty_like(p)
    found[order] = np.minimum(adjusted, 1.0)
    return found
