"""Log formats under hostile files: the quick way gives what the definition gives, no record vanishes, nothing but a verdict is raised."""

import datetime
import functools
import io
from collections.abc import Iterator

from retrolabel.schemas.contract import Contract, parse_contract
from retrolabel.transforms.formats import FORMATS
from retrolabel.transforms.formats.interface import Format
from retrolabel.transforms.kernels.lines import Block
from retrolabel.transforms.kernels.parse import LineReader
from tests.property.test_formats import INSIDE, QUERY
from tests.property.test_parsing import CONTRACT, content
from tests.support.writers import WRITERS

OPTIONS = 2
"""Bytes at the end of an input that choose how it is read."""

RECORDS = [
    {"time": "2026-11-20T10:00:00Z", "id": "p1", "n": 3, "kind": "click", "f": {"x": 0.5, "y": 1}, "b": True},
    {"time": "2026-11-20 10:00:00.5+01:00", "id": 7, "tags": ["a", "é"], "deep": {"a": [{"b": 1}, []]}},
    {"time": 1795460771.5, "id": 'q"\\\n', "n": "12", "kind": "buy", "f": {"x": -1}},
]

WRAPPING = {
    "access_log": ("host", "user", "time", "referer"),
    "cloudwatch": ("owner", "logGroup", "logStream", "timestamp", "message"),
    "cri": ("stream", "logtag", "log"),
    "docker": ("stream", "log"),
    "elasticsearch": ("_index", "_id"),
    "syslog": ("host", "program", "pid", "message"),
}
"""Fields of the wrappings, by format."""


@functools.cache
def contracts(name: str) -> tuple[Contract, Contract]:
    """One that reads the application's fields, one that reads the wrapping's."""
    around = [
        {"name": f"f{number}", "path": f'"{key}"', "type": ["null", "string"]}
        for number, key in enumerate(WRAPPING.get(name, ("time", "tag", "log")))
    ]
    return (QUERY if name == "access_log" else CONTRACT), parse_contract(
        {"type": "record", "name": "W", "fields": around}
    )


def blocks(layout: Format, data: bytes) -> Iterator[Block]:
    """The blocks of a file, as reading cuts them; nothing of a file that cannot be read."""
    if layout.blocks:
        try:
            for offset, block in layout.blocks(io.BytesIO(data)):
                yield Block("s", "f", offset, block)
        except ValueError:
            return
        return
    length = layout.head(data) if layout.head else 0
    yield Block("s", "f", length, data[length:], head=data[:length])


def check_format(name: str, data: bytes) -> None:
    """Reads a file in both ways; the last two bytes of the input choose with which contract, in how many pieces and so on."""
    data, (chosen, place) = data[:-OPTIONS], (data[-OPTIONS:] if len(data) >= OPTIONS else b"\0\0")
    layout = FORMATS[name]
    inside = INSIDE.get(name, (("log",),)) if chosen & 1 else ()
    timezone = "Europe/Paris" if chosen & 4 else "UTC"
    reader = LineReader("s", layout, contracts(name)[chosen >> 1 & 1], timezone, unwrap=inside)
    for block in blocks(layout, data):
        together, each = reader.parse(block), reader.parse_each(block)
        assert content(together) == content(each)
        assert together.lines == together.blank + together.rejects.num_rows + together.table.num_rows
        if chosen & 8:  # with what was learned of the source
            assert content(reader.parse(block)) == content(each)
        if chosen & 16 and not layout.blocks:
            _check_pieces(reader.opened(block.head), block, place, each.lines)
        if chosen & 32:
            assert len(list(reader.records(block))) == len(each.table) + len(each.rejects)
    if chosen & 64:
        layout.sniff(data)
        if layout.suggest:
            layout.suggest(data, datetime.date(2026, 11, 20))


def _check_pieces(reader: LineReader, block: Block, place: int, lines: int) -> None:
    """A file that is read in two pieces has as many records."""
    end = reader.cut(block.data[: len(block.data) * place // 256])
    assert 0 <= end <= len(block.data) * place // 256
    if reader.format.name in LINEWISE:
        parts = [
            reader.parse_each(Block("s", "f", 0, part, head=block.head))
            for part in (block.data[:end], block.data[end:])
        ]
        assert sum(part.lines for part in parts) == lines


LINEWISE = {
    name for name, layout in FORMATS.items() if layout.cut is None and layout.blocks is None and layout.head is None
}
"""The formats of which a record is a line, whatever stands in it."""


def seeds_of(name: str) -> list[bytes]:
    return [
        WRITERS[name](records) + options
        for records in (RECORDS[:1], RECORDS)
        for options in (b"\0\x80", b"\1\x80", b"\x7a\xff")
    ]
