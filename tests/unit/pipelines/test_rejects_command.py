"""Rejected lines are listed in order, chosen, limited, and harmless to a terminal."""

import hashlib
import json

import pyarrow as pa
import pytest
from click.testing import CliRunner

from retrolabel.pipelines.cli import commands
from retrolabel.schemas.manifest import PartFile, SourceCounts
from retrolabel.schemas.reject import REJECTS
from retrolabel.transforms.parts import encode
from retrolabel.transforms.publish import publish
from tests.support.at_rest import examples, store

LINES = [
    ("click", "logs/a.log", 900, "wrong_type", "at $.value", b'{"value": "\x1b[31mred"}\r'),
    ("click", "logs/a.log", 1100, "malformed", "cut\noff", None),
    ("predictions", "logs/b.log", 5, "invalid_utf8", "byte 3", b"\xff\xfe\x00" + "\u202egnp.exe".encode()),
    ("predictions", "logs/b.log", 70, "malformed", "cut off", b"x" * 500),
]


@pytest.fixture
def dataset(tmp_path):
    manifest, folder = store(tmp_path, examples({"a": True}))
    files = list(manifest.files)
    for shard in range(2):
        rows = [dict(zip(REJECTS.names, line, strict=True)) for line in LINES[shard::2]]
        data = encode(pa.Table.from_pylist(rows, REJECTS), "parquet")
        path = f"{folder}/rejects/part-{shard:05d}-of-00002.parquet"
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(data)
        files.append(PartFile(kind="rejects", split=None, shard=shard, path=path, rows=len(rows), bytes=len(data),
                              sha256=hashlib.sha256(data).hexdigest()))  # fmt: skip
    accounting = {**manifest.accounting, "click": SourceCounts()}
    publish(str(tmp_path), manifest.model_copy(update={"files": files, "accounting": accounting}), folder)
    return str(tmp_path)


def run(*arguments: str, code: int = 0):
    result = CliRunner().invoke(commands, ["rejects", *arguments])
    assert result.exit_code == code, result.output
    return result


def test_lines_of_all_parts_come_in_the_order_of_source_file_and_offset(dataset):
    found = [json.loads(line) for line in run(dataset, "--json").stdout.splitlines()]
    assert [(reject["source"], reject["path"], reject["offset"]) for reject in found] == [line[:3] for line in LINES]
    assert found[1]["line"] is None


def test_nothing_that_a_terminal_obeys_gets_through(dataset):
    text = run(dataset).stdout
    assert all(character.isprintable() or character == "\n" for character in text)
    assert '{"value": "\\x1b[31mred"}\\r' in text
    assert "\\u202egnp.exe" in text
    assert "cut\\noff" in text
    assert "(not kept)" in text
    assert "x" * 200 + "…" in text


@pytest.mark.parametrize(
    ("chosen", "offsets"),
    [
        (["--source", "click"], [900, 1100]),
        (["--reason", "malformed"], [1100, 70]),
        (["--source", "click", "--reason", "malformed"], [1100]),
        (["--limit", "2"], [900, 1100]),
        (["--date", "2026-11-20", "--limit", "4"], [900, 1100, 5, 70]),
    ],
)
def test_rejects_are_chosen_and_limited(dataset, chosen, offsets):
    result = run(dataset, "--json", *chosen)
    assert [json.loads(line)["offset"] for line in result.stdout.splitlines()] == offsets
    assert ("and more" in result.stderr) == (chosen == ["--limit", "2"])


def test_none_found_is_said_beside_the_results(dataset):
    result = run(dataset, "--reason", "bad_timestamp")
    assert (result.stdout, result.stderr) == ("", "no rejected lines\n")


def test_a_day_that_is_not_there_is_told_with_those_that_are(dataset):
    assert "no day 2026-11-19; it has 2026-11-20" in run(dataset, "--date", "2026-11-19", code=2).output


def test_a_file_that_is_gone_is_told_without_a_traceback(dataset, tmp_path):
    next(tmp_path.glob("*/*/rejects/*")).unlink()
    assert "is missing, though a manifest lists it" in run(dataset, code=6).output


@pytest.mark.parametrize(
    ("chosen", "told"),
    [(["--source", "clicks"], "Did you mean 'click'?"), (["--reason", "wrong"], "Did you mean 'wrong_type'?")],
)
def test_a_source_or_reason_that_there_is_not_is_told_with_the_nearest(dataset, chosen, told):
    assert told in run(dataset, *chosen, code=2).output
