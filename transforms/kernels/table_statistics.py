"""Statistics of the rows of a table, of all and of slices, as partial results that add up and travel."""

import collections
import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from retrolabel.schemas.errors import InputError
from retrolabel.transforms.kernels import column_statistics
from retrolabel.transforms.kernels.column_statistics import ColumnStatistics

ALL_EXAMPLES = "All Examples"
"""The name of the statistics of all rows, as TensorFlow Data Validation calls them."""

_BETWEEN = "\0"
_AT_ONCE = 16

SLICES = 256
"""The most slices by the same columns; those with the most rows are kept."""


@dataclasses.dataclass(frozen=True, eq=False)
class TableStatistics:
    """What is known of some rows."""

    rows: int
    weight: float | None
    """The sum of the rows' weights; None without weights."""
    columns: Mapping[str, ColumnStatistics]


def together(tables: Sequence[TableStatistics]) -> TableStatistics:
    """What is known of all together, added in the order given; rows of a table without a column count as missing there.

    Raises:
        InputError: a column holds values in one that cannot be compared with those in another.
    """
    if len(tables) == 1:
        return tables[0]
    columns = {}
    for name in dict.fromkeys(name for table in tables for name in table.columns):
        try:
            columns[name] = column_statistics.together(
                [table.columns[name] for table in tables if name in table.columns]
            )
        except TypeError as error:
            raise InputError(f"column {name!r} holds {error} in different places: statistics need one type; "
                             "convert one of them, or leave the column out with --columns") from None  # fmt: skip
    weights = [table.weight for table in tables if table.weight is not None]
    return TableStatistics(sum(table.rows for table in tables), sum(weights) if weights else None, columns)


Sliced = dict[str, TableStatistics]
"""Statistics by the name of the rows that they are of."""


def of_split(split: str) -> str:
    """The name of the statistics of a split."""
    return f"split_{split}"


def table_statistics(table: pa.Table, weight: str | None = None) -> TableStatistics:
    """The statistics of a block of rows.

    Args:
        table: any columns that `column_statistics` takes; those of structs are taken apart, named `struct.field`.
        weight: the column that holds the rows' weights.

    Raises:
        InputError: a column's type is not one that has statistics, a name stands there twice, or a weight is missing.
    """
    while any(pa.types.is_struct(field.type) for field in table.schema):
        table = table.flatten()
    if twice := [name for name, count in collections.Counter(table.column_names).items() if count > 1]:
        raise InputError(
            f"the column {twice[0]!r} stands there {table.column_names.count(twice[0])} times; give each a name of its own"
        )
    weights = None if weight is None else _weights(table, weight)
    columns = {}
    for name in table.column_names:
        try:
            columns[name] = column_statistics.column_statistics(table.column(name), weights)
        except TypeError as error:
            raise InputError(f"column {name!r} is a {error}: statistics are of texts, numbers, booleans, times and "
                             "lists of them; leave it out with --columns") from None  # fmt: skip
    return TableStatistics(table.num_rows, None if weights is None else float(weights.sum()), columns)


def _weights(table: pa.Table, name: str) -> npt.NDArray[np.float64]:
    if name not in table.column_names:
        raise InputError(f"there is no column {name!r} of weights; there are {', '.join(table.column_names)}")
    column = table.column(name)
    if column.null_count or not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        raise InputError(f"the weight {name!r} must be a number in every row; it is a {column.type}, null in "
                         f"{column.null_count:,} rows")  # fmt: skip
    weights: npt.NDArray[np.float64] = column.cast(pa.float64()).to_numpy()
    return weights


def sliced_statistics(
    table: pa.Table, slices: Sequence[Sequence[str]], labels: Sequence[str] = (), weight: str | None = None
) -> Sliced:
    """The statistics of a table and of its slices: `partial_statistics` of all its rows, put together."""
    return put_together([partial_statistics(table, slices, labels, weight)], labels)


def partial_statistics(
    table: pa.Table,
    slices: Sequence[Sequence[str]],
    labels: Sequence[str] = (),
    weight: str | None = None,
    whole: str = ALL_EXAMPLES,
) -> Sliced:
    """The statistics of a block and of its slices: the rows of equal values in some columns.

    Rows are parted by the values of all labels at once, so that each is looked at once; `put_together` makes of these parts what
    is known of all rows, and of each value of each label.

    Args:
        table: the rows.
        slices: columns, each group of which cuts the rows into slices named `<column>_<value>`, several joined by `_`.
        labels: columns of few values that cut the rows into slices each by itself.
        weight: as for `table_statistics`.
        whole: the name for the statistics of all rows.

    Raises:
        InputError: labels have too many values, or as for `table_statistics`.
    """
    found = {
        _BETWEEN.join([whole, *values]): table_statistics(rows, weight)
        for values, rows in (_by_labels(table, labels) if labels and table.num_rows else [((), table)])
    }
    for group in slices:
        if table.num_rows and all(name in table.column_names for name in group):
            for name, rows in _slices(table, sorted(group)):
                found[name] = table_statistics(table.take(rows), weight)
    return found


