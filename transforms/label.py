"""The shards: unique predictions, the outcomes in their windows, labels."""

import contextlib
import dataclasses
import itertools
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import apache_beam as beam
import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from retrolabel.transforms import tally
from retrolabel.transforms.exchange import (
    ExchangeRows,
    Partition,
    Run,
    ShardDo,
    given_up,
    restore,
    runs,
    taken,
    together,
)
from retrolabel.transforms.kernels import attribution_on_disk
from retrolabel.transforms.kernels.append import append
from retrolabel.transforms.kernels.arrange import HASH, arrange, first_rows
from retrolabel.transforms.kernels.attribution import ROW, Attributed, AttributionRule, attribute
from retrolabel.transforms.kernels.attribution_on_disk import (
    AttributedOnDisk,
    attribute_on_disk,
    outcomes_table,
    stored_labels,
)
from retrolabel.transforms.kernels.engine import on_disk
from retrolabel.transforms.kernels.examples import make_examples
from retrolabel.transforms.monitor import RANKED, measure_shard, measured_tally
from retrolabel.transforms.parse import TALLIES
from retrolabel.transforms.plan import PREDICTIONS, RIVALS, BuildPlan
from retrolabel.transforms.progress import progress
from retrolabel.transforms.storage import using

PARTIAL = "labels of "
"""Begins the name of a stream of labels that were found by another key than the predictions' own."""

HELD_BYTES = 128 * 2**20
"""Narrow rows that a shard of another key may hold in memory, about as many bytes as a shard has text: with more, its key is hot."""

_TABLES = {PREDICTIONS: attribution_on_disk.PREDICTIONS, RIVALS: attribution_on_disk.RIVALS}

_TIME = "__prediction_time"


@dataclasses.dataclass(eq=False)
class LabelExamples(beam.PTransform):
    """Brings predictions and outcomes of equal key together, and makes examples of them."""

    plan: BuildPlan

    def expand(self, streams: Any) -> Any:
        """From PCollections of partitions and, last, the outcomes' watermarks.

        Main output: parts; `tallies`: encoded counts; `ranked`: partitions of what the model ranked.
        """
        *partitions, watermarks = streams
        return (
            tuple(partitions)
            | "ExchangeByKey" >> ExchangeRows(self.plan.shards, self.plan.spill)
            | "LabelShard"
            >> beam.ParDo(ShardDo(_LabelShard(self.plan)), beam.pvalue.AsDict(watermarks))
            .with_output_types(Part, **{TALLIES: bytes, RANKED: Partition})
            .with_outputs(TALLIES, RANKED, main="examples")
        )


@dataclasses.dataclass(frozen=True)
class Part:
    """The rows of one part file."""

    kind: str
    split: str | None
    shard: int
    table: pa.Table


class PartCoder(beam.coders.Coder):
    """Parts travel inside a stage only; should a runner cut there all the same, they travel as a partition would."""

    def encode(self, part: Part) -> bytes:
        named = f"{part.kind}\0{part.split or ''}\0{part.shard}"
        encoded: bytes = beam.coders.registry.get_coder(Partition).encode(Partition(named, part.table))
        return encoded

    def decode(self, encoded: bytes) -> Part:
        partition = beam.coders.registry.get_coder(Partition).decode(encoded)
        kind, split, shard = partition.stream.split("\0")
        return Part(kind, split or None, int(shard), partition.table)

    def estimate_size(self, part: Part) -> int:
        return int(part.table.nbytes)

    def is_deterministic(self) -> bool:
        return False


beam.coders.registry.register_coder(Part, PartCoder)


