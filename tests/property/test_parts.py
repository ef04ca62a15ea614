"""Any rows of any types come back from any format, and the same rows give the same bytes."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrolabel.transforms.parts import decode, encode

VALUES = {
    pa.string(): st.text(),
    pa.bool_(): st.booleans(),
    pa.int32(): st.integers(-(2**31), 2**31 - 1),
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.float32(): st.floats(width=32),
    pa.float64(): st.floats(
        width=32
    ),  # TFRecords keep 32 bits; other widths: test_doubles_lose_nothing_but_in_tfrecords
}
TIMES = pa.timestamp("us", tz="UTC")
YEARS = st.integers(-62_135_596_800_000_000, 253_402_300_799_999_999)


@st.composite
def tables(draw) -> pa.Table:
    rows = draw(st.integers(0, 8))
    kinds = draw(st.lists(st.sampled_from([*VALUES, TIMES]), min_size=1, max_size=4))
    columns = {}
    for number, kind in enumerate(kinds):
        values = YEARS if kind == TIMES else VALUES[kind]
        if kind != TIMES and draw(st.booleans()):
            kind, values = pa.list_(kind), st.lists(values, max_size=4)
        drawn = draw(st.lists(st.none() | values, min_size=rows, max_size=rows))
        columns[f"c{number}" * draw(st.sampled_from([1, 80]))] = pa.array(drawn, kind)
    return pa.table(columns)


def same(one: pa.Table, other: pa.Table) -> bool:
    """Equal, where NaN equals itself."""
    return one.schema.equals(other.schema) and repr(one.to_pylist()) == repr(other.to_pylist())


@pytest.mark.parametrize("file_format", ["parquet", "avro", "tfrecord"])
@given(table=tables())
@settings(deadline=None)
def test_rows_come_back_as_they_were(file_format, table):
    assert same(decode(encode(table, file_format), file_format, table.schema), table)


@pytest.mark.parametrize("file_format", ["parquet", "avro", "tfrecord"])
@given(table=tables(), cut=st.integers(0, 8))
@settings(deadline=None)
def test_the_same_rows_give_the_same_bytes_however_they_lie_in_memory(file_format, table, cut):
    padded = pa.concat_tables([table.slice(0, 1), table]).slice(min(1, table.num_rows))
    pieces = pa.concat_tables([padded.slice(0, cut), padded.slice(cut)])
    assert encode(pieces, file_format) == encode(table, file_format)


@given(values=st.lists(st.floats()))
def test_doubles_lose_nothing_but_in_tfrecords(values):
    table = pa.table({"value": pa.array(values, pa.float64())})
    for file_format in ("parquet", "avro"):
        assert same(decode(encode(table, file_format), file_format, table.schema), table)
    with np.errstate(over="ignore"):
        rounded = pa.table({"value": pa.array(np.array(values, np.float32).astype(np.float64))})
    assert same(decode(encode(table, "tfrecord"), "tfrecord", table.schema), rounded)
