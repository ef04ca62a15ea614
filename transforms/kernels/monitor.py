"""What the predictions of a shard say of the model that made them: counts and sums from which its quality is worked out later.

Everything is a row of one table, `STATISTICS`, and adds up: the rows of two shards with equal keys, added, are those of both together.
Scores are counted in cells of a fixed grid, so that ranks, and with them AUC, can be had without sorting the scores of a day in one place.
"""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from retrolabel.schemas.errors import ConfigError
from retrolabel.transforms.kernels.delays import BOUNDS
from retrolabel.transforms.kernels.engine import connection

Flags = npt.NDArray[np.bool_]

_WORD = pa.dictionary(pa.int32(), pa.string())

STATISTICS = pa.schema([
    ("statistic", _WORD),  # what is counted, see below
    ("attribute", _WORD),  # the field or fields of a slice; empty for all rows
    ("value", _WORD),  # theirs; null where the log has none
    ("bin", pa.int32()),  # of `cell`: the cell; of `position`: the position
    ("age", pa.int32()),  # 0 for matured predictions, else 1 + the age at which the outcome logs end
    ("rows", pa.int64()),
    ("positives", pa.int64()),
    ("total", pa.float64()),
    ("squares", pa.float64()),
])  # fmt: skip
"""`statistic` is one of

- `predictions`, `unscored`, `unlabelled`, `immature`: numbers of rows, the latter three being parts of the first.
- `cell`: rows, positives and the sum of the scores, of a label that is true or false.
- `error`, `absolute_error`, `squared_error`, `score`, `label`: rows, sum, sum of squares, of a label that is a number.
- `position`: rows, positives, sum and sum of squares of the label.
- `queries`, `ndcg`, `ndcg_at_10`: see `kernels/ndcg.py`.
- `policy_weight`, `policy_reward`, `policy_cross`, `policy_doubly_robust`, `policy_refused`: of the policy that `value` names.
- `too_many_values`: attributes that are not measured.
- `left_out`: rows of values that are not published; `positives` is the number of values.
"""

NUMBERS = ("error", "absolute_error", "squared_error", "score", "label")
"""The statistics of a label that is a number."""

KEYS = ("statistic", "attribute", "value", "bin", "age")

FINE, COARSE = 10, 4
"""Bits of the mantissa: 1,024 cells for each halving of a score over all rows, 16 in slices."""

AGES = len(BOUNDS) + 1
"""Ages are the bins of delays (`kernels/delays.py`): an age is known to 9.2 %."""

MAX_VALUES = 400
"""An attribute with more values in one shard is not measured."""

KEPT_VALUES = 100
"""Of each attribute the values with the most rows that are published."""

_HALF = 0x3F000000
"""The bits of 0.5 as a 32-bit float."""

_HEAD = 4096
"""Rows from which it is told that an attribute has too many values, before all are looked at."""

_LAST_POSITION = 1000

_AT_ONCE = 8

_DENSE = 2**20
"""Up to which key it is quicker to count in a table of all keys than to sort those that occur."""


@dataclasses.dataclass(frozen=True)
class PolicyRule:
    """Another policy, valued on this one's log."""

    name: str
    probability: str
    value: str | None


@dataclasses.dataclass(frozen=True)
class MonitorRule:
    """What is measured."""

    score: str
    label: str
    foretold: bool
    """Whether the first outcome settles the label: then it can be told from delays how many are still to come."""
    outcome: str
    window: int
    """Of the label, in microseconds."""
    time: str
    threshold: float
    model: str | None
    position: str | None
    query: tuple[str, ...]
    propensity: str | None
    policies: tuple[PolicyRule, ...]
    attributes: tuple[tuple[str, ...], ...]
    min_rows: int


