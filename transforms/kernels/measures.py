"""From statistics of scores and labels to measures of a model, each with its interval."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from retrolabel.transforms.kernels.delays import BOUNDS, DelayCounts, delay_curve
from retrolabel.transforms.kernels.intervals import Estimate, around, difference, logit_interval, mean, proportion
from retrolabel.transforms.kernels.monitor import AGES

Floats = npt.NDArray[np.float64]

CURVE_BINS = 10
"""Of the calibration curve, each with about the same number of rows."""

LIFT_SHARE = 0.1
"""Of the rows, those with the highest scores, whose rate of positives is compared with that of all."""

MIN_OUTCOMES = 100
"""From which it is learned when outcomes come."""

MIN_ARRIVED = 0.2
"""The share of outcomes that must have arrived at an age; of younger predictions it cannot be told what will come."""

MIN_CLASS = 10
"""Positives, and negatives, from which AUC and average precision are measured."""

_EPSILON = float(np.finfo(np.float64).eps)
"""A score of 0 or 1 counts as this far from it in the log loss, as in scikit-learn."""


@dataclasses.dataclass(frozen=True)
class Arrivals:
    """Which share of the outcomes that will come has come at each age of a prediction."""

    share: Floats
    """Of each age the mean of what has come at its beginning and at its end."""
    deviation: Floats
    outcomes: int
    """That it was learned from."""


def arrivals(counts: DelayCounts, window: int) -> Arrivals | None:
    """Learns from delays when outcomes come; None of too few, or where nobody was watched to the end of the window.

    Args:
        counts: of the label, of all days that may be learned from.
        window: of the label, in microseconds.
    """
    curve = delay_curve([(bound, arrived, left) for bound, (arrived, left) in counts.items()], window)
    if not curve.complete or curve.outcomes < MIN_OUTCOMES:
        return None
    place = np.searchsorted(np.array(curve.seconds), np.minimum(BOUNDS, window), side="right")
    arrived, error = (np.concatenate([[0.0], values])[place] for values in (curve.arrived, curve.error))
    reached = np.append(arrived / curve.arrived[-1], 1.0)
    share = (reached + np.concatenate([[0.0], reached[:-1]])) / 2
    tail = np.append(np.sqrt(np.maximum(curve.error[-1] ** 2 - error**2, 0)), 0.0) / curve.arrived[-1]
    return Arrivals(share, np.hypot(np.sqrt(share * (1 - share) / curve.outcomes), share * tail), curve.outcomes)


@dataclasses.dataclass(frozen=True)
class Scored:
    """Rows of equal score and label, and how many there are.

    Of immature predictions, `true` is not 0 or 1 but the number of positives that one stands for: 1 / F(age) where the outcome was seen,
    F being the curve of arrivals, else 0. What is linear in it is then without bias, if delays do not depend on the score (inverse probability of
    censoring weights, Robins and Rotnitzky 1992; for delayed conversions Chapelle 2014 has the setting).
    """

    cell: npt.NDArray[np.int64]
    """Ascending with the score; the last bit says whether the threshold is reached."""
    score: Floats
    """The mean of the cell."""
    rows: Floats
    true: Floats
    spread: Floats
    """The standard error of `true` that comes from the delay curve."""
    matured: int
    corrected: int
    """Immature predictions that are in it by the delay curve."""
    unknown: int
    """Immature predictions of which it cannot be told what will come."""

    @property
    def weights(self) -> tuple[float, float]:
        """The numbers of positives and negatives."""
        positives = float((self.rows * self.true).sum())
        return positives, float(self.rows.sum()) - positives


def scored_rows(cells: pa.Table, arrived: Arrivals | None) -> Scored:
    """The rows of one slice, from its `cell` statistics; immature ones by what will have arrived, if that is known."""
    cell, age, rows, positives, total = (
        cells.column(name).to_numpy().astype(np.float64) for name in ("bin", "age", "rows", "positives", "total")
    )
    place = age.astype(np.int64)
    share = np.concatenate([[1.0], arrived.share if arrived else np.zeros(AGES)])[place]
    uncertain = np.concatenate([[0.0], arrived.deviation if arrived else np.zeros(AGES)])[place]
    known = share >= MIN_ARRIVED
    score = total / np.maximum(rows, 1)
    kept = np.concatenate([known & (positives > 0), known & (rows > positives)])
    zero = np.zeros(len(rows))
    pairs = [(cell, cell), (score, score), (positives, rows - positives), (1 / np.maximum(share, MIN_ARRIVED), zero),
             (uncertain / np.maximum(share, MIN_ARRIVED) ** 2, zero)]  # fmt: skip
    cells, scores, counts, true, spread = (np.concatenate(pair)[kept] for pair in pairs)
    immature = age > 0
    matured, corrected, unknown = (int(rows[chosen].sum()) for chosen in (~immature, immature & known, ~known))
    return Scored(cells.astype(np.int64), scores, counts, true, spread, matured, corrected, unknown)


def auc(rows: Scored, z: float) -> tuple[Estimate, float] | None:
    """The area under the ROC curve with DeLong's variance (DeLong, DeLong and Clarke-Pearson 1988), and how far the grid can have moved it.

    None of too few positives or negatives. The interval is symmetric on the logit scale (Pepe 2003); of a perfect order, which has no
    variance, it is Wilson's of as many trials as the smaller class has rows.
    """
    positives, negatives = rows.weights
    if min(positives, negatives) < MIN_CLASS:
        return None
    _, member = np.unique(rows.cell, return_inverse=True)
    p, n = (np.bincount(member, weights=weight) for weight in (rows.rows * rows.true, rows.rows * (1 - rows.true)))
    below, above = np.cumsum(n) - n / 2, positives - np.cumsum(p) + p / 2
    value = float((p * below).sum() / (positives * negatives))
    positive, negative = (below / negatives)[member] - value, (above / positives)[member] - value
    pull = rows.true * positive / positives + (1 - rows.true) * negative / negatives
    seen = rows.true > 0
    squares = [float((rows.rows[chosen] * pull[chosen] ** 2).sum()) for chosen in (seen, ~seen)]
    sizes = [float(rows.rows[chosen].sum()) for chosen in (seen, ~seen)]
    deviation = math.sqrt(
        sum(square * size / (size - 1) for square, size in zip(squares, sizes, strict=True) if size > 1)
    )
    value = min(max(value, 0.0), 1.0)
    bound = float(np.abs(p * n).sum() / (2 * positives * negatives))
    if deviation == 0 or not 0 < value < 1:
        trials = min(positives, negatives)
        wilson = proportion(value * trials, trials, z)
        assert wilson is not None
        return wilson, bound
    return logit_interval(value, deviation, z), bound


def average_precision(rows: Scored, z: float) -> Estimate | None:
    """The mean precision at the positives, as scikit-learn's `average_precision_score`; its interval by Boyd, Eng and Page (2013), logit."""
    positives, negatives = rows.weights
    if min(positives, negatives) < MIN_CLASS:
        return None
    _, member = np.unique(rows.cell, return_inverse=True)
    p = np.bincount(member, weights=rows.rows * rows.true)[::-1]
    every = np.bincount(member, weights=rows.rows)[::-1]
    value = min(max(float((p * np.cumsum(p) / np.cumsum(every)).sum() / positives), 0.0), 1.0)
    seen = float(rows.rows[rows.true > 0].sum())
    return logit_interval(value, math.sqrt(value * (1 - value) / seen), z)


