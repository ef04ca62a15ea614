"""`retrolabel explain`: what a build does, and its SQL, ready for the DuckDB shell."""

import datetime

import click
import pyarrow as pa

from retrolabel.configs.load import Project
from retrolabel.configs.model import CONSENT
from retrolabel.pipelines.check_command import check_project
from retrolabel.pipelines.planning import around_of, attribution_of, consent_rule, ranges_of
from retrolabel.schemas.contract import Contract
from retrolabel.transforms.kernels.arrange import HASH, duplicates_sql
from retrolabel.transforms.kernels.attribution import ROW, attribution_sql
from retrolabel.transforms.kernels.consent import DECIDED, GRANTED, consent_sql
from retrolabel.transforms.kernels.expressions import quoted
from retrolabel.transforms.kernels.select import Selection
from retrolabel.transforms.plan import PREDICTIONS

_EXAMPLE_DAY = datetime.date(2026, 11, 20)

_SQL_TYPES = {pa.string(): "VARCHAR", pa.bool_(): "BOOLEAN", pa.int32(): "INTEGER", pa.int64(): "BIGINT", pa.float32(): "FLOAT",
              pa.float64(): "DOUBLE", pa.timestamp("us", tz="UTC"): "TIMESTAMPTZ"}  # fmt: skip


@click.command()
@click.argument("config", type=click.Path())
def command(config: str) -> None:
    """Show the steps of a build of CONFIG, and the SQL that runs inside a block and inside a shard.

    The SQL comes with the tables that it needs, so that it can be pasted into the DuckDB shell as it is.

    \b
    Examples:
      retrolabel explain shoes.yaml
      retrolabel explain shoes.yaml | duckdb
    """
    project = check_project(config)
    for line in explain(project):
        click.echo(line)


def explain(project: Project) -> list[str]:
    """The text of `retrolabel explain`, as SQL with comments."""
    config = project.config
    lines = [
        f"-- {config.dataset}: from {len(project.sources)} kinds of log to {len(config.labels)} label{'s' * (len(config.labels) != 1)}",
        "--",
    ]
    lines += [f"-- {number}. {step}" for number, step in enumerate(_steps(project), 1)]
    ranges, around = ranges_of(config, _EXAMPLE_DAY), around_of(config, _EXAMPLE_DAY)
    for name in project.sources:
        source, contract = project.source(name), project.logged[name]
        consent = config.consent.field if config.consent and name == PREDICTIONS else None
        lines += ["", f"-- Inside a block of {name}: what becomes of each parsed line (0 kept, 1 filtered, 2 out of range, 3 without consent, 4 near the range).",
                  f"-- The range here is what {_EXAMPLE_DAY} in {config.timezone} needs; a build fills in its own.",
                  _table("block", contract),
                  _terminated(Selection(source.where, source.time, *ranges[name], consent, around if name == PREDICTIONS else None).sql)]  # fmt: skip
    predictions = project.contracts[PREDICTIONS]
    lines += _consent(project)
    content = [field.name for field in predictions.fields]
    lines += ["", "-- Inside a shard: of predictions whose key is there more than once, the first in canonical order stays (turn 1).",
              _table("suspects", predictions, f"{HASH} UBIGINT", "__row BIGINT"),
              _terminated(duplicates_sql(config.predictions.key, [config.predictions.time, *content], content))]  # fmt: skip
    for name in config.outcomes:
        rule = attribution_of(project, name)
        if not rule.labels:
            continue
        keys = dict.fromkeys([*config.predictions.key, *rule.prediction_key])
        statements = attribution_sql(rule, config.predictions.key)
        windows = [sql for window in statements.windows for sql in (window.match, window.labels, window.keep)]
        columns = [f"{quoted(key)} {_SQL_TYPES[predictions.field(key).arrow_type]}" for key in keys]
        lines += ["", f"-- Inside a shard: outcomes {name} in the windows of predictions, and the labels of those that have any.",
                  *(f"CREATE OR REPLACE TABLE {table} ({ROW} BIGINT, __prediction_time TIMESTAMPTZ, {', '.join(columns)});"
                    for table in ("prediction", "rival")),
                  _table("outcome", project.contracts[name]),
                  *map(_terminated, (*statements.prepare, statements.counts, *windows, statements.attributed))]  # fmt: skip
    return lines


def _consent(project: Project) -> list[str]:
    rule = consent_rule(project.config)
    if rule is None:
        return []
    statements = consent_sql(rule)
    made, decided = (
        ", ".join(f"{quoted(name)} {_SQL_TYPES[contract.field(name).arrow_type]}" for name in names)
        for contract, names in (
            (project.contracts[PREDICTIONS], rule.prediction_key),
            (project.contracts[CONSENT], rule.key),
        )
    )
    return ["", "-- Inside a shard of people: what becomes of each prediction (0 kept, 1 undecided, 2 refused, 3 withdrawn before its last window closed).",
            f"CREATE OR REPLACE TABLE prediction (__row BIGINT, __us BIGINT, {made});",
            f"CREATE OR REPLACE TABLE decision ({decided}, {DECIDED} BIGINT, {GRANTED} BOOLEAN);",
            *map(_terminated, (statements.prepare, statements.fates, statements.known))]  # fmt: skip


def _steps(project: Project) -> list[str]:
    config = project.config
    sources = ", ".join(f"{name} ({project.source(name).format})" for name in project.sources)
    steps = [
        f"Read {sources}: plain files in stretches, compressed ones whole, into blocks of whole lines.",
        "Parse each block by its contract; a line that does not fit is rejected with file, byte offset and reason.",
        "Select the rows of the range that have consent, treat the fields with 'pii', and arrange them by the stable hash of their key.",
    ]
    if rule := consent_rule(config):
        steps.append(
            f"Shuffle the predictions and what people decided by {', '.join(rule.prediction_key)}; keep the predictions with consent when "
            "they were made, and not withdrawn before their last window closed."
        )
    with_id = [name for name, outcome in config.outcomes.items() if outcome.id]
    if with_id:
        steps.append(f"Shuffle {', '.join(with_id)} by id; of equal ids keep the first.")
    for name, outcome in config.outcomes.items():
        if (outcome.prediction_key or outcome.key) != config.predictions.key:
            key = ", ".join(outcome.prediction_key or outcome.key)
            steps.append(f"Shuffle {name} and narrow rows of the predictions by {key}; attribute {name} to them.")
    steps.append(
        f"Shuffle everything by {', '.join(config.predictions.key)}; keep one of each prediction; attribute; compute labels."
    )
    steps.append(
        "Leave out predictions whose windows were still open when the outcome logs end: they are immature, not negative."
    )
    if config.sample:
        steps.append(f"Keep {config.sample.negatives:.0%} of the negatives, by stable hash; write the weight beside.")
    if config.split:
        steps.append(f"Split by {', '.join(config.split.by)} into {', '.join(config.split.parts)}.")
    steps.append(
        f"Write {config.output.format} part files under names of their content; check the accounting; commit the version."
    )
    return steps


def _table(name: str, contract: Contract, *more: str) -> str:
    columns = [f"{quoted(field.name)} {_sql_type(field.arrow_type)}" for field in contract.fields]
    return f"CREATE OR REPLACE TABLE {name} ({', '.join([*columns, *more])});"


def _sql_type(found: pa.DataType) -> str:
    return f"{_SQL_TYPES[found.value_type]}[]" if pa.types.is_list(found) else _SQL_TYPES[found]


def _terminated(sql: str) -> str:
    return f"{sql};"
