"""Of every format the quick way and the record-by-record way give the same rows and the same rejects, whatever happened to the file."""

import io
import json

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from retrolabel.schemas.contract import parse_contract
from retrolabel.transforms.formats import FORMATS, find_format
from retrolabel.transforms.kernels.lines import Block
from retrolabel.transforms.kernels.parse import LineReader
from tests.property.test_parsing import CONTRACT, content
from tests.support.writers import WRITERS

INSIDE = {"cri": (("log",),), "docker": (("log",),), "syslog": (("message",),), "gcp_logging": (("jsonPayload",),)}
QUERY = parse_contract({
    "type": "record", "name": "Q", "fields": [
        {"name": "t", "type": {"type": "long", "logicalType": "timestamp-micros"}, "path": "time"},
        {"name": "id", "type": ["null", "string"], "path": "query.id"},
        {"name": "n", "type": ["null", "long"], "path": "query.n"},
        {"name": "kind", "type": ["null", "string"], "path": "query.kind"},
        {"name": "path", "type": ["null", "string"]},
        {"name": "size", "type": ["null", "long"]},
        {"name": "status", "type": "int"},
        {"name": "agent", "type": ["null", "string"]},
    ],
})  # fmt: skip
RECORDS = st.lists(
    st.fixed_dictionaries(
        {"time": st.sampled_from(["2026-11-20T10:00:00Z", "2026-11-20 10:00:00.5+01:00", "1795460771.5", "never"]),
         "id": st.one_of(st.text(max_size=6), st.integers(0, 9), st.none())},
        optional={"n": st.one_of(st.integers(-5, 2**40), st.text("0123456789.-%+", max_size=3)), "kind": st.sampled_from(["click", "buy", "x y", 'q"']),
                  "f": st.fixed_dictionaries({}, optional={"x": st.floats(-5, 5), "y": st.integers(0, 9)}), "b": st.booleans(),
                  "tags": st.lists(st.text(max_size=3), max_size=3), "deep": st.just({"a": [{"b": 1}, []]})}),
    max_size=10,
)  # fmt: skip
EDITS = st.lists(
    st.tuples(st.integers(0, 2**16), st.integers(0, 12), st.sampled_from([b"", b"\n", b'"', b"{", b"}", b"\\", b",", b"\t", b"\xff", b"x", b":", b"]", b" ", b"\\u003C", b"\\u0022", b"\\\\"])),
    max_size=3,
)  # fmt: skip


def blocks(name: str, data: bytes) -> list[Block]:
    """The blocks of a file, as reading cuts them."""
    layout = FORMATS[name]
    if layout.blocks:
        return [Block("s", "f", offset, block) for offset, block in layout.blocks(io.BytesIO(data))]
    length = layout.head(data) if layout.head else 0
    return [Block("s", "f", length, data[length:], head=data[:length])]


def reader_of(name: str) -> LineReader:
    return LineReader(
        "s", FORMATS[name], QUERY if name == "access_log" else CONTRACT, "UTC", unwrap=INSIDE.get(name, ())
    )


@pytest.mark.parametrize("name", sorted(WRITERS))
@settings(max_examples=60, deadline=None)
@given(records=RECORDS, edits=EDITS)
def test_whole_blocks_give_the_rows_and_rejects_of_single_records(name, records, edits):
    data = WRITERS[name](records)
    if not FORMATS[name].blocks:
        for place, length, text in edits:
            place %= len(data) + 1
            data = data[:place] + text + data[place + length :]
    reader = reader_of(name)
    for block in blocks(name, data):
        together, each = reader.parse(block), reader.parse_each(block)
        assert content(together) == content(each)
        assert together.lines == together.blank + together.rejects.num_rows + together.table.num_rows
        assert content(reader.parse(block)) == content(each)


