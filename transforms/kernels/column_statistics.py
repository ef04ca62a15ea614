"""What is known of one column, as partial results that add up: those of two blocks give those of both."""

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from retrolabel.transforms.kernels import frequencies, spread
from retrolabel.transforms.kernels.frequencies import Frequencies, frequencies_of
from retrolabel.transforms.kernels.spread import Spread, spread_of

Kind = Literal["missing", "int", "float", "string"]
"""What the values are; `missing`: no value was ever seen."""

Numbers = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True, eq=False)
class Valency:
    """How many values the rows hold, at one level of lists; a value that is no list counts as a list of one."""

    present: int
    """Rows (below the first level: lists) that are not null."""
    values: int
    fewest: int
    most: int
    lengths: Spread
    present_weight: float = 0.0
    values_weight: float = 0.0


@dataclasses.dataclass(frozen=True)
class Moments:
    """Mean and squared distances of finite numbers, each with its weight."""

    mass: float = 0.0
    """How many, or the sum of their weights."""
    mean: float = 0.0
    square: float = 0.0
    """The sum of the squared distances to the mean."""

    def __add__(self, other: "Moments") -> "Moments":
        """The moments of both together (Chan, Golub and LeVeque, "Updating formulae …", 1979)."""
        both = self.mass + other.mass
        if not self.mass or not other.mass:
            return self if self.mass else other
        apart = other.mean - self.mean
        return Moments(
            both,
            self.mean + apart * other.mass / both,
            self.square + other.square + apart * apart * self.mass * other.mass / both,
        )

    @property
    def deviation(self) -> float:
        """The population standard deviation."""
        return math.sqrt(max(self.square, 0.0) / self.mass) if self.mass else 0.0


@dataclasses.dataclass(frozen=True, eq=False)
class Numeric:
    """What is known of numbers. Booleans are 0 and 1, timestamps microseconds of UTC."""

    least: float = math.inf
    """Of the finite ones, as is `greatest`."""
    greatest: float = -math.inf
    zeros: int = 0
    nans: int = 0
    infinities: tuple[int, int] = (0, 0)
    """Negative and positive ones."""
    infinite_weights: tuple[float, float] = (0.0, 0.0)
    moments: Moments = Moments()
    weighted: Moments = Moments()
    spread: Spread = spread.NONE


@dataclasses.dataclass(frozen=True, eq=False)
class ColumnStatistics:
    """What is known of one column."""

    kind: Kind
    type_name: str
    """The Arrow type, of the first block that held a value."""
    levels: tuple[Valency, ...]
    numeric: Numeric = Numeric()
    texts: Frequencies = frequencies.NONE


def together(columns: Sequence[ColumnStatistics]) -> ColumnStatistics:
    """What is known of all together; whole numbers and fractions make fractions.

    Raises:
        TypeError: some hold texts and others numbers, or their lists are nested differently.
    """
    seen = [column for column in columns if column.kind != "missing"]
    if len(seen) < 2:
        return seen[0] if seen else columns[0]
    kinds, names = {column.kind for column in seen}, sorted({column.type_name for column in seen})
    if {"string"} < kinds or len({len(column.levels) for column in seen}) > 1:
        raise TypeError(" and ".join(names))
    return ColumnStatistics(
        "float" if kinds == {"int", "float"} else seen[0].kind,
        names[0],
        tuple(_valencies(levels) for levels in zip(*(column.levels for column in seen), strict=True)),
        _numerics([column.numeric for column in seen]) if "string" not in kinds else Numeric(),
        frequencies.together([column.texts for column in seen]) if "string" in kinds else frequencies.NONE,
    )


def _valencies(levels: Sequence[Valency]) -> Valency:
    seen = [level for level in levels if level.present]
    if not seen:
        return levels[0]
    return Valency(
        sum(level.present for level in seen),
        sum(level.values for level in seen),
        min(level.fewest for level in seen),
        max(level.most for level in seen),
        spread.together([level.lengths for level in seen]),
        sum(level.present_weight for level in seen),
        sum(level.values_weight for level in seen),
    )


def _numerics(all_of: Sequence[Numeric]) -> Numeric:
    return Numeric(
        min(one.least for one in all_of),
        max(one.greatest for one in all_of),
        sum(one.zeros for one in all_of),
        sum(one.nans for one in all_of),
        (sum(one.infinities[0] for one in all_of), sum(one.infinities[1] for one in all_of)),
        (sum(one.infinite_weights[0] for one in all_of), sum(one.infinite_weights[1] for one in all_of)),
        functools.reduce(Moments.__add__, (one.moments for one in all_of)),
        functools.reduce(Moments.__add__, (one.weighted for one in all_of)),
        spread.together([one.spread for one in all_of]),
    )


