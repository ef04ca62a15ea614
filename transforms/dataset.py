"""A dataset at rest, as readers see it: versions, manifests, rows."""

import glob
import hashlib
import os
import re
from collections.abc import Sequence

import pyarrow as pa

from retrolabel.schemas.errors import InputError, IntegrityError
from retrolabel.schemas.manifest import DayManifest, PartFile, VersionRecord
from retrolabel.schemas.metadata_files import (
    Anomalies,
    DatasetFeatureStatisticsList,
    Schema,
    anomalies_from,
    schema_from,
    statistics_from,
)
from retrolabel.transforms import storage
from retrolabel.transforms.parts import decode

VERSIONS = "_versions"
REPORTS = "_reports"
_RECORD = re.compile(r"(\d{8})\.json")

_NAMED = 7
"""Days of a version that a message names one by one."""

_TYPES = {"string": pa.string(), "bool": pa.bool_(), "int32": pa.int32(), "int64": pa.int64(), "float": pa.float32(), "double": pa.float64(),
          "timestamp[us, tz=UTC]": pa.timestamp("us", tz="UTC")}  # fmt: skip


def record_path(version: int) -> str:
    """Where the record of a version stands, relative to the dataset's folder."""
    return f"{VERSIONS}/{version:08d}.json"


def report_path(version: int) -> str:
    """Where the report of a version stands, relative to the dataset's folder."""
    return f"{REPORTS}/{version:08d}.html"


def card_path(version: int) -> str:
    """Where the data card of a version stands, relative to the dataset's folder: who reads Croissant looks for files below its folder alone."""
    return f"croissant-{version:08d}.json"


def version_numbers(root: str) -> list[int]:
    """The numbers of all versions, ascending."""
    names = storage.list_files(storage.join(root, VERSIONS))
    return sorted(int(match[1]) for name in names if (match := _RECORD.fullmatch(name)))


def head_version(root: str) -> VersionRecord | None:
    """The newest version; None if there is none."""
    numbers = version_numbers(root)
    return read_version(root, numbers[-1]) if numbers else None


def read_version(root: str, version: int | None = None) -> VersionRecord:
    """The record of a version, by default of the newest.

    Raises:
        InputError: there is no such version, or no dataset.
    """
    if version is None:
        numbers = version_numbers(root)
        if not numbers:
            raise InputError(_no_dataset(root))
        version = numbers[-1]
    path = storage.join(root, record_path(version))
    try:
        return VersionRecord.from_json(storage.read_bytes(path), path)
    except FileNotFoundError:
        there = version_numbers(root)
        if not there:
            raise InputError(_no_dataset(root)) from None
        known = f"there are {there[0]} to {there[-1]}" if len(there) > 1 else f"there is {there[0]} alone"
        raise InputError(f"{root!r} has no version {version}; {known}") from None


def _no_dataset(root: str) -> str:
    """Says so, and what is meant perhaps: datasets below the folder, the one that it is part of, or those beside it."""
    above = os.path.dirname(root) or "."
    near = _datasets_in(root) or [folder for folder in (above,) if version_numbers(folder)] or _datasets_in(above)
    hint = (
        f"Hint: there is {', '.join(near[:5])}"
        if near
        else "Hint: name the folder of the dataset, as datasets/shoes_ctr"
    )
    return f"{root!r} is no dataset: it holds no version. {hint}"


def _datasets_in(folder: str) -> list[str]:
    if not storage.is_local(folder) or not os.path.isdir(folder):
        return []
    return [path for path in sorted(glob.glob(f"{glob.escape(folder)}/*")) if version_numbers(path)]


def days_told(record: VersionRecord) -> str:
    """The days of a version: by name, or how many there are and the first and last."""
    days = sorted(record.days)
    return ", ".join(days) if len(days) <= _NAMED else f"{len(days):,} days, {days[0]} to {days[-1]}"


def read_day_manifest(root: str, path: str) -> DayManifest:
    """The manifest of a day, checked against the digest in its name.

    Raises:
        IntegrityError: it is missing or damaged.
    """
    full = storage.join(root, path)
    try:
        text = storage.read_bytes(full)
    except FileNotFoundError:
        raise IntegrityError(f"{full!r} is missing, though a version lists it") from None
    if hashlib.sha256(text).hexdigest()[:16] != path.rpartition("-")[2].removesuffix(".json"):
        raise IntegrityError(f"{full!r} is not what it was when it was published: its digest differs from its name")
    return DayManifest.from_json(text, full)


