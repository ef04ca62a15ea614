"""Outcomes with an id: one event, however often it was delivered."""

import dataclasses
import functools
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc

from retrolabel.transforms import tally
from retrolabel.transforms.exchange import ExchangeRows, Partition, ShardDo, restore
from retrolabel.transforms.kernels.arrange import arrange, first_rows
from retrolabel.transforms.parse import TALLIES
from retrolabel.transforms.plan import BuildPlan


@dataclasses.dataclass(eq=False)
class UniqueOutcomes(beam.PTransform):
    """Brings outcomes of equal id together, keeps the first of each, and arranges them by their join key.

    Their join key is no substitute for this: two deliveries of one event may differ in it.
    """

    plan: BuildPlan

    def expand(self, outcomes: beam.PCollection[Partition]) -> Any:
        """Main output: partitions of unique outcomes; `tallies`: encoded counts."""
        return (
            outcomes
            | "ExchangeById" >> ExchangeRows(self.plan.shards, self.plan.spill)
            | "KeepFirst"
            >> beam.ParDo(ShardDo(_KeepFirst(self.plan)))
            .with_output_types(Partition, **{TALLIES: bytes})
            .with_outputs(TALLIES, main="unique")
        )


@dataclasses.dataclass(frozen=True)
class _KeepFirst:
    """Keeps the first outcome of each id in one shard."""

    plan: BuildPlan

    def __call__(self, shard: tuple[int, Iterable[bytes]]) -> Iterator[object]:
        results: list[object] = []
        rules = {rule.outcome: rule for rule in self.plan.examples.attributions}
        for source, table in restore(shard[1]).items():
            rule = rules[source]
            for rows, same in _by_presence(table, self.plan.ids[source], rule.fields):
                unique = first_rows(rows, same, (rule.time, *rule.fields))
                counted = tally.SourceTally(source, duplicate=unique.duplicate, conflicting=unique.conflicting)
                results.append(beam.pvalue.TaggedOutput(TALLIES, tally.encode(counted)))
                results.append(Partition(source, arrange(rows.take(pa.array(unique.rows)), rule.key)))
        return iter(results)


def _by_presence(
    table: pa.Table, ids: tuple[str, ...], fields: tuple[str, ...]
) -> Iterator[tuple[pa.Table, tuple[str, ...]]]:
    """The rows that have an id, and those that lack it, which are one event only if all their fields are equal."""
    absent = functools.reduce(pc.or_, [pc.is_null(table.column(name)) for name in ids])
    for rows, same in ((table.filter(pc.invert(absent)), ids), (table.filter(absent), fields)):
        if rows.num_rows:
            yield rows, same
