"""From blocks of lines to the rows that take part in the build."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc

from retrolabel.configs.model import CONSENT
from retrolabel.schemas.errors import ConfigError
from retrolabel.transforms import tally
from retrolabel.transforms.exchange import Partition
from retrolabel.transforms.kernels.arrange import arrange
from retrolabel.transforms.kernels.consent import decisions_of
from retrolabel.transforms.kernels.forgotten import forgotten_rows
from retrolabel.transforms.kernels.lines import Block
from retrolabel.transforms.kernels.protect import protect
from retrolabel.transforms.kernels.select import select
from retrolabel.transforms.parallel import ParallelDo
from retrolabel.transforms.plan import RIVALS, BuildPlan, SourcePlan
from retrolabel.transforms.progress import progress
from retrolabel.transforms.small_files import parse_together

REJECTS, TALLIES = "rejects", "tallies"


@dataclasses.dataclass(eq=False)
class ParseBlocks(beam.PTransform):
    """Parses blocks, selects the rows in range, treats the personal data in them, and arranges them for the shuffle; rejects and counts go aside."""

    plan: BuildPlan

    def expand(self, blocks: beam.PCollection[tuple[Block, ...]]) -> Any:
        """Main output: partitions of rows; `RIVALS`: narrow ones of predictions; `rejects`: of rejected lines; `tallies`: encoded counts."""
        return blocks | "ParseBlocks" >> beam.ParDo(ParallelDo(_ParseBlock(self.plan))).with_output_types(
            Partition, **{RIVALS: Partition, REJECTS: Partition, TALLIES: bytes}
        ).with_outputs(RIVALS, REJECTS, TALLIES, main="rows")


@dataclasses.dataclass(frozen=True)
class _ParseBlock:
    """Parses one block, or those of several small files at once."""

    plan: BuildPlan

    def __call__(self, blocks: tuple[Block, ...]) -> Iterator[object]:
        name = blocks[0].source
        source = self.plan.sources[name]
        parsed, lines = parse_together(blocks, source.reader)
        try:
            selected = select(parsed.table, source.selection)
        except ConfigError as error:
            raise ConfigError(f"{source.place}: {error}") from None
        known = _without_forgotten(selected.kept, source)
        kept = self._protected(known, source)
        if self.plan.consent and name == CONSENT:
            kept = decisions_of(kept, self.plan.consent)
        counted = count_blocks(blocks, lines, parsed.blank, parsed.rejects, selected.filtered, selected.out_of_range,
                              kept.num_rows, selected.no_consent, selected.kept.num_rows - known.num_rows, selected.latest)  # fmt: skip
        progress.add("reading", lines=parsed.lines, rejected=parsed.rejects.num_rows)
        results: list[object] = [beam.pvalue.TaggedOutput(TALLIES, tally.encode(counted))]
        if kept.num_rows:
            results.append(Partition(name, arrange(kept, source.hash_by)))
        if selected.around.num_rows:
            rivals = self.plan.narrow(self._protected(_without_forgotten(selected.around, source), source))
            results.append(beam.pvalue.TaggedOutput(RIVALS, Partition(RIVALS, arrange(rivals, source.hash_by))))
        if parsed.rejects.num_rows:
            rejects = arrange(parsed.rejects, ("path", "offset"))
            results.append(beam.pvalue.TaggedOutput(REJECTS, Partition(REJECTS, rejects)))
        return iter(results)

    def _protected(self, rows: pa.Table, source: SourcePlan) -> pa.Table:
        return protect(rows, source.reader.contract, self.plan.key.read() if self.plan.key else b"")


def _without_forgotten(table: pa.Table, source: SourcePlan) -> pa.Table:
    """The rows of people who were not forgotten: looked at in the clear, before their personal data is treated."""
    for place, sought in source.forgotten:
        rows = forgotten_rows(table, sought, place.read())
        if rows.any():
            table = table.filter(pa.array(~rows))
    return table


def count_blocks(
    blocks: Sequence[Block],
    lines: Sequence[int],
    blank: int,
    rejects: pa.Table,
    filtered: int,
    out_of_range: int,
    kept: int,
    no_consent: int,
    forgotten: int,
    latest: int | None,
) -> tally.BlockTally:
    """Counts what became of the lines of blocks parsed together, with the first rejected line of each reason as its example."""
    reasons = {
        entry["values"]: entry["counts"]
        for entry in pc.value_counts(rejects.column("reason").combine_chunks()).to_pylist()
    }
    reason_column = rejects.column("reason")
    examples = []
    for reason in reasons:
        first = pc.index(reason_column, reason).as_py()
        path, offset, detail = (rejects.column(name)[first].as_py() for name in ("path", "offset", "detail"))
        examples.append((reason, path, offset, detail))
    stretches = [
        tally.StretchTally(block.path, count, block.raw_offset, block.raw_bytes, block.crc32c, block.damaged)
        for block, count in zip(blocks, lines, strict=True)
    ]
    return tally.BlockTally(
        blocks[0].source, stretches, sum(lines), blank, reasons, filtered, out_of_range, kept, no_consent, forgotten, latest, examples,
    )  # fmt: skip
