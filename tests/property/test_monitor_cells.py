"""The grid of scores: order is kept, equals stay together, the same on every machine."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from retrolabel.transforms.kernels.monitor import cells_of

scores = st.floats(allow_nan=False, allow_infinity=False, width=64)
probabilities = st.floats(0, 1)


@given(st.lists(st.one_of(scores, probabilities), min_size=1, max_size=50))
def test_cells_are_in_the_order_of_the_scores(values):
    cells = cells_of(np.sort(np.array(values)))
    assert (np.diff(cells) >= 0).all()


@given(probabilities, probabilities)
def test_probabilities_that_differ_enough_have_other_cells(one, other):
    """Enough: a five-hundredth of the distance from the nearer end of [0, 1], which is more than the widest cell."""
    low, high = sorted((one, other))
    if high - low > max(min(high, 1 - low) / 500, 1e-30):
        cells = cells_of(np.array([low, high]))
        assert cells[0] < cells[1]


def test_the_grid_is_what_it_was():
    """Published statistics hold these numbers: days that were built with others could not be compared."""
    values = np.array([-3.0, -1e-3, 0.0, 1e-9, 0.001, 0.25, 0.5, np.nextafter(0.5, 1), 0.75, 0.999, 1.0, 1.5, 20.0])
    assert cells_of(values).tolist() == [
        -131585, -119833, 0, 99403, 119832, 128000, 129024, 129024, 130048, 138215, 258048, 258560, 262400,
    ]  # fmt: skip