@dataclasses.dataclass(frozen=True)
class _LabelShard:
    """Labels the predictions of one shard."""

    plan: BuildPlan

    def __call__(self, shard: tuple[int, Iterable[bytes]], seen: Mapping[str, int]) -> Iterator[object]:
        number, sent = shard
        streams = restore(sent)
        tallies: list[tally.Tally] = []
        predictions = streams.get(PREDICTIONS, no_predictions(self.plan))
        unique = first_rows(predictions, self.plan.examples.key, self.plan.prediction_order)
        counted = tally.SourceTally(PREDICTIONS, duplicate=unique.duplicate, conflicting=unique.conflicting)
        tallies.append(counted)
        labels: list[pa.Table] = []
        for rule in self.plan.attributions(direct=True):
            outcomes = unique_outcomes(streams.get(rule.outcome), rule, self.plan, tallies)
            if outcomes is not None:
                sought = self._sought(predictions, unique.rows, outcomes)
                labels.extend(attribute_outcomes(sought, sought.slice(0, 0), outcomes, rule, self.plan, tallies).labels)
        for stream, partial in streams.items():
            if stream.startswith(PARTIAL):
                sought = self._sought(predictions, unique.rows, partial)
                labels.append(_with_rows(partial, sought, self.plan.examples.key))
        examples = make_examples(
            predictions.drop_columns([HASH]),
            unique.rows,
            labels,
            self.plan.examples,
            {**seen, **self.plan.complete_until},
            self.plan.label_order,
        )
        made = sum(part.num_rows for part in examples.parts.values())
        tallies.append(tally.SourceTally(PREDICTIONS, unique=len(unique.rows), examples=made, immature=examples.immature,
                                         sampled_out=examples.sampled_out))  # fmt: skip
        tallies.extend(tally.DelayTally(label, counts) for label, counts in examples.delays.items())
        progress.add("labelling", shards=1)
        ranked: list[Partition] = []
        if self.plan.monitor:
            watermark = {**seen, **self.plan.complete_until}.get(self.plan.monitor.outcome)
            measured, ranked = measure_shard(predictions, unique.rows, examples, self.plan.monitor, watermark)
            tallies.append(measured_tally(number, "label", measured, self.plan.spill))
        results: list[object] = [beam.pvalue.TaggedOutput(TALLIES, tally.encode(counted)) for counted in tallies]
        results.extend(beam.pvalue.TaggedOutput(RANKED, rows) for rows in ranked)
        results.extend(
            Part("examples", split, number, table) for split, table in examples.parts.items() if table.num_rows
        )
        return iter(results)

    def _sought(self, predictions: pa.Table, rows: npt.NDArray[np.int64], others: pa.Table) -> pa.Table:
        """The unique predictions that may have the key of one of the others: few have, and SQL need not look at the rest."""
        own = predictions.column(HASH).to_numpy()[rows]
        theirs = np.append(np.sort(others.column(HASH).to_numpy()), np.uint64(0))
        found = np.flatnonzero(theirs[np.searchsorted(theirs[:-1], own)] == own)
        key, time = self.plan.examples.key, self.plan.examples.time
        keyed = predictions.select(list(dict.fromkeys([*key, time]))).take(pa.array(rows[found]))
        return _narrow(keyed, key, time).set_column(0, ROW, pa.array(found))


def no_predictions(plan: BuildPlan) -> pa.Table:
    """The columns of predictions, as they come to a shard."""
    schema = plan.sources[PREDICTIONS].reader.contract.published.arrow_schema
    return schema.append(pa.field(HASH, pa.uint64())).empty_table()


def unique_outcomes(
    table: pa.Table | None, rule: AttributionRule, plan: BuildPlan, tallies: list[tally.Tally]
) -> pa.Table | None:
    """One row of each outcome: those without an id are one if all their fields are equal."""
    if table is None or rule.outcome in plan.ids:
        return table
    unique = first_rows(table, rule.fields, (rule.time, *rule.fields))
    tallies.append(tally.SourceTally(rule.outcome, duplicate=unique.duplicate))
    return table.take(pa.array(unique.rows))


def attribute_outcomes(
    predictions: pa.Table,
    rivals: pa.Table,
    outcomes: pa.Table,
    rule: AttributionRule,
    plan: BuildPlan,
    tallies: list[tally.Tally],
) -> Attributed:
    """Matches outcomes with predictions, and counts what became of them."""
    found = attribute(predictions, rivals, outcomes.drop_columns([HASH]), rule, plan.examples.key)
    tallies.append(tally.SourceTally(rule.outcome, unique=outcomes.num_rows, attributed=found.attributed,
                                     unattributed=found.unattributed, orphan=found.orphan))  # fmt: skip
    return found


