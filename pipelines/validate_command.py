"""`retrolabel validate`: statistics against a schema, another day and serving."""

import json
from typing import Any

import click
from tensorflow_metadata.proto.v0.anomalies_pb2 import AnomalyInfo

from retrolabel.pipelines.statistics_arguments import schema_of, statistics_of, write_or_print
from retrolabel.schemas.errors import AnomalyError, printable
from retrolabel.schemas.metadata_files import to_bytes
from retrolabel.transforms.describe import told
from retrolabel.transforms.kernels.distances import CONFIDENCE
from retrolabel.transforms.kernels.validation import Compared, Controls, validate


def _severities(context: click.Context, parameter: click.Parameter, texts: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for text in texts:
        name, _, level = text.partition("=")
        if name not in AnomalyInfo.Type.keys():  # noqa: SIM118 - not a dict
            raise click.BadParameter(f"no type of anomaly is called {name!r}; expected one such as SCHEMA_NEW_COLUMN")
        if level not in ("error", "warning", "ignore"):
            raise click.BadParameter(f"expected TYPE=error, TYPE=warning or TYPE=ignore; got {text!r}")
        found[name] = level
    return found


@click.command()
@click.argument("statistics")
@click.option("--schema", required=True, help="What is expected: a file of `retrolabel schema infer`, or a dataset.")
@click.option("--previous", help="Statistics of the day before: drift is measured against them.")
@click.option("--serving", help="Statistics of serving data: skew is measured against them.")
@click.option("--previous-version", help="Statistics of an earlier version of the same day.")
@click.option("--environment", help="Of the schema's environments the one that the statistics are of.")
@click.option("--name", help="Which statistics of the file: a split or a slice. Default: all examples.")
@click.option(
    "--severity", multiple=True, callback=_severities, metavar="TYPE=LEVEL", help="error (default), warning or ignore."
)
@click.option("-o", "--output", help="Where the anomalies go: text if it ends in .pbtxt, else binary.")
@click.option("--json", "as_json", is_flag=True, help="Print anomalies and distances as JSON.")
def command(
    statistics: str, schema: str, previous: str | None, serving: str | None, previous_version: str | None,
    environment: str | None, name: str | None, severity: dict[str, str], output: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Check STATISTICS against a schema: a file of `retrolabel stats`, or a dataset.

    Drift and skew are measured where the schema has a comparator. A distance that chance alone could make is no anomaly.

    \b
    Examples:
      retrolabel validate today.pb --schema schema.pbtxt
      retrolabel validate today.pb --schema schema.pbtxt --previous yesterday.pb -o anomalies.pbtxt
      retrolabel validate datasets/shoes_ctr --schema schema.pbtxt --environment TRAINING --severity SCHEMA_NEW_COLUMN=warning

    \b
    Exit codes: 0 no error; 2 the command line is wrong; 4 a file is missing or something else; 5 the data has anomalies.
    """
    controls = Controls(*(statistics_of(one) if one else None for one in (previous, serving, previous_version)))
    anomalies, compared = validate(statistics_of(statistics, name), schema_of(schema), environment, controls, severity)
    if output:
        write_or_print(to_bytes(anomalies, output), output)
    found = told(anomalies, severity)
    if as_json:
        click.echo(json.dumps({"anomalies": found, "distances": [_plain(one) for one in compared]}))
    else:
        click.echo(render(found, compared))
    errors = [anomaly for anomaly in found if anomaly["severity"] == "error"]
    if errors:
        raise AnomalyError(
            f"{len(errors):,} {'feature does' if len(errors) == 1 else 'features do'} not fit the schema"
        )


def render(found: list[dict[str, Any]], compared: list[Compared]) -> str:
    """Anomalies, and every distance beside its noise and threshold."""
    lines = [f"{one['severity']}: {printable(one['feature'])}: {printable(one['description'])}" for one in found]
    lines = lines or ["no anomalies"]
    if compared:
        lines += ["", f"distances; two samples of one distribution lie below the noise in {CONFIDENCE:.1%} of cases"]
    for one in compared:
        kind = one.comparator.removesuffix("_comparator")
        distance = one.distance
        verdict = "high" if one.is_high else "within noise" if one.threshold < distance.value else "ok"
        lines.append(
            f"  {printable('.'.join(one.path))}: {kind} {distance.measure} {distance.value:.6g}, noise {distance.noise:.3g}, "
            f"threshold {one.threshold:.6g}: {verdict}"
        )
    return "\n".join(lines)


def _plain(one: Compared) -> dict[str, Any]:
    return {
        "feature": ".".join(one.path), "comparator": one.comparator, "measure": one.distance.measure, "value": one.distance.value,
        "noise": one.distance.noise, "threshold": one.threshold, "high": one.is_high, "furthest": one.distance.furthest,
    }  # fmt: skip
