"""The quick way of parsing a block and the line-by-line way give the same rows and the same rejects."""

import json
import math
from unittest.mock import patch

import pyarrow as pa
import pyarrow.json as pj
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from retrolabel.schemas.contract import parse_contract
from retrolabel.transforms.formats import FORMATS
from retrolabel.transforms.kernels import compiled
from retrolabel.transforms.kernels.lines import Block
from retrolabel.transforms.kernels.parse import LineReader, Parsed

CONTRACT = parse_contract({
    "type": "record", "name": "R", "fields": [
        {"name": "t", "type": {"type": "long", "logicalType": "timestamp-micros"}, "path": "time"},
        {"name": "id", "type": "string"},
        {"name": "n", "type": ["null", "long"], "missing": [-1, "N/A"]},
        {"name": "small", "type": ["null", "int"]},
        {"name": "x", "type": ["null", "double"], "path": "f.x", "missing": ["", -1]},
        {"name": "y", "type": ["null", "float"], "path": "f.y"},
        {"name": "b", "type": ["null", "boolean"]},
        {"name": "tags", "type": ["null", {"type": "array", "items": "string"}]},
        {"name": "v", "type": ["null", {"type": "array", "items": "double"}]},
        {"name": "kind", "type": ["null", {"type": "enum", "name": "K", "symbols": ["click", "buy"]}]},
        {"name": "dotted", "type": ["null", "string"], "path": 'k."a.b/c"'},
    ],
})  # fmt: skip

TIMES = st.one_of(
    st.datetimes().map(lambda t: t.isoformat()),
    st.datetimes().map(lambda t: t.isoformat(" ") + "Z"),
    st.sampled_from([
        "2026-11-20T10:00:00Z", "2026-11-20 10:00:00.123456+00:00", "2026-11-20T10:00:00.123456789-05:00", "2026-11-20T10:00:00+0100",
        "2026-11-20", "2026-11-20T10", "2026-11-20T10:30", "2026-11-20T10:30Z", "2026-02-30T00:00:00Z", "2026-11-20T10:00:60Z",
        "2026-11-20T24:00:00Z", "2026-11-20T10:00:00,5Z", "2026-11-20t10:00:00z", "2026-11-20T10:00:00 Z", "2026-11-20T10:00:00+01",
        "2026-03-29T02:30:00", "2026-10-25T02:30:00", "0000-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "1795460771",
        "1795460771.532", "2026-11-20T10:00:00.Z", "2026-11-20T10:00:00+25:00", "2026-11-20T10:00:00+01:60", "20261120T100000Z",
    ]),
    st.integers(-(2**63), 2**64),
    st.integers(1_500_000_000, 1_900_000_000),
    st.floats(),
    st.floats(1.5e9, 1.9e9),
)  # fmt: skip
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**65), 2**65), st.integers(-9, 9), st.floats(), st.text(max_size=6),
    st.sampled_from(["", "N/A", "7", "7.0", "-1", "1e3", "007", " 7", "true", "click", "NaN", 7.0, -1, -1.0, 2**53 + 1, 2**31, 1e39]),
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=5,
)
GOOD = st.fixed_dictionaries(
    {"time": st.just("2026-11-20T10:00:00Z"), "id": st.text(max_size=5)},
    optional={"n": st.integers(-5, 5), "f": st.fixed_dictionaries({}, optional={"x": st.floats(-5, 5), "y": st.integers(0, 9)}),
              "b": st.booleans(), "tags": st.lists(st.text(max_size=3), max_size=3), "v": st.lists(st.floats(-1, 1), max_size=3),
              "kind": st.sampled_from(["click", "buy"]), "k": st.just({"a.b/c": "deep"}), "ignored": VALUES},
)  # fmt: skip
HOSTILE = st.fixed_dictionaries(
    {"time": TIMES, "id": st.one_of(st.text(max_size=4), SCALARS)},
    optional={"n": VALUES, "small": SCALARS, "f": st.one_of(VALUES, st.fixed_dictionaries({}, optional={"x": SCALARS, "y": SCALARS})),
              "b": VALUES, "tags": VALUES, "v": VALUES, "kind": SCALARS, "k": VALUES},
)  # fmt: skip
RAW = st.sampled_from([
    b"", b" ", b"\t\r", b"{}", b"[1]", b"null", b"{", b"}", b'{"id":"a"', b'{"id":"a"}{"id":"b"}', b'{"id":"\xff"}', b'{"z":"\xff"}',
    b'\xef\xbb\xbf{"time":"2026-11-20T10:00:00Z","id":"bom"}', b'{"time":"2026-11-20T10:00:00Z","id":"a","id":"b"}',
    b'{"time":"2026-11-20T10:00:00Z","id":"a","z":1,"z":2}', b'{"time":"2026-11-20T10:00:00Z","id":"a","z":NaN}',
    b'{"time":"2026-11-20T10:00:00Z","id":"a","z":Inf}', b'{"time":"2026-11-20T10:00:00Z","id":"a","z":[-NaN]}', b'{"time":"2026-11-20T10:00:00Z","id":"a","f":{"x":NaN}}',
    b'{"time":"2026-11-20T10:00:00Z","id":"a","f":{"x":-Infinity}}', b'{"time":"2026-11-20T10:00:00Z","id":"a","z":1e999}',
    b'{"time":"2026-11-20T10:00:00Z","id":"a","f":{"x":1e999}}', b'{"time":"2026-11-20T10:00:00Z","id":"\\ud800"}',
    b'{"time":"2026-11-20T10:00:00Z","id":"a","z":"\\ud800"}', b'{"time":"2026-11-20T10:00:00Z","id":"a","f":{"x":-0}}',
    b'{"time":"2026-11-20T10:00:00Z","id":"a","z":' + b"[" * 3000 + b"]" * 3000 + b"}",
    b'{"time":"2026-11-20T10:00:00Z","id":"a","z":' + b"9" * 5000 + b"}",
    b'{"time":"2026-11-20T10:00:00Z","id":"a","f":{"x":' + b"9" * 500 + b"}}",
    b'{"time":"2026-11-20T10:00:00Z","id":"a","n":' + b"9" * 500 + b"}", b"\x00\x00\x00",
    b'{"time":"2026-11-20T10:00:00Z","id":"a"} trailing', b'  {"time":"2026-11-20T10:00:00Z","id":"indented"}  \r',
    b'2026-11-20T10:00:00+00:00\tapp.tag\t{"id":"wrapped","n":3}', b'2026-11-20T10:00:00+00:00\tapp.tag\t{"id":"w","time":5}',
    b'1795460771\tapp.tag\t{"id":"epoch"}', b'x\ty\t{"id":"w"}{"id":"v"}', b"a\tb\tc", b"a\tb", b'{"a":"\t"}\t{"id":"w"}',
    b'{"time":"2026-11-20T10:00:00Z","id":"a","tags":["_jsonparsefailure"]}',
    b'{"time":"2026-11-20T10:00:00Z","id":"a","tags":["_tagged","x_failure"]}', b'{"time":"2026-11-20T10:00:00Z","id":"a","tags":"_grokparsefailure"}',
])  # fmt: skip


