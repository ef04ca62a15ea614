"""Whether what is stored of a dataset is what was published: every file that a version lists is read, and its digest compared."""

import dataclasses
import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from retrolabel.schemas.errors import InputError, IntegrityError, StorageError
from retrolabel.schemas.manifest import DayManifest, PartFile
from retrolabel.transforms import storage
from retrolabel.transforms.dataset import read_day_manifest, read_version, record_path, version_numbers
from retrolabel.transforms.receipts import read_receipts, receipt_ids, receipt_path

_NOTHING = "nothing"

_PIECE = 2**20
"""Bytes of a file that are read at a time."""


@dataclasses.dataclass(frozen=True)
class Damage:
    """A file that is not what was published."""

    path: str
    """Relative to the dataset's folder."""
    found: str
    expected: str


@dataclasses.dataclass(frozen=True)
class Looked:
    """What came of a look at one file."""

    bytes: int
    """As published."""
    damage: Damage | None


def verify(root: str, manifest: DayManifest) -> Iterator[Damage]:
    """Reads every file of a day and tells of those that are not what the manifest says."""
    return (looked.damage for looked in _look(root, manifest) if looked.damage)


def verify_build(root: str, path: str) -> Iterator[Looked]:
    """Looks at a manifest, whose path is given, and at every file that it lists."""
    try:
        manifest = read_day_manifest(root, path)
    except (IntegrityError, StorageError) as error:
        yield Looked(0, _of_document(root, path, error, "the manifest whose digest ends its name"))
        return
    yield Looked(len(manifest.to_json().encode()), None)
    yield from _look(root, manifest)


def listed_builds(root: str, numbers: Sequence[int]) -> tuple[dict[str, list[int]], list[int], list[Damage]]:
    """The manifests that versions list.

    Args:
        root: the dataset's folder.
        numbers: of the versions; one that retention removes at the moment is left out.

    Returns:
        The path of each manifest, in order of the days, with the versions that list it; the versions that are there; and the records
        and receipts that are damaged.
    """
    builds: dict[str, list[int]] = {}
    there: list[int] = []
    damaged: list[Damage] = []
    for number in numbers:
        try:
            record = read_version(root, number)
        except InputError:
            continue
        except (IntegrityError, StorageError) as error:
            damaged.append(_of_document(root, record_path(number), error, f"the record of version {number}"))
        else:
            for path in record.days.values():
                builds.setdefault(path, []).append(number)
        there.append(number)
    for receipt in receipt_ids(root):
        try:
            read_receipts(root, [receipt])
        except (IntegrityError, StorageError) as error:
            damaged.append(_of_document(root, receipt_path(receipt), error, "the receipt whose digest is its name"))
    return dict(sorted(builds.items())), there, damaged


def is_listed(root: str, path: str, numbers: Sequence[int]) -> bool:
    """Whether one of some versions still lists a manifest: retention, or an erasure, may have taken it away meanwhile."""
    there = set(version_numbers(root))
    for number in there & set(numbers):
        try:
            if path in read_version(root, number).days.values():
                return True
        except InputError:
            continue
    return False


def is_cut(root: str, path: str) -> bool:
    """Whether a day's manifest, or one of the files that it lists, is gone or not as long as it was: found by listing, without reading."""
    try:
        manifest = read_day_manifest(root, path)
    except IntegrityError:
        return True
    folders = {
        "/".join(part.path.split("/")[:2]) for part in manifest.files
    }  # after an erasure also that of the build before
    sizes = {
        f"{folder}/{name}": size
        for folder in folders
        for name, (size, _) in storage.list_files(storage.join(root, folder)).items()
    }
    return any(sizes.get(part.path) != part.bytes for part in manifest.files)


def _look(root: str, manifest: DayManifest) -> Iterator[Looked]:
    """Looks at as many files at once as there are cores."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(lambda part: Looked(part.bytes, _damage_of(root, part)), manifest.files)


def _damage_of(root: str, part: PartFile) -> Damage | None:
    digest, size = hashlib.sha256(), 0
    try:
        for piece in storage.pieces_of(storage.join(root, part.path), _PIECE):
            size += len(piece)
            digest.update(piece)
    except FileNotFoundError:
        return Damage(part.path, _NOTHING, f"{part.bytes:,} bytes")
    except StorageError as error:
        return Damage(part.path, _refused(error), f"{part.bytes:,} bytes")
    if size != part.bytes:
        return Damage(part.path, f"{size:,} bytes", f"{part.bytes:,}")
    found = digest.hexdigest()
    return None if found == part.sha256 else Damage(part.path, f"SHA-256 {found}", part.sha256)


def _of_document(root: str, path: str, error: Exception, expected: str) -> Damage:
    """Of what could not be read as the document that it should be."""
    try:
        found = f"{len(storage.read_bytes(storage.join(root, path))):,} bytes of something else"
    except FileNotFoundError:
        found = _NOTHING
    except StorageError as refusal:
        found = _refused(refusal)
    return Damage(path, f"{found} ({error})" if "later release" in str(error) else found, expected)


def _refused(error: StorageError) -> str:
    return f"no way to read it ({str(error).partition(': ')[2]})"
