"""Statistics of shards meet in groups: in the same ones and in the same order, however they come and wherever they are merged."""

import random
import uuid

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pytest

from retrolabel.pipelines.runner import choose_runner
from retrolabel.transforms import tally
from retrolabel.transforms.exchange import from_ipc, to_ipc
from retrolabel.transforms.kernels import monitor, table_statistics
from retrolabel.transforms.kernels.shard_groups import GROUPS, by_group, group_of
from retrolabel.transforms.merge import MergeShards, received
from retrolabel.transforms.parcel import receive, send

SHARDS = 40


def test_groups_are_of_equal_size_and_in_one_order():
    parts = [(shard, split) for shard in range(64) for split in ("train", "eval")]
    random.Random(1).shuffle(parts)
    groups = by_group(parts, lambda part: part)
    assert list(groups) == list(range(GROUPS))
    assert groups[3] == [(shard, split) for shard in (3, 19, 35, 51) for split in ("eval", "train")]
    assert {len(group) for group in groups.values()} == {8}


def test_no_more_shards_than_groups_have_a_group_each_and_a_group_is_its_own():
    assert by_group([(2, ""), (0, ""), (1, "")], lambda part: part) == {0: [(0, "")], 1: [(1, "")], 2: [(2, "")]}
    assert by_group([], lambda part: part) == {}
    assert [group_of(group) for group in range(GROUPS)] == list(range(GROUPS))


def test_every_power_of_two_of_shards_fills_the_groups_alike():
    for exponent in range(14):
        sizes = [
            len(group) for group in by_group([(shard, "") for shard in range(2**exponent)], lambda part: part).values()
        ]
        assert len(set(sizes)) == 1
        assert len(sizes) == min(GROUPS, 2**exponent)


def statistics_tallies(spill):
    """Of examples in two splits, and of a model, of every shard."""
    numbers = np.random.default_rng(5)
    for shard in range(SHARDS):
        for split in ("train", "test"):
            table = pa.table(
                {"x": numbers.lognormal(0, 9, 50), "text": [f"t{shard % 7}{row % 5}" for row in range(50)]}
            )
            encoded = table_statistics.encode(table_statistics.partial_statistics(table, [["text"]]))
            yield tally.StatisticsTally(tally.EXAMPLES, shard, split, send(encoded, spill))
        row = {"statistic": "score", "attribute": "", "value": None, "bin": 0, "age": 0, "rows": 3, "positives": 0,
               "total": float(numbers.lognormal(0, 9)), "squares": float(numbers.lognormal(0, 9))}  # fmt: skip
        model = to_ipc(pa.Table.from_pylist([row], monitor.STATISTICS))
        yield tally.StatisticsTally(tally.MODEL, shard, "label", send(model, spill))


def merged(tallies, folder, spill):
    """What `MergeShards` gives of them, in any order."""
    folder.mkdir()
    with beam.Pipeline(runner=choose_runner([]).runner) as pipeline:
        encoded = pipeline | beam.Create([tally.encode(one) for one in tallies])
        _ = encoded | MergeShards(spill) | beam.Map(lambda one: (folder / uuid.uuid4().hex).write_bytes(one))
    return [tally.decode(path.read_bytes()) for path in folder.iterdir()]


@pytest.mark.parametrize("by_reference", [False, True])
def test_the_commit_gets_the_same_few_bytes_in_whichever_order_shards_come(tmp_path, by_reference):
    spill = str(tmp_path / "spilled") if by_reference else None
    tallies = list(statistics_tallies(spill))
    other = tally.PartTally("examples", "test", 3, "a", 1, 2, "c")
    results = []
    for seed in range(3):
        random.Random(seed).shuffle(tallies)
        found = merged([*tallies, other], tmp_path / f"merged-{seed}", spill)
        assert other in found
        assert len(found) == 1 + 2 * GROUPS
        assert all(len(tally.encode(one)) < 300 for one in found) or not by_reference
        results.append([list(received(found, of)) for of in (tally.EXAMPLES, tally.MODEL)])
    assert results[0] == results[1] == results[2]

    examples, model = results[0]
    together = table_statistics.merge(map(table_statistics.decode, examples))
    assert together[table_statistics.ALL_EXAMPLES].rows == SHARDS * 100
    flat = table_statistics.merge(table_statistics.decode(receive(one.statistics)) for one in tallies if one.of == tally.EXAMPLES)  # fmt: skip
    for name, one in flat.items():
        mine, theirs = together[name].columns["x"].numeric, one.columns["x"].numeric
        assert (mine.least, mine.greatest) == (theirs.least, theirs.greatest)
        assert mine.spread.counts.tolist() == theirs.spread.counts.tolist()
        assert mine.moments.mean == pytest.approx(theirs.moments.mean, rel=1e-12)
    (row,) = monitor.merge(map(from_ipc, model)).to_pylist()
    assert row["rows"] == SHARDS * 3


def test_the_sums_of_a_group_are_added_by_shard(tmp_path):
    tallies = list(statistics_tallies(None))
    random.Random(9).shuffle(tallies)
    group = [one for one in merged(tallies, tmp_path / "merged", None) if one.of == tally.MODEL and one.shard == 5]
    own = sorted(
        (one for one in tallies if one.of == tally.MODEL and one.shard % GROUPS == 5), key=lambda one: one.shard
    )
    assert [one.shard for one in own] == [5, 21, 37]
    (row,) = from_ipc(receive(group[0].statistics)).to_pylist()
    totals = [from_ipc(receive(one.statistics)).column("total")[0].as_py() for one in own]
    assert row["total"] == (totals[0] + totals[1]) + totals[2]
