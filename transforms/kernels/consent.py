"""The SQL of consent: what people had decided when a prediction was made, and whether they withdrew before its windows closed."""

import dataclasses
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from retrolabel.transforms.kernels.engine import connection
from retrolabel.transforms.kernels.expressions import quoted

KEPT, UNDECIDED, REFUSED, WITHDRAWN = 0, 1, 2, 3

DECIDED, GRANTED = "__decided", "__granted"
"""Columns of a decision, beside its key: its moment in microseconds of UTC, and whether it is consent."""

ALWAYS = -(2**62)
"""The moment of decisions that have none: before every event."""


@dataclasses.dataclass(frozen=True)
class ConsentRule:
    """How decisions are matched with predictions."""

    key: tuple[str, ...]
    """The decision's fields that say whose it is."""
    prediction_key: tuple[str, ...]
    """The prediction's fields that these equal, in the same order."""
    time: str
    """The decision's time; empty if it holds for every event."""
    state: str
    granted: tuple[str, ...]
    """The texts that mean consent; none if `state` is a boolean."""
    keep_undecided: bool
    prediction_time: str
    window: int
    """Microseconds from a prediction to the close of its last window."""


Numbers = npt.NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class Consented:
    """`predictions = kept + undecided + refused + withdrawn`."""

    kept: npt.NDArray[np.bool_]
    undecided: int
    refused: int
    """Predictions whose person's last decision was not consent."""
    withdrawn: int
    """Predictions with consent that was withdrawn before their last window closed."""
    attributed: Numbers
    """The numbers of the decisions that say of a prediction that it may be used, or that it may not."""
    known: Numbers
    """The numbers of the decisions of people with predictions."""


@dataclasses.dataclass(frozen=True)
class DecisionCounts:
    """`decisions = duplicate + unique`, `unique = attributed + unattributed + orphan`."""

    duplicate: int
    """Decisions that are there more than once: of equal person, moment and state."""
    unique: int
    attributed: int
    unattributed: int
    """Decisions of people with predictions, where another one counted for each."""
    orphan: int
    """Decisions of people without predictions."""


@dataclasses.dataclass(frozen=True)
class ConsentSql:
    """The statements of a shard, over `prediction` (`__us`, the keys) and `decision` (`DECIDED`, `GRANTED`, the keys)."""

    prepare: str
    """One row of each person and moment; of decisions that contradict each other the refusal counts."""
    fates: str
    """Of each prediction, by its number, what becomes of it, and the numbers of the decisions that say so."""
    known: str
    """The numbers of the decisions of people with predictions."""


def decisions_of(table: pa.Table, rule: ConsentRule) -> pa.Table:
    """What is needed of a block of the log of consent: keys, `DECIDED` and `GRANTED`."""
    state = table.column(rule.state)
    given = pc.is_in(state, value_set=pa.array(rule.granted, pa.string())) if rule.granted else state
    always = pa.repeat(pa.scalar(ALWAYS, pa.int64()), table.num_rows)
    moments = table.column(rule.time).cast(pa.int64()) if rule.time else always
    keys = {name: table.column(name) for name in rule.key}
    return pa.table({**keys, DECIDED: moments, GRANTED: pc.fill_null(given, False)})