def _linear(rows: Scored, fixed: Floats, by_label: Floats, z: float) -> Estimate | None:
    """The mean of `fixed + true * by_label`, its error including that of the delay curve."""
    count = float(rows.rows.sum())
    if count < 2:
        return None
    values = fixed + rows.true * by_label
    value = float((rows.rows * values).sum() / count)
    sampling = float((rows.rows * (values - value) ** 2).sum()) / (count * (count - 1))
    curve = float((rows.rows * rows.spread * by_label).sum()) / count
    return around(value, math.sqrt(sampling + curve * curve), z)


def log_loss(rows: Scored, z: float) -> Estimate | None:
    """The mean of `-log` of the probability that the score gave to what happened."""
    inside = np.clip(rows.score, _EPSILON, 1 - _EPSILON)
    return _linear(rows, -np.log1p(-inside), np.log1p(-inside) - np.log(inside), z)


def bias(rows: Scored, z: float) -> Estimate | None:
    """The mean score less the share of positives."""
    return _linear(rows, rows.score, -np.ones(len(rows.score)), z)


def label_rate(rows: Scored, z: float) -> Estimate | None:
    """The share of positives."""
    if not rows.corrected:
        return proportion(rows.weights[0], float(rows.rows.sum()), z)
    return _linear(rows, np.zeros(len(rows.score)), np.ones(len(rows.score)), z)