def column_statistics(column: pa.ChunkedArray | pa.Array, weights: Numbers | None = None) -> ColumnStatistics:
    """What is known of one column of a block.

    Args:
        column: of texts, octets, numbers, booleans, timestamps, dates, or lists of them.
        weights: of the rows.

    Raises:
        TypeError: of another type.
    """
    values = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    kind, type_name = _kind(values.type), str(values.type)
    levels = []
    while _is_list(values.type):
        lengths = pc.list_value_length(values).drop_null().to_numpy().astype(np.float64)
        parents = pc.list_parent_indices(values).to_numpy() if weights is not None else None
        levels.append(_valency(values, lengths, weights))
        values = values.flatten()
        weights = weights[parents] if weights is not None else None
    if not levels or values.null_count:
        # Below a list a null is a value that is missing; a column without lists has one level, of lists of one.
        present = values.drop_null() if values.null_count else values
        if weights is not None and values.null_count:
            weights = weights[values.is_valid().to_numpy(zero_copy_only=False)]
        if not levels:
            count = len(present)
            ones = spread.spread_of_one(1.0, count)
            mass = float(weights.sum()) if weights is not None else 0.0
            levels.append(Valency(count, count, 1, 1, ones, mass, mass))
        values = present
    if kind == "missing":
        return ColumnStatistics(kind, type_name, tuple(levels))
    if kind == "string":
        return ColumnStatistics(kind, type_name, tuple(levels), texts=frequencies_of(_octets(values), weights))
    if pa.types.is_boolean(values.type) and weights is None:
        return ColumnStatistics(kind, type_name, tuple(levels), _booleans(values))
    return ColumnStatistics(kind, type_name, tuple(levels), _numeric(_numbers(values), weights))


def _kind(found: pa.DataType) -> Kind:
    while _is_list(found):
        found = found.value_type
    if pa.types.is_dictionary(found):
        return _kind(found.value_type)
    if pa.types.is_null(found):
        return "missing"
    if pa.types.is_floating(found) or pa.types.is_decimal(found):
        return "float"
    if (
        pa.types.is_integer(found)
        or pa.types.is_boolean(found)
        or pa.types.is_timestamp(found)
        or pa.types.is_date(found)
    ):
        return "int"
    if pa.types.is_string(found) or pa.types.is_large_string(found) or _is_octets(found):
        return "string"
    raise TypeError(str(found))


def _is_list(found: pa.DataType) -> bool:
    return bool(pa.types.is_list(found) or pa.types.is_large_list(found) or pa.types.is_fixed_size_list(found))


def _is_octets(found: pa.DataType) -> bool:
    return bool(pa.types.is_binary(found) or pa.types.is_large_binary(found) or pa.types.is_fixed_size_binary(found))


def _valency(lists: pa.Array, lengths: Numbers, weights: Numbers | None) -> Valency:
    if not len(lengths):
        return Valency(0, 0, 0, 0, spread.NONE)
    present = values = 0.0
    if weights is not None:
        kept = weights[lists.is_valid().to_numpy(zero_copy_only=False)]
        present, values = float(kept.sum()), float((kept * lengths).sum())
    return Valency(
        len(lengths),
        int(lengths.sum()),
        int(lengths.min()),
        int(lengths.max()),
        spread_of(lengths),
        present,
        values,
    )


def _octets(values: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    return values if values.type in (pa.string(), pa.binary()) else values.cast(pa.binary())


def _numbers(values: pa.Array) -> Numbers:
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if pa.types.is_timestamp(values.type) or pa.types.is_date(values.type):
        values = values.cast(pa.timestamp("us", tz=getattr(values.type, "tz", None)), safe=False).cast(pa.int64())
    if pa.types.is_boolean(values.type):
        values = values.cast(pa.int8())
    numbers: Numbers = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return numbers


def _booleans(values: pa.Array) -> Numeric:
    count, true = len(values), values.true_count
    if not count:
        return Numeric()
    mean = true / count
    moments = Moments(float(count), mean, true * (1 - mean))
    both = spread.together([spread.spread_of_one(0.0, count - true), spread.spread_of_one(1.0, true)])
    return Numeric(float(true == count), float(true > 0), count - true, moments=moments, spread=both)


def _numeric(numbers: Numbers, weights: Numbers | None) -> Numeric:
    finite = np.isfinite(numbers)
    nans, infinities, infinite_weights = 0, (0, 0), (0.0, 0.0)
    if not finite.all():
        nans = int(np.isnan(numbers).sum())
        sides = [numbers == -math.inf, numbers == math.inf]
        infinities = int(sides[0].sum()), int(sides[1].sum())
        if weights is not None:
            infinite_weights = float(weights[sides[0]].sum()), float(weights[sides[1]].sum())
            weights = weights[finite]
        numbers = numbers[finite]
    if not len(numbers):
        return Numeric(nans=nans, infinities=infinities, infinite_weights=infinite_weights)
    weighted = Moments()
    with np.errstate(over="ignore", invalid="ignore"):
        mean = float(numbers.mean())
        apart = numbers - mean
        apart *= (
            apart  # not np.dot: BLAS wakes its threads, which costs more than the sum where other threads are at work
        )
        moments = Moments(float(len(numbers)), mean, float(apart.sum()))
        if weights is not None and (mass := float(weights.sum())):
            mean = float((numbers * weights).sum()) / mass
            weighted = Moments(mass, mean, float(((numbers - mean) ** 2 * weights).sum()))
    return Numeric(
        float(numbers.min()),
        float(numbers.max()),
        int(len(numbers) - np.count_nonzero(numbers)),
        nans,
        infinities,
        infinite_weights,
        moments,
        weighted,
        spread_of(numbers, weights),
    )
