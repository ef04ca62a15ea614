"""A dataset at rest, as readers see it: versions, manifests, rows."""

import dataclasses
import hashlib
import re
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds

from retrolabel.schemas.errors import InputError, IntegrityError
from retrolabel.schemas.manifest import DayManifest, PartFile, VersionRecord
from retrolabel.transforms import storage
from retrolabel.transforms.parts import decode

VERSIONS = "_versions"
_RECORD = re.compile(r"(\d{8})\.json")

_TYPES = {"string": pa.string(), "bool": pa.bool_(), "int32": pa.int32(), "int64": pa.int64(), "float": pa.float32(), "double": pa.float64(),
          "timestamp[us, tz=UTC]": pa.timestamp("us", tz="UTC")}  # fmt: skip


def record_path(version: int) -> str:
    """Where the record of a version stands, relative to the dataset's folder."""
    return f"{VERSIONS}/{version:08d}.json"


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
            raise InputError(f"{root!r} is no dataset: it has no {VERSIONS} folder with a version. Hint: name the folder of the dataset itself, "
                             f"such as datasets/shoes_ctr")  # fmt: skip
        version = numbers[-1]
    path = storage.join(root, record_path(version))
    try:
        return VersionRecord.from_json(storage.read_bytes(path), path)
    except FileNotFoundError:
        there = version_numbers(root)
        known = f"there are {there[0]} to {there[-1]}" if there else "it has none"
        raise InputError(f"{root!r} has no version {version}; {known}") from None


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


def split_name(dataset: str) -> tuple[str, int | None]:
    """Takes `datasets/shoes_ctr@7` apart."""
    root, at, version = dataset.rpartition("@")
    if not at:
        return dataset.rstrip("/"), None
    if not version.removeprefix("v").isdigit():
        raise InputError(f"{dataset!r}: expected a number after '@', as in {root}@7")
    return root.rstrip("/"), int(version.removeprefix("v"))


def example_schema(manifest: DayManifest) -> pa.Schema:
    """The Arrow schema of a day's examples."""
    return pa.schema(
        [pa.field(field["name"], _type_of(field["type"]), field["nullable"]) for field in manifest.example_schema]
    )


def _type_of(name: str) -> pa.DataType:
    listed = re.fullmatch(r"list<\w+: (.+)>", name)
    return pa.list_(_TYPES[listed[1]]) if listed else _TYPES[name]


def read_part(root: str, part: PartFile, manifest: DayManifest, columns: Sequence[str] | None = None) -> pa.Table:
    """The rows of one part file.

    Raises:
        IntegrityError: the file is missing or of another size than its manifest says.
    """
    path = storage.join(root, part.path)
    try:
        data = storage.read_bytes(path)
    except FileNotFoundError:
        raise IntegrityError(f"{path!r} is missing, though a manifest lists it") from None
    if len(data) != part.bytes:
        raise IntegrityError(f"{path!r} has {len(data):,} bytes; its manifest says {part.bytes:,}")
    return decode(data, part.path.rpartition(".")[2], example_schema(manifest), columns)


def verify(root: str, manifest: DayManifest) -> Iterator[str]:
    """Reads every file of a day and names those that are not what the manifest says."""
    for part in manifest.files:
        path = storage.join(root, part.path)
        try:
            data = storage.read_bytes(path)
        except FileNotFoundError:
            yield f"{path!r} is missing"
            continue
        if hashlib.sha256(data).hexdigest() != part.sha256:
            yield f"{path!r} differs from its SHA-256"


@dataclasses.dataclass(frozen=True)
class Loaded:
    """A pyarrow dataset with pandas' door: every attribute of `pyarrow.dataset.Dataset`, and `to_pandas`."""

    dataset: ds.Dataset
    version: int

    def to_pandas(self, **options: Any) -> Any:
        """All rows as a pandas DataFrame; options go to `pyarrow.Table.to_pandas`."""
        return self.dataset.to_table().to_pandas(**options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.dataset, name)


def load(
    path: str,
    version: int | str | None = None,
    split: str | None = None,
    date: str | None = None,
    columns: Sequence[str] | None = None,
) -> Loaded:
    """Opens a version of a dataset: the files that its manifests list, and no others.

    Args:
        path: the dataset's folder, such as `datasets/shoes_ctr`, or with a version, `datasets/shoes_ctr@7`.
        version: its number; the newest by default. Pin it for what must be repeatable.
        split: one part of it, such as `train`; all by default.
        date: one day of it, such as `2026-11-20`; all by default.
        columns: of formats other than Parquet, the columns to read; all by default.

    Returns:
        A pyarrow dataset, with `to_pandas()` beside its own methods. Parquet files are read when asked for; others at once.

    Raises:
        InputError: there is no such dataset, version, split or day.
    """
    root, named = split_name(path)
    record = read_version(root, int(str(version).removeprefix("v")) if version is not None else named)
    if date is not None and date not in record.days:
        raise InputError(f"{root}@{record.version} has no day {date}; it has {', '.join(sorted(record.days))}")
    manifests = [read_day_manifest(root, record.days[day]) for day in sorted(record.days) if date in (None, day)]
    splits = sorted({name for manifest in manifests for name in manifest.splits})
    if split is not None and split not in splits:
        raise InputError(f"{root}@{record.version} has no split {split!r}; it has {', '.join(splits)}")
    schema = pa.unify_schemas([example_schema(manifest) for manifest in manifests])
    chosen = [
        (manifest, part)
        for manifest in manifests for part in manifest.files
        if part.kind == "examples" and split in (None, part.split)
    ]  # fmt: skip
    if all(part.path.endswith(".parquet") for _, part in chosen):
        paths = [storage.join(root, part.path) for _, part in chosen]
        return Loaded(_parquet_dataset(paths, schema), record.version)
    tables = [read_part(root, part, manifest, columns) for manifest, part in chosen]
    return Loaded(ds.dataset(pa.concat_tables(tables, promote_options="default")), record.version)


def _parquet_dataset(paths: list[str], schema: pa.Schema) -> ds.Dataset:
    if not paths:
        return ds.dataset(schema.empty_table())
    if storage.is_local(paths[0]):
        return ds.dataset(paths, schema=schema, format="parquet")
    filesystem, _ = pa.fs.FileSystem.from_uri(paths[0])
    return ds.dataset(
        [path.partition("://")[2] for path in paths], schema=schema, format="parquet", filesystem=filesystem
    )
