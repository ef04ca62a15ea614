"""The commit: a version exists when its record does, and its record is created in one step, last of all."""

import dataclasses
import datetime
from collections.abc import Mapping
from typing import Any

from retrolabel.schemas.errors import ForgottenError, IntegrityError
from retrolabel.schemas.manifest import DayManifest, VersionRecord
from retrolabel.transforms import storage
from retrolabel.transforms.dataset import head_version, read_day_manifest, read_version, record_path
from retrolabel.transforms.receipts import receipt_ids


@dataclasses.dataclass(frozen=True)
class Published:
    """What a build published, or found to be published already."""

    version: int
    parent: int | None
    is_new: bool
    changes: dict[str, Any] | None
    """How the day differs from its previous build; None for its first, and if that is damaged."""


def publish(
    root: str,
    manifest: DayManifest,
    folder: str,
    keep_days: int | None = None,
    receipts: tuple[str, ...] = (),
    changes: Mapping[str, dict[str, Any]] | None = None,
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
        changes: what is known of how the day differs from builds before, by the paths of their manifests.

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
    compared: dict[str, dict[str, Any] | None] = dict(changes or {})
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
            from retrolabel.transforms.compare import changes_between  # imports Beam, which `Published` needs not

            try:
                compared[previous] = changes_between(root, previous, read_day_manifest(root, previous), manifest)
            except IntegrityError:  # what is damaged must not keep what is sound from being published
                compared[previous] = None
        changed = compared[previous] if previous else None
        record = VersionRecord(
            dataset=manifest.dataset,
            version=head.version + 1 if head else 1,
            parent=head.version if head else None,
            date=manifest.date,
            changes=changed,
            days=_newest({**days, manifest.date: path}, keep_days) | {manifest.date: path},
        )
        if storage.create_if_absent(storage.join(root, record_path(record.version)), record.to_json().encode()):
            return Published(record.version, record.parent, True, changed)
        head = head_version(root)
        if head is None or head.version < record.version:  # the listing lags behind; asked for by its name it is there
            head = read_version(root, record.version)


def _newest(days: dict[str, str], count: int | None) -> dict[str, str]:
    """The days that lie within so many calendar days of the newest."""
    if count is None:
        return days
    first = datetime.date.fromisoformat(max(days)) - datetime.timedelta(days=count - 1)
    return {day: path for day, path in days.items() if day >= first.isoformat()}
