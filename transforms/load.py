"""A version of a dataset as a pyarrow dataset.

A file of its own, because pyarrow's datasets import pandas, which no command needs that only looks.
"""

import datetime
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.fs as fs

from retrolabel.schemas.errors import InputError
from retrolabel.transforms import storage
from retrolabel.transforms.dataset import (
    common_schema,
    days_told,
    example_schema,
    number_of,
    read_day_manifest,
    read_part,
    read_version,
    split_name,
)

if TYPE_CHECKING:
    import pandas as pd


class _Pandas:
    """The door to pandas that pyarrow's datasets lack."""

    def to_pandas(self, columns: Sequence[str] | None = None, **options: Any) -> "pd.DataFrame":
        """All rows as a pandas DataFrame.

        Args:
            columns: which; all by default.
            **options: of `pyarrow.Table.to_pandas`.
        """
        frame: pd.DataFrame = self.to_table(columns=columns).to_pandas(**options)  # type: ignore[attr-defined]
        return frame


class StoredExamples(_Pandas, ds.FileSystemDataset):
    """A pyarrow dataset over Parquet files, with `to_pandas`; rows are read when asked for."""


class LoadedExamples(_Pandas, ds.InMemoryDataset):
    """A pyarrow dataset of rows in memory, with `to_pandas`."""


Examples = StoredExamples | LoadedExamples
"""What `load` gives: a pyarrow dataset (`to_table`, `to_batches`, `scanner`, `count_rows`, `schema`, …) with `to_pandas`."""


def load(
    path: str,
    version: int | str | None = None,
    split: str | None = None,
    date: str | datetime.date | None = None,
    dates: Sequence[str | datetime.date] | None = None,
    columns: Sequence[str] | None = None,
) -> Examples:
    """Opens a version of a dataset: the files that its manifests list, and no others.

    Args:
        path: the dataset's folder, such as `datasets/shoes_ctr`, or with a version, `datasets/shoes_ctr@7`.
        version: its number; the newest by default. Pin it for what must be repeatable.
        split: one part of it, such as `train`; all by default.
        date: one day of it, such as `"2026-11-20"` or a `datetime.date`; all by default.
        dates: several days of it.
        columns: of formats other than Parquet, the columns to read; all by default.

    Returns:
        A pyarrow dataset, with `to_pandas()` beside its own methods. Parquet files are read when asked for; others at once.

    Raises:
        InputError: there is no such dataset, version, split or day, or its days do not fit together.
        IntegrityError: a manifest or file is not what it was when it was published.
    """
    root, named = split_name(path)
    record = read_version(root, number_of(f"{root}@{version}", str(version)) if version is not None else named)
    wanted_days = dates if date is None else [date]
    days = sorted(record.days if wanted_days is None else set(map(str, wanted_days)))
    if missing := [day for day in days if day not in record.days]:
        raise InputError(f"{root}@{record.version} has no day {missing[0]}; it has {days_told(record)}")
    manifests = [read_day_manifest(root, record.days[day]) for day in days]
    splits = sorted({name for manifest in manifests for name in manifest.splits})
    if split is not None and split not in splits:
        raise InputError(f"{root}@{record.version} has no split {split!r}; it has {', '.join(splits)}")
    lacking = [manifest for manifest in manifests if split is not None and split not in manifest.splits]
    if lacking:
        left = [manifest.date for manifest in manifests if manifest not in lacking]
        raise InputError(
            f"{root}@{record.version}: {lacking[0].date} has no split {split!r}, it has {', '.join(lacking[0].splits)}"
            f"{f', nor have {len(lacking) - 1:,} days more' if len(lacking) > 1 else ''}. Build it again with the config of the others, or "
            f"name the days to load: dates={left if len(left) < 4 else f'[{left[0]!r}, …, {left[-1]!r}]'}"
        )
    schema = common_schema(f"{root}@{record.version}", manifests)
    chosen = [
        (manifest, part)
        for manifest in manifests
        for part in manifest.files
        if part.kind == "examples" and split in (None, part.split)
    ]
    filesystem = _arrow_filesystem(root)
    if filesystem and all(part.path.endswith(".parquet") for _, part in chosen):
        return _stored([storage.join(root, part.path) for _, part in chosen], schema, filesystem)
    wanted = pa.schema([schema.field(name) for name in columns]) if columns is not None else schema
    tables = [
        read_part(root, part, manifest, [name for name in wanted.names if name in example_schema(manifest).names])
        for manifest, part in chosen
    ]
    return LoadedExamples(pa.concat_tables([wanted.empty_table(), *tables], promote_options="default"))


def _arrow_filesystem(root: str) -> fs.FileSystem | None:
    """Arrow's own way to a storage; None if it has none, as for Azure and for emulators of Google Cloud Storage."""
    if storage.is_local(root):
        return fs.LocalFileSystem()
    if root.startswith("gs://") and "STORAGE_EMULATOR_HOST" in os.environ:
        return None
    try:
        return fs.FileSystem.from_uri(root)[0]
    except (OSError, ValueError):
        return None


def _stored(paths: Sequence[str], schema: pa.Schema, filesystem: fs.FileSystem) -> StoredExamples:
    parquet = ds.ParquetFileFormat()
    fragments = [parquet.make_fragment(path.partition("://")[2] or path, filesystem) for path in paths]
    return StoredExamples(fragments, schema, parquet, filesystem)
