"""`retrolabel gc`: sweeping what killed builds left."""

import re
import time

import click

from retrolabel.configs.model import parse_duration
from retrolabel.transforms import storage
from retrolabel.transforms.dataset import read_day_manifest, read_version, report_path, split_name, version_numbers

_BUILT = re.compile(
    r"(?:\d{4}-\d\d-\d\d/[0-9a-f]{16}|_tmp/[^/]+)/.+|_versions/\.tmp-[^/]+|_reports/(?:\d{8}\.html|\.tmp-[^/]+)"
)
"""What builds write below a dataset's folder, and nothing that a person may have put there."""


def unlisted(root: str, older_than: float) -> dict[str, int]:
    """The files below a dataset's folder that builds wrote and no version lists, with their sizes.

    Args:
        root: the dataset's folder.
        older_than: seconds since a file was last changed; younger ones may belong to a running build, and so may all files of
            a temporary folder while one of them is young.

    Raises:
        InputError: there is no dataset, nor anything that a killed build left.
        IntegrityError: a manifest cannot be read; then nobody can say what it lists.
    """
    # Before the versions: what a build commits in between is listed by then.
    written = {path: found for path, found in storage.list_files(root).items() if _BUILT.fullmatch(path)}
    if not written:
        read_version(root)  # says what is wrong, unless the dataset is merely clean
    listed = _listed(root)
    changed: dict[str, float] = {}
    for path, (_, moment) in written.items():
        changed[_owner(path)] = max(moment, changed.get(_owner(path), moment))
    now = time.time()
    return {
        path: size
        for path, (size, _) in written.items()
        if path not in listed and now - changed[_owner(path)] >= older_than
    }


def sweep(root: str, older_than: float, *, dry_run: bool = False) -> dict[str, int]:
    """Removes what `unlisted` finds, and the folders that are empty then; gives what was, or would be, removed."""
    found = unlisted(root, older_than)
    if not dry_run:
        for path in sorted(found):
            storage.delete(storage.join(root, path))
        for folder in {path.partition("/")[0] for path in found} - {"_versions"}:
            storage.remove_empty_folders(storage.join(root, folder))
    return found


def _listed(root: str) -> set[str]:
    """Every file that any version lists, and its report."""
    numbers = version_numbers(root)
    manifests = {path for number in numbers for path in read_version(root, number).days.values()}
    return (
        manifests
        | set(map(report_path, numbers))
        | {part.path for path in manifests for part in read_day_manifest(root, path).files}
    )


def _owner(path: str) -> str:
    """What grows old as one: the temporary folder of a run, else the file by itself."""
    return "/".join(path.split("/")[:2]) if path.startswith("_tmp/") else path


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
