"""Statistics of columns that add up: those of two tables give those of both."""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterable

import pyarrow as pa
import pyarrow.compute as pc


@dataclasses.dataclass(frozen=True)
class Moments:
    """What is known of one column.

    For strings the numbers are of their lengths in bytes; for booleans false is 0 and true is 1; timestamps are microseconds
    of UTC; for lists the numbers are of their lengths.
    """

    rows: int = 0
    missing: int = 0
    """Rows without a value."""
    mean: float = 0.0
    square: float = 0.0
    """The sum of the squared distances to the mean."""
    minimum: float | int | None = None
    maximum: float | int | None = None
    zeros: int = 0

    def __add__(self, other: "Moments") -> "Moments":
        """The moments of both together (Chan, Golub and LeVeque, "Updating formulae …", 1979)."""
        mine, theirs = self.rows - self.missing, other.rows - other.missing
        both = mine + theirs
        apart = other.mean - self.mean
        return Moments(
            self.rows + other.rows,
            self.missing + other.missing,
            self.mean + apart * theirs / both if both else 0.0,
            self.square + other.square + (apart * apart * mine * theirs / both if both else 0.0),
            _least(min, self.minimum, other.minimum),
            _least(max, self.maximum, other.maximum),
            self.zeros + other.zeros,
        )

    @property
    def deviation(self) -> float | None:
        """The population standard deviation; None without values."""
        values = self.rows - self.missing
        return math.sqrt(self.square / values) if values else None


def _least(choose: Callable[..., float | int | None], first: float | None, second: float | None) -> float | int | None:
    known: list[float | int] = [value for value in (first, second) if value is not None]
    return choose(known, default=None)


def moments_of(column: pa.ChunkedArray | pa.Array) -> Moments:
    """The moments of one column."""
    rows, missing = len(column), column.null_count
    numbers = _numbers(column)
    if rows == missing:
        return Moments(rows, missing)
    extremes = pc.min_max(numbers)
    mean = pc.mean(numbers).as_py()
    return Moments(
        rows,
        missing,
        mean,
        pc.variance(numbers).as_py() * (rows - missing),
        extremes["min"].as_py(),
        extremes["max"].as_py(),
        pc.sum(pc.equal(numbers, 0)).as_py() or 0,
    )


def _numbers(column: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray | pa.Array:
    if pa.types.is_string(column.type):
        return pc.binary_length(column)
    if pa.types.is_boolean(column.type):
        return column.cast(pa.int8())
    if pa.types.is_timestamp(column.type):
        return column.cast(pa.int64())
    return pc.list_value_length(column) if pa.types.is_list(column.type) else column


def add_all(moments: Iterable[Moments]) -> Moments:
    """The moments of all together, added in the order given."""
    return functools.reduce(Moments.__add__, moments, Moments())
