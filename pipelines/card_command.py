"""`retrolabel card`: the data card of a version, as Croissant JSON-LD."""

import click

from retrolabel.pipelines.report.card import card_text
from retrolabel.transforms.dataset import read_version, split_name


@click.command()
@click.argument("dataset")
def command(dataset: str) -> None:
    """Print the data card of DATASET, or DATASET@VERSION: sources, purpose, fields with their docs and sensitivity, rules, files.

    It is JSON-LD as Croissant 1.0 (MLCommons) describes it, with the properties of Croissant RAI. Paths of files are relative to
    the dataset's folder: keep it there. Every build leaves the same there, as croissant-<version>.json, beside its report.

    \b
    Examples:
      retrolabel card datasets/shoes_ctr > datasets/shoes_ctr/croissant.json
      retrolabel card datasets/shoes_ctr@7
    """
    root, version = split_name(dataset)
    click.echo(card_text(root, read_version(root, version)))