def calibration_curve(rows: Scored, z: float) -> list[dict[str, Any]]:
    """Mean score and share of positives of bins with about as many rows each, in the order of the score; a cell is never parted."""
    cells, member = np.unique(rows.cell, return_inverse=True)
    counts = np.bincount(member, weights=rows.rows)
    if not len(cells):
        return []
    middle = (np.cumsum(counts) - counts / 2) / counts.sum()
    place = np.minimum((middle * CURVE_BINS).astype(np.int64), CURVE_BINS - 1)[member]
    curve = []
    for number in range(CURVE_BINS):
        inside = place == number
        count = float(rows.rows[inside].sum())
        if not count:
            continue
        share = proportion(float((rows.rows * rows.true)[inside].sum()), count, z)
        assert share is not None
        curve.append(
            {"rows": int(count), "score": float((rows.rows * rows.score)[inside].sum() / count), "rate": share}
        )
    return curve


def calibration_error(curve: list[dict[str, Any]], z: float) -> Estimate | None:
    """The mean distance of the calibration curve from the diagonal, by rows (expected calibration error: Naeini, Cooper and Hauskrecht 2015).

    The interval takes the bins, and the side on which each lies, as given; the estimate itself is too large by chance when rows are few.
    """
    count = sum(point["rows"] for point in curve)
    if not count:
        return None
    value = sum(point["rows"] * abs(point["score"] - point["rate"].value) for point in curve) / count
    deviation = math.sqrt(sum((point["rows"] * point["rate"].deviation) ** 2 for point in curve)) / count
    return Estimate(value, max(value - z * deviation, 0.0), value + z * deviation, deviation)


def confusion(rows: Scored) -> dict[str, float]:
    """True and false positives and negatives at the threshold, which no cell straddles."""
    selected = (rows.cell & 1) == 1
    weight = rows.rows * rows.true
    other = rows.rows - weight
    return {"true_positives": float(weight[selected].sum()), "false_positives": float(other[selected].sum()),
            "false_negatives": float(weight[~selected].sum()), "true_negatives": float(other[~selected].sum())}  # fmt: skip


def at_threshold(rows: Scored, z: float) -> dict[str, Estimate | None]:
    """Accuracy, precision, recall, selection rate and false positive rate, where the score reaches the threshold."""
    found = confusion(rows)
    true_positives, false_positives, false_negatives, true_negatives = found.values()
    count = sum(found.values())
    return {
        "accuracy": proportion(true_positives + true_negatives, count, z),
        "precision": proportion(true_positives, true_positives + false_positives, z),
        "recall": proportion(true_positives, true_positives + false_negatives, z),
        "false_positive_rate": proportion(false_positives, false_positives + true_negatives, z),
        "selection_rate": proportion(true_positives + false_positives, count, z),
    }


def lift(rows: Scored, z: float) -> Estimate | None:
    """How much higher the share of positives is among the tenth of rows with the highest scores than among all.

    Rows of the cell at the border count by the share of it that belongs to the tenth. The share of all positives that the tenth holds is a
    proportion, of which the lift is ten times: so is its interval.
    """
    positives, _ = rows.weights
    count = float(rows.rows.sum())
    if positives < MIN_CLASS or count * LIFT_SHARE < 1:
        return None
    _, member = np.unique(rows.cell, return_inverse=True)
    p, every = (np.bincount(member, weights=weight)[::-1] for weight in (rows.rows * rows.true, rows.rows))
    taken = np.clip(count * LIFT_SHARE - (np.cumsum(every) - every), 0, every) / every
    top = float((p * taken).sum())
    value = top / LIFT_SHARE / positives
    if not 0 < top < positives:
        return Estimate(value, value, value, 0.0)
    share = proportion(top, positives, z)
    assert share is not None
    return Estimate(value, share.low / LIFT_SHARE, share.high / LIFT_SHARE, share.deviation / LIFT_SHARE)


def binary_measures(cells: pa.Table, arrived: Arrivals | None, z: float) -> dict[str, Any]:
    """Every measure of a slice whose label is true or false.

    Args:
        cells: its `cell` statistics.
        arrived: for its immature predictions.
        z: see `intervals.quantile`.
    """
    rows = scored_rows(cells, arrived)
    area = auc(rows, z)
    probabilities = not len(rows.score) or bool(rows.score.min() >= 0 and rows.score.max() <= 1)
    points = calibration_curve(rows, z) if probabilities else []
    return {
        "rows": int(rows.rows.sum()), "positives": rows.weights[0],
        "matured": rows.matured, "corrected": rows.corrected, "unknown": rows.unknown,
        "auc": area[0] if area else None, "auc_grid": area[1] if area else None,
        "average_precision": average_precision(rows, z),
        "log_loss": log_loss(rows, z) if probabilities else None,
        "bias": bias(rows, z) if probabilities else None,
        "calibration_error": calibration_error(points, z), "calibration": points,
        "rate": label_rate(rows, z), **at_threshold(rows, z), "lift": lift(rows, z),
    }  # fmt: skip


