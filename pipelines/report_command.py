"""`retrolabel report`: one file that says whether a day's data is good, what changed, and what to do."""

import click

from retrolabel.pipelines.report.material import gather
from retrolabel.pipelines.report.page import render
from retrolabel.transforms import storage
from retrolabel.transforms.dataset import split_name


@click.command()
@click.argument("dataset")
@click.option("--date", help="The day. Default: the one that the version changed.")
@click.option(
    "--against", type=click.IntRange(min=1), metavar="VERSION",
    help="Compare with this version's build of the day. Default: with the day before.",
)  # fmt: skip
@click.option("-o", "--output", default="report.html", show_default=True, help="Where to write it.")
def command(dataset: str, date: str | None, against: int | None, output: str) -> None:
    """Write a report of DATASET, or DATASET@VERSION: one self-contained HTML file, readable offline.

    \b
    Examples:
      retrolabel report datasets/shoes_ctr -o report.html
      retrolabel report datasets/shoes_ctr@7 --against 6
      retrolabel report datasets/shoes_ctr --date 2026-11-20
    """
    root, version = split_name(dataset)
    page = render(gather(root, version, date, against))
    storage.write_once(output, page.encode())
    click.echo(output)
