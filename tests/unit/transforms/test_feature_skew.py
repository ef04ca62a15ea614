"""Feature skew: the same predictions on two sides, value by value, held to a plain comparison."""

import math

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrolabel.schemas.errors import InputError
from retrolabel.transforms.kernels.feature_skew import feature_skew


def features(found):
    return {one.name: one for one in found.features}


def test_values_missing_on_one_side_and_repeated_keys_are_told_apart():
    training = pa.table(
        {
            "id": ["a", "b", "c", "d", "d", "e"],
            "x": [1.0, 2.0, None, 4.0, 4.0, math.nan],
            "s": ["x", "y", "z", "w", "w", "q"],
        }
    )
    serving = pa.table(
        {"id": ["e", "b", "a", "c", "f"], "x": [math.nan, 2.5, 1.0, 3.0, 1.0], "s": ["q", "Y", "x", None, "u"]}
    )
    found = feature_skew(training, serving, ["id"])
    assert (found.training_rows, found.serving_rows, found.joined, found.repeated) == (6, 5, 4, 2)
    x, s = features(found)["x"], features(found)["s"]
    assert (x.same, x.different, x.only_training, x.only_serving, x.rate) == (2, 1, 0, 1, 0.5)
    assert (s.same, s.different, s.only_training, s.only_serving) == (2, 1, 1, 0)
    assert x.examples == (("b", "2.0", "2.5"), ("c", None, "3.0"))
    assert s.examples == (("b", "y", "Y"), ("c", "z", None))


def test_columns_of_one_side_and_types_that_changed_are_schema_skew():
    training = pa.table({"id": ["a"], "old": [1], "n": [7], "price": [7]})
    serving = pa.table({"id": ["a"], "new": [1], "n": ["7"], "price": [7.0]})
    found = feature_skew(training, serving, ["id"])
    assert found.missing_columns == (("old", "serving"), ("new", "training"))
    assert found.changed_types == (("n", "int64", "string"),)
    assert [one.rate for one in found.features] == [0.0, 0.0]  # 7 is "7" as text, and 7.0 as a number


def test_numbers_may_be_apart_by_the_tolerance():
    training, serving = pa.table({"id": [1, 2], "x": [100.0, 0.0]}), pa.table({"id": [1, 2], "x": [100.5, 0.0]})
    assert features(feature_skew(training, serving, ["id"]))["x"].different == 1
    assert features(feature_skew(training, serving, ["id"], tolerance=0.01))["x"].different == 0


def test_columns_may_be_called_what_the_query_calls_its_own():
    table = pa.table({"t": ["a"], "s": ["b"], "rows": [1], "key": [2], "select": [3]})
    found = feature_skew(table, table, ["t", "key"])
    assert [(one.name, one.rate) for one in found.features] == [("s", 0.0), ("rows", 0.0), ("select", 0.0)]


def test_a_side_without_the_key_is_told():
    with pytest.raises(InputError, match="the serving side has no column 'id' to join by; it has uid"):
        feature_skew(pa.table({"id": ["a"]}), pa.table({"uid": ["a"]}), ["id"])


ROWS = st.lists(st.tuples(st.sampled_from("abcdef"), st.none() | st.integers(0, 2)), max_size=8)


@given(training=ROWS, serving=ROWS)
def test_counts_are_those_of_a_plain_comparison(training, serving):
    tables = [
        pa.table(
            {
                "id": pa.array([key for key, _ in rows], pa.string()),
                "x": pa.array([value for _, value in rows], pa.int64()),
            }
        )
        for rows in (training, serving)
    ]
    found = feature_skew(*tables, ["id"])
    once = [
        {key: value for key, value in rows if sum(key == other for other, _ in rows) == 1}
        for rows in (training, serving)
    ]
    pairs = [(once[0][key], once[1][key]) for key in once[0].keys() & once[1].keys()]
    assert found.joined == len(pairs)
    assert found.repeated == len(training) + len(serving) - len(once[0]) - len(once[1])
    (x,) = found.features
    assert x.same == sum(mine == theirs for mine, theirs in pairs)
    assert x.different == sum(None not in pair and pair[0] != pair[1] for pair in pairs)
    assert x.only_training == sum(mine is not None and theirs is None for mine, theirs in pairs)
    assert x.only_serving == sum(mine is None and theirs is not None for mine, theirs in pairs)
