"""The SQL of a shard: which outcomes count for which predictions, and what each label makes of them."""

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from retrolabel.configs.model import Attribution
from retrolabel.schemas.errors import ConfigError
from retrolabel.transforms.kernels.engine import connection, in_the_room_there_is
from retrolabel.transforms.kernels.expressions import NOT_FINITE, aggregate, quoted, with_plain_types

ROW = "__prediction_row"
"""The number of a prediction in its shard, by which labels find their way back."""

PAIRS = 4_000_000
"""Pairs of predictions and outcomes that are held at a time: a hot key has as many as its predictions times its outcomes."""

DELAY = "__delay"
"""Microseconds from a prediction to its first outcome that counts."""


@dataclasses.dataclass(frozen=True)
class LabelRule:
    """One label, in the numbers that SQL needs."""

    name: str
    value: str
    after: int
    """Microseconds after the prediction from which outcomes count."""
    window: int
    """Microseconds after the prediction up to which they count."""
    attribution: Attribution
    type: pa.DataType
    when_none: Any
    """The value of a matured prediction without any outcome."""


@dataclasses.dataclass(frozen=True)
class AttributionRule:
    """How one kind of outcome is matched with predictions."""

    outcome: str
    key: tuple[str, ...]
    """The outcome's fields."""
    prediction_key: tuple[str, ...]
    """The prediction's fields that these equal, in the same order."""
    time: str
    fields: tuple[str, ...]
    """All of the outcome's fields: their order, after time, is the canonical order of outcomes."""
    labels: tuple[LabelRule, ...]


@dataclasses.dataclass(frozen=True)
class Attributed:
    """`outcomes = attributed + unattributed + orphan`."""

    labels: tuple[pa.Table, ...]
    """For each window, `ROW`, `DELAY` and a column a label, for the predictions that have outcomes in it."""
    attributed: int
    unattributed: int
    """Outcomes whose key is known, but whose time falls into no window."""
    orphan: int
    """Outcomes of no prediction of the build."""


@dataclasses.dataclass(frozen=True)
class WindowSql:
    """The statements of one window, to be run in this order; however many labels share it."""

    match: str
    labels: str
    """The one whose rows are the result."""
    keep: str
    by_part: bool
    """Whether the predictions may come a part at a time: each outcome counts for all predictions in whose window it falls."""


@dataclasses.dataclass(frozen=True)
class AttributionSql:
    """The statements of one kind of outcome."""

    prepare: tuple[str, ...]
    counts: str
    """How many outcomes there are, how many have the key of a prediction, and how many pairs with equal keys there are."""
    windows: tuple[WindowSql, ...]
    attributed: str


def attribution_sql(rule: AttributionRule, tie_break: Sequence[str]) -> AttributionSql:
    """The statements over `prediction` (`ROW`, `__prediction_time`, the keys), `rival` (the same) and `outcome` (the outcome's fields).

    Args:
        rule: of the kind of outcome.
        tie_break: the predictions' key, which decides between predictions of one moment under `first` and `last`.
    """
    everything = ", ".join(f"{quoted(name)} NULLS FIRST" for name in (rule.time, *rule.fields))
    numbered = (
        f"row_number() OVER (ORDER BY {everything}) AS __outcome_row, epoch_us({quoted(rule.time)}) AS __outcome_us"
    )
    prepare = (
        f"CREATE OR REPLACE TEMP TABLE ordered AS\nSELECT *, {numbered}\nFROM outcome",
        "CREATE OR REPLACE TEMP TABLE in_window (__outcome_row BIGINT)",
    )
    keys = ", ".join(map(quoted, rule.key))
    same = _equal(rule, "o", "p")
    counts = (
        f"SELECT (SELECT count(*) FROM ordered) AS outcomes,\n"
        f"       coalesce(sum(outcomes), 0)::BIGINT AS known, coalesce(sum(outcomes * predictions), 0)::BIGINT AS pairs\n"
        f"FROM (SELECT any_value(o.outcomes) AS outcomes, count(*) AS predictions\n"
        f"      FROM prediction p JOIN (SELECT {keys}, count(*) AS outcomes FROM ordered GROUP BY {keys}) o ON {same}\n"
        f"      GROUP BY {', '.join(f'o.{quoted(name)}' for name in rule.key)})"
    )
    by_window: dict[tuple[int, int, Attribution], list[LabelRule]] = {}
    for label in rule.labels:
        by_window.setdefault((label.after, label.window, label.attribution), []).append(label)
    delay = f"min(__outcome_us) - epoch_us(any_value(__prediction_time)) AS {DELAY}"
    windows = []
    for (after, window, attribution), labels in by_window.items():
        values = "".join(
            f",\n       {aggregate(label.value, rule.time).sql} AS {quoted(label.name)}" for label in labels
        )
        windows.append(
            WindowSql(
                f"CREATE OR REPLACE TEMP TABLE matched AS\n{_matched(rule, after, window, attribution, tie_break)}",
                f"SELECT {ROW}, {delay}{values}\nFROM matched GROUP BY {ROW} ORDER BY {ROW}",
                "INSERT INTO in_window SELECT DISTINCT __outcome_row FROM matched ANTI JOIN in_window USING (__outcome_row)",
                attribution == "all",
            )
        )
    return AttributionSql(prepare, counts, tuple(windows), "SELECT count(*) AS attributed FROM in_window")


