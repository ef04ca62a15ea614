"""How a day differs from its previous build: examples of equal key are compared, a slice of the keys at a time."""

import dataclasses
import functools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc

from retrolabel.schemas.errors import RetrolabelError
from retrolabel.schemas.manifest import DayManifest
from retrolabel.transforms import tally
from retrolabel.transforms.dataset import example_schema, read_day_manifest, read_part
from retrolabel.transforms.parallel import ParallelDo
from retrolabel.transforms.plan import BuildPlan

_BEFORE = " before"

Slice = tuple[int, Iterable[bytes]]
"""The number of a slice of the keys' hashes, and encoded `PartTally`s of the parts with its examples."""


@dataclasses.dataclass(eq=False)
class CompareParts(beam.PTransform):
    """Compares what was written with the build that the plan calls the previous one, as long as that one can be read."""

    plan: BuildPlan
    previous: str
    """The path of its manifest, relative to the root."""

    def expand(self, written: beam.PCollection[bytes]) -> beam.PCollection[bytes]:
        """From encoded tallies of parts. Gives encoded `ComparedTally`s."""
        return (
            written
            | "BySlice" >> beam.FlatMap(self._by_slice).with_output_types(tuple[int, bytes])
            | "Slices" >> beam.GroupByKey()
            | "CompareSlice" >> beam.ParDo(ParallelDo(self._compare)).with_output_types(bytes)
        )

    def _by_slice(self, encoded: bytes) -> Iterator[tuple[int, bytes]]:
        part = tally.decode(encoded)
        if isinstance(part, tally.PartTally) and part.kind == "examples":
            before = _read(self.plan.root, self.previous)
            if before is not None:
                yield part.shard // (self.plan.shards // slices_of(before, self.plan.shards)), encoded

    def _compare(self, parts: Slice) -> list[bytes]:
        number, encoded = parts
        before = _read(self.plan.root, self.previous)
        files = [one.as_file() for one in map(tally.decode, encoded) if isinstance(one, tally.PartTally)]
        after = DayManifest.model_construct(**self.plan.manifest, shards=self.plan.shards, files=files)
        try:
            return [tally.encode(compare_slice(self.plan.root, self.previous, before, after, number))] if before else []
        except (RetrolabelError, OSError):  # gone meanwhile: the commit compares with what is there then
            return []


def _read(root: str, path: str) -> DayManifest | None:
    """None if it is gone."""
    try:
        return _read_once(root, path)
    except (RetrolabelError, OSError):
        return None


_read_once = functools.lru_cache(maxsize=1)(read_day_manifest)


def slices_of(before: DayManifest, shards: int) -> int:
    """How many slices of the hashes are whole shards of both builds: shard i of S holds the i-th of S."""
    return min(before.shards, shards)


def compare_slice(
    root: str, previous: str, before: DayManifest, after: DayManifest, number: int
) -> tally.ComparedTally:
    """Compares the examples whose keys lie in one slice.

    Args:
        root: the dataset's folder.
        previous: the path of the manifest of the build before.
        before: that manifest.
        after: of the new build, as far as its parts go.
        number: of the slice.
    """
    labels, slices = _shared_labels(before, after), slices_of(before, after.shards)
    old, new = (_slice(root, manifest, number, slices, labels) for manifest in (before, after))
    if not _same_key(before, after) or not old.num_rows or not new.num_rows:
        return tally.ComparedTally(previous, number, 0, {})
    # TFRecords keep 32 bits of a number: a change of format is no change of a label.
    rounded = any(part.path.endswith(".tfrecord") for manifest in (before, after) for part in manifest.files)
    both = new.join(old, after.key, join_type="inner", right_suffix=_BEFORE)
    transitions = {label: _transitions(both.column(label + _BEFORE), both.column(label), rounded) for label in labels}
    return tally.ComparedTally(previous, number, both.num_rows, transitions)


def changes_between(root: str, previous: str, before: DayManifest, after: DayManifest) -> dict[str, Any]:
    """Compares all slices here, one after another, in bounded memory; see `changes_of`."""
    numbers = range(slices_of(before, after.shards))
    return changes_of(before, after, [compare_slice(root, previous, before, after, number) for number in numbers])


