"""From unique predictions and their labels to examples: maturity, sampling, weight and split."""

import dataclasses
import datetime
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from retrolabel.transforms.kernels.attribution import DELAY, ROW, AttributionRule, LabelRule
from retrolabel.transforms.kernels.delays import DelayCounts, count_delays
from retrolabel.transforms.kernels.hashing import fraction_of, stable_hash

WEIGHT = "weight"
ALL = "all"
"""The part of a dataset that has no `split`."""


@dataclasses.dataclass(frozen=True)
class SplitRule:
    """Into which part a row goes."""

    by: tuple[str, ...]
    names: tuple[str, ...]
    bounds: tuple[float, ...] | tuple[int, ...]
    """Up to which fraction of the hash, or up to which time in microseconds of UTC, each part but the last goes."""
    by_time: bool


@dataclasses.dataclass(frozen=True)
class ExampleRule:
    """How predictions become examples."""

    key: tuple[str, ...]
    time: str
    attributions: tuple[AttributionRule, ...]
    split: SplitRule | None
    keep_negatives: float
    """The share of negatives that is kept."""
    sampled: bool
    """Whether the config samples at all, and the weight is written."""

    @property
    def labels(self) -> tuple[tuple[AttributionRule, LabelRule], ...]:
        """Every label, with the rule of its outcome."""
        return tuple((attribution, label) for attribution in self.attributions for label in attribution.labels)


@dataclasses.dataclass(frozen=True)
class Examples:
    """`unique predictions = examples + immature + sampled_out`."""

    parts: dict[str, pa.Table]
    """The examples of each split."""
    immature: int
    sampled_out: int
    delays: dict[str, DelayCounts]
    """Of each label, how long all unique predictions waited."""
    labels: Mapping[str, pa.Array]
    """Every label of the unique predictions, published or not, as far as outcomes are known."""
    first: Mapping[str, npt.NDArray[np.int64]]
    """Of each label that has outcomes, microseconds from each of them to its first outcome; -1 without one."""


def make_examples(
    predictions: pa.Table,
    rows: npt.NDArray[np.int64],
    labels: Sequence[pa.Table],
    rule: ExampleRule,
    watermarks: Mapping[str, int],
    order: Sequence[str],
) -> Examples:
    """Puts the labels beside the predictions, and keeps what may be published. Wide rows are copied once, at the very end.

    Args:
        predictions: all of the shard, duplicates included, in any order.
        rows: where the unique ones stand, in canonical order.
        labels: tables of `ROW`, a position in `rows`, `DELAY` and label columns, for the predictions that have outcomes.
        rule: how predictions become examples.
        watermarks: of each outcome, up to when its log is complete, in microseconds of UTC; none if nothing is known.
        order: names of the label columns in the order of the config.
    """
    times = predictions.column(rule.time).cast(pa.int64()).to_numpy()[rows]
    columns = _label_columns(len(rows), labels, rule)
    kept = np.ones(len(rows), dtype=np.bool_)
    known = {
        outcome: watermarks.get(outcome, -(2**62)) - times for outcome in {rule.outcome for rule, _ in rule.labels}
    }
    for attribution, label in rule.labels:
        kept &= label.window <= known[attribution.outcome]
    mature = int(kept.sum())
    added = {name: columns[name] for name in order}
    if rule.sampled:
        negative = _is_negative([columns[name] for name in order], len(rows))
        kept &= ~negative | (fraction_of(stable_hash(predictions, rule.key, "sample")[rows]) < rule.keep_negatives)
        added[WEIGHT] = pa.array(np.where(negative, 1 / rule.keep_negatives, 1.0))
    parts = {}
    for name, member in _splits(predictions, rows, rule, times).items():
        chosen = np.flatnonzero(member & kept)
        part = predictions.take(pa.array(rows[chosen]))
        for column, values in added.items():
            part = part.append_column(column, values.take(pa.array(chosen)))
        parts[name] = part
    first = _first_outcomes(len(rows), labels)
    never = np.full(len(rows), -1, dtype=np.int64)
    delays = {
        label.name: count_delays(first.get(label.name, never), known[attribution.outcome], label.window)
        for attribution, label in rule.labels
    }
    return Examples(parts, len(rows) - mature, mature - int(kept.sum()), delays, columns, first)


def _first_outcomes(rows: int, labels: Sequence[pa.Table]) -> dict[str, npt.NDArray[np.int64]]:
    """Of each label that has outcomes, microseconds to the first of each prediction; -1 without one."""
    found = {}
    for table in labels:
        delays = np.full(rows, -1, dtype=np.int64)
        delays[table.column(ROW).to_numpy()] = table.column(DELAY).to_numpy()
        found.update(dict.fromkeys(table.column_names, delays))
    return found


def _label_columns(rows: int, labels: Sequence[pa.Table], rule: ExampleRule) -> dict[str, pa.Array]:
    rules = {label.name: label for _, label in rule.labels}
    columns: dict[str, pa.Array] = {}
    for table in labels:
        places = np.full(rows, -1, dtype=np.int64)
        places[table.column(ROW).to_numpy()] = np.arange(table.num_rows)
        found = pa.array(places, mask=places < 0)
        for name in table.column_names:
            if name in (ROW, DELAY):
                continue
            label = rules[name]
            values = table.column(name).combine_chunks().cast(label.type).take(found)
            if label.when_none is not None:
                matched = pa.array(places >= 0)
                values = pc.if_else(matched, values, pa.scalar(label.when_none, label.type))
            columns[name] = values
    for name, label in rules.items():
        if name not in columns:
            columns[name] = pa.repeat(pa.scalar(label.when_none, label.type), rows)
    return columns


def _is_negative(labels: Sequence[pa.Array], rows: int) -> npt.NDArray[np.bool_]:
    """Rows all of whose labels are false, zero or null."""
    negative = np.ones(rows, dtype=np.bool_)
    for column in labels:
        if pa.types.is_boolean(column.type):
            said = pc.fill_null(column, False)
        elif pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
            said = pc.fill_null(pc.not_equal(column, 0), False)
        else:
            said = pc.is_valid(column)
        negative &= ~said.to_numpy(zero_copy_only=False)
    return negative


def _splits(
    predictions: pa.Table, rows: npt.NDArray[np.int64], rule: ExampleRule, times: npt.NDArray[np.int64]
) -> dict[str, npt.NDArray[np.bool_]]:
    """Of each split, which of the rows are its members."""
    if rule.split is None:
        return {ALL: np.ones(len(rows), dtype=np.bool_)}
    place = times if rule.split.by_time else fraction_of(stable_hash(predictions, rule.split.by, "split")[rows])
    part = np.searchsorted(np.array(rule.split.bounds), place, side="right")
    return {name: part == number for number, name in enumerate(rule.split.names)}


def day_bounds(date: datetime.date, timezone: datetime.tzinfo) -> tuple[int, int]:
    """Microseconds of UTC of the first moment of a day and of the first after it; 23 to 25 hours apart where clocks change."""
    return tuple(  # type: ignore[return-value]
        round(datetime.datetime.combine(day, datetime.time(), timezone).timestamp()) * 1_000_000
        for day in (date, date + datetime.timedelta(days=1))
    )
