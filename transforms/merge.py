"""Statistics of shards on their way to the commit: merged in groups, so that few meet in its one place."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping

import apache_beam as beam

from retrolabel.transforms import tally
from retrolabel.transforms.exchange import from_ipc, to_ipc
from retrolabel.transforms.kernels import monitor, table_statistics
from retrolabel.transforms.kernels.shard_groups import by_group, group_of
from retrolabel.transforms.parcel import receive, send

_OF_SHARDS = "of_shards"


@dataclasses.dataclass(eq=False)
class MergeShards(beam.PTransform):
    """Puts the statistics of each group of shards together; all other tallies pass."""

    spill: str | None
    """The folder for what is large, where all steps run in this process; None to send it along."""

    def expand(self, tallies: beam.PCollection[bytes]) -> beam.PCollection[bytes]:
        """Gives encoded tallies, those of statistics numbered by their group."""
        parted = tallies | "OfShards" >> beam.ParDo(_parted).with_output_types(
            bytes, **{_OF_SHARDS: tuple[tuple[str, int], bytes]}
        ).with_outputs(_OF_SHARDS, main="others")
        merged = (
            parted[_OF_SHARDS]
            | "Group" >> beam.GroupByKey()
            | "MergeGroup" >> beam.Map(merge_group, self.spill).with_output_types(bytes)
        )
        return (parted.others, merged) | "Together" >> beam.Flatten()


def _parted(encoded: bytes) -> Iterator[object]:
    counted = tally.decode(encoded)
    if isinstance(counted, tally.StatisticsTally):
        yield beam.pvalue.TaggedOutput(_OF_SHARDS, ((counted.of, group_of(counted.shard)), encoded))
    else:
        yield encoded


def merge_group(group: tuple[tuple[str, int], Iterable[bytes]], spill: str | None) -> bytes:
    """From what a group is of, its number, and the encoded tallies of its shards, in any order: the encoded tally of the group."""
    (of, number), encoded = group
    statistics = _MERGES[of](received(map(tally.decode, encoded), of))
    return tally.encode(tally.StatisticsTally(of, number, "", send(statistics, spill)))


def received(tallies: Iterable[tally.Tally], of: str) -> Iterator[bytes]:
    """The encoded statistics of shards, or of groups of them, in the order in which they are put together."""
    some = [counted for counted in tallies if isinstance(counted, tally.StatisticsTally) and counted.of == of]
    for group in by_group(some, lambda counted: (counted.shard, counted.part)).values():
        for counted in group:
            yield receive(counted.statistics)


def _merged_examples(statistics: Iterable[bytes]) -> bytes:
    return table_statistics.encode(table_statistics.merge(map(table_statistics.decode, statistics)))


def _merged_model(statistics: Iterable[bytes]) -> bytes:
    return to_ipc(monitor.merge(map(from_ipc, statistics)))


_MERGES: Mapping[str, Callable[[Iterable[bytes]], bytes]] = {
    tally.EXAMPLES: _merged_examples,
    tally.MODEL: _merged_model,
}
