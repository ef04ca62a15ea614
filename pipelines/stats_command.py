"""`retrolabel stats`: statistics of any files."""

import datetime
import json
from collections.abc import Sequence

import click
from google.protobuf import json_format
from tensorflow_metadata.proto.v0.statistics_pb2 import (
    DatasetFeatureStatistics,
    DatasetFeatureStatisticsList,
    FeatureNameStatistics,
)

from retrolabel.schemas.errors import printable
from retrolabel.schemas.metadata_files import to_bytes
from retrolabel.transforms.kernels.association import LEAKING, Association, add_associations, associations
from retrolabel.transforms.kernels.statistics_proto import statistics_list
from retrolabel.transforms.kernels.table_statistics import put_together
from retrolabel.transforms.storage import write_once
from retrolabel.transforms.tables import statistics_of_files

_KINDS = FeatureNameStatistics.Type


@click.command()
@click.argument("files", nargs=-1, required=True)
@click.option("-o", "--output", help="Where the statistics go: text if it ends in .pbtxt, else binary.")
@click.option("--columns", help="The columns, separated by commas; all by default.")
@click.option(
    "--slice", "slices", multiple=True, metavar="COLUMN[,COLUMN]", help="Tell rows apart by the values of columns."
)
@click.option(
    "--label",
    "labels",
    multiple=True,
    metavar="COLUMN",
    help="A label: tell rows apart by its values, and say what predicts it.",
)
@click.option("--weight", help="The column that holds the rows' weights.")
@click.option("--json", "as_json", is_flag=True, help="Print the statistics as JSON.")
def command(
    files: tuple[str, ...], output: str | None, columns: str | None, slices: tuple[str, ...], labels: tuple[str, ...], weight: str | None, as_json: bool
) -> None:  # fmt: skip
    """Compute statistics of FILES: Parquet, Avro, TFRecord (of tf.Example), CSV or JSON lines, told by their names.

    They are a DatasetFeatureStatisticsList of TensorFlow Metadata, as TensorFlow Data Validation reads it.

    \b
    Examples:
      retrolabel stats train/*.parquet -o stats.pb
      retrolabel stats today.csv --slice device --slice country,device -o stats.pbtxt
      retrolabel stats train.parquet --label clicked -o stats.pb
      retrolabel stats serving.jsonl.gz --json
    """
    wanted = columns.split(",") if columns else None
    groups = [tuple(group.split(",")) for group in slices]
    merged = put_together(statistics_of_files(files, wanted, groups, labels, weight), labels)
    listed, found = statistics_list(merged), associations(merged, labels)
    add_associations(listed, found)
    if output:
        write_once(output, to_bytes(listed, output))
    if as_json:
        click.echo(json.dumps(json_format.MessageToDict(listed, preserving_proto_field_name=True)))
    else:
        click.echo("\n".join([render_statistics(listed), *render_associations(found)]))
        if output:
            click.echo(f"written to {output}", err=True)


def render_statistics(listed: DatasetFeatureStatisticsList) -> str:
    """A line a feature of all examples, and a line a slice."""
    if not listed.datasets:
        return "no rows"
    whole, *slices = listed.datasets
    lines = [f"{whole.num_examples:,} examples, {len(whole.features):,} features", *_features(whole)]
    lines += [f"  {printable(one.name)}: {one.num_examples:,} examples" for one in slices]
    return "\n".join(lines)


def render_associations(found: Sequence[Association]) -> list[str]:
    """What says most about the labels, the most telling first."""
    lines = []
    for label in dict.fromkeys(one.label for one in found):
        told = sorted((one for one in found if one.label == label and not one.is_chance), key=lambda one: -one.share)
        lines.append(
            f"what says something about {printable(label)}:"
            if told
            else f"nothing says anything about {printable(label)}"
        )
        for one in told[:20]:
            leak = "   suspected to be made from it" if one.share >= LEAKING else ""
            lines.append(f"  {printable(one.feature)}  {one.share:.1%} of its entropy ({one.bits:.3g} bits){leak}")
    return lines


def _features(dataset: DatasetFeatureStatistics) -> Sequence[str]:
    names = [printable(".".join(feature.path.step)) for feature in dataset.features]
    width = max(map(len, names), default=0)
    return [
        f"  {name:<{width}}  {_KINDS.Name(feature.type):<6} {summary_of(feature)}".rstrip()
        for name, feature in zip(names, dataset.features, strict=True)
    ]


def summary_of(feature: FeatureNameStatistics, kind: str = "") -> str:
    """What matters most of a feature, in a line; `kind` is its Arrow type, where it is known."""
    is_text = feature.HasField("string_stats")
    common = feature.string_stats.common_stats if is_text else feature.num_stats.common_stats
    told = f"{common.num_missing:>12,} missing"
    if not common.tot_num_values:
        return told
    if common.max_num_values > 1:
        told += f"   lists of {common.min_num_values:,} to {common.max_num_values:,}"
    if is_text:
        texts = feature.string_stats
        most = ", ".join(f"{printable(top.value[:30])} {top.frequency:,.0f}" for top in texts.top_values[:3])
        return f"{told}   {texts.unique:,} different: {most}"
    numbers = feature.num_stats
    if kind == "bool":
        return f"{told}   {numbers.mean:.2%} true"
    if kind.startswith("timestamp[us"):
        first, median, last = (_moment(micros) for micros in (numbers.min, numbers.median, numbers.max))
        return f"{told}   {first} to {last}, median {median}"
    return f"{told}   mean {numbers.mean:.6g}, {numbers.min:.6g} to {numbers.max:.6g}, median {numbers.median:.6g}"


def _moment(micros: float) -> str:
    moment = datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=round(micros))  # noqa: DTZ001 - of UTC
    return f"{moment:%Y-%m-%d %H:%M:%S}"
