"""What has become worse is found, with its slice and day; what has not is hardly ever told."""

import numpy as np
import pyarrow as pa
import pytest

from retrolabel.transforms.kernels.decay import Series, find_decay, find_weak, rest_of
from retrolabel.transforms.kernels.intervals import around, quantile
from retrolabel.transforms.kernels.measures import auc, scored_rows
from tests.unit.transforms.test_measures import calibrated, of, rule, statistics

Z = quantile(0.95)
DAYS = [f"2026-11-{day:02d}" for day in range(1, 15)]


def series(of, values, deviation=0.01, measure="auc", smallest=0.01, days=DAYS):
    return Series(of, measure, days[: len(values)], [around(value, deviation, Z) for value in values], smallest)


def noise(random, count=14, mean=0.8, deviation=0.01):
    return (mean + deviation * random.normal(size=count)).tolist()


def test_a_fall_is_found_with_its_slice_and_first_day():
    random = np.random.default_rng(0)
    steady = [series(("category", f"c{number}"), noise(random)) for number in range(40)]
    fell = series(("category", "mens-dress"), [*noise(random, 9, 0.81), *noise(random, 5, 0.66)])
    found, tested = find_decay([*steady, fell], 0.05, Z)
    assert tested == 41
    (one,) = found
    assert (one.of, one.measure, one.since) == (("category", "mens-dress"), "auc", "2026-11-10")
    assert one.reference.value == pytest.approx(0.81, abs=0.01)
    assert one.found.value == pytest.approx(0.66, abs=0.01)
    assert one.p < 1e-6


def test_the_day_it_shows_is_enough():
    found, _ = find_decay([series(("", None), [*[0.81] * 7, 0.7])], 0.05, Z)
    assert [one.since for one in found] == ["2026-11-08"]


@pytest.mark.parametrize("values", [
    [*[0.81] * 7, 0.803],  # too small to matter
    [*[0.7] * 7, *[0.81] * 7],  # better
    [*[0.81] * 5, *[0.66] * 4, *[0.81] * 5],  # worse once, and well again
    [0.8],  # nothing to compare with
])  # fmt: skip
def test_nothing_is_told_of_what_is_not_worse_now(values):
    assert find_decay([series(("", None), values)], 0.05, Z)[0] == []


def test_days_that_always_vary_are_no_decay():
    """Noise is no fall, though it is ten times what each day's own error says."""
    random = np.random.default_rng(5)
    wild = [series(("shop", str(number)), noise(random, deviation=0.05), deviation=0.005) for number in range(30)]
    assert find_decay(wild, 0.05, Z)[0] == []


def test_false_discoveries_are_as_few_as_promised():
    """A hundred days on which nothing changed, each with 60 slices, half of them copies of others: hardly one tells anything."""
    random, told = np.random.default_rng(6), 0
    for _ in range(100):
        half = [noise(random) for _ in range(30)]
        nothing = [series(("a", str(number)), values, smallest=0.0) for number, values in enumerate(half * 2)]
        told += bool(find_decay(nothing, 0.05, Z)[0])
    assert told <= 5


def test_bias_is_worse_on_either_side():
    rose = series(("", None), [*[0.001] * 7, *[-0.05] * 7], measure="bias", smallest=0.005)
    assert [one.since for one in find_decay([rose], 0.05, Z)[0]] == ["2026-11-08"]


def test_what_fell_with_everything_is_not_told_again():
    whole = series(("", None), [*[0.8] * 7, *[0.7] * 7], deviation=0.003)
    slices = [
        series(("device", "phone"), [*[0.8] * 7, *[0.69] * 7]),
        series(("device", "tv"), [*[0.8] * 7, *[0.5] * 7]),
    ]
    found, _ = find_decay([whole, *slices], 0.05, Z)
    assert [one.of for one in found] == [("device", "tv"), ("", None)]


def test_a_weak_slice_is_told_beside_the_rest():
    score, label = calibrated(20_000, seed=31)
    random = np.random.default_rng(31)
    category = random.choice(["a", "b", "c", "d"], 20_000)
    blind = category == "b"
    score[blind] = random.permutation(score[blind])
    table = statistics(score, label, rule(attributes=(("category",),)), category=category)
    everything, compared = of(table, "cell"), {}
    for value in "abcd":
        inside = of(table, "cell", "category", value)
        rest = rest_of(everything, inside)
        assert pa.compute.sum(rest["rows"]).as_py() + pa.compute.sum(inside["rows"]).as_py() == 20_000
        assert auc(scored_rows(rest, None), Z)[0].value == pytest.approx(
            auc(
                scored_rows(of(statistics(score[category != value], label[category != value], rule()), "cell"), None), Z
            )[0].value,
            abs=3e-4,
        )
        compared[("category", value), "auc"] = (
            auc(scored_rows(rest, None), Z)[0],
            auc(scored_rows(inside, None), Z)[0],
            0.01,
        )
    found, tested = find_weak(compared, 0.05)
    assert tested == 4
    assert [one.of for one in found] == [("category", "b")]


@pytest.mark.parametrize("wild", [0.0, 1.0])
def test_what_days_vary_by_is_learned_from_all_slices(wild):
    """Eight days, 28 slices: hardly a day tells a slice that did not fall, also where days vary as much as their own errors; of those that fell, most show at once."""
    random, false, seen = np.random.default_rng(8), 0, 0
    for _ in range(100):
        drawn = [noise(random, 8, deviation=0.03 * np.hypot(1, wild)) for _ in range(28)]
        drawn[3][-1] -= 0.17
        slices = [series(("a", str(number)), values, 0.03, smallest=0.0) for number, values in enumerate(drawn)]
        found = [(one.of[1], one.since) for one in find_decay(slices, 0.05, Z)[0]]
        seen += ("3", "2026-11-08") in found
        false += any(value != "3" for value, _ in found)
    assert false <= 5
    assert seen >= (20 if wild else 65)
