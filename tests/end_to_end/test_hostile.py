"""Input that was made to do harm: bombs, SQL that wants files, paths that lead out, names that draw on a terminal."""

import gzip
import json
import os
import pathlib
import resource
import subprocess
import sys

import pytest
from click.testing import CliRunner

import retrolabel
from retrolabel.pipelines.check_command import check_project
from retrolabel.pipelines.cli import commands
from retrolabel.schemas.contract import parse_contract
from retrolabel.schemas.errors import ConfigError, IntegrityError, RetrolabelError
from retrolabel.transforms.kernels.expressions import check_filter, check_value
from tests.support.daily import click, make_shop, serve

MEMORY = 4 * 2**30
SECONDS = 120
"""Of processor, for all cases together."""

OUTCOMES = {
    "gzip of zeros": "line_too_long 1", "gzip in gzip": "line_too_long 1", "bzip2 of zeros": "line_too_long 1", "zstd of zeros": "line_too_long 1",
    "a bomb of zstd": "damaged 1 line_too_long 1", "a line of 100 MB": "line_too_long 1 rows 1",
    "deep JSON": "malformed 2", "deep documents": "malformed 1", "a request of many parameters": "duplicate_key 1", "answers in answers": "malformed 1",
    "a header of many columns": "not_in_format 1", "tables of many columns": "missing_field 3", "tables of long names": "not_in_format 1",
    "events of a long name": "not_in_format 1", "arrays of two thousand million items": "malformed 1", "Avro that holds itself": "not_in_format 1",
    "Avro records without bytes": "not_in_format 1", "Avro items without bytes": "not_in_format 1",
    "forward: arrays of a hundred million items": "taken", "forward: a message without end": "too much",
    "forward: a record of small objects": "a record of more than", "forward: small entries in gzip": "whose lines take more than",
    "forward: a long tag": "whose lines take more than", "forward: gzip members": "members", "forward: endless time": "expected a time",
    "YAML of brackets": "levels deep", "YAML that laughs": "anchors and aliases", "YAML of many words": "that is no config",
    "YAML with a tag": "tags are not allowed", "YAML with a zero byte": "no text can hold", "YAML with a day that is none": "no date or number",
    "a duration of digits": "expected a duration", "a duration of ages": "at most", "a contract of many fields": "taken", "a deep contract": "nested too deeply",
    "a contract with a long number": "64 bits", "a contract with half a character": "surrogate",
}  # fmt: skip
"""What comes of each case."""


@pytest.mark.slow
def test_what_asks_for_much_gets_little():
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])  # every thread reserves some of the memory

    command = [sys.executable, "-m", "tests.support.hostile", *OUTCOMES]
    done = subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=limit)
    assert done.returncode == 0, done.stderr[-2000:]
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [case for case, *_ in told] == list(OUTCOMES)
    for case, outcome, _, _ in told:
        assert OUTCOMES[case] in outcome, (case, outcome)
    assert max(megabytes for *_, megabytes in told) < 1500


CONTRACT = parse_contract({
    "type": "record", "name": "R", "fields": [
        {"name": "t", "type": {"type": "long", "logicalType": "timestamp-micros"}}, {"name": "id", "type": "string"}, {"name": "n", "type": ["null", "long"]},
    ],
})  # fmt: skip
SQL = [
    "(SELECT content FROM read_text('{file}')) LIKE 'c%'", "(SELECT count(*) FROM '{file}') > 0", "(SELECT count(*) FROM read_csv('{file}')) > 0",
    "(FROM read_blob('{file}')) IS NULL", "(SELECT count(*) FROM glob('{file}')) > 0", "(SELECT count(*) FROM read_json('http://127.0.0.1:1/x')) > 0",
    "(SELECT count(*) FROM query('SELECT 1')) > 0", "(SELECT count(*) FROM duckdb_settings()) > 0", "getenv('HOME') <> ''",
    "current_setting('home_directory') <> ''", "(INSTALL httpfs)", "(LOAD httpfs)", "id = 'a'; COPY (SELECT 1) TO '{out}'",
    "true) ; COPY (SELECT 1) TO '{out}'; SELECT (true", "(COPY (SELECT 1) TO '{out}')", "(SELECT count(*) FROM arrow_scan(1, 2, 3)) > 0",
    "(SELECT count(*) FROM json_execute_serialized_sql(json_serialize_sql('SELECT * FROM read_text(''{file}'')'))) > 0",
    "(ATTACH '{out}')", "write_log('x') IS NULL", "(SELECT count(*) FROM sqlite_scan('{file}', 'x')) > 0", "(SET threads = 8)",
]  # fmt: skip


@pytest.mark.parametrize("sql", SQL)
def test_sql_that_wants_more_than_the_row_is_refused(tmp_path, sql):
    file, out = tmp_path / "canary.txt", tmp_path / "out"
    file.write_text("canary")
    sql = sql.format(file=file, out=out)
    with pytest.raises(ConfigError):
        check_filter(sql, CONTRACT)
    with pytest.raises(ConfigError):
        check_value(sql, CONTRACT, "t")
    assert not out.exists()


