"""k-anonymity of the examples of a day: groups are counted over all shards and splits, then what too few are like is left out."""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import apache_beam as beam
import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from retrolabel.transforms import tally
from retrolabel.transforms.exchange import ExchangeRows, Partition, ShardDo, restore
from retrolabel.transforms.kernels.anonymity import (
    AnonymityRule,
    LevelCounts,
    by_levels,
    chosen,
    coarsened,
    counted,
    in_small_groups,
    parts_of_groups,
)
from retrolabel.transforms.kernels.arrange import HASH, arrange, first_rows
from retrolabel.transforms.label import Part
from retrolabel.transforms.parallel import ParallelDo
from retrolabel.transforms.parse import TALLIES
from retrolabel.transforms.plan import PREDICTIONS, BuildPlan

_GROUPS, _SMALL = "groups", "small groups"

_EXAMPLES = "examples of "
"""Begins the name of the stream of a split's rows."""

Choice = tuple[int, int]
"""The place in the lattice of how values are generalized, and how many rows were in too small groups as logged."""


@dataclasses.dataclass(eq=False)
class KeepAnonymous(beam.PTransform):
    """Makes quasi-identifiers coarser as far as needed, and keeps the rows that are like those of k people.

    Only parts of groups are brought together and counted; the small ones go back to the shards that have rows of them.
    """

    plan: BuildPlan
    rule: AnonymityRule

    def expand(self, parts: beam.PCollection[Part]) -> Any:
        """Gives `examples`: parts, and `tallies`: encoded counts."""
        exchange = ExchangeRows(self.plan.shards, self.plan.spill)
        groups = (
            parts
            | "Groups" >> beam.ParDo(ParallelDo(_Groups(self.rule))).with_output_types(Partition)
            | "ExchangeGroups" >> exchange
        )
        choice: tuple[Any, ...] = ()
        if len(self.rule.lattice) > 1:
            choice = (
                beam.pvalue.AsList(
                    groups
                    | "CountRows" >> beam.ParDo(ShardDo(_CountRows(self.rule))).with_output_types(bytes)
                    | "OneKey" >> beam.WithKeys(0).with_output_types(tuple[int, bytes])
                    | "Together" >> beam.GroupByKey()
                    | "Choose" >> beam.Map(self._choose).with_output_types(bytes)
                ),
            )
        judged = groups | "Judge" >> beam.ParDo(ShardDo(_Judge(self.plan, self.rule)), *choice).with_output_types(
            Partition, **{TALLIES: bytes}
        ).with_outputs(TALLIES, main=_SMALL)
        # The rows wait where they are spilled, or in an engine's shuffle: they must not be held by the runner.
        rows = parts | "Rows" >> beam.Map(self._arranged).with_output_types(Partition)
        kept = (
            (rows, judged[_SMALL])
            | "ExchangeBack" >> exchange
            | "Suppress"
            >> beam.ParDo(ShardDo(_Suppress(self.plan, self.rule)), *choice)
            .with_output_types(Part, **{TALLIES: bytes})
            .with_outputs(TALLIES, main="examples")
        )
        return Anonymous(kept.examples, (judged[TALLIES], kept[TALLIES]) | "Tallies" >> beam.Flatten())

    def _arranged(self, part: Part) -> Partition:
        return Partition(f"{_EXAMPLES}{part.split}", arrange(part.table, self.plan.examples.key))

    def _choose(self, gathered: tuple[int, Iterable[bytes]]) -> bytes:
        return msgspec.msgpack.encode(chosen((_decode(one) for one in gathered[1]), self.rule))


@dataclasses.dataclass(frozen=True)
class Anonymous:
    """What comes of the step."""

    examples: beam.PCollection[Part]
    tallies: beam.PCollection[bytes]


def _decode(encoded: bytes) -> dict[int, LevelCounts]:
    return msgspec.msgpack.decode(encoded, type=dict[int, LevelCounts])


