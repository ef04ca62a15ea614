"""Attribution of more rows than memory should hold: the SQL of `attribution.py`, over tables that DuckDB keeps on disk where they do not fit."""

import dataclasses
from collections.abc import Iterator, Sequence

import duckdb
import pyarrow as pa

from retrolabel.transforms.kernels import attribution
from retrolabel.transforms.kernels.attribution import (
    ROW,
    AttributionRule,
    WindowSql,
    attribution_sql,
    failures_of,
    finite,
)
from retrolabel.transforms.kernels.expressions import quoted, with_plain_types

LABELLED = 1_000_000
"""Outcomes whose labels are computed at a time: what aggregates hold of them cannot wait on disk."""

READ = 250_000
"""Predictions whose labels are read at a time."""

PREDICTIONS, RIVALS = "rows of predictions", "rows of rivals"
"""The tables of the columns of `prediction` and `rival`; `ROW` counts the predictions."""


def outcomes_table(outcome: str) -> str:
    """The table of an outcome's fields."""
    return f"rows of outcome {outcome}"


@dataclasses.dataclass(frozen=True)
class AttributedOnDisk:
    """`rows of outcomes = duplicate + unique`, `unique = attributed + unattributed + orphan`; see `Attributed`."""

    tables: tuple[str, ...]
    """Of each window, the table of the labels, for `stored_labels`."""
    duplicate: int
    unique: int
    attributed: int
    unattributed: int
    orphan: int


def attribute_on_disk(
    engine: duckdb.DuckDBPyConnection, rule: AttributionRule, own: Sequence[str], distinct: bool
) -> AttributedOnDisk:
    """Does what `attribute` does, and leaves the labels in tables.

    Args:
        engine: has what `append` put into the tables `PREDICTIONS`, `RIVALS` and `outcomes_table`; none may be missing.
        rule: how they are matched.
        own: the predictions' key, which breaks ties, and comes with the labels.
        distinct: whether outcomes of equal fields are one.

    Raises:
        ConfigError: a label's value fails on a value that stands in the log.
        StorageError: memory or disk are full.
    """
    statements = attribution_sql(rule, own)
    outcomes, fields = quoted(outcomes_table(rule.outcome)), ", ".join(map(quoted, rule.fields))
    with failures_of(rule):
        ((rows,),) = engine.execute(f"SELECT count(*) FROM {outcomes}").fetchall()
        ((predictions,),) = engine.execute(f"SELECT count(*) FROM {quoted(PREDICTIONS)}").fetchall()
        _view(engine, "outcome", f"SELECT {'DISTINCT ' if distinct else ''}{fields} FROM {outcomes}")
        _view(engine, "rival", f"FROM {quoted(RIVALS)}")
        _view(engine, "prediction", f"FROM {quoted(PREDICTIONS)}")
        for statement in statements.prepare:
            engine.execute(statement)
        ((total, known, pairs),) = engine.execute(statements.counts).fetchall()
        tables = []
        for number, window in enumerate(statements.windows):
            tables.append(f"labels of {rule.outcome} in window {number}")
            _store_labels(engine, window, tables[-1], own, predictions, pairs)
        ((attributed,),) = engine.execute(statements.attributed).fetchall()
    return AttributedOnDisk(tuple(tables), rows - total, total, attributed, known - attributed, total - known)


def stored_labels(
    engine: duckdb.DuckDBPyConnection, table: str, rule: AttributionRule, own: Sequence[str]
) -> Iterator[pa.Table]:
    """The labels of a window, `DELAY` and a column a label, with the predictions' own key; some rows at a time."""
    with failures_of(rule):
        for batch in engine.sql(f"FROM {quoted(table)}").to_arrow_reader(READ):
            found = pa.Table.from_batches([batch])
            labels = finite(with_plain_types(found.drop_columns([_own(number) for number in range(len(own))])))
            for number, name in enumerate(own):
                labels = labels.append_column(name, found.column(_own(number)))
            yield labels


def _own(number: int) -> str:
    return f"__own_{number}"


def _view(engine: duckdb.DuckDBPyConnection, name: str, sql: str) -> None:
    engine.execute(f"CREATE OR REPLACE TEMP VIEW {name} AS {sql}")


def _store_labels(
    engine: duckdb.DuckDBPyConnection, window: WindowSql, table: str, own: Sequence[str], predictions: int, pairs: int
) -> None:
    """Computes the labels of predictions of some numbers at a time. Numbers follow no order of key or time: each range has its share of a hot key."""
    if window.by_part:
        for rows in _ranges(predictions, pairs, attribution.PAIRS):
            _view(engine, "prediction", f"FROM {quoted(PREDICTIONS)} WHERE {rows}")
            engine.execute(window.match)
            _store(engine, window, table, own, rows)
            engine.execute(window.keep)
        return
    _view(engine, "prediction", f"FROM {quoted(PREDICTIONS)}")
    engine.execute(window.match)
    engine.execute(window.keep)
    engine.execute("ALTER TABLE matched RENAME TO pair")
    ((matched,),) = engine.execute("SELECT count(*) FROM pair").fetchall()
    for rows in _ranges(predictions, matched, LABELLED):
        _view(engine, "matched", f"FROM pair WHERE {rows}")
        _store(engine, window, table, own, rows)
    engine.execute("DROP VIEW matched")
    engine.execute("DROP TABLE pair")


def _store(engine: duckdb.DuckDBPyConnection, window: WindowSql, table: str, own: Sequence[str], rows: str) -> None:
    keys = ", ".join(f"p.{quoted(name)} AS {_own(number)}" for number, name in enumerate(own))
    labels = (
        f"SELECT l.* EXCLUDE ({ROW}), {keys}\n"
        f"FROM ({window.labels}) l JOIN (FROM {quoted(PREDICTIONS)} WHERE {rows}) p USING ({ROW})"
    )
    engine.execute(f"CREATE TEMP TABLE IF NOT EXISTS {quoted(table)} AS {labels} WITH NO DATA")
    engine.execute(f"INSERT INTO {quoted(table)} {labels}")


def _ranges(predictions: int, pairs: int, at_a_time: int) -> Iterator[str]:
    """Conditions that part the predictions, so that each part has about so many pairs; one if there are none."""
    step = max(1, -(-predictions // max(1, -(-pairs // at_a_time))))
    for start in range(0, max(1, predictions), step):
        yield f"{ROW} >= {start} AND {ROW} < {start + step}"