def measure(
    predictions: pa.Table,
    rows: npt.NDArray[np.int64],
    labels: Mapping[str, pa.Array],
    first: npt.NDArray[np.int64] | None,
    rule: MonitorRule,
    watermark: int | None,
) -> pa.Table:
    """The statistics of one shard.

    Args:
        predictions: all of the shard, in any order.
        rows: where the unique ones stand, in canonical order.
        labels: the label columns of these, as far as outcomes are known.
        first: microseconds from each of these to the first outcome of the label, -1 without one; None if there is no outcome at all.
        rule: what is measured.
        watermark: up to when the label's outcome log is known, in microseconds of UTC; None if nothing is.

    Returns:
        A table of `STATISTICS`, to be merged with those of the other shards.

    Raises:
        ConfigError: the SQL of a policy fails on a value that stands in the log.
    """
    found = _Measured(predictions, rows, labels[rule.label], rule, watermark)
    tables = [_numbers_of_rows(found)]
    if found.binary:
        tables += _cells(found, first)
    else:
        tables += _errors(found)
    if rule.position:
        tables.append(_positions(found, rule.position))
    tables += _policies(found)
    return pa.concat_tables(tables)


class _Measured:
    """The columns that all measures need, of unique predictions in canonical order."""

    def __init__(
        self,
        predictions: pa.Table,
        rows: npt.NDArray[np.int64],
        label: pa.Array,
        rule: MonitorRule,
        watermark: int | None,
    ) -> None:
        self.predictions, self.rows, self.rule = predictions, rows, rule
        self.binary = pa.types.is_boolean(label.type)
        self.score = numbers(predictions.column(rule.score))[rows]
        self.label = numbers(label)
        times = predictions.column(rule.time).cast(pa.int64()).to_numpy()[rows]
        self.elapsed = (watermark if watermark is not None else -(2**62)) - times
        self.mature = self.elapsed >= rule.window
        self.scored = np.isfinite(self.score)
        self.labelled = self.mature & np.isfinite(self.label)
        self.usable = self.labelled & self.scored

    def observed(self, first: npt.NDArray[np.int64] | None) -> Flags:
        """Whether the label is known to be true; of immature predictions, by an outcome that came before the outcome logs end."""
        true: Flags = self.label == 1
        if first is not None:
            true &= self.mature | (first <= self.elapsed)
        return true


def numbers(column: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.float64]:
    """Numbers or booleans as floats; null is NaN."""
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    values: npt.NDArray[np.float64] = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return values


