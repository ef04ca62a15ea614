"""The model in production, measured: statistics of each shard, and the file of the day that adds them up."""

import dataclasses
import hashlib
import itertools
import tempfile
from collections.abc import Iterable, Iterator

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from retrolabel.schemas.manifest import PartFile
from retrolabel.transforms import tally
from retrolabel.transforms.exchange import ExchangeRows, Partition, Run, given_up, runs, taken, to_ipc, together
from retrolabel.transforms.kernels.append import append
from retrolabel.transforms.kernels.engine import on_disk
from retrolabel.transforms.kernels.examples import Examples
from retrolabel.transforms.kernels.hashing import stable_hash
from retrolabel.transforms.kernels.monitor import MonitorRule, measure, merge, numbers, publishable
from retrolabel.transforms.kernels.ndcg import RANKED_ROWS, measure_ranking, measure_ranking_on_disk, ranked_rows
from retrolabel.transforms.parcel import send
from retrolabel.transforms.parts import encode
from retrolabel.transforms.plan import BuildPlan
from retrolabel.transforms.storage import join, using, write_once

RANKED = "ranked"

HELD_BYTES = 32 * 2**20
"""Rows of ranked lists that a shard may hold in memory: 1.4 million. With more, one list is most of a day, such as that of an empty query."""

_LATE = 2**62
"""A watermark by which every window has closed."""


def measured_examples(gone: pa.Table, left: Iterable[pa.Table], rule: MonitorRule) -> pa.Table:
    """The statistics of examples, all of them matured, that are no longer to count.

    Args:
        gone: the examples, with their labels.
        left: the others of the day, the columns of its queries: a query that has some of both is left as it was.
        rule: what was measured.
    """
    label = gone.column(rule.label).combine_chunks()
    everything = np.arange(gone.num_rows)
    statistics = measure(gone, everything, {rule.label: label}, None, rule, _LATE)
    if not rule.query:
        return statistics
    query = stable_hash(gone, rule.query, "query")
    shared = [np.isin(query, stable_hash(table, rule.query, "query")) for table in left]
    whole = ~np.any([np.zeros(len(query), dtype=np.bool_), *shared], axis=0)
    order = numbers(gone.column(rule.position or rule.score))
    ranked = ranked_rows(query, order if rule.position else -order, numbers(label))
    return pa.concat_tables([statistics, measure_ranking(ranked.filter(pa.array(whole)))])


def measure_shard(
    predictions: pa.Table,
    rows: npt.NDArray[np.int64],
    examples: Examples,
    rule: MonitorRule,
    watermark: int | None,
) -> tuple[pa.Table, list[Partition]]:
    """The statistics of a shard, and what is needed of its rows where lists are ranked (see `kernels/monitor.py`)."""
    statistics = measure(predictions, rows, examples.labels, examples.first.get(rule.label), rule, watermark)
    if not rule.query:
        return statistics, []
    query = stable_hash(predictions, rule.query, "query")[rows]
    order = numbers(predictions.column(rule.position or rule.score))[rows]
    mature = predictions.column(rule.time).cast(pa.int64()).to_numpy()[rows] + rule.window <= (watermark or -(2**62))
    ranked = ranked_rows(
        query, order if rule.position else -order, np.where(mature, numbers(examples.labels[rule.label]), np.nan)
    )
    return statistics, [Partition(RANKED, ranked.take(pa.array(np.argsort(query))))] if len(rows) else []


@dataclasses.dataclass(eq=False)
class MeasureRanking(beam.PTransform):
    """Brings the items of each query together, and measures how well they were ranked."""

    plan: BuildPlan

    def expand(self, ranked: beam.PCollection[Partition]) -> beam.PCollection[bytes]:
        """Gives encoded `StatisticsTally`s."""
        return (
            ranked
            | "ExchangeByQuery" >> ExchangeRows(self.plan.shards, self.plan.spill)
            | "Ndcg" >> beam.Map(_measure_queries, self.plan.spill).with_output_types(bytes)
        )


def _measure_queries(shard: tuple[int, Iterable[bytes]], spill: str | None) -> bytes:
    number, sent = shard
    coming = runs(sent)
    held, complete = taken(coming, HELD_BYTES)
    if complete:
        statistics = measure_ranking(together(held)[RANKED])
    else:
        statistics = _measure_on_disk(itertools.chain(given_up(held), coming), spill or tempfile.gettempdir())
    return tally.encode(measured_tally(number, "rank", statistics, spill))


def _measure_on_disk(rows: Iterable[Run], spill: str) -> pa.Table:
    with using(spill, "write"), tempfile.TemporaryDirectory(dir=spill) as folder, on_disk(folder) as engine:
        for _, table in rows:
            append(engine, RANKED_ROWS, table)
        return measure_ranking_on_disk(engine)


def measured_tally(shard: int, step: str, statistics: pa.Table, spill: str | None) -> tally.StatisticsTally:
    """The statistics of a shard as they travel."""
    return tally.StatisticsTally(tally.MODEL, shard, step, send(to_ipc(statistics), spill))


def store_measured(plan: BuildPlan, measured: Iterable[pa.Table]) -> Iterator[PartFile]:
    """Adds up the statistics of a day in the order given, and stores them in one file."""
    if plan.monitor is None:
        return
    merged = merge(measured)
    yield store_statistics(plan.root, plan.folder, publishable(merged, plan.monitor.model, plan.monitor.min_rows))


def store_statistics(root: str, folder: str, statistics: pa.Table) -> PartFile:
    """Stores the statistics of a day in the folder of its build, under a name that their content decides."""
    plain = [
        field.with_type(pa.string()) if pa.types.is_dictionary(field.type) else field for field in statistics.schema
    ]
    data = encode(statistics.cast(pa.schema(plain)), "parquet")
    digest = hashlib.sha256(data).hexdigest()
    path = f"{folder}/monitor-{digest[:16]}.parquet"
    write_once(join(root, path), data)
    return PartFile(
        kind="monitor", split=None, shard=0, path=path, rows=statistics.num_rows, bytes=len(data), sha256=digest
    )