@settings(max_examples=60, deadline=None)
@given(RECORDS, EDITS, st.lists(st.sampled_from(["2026-11-20T10:00:00+01:00", "2026-11-20 10:00:00.5", "1795460771.532", "1795460771", "20/Nov/2026:10:00:00 +010", "x" * 26, ""]), min_size=10, max_size=10))  # fmt: skip
def test_requests_with_any_time_are_read_as_single_ones_are(records, edits, times):
    lines = WRITERS["access_log"](records).splitlines(keepends=True)
    data = b"".join(line.replace(b"20/Nov/2026:10:00:00 +0100", time.encode()) for line, time in zip(lines, times, strict=False))  # fmt: skip
    for place, length, text in edits:
        place %= len(data) + 1
        data = data[:place] + text + data[place + length :]
    block, reader = Block("s", "f", 0, data), reader_of("access_log")
    assert content(reader.parse(block)) == content(reader.parse_each(block))


@settings(max_examples=80, deadline=None)
@given(st.lists(RECORDS, max_size=3), EDITS, st.sampled_from([None, 1]), st.sampled_from(["", "\n"]))
def test_answers_of_elasticsearch_are_read_as_single_documents_are(pages, edits, indent, between):
    def answer(records):
        hits = [{"_index": "a", "_id": "1", "_source": record} for record in records]
        return json.dumps({"_scroll_id": "F[", "took": 1, "hits": {"total": {"value": 9}, "hits": hits}}, indent=indent)

    data = between.join(map(answer, pages)).encode()
    for place, length, text in edits:
        place %= len(data) + 1
        data = data[:place] + text + data[place + length :]
    reader = reader_of("elasticsearch")
    for block in blocks("elasticsearch", data):
        together, each = reader.parse(block), reader.parse_each(block)
        assert content(together) == content(each)
        assert together.lines == together.blank + together.rejects.num_rows + together.table.num_rows
        if not edits:
            assert together.lines == sum(map(len, pages))


@pytest.mark.parametrize("name", sorted(WRITERS))
def test_nothing_is_judged_alone_of_what_a_system_writes_without_fault(name, monkeypatch):
    records = [{"time": "2026-11-20T10:00:00Z", "id": f"p{n}", "n": n, "kind": "click"} for n in range(40)]
    reader = reader_of(name)
    monkeypatch.setattr(LineReader, "_judge", lambda *_: pytest.fail("a record was judged alone"))
    found = [row for block in blocks(name, WRITERS[name](records)) for row in reader.parse(block).table.to_pylist()]
    assert [(row["id"], row["n"]) for row in found] == [(record["id"], record["n"]) for record in records]


@pytest.mark.parametrize("name", sorted(WRITERS))
@pytest.mark.parametrize("wrong", [{"n": "seven"}, {"n": True}, {"time": "never"}])
def test_a_value_that_does_not_fit_costs_no_other_records(name, wrong, monkeypatch):
    """In `avro` and `parquet` a column is of one type: such a value makes text of it."""
    records = [{"time": "2026-11-20T10:00:00Z", "id": f"p{n}", "n": n, "kind": "click"} for n in range(400)]
    records[7] |= wrong
    reader, judged, judging = reader_of(name), [], LineReader._judge
    monkeypatch.setattr(LineReader, "_judge", lambda *given: judged.append(1) or judging(*given))
    parsed = [reader.parse(block) for block in blocks(name, WRITERS[name](records))]
    assert sum(one.table.num_rows for one in parsed) >= 399
    assert len(judged) <= 2