def _equal(rule: AttributionRule, outcome: str, prediction: str) -> str:
    pairs = zip(rule.key, rule.prediction_key, strict=True)
    return " AND ".join(f"{outcome}.{quoted(mine)} = {prediction}.{quoted(theirs)}" for mine, theirs in pairs)


def _matched(rule: AttributionRule, after: int, window: int, attribution: Attribution, tie_break: Sequence[str]) -> str:
    """Pairs of predictions and outcomes; the `ASOF JOIN`s take time n log n however many events share a key."""
    same = _equal(rule, "o", "p")
    chosen = f"SELECT p.{ROW}, p.__prediction_time, o.*\n"
    if attribution == "all":
        within = f"o.__outcome_us >= epoch_us(p.__prediction_time) + {after} AND o.__outcome_us < epoch_us(p.__prediction_time) + {window}"
        return f"{chosen}FROM ordered o JOIN prediction p ON {same} AND {within}"
    keys = ", ".join(map(quoted, rule.prediction_key))
    first_of_ties = (
        f"arg_min({ROW}, struct_pack({', '.join(f'k{n} := {quoted(name)}' for n, name in enumerate(tie_break))}))"
    )
    moment = f"{keys}, __prediction_time, epoch_us(__prediction_time) AS us"
    moments = (
        f"(SELECT {moment}, {first_of_ties} AS {ROW} FROM prediction GROUP BY ALL\n"
        f"UNION ALL SELECT DISTINCT {moment}, NULL FROM rival)"
    )
    if attribution == "last":
        nearest, within = f"o.__outcome_us - {after} >= p.us", f"o.__outcome_us < p.us + {window}"
    else:
        nearest, within = f"o.__outcome_us - {window} < p.us", f"o.__outcome_us >= p.us + {after}"
    return f"{chosen}FROM ordered o ASOF JOIN {moments} p ON {same} AND {nearest}\nWHERE {within} AND {ROW} IS NOT NULL"


def attribute(
    predictions: pa.Table, rivals: pa.Table, outcomes: pa.Table, rule: AttributionRule, tie_break: Sequence[str]
) -> Attributed:
    """Finds the outcomes in the windows of predictions, and computes the labels of those that have any.

    Args:
        predictions: one row of each, with `ROW`, `__prediction_time` and the key fields.
        rivals: predictions of other moments, alike, for which an outcome may count instead under `first` and `last`.
        outcomes: one row of each, with the outcome's fields.
        rule: how they are matched.
        tie_break: see `attribution_sql`.

    Raises:
        ConfigError: a label's value fails on a value that stands in the log.
        StorageError: memory is full.
    """
    statements = attribution_sql(rule, tie_break)
    engine = connection()
    engine.register("outcome", outcomes)
    try:
        with failures_of(rule):
            engine.register("prediction", predictions)
            engine.register("rival", rivals)
            for statement in statements.prepare:
                engine.execute(statement)
            ((total, known, pairs),) = engine.execute(statements.counts).fetchall()
            labels = tuple(
                pa.concat_tables(
                    _labels_of(window, part) for part in _parts(predictions, pairs if window.by_part else 0)
                )
                for window in statements.windows
            )
            ((attributed,),) = engine.execute(statements.attributed).fetchall()
    finally:
        for table in ("prediction", "rival", "outcome"):
            engine.unregister(table)
        for table in ("matched", "in_window", "ordered"):
            engine.execute(f"DROP TABLE IF EXISTS {table}")
    return Attributed(labels, attributed, known - attributed, total - known)


@contextlib.contextmanager
def failures_of(rule: AttributionRule) -> Iterator[None]:
    """Tells what the engine says of the labels' values, or of the room that it has, as a mistake with what to do about it."""
    names = ", ".join(label.name for label in rule.labels)
    try:
        with in_the_room_there_is():
            yield
    except (duckdb.Error, pa.ArrowInvalid) as error:
        why = (
            f"{type(error).__name__}; guard it, for example with TRY_CAST"
            if isinstance(error, duckdb.Error)
            else "a whole number of more than 64 bits; make it a double, for example with sum(n::DOUBLE)"
        )
        raise ConfigError(f"labels {names}: the value fails on the log: {why}") from None


def _parts(predictions: pa.Table, pairs: int) -> Iterator[pa.Table]:
    """The predictions in parts whose pairs with outcomes fit into memory.

    They stand in the order of a hash, so that those of a hot key are spread evenly.
    """
    count = max(1, -(-pairs // PAIRS))
    rows = max(1, -(-predictions.num_rows // count))
    for start in range(0, max(1, predictions.num_rows), rows):
        yield predictions.slice(start, rows)


def _labels_of(window: WindowSql, predictions: pa.Table) -> pa.Table:
    engine = connection()
    engine.register("prediction", predictions)
    engine.execute(window.match)
    labels = finite(with_plain_types(engine.sql(window.labels).to_arrow_table()))
    engine.execute(window.keep)
    return labels


def finite(labels: pa.Table) -> pa.Table:
    """The same labels.

    Raises:
        ConfigError: one is infinite or NaN. That is nothing to train on, and most measures of a column that holds one are no numbers.
    """
    for name in labels.column_names:
        column = labels.column(name)
        if pa.types.is_floating(column.type) and not pc.all(pc.is_finite(column), min_count=0).as_py():
            raise ConfigError(f"labels {name}: the value is not a finite number for some predictions: {NOT_FINITE}")
    return labels
