"""`retrolabel versions`: the history of a dataset."""

import datetime
import json
from typing import Any

import click

from retrolabel.pipelines.summary import balance, in_order
from retrolabel.pipelines.tell import tell
from retrolabel.schemas.manifest import VersionRecord
from retrolabel.transforms import storage
from retrolabel.transforms.dataset import (
    VERSIONS,
    read_day_manifest,
    read_version,
    record_path,
    split_name,
    version_numbers,
)


@click.command()
@click.argument("dataset")
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON a version.")
def command(dataset: str, as_json: bool) -> None:
    """List the versions of DATASET, the newest first: what each changed, and how many examples it has.

    \b
    Examples:
      retrolabel versions datasets/shoes_ctr
      retrolabel versions datasets/shoes_ctr --json
    """
    root, _ = split_name(dataset)
    read_version(root)  # says so if there is no dataset
    created = storage.list_files(storage.join(root, VERSIONS))
    numbers = version_numbers(root)
    for number in reversed(numbers):
        record = read_version(root, number)
        _, modified = created[record_path(number).partition("/")[2]]
        told = _describe(root, record, datetime.datetime.fromtimestamp(modified, datetime.UTC))
        is_first = record.parent not in numbers or record.date not in read_version(root, record.parent).days
        click.echo(json.dumps(told)) if as_json else tell(_line(told, is_first=is_first))


def _describe(root: str, record: VersionRecord, created: datetime.datetime) -> dict[str, Any]:
    manifest = read_day_manifest(root, record.days[record.date])
    rows = sum(split["rows"] for split in manifest.splits.values())
    return {
        "version": record.version, "parent": record.parent, "date": record.date, "days": len(record.days), "examples": rows,
        "immature": manifest.accounting["predictions"].immature, "splits": {name: split["rows"] for name, split in manifest.splits.items()},
        "labels": {name: split["labels"] for name, split in in_order(manifest).items()},
        "changes": record.changes, "receipt": record.receipt, "created": created.isoformat(timespec="seconds"),
    }  # fmt: skip


def _line(told: dict[str, Any], *, is_first: bool) -> str:
    part, found = next(iter(told["labels"].items()), ("", {}))
    labels = ", ".join(f"{name} {balance(label, told['splits'][part])}" for name, label in found.items())
    changes = told["changes"]
    if told["receipt"]:
        change = f"-{changes['examples_removed']:,} examples, somebody was forgotten in all versions before"
    elif changes is None:
        change = "first build of the day" if is_first else "what changed is not known: the build before is damaged"
    else:
        changed = sum(label["changed"] for label in changes["labels"].values())
        change = f"+{changes['examples_added']:,} -{changes['examples_removed']:,} examples, {changed:,} labels changed"
    moment = told["created"][:16].replace("T", " ")
    return (f"{told['version']:>6}  {told['date']}  {told['examples']:>12,} examples  {told['immature'] or 0:>9,} immature  {change};"
            f" {part}: {labels}  ({moment})")  # fmt: skip