def read_statistics(root: str, manifest: DayManifest) -> DatasetFeatureStatisticsList | None:
    """The statistics of a day: of all examples first, then of each split and slice; None for days built before there were any.

    Raises:
        IntegrityError: they are missing or damaged.
    """
    content = _metadata(root, manifest, "statistics")
    return None if content is None else statistics_from(*content)


def read_schema(root: str, manifest: DayManifest) -> Schema | None:
    """The schema of a day: the one that it was validated against, or inferred from it."""
    content = _metadata(root, manifest, "schema")
    return None if content is None else schema_from(*content)


def read_anomalies(root: str, manifest: DayManifest) -> Anomalies | None:
    """What of a day does not fit its schema; None if it was not validated."""
    content = _metadata(root, manifest, "anomalies")
    return None if content is None else anomalies_from(*content)


def _metadata(root: str, manifest: DayManifest, kind: str) -> tuple[bytes, str] | None:
    part = next((part for part in manifest.files if part.kind == kind), None)
    if part is None:
        return None
    data = part_bytes(root, part)
    if hashlib.sha256(data).hexdigest() != part.sha256:
        raise IntegrityError(f"{storage.join(root, part.path)!r} differs from its SHA-256")
    return data, part.path


def split_name(dataset: str) -> tuple[str, int | None]:
    """Takes `datasets/shoes_ctr@7` apart."""
    root, at, version = dataset.rpartition("@")
    if not at or "/" in version:
        return dataset.rstrip("/") or "/", None
    return root.rstrip("/") or "/", number_of(dataset, version)


def number_of(dataset: str, version: str) -> int:
    """The number of a version, as it stands after a dataset's name.

    Raises:
        InputError: it is none.
    """
    if not re.fullmatch(r"v?[0-9]{1,8}", version):
        raise InputError(f"{dataset!r}: expected a number after '@', as in {dataset.rpartition('@')[0] or dataset}@7")
    return int(version.removeprefix("v"))


def example_schema(manifest: DayManifest) -> pa.Schema:
    """The Arrow schema of a day's examples.

    Raises:
        IntegrityError: the manifest has a type that this release does not know.
    """
    try:
        return pa.schema(
            [pa.field(field["name"], _type_of(field["type"]), field["nullable"]) for field in manifest.example_schema]
        )
    except (KeyError, TypeError):
        raise IntegrityError(f"the manifest of {manifest.date} has a column of an unknown type") from None


def _type_of(name: str) -> pa.DataType:
    listed = re.fullmatch(r"list<\w+: (.+)>", name)
    return pa.list_(_TYPES[listed[1]]) if listed else _TYPES[name]


def read_part(root: str, part: PartFile, manifest: DayManifest, columns: Sequence[str] | None = None) -> pa.Table:
    """The rows of one part file.

    Raises:
        IntegrityError: the file is missing, damaged, or of another size than its manifest says.
    """
    data, schema = part_bytes(root, part), example_schema(manifest)
    try:
        return decode(data, part.path.rpartition(".")[2], schema, columns)
    except IntegrityError as error:
        raise IntegrityError(f"{storage.join(root, part.path)!r}: {error}") from None


def part_bytes(root: str, part: PartFile) -> bytes:
    """The content of one file of a build.

    Raises:
        IntegrityError: the file is missing or of another size than its manifest says.
    """
    path = storage.join(root, part.path)
    try:
        data = storage.read_bytes(path)
    except FileNotFoundError:
        raise IntegrityError(
            f"{path!r} is missing, though a manifest lists it. Was somebody forgotten meanwhile? Open the version again"
        ) from None
    if len(data) != part.bytes:
        raise IntegrityError(f"{path!r} has {len(data):,} bytes; its manifest says {part.bytes:,}")
    return data


def common_schema(name: str, manifests: Sequence[DayManifest]) -> pa.Schema:
    """Of all days: columns that a day lacks are null there."""
    try:
        return pa.unify_schemas([example_schema(manifest) for manifest in manifests])
    except pa.ArrowTypeError as error:
        raise InputError(
            f"the days of {name} were built with different column types ({error}); load them by date"
        ) from None
