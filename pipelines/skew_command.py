"""`retrolabel skew`: features as logged at serving time beside those found in training."""

import dataclasses
import json
from collections.abc import Sequence

import click
import pyarrow as pa

from retrolabel.schemas.errors import AnomalyError, InputError, printable
from retrolabel.transforms.dataset import split_name, version_numbers
from retrolabel.transforms.kernels.feature_skew import Skew, feature_skew
from retrolabel.transforms.load import load
from retrolabel.transforms.tables import blocks_of


@click.command()
@click.argument("training")
@click.argument("serving", nargs=-1, required=True)
@click.option("--key", required=True, help="The columns that name a prediction on both sides, separated by commas.")
@click.option("--columns", help="The features to compare, separated by commas; by default those of both sides.")
@click.option(
    "--tolerance",
    type=click.FloatRange(0),
    default=0.0,
    help="How far apart numbers may be, relative to the larger one.",
)
@click.option(
    "--max-rate", type=click.FloatRange(0, 1), default=0.0, help="The share of rows that may differ in a feature."
)
@click.option("--json", "as_json", is_flag=True, help="Print the comparison as JSON.")
def command(
    training: str, serving: tuple[str, ...], key: str, columns: str | None, tolerance: float, max_rate: float, as_json: bool
) -> None:  # fmt: skip
    """Compare the features of the same predictions in TRAINING and SERVING, joined by key, value by value.

    TRAINING is a dataset, such as datasets/shoes_ctr@7, or a file; SERVING files as for `retrolabel stats`. Rows whose key is there twice
    on a side are counted and left out. Both sides' columns are held in memory.

    \b
    Examples:
      retrolabel skew datasets/shoes_ctr served/*.jsonl.gz --key prediction_id
      retrolabel skew train.parquet served.parquet --key user_id,item --tolerance 1e-6 --max-rate 0.001

    \b
    Exit codes: 0 no feature differs more than --max-rate; 2 the command line is wrong; 4 a file is missing, or lacks the key; 5 the features
    are skewed.
    """
    keys = key.split(",")
    wanted = [*keys, *columns.split(",")] if columns else None
    found = feature_skew(_training(training, wanted), _of_files(serving, wanted), keys, tolerance)
    click.echo(
        json.dumps(dataclasses.asdict(found) | {"rates": {one.name: one.rate for one in found.features}})
        if as_json
        else render(found)
    )
    skewed = [one for one in found.features if one.rate > max_rate]
    if skewed:
        names = ", ".join(printable(one.name) for one in skewed[:10])
        raise AnomalyError(
            f"{len(skewed)} of {len(found.features)} features differ between training and serving: {names}"
        )
    if not found.joined:
        raise InputError(f"no prediction is on both sides by {', '.join(keys)}: nothing was compared")


def _training(name: str, columns: Sequence[str] | None) -> pa.Table:
    root, version = split_name(name)
    if version is None and not version_numbers(root):
        return _of_files([name], columns)
    table: pa.Table = load(name).to_table(columns=list(columns) if columns else None)
    return table


def _of_files(paths: Sequence[str], columns: Sequence[str] | None) -> pa.Table:
    blocks = [block for path in paths for block in blocks_of(path, columns)]
    while any(pa.types.is_struct(field.type) for block in blocks for field in block.schema):
        blocks = [block.flatten() for block in blocks]
    try:
        return pa.concat_tables(blocks, promote_options="permissive").combine_chunks()
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise InputError(f"the files hold one column in types that cannot be put together: {error}") from None


def render(found: Skew) -> str:
    """Rows, schema skew, and a line a feature with its first examples, those that differ most first."""
    lines = [
        f"{found.joined:,} predictions on both sides, of {found.training_rows:,} in training and {found.serving_rows:,} at serving time"
    ]
    if found.repeated:
        lines.append(f"  {found.repeated:,} rows left out: their key is there more than once on a side")
    lines += [f"  {printable(name)}: not in {side}" for name, side in found.missing_columns]
    lines += [
        f"  {printable(name)}: {mine} in training, {theirs} at serving time; compared as texts"
        for name, mine, theirs in found.changed_types
    ]
    width = max((len(printable(one.name)) for one in found.features), default=0)
    for one in sorted(found.features, key=lambda one: -one.rate):
        lines.append(
            f"  {printable(one.name):<{width}}  {one.rate:>8.3%} differ" + (f": {one.different:,} values, {one.only_training:,} missing at serving "
            f"time, {one.only_serving:,} missing in training" if one.rate else "")
        )  # fmt: skip
        lines += [
            f"      {printable(key)}: {_word(mine)} in training, {_word(theirs)} at serving time"
            for key, mine, theirs in one.examples
        ]
    return "\n".join(lines)


def _word(value: str | None) -> str:
    return "nothing" if value is None else printable(value[:60])
