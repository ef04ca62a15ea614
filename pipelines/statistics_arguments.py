"""Arguments of commands that name statistics or a schema: a file, or a dataset that has them."""

import os

import click

from retrolabel.schemas.errors import InputError
from retrolabel.schemas.manifest import DayManifest
from retrolabel.schemas.metadata_files import (
    DatasetFeatureStatistics,
    DatasetFeatureStatisticsList,
    Schema,
    schema_from,
    statistics_from,
)
from retrolabel.transforms import storage
from retrolabel.transforms.dataset import read_day_manifest, read_schema, read_statistics, read_version, split_name


def statistics_of(argument: str, name: str | None = None) -> DatasetFeatureStatistics:
    """One of the statistics that a file holds, or those of the last day of a dataset.

    Args:
        argument: a file, or a dataset such as `datasets/shoes_ctr` or `datasets/shoes_ctr@7`.
        name: which; by default those of all examples, which come first.

    Raises:
        InputError: there are none, or none of that name.
    """
    listed = statistics_list_of(argument)
    if not listed.datasets:
        raise InputError(f"{argument!r} holds no statistics of any dataset")
    if name is None:
        return listed.datasets[0]
    for one in listed.datasets:
        if one.name == name:
            return one
    raise InputError(
        f"{argument!r} has no statistics called {name!r}; it has {', '.join(one.name for one in listed.datasets[:20])}"
    )


def statistics_list_of(argument: str) -> DatasetFeatureStatisticsList:
    """All statistics that a file holds, or a dataset has of its last day."""
    if (manifest := _last_day(argument)) is None:
        return statistics_from(_content(argument), argument)
    listed = read_statistics(split_name(argument)[0], manifest)
    if listed is None:
        raise InputError(f"{argument!r} was built before builds had statistics; build its day {manifest.date} again")
    return listed


def keys_of(argument: str) -> list[str]:
    """The fields by which the predictions of a dataset are told apart; none of a file."""
    manifest = _last_day(argument)
    return manifest.key if manifest else []


def schema_of(argument: str) -> Schema:
    """The schema in a file, or of the last day of a dataset."""
    if (manifest := _last_day(argument)) is None:
        return schema_from(_content(argument), argument)
    schema = read_schema(split_name(argument)[0], manifest)
    if schema is None:
        raise InputError(f"{argument!r} was built before builds had schemas; build its day {manifest.date} again")
    return schema


def _last_day(argument: str) -> DayManifest | None:
    if argument.endswith((".pb", ".pbtxt")) or os.path.isfile(argument):
        return None
    root, version = split_name(argument)
    record = read_version(root, version)
    return read_day_manifest(root, record.days[max(record.days)])


def _content(path: str) -> bytes:
    try:
        return storage.read_bytes(path)
    except FileNotFoundError:
        raise InputError(f"cannot read {path!r}: there is no such file") from None


def write_or_print(data: bytes, output: str | None) -> None:
    """Writes a file, or prints what it would hold as text."""
    if output is None:
        click.echo(data.decode(), nl=False)
        return
    storage.write_once(output, data)
    click.echo(f"written to {output}", err=True)
