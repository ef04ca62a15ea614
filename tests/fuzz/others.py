"""Everything else that reads what others wrote: configs, contracts, protos, datasets at rest, messages, answers of log stores."""

import bz2
import contextlib
import dataclasses
import functools
import gzip
import io
import json
import os
import pathlib
import shutil
import tempfile
from typing import Any, get_args
from unittest import mock

import google_crc32c
import msgpack
import pyarrow as pa
import requests
import zstandard
from click.testing import CliRunner

import retrolabel
from retrolabel.configs.load import load_project
from retrolabel.configs.model import parse_duration
from retrolabel.pipelines.check_command import check_project
from retrolabel.pipelines.cli import commands
from retrolabel.pipelines.collect_forward import ForwardError, Handshake, Messages, read_message
from retrolabel.schemas.contract import DateOrder, Field, contract_of, split_path
from retrolabel.schemas.errors import ConfigError, IntegrityError, RetrolabelError, printable
from retrolabel.schemas.manifest import DayManifest, VersionRecord
from retrolabel.schemas.metadata_files import schema_from, statistics_from
from retrolabel.schemas.reject import Rejected
from retrolabel.transforms import read
from retrolabel.transforms.apis import elasticsearch, gcp_logging
from retrolabel.transforms.apis.interface import Query
from retrolabel.transforms.dataset import split_name
from retrolabel.transforms.formats import FORMATS
from retrolabel.transforms.kernels.coerce import coerce_column, coerce_value
from retrolabel.transforms.kernels.expressions import check_filter, label_type
from retrolabel.transforms.kernels.lines import Block
from retrolabel.transforms.kernels.parse import LineReader
from retrolabel.transforms.kernels.schema_changes import changes_between
from retrolabel.transforms.kernels.schema_rules import infer_schema
from retrolabel.transforms.kernels.select import Selection, select
from retrolabel.transforms.kernels.validation import update_schema, validate
from retrolabel.transforms.parts import decode, encode
from retrolabel.transforms.plan import Input
from tests.property.test_parsing import CONTRACT
from tests.support.daily import click, make_shop, serve

ROOT = pathlib.Path(__file__).parents[2]


