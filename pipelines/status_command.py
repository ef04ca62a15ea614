"""`retrolabel status`: the calendar of a dataset."""

import datetime
import json
from collections.abc import Iterator
from typing import Any

import click

from retrolabel.pipelines.run_command import parse_now
from retrolabel.schemas.errors import printable
from retrolabel.schemas.manifest import DayManifest, VersionRecord
from retrolabel.transforms import storage
from retrolabel.transforms.dataset import (
    VERSIONS,
    read_day_manifest,
    read_version,
    record_path,
    split_name,
    version_numbers,
)
from retrolabel.transforms.plan import PREDICTIONS

_ONE_DAY = datetime.timedelta(days=1)


def calendar(root: str, record: VersionRecord, now: datetime.datetime) -> Iterator[dict[str, Any]]:
    """Every day from the first to the last of a version: since which version it stands, how mature it is, what is odd, how old."""
    since = _since(root, record)
    written = storage.list_files(storage.join(root, VERSIONS))
    day, last = (datetime.date.fromisoformat(pick(record.days)) for pick in (min, max))
    while day <= last:
        date = day.isoformat()
        day += _ONE_DAY
        if date not in record.days:
            yield {"date": date, "version": None, "anomalies": ["no version holds this day"]}
            continue
        manifest = read_day_manifest(root, record.days[date])
        counts = manifest.accounting[PREDICTIONS]
        published = datetime.datetime.fromtimestamp(
            written[record_path(since[date]).rpartition("/")[2]][1], datetime.UTC
        )
        yield {
            "date": date, "version": since[date], "examples": counts.examples or 0, "immature": counts.immature or 0,
            "mature": 1 - (counts.immature or 0) / counts.unique if counts.unique else None,
            "watermarks": dict(manifest.watermarks), "anomalies": anomalies_of(manifest),
            "published": published.isoformat(timespec="seconds"), "age_seconds": round((now - published).total_seconds()),
        }  # fmt: skip


def _since(root: str, record: VersionRecord) -> dict[str, int]:
    """Of each day the oldest version, of those that are kept, in which it is as it is now."""
    since = dict.fromkeys(record.days, record.version)
    same = set(record.days)
    for number in reversed([number for number in version_numbers(root) if number < record.version]):
        days = read_version(root, number).days
        same = {day for day in same if days.get(day) == record.days[day]}
        since.update(dict.fromkeys(same, number))
    return since


def anomalies_of(manifest: DayManifest) -> list[str]:
    """What is odd about a day, in a few words each."""
    found = [] if manifest.accounting[PREDICTIONS].unique else ["no predictions"]
    for source, counts in sorted(manifest.accounting.items()):
        if counts.rejected:
            found.append(f"{source}: {counts.rejected:,} of {counts.lines:,} lines rejected")
        if counts.conflicting:
            found.append(f"{source}: {counts.conflicting:,} conflicting duplicates")
    damaged = sum(file.damaged is not None for file in manifest.inputs)
    found += [f"{damaged:,} damaged files"] if damaged else []
    return found + [
        f"{printable(told['feature'])}: {printable(told['description'])[:100]}" for told in manifest.anomalies or []
    ]


@click.command()
@click.argument("dataset")
@click.option("--last", default=31, show_default=True, help="How many days to show; 0 for all.")
@click.option("--now", callback=parse_now, help="The moment from which age is counted. Default: the clock's.")
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON a day.")
def command(dataset: str, last: int, now: datetime.datetime | None, as_json: bool) -> None:
    """Show the calendar of DATASET: of each day the version that it stands since, how mature it is, what is odd, and its age.

    What has to be built, `retrolabel run CONFIG --dry-run` says.

    \b
    Examples:
      retrolabel status datasets/shoes_ctr
      retrolabel status datasets/shoes_ctr --last 0 --json
    """
    root, version = split_name(dataset)
    record = read_version(root, version)
    days = list(calendar(root, record, now or datetime.datetime.now(datetime.UTC)))[-last:]
    if as_json:
        for day in days:
            click.echo(json.dumps(day))
        return
    span = f"{len(record.days):,} days, {min(record.days)} to {max(record.days)}" if len(record.days) != 1 else "1 day"
    click.echo(f"{record.dataset}@{record.version}: {span}\n")
    click.echo(f"  {'day':<14}  {'version':>7}  {'examples':>12}  {'mature':>7}  {'age':>5}  anomalies")
    for day in days:
        click.echo(_line(day))


def _line(day: dict[str, Any]) -> str:
    name = f"{day['date']} {datetime.date.fromisoformat(day['date']):%a}"
    told = "; ".join(day["anomalies"])
    if day["version"] is None:
        return f"  {name:<14}  {'-':>7}  {'-':>12}  {'-':>7}  {'-':>5}  {told}"
    mature = f"{day['mature']:.1%}" if day["mature"] is not None else "-"
    return f"  {name:<14}  {day['version']:>7}  {day['examples']:>12,}  {mature:>7}  {_age(day['age_seconds']):>5}  {told}".rstrip()


def _age(seconds: int) -> str:
    for unit, length in (("d", 86_400), ("h", 3600), ("m", 60)):
        if abs(seconds) >= length:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"
