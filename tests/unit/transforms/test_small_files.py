"""Small files read and parsed together: what becomes of each is what became of it alone."""

import gzip

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrolabel.schemas.contract import parse_contract
from retrolabel.transforms import small_files
from retrolabel.transforms.formats import FORMATS
from retrolabel.transforms.kernels.lines import Block
from retrolabel.transforms.kernels.parse import LineReader
from retrolabel.transforms.plan import Input
from retrolabel.transforms.read import blocks_of, compression_of, fingerprint_of
from retrolabel.transforms.small_files import grouped, parse_together, together

CONTRACT = parse_contract({"type": "record", "name": "R", "fields": [{"name": "id", "type": "string"}]})
LINES = LineReader("s", FORMATS["json"], CONTRACT)

LINE = st.sampled_from(
    [b'{"id":"a"}', b'{"id":7}', b"", b"  ", b"\r", b'{"id":"b"}\r', b"no json", b'{"id":"\xff"}', b"{", b'{"id":"\xc3\xa4"}']
)  # fmt: skip
FILE = st.tuples(st.sampled_from([b"", b"\xef\xbb\xbf"]), st.lists(LINE, max_size=4), st.booleans()).map(
    lambda parts: parts[0] + b"\n".join(parts[1]) + b"\n" * parts[2]
)


def as_input(path) -> Input:
    data = path.read_bytes()
    return Input(
        "s", str(path), path.name, len(data), 0, len(data), compression_of(data[:10]), fingerprint_of(str(path))
    )


def blocks_in(folder, files) -> list[Block]:
    blocks = []
    for number, (data, is_compressed) in enumerate(files):
        path = folder / f"{number % 2}{number}.log"
        path.write_bytes(gzip.compress(data) if is_compressed else data)
        blocks += blocks_of(as_input(path), LINES)
    return blocks


@settings(deadline=None)
@given(files=st.lists(st.tuples(FILE, st.booleans()), min_size=1, max_size=6))
def test_files_parsed_together_give_the_rows_rejects_and_counts_of_each_alone(tmp_path_factory, files):
    blocks = blocks_in(tmp_path_factory.mktemp("small"), files)
    (at_once,) = together(blocks, LINES)
    found, lines = parse_together(at_once, LINES)
    alone = [LINES.parse(block) for block in blocks]
    assert found.table.equals(pa.concat_tables(one.table for one in alone))
    assert lines == [one.lines for one in alone]
    assert found.lines == sum(lines)
    assert found.blank == sum(one.blank for one in alone)
    rejects = pa.concat_tables(one.rejects for one in alone).to_pylist()
    assert found.rejects.to_pylist() == sorted(rejects, key=lambda reject: (reject["path"], reject["offset"]))


@pytest.mark.parametrize("name", [name for name, one in FORMATS.items() if one.splittable])
def test_every_format_of_lines_counts_the_lines_of_each_file(name):
    reader = LineReader("s", FORMATS[name], CONTRACT)
    texts = [b"a\n\n b \n", b"", b'{"id":"1"}', b"\n", b"c\r\n\r\nd"]
    blocks = [Block("s", str(number), 0, text) for number, text in enumerate(texts)]
    _, lines = parse_together(blocks, reader)
    assert lines == [reader.parse(block).lines for block in blocks] == [3, 0, 1, 1, 3]


CELL = st.sampled_from([b"a", b"7", b"", b" ", b'"q"', b'"two\nlines"', b'o"pen', b"\xff"])
TABLE = st.tuples(
    st.sampled_from([b"id,n\n", b"n,id\n", b"id,n\r\n", b"\xef\xbb\xbfid,n\n", b"", b"no\n"]),
    st.lists(st.lists(CELL, min_size=1, max_size=3).map(b",".join), max_size=4),
    st.sampled_from([b"", b"\n", b"\r\n"]),
).map(lambda parts: parts[0] + b"\n".join(parts[1]) + parts[2])


@settings(deadline=None)
@given(tables=st.lists(TABLE, min_size=1, max_size=6))
def test_tables_of_one_header_are_parsed_together_as_each_alone(tmp_path_factory, tables):
    reader, folder = LineReader("s", FORMATS["csv"], CONTRACT), tmp_path_factory.mktemp("tables")
    blocks = []
    for number, data in enumerate(tables):
        path = folder / f"{number}.csv"
        path.write_bytes(data)
        blocks += blocks_of(as_input(path), reader)
    groups = list(together(blocks, reader))
    assert sorted(id(block) for group in groups for block in group) == sorted(map(id, blocks))
    for group in groups:
        found, lines = parse_together(group, reader)
        alone = [reader.parse(block) for block in group]
        assert found.table.equals(pa.concat_tables(one.table for one in alone))
        assert (lines, found.blank) == ([one.lines for one in alone], sum(one.blank for one in alone))
        rejects = pa.concat_tables(one.rejects for one in alone).to_pylist()
        assert found.rejects.to_pylist() == sorted(rejects, key=lambda reject: (reject["path"], reject["offset"]))


def test_tables_without_quotes_and_of_one_header_are_parsed_together():
    reader = LineReader("s", FORMATS["csv"], CONTRACT)
    blocks = [Block("s", name, 5, text, head=head) for name, text, head in
              [("a", b"1\n", b"id\n"), ("b", b"2\n", b"id\n"), ("c", b'"3"\n', b"id\n"), ("d", b"4\n", b"id\n"), ("e", b"5,6\n", b"id,n\n")]]  # fmt: skip
    groups = [[block.path for block in group] for group in together(blocks, reader)]
    assert groups == [["c"], ["a", "b", "d"], ["e"]]
    reader = LineReader("s", FORMATS["csv"].configure(["id"]), CONTRACT)
    (group,) = together([Block("s", name, 0, b"1") for name in "ab"], reader)
    assert parse_together(group, reader)[1] == [1, 1]


def test_a_line_of_a_format_that_goes_on_in_the_next_is_never_parsed_with_another_file():
    reader = LineReader("s", FORMATS["docker"], CONTRACT)
    blocks = [Block("s", name, 0, b"{}\n") for name in "ab"]
    assert list(together(blocks, reader)) == [(blocks[0],), (blocks[1],)]


def test_a_block_is_held_no_longer_than_its_bytes_allow(monkeypatch):
    monkeypatch.setattr(small_files, "BLOCK_BYTES", 10)
    blocks = [Block("s", str(size), 0, b"x" * size) for size in (4, 5, 3, 30, 2)]
    assert [len(held) for held in together(blocks, LINES)] == [3, 1, 1]


def test_neighbouring_small_files_of_one_source_make_one_element(monkeypatch):
    monkeypatch.setattr(small_files, "GROUP_FILES", 3)
    monkeypatch.setattr(small_files, "BLOCK_BYTES", 1000)
    monkeypatch.setattr(small_files, "SMALL_BYTES", 600)
    sizes = [("p", 1), ("p", 2), ("p", 3), ("p", 4), ("p", 700), ("p", 5), ("c", 6), ("c", 600), ("c", 600)]
    files = [Input(source, f"{source}{size}", f"{source}{size}", size, 0, size, "", None) for source, size in sizes]
    groups = list(grouped(files))
    assert [[file.size for file in group] for group in groups] == [[1, 2, 3], [4], [700], [5], [6, 600], [600]]
