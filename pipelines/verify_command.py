"""`retrolabel verify`: whether a dataset is still what was published."""

import contextlib
import dataclasses
import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

import click

from retrolabel.pipelines.summary import size_of
from retrolabel.schemas.errors import IntegrityError
from retrolabel.transforms import storage
from retrolabel.transforms.dataset import read_version, split_name, version_numbers
from retrolabel.transforms.verify import Damage, is_listed, listed_builds, verify_build


@click.command()
@click.argument("dataset")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def command(dataset: str, as_json: bool) -> None:
    """Read every file of all versions of DATASET, or of DATASET@VERSION, and name those that are missing, cut or changed.

    Sizes and SHA-256 digests are compared with those of the manifests, whose own digests stand in their names. A file that
    several versions share is read once.

    \b
    Examples:
      retrolabel verify datasets/shoes_ctr
      retrolabel verify datasets/shoes_ctr@7
      retrolabel verify datasets/shoes_ctr --json

    \b
    Exit codes: 0 every file is what was published; 4 there is no such dataset
    or version; 6 some are not.
    """
    root, version = split_name(dataset)
    if version is not None or not version_numbers(root):
        with contextlib.suppress(IntegrityError):  # told below, with the rest
            read_version(root, version)
    builds, versions, of_versions = listed_builds(root, version_numbers(root) if version is None else [version])
    damaged: list[dict[str, Any]] = []

    def tell(damage: Damage, listed_by: list[int]) -> None:
        damaged.append({**dataclasses.asdict(damage), "versions": listed_by})
        if not as_json:
            click.echo(_line(root, damaged[-1]))

    for damage in of_versions:
        tell(damage, [])
    files, size = len(versions), 0
    with _progress(len(builds)) as show:
        for done, (path, listed_by) in enumerate(builds.items()):
            for looked in verify_build(root, path):
                if looked.damage and not is_listed(root, path, listed_by):  # retention or an erasure took it meanwhile
                    versions = [number for number in versions if number in version_numbers(root)]
                    break
                files, size = files + 1, size + looked.bytes
                if looked.damage:
                    tell(looked.damage, listed_by)
                show(done, size)
    days = len({path.partition("/")[0] for path in builds})
    if as_json:
        found = {"path": root, "versions": versions, "days": days, "files": files, "bytes": size, "damaged": damaged}
        click.echo(json.dumps(found))
    elif not damaged:
        click.echo(f"{_counted(len(versions), 'version')}, {_counted(days, 'day')}, {_counted(files, 'file')} of {size_of(size)}: "
                   "every file is what was published")  # fmt: skip
    if damaged:
        raise IntegrityError(
            f"{len(damaged):,} of {files:,} files {'is' if len(damaged) == 1 else 'are'} not what was published. Hint: put them back from a copy; or remove them and build the "
            "day again: from the same logs, config and release come the same files"
        )


def _line(root: str, damage: dict[str, Any]) -> str:
    path = storage.join(root, damage["path"])
    versions = ", ".join(map(str, damage["versions"]))
    told = f" (version{'s' * (len(damage['versions']) > 1)} {versions})" if versions else ""
    return f"{path}: found {damage['found']}, expected {damage['expected']}{told}"


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'s' * (count != 1)}"


@contextlib.contextmanager
def _progress(builds: int) -> Iterator[Callable[[int, int], None]]:
    """Shows on a terminal how far it has come; gives what is told how many builds of days, and how many bytes, were read."""
    if not sys.stderr.isatty():
        yield lambda _, __: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("reading"), BarColumn(), TextColumn("{task.completed}/{task.total} builds of days · {task.fields[told]} · left:"),
               TimeRemainingColumn())  # fmt: skip
    # What is damaged is told meanwhile, above the display if it is told on the same terminal.
    with Progress(
        *columns, console=Console(stderr=True), transient=True, redirect_stdout=sys.stdout.isatty()
    ) as display:
        task = display.add_task("reading", total=builds, told=size_of(0))
        yield lambda done, size: display.update(task, completed=done, told=size_of(size))