@functools.cache
def folder() -> pathlib.Path:
    """A folder of this process, in memory where there is such a thing."""
    made = tempfile.mkdtemp(prefix="retrolabel-fuzz-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
    import atexit

    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return pathlib.Path(made)


# Compressed files

LINES = LineReader("s", FORMATS["json"], CONTRACT)


def check_compressed(data: bytes) -> None:
    """Every byte of the text is in one block or in a line that was too long, in order, and the whole file has its checksum."""
    file = Input("s", "f", "f", len(data), 0, len(data), read.compression_of(data[: read.HEAD_BYTES]), None)
    text = read.Whole(read.text_of(io.BytesIO(data)))
    whole = text.read(2**24)
    with mock.patch.multiple(read, BLOCK_BYTES=64, MAX_LINE_BYTES=100):
        blocks = list(read._stream_blocks(file, io.BytesIO(data), LINES))
    if len(whole) == 2**24:
        return
    assert (blocks[-1].raw_bytes, blocks[-1].crc32c) == (len(data), google_crc32c.value(data))
    assert (blocks[-1].damaged is None) == (text.damage is None)
    place = 3 if whole[:3] == b"\xef\xbb\xbf" else 0
    for block in blocks:
        if block.data or block.skipped:
            assert block.offset == place
        assert block.data == whole[place : place + len(block.data)]
        place += len(block.data)
        for offset, length, start in block.skipped:
            assert offset == place
            assert whole[place:].startswith(start[:length])
            place += length
    assert place == len(whole)


def compressed_seeds() -> list[bytes]:
    text = b'{"id":"a"}\n' * 3 + b"x" * 300 + b"\n" + b'{"id":"b"}'
    frames = zstandard.ZstdCompressor().compress
    return [
        text, b"\xef\xbb\xbf" + text,
        *(pack(text) for pack in (gzip.compress, bz2.compress, frames)),
        *(pack(text[:20]) + pack(text[20:]) for pack in (gzip.compress, bz2.compress, frames)),
        gzip.compress(gzip.compress(text)), gzip.compress(text) + b"\0" * 40, bz2.compress(b"\0" * 10_000),
    ]  # fmt: skip


# Contracts and configs


def check_contract(data: bytes) -> None:
    """A contract is refused in words, or reads any line."""
    with contextlib.suppress(ConfigError, UnicodeDecodeError):
        contract = contract_of(data.decode())
        for one in (contract, contract.published):
            pa.table(one.arrow_schema.empty_table())
        reader = LineReader("s", FORMATS["json"], contract)
        block = Block(
            "s", "f", 0, b'{"id":"7","time":"2026-11-20T10:00:00Z","n":{"a":[1,null]},"f":1e3,"v":[1],"b":true}\n{}\n'
        )
        parsed = reader.parse(block)
        assert parsed.lines == 2 == parsed.table.num_rows + parsed.rejects.num_rows
        assert parsed.table == reader.parse_each(block).table


def contract_seeds() -> list[bytes]:
    texts = [path.read_bytes() for path in sorted(ROOT.glob("examples/**/*.avsc"))]
    time = {"type": "long", "logicalType": "timestamp-micros"}
    fields = [
        {"name": "t", "type": time, "path": "time", "time_unit": "ms"},
        {"name": "x", "type": ["null", "double"], "path": 'f."a.b"', "missing": ["", -1, True]},
        {"name": "v", "type": {"type": "array", "items": "float"}, "pii": "drop"},
        {"name": "k", "type": {"type": "enum", "name": "K", "symbols": ["a", "b"]}},
        {"name": "g", "type": ["null", "int"], "pii": "generalize", "generalize": {"edges": [1, 2]}},
        {"name": "h", "type": "string", "pii": "generalize", "generalize": {"map": {"a": "b"}, "other": "c"}, "path": "id"},
        {"name": "b", "type": "boolean", "doc": "d", "default": None, "aliases": []},
    ]  # fmt: skip
    return [*texts, json.dumps({"type": "record", "name": "R", "fields": fields}).encode()]


CONFIG = """\
dataset: shop
timezone: Europe/Paris
predictions: {format: csv, options: {delimiter: ";"}, path: ["logs/{date:%Y/%m/%d}/*.csv", "${LOGS:-x}"], schema: served.avsc, key: id, time: at, where: "id <> 'x'"}
outcomes:
  click: {format: json, unwrap: log, path: "logs/{hour}.json", schema: click.avsc, key: [id], time: at, id: id, attribution: last, max_rejected: 0.5, lookaround: 1h}
labels:
  clicked: {outcome: click, window: 24h, after: 1h30m, value: "count(*) > 1"}
split: {by: at, parts: {train: 2026-11-20, eval: rest}}
sample: {negatives: 0.5}
output: {path: datasets, format: avro}
privacy: {rejected_lines: drop, key: {env: KEY}}
slices: [id, [id, clicked]]
schedule: {since: 2026-11-20, lag: 2h, parallel: 2}
retention: {days: 7, pinned: [1]}
freshness: {click: {max_delay: 1h, min_volume: 0.5}}
monitor: {score: id, label: clicked, alerts: {auc: {min: 0.5}}}
on_publish: {file: told.json, webhook: {url: "https://x"}, command: [a, b]}
"""


@functools.cache
def shop() -> str:
    """A config with its contracts."""
    return make_shop(folder() / "shop")


def check_config(data: bytes) -> None:
    """A config is refused in words, or its dataset lies where it says."""
    path = pathlib.Path(shop()).with_name("fuzzed.yaml")
    path.write_bytes(data)
    with contextlib.suppress(ConfigError):
        project = check_project(str(path))
        assert project.root.startswith(project.resolve(project.config.output.path).rstrip("/") + "/")
        json.dumps(project.recipe, default=str)


def config_seeds() -> list[bytes]:
    pieces = [path.read_bytes() for path in sorted(ROOT.glob("examples/**/*.yaml"))]
    return [*pieces, CONFIG.encode(), pathlib.Path(shop()).read_bytes()]


# SQL

CANARY = "the-canary-sings-9471"


def check_expression(data: bytes) -> None:
    """SQL of a config is refused in words, or says of each row whether it is kept."""
    sql = data.decode(errors="replace")
    rows = CONTRACT.arrow_schema.empty_table()
    with contextlib.suppress(ConfigError):
        check_filter(sql, CONTRACT)
        select(rows, Selection(sql, "t", 0, 2**62))
    with contextlib.suppress(ConfigError):
        label_type(sql, CONTRACT, "t")


def expression_seeds() -> list[bytes]:
    path = folder() / "canary.txt"
    path.write_text(CANARY)
    texts = [
        "id = 'a' AND n > 3", "x IS NULL OR list_contains(tags, 'a')", "count(*) > 1", "sum(n)", "max(x) - min(x)", "first(id ORDER BY n)",
        "CASE WHEN b THEN 1 ELSE 0 END = 1", "regexp_matches(id, '^a+$')", "TRY_CAST(id AS INTEGER) BETWEEN 1 AND 5", "t > TIMESTAMP '2026-11-20'",
        "id IN ('a', 'b')", f"(SELECT content FROM read_text('{path}')) = 'x'", "quantile_cont(x, 0.5)", "any", "delay", "mean(n)",
        "list_transform(v, lambda e: e + 1)[1] > 0", "json_extract(id, '$.a') = 'x'", "id SIMILAR TO 'a%'", "struct_pack(a := 1).a = n",
    ]  # fmt: skip
    return [text.encode() for text in texts]


# Small grammars

TIMES = [*(Field("t", "timestamp", ("t",), True, time_unit=unit) for unit in (None, "s", "ms", "us", "ns")), *(Field("t", "timestamp", ("t",), True, date_order=order) for order in get_args(DateOrder))]  # fmt: skip
NUMBERS = [Field("n", kind, ("n",), True, missing=missing) for kind in ("int", "long", "float", "double", "boolean", "string") for missing in ((), (-1, "N/A"))]  # type: ignore[arg-type]  # fmt: skip


def check_value(data: bytes) -> None:
    """A text is the same moment, or number, alone and in a column."""
    text = data[1:].decode(errors="replace")
    chosen = data[0] if data else 0
    field = [*TIMES, *NUMBERS][chosen % (len(TIMES) + len(NUMBERS))]
    zone = "America/Sao_Paulo" if chosen & 128 else "UTC"
    column, doubtful = coerce_column(pa.array([text, None]), field, zone)
    try:
        value = coerce_value(text, field, zone)
    except Rejected:
        assert doubtful is not None
        assert doubtful[0].as_py()
        return
    if doubtful is None or not doubtful[0].as_py():
        found = column.cast(pa.int64())[0].as_py() if field.kind == "timestamp" else column[0].as_py()
        assert found == value
        assert str(found) == str(value)


def value_seeds() -> list[bytes]:
    texts = [
        "2026-11-20T10:00:00Z", "2026-11-20 10:00:00.123456789+01:00", "2026-11-20", "1795460771.5", "-1", "1795460771532", "1e39", "0.1",
        "2026-03-29T02:30", "11/20/2026, 10:00:00.123 AM", "20.11.2026 9:05", "N/A", "true", "9223372036854775808", "-0", "+1", "\u0661", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999999Z",
    ]  # fmt: skip
    return [bytes([number]) + text.encode() for text in texts for number in (0, 2, 5, 6, 12, 128)]


def check_name(data: bytes) -> None:
    """Names, paths and durations are taken apart or refused, and what is shown holds no control characters."""
    text = data.decode(errors="surrogateescape")
    with contextlib.suppress(RetrolabelError):
        _, version = split_name(text)
        assert version is None or version >= 0
    with contextlib.suppress(ConfigError):
        assert split_path(text)
    with contextlib.suppress(ValueError):
        parse_duration(text)
    assert printable(text).isprintable()


def name_seeds() -> list[bytes]:
    return [
        b"datasets/shoes_ctr@7",
        b"a@v3",
        b"../x@",
        b'kubernetes."app.io/name".a',
        b"1h30m",
        b"7d",
        b"2.5 w",
        b"\x1b[31m\xe2\x80\xae",
        b"9" * 30 + b"h",
    ]


# Protos of TensorFlow Metadata


def check_protos(data: bytes) -> None:
    """A schema and statistics are refused in words, or what follows from them is."""
    text, _, binary = data.partition(b"\xff\xfe")
    with contextlib.suppress(RetrolabelError):
        schema = schema_from(text, "schema.pbtxt")
        changes_between(schema_from(b"", "other.pb"), schema)
        listed = statistics_from(binary, "statistics.pb")
        for statistics in listed.datasets:
            validate(statistics, schema)
            update_schema(statistics, schema, None)
            infer_schema(statistics, 100, [])


def proto_seeds() -> list[bytes]:
    made = sorted((ROOT / "tests/golden/tfdv").glob("*/schema.pbtxt"))
    return [path.read_bytes() + b"\xff\xfe" + path.with_name("stats.pb").read_bytes() for path in made[:6]]


# Datasets at rest


@functools.cache
def dataset() -> pathlib.Path:
    """The folder of a small dataset with rejected lines."""
    config = pathlib.Path(make_shop(folder() / "built"))
    serve(config.parent, "2026-11-20")
    click(config.parent, "2026-11-20")
    with (config.parent / "logs/2026/11/20/served-a.json").open("a") as log:
        log.write('{"at": "never"}\n')
    config.write_text(
        config.read_text()
        + "predictions:\n".replace("predictions:\n", "split: {by: id, parts: {train: 0.8, eval: 0.2}}\n")
    )
    config.write_text(
        config.read_text().replace(
            "  key: id\n  time: at\noutcomes", "  key: id\n  time: at\n  max_rejected: 1\noutcomes"
        )
    )
    done = CliRunner().invoke(commands, ["build", str(config), "--date", "2026-11-20"])
    assert done.exit_code == 0, (done.output, done.exception)
    return config.parent / "datasets/shop"


@functools.cache
def stored() -> list[pathlib.Path]:
    """The files of the dataset, its record and manifest first."""
    files = sorted(
        path.relative_to(dataset()) for path in dataset().rglob("*") if path.is_file() and path.suffix != ".html"
    )
    return sorted(
        files, key=lambda path: (not str(path).startswith("_versions"), "manifest" not in path.name, str(path))
    )


def check_dataset(data: bytes) -> None:
    """Readers of a dataset of which one file is something else say so, and read nothing outside of it."""
    name = stored()[data[0] % len(stored())] if data else stored()[0]
    path, content = dataset() / name, data[1:]
    before = path.read_bytes()
    path.write_bytes(content)
    try:
        for arguments in (["show"], ["versions"], ["rejects"], ["status"], ["card"], ["schema", "infer"]):
            _run([*arguments, str(dataset())])
        with contextlib.suppress(RetrolabelError, pa.ArrowException):
            retrolabel.load(str(dataset())).to_table()
    finally:
        path.write_bytes(before)


def _run(arguments: list[str]) -> None:
    done = CliRunner().invoke(commands, arguments)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception


def dataset_seeds() -> list[bytes]:
    return [bytes([number]) + (dataset() / name).read_bytes() for number, name in enumerate(stored())]


def check_record(data: bytes) -> None:
    """A version's record, or a manifest, is damaged in words or can be told."""
    for kind in (VersionRecord, DayManifest):
        with contextlib.suppress(IntegrityError):
            kind.from_json(data, "f").to_json()


def record_seeds() -> list[bytes]:
    golden = ROOT / "tests/golden"
    return [(golden / name).read_bytes() for name in ("version_record.json", "day_manifest.json")]


TABLE = pa.table({
    "id": pa.array(["a", None, "é"]), "n": pa.array([1, -(2**40), None]), "x": pa.array([0.5, None, 2.0], pa.float32()), "b": pa.array([True, None, False]),
    "t": pa.array([0, 10**15, None], pa.timestamp("us", "UTC")), "v": pa.array([["a"], [], None], pa.list_(pa.string())),
})  # fmt: skip


def check_part(data: bytes) -> None:
    """A part file is decoded, or damaged in words."""
    kind = ("parquet", "avro", "tfrecord")[data[0] % 3] if data else "parquet"
    with contextlib.suppress(IntegrityError):
        decode(data[1:], kind, TABLE.schema)


def part_seeds() -> list[bytes]:
    return [bytes([number]) + encode(TABLE, kind) for number, kind in enumerate(("parquet", "avro", "tfrecord"))]


# What comes over a network


def check_forward(data: bytes) -> None:
    """What a sender sends is events with whole lines, or a reason to hang up; it is the same however it was cut."""
    cut = len(data) // 2
    assert _events(data) == _events(data[:cut], data[cut:])
    with contextlib.suppress(ForwardError):
        Handshake(b"key", "host").answer(data)


def _events(*pieces: bytes) -> list[Any]:
    stream, found = Messages(), []
    try:
        for piece in pieces:
            for message in stream.feed(piece):
                found.append(read_message(message))
    except ForwardError:
        return [*found, "hung up"]
    for message in found:
        assert all(
            line.count(b"\n") == 1 and line.endswith(b"\n") and line.count(b"\t") == 2 for _, line in message.events
        )
    return found


def forward_seeds() -> list[bytes]:
    moment = msgpack.ExtType(0, b"\x6a\x00\x00\x00\x00\x00\x00\x01")
    entries = msgpack.packb([moment, {"id": "a"}]) + msgpack.packb([1795460771.5, {b"k": b"\xff", 7: None}])
    messages = [
        ["t", 1795460771, {"id": "a", "x": [1, {"y": float("nan")}]}], ["t", [[moment, {"id": "a"}], [[moment, {}], {"b": moment}]], {"chunk": "c"}],
        ["t", entries], ["t", gzip.compress(entries) + gzip.compress(entries), {"compressed": "gzip", "chunk": "c", "size": 4}], ["t\t\n", entries, {}],
        ["PING", b"host", b"salt", "digest", "", ""], ["t", moment, {"a": msgpack.ExtType(5, b"xx")}, {"chunk": 5}],
    ]  # fmt: skip
    return [msgpack.packb(message) for message in messages] + [
        b"".join(msgpack.packb(message) for message in messages[:4])
    ]


@dataclasses.dataclass
class _Answering:
    """A session whose server answers with anything."""

    answers: list[bytes]
    status: int

    def request(self, *_: Any, **__: Any) -> requests.Response:
        answer = requests.Response()
        answer.status_code = self.status if len(self.answers) == 1 else 200
        answer._content = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return answer


STATUSES = (200, 200, 200, 200, 400, 401, 404, 429, 500, 302)


def check_elasticsearch(data: bytes) -> None:
    """Whatever a server answers, there are lines of documents or an error in words."""
    status = STATUSES[data[0] % len(STATUSES)] if data else 200
    query = Query("elasticsearch", "http://host/index", "", ("t",), None, 0.0)
    for ask in (
        elasticsearch.slices,
        elasticsearch.lines,
        lambda query, begin, _: [elasticsearch.reaches(query, begin)],
    ):
        session = _Answering(data[1:].split(b"\xff\xfe"), status)
        with (
            mock.patch.object(elasticsearch, "_session", lambda _, session=session: session),
            contextlib.suppress(RetrolabelError),
        ):
            for piece in ask(query, 0, 10**12):
                if isinstance(piece, bytes) and piece:
                    parsed = LineReader("s", FORMATS["elasticsearch"], CONTRACT).parse(Block("s", "f", 0, piece))
                    assert parsed.lines == parsed.table.num_rows + parsed.rejects.num_rows == piece.count(b"\n")


def elasticsearch_seeds() -> list[bytes]:
    hits = [
        {"_index": "i", "_id": str(number), "_source": {"id": "a", "time": "2026-11-20T10:00:00Z"}, "sort": [number]}
        for number in range(2)
    ]
    page = {
        "_shards": {"total": 1, "failed": 0},
        "timed_out": False,
        "hits": {"total": {"value": 2}, "hits": hits},
        "pit_id": "p",
        "_scroll_id": "s",
    }
    counted = page | {
        "aggregations": {"t": {"buckets": [{"key": 0, "doc_count": 3}, {"key": 1000, "doc_count": 10**6}]}}
    }
    error = {"error": {"root_cause": [{"type": "index_not_found_exception", "reason": "_id"}], "type": "x"}}
    answers = [
        [{"id": "p", "pit_id": "p"}, page],
        [counted],
        [page | {"hits": {"total": 2, "hits": []}}],
        [error],
        [{"id": "p"}, error, page],
    ]
    return [
        bytes([number]) + b"\xff\xfe".join(json.dumps(one).encode() for one in texts)
        for texts in answers
        for number in (0, 4, 6)
    ]


def check_cloud_logging(data: bytes) -> None:
    """Any entry of Cloud Logging is one line of JSON."""
    from google.cloud.logging_v2.types import LogEntry
    from google.protobuf.message import DecodeError

    entry = LogEntry.pb(LogEntry())
    try:
        entry.ParseFromString(data)
    except DecodeError:
        return
    line = gcp_logging._line(entry)
    assert line.count(b"\n") == 1
    parsed = LineReader("s", FORMATS["gcp_logging"], CONTRACT, unwrap=(("jsonPayload",),)).parse(
        Block("s", "f", 0, line)
    )
    assert parsed.lines == 1


def cloud_logging_seeds() -> list[bytes]:
    from google.cloud.logging_v2.types import LogEntry

    entries = [
        LogEntry(log_name="l", insert_id="1", json_payload={"id": "a", "n": [1, None, {"b": True}]}, timestamp="2026-11-20T10:00:00Z", labels={"a": "b"}),
        LogEntry(log_name="l", text_payload="x", severity=200, http_request={"request_method": "GET", "status": 200}),
    ]  # fmt: skip
    unknown = LogEntry.pb(LogEntry(log_name="l"))
    unknown.proto_payload.type_url, unknown.proto_payload.value = "type.googleapis.com/x.Y", b"\1\2"
    return [*(LogEntry.serialize(entry) for entry in entries), unknown.SerializeToString()]


# Samples


def check_init(data: bytes) -> None:
    """`init` of any two logs says what it cannot do, or writes a config that loads."""
    served, _, happened = data.partition(b"\xff\xfe\n")
    home = folder() / "init"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir()
    for name, content in (("served", served), ("click", happened or served)):
        (home / f"{name}.log").write_bytes(content)
    arguments = [
        "init",
        "--predictions",
        str(home / "served.log"),
        "--outcomes",
        f"click={home / 'click.log'}",
        "--directory",
        str(home),
    ]
    done = CliRunner().invoke(commands, arguments)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    if done.exit_code == 0:
        load_project(str(home / "retrolabel.yaml"))


def init_seeds() -> list[bytes]:
    samples = [path.read_bytes() for path in sorted((ROOT / "tests/data/formats").iterdir())]
    lines = b"".join(
        b'{"time":"2026-11-20T10:00:%02dZ","id":"p%d","user":"u","n":"%d"}\n' % (n, n, n) for n in range(30)
    )
    return [lines + b"\xff\xfe\n" + lines, *(b"".join(sample.splitlines(keepends=True)[:20]) for sample in samples)]
