"""Feature skew: the same prediction as it was logged at serving time and as it is found in training, value by value.

After TensorFlow Data Validation's feature skew detector (https://www.tensorflow.org/tfx/data_validation/get_started, "Feature Skew"):
rows are joined by key, and only rows whose key is there once on either side can be compared.
"""

import dataclasses
from collections.abc import Sequence

import pyarrow as pa

from retrolabel.schemas.errors import InputError
from retrolabel.transforms.kernels.engine import connection
from retrolabel.transforms.kernels.expressions import quoted

EXAMPLES = 3
"""Pairs told of each feature that differs, the first in the order of their keys."""


@dataclasses.dataclass(frozen=True)
class FeatureSkew:
    """One feature in the joined rows: `rows = same + different + only_training + only_serving`."""

    name: str
    same: int
    """Equal values, or missing on both sides."""
    different: int
    only_training: int
    """Missing at serving time alone."""
    only_serving: int
    """Missing in training alone."""
    examples: tuple[tuple[str, str | None, str | None], ...]
    """Key, value in training and value at serving time of the first rows that are not the same."""

    @property
    def rate(self) -> float:
        """The share of rows that are not the same; 0 without rows."""
        unequal = self.different + self.only_training + self.only_serving
        return unequal / (self.same + unequal) if unequal else 0.0


@dataclasses.dataclass(frozen=True)
class Skew:
    """Two sides of the same predictions."""

    training_rows: int
    serving_rows: int
    joined: int
    repeated: int
    """Rows of either side whose key is there more than once on it: which of them is meant is not known."""
    missing_columns: tuple[tuple[str, str], ...]
    """Schema skew: columns that one side lacks, and which side."""
    changed_types: tuple[tuple[str, str, str], ...]
    """Schema skew: columns of another type in training than at serving time; they are compared as texts."""
    features: tuple[FeatureSkew, ...]
    """In the order of the training side's columns."""


def feature_skew(training: pa.Table, serving: pa.Table, key: Sequence[str], tolerance: float = 0.0) -> Skew:
    """Compares two tables of the same predictions.

    Args:
        training: rows with the key and any features.
        serving: the same as logged at serving time.
        key: the columns that name a prediction on both sides.
        tolerance: how far apart two numbers may be and still be the same, relative to the larger one.

    Raises:
        InputError: a side lacks a column of the key.
    """
    for side, table in (("training", training), ("serving", serving)):
        for name in key:
            if name not in table.column_names:
                raise InputError(
                    f"the {side} side has no column {name!r} to join by; it has {', '.join(table.column_names[:20])}"
                )
    shared = [name for name in training.column_names if name in serving.column_names and name not in key]
    engine = connection()
    engine.register("training", training)
    engine.register("serving", serving)
    try:
        joined, repeated = _join(key)
        verdicts = {
            name: _verdict(name, training.schema.field(name).type, serving.schema.field(name).type, tolerance)
            for name in shared
        }
        counts = ", ".join(
            f"count(*) FILTER ({verdict} = {number})" for verdict in verdicts.values() for number in range(1, 4)
        )
        ((rows, doubled, *found),) = engine.execute(
            f"{joined}\nSELECT count(*), ({repeated}){', ' if counts else ''}{counts} FROM joined"
        ).fetchall()
        features = []
        for place, (name, verdict) in enumerate(verdicts.items()):
            different, only_training, only_serving = found[3 * place : 3 * place + 3]
            examples = _examples(joined, name, verdict, key) if different + only_training + only_serving else ()
            same = rows - different - only_training - only_serving
            features.append(FeatureSkew(name, same, different, only_training, only_serving, examples))
    finally:
        engine.unregister("training")
        engine.unregister("serving")
    only = [(name, "serving") for name in training.column_names if name not in serving.column_names]
    only += [(name, "training") for name in serving.column_names if name not in training.column_names]
    types = [(name, str(training.schema.field(name).type), str(serving.schema.field(name).type)) for name in shared]
    changed = tuple((name, mine, theirs) for name, mine, theirs in types if not _comparable(training, serving, name))
    return Skew(training.num_rows, serving.num_rows, rows, doubled, tuple(only), changed, tuple(features))