def changes_compared(root: str, after: DayManifest, tallies: Iterable[tally.Tally]) -> dict[str, dict[str, Any]]:
    """By the path of the previous build's manifest, what `CompareParts` found to be changed; nothing unless it saw all."""
    compared = [one for one in tallies if isinstance(one, tally.ComparedTally)]
    previous = compared[0].previous if compared else ""
    before = _read(root, previous) if previous else None
    if before is None:
        return {}
    wide = after.shards // slices_of(before, after.shards)
    wanted = {part.shard // wide for part in after.files if part.kind == "examples"}
    whole = wanted == {one.number for one in compared}
    return {previous: changes_of(before, after, compared)} if whole else {}


def changes_of(before: DayManifest, after: DayManifest, slices: Sequence[tally.ComparedTally]) -> dict[str, Any]:
    """How many examples came and went, and how many labels of those that stayed changed, and how.

    Builds by different keys share no example; labels of different types are not compared.
    """
    kept = sum(one.kept for one in slices)
    transitions: dict[str, Counter[str]] = {label: Counter() for label in _shared_labels(before, after)}
    for one in slices:
        for label, counts in one.transitions.items():
            transitions[label].update(counts)
    rows = [sum(part.rows for part in day.files if part.kind == "examples") for day in (before, after)]
    return {
        "examples_added": rows[1] - kept,
        "examples_removed": rows[0] - kept,
        "examples_kept": kept,
        "immature_before": before.accounting["predictions"].immature,
        "immature_now": after.accounting["predictions"].immature,
        "labels": {
            label: {"changed": counts.total(), "transitions": dict(sorted(counts.items()))}
            for label, counts in transitions.items()
        },
    }


def _shared_labels(before: DayManifest, after: DayManifest) -> list[str]:
    old, new = example_schema(before), example_schema(after)
    return [
        label for label in after.labels if label in before.labels and old.field(label).type == new.field(label).type
    ]


def _same_key(before: DayManifest, after: DayManifest) -> bool:
    old, new = example_schema(before), example_schema(after)
    return before.key == after.key and all(old.field(name).type == new.field(name).type for name in after.key)


def _slice(root: str, manifest: DayManifest, number: int, slices: int, labels: Sequence[str]) -> pa.Table:
    """Key and labels of the examples whose hash lies in one slice, of all splits."""
    wide = manifest.shards // slices
    shards = range(number * wide, (number + 1) * wide)
    columns = [*manifest.key, *labels]
    parts = [part for part in manifest.files if part.kind == "examples" and part.shard in shards]
    tables = [read_part(root, part, manifest, columns) for part in parts]
    return pa.concat_tables(tables) if tables else pa.table({name: pa.array([], pa.null()) for name in columns})


def _transitions(old: pa.ChunkedArray, new: pa.ChunkedArray, rounded: bool) -> dict[str, int]:
    """How often a label went from what to what, of those that changed; values of numbers and texts are not told."""
    if rounded and pa.types.is_float64(new.type):
        old, new = old.cast(pa.float32(), safe=False), new.cast(pa.float32(), safe=False)
    same = pc.or_(pc.fill_null(pc.equal(old, new), False), pc.and_(pc.is_null(old), pc.is_null(new)))
    old, new = old.filter(pc.invert(same)), new.filter(pc.invert(same))
    was, now = _state(old), _state(new)
    words = pc.binary_join_element_wise(was, now, " -> ")
    if pa.types.is_integer(new.type) or pa.types.is_floating(new.type):
        direction = pc.if_else(pc.fill_null(pc.greater(new, old), False), "increased", "decreased")
        words = pc.if_else(pc.equal(words, "known -> known"), direction, words)
    elif not pa.types.is_boolean(new.type):
        words = pc.if_else(pc.equal(words, "known -> known"), "another value", words)
    return {entry["values"]: entry["counts"] for entry in pc.value_counts(words).to_pylist()}


def _state(values: pa.ChunkedArray) -> pa.ChunkedArray:
    known = pc.if_else(values, "true", "false") if pa.types.is_boolean(values.type) else "known"
    return pc.if_else(pc.is_valid(values), known, "unknown")
