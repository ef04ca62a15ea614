"""The compiled reader of JSON gives what Python's reader gives, or nothing; `tests/property/test_parsing.py` holds whole lines to it."""

import json
import math
import random
import struct

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from retrolabel.transforms.kernels.json_block import Shape
from retrolabel.transforms.kernels.json_columns import read_plain
from retrolabel.transforms.kernels.json_line import at_path, loads

scan = pytest.importorskip("retrolabel.transforms.kernels._scan", reason="it was not compiled here")

SHAPE = Shape(
    {("s",): "string", ("n",): "int", ("x",): "float", ("b",): "boolean", ("o", "s"): "string", ("o", "p", "n"): "int", ("tags",): "string",
     ("v",): "float", ("o", "flags"): "boolean", ("größe",): "int"},
    frozenset({("tags",), ("v",), ("o", "flags")}),
)  # fmt: skip


def read(*objects: bytes, shape: Shape = SHAPE, utf8: bool = True) -> tuple[pa.Table, list[int]]:
    text = b"\n".join(objects)
    lengths = np.array([len(one) for one in objects], dtype=np.int64)
    ends = np.cumsum(lengths + 1) - 1
    table, doubtful = read_plain(text, ends - lengths, ends, shape.schema, shape.plan, utf8=utf8)
    table.validate(full=True)
    return table, doubtful.tolist()


def value(text: str | bytes, kind: str) -> object:
    """What a column of that kind holds of a value as it is written; `...` if it is in doubt."""
    octets = text if isinstance(text, bytes) else text.encode()
    table, doubtful = read(b'{"a":' + octets + b"}", shape=Shape({("a",): kind}))
    return ... if doubtful else table.column("a")[0].as_py()


def test_all_kinds_at_all_depths_in_any_order():
    table, doubtful = read(
        b'{"s":"a","n":1,"x":1.5,"b":true,"o":{"s":"in","p":{"n":7},"flags":[true,false]},"tags":["t","u"],"v":[1,2.5],"gr\xc3\xb6\xc3\x9fe":4}',
        b' { "v" : [ ] , "o" : { "flags" : [ ] , "p" : { } } , "b" : false , "other" : { "s" : "passed over" } , "s" : "" } \t\r',
        b'{"o":{"p":null,"s":null},"n":null,"tags":null}',
        b'{"o":null}',
        b"{}",
    )
    assert doubtful == []
    nothing = dict.fromkeys(("s", "n", "x", "b", "o", "tags", "v", "größe"))
    assert table.to_pylist() == [
        {"s": "a", "n": 1, "x": 1.5, "b": True, "o": {"s": "in", "p": {"n": 7}, "flags": [True, False]}, "tags": ["t", "u"], "v": [1.0, 2.5],
         "größe": 4},
        nothing | {"v": [], "o": {"flags": [], "p": {"n": None}, "s": None}, "b": False, "s": ""},
        nothing | {"o": {"p": None, "s": None, "flags": None}},
        nothing,
        nothing,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "doubtful",
    [
        b"", b"{", b"}", b"[]", b'{"s":"a"', b'{"s":"a"}}', b'{"s":"a",}', b'{,"s":"a"}', b'{"s" "a"}', b'{"s":"a" "n":1}', b"{s:1}", b'{"s":"a"}x',
        b'{"s":1}', b'{"s":true}', b'{"s":["a"]}', b'{"s":{}}', b'{"n":"1"}', b'{"n":1.0}', b'{"n":true}', b'{"x":"1"}', b'{"x":[1]}', b'{"b":1}', b'{"b":"true"}',
        b'{"b":trueish}', b'{"b":nul}', b'{"o":[]}', b'{"o":"a"}', b'{"o":{"p":1}}', b'{"tags":"a"}', b'{"tags":["a",]}', b'{"tags":[null]}', b'{"tags":["a" "b"]}',
        b'{"tags":["a",1]}', b'{"tags":["a"}', b'{"v":[[1]]}', b'{"s":"a","s":"b"}', b'{"s":null,"s":"b"}', b'{"o":{},"o":{}}', b'{"o":{"s":"a","s":"a"}}',
        b'{"\\u0073":"a"}', b'{"z\\n":1}', b'{"s":"a\tb"}', b'{"s":"\\x"}', b'{"s":"\\u12"}', b'{"s":"\\u12g4"}', b'{"s":"\\ud800"}', b'{"s":"\\udc00\\ud800"}',
        b'{"s":"\\ud800\\u0041"}', b'{"s":"\\u0000"}', b'{"s":"\\"}', b'{"z":01}', b'{"z":+1}', b'{"z":.5}', b'{"z":1.}', b'{"z":1e}', b'{"z":1e+}', b'{"z":-}', b'{"z":NaN}',
        b'{"z":Infinity}', b'{"z":[1,]}', b'{"z":[1 2]}', b'{"z":[1}', b'{"z":{"a"}}', b'{"z":{"a":1,}}', b'{"z":{1:2}}', b'{"z":"\\ud800"}', b'{"z":' + b"[" * 66 + b"]" * 66 + b"}",
    ],
)  # fmt: skip
def test_what_is_unusual_is_left_whole_and_costs_nothing_beside_it(doubtful):
    before, after = b'{"s":"before","tags":["a"],"o":{"flags":[true]}}', b'{"s":"after","tags":["b","c"]}'
    table, left = read(before, doubtful, after, doubtful)
    assert left == [1, 3]
    assert table.column("s").to_pylist() == ["before", "after"]
    assert table.column("tags").to_pylist() == [["a"], ["b", "c"]]
    assert table.column("o").to_pylist() == [{"s": None, "p": None, "flags": [True]}, None]


