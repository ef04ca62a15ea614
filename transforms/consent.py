"""Predictions whose person has consented: the log of consent, joined as of the time of each prediction."""

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
import pyarrow as pa

from retrolabel.configs.model import CONSENT
from retrolabel.transforms import tally
from retrolabel.transforms.exchange import ExchangeRows, Partition, Run, ShardDo, runs, taken, together
from retrolabel.transforms.kernels.arrange import arrange
from retrolabel.transforms.kernels.consent import (
    ConsentRule,
    Numbers,
    consented,
    count_decisions,
    decided,
    decisions_of,
)
from retrolabel.transforms.parse import TALLIES
from retrolabel.transforms.plan import PREDICTIONS, RIVALS, BuildPlan

HELD_BYTES = 256 * 2**20
"""Rows of predictions that are looked at together: one person may have made more."""


@dataclasses.dataclass(eq=False)
class KeepConsented(beam.PTransform):
    """Brings predictions and decisions of each person together, keeps the predictions that may be used, and arranges them by their key."""

    plan: BuildPlan
    rule: ConsentRule

    def expand(self, streams: Any) -> Any:
        """From PCollections of partitions of predictions, rivals and decisions, by person.

        Main output: partitions of predictions; `RIVALS`: of rivals; `tallies`: encoded counts.
        """
        return (
            streams
            | "ExchangeByPerson" >> ExchangeRows(self.plan.shards, self.plan.spill)
            | "AsOf"
            >> beam.ParDo(ShardDo(_KeepConsented(self.plan, self.rule)))
            .with_output_types(Partition, **{RIVALS: Partition, TALLIES: bytes})
            .with_outputs(RIVALS, TALLIES, main="consented")
        )


@dataclasses.dataclass(frozen=True)
class _KeepConsented:
    """Keeps the predictions of one shard that may be used."""

    plan: BuildPlan
    rule: ConsentRule

    def __call__(self, shard: tuple[int, Iterable[bytes]]) -> Iterator[object]:
        decisions = together(runs(shard[1], lambda stream: stream == CONSENT)).get(CONSENT)
        if decisions is None:
            decisions = decisions_of(self._none_of(CONSENT), self.rule)
        coming = runs(shard[1], lambda stream: stream != CONSENT)
        held, complete = taken(coming, HELD_BYTES)
        results = self._results(decisions, held, complete, coming)
        # More than should be held is read while what came of the rows before is on its way.
        return iter(list(results)) if complete else results

    def _results(self, decisions: pa.Table, held: list[Run], complete: bool, coming: Iterator[Run]) -> Iterator[object]:
        once = decided(decisions, self.rule)
        attributed: list[Numbers] = []
        known: list[Numbers] = []
        while True:
            streams = together(held)
            held.clear()
            found = consented(streams.get(PREDICTIONS, self._none_of(PREDICTIONS)), once, self.rule)
            dropped = tally.SourceTally(PREDICTIONS, no_consent=int((~found.kept).sum()), undecided=found.undecided,
                                        refused=found.refused, withdrawn=found.withdrawn)  # fmt: skip
            yield beam.pvalue.TaggedOutput(TALLIES, tally.encode(dropped))
            attributed.append(found.attributed)
            known.append(found.known)
            if found.kept.any():
                kept = streams[PREDICTIONS].filter(pa.array(found.kept))
                yield Partition(PREDICTIONS, arrange(kept, self.plan.examples.key))
            if RIVALS in streams:
                allowed = consented(streams[RIVALS], once, self.rule).kept
                rivals = arrange(streams[RIVALS].filter(pa.array(allowed)), self.plan.examples.key)
                yield beam.pvalue.TaggedOutput(RIVALS, Partition(RIVALS, rivals))
            if complete:
                break
            held, complete = taken(coming, HELD_BYTES)
        told = tally.SourceTally(
            CONSENT, **dataclasses.asdict(count_decisions(decisions.num_rows, once, attributed, known))
        )
        yield beam.pvalue.TaggedOutput(TALLIES, tally.encode(told))

    def _none_of(self, source: str) -> pa.Table:
        return self.plan.sources[source].reader.contract.published.arrow_schema.empty_table()