def _join(key: Sequence[str]) -> tuple[str, str]:
    """The rows that can be compared, and how many cannot because their key is there more than once."""
    keys = ", ".join(map(quoted, key))
    same = " AND ".join(f"__t.{quoted(name)} = __s.{quoted(name)}" for name in key)
    sides = ",\n".join(
        f"{side}_twice AS (SELECT {keys}, count(*) AS rows FROM {side} GROUP BY {keys} HAVING count(*) > 1),\n"
        f"{side}_once AS (SELECT * FROM {side} ANTI JOIN {side}_twice USING ({keys}))"
        for side in ("training", "serving")
    )
    joined = f"WITH {sides},\njoined AS (SELECT __t, __s FROM training_once __t JOIN serving_once __s ON {same})"
    return (
        joined,
        "SELECT coalesce(sum(rows), 0)::BIGINT FROM (SELECT rows FROM training_twice UNION ALL SELECT rows FROM serving_twice)",
    )


def _verdict(name: str, training: pa.DataType, serving: pa.DataType, tolerance: float) -> str:
    """SQL: 0 the same, 1 different, 2 missing at serving time alone, 3 missing in training alone."""
    mine, theirs = f"__t.{quoted(name)}", f"__s.{quoted(name)}"
    if _is_number(training) and _is_number(serving):
        apart = f"{mine} <> {theirs}"
        if tolerance:
            apart = f"({apart} AND NOT coalesce(abs({mine}::DOUBLE - {theirs}::DOUBLE) <= {tolerance!r} * greatest(abs({mine}::DOUBLE), abs({theirs}::DOUBLE)), false))"
    elif _kind(training) == _kind(serving):
        apart = f"{mine} <> {theirs}"
    else:
        apart = f"{mine}::VARCHAR <> {theirs}::VARCHAR"
    return (
        f"(CASE WHEN {mine} IS NULL AND {theirs} IS NULL THEN 0 WHEN {theirs} IS NULL THEN 2 WHEN {mine} IS NULL THEN 3 "
        f"WHEN {apart} THEN 1 ELSE 0 END)"
    )


def _examples(
    joined: str, name: str, verdict: str, key: Sequence[str]
) -> tuple[tuple[str, str | None, str | None], ...]:
    keys = ", ".join(f"__t.{quoted(one)}::VARCHAR" for one in key)
    rows = (
        connection()
        .execute(
            f"{joined}\nSELECT concat_ws(', ', {keys}) AS key, __t.{quoted(name)}::VARCHAR, __s.{quoted(name)}::VARCHAR\n"
            f"FROM joined WHERE {verdict} > 0 ORDER BY ALL LIMIT {EXAMPLES}"
        )
        .fetchall()
    )
    return tuple((key, mine, theirs) for key, mine, theirs in rows)


def _comparable(training: pa.Table, serving: pa.Table, name: str) -> bool:
    mine, theirs = training.schema.field(name).type, serving.schema.field(name).type
    return (_is_number(mine) and _is_number(theirs)) or _kind(mine) == _kind(theirs)


def _is_number(found: pa.DataType) -> bool:
    return bool(pa.types.is_integer(found) or pa.types.is_floating(found))


def _kind(found: pa.DataType) -> str:
    """Types that differ only in how they are stored are one."""
    if pa.types.is_dictionary(found):
        found = found.value_type
    if pa.types.is_large_string(found) or pa.types.is_string_view(found):
        found = pa.string()
    if pa.types.is_list(found) or pa.types.is_large_list(found):
        return f"list of {'number' if _is_number(found.value_type) else _kind(found.value_type)}"
    return "timestamp" if pa.types.is_timestamp(found) else str(found)