def number_measures(sums: Mapping[str, tuple[float, float, float]], z: float) -> dict[str, Any]:
    """Every measure of a slice whose label is a number, from rows, sum and sum of squares of each statistic of it."""
    squared = mean(*sums["squared_error"], z)
    root = None
    if squared is not None:
        value = math.sqrt(max(squared.value, 0.0))
        root = Estimate(value, math.sqrt(max(squared.low, 0.0)), math.sqrt(max(squared.high, 0.0)),
                        squared.deviation / (2 * value) if value else 0.0)  # fmt: skip
    return {
        "rows": int(sums["error"][0]), "mae": mean(*sums["absolute_error"], z), "rmse": root, "bias": mean(*sums["error"], z),
        "mean_score": mean(*sums["score"], z), "mean_label": mean(*sums["label"], z),
    }  # fmt: skip


def policy_measures(sums: Mapping[str, tuple[float, float, float]], z: float) -> dict[str, Any]:
    """What another policy would have earned on average: by importance weights, self-normalised ones, and doubly robust.

    Horvitz and Thompson (1952); Hájek (1971), Swaminathan and Joachims (2015); Dudík, Langford and Li (2011). `effective_rows` is Kish's.
    """
    rows, weights, weight_squares = sums["policy_weight"]
    _, rewards, reward_squares = sums["policy_reward"]
    normalised = None
    if weights > 0 and rows > 1:
        value = rewards / weights
        variance = reward_squares - 2 * value * sums["policy_cross"][1] + value * value * weight_squares
        deviation = math.sqrt(max(variance, 0.0)) / weights
        normalised = around(value, deviation, z)
    robust = sums.get("policy_doubly_robust")
    return {
        "rows": int(rows), "refused": int(sums["policy_refused"][0]), "mean_weight": weights / rows if rows else None,
        "effective_rows": weights * weights / weight_squares if weight_squares else 0.0,
        "ips": mean(rows, rewards, reward_squares, z), "snips": normalised, "doubly_robust": mean(*robust, z) if robust else None,
    }  # fmt: skip


def group_measures(cells: Mapping[str | None, pa.Table], z: float, strict_z: float) -> dict[str, Any]:
    """Fairness between groups: rates of each, and the largest differences between any two.

    Demographic parity (selection rate), equal opportunity (true positive rate: Hardt, Price and Srebro 2016), equal accuracy, and
    calibration (mean score less the share of positives) within groups. Matured predictions alone.

    Args:
        cells: the `cell` statistics of each group.
        z: for the intervals of the groups.
        strict_z: for those of the differences, wider, since the two groups were chosen among all for being far apart (Bonferroni).
    """
    groups: dict[str | None, dict[str, Any]] = {}
    strict: dict[str | None, dict[str, Estimate | None]] = {}
    for value, table in cells.items():
        rows = scored_rows(table, None)
        groups[value] = {"rows": int(rows.rows.sum())} | _rates(rows, z)
        strict[value] = _rates(rows, strict_z)
    differences = {}
    for name, rate in GROUP_RATES.items():
        known = {value: found for value, rates in strict.items() if (found := rates[rate]) is not None}
        if len(known) > 1:
            high, low = (choose(known, key=lambda value: known[value].value) for choose in (max, min))
            differences[name] = {"difference": difference(known[high], known[low]), "highest": high, "lowest": low}
    return {"groups": groups, "differences": differences}


GROUP_RATES = {"selection_rate_difference": "selection_rate", "equal_opportunity_difference": "recall", "accuracy_difference": "accuracy",
               "calibration_difference": "bias"}  # fmt: skip
"""Which rate of the groups each difference is of."""


def _rates(rows: Scored, z: float) -> dict[str, Estimate | None]:
    found = at_threshold(rows, z)
    return {**{name: found[name] for name in ("selection_rate", "recall", "accuracy", "false_positive_rate")}, "bias": bias(rows, z),
            "rate": label_rate(rows, z), "calibration_error": calibration_error(calibration_curve(rows, z), z)}  # fmt: skip
