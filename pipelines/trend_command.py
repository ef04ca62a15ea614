"""`retrolabel trend`: what changed over the days of a dataset, and since when."""

import json
from collections.abc import Sequence

import click

from retrolabel.pipelines.report.day import Day
from retrolabel.pipelines.report.html import brief
from retrolabel.pipelines.report.metrics import Watched, shown_by, watch
from retrolabel.transforms.dataset import read_version, split_name
from retrolabel.transforms.kernels.significance import ALPHA

_BARS = "▁▂▃▄▅▆▇█"


@click.command()
@click.argument("dataset")
@click.option("--days", default=28, show_default=True, type=click.IntRange(min=2), help="How many of the latest days.")
@click.option(
    "--false-alarms", default=ALPHA, show_default=True, type=click.FloatRange(0, 1, min_open=True),
    help="The share of false ones that is accepted among all changes.",
)  # fmt: skip
@click.option("--all", "everything", is_flag=True, help="Show the numbers that did not change, too.")
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON a number.")
def command(dataset: str, days: int, false_alarms: float, everything: bool, as_json: bool) -> None:
    """Show which numbers of DATASET, or DATASET@VERSION, changed over its days beyond chance, and since when.

    Watched are volumes, shares of rejected and duplicate lines, labels, missing values and means of columns, and, where builds
    made statistics, the shares of frequent values and the labels of slices. docs/report.md says how a change is told from chance.

    \b
    Examples:
      retrolabel trend datasets/shoes_ctr
      retrolabel trend datasets/shoes_ctr --days 90 --all
      retrolabel trend datasets/shoes_ctr --json | jq 'select(.changes != [])'
    """
    root, version = split_name(dataset)
    record = read_version(root, version)
    chosen = sorted(record.days)[-days:]
    watched = watch([Day(root, record.days[day], day) for day in chosen], false_alarms)
    if as_json:
        for number in watched:
            click.echo(json.dumps(as_record(number, chosen)))
        return
    changed = [number for number in watched if number.changes]
    span = f"{len(chosen):,} days, {chosen[0]} to {chosen[-1]}" if len(chosen) != 1 else chosen[0]
    click.echo(f"{record.dataset}@{record.version}: {span}; "
               f"{len(changed):,} of {len(watched):,} numbers changed\n")  # fmt: skip
    for told in table(watched if everything else changed, chosen):
        click.echo(told)
    if not changed:
        click.echo("nothing changed beyond chance")


def as_record(watched: Watched, days: Sequence[str]) -> dict[str, object]:
    """A number over days, for machines."""
    changes = [
        {"since": days[change.day], "before": change.before, "after": change.after, "q": change.q}
        for change in watched.changes
    ]
    return {
        "kind": watched.kind, "subject": watched.subject, "what": watched.what, "unit": watched.metric.unit, "days": list(days),
        "values": list(watched.metric.values), "changes": changes,
    }  # fmt: skip


def table(watched: Sequence[Watched], days: Sequence[str]) -> list[str]:
    """A line a number: its course, its last value, and its changes, the newest first."""
    rows = []
    for number in watched:
        told = shown_by(number.metric.unit)
        changes = [
            f"{told(change.before)} → {told(change.after)} since {days[change.day]}" for change in number.changes[::-1]
        ]
        rows.append(
            (
                f"{brief(number.subject)} {brief(number.what)}",
                _course(number.metric.values),
                told(number.latest),
                changes,
            )
        )
    wide = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    return [
        f"  {name:<{wide[0]}}  {course:<{wide[1]}}  {value:>{wide[2]}}  {click.style('; '.join(changes), fg='yellow')}".rstrip()
        for name, course, value, changes in rows
    ]


def _course(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    low, room = min(known, default=0.0), max(known, default=0.0) - min(known, default=0.0)
    return "".join(" " if value is None else _BARS[round((value - low) / room * 7) if room else 3] for value in values)
