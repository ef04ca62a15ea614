"""THE MAIN PATH: from raw logs to a labelled, versioned dataset.

files ── byte ranges ──► parse ──► select, arrange ──► shuffle by shard of the join key
──► dedupe, attribute, label ──► write part files ──► commit
"""

import dataclasses

import apache_beam as beam
from apache_beam.pvalue import PCollection

from retrolabel.configs.model import CONSENT
from retrolabel.transforms.anonymity import KeepAnonymous
from retrolabel.transforms.commit import CommitVersion, Watermarks
from retrolabel.transforms.compare import CompareParts
from retrolabel.transforms.consent import KeepConsented
from retrolabel.transforms.exchange import Partition
from retrolabel.transforms.label import LabelByOtherKey, LabelExamples
from retrolabel.transforms.merge import MergeShards
from retrolabel.transforms.metrics import CountMetrics
from retrolabel.transforms.monitor import RANKED, MeasureRanking
from retrolabel.transforms.parse import REJECTS, TALLIES, ParseBlocks
from retrolabel.transforms.plan import PREDICTIONS, RIVALS, BuildPlan, Input
from retrolabel.transforms.read_blocks import ReadBlocks
from retrolabel.transforms.unique import UniqueOutcomes
from retrolabel.transforms.write import WriteParts, WriteRejects


@dataclasses.dataclass(eq=False)
class BuildDataset(beam.PTransform):
    """Builds one day of a dataset and commits it as a new version."""

    plan: BuildPlan
    inputs: tuple[Input, ...]

    def expand(self, root: beam.Pipeline) -> PCollection[str]:
        """Gives one element: what was published, as JSON."""
        plan = self.plan
        blocks = root | "Read" >> ReadBlocks(plan, self.inputs)
        # A line that cannot be read costs one line, never the build.
        parsed = blocks | "Parse" >> ParseBlocks(plan)
        tallies = [parsed[TALLIES]]
        rows: PCollection[Partition] = parsed.rows
        rivals: PCollection[Partition] = parsed[RIVALS]
        streams: list[PCollection[Partition]] = []
        # What people decided about their data is asked before anything is made of it.
        if plan.consent:
            of_people, rows = _parted(rows, "Consent", (PREDICTIONS, CONSENT))
            consented = (of_people, rivals) | "KeepConsented" >> KeepConsented(plan, plan.consent)
            streams.append(consented.consented)
            rivals = consented[RIVALS]
            tallies.append(consented[TALLIES])
        # Logs are delivered at least once: an event is its id, wherever its key would send it.
        if plan.ids:
            with_id, rows = _parted(rows, "Id", tuple(plan.ids))
            once = with_id | "UniqueOutcomes" >> UniqueOutcomes(plan)
            streams.append(once.unique)
            tallies.append(once[TALLIES])
        streams.append(rows)
        # Outcomes that join by another key than the predictions' own are attributed there first, unless they count for a prediction
        # of another day; their labels join by the own key.
        partial = []
        for key in sorted({rule.prediction_key for rule in plan.attributions(direct=False)}):
            found = (*streams, rivals) | f"LabelBy_{'_'.join(key)}" >> LabelByOtherKey(plan, key)
            partial.append(found.labels)
            tallies.append(found[TALLIES])
        # No outcome yet is no negative: a label needs to know how far the outcome logs reach.
        watermarks = parsed[TALLIES] | "Watermarks" >> Watermarks()
        labelled = (*streams, *partial, watermarks) | "Label" >> LabelExamples(plan)
        examples = labelled.examples
        # Whoever is told apart by what others know of them is not in the dataset.
        if plan.anonymity:
            anonymous = examples | "KeepAnonymous" >> KeepAnonymous(plan, plan.anonymity)
            examples = anonymous.examples
            tallies.append(anonymous.tallies)
        written = examples | "Write" >> WriteParts(plan)
        # What changed since the day was last built is told with the version.
        if plan.previous:
            tallies.append(written | "Compare" >> CompareParts(plan, plan.previous))
        rejected = parsed[REJECTS] | "WriteRejects" >> WriteRejects(plan)
        if plan.monitor and plan.monitor.query:
            tallies.append(labelled[RANKED] | "MeasureRanking" >> MeasureRanking(plan))
        # Nothing is published unless every row is accounted for.
        everything = (
            (*tallies, labelled[TALLIES], written, rejected) | "Tallies" >> beam.Flatten() | "Metrics" >> CountMetrics()
        )
        # What is known of shards is merged in groups, for the commit is one place.
        return everything | "MergeShards" >> MergeShards(plan.spill) | "Commit" >> CommitVersion(plan)


def _parted(
    rows: PCollection[Partition], name: str, streams: tuple[str, ...]
) -> tuple[PCollection[Partition], PCollection[Partition]]:
    """The partitions of some streams, and the others."""
    return (
        rows | f"With{name}" >> beam.Filter(lambda part: part.stream in streams).with_output_types(Partition),
        rows | f"Without{name}" >> beam.Filter(lambda part: part.stream not in streams).with_output_types(Partition),
    )
