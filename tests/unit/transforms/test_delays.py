"""How long outcomes take: counts of each prediction once, and an estimate that knows what it cannot know yet."""

import math

import numpy as np
import pytest

from retrolabel.transforms.kernels.delays import BOUNDS, add_delays, as_published, count_delays, delay_curve

HOUR = 3_600_000_000
DAY = 24 * HOUR


def curve_of(delays, seen, window):
    return delay_curve(
        as_published(count_delays(np.array(delays), np.array(seen), window), window)["bins"], window / 1e6
    )


def kaplan_meier(delays, seen, moment):
    """The estimator as its paper defines it, without bins: a product over every moment of an outcome up to the given one."""
    arrived = (delays >= 0) & (delays <= seen)
    ended = np.where(arrived, delays, seen)
    moments, died = np.unique(ended[arrived & (ended <= moment)], return_counts=True)
    at_risk = len(ended) - np.searchsorted(np.sort(ended), moments)
    return 1 - float(np.prod(1 - died / at_risk))


def test_bins_are_at_most_a_tenth_wide_and_reach_over_a_month():
    assert (np.diff(BOUNDS) > 0).all()
    assert (BOUNDS[2:] / BOUNDS[1:-1]).max() <= 1.092
    assert BOUNDS[-1] > 31 * DAY


def test_every_prediction_is_counted_once_where_the_knowledge_of_it_ends():
    counts = count_delays(
        np.array([0, 1_000_000, -1, 5 * HOUR, 5 * HOUR, -1]), np.array([DAY, DAY, DAY, 2 * HOUR, 5 * HOUR, -HOUR]), DAY
    )
    assert sum(arrived + left for arrived, left in counts.values()) == 6
    assert counts[0] == (1, 1)  # one at once, one that nothing is known of
    assert counts[1_000_000] == (1, 0)
    assert counts[DAY] == (0, 1)
    assert sum(arrived for arrived, _ in counts.values()) == 3  # of the two of five hours one lies beyond what is known


def test_counts_of_shards_add_up_in_any_order():
    random = np.random.default_rng(1)
    delays, seen = random.integers(-DAY, DAY, 500), random.integers(0, 2 * DAY, 500)
    whole = count_delays(delays, seen, DAY)
    parts = [count_delays(delays[chosen], seen[chosen], DAY) for chosen in np.array_split(np.arange(500), 7)]
    assert add_delays(parts) == add_delays(parts[::-1]) == whole


def test_a_day_that_is_over_gives_the_plain_shares():
    curve = curve_of([HOUR] * 3 + [10 * HOUR] + [-1] * 6, [DAY] * 10, DAY)
    assert curve.arrived[-1] == pytest.approx(0.4)
    assert (curve.outcomes, curve.waiting, curve.to_come, curve.complete) == (4, 0, 0, True)
    assert curve.error[-1] == pytest.approx(
        math.sqrt(0.4 * 0.6 / 10)
    )  # without censoring, Greenwood's is the binomial one
    assert 3600 <= curve.quantile(0.5) <= 3600 * 1.092
    assert 36000 <= curve.quantile(1) <= 36000 * 1.092


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_day_in_progress_is_estimated_as_by_kaplan_and_meier(seed):
    random = np.random.default_rng(seed)
    converts = random.random(3000) < 0.3
    delays = np.where(converts, random.exponential(4 * HOUR, 3000), 10 * DAY).astype(np.int64)
    seen = random.exponential(10 * HOUR, 3000).astype(np.int64)  # most windows are still open
    curve = curve_of(delays, seen, DAY)
    for moment in (HOUR, 6 * HOUR, 12 * HOUR, DAY):
        found = curve.arrived[np.searchsorted(curve.seconds, moment / 1e6, side="right") - 1]
        exact = kaplan_meier(delays, np.clip(seen, 0, DAY), moment)
        assert found <= exact + 0.01
        assert found >= kaplan_meier(delays, np.clip(seen, 0, DAY), moment / 1.1) - 0.01
    truth = 0.3 * (1 - math.exp(-6))
    naive = curve.outcomes / curve.predictions
    assert abs(curve.arrived[-1] - truth) < 3 * curve.error[-1]
    assert truth - naive > 3 * curve.error[-1]  # what a count of the arrived would have said
    still = (converts & (delays > np.clip(seen, 0, DAY)) & (delays < DAY)).sum()
    assert curve.to_come == pytest.approx(still, abs=4 * math.sqrt(still) + 0.05 * still)


def test_where_no_window_has_closed_what_is_to_come_is_a_lower_bound():
    curve = curve_of([HOUR, -1, -1], [2 * HOUR] * 3, DAY)
    assert not curve.complete
    assert curve.waiting == 2


def test_no_predictions_give_an_empty_curve():
    curve = curve_of(np.array([], np.int64), np.array([], np.int64), DAY)
    assert (curve.predictions, curve.outcomes, curve.to_come, curve.complete) == (0, 0, 0, False)
    assert curve.quantile(0.5) is None
