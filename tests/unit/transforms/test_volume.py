"""Events by the second: counts, gaps and the last one, against counting one by one."""

import itertools

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from retrolabel.transforms.kernels.volume import add_up, volume_of

TIMES = st.lists(st.integers(0, 60_000_000), max_size=30)


@given(blocks=st.lists(TIMES, max_size=4), begin=st.integers(0, 61), length=st.integers(0, 61))
def test_volumes_of_blocks_add_up_to_plain_counts(blocks, begin, length):
    volume = add_up(volume_of(pa.chunked_array([pa.array(times, pa.int64())])) for times in blocks)
    seconds = sorted(time // 1_000_000 for times in blocks for time in times)
    end = begin + length
    assert volume.between(begin, end) == sum(begin <= second < end for second in seconds)
    assert volume.last_before(end) == max((second for second in seconds if second < end), default=None)
    distinct = sorted(set(seconds))
    gaps = [(a, b) for a, b in itertools.pairwise(distinct) if begin <= b < end]
    assert sorted(volume.gaps(begin, end)) == gaps
    lengths = [b - a for a, b in volume.gaps(begin, end)]
    assert lengths == sorted(lengths, reverse=True)


def test_moments_before_1970_belong_to_the_second_that_they_lie_in():
    volume = volume_of(pa.chunked_array([pa.array([-1, -1_000_001], pa.int64())]))
    assert volume.seconds.tolist() == [-2, -1]
