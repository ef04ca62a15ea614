"""Distributions are drawn of whatever numbers a column holds."""

import math
import warnings

import pyarrow as pa
import pytest

from retrolabel.pipelines.report.distributions import distribution
from retrolabel.transforms.kernels.statistics_proto import statistics_list
from retrolabel.transforms.kernels.table_statistics import sliced_statistics


@pytest.mark.parametrize(
    "values",
    [[1e308, -1e308, 0.0], [1.7e308] * 3, [5e-324, 0.0], [math.inf, -math.inf, 1.0, math.nan], [2.0**53, 2.0**53 + 2]],
)
def test_numbers_of_any_size_have_bins(values):
    (feature,) = statistics_list(sliced_statistics(pa.table({"x": values}), [])).datasets[0].features
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn = distribution(feature, feature)
    assert drawn.now == drawn.before
    assert 0 < sum(drawn.now) <= 1.000001
    assert not any("nan" in name for name in drawn.bins)