def cells_of(scores: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """The cell of each score: the leading bits of a 32-bit float, of `1 - score` above a half, so that both ends of [0, 1] are fine.

    The order of cells is that of scores; equal scores share a cell. Integer arithmetic alone: every machine finds the same cells.
    """
    upper = (scores > 0.5) & (scores <= 1)
    size = np.minimum(np.abs(np.where(upper, 1 - scores, scores)), np.finfo(np.float32).max)
    bits = size.astype(np.float32).view(np.int32).astype(np.int64)
    ordered = np.where(upper, 2 * _HALF - bits, np.where(scores < 0, -1 - bits, bits))
    above = scores > 1
    if above.any():
        ordered = np.where(above, 2 * _HALF + 1 + bits - np.int64(0x3F800000), ordered)
    return ordered >> (23 - FINE)


def _words(values: Sequence[str | None], codes: npt.NDArray[np.int64]) -> pa.DictionaryArray:
    """A column of few different texts."""
    found = pa.array(values, pa.string()).dictionary_encode()
    return pa.DictionaryArray.from_arrays(found.indices.take(pa.array(codes)), found.dictionary)


def _rows_of(statistic: str, size: int, attribute: str = "", value: pa.Array | None = None, **numbers: Any) -> pa.Table:
    """Rows of `STATISTICS`; numbers that are not given are zero."""
    same = np.zeros(size, dtype=np.int64)
    words = {
        "statistic": _words([statistic], same),
        "attribute": _words([attribute], same),
        "value": _words([None], same),
    }
    if value is not None:
        words["value"] = value
    columns = [
        words[field.name] if field.name in words else pa.array(numbers.get(field.name, same)).cast(field.type)
        for field in STATISTICS
    ]
    return pa.Table.from_arrays(columns, schema=STATISTICS)


def _numbers_of_rows(found: _Measured) -> pa.Table:
    counts = {
        "predictions": len(found.rows),
        "unscored": int((~found.scored).sum()),
        "unlabelled": int((found.mature & ~found.labelled & found.scored).sum()),
        "immature": int((~found.mature & found.scored).sum()),
    }
    return pa.concat_tables(_rows_of(name, 1, rows=[count]) for name, count in counts.items())


@dataclasses.dataclass(frozen=True)
class _Attribute:
    """A field, or several, as a number a row."""

    name: str
    values: list[str | None]
    codes: npt.NDArray[np.int64]


def _attributes(found: _Measured) -> Iterator[_Attribute | str]:
    """All rows, the model's version, the slices and groups; of an attribute with too many values, its name."""
    everything = np.zeros(len(found.rows), dtype=np.int64)
    yield _Attribute("", [None], everything)
    singles: dict[str, _Attribute | None] = {}
    for fields in dict.fromkeys(
        ((found.rule.model,), *found.rule.attributes) if found.rule.model else found.rule.attributes
    ):
        name, codes, values = ", ".join(fields), everything, [""]
        for field in fields:
            if field not in singles:
                singles[field] = _single(found, field)
            single = singles[field]
            if single is None or len(values) * len(single.values) > MAX_VALUES:
                yield name
                break
            codes = codes * len(single.values) + single.codes
            values = [f"{one}, {other}" if one else other for one in values for other in map(str, single.values)]
        else:
            yield single if len(fields) == 1 and single else _Attribute(name, list(values), codes)


def _single(found: _Measured, field: str) -> _Attribute | None:
    column = found.predictions.column(field).combine_chunks()
    if pa.types.is_floating(column.type):
        return _ranges(field, numbers(column)[found.rows])
    head = column.take(pa.array(found.rows[:_HEAD]))
    if pc.count_distinct(head).as_py() > MAX_VALUES:
        return None
    encoded = column.dictionary_encode(null_encoding="encode")
    texts = encoded.dictionary.cast(pa.string()).to_pylist()
    return (
        _Attribute(field, texts, encoded.indices.to_numpy()[found.rows].astype(np.int64))
        if len(texts) <= MAX_VALUES
        else None
    )


def _ranges(field: str, values: npt.NDArray[np.float64]) -> _Attribute:
    """Numbers by powers of two: ranges that are the same on every day."""
    exponents = np.frexp(np.nan_to_num(values, posinf=0, neginf=0))[1].astype(np.int64)
    kinds = np.where(~np.isfinite(values), 0, np.where(values == 0, 1, np.where(values > 0, 2, 3)))
    found, codes = np.unique((exponents + 2048) * 4 + kinds, return_inverse=True)
    texts: list[str | None] = []
    for code in found.tolist():
        kind, low, high = code % 4, 2.0 ** (code // 4 - 2049), 2.0 ** min(code // 4 - 2048, 1023)
        texts.append([None, "0", f"{low:g} to {high:g}", f"-{high:g} to -{low:g}"][kind])
    return _Attribute(field, texts, codes)


def _cells(found: _Measured, first: npt.NDArray[np.int64] | None) -> Iterator[pa.Table]:
    """Of each attribute's values: rows, positives and scores by cell and age. The threshold parts the cell that holds it in two."""
    chosen = np.flatnonzero(found.usable | (found.scored & ~found.mature) if found.rule.foretold else found.usable)
    scores, positive = found.score[chosen], np.flatnonzero(found.observed(first)[chosen])
    fine, selected = cells_of(scores), (scores >= found.rule.threshold).astype(np.int64)
    ages = np.where(found.mature[chosen], 0, 1 + np.searchsorted(BOUNDS, found.elapsed[chosen]))
    grids = {bits: _Grid((fine >> (FINE - bits)) * 2 + selected, ages) for bits in (FINE, COARSE)}
    for attribute in _attributes(found):
        if isinstance(attribute, str):
            yield _rows_of("too_many_values", 1, attribute)
            continue
        grid = grids[COARSE if attribute.name else FINE]
        groups = _Groups(attribute.codes[chosen] * grid.size + grid.places)
        value, place = np.divmod(groups.keys, grid.size)
        yield _rows_of(
            "cell",
            len(groups.keys),
            attribute.name,
            _words(attribute.values, value),
            bin=grid.cells[place],
            age=grid.ages[place],
            rows=groups.counts,
            positives=np.bincount(groups.members[positive], minlength=len(groups.keys)),
            total=np.bincount(groups.members, weights=scores, minlength=len(groups.keys)),
        )


class _Grid:
    """The cells and ages that occur, numbered densely."""

    def __init__(self, cells: npt.NDArray[np.int64], ages: npt.NDArray[np.int64]) -> None:
        lowest = int(cells.min()) if len(cells) else 0
        known = _Groups(ages)
        groups = _Groups((cells - lowest) * max(len(known.keys), 1) + known.members)
        cell, age = np.divmod(groups.keys, max(len(known.keys), 1))
        self.cells, self.ages = cell + lowest, known.keys[age]
        self.places, self.size = groups.members, len(groups.keys)


class _Groups:
    """Rows of equal key: the keys that occur, ascending, how often each does, and of each row which it has."""

    def __init__(self, keys: npt.NDArray[np.int64]) -> None:
        if len(keys) and int(keys.max()) > _DENSE:
            self.keys, self.members, self.counts = np.unique(keys, return_inverse=True, return_counts=True)
            return
        counts = np.bincount(keys)
        self.keys = np.flatnonzero(counts)
        self.counts = counts[self.keys]
        numbered = np.zeros(len(counts), dtype=np.int64)
        numbered[self.keys] = np.arange(len(self.keys))
        self.members = numbered[keys]


def _errors(found: _Measured) -> Iterator[pa.Table]:
    chosen = np.flatnonzero(found.usable)
    label, score = found.label[chosen], found.score[chosen]
    error = score - label
    with np.errstate(
        over="ignore"
    ):  # a number whose square is beyond a double makes the error infinite, which is told as unknown
        squared = error * error
    measured = dict(zip(NUMBERS, (error, np.abs(error), squared, score, label), strict=True))
    for attribute in _attributes(found):
        if isinstance(attribute, str):
            yield _rows_of("too_many_values", 1, attribute)
            continue
        groups = _Groups(attribute.codes[chosen])
        size = len(groups.keys)
        for name, values in measured.items():
            with np.errstate(over="ignore"):
                squares = values * values
            sums = [np.bincount(groups.members, weights=weights, minlength=size) for weights in (values, squares)]
            words = _words(attribute.values, groups.keys)
            yield _rows_of(name, size, attribute.name, words, rows=groups.counts, total=sums[0], squares=sums[1])


def _positions(found: _Measured, field: str) -> pa.Table:
    """The label by the position in which an item was shown; positions beyond the 1,000th are taken together."""
    positions = numbers(found.predictions.column(field))[found.rows]
    chosen = np.flatnonzero(found.labelled & (positions >= 0))
    groups = _Groups(np.minimum(positions[chosen], _LAST_POSITION).astype(np.int64))
    label, size = found.label[chosen], len(groups.keys)
    return _rows_of(
        "position",
        size,
        bin=groups.keys,
        rows=groups.counts,
        positives=np.bincount(groups.members[np.flatnonzero(label > 0)], minlength=size),
        total=np.bincount(groups.members, weights=label, minlength=size),
        squares=np.bincount(groups.members, weights=label * label, minlength=size),
    )


def _policies(found: _Measured) -> Iterator[pa.Table]:
    """Importance weights, and labels weighted by them (Horvitz and Thompson 1952; Dudík, Langford and Li 2011)."""
    rule = found.rule
    if not rule.policies or rule.propensity is None:
        return
    propensity = numbers(found.predictions.column(rule.propensity))[found.rows]
    for policy in rule.policies:
        probability, value = (
            _values(found.predictions, sql, policy.name)[found.rows] if sql else None
            for sql in (policy.probability, policy.value)
        )
        assert probability is not None
        possible = found.labelled & (propensity > 0) & (propensity <= 1) & (probability >= 0) & (probability <= 1)
        if value is not None:
            possible &= found.scored & np.isfinite(value)
        chosen = np.flatnonzero(possible)
        weight, label = probability[chosen] / propensity[chosen], found.label[chosen]
        reward = weight * label
        sums = {"policy_weight": weight, "policy_reward": reward}
        if value is not None:
            sums["policy_doubly_robust"] = value[chosen] + weight * (label - found.score[chosen])
        name = _words([policy.name], np.zeros(1, dtype=np.int64))
        for statistic, values in sums.items():
            yield _rows_of(
                statistic, 1, value=name, rows=[len(chosen)], total=[_sum(values)], squares=[_sum(values * values)]
            )
        yield _rows_of("policy_cross", 1, value=name, rows=[len(chosen)], total=[_sum(weight * reward)])
        yield _rows_of("policy_refused", 1, value=name, rows=[int(found.labelled.sum()) - len(chosen)])


def _sum(values: npt.NDArray[np.float64]) -> float:
    """Adds one after the other, as every machine does: NumPy's own sum depends on the width of its registers."""
    return float(np.bincount(np.zeros(len(values), dtype=np.int64), weights=values, minlength=1)[0])


def _values(predictions: pa.Table, sql: str, policy: str) -> npt.NDArray[np.float64]:
    engine = connection()
    engine.register("block", predictions)
    try:
        return numbers(engine.sql(f"SELECT ({sql})::DOUBLE AS value FROM block").to_arrow_table().column("value"))
    except duckdb.Error as error:
        raise ConfigError(
            f"monitor.policies.{policy}: the SQL fails on the log: {type(error).__name__}; guard it, for example with TRY_CAST"
        ) from None
    finally:
        engine.unregister("block")


def merge(tables: Iterable[pa.Table]) -> pa.Table:
    """Adds statistics up by their keys, in the order given, and sorts them: null first, then texts by their bytes.

    A few tables at a time, so that those of many shards never stand in memory together.
    """
    merged, remaining = STATISTICS.empty_table(), iter(tables)
    while several := list(itertools.islice(remaining, _AT_ONCE)):
        merged = _merge([merged, *several])
    return merged


def _merge(tables: Sequence[pa.Table]) -> pa.Table:
    table = pa.concat_tables(tables).unify_dictionaries().combine_chunks()
    key = np.zeros(table.num_rows, dtype=np.int64)
    for name in KEYS:
        numbered = _order(table.column(name))
        key = key * (int(numbered.max(initial=0)) + 1) + numbered
    _, first, member = np.unique(key, return_index=True, return_inverse=True)
    columns = []
    for field in STATISTICS:
        column = table.column(field.name)
        columns.append(
            column.take(pa.array(first))
            if field.name in KEYS
            else pa.array(_added(column, member, len(first)), field.type)
        )
    return pa.Table.from_arrays(columns, schema=STATISTICS)


def _order(column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """Numbers from 0 in the order of the values."""
    if not pa.types.is_dictionary(column.type):
        values: npt.NDArray[np.int64] = column.to_numpy().astype(np.int64)
        values -= values.min(initial=0)
        return values
    encoded = pa.concat_arrays(column.chunks) if column.num_chunks != 1 else column.chunk(0)
    texts = encoded.dictionary.to_pylist()
    places = {text: place for place, text in enumerate(sorted(texts, key=str.encode), 1)}
    ranks = np.array([0, *(places[text] for text in texts)])
    numbered: npt.NDArray[np.int64] = ranks[pc.fill_null(encoded.indices, -1).to_numpy() + 1]
    return numbered


def _added(
    column: pa.ChunkedArray, member: npt.NDArray[np.int64], size: int
) -> npt.NDArray[np.float64] | npt.NDArray[np.int64]:
    """Sums in the order of the rows; of integers without rounding."""
    values = column.to_numpy()
    if pa.types.is_floating(column.type):
        return np.bincount(member, weights=values, minlength=size)
    sums = np.zeros(size, dtype=np.int64)
    np.add.at(sums, member, values)
    return sums


def publishable(merged: pa.Table, model: str | None, min_rows: int) -> pa.Table:
    """Leaves out attributes with too many values, and values with too few rows; how many rows that concerns stays.

    Args:
        merged: the statistics of a day.
        model: the attribute that is the model's version, all of whose values stay.
        min_rows: what a value needs to be published.
    """
    attribute, value = _order(merged.column("attribute")), _order(merged.column("value"))
    pair = attribute * (int(value.max(initial=0)) + 1) + value
    too_many = np.isin(attribute, attribute[_is(merged, "too_many_values")])
    sliced = _is(merged, "cell", *NUMBERS)
    counted = np.flatnonzero(_is(merged, "cell", "error") & ~too_many)
    found, first, member = np.unique(pair[counted], return_index=True, return_inverse=True)
    rows = _added(merged.column("rows").take(pa.array(counted)), member, len(found))
    of = attribute[counted][first]
    by_size = np.lexsort((found, -rows, of))
    place = np.empty(len(found), dtype=np.int64)
    place[by_size] = np.arange(len(found)) - np.searchsorted(of[by_size], of[by_size], side="left")
    names = merged.column("attribute").take(pa.array(counted[first]))
    whole = pc.is_in(names.cast(pa.string()), pa.array(["", model])).to_numpy()
    kept = whole | ((rows >= min_rows) & (place < KEPT_VALUES))
    stays = np.isin(pair, found[kept]) | ~sliced
    left = [
        _rows_of("left_out", 1, str(name), rows=[count], positives=[1])
        for name, count in zip(names.filter(pa.array(~kept)).to_pylist(), rows[~kept].tolist(), strict=True)
    ]
    return merge([merged.filter(pa.array(stays)), *left])


def less(published: pa.Table, gone: pa.Table, model: str | None, min_rows: int) -> pa.Table:
    """What is published, less the statistics of some of the rows that it is of.

    Args:
        published: statistics as they are stored, their words as plain texts.
        gone: of the rows that are gone, as `measure` gives them.
        model: as for `publishable`, which has the last word again.
        min_rows: see `model`.
    """
    gone = gone.filter(pa.array(~_is(gone, "too_many_values")))
    negative = [gone.column(field.name) if field.name in KEYS else pc.negate(gone.column(field.name)) for field in gone.schema]  # fmt: skip
    merged = merge([published.cast(STATISTICS), pa.Table.from_arrays(negative, schema=STATISTICS)])
    rows = merged.column("rows").to_numpy()
    counted = _is(merged, "cell", "position", *NUMBERS)
    return publishable(merged.filter(pa.array((rows > 0) | (rows == 0) & ~counted)), model, min_rows)


def without_values(published: pa.Table, gone: Flags) -> pa.Table:
    """Leaves out some values of attributes; how many rows that concerns stays.

    Args:
        published: statistics as they are stored, their words as plain texts.
        gone: of each row, whether its value goes.
    """
    table = published.cast(STATISTICS)
    counted = table.filter(pa.array(gone & _is(table, "cell", "error"))).select(["attribute", "value", "rows"])
    names = pa.table({name: counted.column(name).cast(field.type.value_type) if pa.types.is_dictionary(field.type) else counted.column(name)
                      for name, field in zip(counted.column_names, counted.schema, strict=True)})  # fmt: skip
    left = [
        _rows_of("left_out", 1, row["attribute"], rows=[row["rows_sum"]], positives=[1])
        for row in names.group_by(["attribute", "value"], use_threads=False).aggregate([("rows", "sum")]).to_pylist()
    ]
    return merge([table.filter(pa.array(~gone)), *left])


def _is(table: pa.Table, *statistics: str) -> Flags:
    found: Flags = pc.is_in(table.column("statistic").cast(pa.string()), pa.array(statistics)).to_numpy()
    return found


def sliceable(fields: Sequence[tuple[str, pa.DataType]]) -> tuple[tuple[str, ...], ...]:
    """The fields by which slices are found when the config names none: all plain ones but times."""
    return tuple((name,) for name, found in fields if not (pa.types.is_list(found) or pa.types.is_timestamp(found)))