@pytest.mark.parametrize("name", sorted(name for name in WRITERS if FORMATS[name].cut))
@settings(max_examples=30, deadline=None)
@given(records=RECORDS, place=st.integers(0, 2**16))
def test_a_file_that_is_read_in_two_pieces_gives_the_same_records(name, records, place):
    data = WRITERS[name](records)
    (whole,) = blocks(name, data)
    assume(whole.data)
    reader = reader_of(name).opened(whole.head)
    end = reader.cut(whole.data[: place % len(whole.data)])
    pieces = [
        reader.parse(Block("s", "f", whole.offset + start, part))
        for start, part in ((0, whole.data[:end]), (end, whole.data[end:]))
    ]
    parts = [content(piece) for piece in pieces]
    together = content(reader.parse(whole))
    assert [*parts[0][0], *parts[1][0]] == together[0]
    assert [*parts[0][1], *parts[1][1]] == together[1]


@settings(max_examples=60, deadline=None)
@given(
    times=st.lists(st.sampled_from(["Nov 23 10:00:00", "Jan  3 00:00:00", "Feb 29 10:00:00", "Xyz 23 10:00:00", "2026-11-23T10:00:00.5+01:00",
                                    "Nov 3 10:00:00", "Dec 31 23:59:60", "Nov 23 1:00:00 x"]), max_size=8),
    edits=EDITS, priority=st.booleans(),
)  # fmt: skip
def test_times_without_a_year_are_read_alike_in_blocks_and_alone(times, edits, priority):
    data = "".join(f'{"<14>" if priority else ""}{time} web-1 ml[42]: {{"id":"a"}}\n' for time in times).encode()
    for place, length, text in edits:
        place %= len(data) + 1
        data = data[:place] + text + data[place + length :]
    layout = find_format("syslog", {"until": "2027-01"}, "")
    reader = LineReader("s", layout, CONTRACT, "Europe/Paris", unwrap=(("message",),))
    block = Block("s", "f", 0, data)
    assert content(reader.parse(block)) == content(reader.parse_each(block))


DOCKER = parse_contract({
    "type": "record", "name": "D", "fields": [{"name": name, "type": ["null", "string"]} for name in ("log", "stream", "time", "logtag", "attrs")],
})  # fmt: skip
ODD_LINES = [
    rb'{"log":"{\"time\":\"2026-11-20T10:00:00Z\",\"id\":\"a\\\"b\"}\n","stream":"stdout","time":"2026-11-20T10:00:00.5Z"}',
    rb'{"log":"{\"time\":\"2026-11-20T10:00:00Z\",\"id\":\"a\\\\\"}\n","stream":"stderr","time":"2026-11-20T10:00:00Z"}',
    rb'{"log":"{\"time\":\"2026-11-20T10:00:00Z\",\"id\":\"\u003cb\u003e\"}\n","stream":"stdout","time":"2026-11-20T10:00:00.123456789Z"}',
    rb'{"log":"{\"time\":\"2026-11-20T10:00:00Z\",\"id\":\"a\"}\t\n","stream":"stdout","time":"2026-11-20T10:00:00Z"}',
    rb'{"log":"{\"time\":\"2026-11-20T10:00:00Z\",\"id\":\"a\"}\r\n","stream":"stdout","time":"2026-11-20T10:00:00Z"}',
    rb'{"log":"{\"time\":\"2026-11-20T10:00:00Z\",\"id\":\"a\"}\\n","stream":"stdout","time":"2026-11-20T10:00:00Z"}',
    rb'{"log":"{\"time\":\"2026-11-20T10:00:00Z\",\"id\":\"a\"}\n","stream":"stdout","attrs":{"tag":"x"},"time":"2026-11-20T10:00:00Z"}',
    rb'{"log":"\n","stream":"stdout","time":"2026-11-20T10:00:00Z"}', rb'{"log":"n","stream":"stdout","time":"2026-11-20T10:00:00Z"}',
    rb'{"log":"{\"time\":\"2026-11-20T10:00:00Z\"}\n","stream":"stdout","time":"2026-11-20T10:00:00+01:00"}',
    rb'{"log":"{\"time\":\"2026-11-20T10:00:00Z\"}\n","stream":"stdout","time":"2026-11-20T10:00:0\u0030Z"}',
    rb'{"log":"{\"time\":\"2026-11-20T10:00:00Z\"}\n","stream":"stdout","time":"2026-11-20T10:00:0\"Z"}',
    rb'{"log":"{\"time\":\"2026-11-20T10:00:00Z\"}"x\n","stream":"stdout","time":"2026-11-20T10:00:00.25\Z"}',
    b'{"log":"{\\"time\\":\t\\"2026-11-20T10:00:00Z\\"}\\n","stream":"stdout","time":"2026-11-20T10:00:00Z"}',
    b'  {"log":"{\\"time\\":\\"2026-11-20T10:00:00Z\\"}\\n","stream":"stdout","time":"2026-11-20T10:00:00Z"} \r',
    rb'{"log":{"time":"2026-11-20T10:00:00Z"},"stream":"stdout","time":"2026-11-20T10:00:00Z"}', b"", b" ", b"oops",
]  # fmt: skip
"""What stands among the usual lines of Docker."""