def test_an_object_cut_off_anywhere_is_in_doubt():
    whole = b'{"s":"\\u00e4\\ud83d\\ude00 and more than eight","n":-12,"x":1.25e-3,"b":true,"o":{"p":{"n":7},"flags":[false]},"z":[null,{"a":"b"}],"tags":["t"]}'
    assert read(whole)[1] == []
    assert read(*(whole[:length] for length in range(len(whole))))[1] == list(range(len(whole)))


@given(st.dictionaries(st.text(max_size=9), st.text(max_size=20) | st.none(), min_size=1, max_size=5), st.booleans())
def test_texts_are_those_of_python(record, ascii_only):
    shape = Shape({(key,): "string" for key in record})
    text = json.dumps(record, ensure_ascii=ascii_only).encode()
    table, doubtful = read(text, text, shape=shape)
    keys = "".join(record)
    escaped = len(json.dumps(keys, ensure_ascii=ascii_only)) > len(keys) + 2
    if escaped or "\0" in "".join(filter(None, record.values())):
        assert doubtful == [0, 1]
    else:
        assert table.to_pylist() == [record, record]


PLAIN = (
    b'{"s":"a","n":1,"x":1.5,"b":true,"o":{"s":"in","p":{"n":7},"flags":[true,false]},"tags":["t","u"],"v":[1,2.5],"gr\xc3\xb6\xc3\x9fe":4}',
    b'{"s":"\\u00e4\\ud83d\\ude00 and \\"more\\" than eight","n":-12,"x":1.25e-3,"z":[null,{"a":"b"}],"tags":["\\n"]}',
    b'{"o":null,"k":{"a":[1,2,{"b":[]}],"c":"\\\\"},"x":0.12345678901234567,"other":-0.5E+2}',
)
PARTS = (
    b'"',
    b"\\",
    b"\\u",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"null",
    b"true",
    b"1e",
    b"-",
    b"\xff",
    b"\xc3",
    b"\\ud800",
    b"9" * 25,
    b'"s":',
    b'"n":1',
    b"\0",
    b" ",
)


def damaged(plain: bytes, chance: random.Random) -> bytes:
    octets = bytearray(plain)
    for _ in range(chance.randrange(4)):
        place = chance.randrange(len(octets))
        octets[place : place + chance.randrange(3)] = chance.choice(
            (*PARTS, bytes([chance.randrange(256)]), octets[:9])
        )
    return bytes(octets)


@given(st.integers(0, 2**32))
def test_of_damaged_objects_what_is_read_is_what_python_reads(seed):
    chance = random.Random(seed)
    objects = [damaged(chance.choice(PLAIN), chance) for _ in range(200)]
    table, doubtful = read(*objects, utf8=False)
    expected = []
    for position, one in enumerate(objects):
        if position not in doubtful:
            record = loads(one)
            if record.get("x") is not None:
                record["x"] = float(record["x"])
            expected.append([at_path(record, path) for path in SHAPE.kinds])
    assert expected
    found = [[at_path(row, path) for path in SHAPE.kinds] for row in table.to_pylist()]
    assert found == expected