def _narrow(predictions: pa.Table, keys: Iterable[str], time: str, start: int = 0) -> pa.Table:
    """What attribution needs of predictions: their number, time and keys."""
    rows = pa.array(np.arange(start, start + predictions.num_rows))
    columns = {ROW: rows, _TIME: predictions.column(time), **{name: predictions.column(name) for name in keys}}
    return pa.table(columns)


def _with_rows(partial: pa.Table, predictions: pa.Table, key: tuple[str, ...]) -> pa.Table:
    """Labels that came with the key of their prediction, by its number."""
    found = partial.drop_columns([HASH]).join(predictions.select([ROW, *key]), list(key), join_type="inner")
    return found.drop_columns(list(key))


@dataclasses.dataclass(eq=False)
class LabelByOtherKey(beam.PTransform):
    """Attributes outcomes that join by another key than the predictions' own; gives labels arranged by the latter.

    The predictions are made unique first, as narrow rows, so that an outcome is never counted for a second delivery. Those of the days
    around come along as rivals: under `last` and `first`, an outcome that counts for one of them counts for none of the day's.
    """

    plan: BuildPlan
    key: tuple[str, ...]
    """The predictions' fields by which these outcomes join."""

    def expand(self, streams: Any) -> Any:
        """From PCollections of partitions, rivals among them. Main output: partitions of labels; `tallies`: encoded counts."""
        sources = [rule.outcome for rule in self.plan.examples.attributions if rule.prediction_key == self.key]
        predictions = [
            partitions
            | f"Predictions{number}" >> beam.FlatMap(_NarrowPartition(self.plan)).with_output_types(Partition)
            for number, partitions in enumerate(streams)
        ]
        outcomes = [
            partitions
            | f"Outcomes{number}"
            >> beam.Filter(lambda partition: partition.stream in sources).with_output_types(Partition)
            for number, partitions in enumerate(streams)
        ]
        narrow = (
            tuple(predictions)
            | "ExchangeByOwnKey" >> ExchangeRows(self.plan.shards, self.plan.spill)
            | "KeepFirst" >> beam.ParDo(ShardDo(_KeepFirstPrediction(self.plan, self.key))).with_output_types(Partition)
        )
        return (
            (narrow, *outcomes)
            | "ExchangeByOtherKey" >> ExchangeRows(self.plan.shards, self.plan.spill)
            | "Attribute"
            >> beam.ParDo(ShardDo(_AttributeShard(self.plan, self.key)))
            .with_output_types(Partition, **{TALLIES: bytes})
            .with_outputs(TALLIES, main="labels")
        )


@dataclasses.dataclass(frozen=True)
class _NarrowPartition:
    """Predictions and rivals, without the columns that attribution does not need."""

    plan: BuildPlan

    def __call__(self, partition: Partition) -> Iterator[Partition]:
        if partition.stream in (PREDICTIONS, RIVALS):
            yield Partition(partition.stream, self.plan.narrow(partition.table))


@dataclasses.dataclass(frozen=True)
class _KeepFirstPrediction:
    """One narrow row of each prediction, arranged by the other key. A rival that is one of the day's own, delivered again, is none."""

    plan: BuildPlan
    key: tuple[str, ...]

    def __call__(self, shard: tuple[int, Iterable[bytes]]) -> list[Partition]:
        unique = {stream: self._first(table) for stream, table in restore(shard[1]).items()}
        if len(unique) == 2:
            own = list(self.plan.examples.key)
            unique[RIVALS] = unique[RIVALS].join(unique[PREDICTIONS].select(own), own, join_type="left anti")
        return [Partition(stream, arrange(table, self.key)) for stream, table in unique.items()]

    def _first(self, table: pa.Table) -> pa.Table:
        order = [name for name in self.plan.prediction_order if name in table.column_names]
        rows = first_rows(table, self.plan.examples.key, order).rows
        return table.take(pa.array(rows)).drop_columns([HASH])


