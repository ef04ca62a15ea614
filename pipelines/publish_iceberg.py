"""Apache Iceberg: a table over the files of the newest version, for everything that reads Iceberg."""

import datetime
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from retrolabel.configs.load import Project
from retrolabel.schemas.errors import HookError
from retrolabel.schemas.manifest import DayManifest, PartFile, VersionRecord
from retrolabel.transforms import storage
from retrolabel.transforms.dataset import common_schema, read_day_manifest, read_version, version_numbers

if TYPE_CHECKING:
    from pyiceberg.table import Table, Transaction

DATE, SPLIT = "dataset_date", "split"
"""Columns that the files lack: Iceberg reads them from the partition that a file is in."""

VERSION = "retrolabel.version"
"""The property of a snapshot that says which version it is."""


def register_version(project: Project, record: VersionRecord, manifest: DayManifest) -> None:
    """Makes the table hold exactly a version's files, in one snapshot, and tags it with the day that the version changed.

    The table is partitioned by day and split. A version that it holds already, or an older one, changes nothing.

    Raises:
        HookError: PyIceberg is not installed, or the catalog refuses.
    """
    try:
        from pyiceberg.exceptions import NoSuchTableError  # noqa: F401 - asks whether it is installed
    except ImportError:
        raise HookError("PyIceberg is not installed: pip install 'retrolabel[iceberg]'") from None
    try:
        table = _table(project, record)
        if _version_of(table) < record.version:
            with table.transaction() as transaction:
                _put_files(transaction, table, project.root, record, manifest)
        table = table.refresh()
        if _version_of(table) == record.version:
            table.manage_snapshots().create_tag(_snapshot_id(table), record.date).commit()
        _expire(table, project.root)
    except HookError:
        raise
    except Exception as error:  # noqa: BLE001 - every catalog has errors of its own
        raise HookError(f"{type(error).__name__}: {str(error)[:300]}") from None


def _table(project: Project, record: VersionRecord) -> "Table":
    """The table, made or widened so that it has every column of a version."""
    from pyiceberg.catalog import load_catalog

    iceberg = project.config.on_publish.iceberg
    assert iceberg is not None
    properties = dict(iceberg.catalog or _beside(project))
    catalog = load_catalog(properties.pop("name", "retrolabel"), **properties)
    manifests = [read_day_manifest(project.root, path) for path in record.days.values()]
    columns = common_schema(project.root, manifests)
    if DATE in columns.names:
        raise HookError(f"the examples have a column {DATE!r} already; rename it in the contract")
    schema = pa.schema(
        [pa.field(DATE, pa.date32()), pa.field(SPLIT, pa.string()), *(field.with_nullable(True) for field in columns)]
    )
    if not catalog.table_exists(iceberg.table):
        catalog.create_namespace_if_not_exists(iceberg.table.rpartition(".")[0])
        table = catalog.create_table(iceberg.table, schema=schema)
        with table.update_spec() as spec:
            spec.add_identity(DATE)
            spec.add_identity(SPLIT)
        return catalog.load_table(iceberg.table)
    table = catalog.load_table(iceberg.table)
    with table.update_schema() as update:
        update.union_by_name(schema)
    return table.refresh()


def _beside(project: Project) -> dict[str, str]:
    """The default catalog: SQLite, in a folder beside the datasets."""
    folder = project.resolve(project.config.output.path)
    if not storage.is_local(folder):
        raise HookError(
            "an embedded catalog needs a local folder; name one under `on_publish.iceberg.catalog`, such as {type: rest, uri: …}"
        )
    folder = os.path.join(os.path.abspath(folder), "_iceberg")
    os.makedirs(folder, exist_ok=True)
    return {"type": "sql", "uri": f"sqlite:///{folder}/catalog.db", "warehouse": f"file://{folder}"}


def _put_files(
    transaction: "Transaction", table: "Table", root: str, record: VersionRecord, manifest: DayManifest
) -> None:
    from pyiceberg.io.pyarrow import parquet_file_to_data_file
    from pyiceberg.table import TableProperties
    from pyiceberg.typedef import Record

    names = transaction.table_metadata.schema().name_mapping.model_dump_json()
    transaction.set_properties({TableProperties.DEFAULT_NAME_MAPPING: names})
    there = {task.file.file_path: task.file for task in table.scan().plan_files()}
    wanted = {_url(root, part.path): (date, part) for date, part in _parts(root, record)}
    properties = {
        VERSION: str(record.version),
        "retrolabel.date": record.date,
        "retrolabel.manifest-sha256": manifest.digest,
    }
    with transaction.update_snapshot(snapshot_properties=properties).overwrite() as snapshot:
        for path in there.keys() - wanted.keys():
            snapshot.delete_data_file(there[path])
        for path, (date, part) in wanted.items():
            if path not in there:
                file = parquet_file_to_data_file(table.io, transaction.table_metadata, path)
                file[3] = Record(
                    (datetime.date.fromisoformat(date) - datetime.date(1970, 1, 1)).days, part.split
                )  # its partition
                snapshot.append_data_file(file)


def _parts(root: str, record: VersionRecord) -> Iterator[tuple[str, PartFile]]:
    for date, path in sorted(record.days.items()):
        for part in read_day_manifest(root, path).files:
            if part.kind == "examples":
                yield date, part


def _url(root: str, path: str) -> str:
    return f"file://{os.path.abspath(root)}/{path}" if storage.is_local(root) else storage.join(root, path)


def _version_of(table: "Table") -> int:
    snapshot = table.current_snapshot()
    return int(snapshot.summary.additional_properties.get(VERSION, 0)) if snapshot and snapshot.summary else 0


def _snapshot_id(table: Any) -> int:
    return int(table.current_snapshot().snapshot_id)


def _expire(table: "Table", root: str) -> None:
    """Forgets the snapshots, and their tags, of versions that retention has removed or that were made to forget somebody: their files are gone."""
    numbers = version_numbers(root)
    made = (number for number in numbers if number <= _version_of(table) and read_version(root, number).receipt)
    cleared = max(made, default=0)
    kept = {str(number) for number in numbers if number >= cleared}
    gone = {
        snapshot.snapshot_id
        for snapshot in table.snapshots()
        if snapshot.summary and snapshot.summary.additional_properties.get(VERSION) not in kept
    }
    if not gone:
        return
    if tags := [name for name, reference in table.refs().items() if reference.snapshot_id in gone]:
        with table.manage_snapshots() as changes:
            for tag in tags:
                changes.remove_tag(tag)
    table.refresh().maintenance.expire_snapshots().by_ids(sorted(gone)).commit()