def as_line(record: object) -> bytes:
    return json.dumps(record).encode()


LINES = st.lists(st.one_of(GOOD.map(as_line), HOSTILE.map(as_line), RAW), max_size=12)


def content(parsed: Parsed) -> tuple[object, ...]:
    """Rows with every bit of their floats, and rejects."""
    rows = [
        [(math.copysign(1, v), v) if isinstance(v, float) else v for v in row.values()]
        for row in parsed.table.to_pylist()
    ]
    return rows, parsed.rejects.to_pylist(), parsed.lines, parsed.blank


@pytest.mark.parametrize(
    ("name", "timezone", "with_compiled"),
    [
        *((name, "UTC", True) for name, layout in sorted(FORMATS.items()) if not layout.blocks),
        ("json", "Europe/Paris", True),
        ("json", "UTC", False),
        ("fluentd", "UTC", False),
    ],
)
@settings(max_examples=150, deadline=None)
@given(lines=LINES, ending=st.sampled_from([b"\n", b"\r\n"]), final=st.booleans())
@example(lines=[b'{"time": "2038-04-01T00:00:00", "id": "summer"}'], ending=b"\n", final=True)
@example(
    lines=[b'{"time":"2026-11-20T10:00:00Z","id":1}'] * 3 + [b'{"time":1795460771,"id":"a"}'], ending=b"\n", final=True
)
@example(lines=[b'{"time":1795460771123456789,"id":"a"}', b'{"time":1795460771.5,"id":"a"}'], ending=b"\n", final=True)
@example(
    lines=[b'{"time": 1152921504606846912, "id": ""}', b'{"time": 0.0, "id": null, "n": []}'], ending=b"\n", final=False
)
@example(
    lines=[b'{"time": 1795460771123456999, "id": "a"}', b'{"time": 1795460771e9, "id": "a"}'], ending=b"\n", final=True
)
def test_whole_blocks_give_the_rows_and_rejects_of_single_lines(name, timezone, with_compiled, lines, ending, final):
    data = ending.join(lines) + (ending if final else b"")
    block = Block("s", "file.log", 1000, data)
    reader = LineReader("s", FORMATS[name], CONTRACT, timezone)
    each = reader.parse_each(block)
    with patch.object(compiled, "scan", compiled.scan if with_compiled else None):
        together = reader.parse(block)
        again = reader.parse(block)  # with what was learned of the source
    assert content(together) == content(each)
    assert together.lines == together.blank + together.rejects.num_rows + together.table.num_rows
    assert content(again) == content(each)


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=300))
def test_any_bytes_are_accounted_for(data):
    parsed = LineReader("s", FORMATS["fluentd"], CONTRACT).parse(Block("s", "f", 0, data))
    physical = data.count(b"\n") + (data[-1:] not in (b"", b"\n"))
    assert parsed.lines == physical == parsed.blank + parsed.rejects.num_rows + parsed.table.num_rows


