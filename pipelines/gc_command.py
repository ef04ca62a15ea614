"""`retrolabel gc`: sweeping what killed builds left."""

import click

from retrolabel.configs.model import parse_duration
from retrolabel.transforms.dataset import split_name
from retrolabel.transforms.sweep import sweep


def _as_duration(_: click.Context, __: click.Parameter, value: str) -> float:
    try:
        return float(parse_duration(value).total_seconds())
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command()
@click.argument("dataset")
@click.option(
    "--older-than",
    default="24h",
    show_default=True,
    callback=_as_duration,
    help="Leave what a running build may still write.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
def command(dataset: str, older_than: float, dry_run: bool) -> None:
    """Remove the files of DATASET that no version lists: what killed or refused builds left.

    Files of versions are never touched, nor those that no build wrote.

    \b
    Examples:
      retrolabel gc datasets/shoes_ctr --dry-run
      retrolabel gc datasets/shoes_ctr --older-than 2h
    """
    root, _ = split_name(dataset)
    found = sweep(root, older_than, dry_run=dry_run)
    for path in sorted(found):
        click.echo(f"{'would remove' if dry_run else 'removed'} {path} ({found[path]:,} bytes)")
    click.echo(f"{len(found):,} files, {sum(found.values()):,} bytes")