@dataclasses.dataclass(frozen=True)
class _AttributeShard:
    """Attributes the outcomes of one shard of the other key."""

    plan: BuildPlan
    key: tuple[str, ...]

    def __call__(self, shard: tuple[int, Iterable[bytes]]) -> Iterator[object]:
        coming = runs(shard[1])
        held, complete = taken(coming, HELD_BYTES)
        if not complete:
            return self._on_disk(itertools.chain(given_up(held), coming))
        return iter(self._in_memory(together(held)))

    @property
    def _rules(self) -> list[AttributionRule]:
        return [rule for rule in self.plan.examples.attributions if rule.prediction_key == self.key]

    def _narrow(self, predictions: pa.Table, start: int = 0) -> pa.Table:
        return _narrow(predictions, dict.fromkeys([*self.plan.examples.key, *self.key]), self.plan.examples.time, start)

    def _in_memory(self, streams: Mapping[str, pa.Table]) -> list[object]:
        own = self.plan.examples.key
        predictions = streams.get(PREDICTIONS)
        results: list[object] = []
        tallies: list[tally.Tally] = []
        for rule in self._rules:
            outcomes = unique_outcomes(streams.get(rule.outcome), rule, self.plan, tallies)
            if outcomes is None:
                continue
            if predictions is None:
                tallies.append(tally.SourceTally(rule.outcome, unique=outcomes.num_rows, orphan=outcomes.num_rows))
                continue
            rivals = self._narrow(streams.get(RIVALS, predictions.slice(0, 0)))
            found = attribute_outcomes(self._narrow(predictions), rivals, outcomes, rule, self.plan, tallies)
            for window, labels in enumerate(found.labels):
                keyed = labels.drop_columns([ROW])
                for name in own:
                    keyed = keyed.append_column(name, pc.take(predictions.column(name), labels.column(ROW)))
                results.append(_partial(rule, window, keyed, own))
        results.extend(beam.pvalue.TaggedOutput(TALLIES, tally.encode(counted)) for counted in tallies)
        return results

    def _on_disk(self, rows: Iterable[Run]) -> Iterator[object]:
        """Computes everything, on the pool; what it returns reads the labels from disk while they are sent."""
        spill = self.plan.spill or tempfile.gettempdir()
        with contextlib.ExitStack() as closing, using(spill, "write"):
            engine = closing.enter_context(on_disk(closing.enter_context(tempfile.TemporaryDirectory(dir=spill))))
            none = self.plan.narrow(no_predictions(self.plan))
            counts: Counter[str] = Counter()
            for stream, table in itertools.chain([(PREDICTIONS, none), (RIVALS, none)], rows):
                if stream in _TABLES:
                    append(engine, _TABLES[stream], self._narrow(table, counts[stream]))
                else:
                    append(engine, outcomes_table(stream), table)
                counts[stream] += table.num_rows
            found = [
                (rule, attribute_on_disk(engine, rule, self.plan.examples.key, rule.outcome not in self.plan.ids))
                for rule in self._rules
                if rule.outcome in counts
            ]
            return self._from_disk(engine, found, closing.pop_all())

    def _from_disk(
        self,
        engine: duckdb.DuckDBPyConnection,
        found: Iterable[tuple[AttributionRule, AttributedOnDisk]],
        closing: contextlib.ExitStack,
    ) -> Iterator[object]:
        own = self.plan.examples.key
        with closing:
            for rule, attributed in found:
                counted = tally.SourceTally(rule.outcome, duplicate=attributed.duplicate, unique=attributed.unique, attributed=attributed.attributed,
                                            unattributed=attributed.unattributed, orphan=attributed.orphan)  # fmt: skip
                yield beam.pvalue.TaggedOutput(TALLIES, tally.encode(counted))
                for window, table in enumerate(attributed.tables):
                    for keyed in stored_labels(engine, table, rule, own):
                        yield _partial(rule, window, keyed, own)


def _partial(rule: AttributionRule, window: int, labels: pa.Table, own: tuple[str, ...]) -> Partition:
    """Labels on their way to their predictions."""
    return Partition(f"{PARTIAL}{rule.outcome} in window {window}", arrange(labels, own))