def consent_sql(rule: ConsentRule) -> ConsentSql:
    """The statements that match predictions with decisions; the `ASOF JOIN`s take time n log n however many share a person."""
    keys = ", ".join(map(quoted, rule.key))
    last, next_ = (_equal(rule, "p", other) for other in ("d", "r"))
    undecided = "" if rule.keep_undecided else f"WHEN d.number IS NULL THEN {UNDECIDED} "
    return ConsentSql(
        f"CREATE OR REPLACE TEMP TABLE decided AS\n"
        f"SELECT {keys}, {DECIDED}, bool_and({GRANTED}) AS granted, count(DISTINCT {GRANTED}) AS states, row_number() OVER () AS number\n"
        f"FROM decision GROUP BY {keys}, {DECIDED}",
        f"SELECT d.number AS last, CASE WHEN r.{DECIDED} < p.__us + {rule.window} THEN r.number END AS next,\n"
        f"       CASE {undecided}WHEN NOT d.granted THEN {REFUSED} WHEN next IS NOT NULL THEN {WITHDRAWN} ELSE {KEPT} END::UTINYINT AS fate\n"
        f"FROM prediction p\n"
        f"ASOF LEFT JOIN decided d ON {last} AND p.__us >= d.{DECIDED}\n"
        f"ASOF LEFT JOIN (SELECT * FROM decided WHERE NOT granted) r ON {next_} AND p.__us < r.{DECIDED}\n"
        f"ORDER BY p.__row",
        f"SELECT number FROM decided d SEMI JOIN prediction p ON {last}",
    )


def _equal(rule: ConsentRule, prediction: str, decision: str) -> str:
    pairs = zip(rule.prediction_key, rule.key, strict=True)
    return " AND ".join(f"{prediction}.{quoted(theirs)} = {decision}.{quoted(mine)}" for theirs, mine in pairs)


def decided(decisions: pa.Table, rule: ConsentRule) -> pa.Table:
    """One row of each person and moment.

    Args:
        decisions: as `decisions_of` makes them, in any order, deliveries of one decision among them.
        rule: how they are matched.

    Returns:
        Their keys, `DECIDED`, `granted`, `states` (how many different decisions it stands for) and `number`.
    """
    engine = connection()
    engine.register("decision", decisions)
    try:
        engine.execute(consent_sql(rule).prepare)
        found: pa.Table = engine.sql("FROM decided ORDER BY number").to_arrow_table()
        return found
    finally:
        engine.unregister("decision")
        engine.execute("DROP TABLE IF EXISTS decided")


def consented(predictions: pa.Table, once: pa.Table, rule: ConsentRule) -> Consented:
    """Finds the predictions that may be used.

    Args:
        predictions: with their keys and time; not yet unique, and not necessarily all.
        once: what `decided` made of all decisions of their people.
        rule: how they are matched.
    """
    statements = consent_sql(rule)
    narrow = {
        "__row": pa.array(np.arange(predictions.num_rows)),
        "__us": predictions.column(rule.prediction_time).cast(pa.int64()),
        **{name: predictions.column(name) for name in rule.prediction_key},
    }
    engine = connection()
    engine.register("prediction", pa.table(narrow))
    engine.register("decided", once)
    try:
        found = engine.sql(statements.fates).to_arrow_table()
        known = engine.sql(statements.known).to_arrow_table().column("number").to_numpy()
    finally:
        engine.unregister("prediction")
        engine.unregister("decided")
    fates = found.column("fate").to_numpy()
    counts = np.bincount(fates, minlength=4).tolist()
    ended = found.filter(pa.array(fates == WITHDRAWN)).column("next")
    attributed = pc.unique(pa.chunked_array([*found.column("last").chunks, *ended.chunks], pa.int64())).drop_null()
    return Consented(
        fates == KEPT, counts[UNDECIDED], counts[REFUSED], counts[WITHDRAWN], attributed.to_numpy(), known
    )  # fmt: skip


def count_decisions(
    decisions: int, once: pa.Table, attributed: Iterable[Numbers], known: Iterable[Numbers]
) -> DecisionCounts:
    """What became of so many decisions, by the numbers of those that were found for one part of the predictions or another."""
    states = once.column("states").to_numpy()
    unique = int(states.sum())
    of_people = int(states[_any_of(known) - 1].sum())
    counted = len(_any_of(attributed))
    return DecisionCounts(decisions - unique, unique, counted, of_people - counted, unique - of_people)


def _any_of(numbers: Iterable[Numbers]) -> Numbers:
    return np.unique(np.concatenate([np.empty(0, dtype=np.int64), *numbers]))
