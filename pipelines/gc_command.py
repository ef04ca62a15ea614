"""`retrolabel gc`: sweeping what killed builds left."""

import time

import click

from retrolabel.configs.model import parse_duration
from retrolabel.transforms import storage
from retrolabel.transforms.dataset import (
    VERSIONS,
    read_day_manifest,
    read_version,
    record_path,
    split_name,
    version_numbers,
)


def unlisted(root: str, older_than: float) -> dict[str, int]:
    """The files below a dataset's folder that no version lists, with their sizes.

    Args:
        root: the dataset's folder.
        older_than: seconds since a file was last changed; younger ones may belong to a running build.
    """
    listed = set()
    for number in version_numbers(root):
        listed.add(record_path(number))
        for path in read_version(root, number).days.values():
            listed.add(path)
    for path in [path for path in listed if not path.startswith(f"{VERSIONS}/")]:
        listed.update(part.path for part in read_day_manifest(root, path).files)
    now = time.time()
    return {
        path: size
        for path, (size, changed) in storage.list_files(root).items()
        if path not in listed and now - changed >= older_than
    }


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
    """Remove the files of DATASET that no version lists: what killed or refused builds left. Versions are never touched.

    \b
    Examples:
      retrolabel gc datasets/shoes_ctr --dry-run
      retrolabel gc datasets/shoes_ctr --older-than 2h
    """
    root, _ = split_name(dataset)
    found = unlisted(root, older_than)
    for path in sorted(found):
        click.echo(f"{'would remove' if dry_run else 'removed'} {path} ({found[path]:,} bytes)")
        if not dry_run:
            storage.delete(storage.join(root, path))
    if not dry_run:
        storage.remove_empty_folders(root)
    click.echo(f"{len(found):,} files, {sum(found.values()):,} bytes")
