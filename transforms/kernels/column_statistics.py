"""What is known of one column, as partial results that add up: those of two blocks give those of both."""

import dataclasses
import math
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

    def __add__(self, other: "Valency") -> "Valency":
        """The valency of both together."""
        if not self.present or not other.present:
            return self if self.present else other
        return Valency(
            self.present + other.present,
            self.values + other.values,
            min(self.fewest, other.fewest),
            max(self.most, other.most),
            self.lengths + other.lengths,
            self.present_weight + other.present_weight,
            self.values_weight + other.values_weight,
        )


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

    def __add__(self, other: "Numeric") -> "Numeric":
        """What is known of both together."""
        return Numeric(
            min(self.least, other.least),
            max(self.greatest, other.greatest),
            self.zeros + other.zeros,
            self.nans + other.nans,
            (self.infinities[0] + other.infinities[0], self.infinities[1] + other.infinities[1]),
            (
                self.infinite_weights[0] + other.infinite_weights[0],
                self.infinite_weights[1] + other.infinite_weights[1],
            ),
            self.moments + other.moments,
            self.weighted + other.weighted,
            self.spread + other.spread,
        )


@dataclasses.dataclass(frozen=True, eq=False)
class ColumnStatistics:
    """What is known of one column."""

    kind: Kind
    type_name: str
    """The Arrow type, of the first block that held a value."""
    levels: tuple[Valency, ...]
    numeric: Numeric = Numeric()
    texts: Frequencies = frequencies.NONE

    def __add__(self, other: "ColumnStatistics") -> "ColumnStatistics":
        """What is known of both together; whole numbers and fractions make fractions.

        Raises:
            TypeError: one holds texts and the other numbers, or their lists are nested differently.
        """
        if "missing" in (self.kind, other.kind):
            return self if other.kind == "missing" else other
        if (self.kind == "string") != (other.kind == "string") or len(self.levels) != len(other.levels):
            raise TypeError(f"{self.type_name} and {other.type_name}")
        return ColumnStatistics(
            self.kind if self.kind == other.kind else "float",
            self.type_name if self.type_name == other.type_name else min(self.type_name, other.type_name),
            tuple(mine + theirs for mine, theirs in zip(self.levels, other.levels, strict=True)),
            self.numeric + other.numeric,
            self.texts + other.texts,
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
            ones = Spread(0, spread.spread_of(np.ones(1)).keys, np.array([float(count)])) if count else spread.NONE
            mass = float(weights.sum()) if weights is not None else 0.0
            levels.append(Valency(count, count, 1, 1, ones, mass, mass))
        values = present
    if kind == "missing":
        return ColumnStatistics(kind, type_name, tuple(levels))
    if kind == "string":
        return ColumnStatistics(kind, type_name, tuple(levels), texts=frequencies_of(_octets(values), weights))
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
        moments = Moments(float(len(numbers)), mean, float(np.dot(apart, apart)))
        if weights is not None and (mass := float(weights.sum())):
            mean = float(np.dot(numbers, weights)) / mass
            weighted = Moments(mass, mean, float(np.dot((numbers - mean) ** 2, weights)))
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
