"""The commit: a version exists when its record does, and its record is created in one step, last of all."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from retrolabel.schemas.errors import IntegrityError
from retrolabel.schemas.manifest import DayManifest, PartFile, VersionRecord
from retrolabel.transforms import storage
from retrolabel.transforms.dataset import head_version, read_day_manifest, read_part, record_path


@dataclasses.dataclass(frozen=True)
class Published:
    """What a build published, or found to be published already."""

    version: int
    parent: int | None
    is_new: bool
    changes: dict[str, Any] | None
    """How the day differs from its previous build; None for its first."""


def publish(root: str, manifest: DayManifest, folder: str) -> Published:
    """Commits a day's build as the next version of the dataset, unless the newest has it already.

    Any number of builds may do so at once: the number of a version is taken by whoever creates its record, and the others look
    again. The record of a version names the manifest of every day, so that a version is a snapshot of all days.

    Args:
        root: the dataset's folder.
        manifest: of the day; its files are stored.
        folder: of the build, relative to the root.

    Raises:
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
    while True:
        head = head_version(root)
        days = dict(head.days) if head else {}
        if head and days.get(manifest.date) == path:
            return Published(head.version, head.parent, False, None)
        before = read_day_manifest(root, days[manifest.date]) if manifest.date in days else None
        record = VersionRecord(
            dataset=manifest.dataset,
            version=head.version + 1 if head else 1,
            parent=head.version if head else None,
            date=manifest.date,
            changes=changes_between(root, before, manifest) if before else None,
            days={**days, manifest.date: path},
        )
        if storage.create_if_absent(storage.join(root, record_path(record.version)), record.to_json().encode()):
            return Published(record.version, record.parent, True, dict(record.changes) if record.changes else None)


def changes_between(root: str, before: DayManifest, after: DayManifest) -> dict[str, Any]:
    """How many examples came and went, and how many labels of those that stayed changed, and how.

    Rows stand in the order of their key's stable hash, and shard i of S holds the i-th slice of the hashes, so both builds are compared
    slice by slice in bounded memory.
    """
    slices = min(before.shards, after.shards)
    shared = [label for label in after.labels if label in before.labels]
    found: dict[str, Any] = {
        "examples_added": 0, "examples_removed": 0, "examples_kept": 0,
        "immature_before": before.accounting["predictions"].immature, "immature_now": after.accounting["predictions"].immature,
        "labels": {label: {"changed": 0, "transitions": {}} for label in shared},
    }  # fmt: skip
    for number in range(slices):
        old, new = (_slice(root, manifest, number, slices, shared) for manifest in (before, after))
        if before.key != after.key or old.num_rows == 0 or new.num_rows == 0:
            found["examples_added"] += new.num_rows
            found["examples_removed"] += old.num_rows
            continue
        both = new.join(old, after.key, join_type="inner", right_suffix=" before")
        found["examples_kept"] += both.num_rows
        found["examples_added"] += new.num_rows - both.num_rows
        found["examples_removed"] += old.num_rows - both.num_rows
        for label in shared:
            _count_transitions(both.column(f"{label} before"), both.column(label), found["labels"][label])
    for label in shared:
        found["labels"][label]["transitions"] = dict(sorted(found["labels"][label]["transitions"].items()))
    return found


def _slice(root: str, manifest: DayManifest, number: int, slices: int, labels: Sequence[str]) -> pa.Table:
    """Key and labels of the examples whose hash lies in one slice."""
    wide = manifest.shards // slices
    columns = [*manifest.key, *labels]
    tables = [
        read_part(root, part, manifest, columns)
        for part in _parts_of(manifest, range(number * wide, (number + 1) * wide))
    ]
    return pa.concat_tables(tables) if tables else pa.table({name: pa.array([], pa.null()) for name in columns})


def _parts_of(manifest: DayManifest, shards: range) -> Iterator[PartFile]:
    return (part for part in manifest.files if part.kind == "examples" and part.shard in shards)


def _count_transitions(old: pa.ChunkedArray, new: pa.ChunkedArray, found: dict[str, Any]) -> None:
    if old.type != new.type:
        old = old.cast(new.type)
    same = pc.or_(pc.fill_null(pc.equal(old, new), False), pc.and_(pc.is_null(old), pc.is_null(new)))
    differ = pc.invert(same)
    old, new = old.filter(differ), new.filter(differ)
    found["changed"] += len(new)
    for was, now in zip(old, new, strict=True):
        transition = f"{_kind(was)} -> {_kind(now)}" if _kind(was) != _kind(now) else _direction(was, now)
        found["transitions"][transition] = found["transitions"].get(transition, 0) + 1


def _kind(value: pa.Scalar) -> str:
    if not value.is_valid:
        return "unknown"
    return str(value.as_py()).lower() if pa.types.is_boolean(value.type) else "known"


def _direction(was: pa.Scalar, now: pa.Scalar) -> str:
    if pa.types.is_integer(was.type) or pa.types.is_floating(was.type):
        return "increased" if now.as_py() > was.as_py() else "decreased"
    return "another value"
