"""`retrolabel schema`: what data must be like, inferred, compared and changed."""

import json

import click

from retrolabel.pipelines.statistics_arguments import keys_of, schema_of, statistics_of, write_or_print
from retrolabel.schemas.errors import InputError, printable
from retrolabel.schemas.metadata_files import to_bytes
from retrolabel.transforms.kernels.schema_changes import changes_between
from retrolabel.transforms.kernels.schema_rules import DOMAIN_SIZE, infer_schema
from retrolabel.transforms.kernels.validation import update_schema


@click.group()
def command() -> None:
    """Infer, compare and update schemas: the Schema of TensorFlow Metadata, as TensorFlow Data Validation reads it.

    A schema says what data must be like. Infer one from good data, review it, and name it in the config under `validation:`.
    """


@command.command()
@click.argument("statistics")
@click.option("-o", "--output", help="Where the schema goes: text if it ends in .pbtxt, else binary. Default: printed.")
@click.option(
    "--domain-size", default=DOMAIN_SIZE, show_default=True, help="Up to how many different texts make a fixed set."
)
@click.option(
    "--not-in-serving", multiple=True, metavar="COLUMN", help="Training has it, serving has not: a label, for one."
)
def infer(statistics: str, output: str | None, domain_size: int, not_in_serving: tuple[str, ...]) -> None:
    """Infer the schema of STATISTICS: a file of `retrolabel stats`, or a dataset.

    With --not-in-serving the schema knows the environments TRAINING and SERVING.

    \b
    Examples:
      retrolabel schema infer stats.pb -o schema.pbtxt
      retrolabel schema infer datasets/shoes_ctr --not-in-serving clicked -o schema.pbtxt
    """
    schema = infer_schema(statistics_of(statistics), domain_size, keys_of(statistics))
    features = {feature.name: feature for feature in schema.feature}
    if not_in_serving:
        schema.default_environment.extend(["TRAINING", "SERVING"])
    for name in not_in_serving:
        if name not in features:
            raise InputError(f"--not-in-serving: there is no column {name!r}; there are {', '.join(features)}")
        features[name].not_in_environment.append("SERVING")
    write_or_print(to_bytes(schema, output or ".pbtxt"), output)


@command.command()
@click.argument("old")
@click.argument("new")
@click.option("--json", "as_json", is_flag=True, help="Print the differences as JSON.")
def diff(old: str, new: str, as_json: bool) -> None:
    """Say how the schema NEW differs from OLD: files, or datasets.

    \b
    Examples:
      retrolabel schema diff schema.pbtxt proposed.pbtxt
      retrolabel schema diff datasets/shoes_ctr@6 datasets/shoes_ctr@7
    """
    _tell(changes_between(schema_of(old), schema_of(new)), as_json)


@command.command()
@click.argument("schema")
@click.argument("statistics")
@click.option("-o", "--output", help="Where the changed schema goes. Default: the changes are only told.")
@click.option("--environment", help="Of the schema's environments the one that the statistics are of.")
@click.option("--json", "as_json", is_flag=True, help="Print the changes as JSON.")
def update(schema: str, statistics: str, output: str | None, environment: str | None, as_json: bool) -> None:
    """Propose the smallest change of SCHEMA that accepts STATISTICS, for a person to review.

    \b
    Examples:
      retrolabel schema update schema.pbtxt today.pb
      retrolabel schema update schema.pbtxt datasets/shoes_ctr -o proposed.pbtxt
    """
    before = schema_of(schema)
    after = update_schema(statistics_of(statistics), before, environment)
    _tell(changes_between(before, after), as_json)
    if output:
        write_or_print(to_bytes(after, output), output)


def _tell(changes: list[str], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(changes))
    else:
        click.echo("\n".join(map(printable, changes)) or "no difference")
