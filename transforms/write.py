"""Part files: rows, encoded once and stored under a name that their content decides."""

import dataclasses
import hashlib
from collections.abc import Iterable

import apache_beam as beam

from retrolabel.schemas.reject import REJECTS as REJECTS_SCHEMA
from retrolabel.transforms import tally
from retrolabel.transforms.exchange import ExchangeRows, Partition, restore
from retrolabel.transforms.kernels.examples import WEIGHT
from retrolabel.transforms.kernels.table_statistics import ALL_EXAMPLES, Sliced, of_split, partial_statistics
from retrolabel.transforms.kernels.table_statistics import encode as encode_statistics
from retrolabel.transforms.label import Part
from retrolabel.transforms.parallel import ParallelDo
from retrolabel.transforms.parcel import send
from retrolabel.transforms.parts import encode
from retrolabel.transforms.plan import BuildPlan
from retrolabel.transforms.progress import progress
from retrolabel.transforms.storage import join, write_once

REJECT_SHARDS = 2
"""Rejected lines are few: a build that rejects more than a little fails."""


@dataclasses.dataclass(eq=False)
class WriteParts(beam.PTransform):
    """Writes each part to its file, and tells what is in it."""

    plan: BuildPlan

    def expand(self, parts: beam.PCollection[Part]) -> beam.PCollection[bytes]:
        """Gives encoded `PartTally`s, and `StatisticsTally`s of examples: only files that are told of here can become part of a version."""
        return parts | "WriteParts" >> beam.ParDo(ParallelDo(_WritePart(self.plan))).with_output_types(bytes)


@dataclasses.dataclass(eq=False)
class WriteRejects(beam.PTransform):
    """Writes the rejected lines, in the order of file and offset."""

    plan: BuildPlan

    def expand(self, rejects: beam.PCollection[Partition]) -> beam.PCollection[bytes]:
        """Gives encoded `PartTally`s."""
        return (
            rejects
            | "ExchangeRejects" >> ExchangeRows(REJECT_SHARDS, self.plan.spill)
            | "Order" >> beam.Map(_ordered_rejects).with_output_types(Part)
            | "WriteRejected" >> WriteParts(self.plan)
        )


def _ordered_rejects(shard: tuple[int, Iterable[bytes]]) -> Part:
    (table,) = restore(shard[1]).values()
    rows = table.select(REJECTS_SCHEMA.names)
    return Part(
        "rejects",
        None,
        shard[0],
        rows.sort_by([("source", "ascending"), ("path", "ascending"), ("offset", "ascending")]),
    )


@dataclasses.dataclass(frozen=True)
class _WritePart:
    """Encodes, names and stores one part."""

    plan: BuildPlan

    def __call__(self, part: Part) -> list[bytes]:
        rejects = part.kind == "rejects"
        file_format = "parquet" if rejects else self.plan.output_format
        data = encode(part.table, file_format)
        digest = hashlib.sha256(data).hexdigest()
        of = REJECT_SHARDS if rejects else self.plan.shards
        name = f"part-{part.shard:05d}-of-{of:05d}-{digest[:16]}.{file_format}"
        path = f"{self.plan.folder}/{part.split or part.kind}/{name}"
        write_once(join(self.plan.root, path), data)
        progress.add("writing", written=part.table.num_rows, parts=1)
        told = tally.encode(
            tally.PartTally(part.kind, part.split, part.shard, path, part.table.num_rows, len(data), digest)
        )
        if rejects:
            return [told]
        statistics = send(encode_statistics(self._statistics(part)), self.plan.spill)
        described = tally.StatisticsTally(tally.EXAMPLES, part.shard, part.split or "", statistics)
        return [told, tally.encode(described)]

    def _statistics(self, part: Part) -> Sliced:
        """While the rows are in memory: reading them again would cost as much as the whole build's writing."""
        rule = self.plan.examples
        whole = of_split(part.split) if rule.split and part.split else ALL_EXAMPLES
        return partial_statistics(
            part.table, self.plan.slices, self.plan.sliced_labels, WEIGHT if rule.sampled else None, whole
        )
