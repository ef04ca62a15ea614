"""Beam metrics, by which an engine shows how far a build is: the numbers of the accounting, under stable names.

The steps work on threads of their own, where Beam sees no metrics; their tallies come by here on a thread of Beam's.
"""

import dataclasses

import apache_beam as beam
from apache_beam.metrics import Metrics

from retrolabel.transforms import tally

NAMESPACE = "retrolabel"


@dataclasses.dataclass(eq=False)
class CountMetrics(beam.PTransform):
    """Adds what tallies tell to Beam's counters and distributions, and passes them on."""

    def expand(self, tallies: beam.PCollection[bytes]) -> beam.PCollection[bytes]:
        """Gives the same encoded tallies."""
        return tallies | "Count" >> beam.Map(_count).with_output_types(bytes)


def _count(encoded: bytes) -> bytes:
    counted = tally.decode(encoded)
    if isinstance(counted, tally.BlockTally):
        source = counted.source
        _add(f"lines_{source}", counted.lines)
        _add(f"rejected_{source}", sum(counted.reasons.values()))
        _add(f"rows_{source}", counted.kept)
        size = sum(stretch.raw_bytes for stretch in counted.stretches)
        _add(f"bytes_{source}", size)
        Metrics.distribution(NAMESPACE, f"block_bytes_{source}").update(size)
    elif isinstance(counted, tally.PartTally):
        _add(f"{counted.kind}_written", counted.rows)
        Metrics.distribution(NAMESPACE, "part_bytes").update(counted.size)
    elif isinstance(counted, tally.SourceTally):
        for name in ("duplicate", "immature", "orphan"):
            _add(f"{name}_{counted.source}", getattr(counted, name))
    return encoded


def _add(name: str, number: int) -> None:
    if number:
        Metrics.counter(NAMESPACE, name).inc(number)
