"""`retrolabel show`: what is in a version."""

import json

import click

from retrolabel.pipelines.stats_command import summary_of
from retrolabel.pipelines.summary import render_summary
from retrolabel.pipelines.tell import tell
from retrolabel.transforms.dataset import days_told, read_day_manifest, read_statistics, read_version, split_name
from retrolabel.transforms.publish import Published


@click.command()
@click.argument("dataset")
@click.option("--date", help="The day to show. Default: the one that the version changed.")
@click.option("--json", "as_json", is_flag=True, help="Print the day's whole manifest.")
def command(dataset: str, date: str | None, as_json: bool) -> None:
    """Show what is in DATASET, a folder such as datasets/shoes_ctr, or in one of its versions, datasets/shoes_ctr@7.

    \b
    Examples:
      retrolabel show datasets/shoes_ctr
      retrolabel show datasets/shoes_ctr@7 --date 2026-11-20
      retrolabel show datasets/shoes_ctr --json
    """
    root, version = split_name(dataset)
    record = read_version(root, version)
    day = date or record.date
    if day not in record.days:
        raise click.UsageError(f"version {record.version} has no day {day}; it has {days_told(record)}")
    manifest = read_day_manifest(root, record.days[day])
    if as_json:
        text = json.loads(manifest.to_json())
        click.echo(json.dumps(text, sort_keys=True, indent=1))  # names of files may hold what draws on a terminal
        return
    changes = dict(record.changes) if record.changes and day == record.date else None
    tell(render_summary(manifest, Published(record.version, record.parent, True, changes), root))
    tell(f"\n  all days: {len(record.days):,}, {min(record.days)} to {max(record.days)}")
    tell("  columns:")
    listed = read_statistics(root, manifest)
    features = {feature.path.step[0]: feature for feature in listed.datasets[0].features} if listed else {}
    width = max(len(field["name"]) for field in manifest.example_schema)
    for field in manifest.example_schema:
        told = summary_of(features[field["name"]], field["type"]) if field["name"] in features else ""
        tell(f"    {field['name']:<{width}}  {field['type']:<22} {told}".rstrip())
    software = ", ".join(f"{name} {version}" for name, version in sorted(manifest.software.items()))
    tell(f"  built with {software}")