TEXTS = st.text(st.sampled_from('xé\u2028\\"/<>&\n\r\t\x01\x02\x7f'), max_size=5)
"""What Docker escapes, and what it does not."""


def docker_line(text: str, end: str = "\n", digits: int = 3) -> bytes:
    """A line as Docker writes it (moby's jsonlogbytes.go)."""
    escaped = json.dumps(text + end, ensure_ascii=False)
    for plain in "<>&\u2028\x7f":
        escaped = escaped.replace(plain, f"\\u{ord(plain):04x}")
    time = f"2026-11-20T10:00:00{'.' * (digits > 0)}{'1' * digits}Z"
    return f'{{"log":{escaped},"stream":"stdout","time":"{time}"}}'.replace("\\t", "\\u0009").encode()


@pytest.mark.parametrize("unwrap", [(("log",),), ()])
@settings(max_examples=120, deadline=None)
@given(
    texts=st.lists(TEXTS, min_size=1, max_size=3), end=st.sampled_from(["\n", "\n", "\r\n"]), literal=st.booleans(),
    odd=st.lists(st.tuples(st.integers(0, 149), st.sampled_from(ODD_LINES)), max_size=3),
    edits=EDITS,
    digits=st.integers(0, 9),
)  # fmt: skip
def test_odd_lines_of_docker_among_many_are_read_as_alone(unwrap, texts, end, literal, odd, edits, digits):
    objects = [
        json.dumps({"time": "2026-11-20T10:00:00Z", "id": text, "n": 7}, ensure_ascii=False) + (text if literal else "")
        for text in texts
    ]
    lines = [docker_line(objects[number % len(objects)], end, digits) for number in range(150)]
    for place, line in odd:
        lines[place] = line
    data = b"\n".join(lines)
    for place, length, text in edits:
        place %= len(data) + 1
        data = data[:place] + text + data[place + length :]
    reader = LineReader("s", FORMATS["docker"], CONTRACT if unwrap else DOCKER, "UTC", unwrap=unwrap)
    block = Block("s", "f", 0, data)
    assert content(reader.parse(block)) == content(reader.parse_each(block))


def test_escapes_of_docker_are_read_without_a_look_at_single_lines(monkeypatch):
    texts = ['a "quote"', "tab\tline\nend\r", "C:\\shoes\\", "/shop?a=1&b=<2>", "é"]
    data = b"\n".join(
        docker_line(json.dumps({"time": "2026-11-20T10:00:00Z", "id": text}, ensure_ascii=False)) for text in texts * 50
    )
    monkeypatch.setattr(LineReader, "_judge", lambda *_: pytest.fail("a record was judged alone"))
    reader = LineReader("s", FORMATS["docker"], CONTRACT, "UTC", unwrap=(("log",),))
    assert reader.parse(Block("s", "f", 0, data)).table.column("id").to_pylist() == texts * 50


def test_every_format_is_written_here():
    assert sorted(WRITERS) == sorted(FORMATS)
