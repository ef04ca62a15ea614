"""`retrolabel rejects`: the lines that could not become rows."""

import heapq
import json
from collections.abc import Iterator
from typing import Any

import click
import pyarrow as pa
import pyarrow.parquet as pq

from retrolabel.schemas.errors import nearest_name, printable
from retrolabel.schemas.manifest import DayManifest
from retrolabel.schemas.reject import Reason
from retrolabel.transforms.dataset import days_told, part_bytes, read_day_manifest, read_version, split_name


@click.command()
@click.argument("dataset")
@click.option("--date", help="The day. Default: the one that the version changed.")
@click.option("--source", help="Of one source alone.")
@click.option("--reason", help="Of one reason alone, such as wrong_type.")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="How many to show.")
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON a reject.")
def command(dataset: str, date: str | None, source: str | None, reason: str | None, limit: int, as_json: bool) -> None:
    """List the rejected lines of DATASET, or DATASET@VERSION: file, byte offset, reason, and the line.

    \b
    Examples:
      retrolabel rejects datasets/shoes_ctr
      retrolabel rejects datasets/shoes_ctr@7 --source click --reason wrong_type --limit 5
      retrolabel rejects datasets/shoes_ctr --json --limit 100000 > rejects.jsonl
    """
    root, version = split_name(dataset)
    record = read_version(root, version)
    day = date or record.date
    if day not in record.days:
        raise click.UsageError(f"version {record.version} has no day {day}; it has {days_told(record)}")
    manifest = read_day_manifest(root, record.days[day])
    if source is not None and source not in manifest.accounting:
        raise click.UsageError(f"no source is called {source!r}. {nearest_name(source, manifest.accounting)}")
    if reason is not None and reason not in (reasons := [one.value for one in Reason]):
        raise click.UsageError(f"no reason is called {reason!r}. {nearest_name(reason, reasons)}")
    found = 0
    for reject in rejects_of(root, manifest):
        if source not in (None, reject["source"]) or reason not in (None, reject["reason"]):
            continue
        found += 1
        if found > limit:
            click.echo(f"… and more; --limit {limit * 10} shows them", err=True)
            return
        click.echo(json.dumps(reject) if as_json else _told(reject))
    if not found:
        click.echo("no rejected lines", err=True)


def rejects_of(root: str, manifest: DayManifest) -> Iterator[dict[str, Any]]:
    """The rejected lines of a day's build, by source, file and offset.

    Raises:
        IntegrityError: a file of them is not there, or not as it was written.
    """
    parts = [_rows(part_bytes(root, part)) for part in manifest.files if part.kind == "rejects"]
    for row in heapq.merge(*parts, key=lambda row: (row["source"], row["path"], row["offset"])):
        line = row["line"]
        yield {**row, "line": line.decode("utf-8", "backslashreplace") if line is not None else None}


def _rows(data: bytes) -> Iterator[dict[str, Any]]:
    for batch in pq.ParquetFile(pa.BufferReader(data)).iter_batches(1024):
        yield from batch.to_pylist()


def _told(reject: dict[str, Any]) -> str:
    line = (
        "(not kept)"
        if reject["line"] is None
        else printable(reject["line"][:200]) + ("…" if len(reject["line"]) > 200 else "")
    )
    place = f"{reject['path']} at byte {reject['offset']:,}"
    told = f"{reject['source']}: {reject['reason']}: {place}: {reject['detail']}"
    return f"{printable(told)}\n    {line}"