def test_text_that_may_not_be_utf8_is_in_doubt():
    assert read('{"s":"é"}'.encode(), b'{"s":"e"}', b'{"z":"\xff"}', b'{"\xff":1}', utf8=False)[1] == [0, 2, 3]
    assert read(b'{"s":"\\u00e9 is no octet of its own"}', utf8=False)[1] == []


@settings(max_examples=1000)
@given(st.floats(allow_nan=False, allow_infinity=False) | st.floats(-1, 1) | st.floats(-1e6, 1e6))
def test_doubles_as_python_writes_them_are_read_to_the_bit_or_left(number):
    found = value(repr(number), "float")
    assert found is ... or struct.pack("d", found) == struct.pack("d", number)
    if 1e-3 <= abs(number) <= 1e6:
        assert found is not ...


DECIMALS = st.builds(
    lambda sign, digits, point, exponent: sign + digits[:point] + ("." + digits[point:] if point < len(digits) else "") + exponent,
    st.sampled_from(["", "-"]), st.from_regex(r"[1-9][0-9]{0,24}", fullmatch=True), st.integers(1, 25),
    st.sampled_from(["", "e0", "E+3", "e-7", "e22", "e-22", "e23", "e-300", "e400", "e99999999999"]),
)  # fmt: skip


@settings(max_examples=1000)
@given(DECIMALS)
@example("9007199254740993.0")
@example("9007199254740992.9999999999")
@example("0.30000000000000004")
@example("9999999999999999999e-19")
@example("18446744073709551615.5")
@example("1.8014398509481985")
@example("0.00000000000000000000000000000000001")
def test_decimals_are_rounded_to_the_nearest_double_or_left(text):
    found = value(text, "float")
    assert found is ... or (math.isfinite(found) and struct.pack("d", found) == struct.pack("d", float(text)))


@given(
    st.integers(-(2**64), 2**65) | st.sampled_from([2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 10**19 - 1, 10**19, 0])
)
def test_integers_of_64_bits_are_read_and_no_others(number):
    assert value(str(number), "int") == (number if -(2**63) <= number < 2**63 else ...)
    assert value(str(number), "float") in (float(number), ...)


def test_zeros():
    assert [value(text, "int") for text in ("0", "-0", "00", "0.0")] == [0, ..., ..., ...]
    assert math.copysign(1, value("-0", "float")) == -1
    assert [value(text, "float") for text in ("0", "0.000", "0e5", "0E-999", "-")] == [0, 0, 0, 0, ...]


def test_more_keys_than_are_remembered_and_rows_with_different_ones():
    shape = Shape({(f"k{n}",): "int" for n in range(0, 200, 3)})
    rows = [{f"k{n}": n + row for n in range(row % 5, 200, 1 + row % 3)} for row in range(30)]
    table, doubtful = read(*(json.dumps(row).encode() for row in rows), shape=shape)
    assert doubtful == []
    assert table.to_pylist() == [{f"k{n}": row.get(f"k{n}") for n in range(0, 200, 3)} for row in rows]


def test_keys_that_begin_alike_are_told_apart():
    shape = Shape({("a",): "int", ("aa",): "int", ("",): "int"})
    table, doubtful = read(b'{"a":1,"aa":2,"":3,"aaa":4}', b'{"aa":5,"a":6}', b'{"aaa":7,"":8}', shape=shape)
    assert doubtful == []
    assert table.to_pylist() == [{"a": 1, "aa": 2, "": 3}, {"a": 6, "aa": 5, "": None}, {"a": None, "aa": None, "": 8}]


def test_rows_of_which_nothing_is_asked_for_are_counted():
    table, doubtful = read(b'{"a":[1,{"b":{}}]}', b"[]", b"{}", shape=Shape({}))
    assert (table.num_rows, doubtful) == (2, [1])


def test_a_place_outside_of_the_text_is_refused():
    plan = SHAPE.plan
    for start, end in ((-1, 2), (0, 3), (2, 1)):
        with pytest.raises(ValueError, match="outside of the text"):
            scan.read(b"{}", np.array([start]), np.array([end]), plan, 14, False)
    with pytest.raises(ValueError, match="an end for each start"):
        scan.read(b"{}", np.array([0]), np.array([2, 2]), plan, 14, False)
    with pytest.raises(ValueError, match="other nodes"):
        scan.read(b"{}", np.array([0]), np.array([2]), plan, 3, False)
