"""The commit: a version exists when its record does, and its record is created in one step, last of all."""

import dataclasses
import datetime
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from retrolabel.schemas.errors import ForgottenError, IntegrityError
from retrolabel.schemas.manifest import DayManifest, VersionRecord
from retrolabel.transforms import storage
from retrolabel.transforms.dataset import (
    example_schema,
    head_version,
    read_day_manifest,
    read_part,
    read_version,
    record_path,
)
from retrolabel.transforms.receipts import receipt_ids

_BEFORE = " before"


@dataclasses.dataclass(frozen=True)
class Published:
    """What a build published, or found to be published already."""

    version: int
    parent: int | None
    is_new: bool
    changes: dict[str, Any] | None
    """How the day differs from its previous build; None for its first."""


def publish(
    root: str, manifest: DayManifest, folder: str, keep_days: int | None = None, receipts: tuple[str, ...] = ()
) -> Published:
    """Commits a day's build as the next version of the dataset, unless the newest has it already.

    Any number of builds may do so at once: the number of a version is taken by whoever creates its record, and the others look
    again. The record of a version names the manifest of every day, so that a version is a snapshot of all days.

    Args:
        root: the dataset's folder.
        manifest: of the day; its files are stored.
        folder: of the build, relative to the root.
        keep_days: how many days the version holds beside this one, counted back from the newest; all by default.
        receipts: of the people whom the build knew to be forgotten.

    Raises:
        ForgottenError: there are others by now.
        IntegrityError: a file of the manifest is not there.
    """
    sizes = {f"{folder}/{name}": size for name, (size, _) in storage.list_files(storage.join(root, folder)).items()}
    for part in manifest.files:
        if sizes.get(part.path) != part.bytes:
            raise IntegrityError(
                f"{part.path!r} was written with {part.bytes:,} bytes, but {sizes.get(part.path)} are stored"
            )
    path = f"{folder}/manifest-{manifest.digest[:16]}.json"
    storage.write_once(storage.join(root, path), manifest.to_json().encode())
    storage.settle(root, {file.rpartition("/")[0] for file in (path, *(part.path for part in manifest.files))})
    compared: dict[str, dict[str, Any]] = {}
    head = head_version(root)
    while True:
        # In this order: whoever forgets writes a receipt first, and then takes the number that this version would have.
        if receipt_ids(root) != receipts:
            raise ForgottenError("nothing was published: somebody was forgotten while this was built; build again")
        days = dict(head.days) if head else {}
        previous = days.get(manifest.date)
        if head and previous == path:
            return Published(head.version, head.parent, False, None)
        if previous and previous not in compared:  # a commit that lost the race to another day's need not compare again
            compared[previous] = changes_between(root, read_day_manifest(root, previous), manifest)
        changes = compared[previous] if previous else None
        record = VersionRecord(
            dataset=manifest.dataset,
            version=head.version + 1 if head else 1,
            parent=head.version if head else None,
            date=manifest.date,
            changes=changes,
            days=_newest({**days, manifest.date: path}, keep_days) | {manifest.date: path},
        )
        if storage.create_if_absent(storage.join(root, record_path(record.version)), record.to_json().encode()):
            return Published(record.version, record.parent, True, changes)
        head = head_version(root)
        if head is None or head.version < record.version:  # the listing lags behind; asked for by its name it is there
            head = read_version(root, record.version)


def _newest(days: dict[str, str], count: int | None) -> dict[str, str]:
    """The days that lie within so many calendar days of the newest."""
    if count is None:
        return days
    first = datetime.date.fromisoformat(max(days)) - datetime.timedelta(days=count - 1)
    return {day: path for day, path in days.items() if day >= first.isoformat()}


def changes_between(root: str, before: DayManifest, after: DayManifest) -> dict[str, Any]:
    """How many examples came and went, and how many labels of those that stayed changed, and how.

    Rows stand in the order of their key's stable hash, and shard i of S holds the i-th slice of the hashes, so both builds are
    compared slice by slice in bounded memory. Builds by different keys share no example; labels of different types are not compared.
    """
    slices = min(before.shards, after.shards)
    old_schema, new_schema = example_schema(before), example_schema(after)
    shared = [
        label
        for label in after.labels
        if label in before.labels and _type(old_schema, label) == _type(new_schema, label)
    ]
    same_key = [(name, _type(old_schema, name)) for name in before.key] == [
        (name, _type(new_schema, name)) for name in after.key
    ]
    # TFRecords keep 32 bits of a number: a change of format is no change of a label.
    rounded = any(part.path.endswith(".tfrecord") for manifest in (before, after) for part in manifest.files)
    added = removed = kept = 0
    transitions: dict[str, Counter[str]] = {label: Counter() for label in shared}
    for number in range(slices):
        old, new = (_slice(root, manifest, number, slices, shared) for manifest in (before, after))
        added, removed = added + new.num_rows, removed + old.num_rows
        if not same_key or not old.num_rows or not new.num_rows:
            continue
        both = new.join(old, after.key, join_type="inner", right_suffix=_BEFORE)
        kept += both.num_rows
        for label in shared:
            transitions[label].update(_transitions(both.column(label + _BEFORE), both.column(label), rounded))
    return {
        "examples_added": added - kept,
        "examples_removed": removed - kept,
        "examples_kept": kept,
        "immature_before": before.accounting["predictions"].immature,
        "immature_now": after.accounting["predictions"].immature,
        "labels": {
            label: {"changed": counts.total(), "transitions": dict(sorted(counts.items()))}
            for label, counts in transitions.items()
        },
    }


def _type(schema: pa.Schema, name: str) -> pa.DataType:
    return schema.field(name).type


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
