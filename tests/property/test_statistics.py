"""Statistics add up: however rows are cut into blocks, and in whichever order the blocks are put together."""

import itertools
import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrolabel.transforms.kernels.frequencies import COUNTED, frequencies_of
from retrolabel.transforms.kernels.frequencies import together as texts_together
from retrolabel.transforms.kernels.shard_groups import by_group
from retrolabel.transforms.kernels.spread import BINS, spread_of
from retrolabel.transforms.kernels.statistics_proto import statistics_list
from retrolabel.transforms.kernels.table_statistics import decode, encode, merge, sliced_statistics

NUMBERS = st.one_of(
    st.none(), st.floats(-1e100, 1e100), st.sampled_from([0.0, -0.0, 1.0, 5e-324, math.nan, math.inf, -math.inf])
)
TEXTS = st.one_of(st.none(), st.text(max_size=4), st.sampled_from(["a", "b", "x" * 2000]))
ROWS = st.lists(
    st.fixed_dictionaries({
        "number": NUMBERS, "whole": st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)), "text": TEXTS, "flag": st.none() | st.booleans(),
        "list": st.none() | st.lists(st.integers(-3, 3), max_size=3), "vector": st.lists(st.floats(-1, 1), min_size=2, max_size=2),
        "weight": st.floats(0, 10),
    }),
    max_size=40,
)  # fmt: skip
SCHEMA = pa.schema({
    "number": pa.float64(), "whole": pa.int64(), "text": pa.string(), "flag": pa.bool_(), "list": pa.list_(pa.int64()),
    "vector": pa.list_(pa.float64()), "weight": pa.float64(),
})  # fmt: skip


def described(partials):
    return statistics_list(merge(partials))


def nearly_equal(one, other):
    """Equal but for the last bits of sums of floats, whose order differs."""
    if isinstance(one, float) and isinstance(other, float):
        return (
            one == other
            or (math.isnan(one) and math.isnan(other))
            or math.isclose(one, other, rel_tol=1e-6, abs_tol=1e-9)
        )
    if not hasattr(one, "ListFields"):
        return one == other
    for name in {field.name for message in (one, other) for field, _ in message.ListFields()}:
        left, right = getattr(one, name), getattr(other, name)
        if hasattr(left, "ListFields") or isinstance(left, str | int | float | bool | bytes):
            if not nearly_equal(left, right):
                return False
        elif len(left) != len(right) or not all(map(nearly_equal, left, right)):
            return False
    return True


@settings(max_examples=80, deadline=None)
@given(
    rows=ROWS,
    cuts=st.lists(st.integers(0, 40), max_size=4),
    order=st.randoms(use_true_random=False),
    weighted=st.booleans(),
    shard=st.sampled_from([0, 14]),
)
def test_any_blocks_in_any_order_give_the_same_statistics(rows, cuts, order, weighted, shard):
    table = pa.Table.from_pylist(rows, SCHEMA)
    weight = "weight" if weighted else None
    bounds = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    blocks = [table.slice(start, end - start) for start, end in itertools.pairwise(bounds)]
    order.shuffle(blocks)
    whole = sliced_statistics(table, [], ["flag"], weight)
    partials = [decode(encode(sliced_statistics(block, [], ["flag"], weight))) for block in blocks]

    together = merge(partials)
    nested = merge([merge(partials[:2]), merge(partials[2:])]) if len(partials) > 2 else together
    shards = dict(enumerate(partials, shard))
    grouped = [
        merge(merge(shards[one] for one in group) for group in by_group(some, lambda one: (one, "")).values())
        for some in (list(shards), list(reversed(shards)))
    ]
    assert encode(grouped[0]) == encode(grouped[1])

    expected = {one.name: one for one in statistics_list(whole).datasets}
    for found in map(statistics_list, (together, nested, grouped[0])):
        assert {one.name for one in found.datasets} == set(expected)
        for one in found.datasets:
            assert nearly_equal(one, expected[one.name])


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32), parts=st.integers(1, 6), kind=st.sampled_from(["normal", "wide", "zero and far", "few"])
)
def test_the_spread_is_a_function_of_the_values_alone(seed, parts, kind):
    random = np.random.default_rng(seed)
    numbers = {
        "normal": random.normal(size=20_000), "wide": random.lognormal(0, 30, 20_000),
        "zero and far": np.concatenate([np.zeros(9_000), 1e9 + random.random(11_000)]), "few": random.integers(0, 50, 20_000).astype(float),
    }[kind]  # fmt: skip
    whole = spread_of(numbers)
    dealt = random.integers(0, parts, len(numbers))
    together = sum((spread_of(numbers[dealt == part]) for part in range(1, parts)), spread_of(numbers[dealt == 0]))

    assert together.shift == whole.shift
    assert together.keys.tolist() == whole.keys.tolist()
    assert together.counts.tolist() == whole.counts.tolist()
    assert len(whole.keys) <= BINS
    assert (np.searchsorted(np.sort(numbers), whole.lows) == np.concatenate([[0], np.cumsum(whole.counts)[:-1]])).all()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), share=st.floats(0.01, 0.99))
def test_a_quantile_lies_in_the_bin_of_the_true_one(seed, share):
    numbers = np.random.default_rng(seed).lognormal(size=5000)
    spread = spread_of(numbers)
    (found,) = spread.quantiles([share], numbers.min(), numbers.max())
    rank = share * len(numbers)
    around = np.sort(numbers)[[max(int(np.floor(rank)) - 1, 0), min(int(np.ceil(rank)), len(numbers) - 1)]]
    first, last = np.searchsorted(spread.lows, around, side="right") - 1
    assert spread.lows[first] * (1 - 1e-12) <= found <= spread.highs[last] * (1 + 1e-12)


@pytest.mark.parametrize("parts", [1, 7])
def test_very_many_texts_are_counted_within_the_bounds_that_are_stated(parts):
    random = np.random.default_rng(8)
    frequent = np.repeat([f"often {number}" for number in range(50)], np.arange(400, 900, 10))
    rare = np.array([f"rare {number}" for number in range(120_000)])
    texts = random.permutation(np.concatenate([frequent, rare]))
    found = texts_together([frequencies_of(pa.array(part)) for part in np.array_split(texts, parts)])

    assert len(found.texts) <= COUNTED
    assert found.unique == pytest.approx(120_050, rel=0.03)
    assert 0 < found.error <= len(texts) / 1024
    counted = dict(found.ranked(50))
    for number in range(50):
        true = 400 + 10 * number
        assert counted[f"often {number}"] <= true <= counted[f"often {number}"] + found.error


def test_texts_are_counted_exactly_up_to_the_limit():
    texts = [f"t{number}" for number in range(COUNTED)]
    found = texts_together([frequencies_of(pa.array(texts)), frequencies_of(pa.array(texts[:10]))])
    assert (found.unique, found.error) == (COUNTED, 0) or found.unique == pytest.approx(COUNTED, rel=0.03)
    assert dict(found.ranked(10)) == dict.fromkeys(texts[:10], 2.0)


def test_no_rows_and_no_blocks_have_statistics():
    empty = SCHEMA.empty_table()
    (dataset,) = described([sliced_statistics(empty, [])]).datasets
    assert (dataset.num_examples, len(dataset.features)) == (0, len(SCHEMA))
    assert described([]).datasets == []