@pytest.fixture(scope="module")
def hostile_day(tmp_path_factory):
    """A dataset of a day whose log has a hostile name, hostile lines, and a damaged file."""
    config = tmp_path_factory.mktemp("hostile") / "shop"
    path = make_shop(config)
    log = serve(config, "2026-11-20", name="served-\x1b[31m<img src=x onerror=alert(1)>")
    with log.open("a") as file:
        file.write('\x1b]0;title\x07<script>alert(1)</script>\n{"at": "\u202enever", "id": "\\u001b[2J"}\n')
    log.with_name("served-\x9bcut\n.json").write_bytes(
        gzip.compress(b'{"at":"2026-11-20T03:00:00Z","id":"z"}\n' * 9)[:-9]
    )
    click(config, "2026-11-20")
    text = (config / "shop.yaml").read_text()
    (config / "shop.yaml").write_text(text.replace("  time: at\noutcomes", "  time: at\n  max_rejected: 1\noutcomes"))
    done = CliRunner().invoke(commands, ["build", path, "--date", "2026-11-20"])
    assert done.exit_code == 0, done.output
    return config, done.output


def test_names_and_lines_of_logs_do_not_reach_the_terminal(hostile_day):
    config, built = hostile_day
    dataset = str(config / "datasets/shop")
    outputs = [built] + [
        CliRunner().invoke(commands, [*arguments, dataset]).output
        for arguments in (
            ["show"],
            ["show", "--json"],
            ["rejects"],
            ["rejects", "--json"],
            ["versions"],
            ["status"],
            ["card"],
        )
    ]
    assert any("\\x1b]0;title" in output for output in outputs)
    for output in outputs:
        assert [
            line
            for line in output.split("\n")
            if any(ord(character) < 32 or character in "\x7f\x9b\u202e" for character in line)
        ] == []


def test_names_and_lines_of_logs_are_no_markup_of_the_report(hostile_day):
    config, _ = hostile_day
    (report,) = (config / "datasets/shop/_reports").glob("*.html")
    text = report.read_text()
    assert "<img src=x" not in text
    assert "<script>alert" not in text
    assert "\x1b" not in text


def test_an_error_draws_nothing_on_the_terminal(tmp_path):
    name = "no\x1b[2Jconfig.yaml"
    done = CliRunner().invoke(commands, ["check", str(tmp_path / name)])
    assert done.exit_code == 2
    assert "\x1b" not in done.output


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"days": {"2026-11-20": "../../outside.json"}}, "damaged"), ({"days": {"2026-11-20": "/etc/passwd"}}, "damaged"),
        ({"days": {}}, "damaged"), ({"days": {"2026-11-20": "a\0b"}}, "damaged"), ({"format_version": 99}, "later release"), ({"version": "x"}, "damaged"),
    ],
)  # fmt: skip
def test_a_record_that_leads_out_of_its_dataset_is_damaged(hostile_day, tmp_path, change, said):
    record = json.loads((hostile_day[0] / "datasets/shop/_versions/00000001.json").read_text())
    (tmp_path / "shop/_versions").mkdir(parents=True)
    (tmp_path / "shop/_versions/00000001.json").write_text(json.dumps(record | change))
    with pytest.raises(IntegrityError, match=said):
        retrolabel.load(str(tmp_path / "shop"))


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 100_000, b"\xff", b"null", b'{"version": ' + b"9" * 5000 + b"}"])
def test_a_record_that_is_damaged_is_told(tmp_path, content):
    (tmp_path / "shop/_versions").mkdir(parents=True)
    (tmp_path / "shop/_versions/00000001.json").write_bytes(content)
    with pytest.raises(IntegrityError):
        retrolabel.load(str(tmp_path / "shop"))


@pytest.mark.parametrize(
    "name", ["shop@../1", "shop@1/../2", "shop@" + "9" * 5000, "shop@\u0661", "shop@-1", "../../etc@1", "shop\x1b@1"]
)
def test_an_argument_that_names_no_version_is_refused(tmp_path, name):
    with pytest.raises(RetrolabelError):
        retrolabel.load(str(tmp_path / name))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("dataset: shop", "dataset: ../shop"), ("dataset: shop", 'dataset: "a\\0b"'), ("schema: served.avsc", 'schema: "a\\0b"'),
        ("schema: served.avsc", "schema: ."), ("window: 24h", "window: 99999999999d"), ("key: id", 'key: "\\ud800"'),
    ],
)  # fmt: skip
def test_a_config_that_leads_astray_is_refused(tmp_path, old, new):
    path = pathlib.Path(make_shop(tmp_path / "shop"))
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(ConfigError):
        check_project(str(path))


@pytest.mark.parametrize("arguments", [["--dataset", "../x"], ["--outcomes", "predictions=x.log"]])
def test_init_refuses_names_that_are_none(tmp_path, arguments):
    done = CliRunner().invoke(
        commands, ["init", "--predictions", "x.log", "--outcomes", "y.log", "--directory", str(tmp_path), *arguments]
    )
    assert done.exit_code in (2, 4)
    assert os.listdir(tmp_path) == []


def test_a_day_none_of_whose_lines_can_be_read_is_told_of(tmp_path):
    path = make_shop(tmp_path / "shop")
    serve(tmp_path / "shop", "2026-11-20").write_text("oops\n" * 5)
    click(tmp_path / "shop", "2026-11-20").write_text("oops\n")
    done = CliRunner().invoke(commands, ["build", path, "--date", "2026-11-20"])
    assert (done.exit_code, "predictions: 5 of 5 lines (100.00%) were rejected" in done.output) == (3, True), done