def put_together(partials: Iterable[Sliced], labels: Sequence[str]) -> Sliced:
    """What `partial_statistics` found in all blocks, added in the order given, by the names that it is published under."""
    merged = merge(partials)
    found: dict[str, list[TableStatistics]] = {}
    for name in sorted(merged):
        whole, *values = name.split(_BETWEEN)
        found.setdefault(whole, []).append(merged[name])
        for label, value in zip(labels, values, strict=False):
            if value:
                found.setdefault(f"{label}_{value}", []).append(merged[name])
    return {name: together(some) for name, some in found.items()}


def _by_labels(table: pa.Table, labels: Sequence[str]) -> Iterator[tuple[tuple[str, ...], pa.Table]]:
    """The rows of each combination of values of the labels; an empty text stands for null."""
    nothing = pa.nulls(table.num_rows, pa.string())
    columns = [
        _words(table.column(name)).combine_chunks() if name in table.column_names else nothing for name in labels
    ]
    encoded = pc.binary_join_element_wise(
        *(pc.fill_null(column, "") for column in columns), _BETWEEN
    ).dictionary_encode()
    if len(encoded.dictionary) > SLICES:
        raise InputError(f"the labels {', '.join(map(repr, labels))} have {len(encoded.dictionary):,} different values; "
                         f"a label that tells rows apart has at most {SLICES}")  # fmt: skip
    order = np.argsort(encoded.indices.to_numpy(), kind="stable")
    ends = np.cumsum(np.bincount(encoded.indices.to_numpy()))
    for values, start, end in zip(encoded.dictionary.to_pylist(), [0, *ends], ends, strict=False):
        yield tuple(values.split(_BETWEEN)), table.take(pa.array(order[start:end]))


def _slices(table: pa.Table, group: Sequence[str]) -> list[tuple[str, pa.Array]]:
    """The rows of each slice, that of the most rows first; a row that lacks a value is in none."""
    keys = [_words(table.column(name)) for name in group]
    parts = [part for name, key in zip(group, keys, strict=True) for part in (f"{name}_", key, "_")][:-1]
    encoded = pc.binary_join_element_wise(*parts, "").combine_chunks().dictionary_encode()
    places = pc.fill_null(encoded.indices, -1).to_numpy()
    order = np.argsort(places, kind="stable")
    counts = np.bincount(places[places >= 0], minlength=len(encoded.dictionary))
    ends = np.cumsum(counts) + (len(places) - counts.sum())
    names = encoded.dictionary.to_pylist()
    largest = sorted(range(len(names)), key=lambda number: (-counts[number], names[number]))[:SLICES]
    return [(names[number], pa.array(order[ends[number] - counts[number] : ends[number]])) for number in largest]


def _words(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The values as they stand in the name of a slice."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return column if pa.types.is_string(column.type) else column.cast(pa.string())


def merge(partials: Iterable[Sliced]) -> Sliced:
    """All together, added in the order given: a few at a time, so that those of many blocks never stand in memory at once."""
    found: Sliced = {}
    remaining = iter(partials)
    while several := list(itertools.islice(remaining, _AT_ONCE)):
        by_name: dict[str, list[TableStatistics]] = {name: [table] for name, table in found.items()}
        for partial in several:
            for name, table in partial.items():
                by_name.setdefault(name, []).append(table)
        found = {name: together(tables) for name, tables in by_name.items()}
    return found


def encode(statistics: Sliced) -> bytes:
    """Partial results as they travel."""
    return _encoder.encode(statistics)


def decode(encoded: bytes) -> Sliced:
    """Partial results as they arrived."""
    return _decoder.decode(encoded)


def _to_plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return msgspec.msgpack.Ext(1, value.dtype.char.encode() + value.tobytes())
    if isinstance(value, pa.Array):
        return value.to_pylist()
    raise NotImplementedError(type(value))


def _from_plain(expected: Any, value: Any) -> Any:
    if expected is pa.Array:
        return pa.array(value, pa.string())
    return np.frombuffer(value.data[1:], dtype=chr(value.data[0]))


_encoder = msgspec.msgpack.Encoder(enc_hook=_to_plain)
_decoder: msgspec.msgpack.Decoder[Sliced] = msgspec.msgpack.Decoder(Sliced, dec_hook=_from_plain)