def test_rejects_point_at_their_line():
    data = b'{"time":"2026-11-20T10:00:00Z","id":"a"}\n\n{"time":7\n{"id":"b"}\n'
    parsed = LineReader("clicks", FORMATS["json"], CONTRACT).parse(Block("clicks", "a.log", 500, data))
    assert [(r["offset"], r["reason"], r["line"]) for r in parsed.rejects.to_pylist()] == [
        (500 + data.index(b'{"time":7'), "malformed", b'{"time":7'),
        (500 + data.index(b'{"id":"b"'), "missing_field", b'{"id":"b"}'),
    ]
    assert (parsed.lines, parsed.blank, parsed.table.num_rows) == (4, 1, 1)


def test_a_line_may_be_kept_out_of_the_rejects():
    parsed = LineReader("s", FORMATS["json"], CONTRACT, keep_lines=False).parse(Block("s", "f", 0, b"secret\n"))
    assert parsed.rejects.column("line").to_pylist() == [None]
    assert "secret" not in str(parsed.rejects.to_pylist())


def test_numbers_logged_as_strings_are_read_without_going_line_by_line(monkeypatch):
    """The way of logging is learned from the block; no line is judged alone."""
    lines = b"".join(b'{"time":%d,"id":%d,"n":"%d","f":{"x":"%d.5"}}\n' % (1795460771 + i, i, i, i) for i in range(100))
    reader = LineReader("s", FORMATS["json"], CONTRACT)
    monkeypatch.setattr(LineReader, "_judge", lambda *_: pytest.fail("a line was judged alone"))
    table = reader.parse(Block("s", "f", 0, lines)).table
    assert table.column("n").to_pylist()[:3] == [0, 1, 2]
    assert table.column("x").to_pylist()[:2] == [0.5, 1.5]
    assert table.column("id").to_pylist()[:2] == ["0", "1"]
    assert table.column("t").cast(pa.int64()).to_pylist()[0] == 1795460771000000


def test_lines_that_are_no_json_are_told_so_without_asking_arrow_about_each(monkeypatch):
    asked = []
    reading = pj.read_json
    monkeypatch.setattr(pj, "read_json", lambda *given, **options: asked.append(1) or reading(*given, **options))
    good = b'{"time":"2026-11-20T10:00:00Z","id":"a"}\n'
    data = good + b"Traceback (most recent call last):\n" * 500 + b'{"id":"b",}\n' * 500 + good
    parsed = LineReader("s", FORMATS["json"], CONTRACT).parse(Block("s", "f", 0, data))
    assert (parsed.table.num_rows, parsed.rejects.num_rows) == (2, 1000)
    assert len(asked) < 10


@pytest.mark.parametrize(
    "bad",
    [b'{"time":"2026-11-20T10:00:00Z","id":"b","id":"c"}', b'{"time":"2026-11-20T10:00:00Z","id":"b","f":{"x":1, "x" : 2}}',
     b'{"id":"b","id":"c","id":"d","n":1,"n":2}', b'{"time":"2026-11-20T10:00:00Z","id":"b","z":1e999}'],
)  # fmt: skip
@pytest.mark.parametrize("share", [1, 30])
def test_lines_that_arrow_refuses_cost_no_others(monkeypatch, bad, share):
    asked, judged = [], []
    reading, judging = pj.read_json, LineReader._judge
    good = b'{"time":"2026-11-20T10:00:00Z","id":"a","n":1,"f":{"x":1}}'
    lines = [bad if n % 100 < share and n < 400 else good for n in range(2000 // share)]
    reader, block = LineReader("s", FORMATS["json"], CONTRACT), Block("s", "f", 0, b"\n".join(lines))
    each = content(reader.parse_each(block))
    monkeypatch.setattr(pj, "read_json", lambda *given, **options: asked.append(1) or reading(*given, **options))
    monkeypatch.setattr(LineReader, "_judge", lambda *given: judged.append(1) or judging(*given))
    assert content(reader.parse(block)) == each
    assert len(judged) <= lines.count(bad) + 16
    assert len(asked) < 40


@pytest.mark.parametrize(
    "other",
    [
        b'{"time":1795460771,"id":"a","n":1,"f":{"x":1}}', b'{"time":"2026-11-20T10:00:00Z","id":"a","n":"1","f":{"x":1}}',
        b'{"time":"2026-11-20T10:00:00Z","id":1,"n":1,"f":{"x":"1.0"}}',
    ],
)  # fmt: skip
def test_two_ways_of_logging_in_one_block_are_both_read_without_going_line_by_line(monkeypatch, other):
    usual = b'{"time":"2026-11-20T10:00:00Z","id":"a","n":1,"f":{"x":1}}'
    block = Block("s", "f", 0, b"\n".join([usual, other, usual] * 100))
    reader = LineReader("s", FORMATS["json"], CONTRACT)
    each = content(reader.parse_each(block))
    monkeypatch.setattr(LineReader, "_judge", lambda *_: pytest.fail("a line was judged alone"))
    assert content(reader.parse(block)) == each
    assert content(reader.parse(block)) == each  # with what was learned of the source
