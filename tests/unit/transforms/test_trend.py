"""Since when a number is different: changes that are there are dated, and chance and the usual wobble raise no alarms."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrolabel.transforms.kernels.significance import chi_square_tail, false_discovery, two_sided
from retrolabel.transforms.kernels.trend import Metric, find_changes


def share(values, rows=4000):
    return Metric("m", tuple(values), (float(rows),) * len(values), (0.0,) * len(values), "share")


def sampled(random, rates, rows=4000):
    return share([random.binomial(rows, rate) / rows for rate in rates], rows)


@pytest.mark.parametrize(
    ("statistic", "freedom", "tail"),
    [
        (3.841, 1, 0.05),
        (5.991, 2, 0.05),
        (7.815, 3, 0.05),
        (18.307, 10, 0.05),
        (16.266, 3, 0.001),
        (59.703, 30, 0.001),
        (0, 4, 1),
    ],
)
def test_the_chi_square_tail_is_that_of_printed_tables(statistic, freedom, tail):
    assert chi_square_tail(statistic, freedom) == pytest.approx(tail, rel=1e-3)


def test_the_normal_tail_is_that_of_printed_tables():
    assert two_sided(1.959964) == pytest.approx(0.05, rel=1e-5)
    assert two_sided(-3.290527) == pytest.approx(0.001, rel=1e-5)


@given(st.lists(st.floats(0, 1), max_size=30), st.floats(0.001, 0.5))
def test_alarms_are_those_of_the_step_up_procedure(p_values, rate):
    ranked = sorted(p_values)
    last = max((n for n, p in enumerate(ranked, 1) if p * len(ranked) / n <= rate), default=0)
    expected = {n for n, p in enumerate(p_values) if last and p <= ranked[last - 1]}
    assert set(np.flatnonzero(false_discovery(p_values) <= rate)) == expected


def test_a_level_shift_is_dated_and_measured():
    random = np.random.default_rng(1)
    (changes,) = find_changes([sampled(random, [0.30] * 8 + [0.42] * 4)])
    (change,) = changes
    assert change.day == 8
    assert change.before == pytest.approx(0.30, abs=0.01)
    assert change.after == pytest.approx(0.42, abs=0.015)
    assert change.q < 1e-6


def test_a_peak_of_two_days_comes_and_goes():
    random = np.random.default_rng(2)
    (changes,) = find_changes([sampled(random, [0.1] * 6 + [0.2] * 2 + [0.1] * 6)])
    assert [change.day for change in changes] == [6, 8]


def test_two_days_are_enough():
    random = np.random.default_rng(3)
    assert [
        [change.day for change in found]
        for found in find_changes([sampled(random, [0.1, 0.2]), sampled(random, [0.1, 0.1])])
    ] == [[1], []]


def test_of_numbers_that_do_not_change_hardly_any_raises_an_alarm():
    random = np.random.default_rng(4)
    quiet = [sampled(random, [rate] * 14) for rate in random.uniform(0.01, 0.9, 600)]
    means = [
        Metric("mean", tuple(random.normal(5, 2 / math.sqrt(900), 14)), (900.0,) * 14, (4.0,) * 14) for _ in range(600)
    ]
    assert sum(map(bool, find_changes(quiet + means))) <= 1


def test_real_changes_are_found_among_many_numbers_and_few_others():
    random = np.random.default_rng(5)
    numbers = [sampled(random, [0.2] * 10) for _ in range(400)] + [
        sampled(random, [0.2] * 6 + [0.25] * 4) for _ in range(40)
    ]
    found = [bool(changes) for changes in find_changes(numbers)]
    assert sum(found[400:]) == 40
    assert sum(found[:400]) <= 3


def test_the_wobble_of_weekdays_is_no_change():
    random = np.random.default_rng(6)
    weekly = [sampled(random, [0.20, 0.21, 0.20, 0.22, 0.21, 0.30, 0.31] * 4, 20_000) for _ in range(40)]
    assert sum(map(bool, find_changes(weekly))) <= 1


def test_days_without_a_value_are_passed_over():
    values = [0.1, None, 0.1, None, 0.3, 0.3]
    (changes,) = find_changes([share(values)])
    assert [change.day for change in changes] == [4]


def test_constants_change_when_they_differ_and_only_then():
    constant = Metric("c", (1.0, 1.0, 1.0), (10.0,) * 3, (0.0,) * 3)
    stepped = Metric("c", (1.0, 1.0, 2.0), (10.0,) * 3, (0.0,) * 3)
    assert [len(changes) for changes in find_changes([constant, stepped, share([0.0, 0.0, 0.0])])] == [0, 1, 0]
    assert find_changes([]) == []
    assert find_changes([share([0.5]), share([None, None])]) == [[], []]