def _choice(side: Sequence[Sequence[bytes]]) -> Choice:
    """What was chosen; values stay as logged if there was nothing to choose, or from."""
    found = side[0] if side else ()
    return msgspec.msgpack.decode(found[0], type=Choice) if found else (0, 0)


@dataclasses.dataclass(frozen=True)
class _Groups:
    """Counts the groups of one part for every way to generalize."""

    rule: AnonymityRule

    def __call__(self, part: Part) -> list[Partition]:
        return [Partition(_GROUPS, arrange(parts_of_groups(part.table, self.rule, part.shard), ("levels", "group")))]


@dataclasses.dataclass(frozen=True)
class _CountRows:
    """Tells of the groups of one shard how many rows would be suppressed for every way to generalize."""

    rule: AnonymityRule

    def __call__(self, shard: tuple[int, Iterable[bytes]]) -> list[bytes]:
        return [msgspec.msgpack.encode(by_levels(counted(restore(shard[1])[_GROUPS], self.rule), self.rule))]


@dataclasses.dataclass(frozen=True)
class _Judge:
    """Sends the small groups of one shard, generalized as was chosen, back to the shards that have rows of them."""

    plan: BuildPlan
    rule: AnonymityRule

    def __call__(self, shard: tuple[int, Iterable[bytes]], *side: Sequence[bytes]) -> list[object]:
        place, at_risk = _choice(side)
        parts = restore(shard[1])[_GROUPS]
        parts = parts.filter(pc.equal(parts.column("levels"), place))
        found = counted(parts, self.rule)
        large = found.people >= self.rule.k
        if not side:  # values are published as logged
            at_risk = int(found.rows[~large].sum())
        smallest = int(found.people[large].min()) if large.any() else 0
        told = tally.AnonymityTally(place, at_risk, int(large.sum()), smallest)
        results: list[object] = [beam.pvalue.TaggedOutput(TALLIES, tally.encode(told))]
        small = parts.filter(pc.is_in(parts.column("group"), value_set=found.groups.filter(pa.array(~large))))
        if small.num_rows:
            where = small.group_by(["shard", "group"], use_threads=False).aggregate([]).sort_by("shard")
            results.append(Partition(_SMALL, _addressed(where, self.plan.shards)))
        return results


def _addressed(table: pa.Table, shards: int) -> pa.Table:
    """Rows in the order of `shard`, with a hash that sends each there."""
    bits = shards.bit_length() - 1
    numbers = table.column("shard").to_numpy().astype(np.uint64)
    hashes = numbers << np.uint64(64 - bits) if bits else np.zeros(len(numbers), dtype=np.uint64)
    return table.append_column(HASH, pa.array(hashes))


@dataclasses.dataclass(frozen=True)
class _Suppress:
    """Generalizes the rows of one shard as was chosen, leaves out those of small groups, and brings the others back into their order."""

    plan: BuildPlan
    rule: AnonymityRule

    def __call__(self, shard: tuple[int, Iterable[bytes]], *side: Sequence[bytes]) -> Iterator[object]:
        number, sent = shard
        streams, levels = restore(sent), self.rule.lattice[_choice(side)[0]]
        small = streams[_SMALL].column("group").combine_chunks() if _SMALL in streams else pa.array([], pa.string())
        results: list[object] = []
        key, time = self.plan.examples.key, self.plan.examples.time
        for stream in sorted(streams):
            if not stream.startswith(_EXAMPLES):
                continue
            table = coarsened(streams[stream], self.rule, levels)
            left_out = in_small_groups(table, self.rule, small)
            kept = table.filter(pa.array(~left_out))
            count = table.num_rows - kept.num_rows
            counts = tally.SourceTally(PREDICTIONS, examples=-count, suppressed=count)
            results.append(beam.pvalue.TaggedOutput(TALLIES, tally.encode(counts)))
            if kept.num_rows:
                rows = first_rows(kept, key, (time, *key)).rows
                results.append(
                    Part(
                        "examples",
                        stream.removeprefix(_EXAMPLES),
                        number,
                        kept.drop_columns([HASH]).take(pa.array(rows)),
                    )
                )
        return iter(results)
