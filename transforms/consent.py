"""Predictions whose person has consented: the log of consent, joined as of the time of each prediction."""

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
import pyarrow as pa

from retrolabel.configs.model import CONSENT
from retrolabel.transforms import tally
from retrolabel.transforms.exchange import ExchangeRows, Partition, ShardDo, restore
from retrolabel.transforms.kernels.arrange import arrange
from retrolabel.transforms.kernels.consent import ConsentRule, consented, decisions_of
from retrolabel.transforms.parse import TALLIES
from retrolabel.transforms.plan import PREDICTIONS, RIVALS, BuildPlan


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
        streams = restore(shard[1])
        predictions = streams.get(PREDICTIONS, self._none_of(PREDICTIONS))
        decisions = streams.get(CONSENT, decisions_of(self._none_of(CONSENT), self.rule))
        found = consented(predictions, decisions, self.rule)
        kept = predictions.filter(pa.array(found.kept))
        dropped = tally.SourceTally(PREDICTIONS, no_consent=predictions.num_rows - kept.num_rows, undecided=found.undecided,
                                    refused=found.refused, withdrawn=found.withdrawn)  # fmt: skip
        unique = found.attributed + found.unattributed + found.orphan
        decided = tally.SourceTally(CONSENT, duplicate=found.duplicate, unique=unique, attributed=found.attributed,
                                    unattributed=found.unattributed, orphan=found.orphan)  # fmt: skip
        results: list[object] = [beam.pvalue.TaggedOutput(TALLIES, tally.encode(one)) for one in (dropped, decided)]
        if kept.num_rows:
            results.append(Partition(PREDICTIONS, arrange(kept, self.plan.examples.key)))
        if RIVALS in streams:
            allowed = consented(streams[RIVALS], decisions, self.rule).kept
            rivals = arrange(streams[RIVALS].filter(pa.array(allowed)), self.plan.examples.key)
            results.append(beam.pvalue.TaggedOutput(RIVALS, Partition(RIVALS, rivals)))
        return iter(results)

    def _none_of(self, source: str) -> pa.Table:
        return self.plan.sources[source].reader.contract.published.arrow_schema.empty_table()
