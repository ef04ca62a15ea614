"""What real components wrote, read as it is meant, or rejected for exact reasons; nested, cut and oddly framed records."""

import gzip
import io
import json
import pathlib

import fastavro
import msgpack
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from retrolabel.schemas.contract import parse_contract, split_path
from retrolabel.transforms import read
from retrolabel.transforms.formats import FORMATS, find_format
from retrolabel.transforms.kernels.lines import Block
from retrolabel.transforms.kernels.parse import LineReader
from retrolabel.transforms.plan import Input
from retrolabel.transforms.read import HEAD_BYTES, blocks_of, compression_of, fingerprint_of, stretches_of

DATA = pathlib.Path(__file__).parents[2] / "data" / "formats"
TIME = {"type": "long", "logicalType": "timestamp-micros"}


def fields(**paths):
    """A contract of nullable strings at paths, or of (path, type)."""
    entries = [(name, path if isinstance(path, tuple) else (path, "string")) for name, path in paths.items()]
    return parse_contract(
        {
            "type": "record",
            "name": "R",
            "fields": [{"name": name, "type": ["null", kind], "path": path} for name, (path, kind) in entries],
        }
    )


def parse_file(path, name, contract, unwrap=(), options=None):
    """The rows and the rejects of a file, read and parsed as a build does."""
    reader = LineReader("s", find_format(name, options or {}, ""), contract, unwrap=tuple(map(split_path, unwrap)))
    size = path.stat().st_size
    file = Input(
        "s",
        str(path),
        path.name,
        size,
        0,
        size,
        compression_of(path.read_bytes()[:HEAD_BYTES]),
        fingerprint_of(str(path)),
        not reader.splittable,
    )
    parsed = [reader.parse(block) for stretch in stretches_of(file) for block in blocks_of(stretch, reader)]
    for one in parsed:
        assert one.lines == one.blank + one.rejects.num_rows + one.table.num_rows
    return [row for one in parsed for row in one.table.to_pylist()], [
        row for one in parsed for row in one.rejects.to_pylist()
    ]


def written(tmp_path, data):
    path = tmp_path / "file.log"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("file", "name", "unwrap", "contract", "rows", "reasons"),
    [
        ("fluentd.log", "fluentd", (), fields(n=("n", "long"), tag="tag"),
         [(1, "app.a"), (6, "app.raw"), (8, "app.ack"), (22, "app.http")], ["invalid_utf8"] * 3),
        ("fluentd.msgpack", "msgpack", (), fields(p=("p", "double"), tag="tag", nl="nl", b=("time", TIME)),
         [(0.25, "app.pred", "line1\nline2", "2026-11-23 18:55:19.163502"), (0.25, "app.pred", None, "2026-11-23 18:55:19.163953"),
          (None, "app.http", None, "2026-11-23 18:55:19.202173")], []),
        ("fluentd.ltsv", "ltsv", (), fields(id="request_id", user="user", tag="tag", p=("p", "double")),
         [("r1", "zoë", None, 0.25), ("r1", None, "app.pred", 0.25), (None, "2", "app.http", None)], ["not_in_format"]),
        ("fluentbit.log", "fluentbit", (), fields(time=("time", TIME), tag="tag", log="log"),
         [("2026-11-23 19:06:11.532317", "tail.raw", '{"n":4,"m":""}'), ("2026-11-23 19:06:11.532323", "tail.raw", 'Exception in thread "main"'),
          ("2026-11-23 19:06:11.532323", "tail.raw", "\tat a.b.C(C.java:1)"), ("2026-11-23 19:06:11.532323", "tail.raw", ""),
          ("2026-11-23 19:06:11.532396", "tail.raw", '\ufeff{"n":1}'), ("2026-11-23 19:06:11.532400", "tail.raw", '{"n":2}')], []),
        ("fluentbit.log", "fluentbit", ("log",), fields(n=("n", "long"), tag="tag"),
         [(4, "tail.raw"), (1, "tail.raw"), (2, "tail.raw")], ["malformed"] * 3),
        ("fluentbit_json.log", "json", (), fields(n=("n", "long"), log="log"),
         [(None, '{"n":4,"m":""}'), (None, 'Exception in thread "main"'), (None, "\tat a.b.C(C.java:1)"), (None, ""), (None, '\ufeff{"n":1}'),
          (None, '{"n":2}'), (None, None), (None, None), (None, None), (22, None), (23, None)], ["malformed"] * 2),
        ("rsyslog.log", "syslog", ("message",), fields(id="request_id", time=("time", TIME), program="program", pid="pid", n=("n", "long")),
         [("r1", "2026-11-23 08:00:00.123456", "ml", "42", 3), ("r2", "2026-11-23 10:00:01", "ml", "42", None)], ["invalid_utf8"]),
        ("rsyslog_json.log", "logstash", ("message",), fields(id="request_id", tag="tag", n=("n", "long")),
         [("r1", "ml[42]", 3), ("r2", "ml[42]:", None)], ["invalid_utf8"]),
        ("rsyslog_traditional.log", "syslog", (), fields(host="host", message="message", time="time"),
         [("web-1", '@cee: {"request_id":"r1","score":0.25,"n":3,"nested":{"a":[1,null]}}', "Nov 23 10:00:00"),
          ("web-1", '@cee: {"request_id":"r2","score":NaN}', "Nov 23 10:00:01")], ["invalid_utf8"]),
        ("ecs_logging.log", "logstash", (), fields(level='"log.level"', id="request_id", logger="log.logger"),
         [("info", "r1", "pred"), ("info", None, "pred"), ("error", None, "pred")], []),
        ("python_logstash_async.log", "logstash", (), fields(id="extra.request_id", score=("extra.score", "double")), [("r1", 0.25), (None, None)], []),
        ("pino_ecs.log", "logstash", (), fields(id="request_id", pid=('"process.pid"', "long")), [("r1", 31419), (None, 31419)], []),
        ("elasticdump.ndjson", "elasticsearch", (), fields(id="_id", routing="_routing", price=("price", "double"), url="page.url"),
         [("id5", None, None, '/schuhe/größe?x=5&y="z"'), ("id7", "r1", 10.5, '/schuhe/größe?x=7&y="z"'),
          ("id11", None, 16.5, '/schuhe/größe?x=11&y="z"')], []),
        ("logstash_logback_encoder.log", "logstash", (), fields(id="request_id", score=("score", "double")), [("r1", 0.25), (None, None)], ["wrong_type"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_real_output_is_read_or_rejected_for_exact_reasons(file, name, unwrap, contract, rows, reasons):
    found, rejects = parse_file(DATA / file, name, contract, unwrap)
    plain = [
        tuple(str(value.replace(tzinfo=None)) if hasattr(value, "tzinfo") else value for value in row.values())
        for row in found
    ]
    assert plain == rows
    assert [reject["reason"] for reject in rejects] == reasons
    if name != "msgpack":
        content = (DATA / file).read_bytes()
        for reject in rejects:
            assert content[reject["offset"] :].startswith(reject["line"])


@pytest.mark.parametrize(
    "file", ["nginx_combined.log", "apache_combined.log", "apache_common.log", "apache_vhost_combined.log"]
)
def test_requests_that_nginx_and_apache_logged(file):
    contract = fields(pid="query.pid", q="query.q", empty="query.pid2", method="method", path="path", protocol="protocol", user="user",
                      status=("status", "int"), agent="agent", referer="referer", time=("time", TIME), vhost="vhost")  # fmt: skip
    rows, rejects = parse_file(DATA / file, "access_log", contract)
    combined = "common" not in file
    assert [row["pid"] for row in rows] == ["p-1", "p-2", None, None, "p-3"]
    assert (rows[1]["q"], rows[1]["empty"], rows[0]["empty"]) == ("rain boots & café", "", None)
    assert rows[1]["agent"] == ('quote " and \\ slash' if combined else None)
    assert rows[0]["referer"] == ("https://shop.example/list?page=2" if combined else None)
    assert (rows[3]["method"], rows[3]["path"], rows[3]["status"]) == (None, None, 400)
    assert (rows[4]["path"], rows[4]["protocol"]) == ("/click", None)
    assert rows[0]["time"].isoformat() in ("2026-11-24T14:25:22+00:00", "2026-11-24T14:25:24+00:00")
    assert {row["vhost"] for row in rows} == ({"localhost:80"} if "vhost" in file else {None})
    (reject,) = rejects
    assert (reject["reason"], reject["detail"]) == ("duplicate_key", "the key 'query.pid' stands twice")


@pytest.mark.parametrize(
    ("file", "moment"), [("nginx_iso8601.log", "2026-11-28T12:18:03+00:00"), ("nginx_msec.log", "2026-11-28T12:18:03.408000+00:00")]
)  # fmt: skip
def test_requests_with_other_times_in_the_brackets(file, moment, monkeypatch):
    contract = fields(pid="query.pid", path="path", user="user", status=("status", "int"), agent="agent", time=("time", TIME))  # fmt: skip
    judged, judging = [], LineReader._judge
    monkeypatch.setattr(LineReader, "_judge", lambda *given: judged.append(1) or judging(*given))
    rows, rejects = parse_file(DATA / file, "access_log", contract)
    assert [row["pid"] for row in rows] == ["p-1", "p-2", None, None, "p-3"]
    assert rows[0]["time"].isoformat() == moment
    assert (rows[4]["user"], rows[4]["agent"]) == ("ann", "curl/7.88.1")
    assert [reject["detail"] for reject in rejects] == ["the key 'query.pid' stands twice"]
    assert len(judged) == 3  # the escapes, the request that is none, and the key that stands twice
    assert FORMATS["access_log"].sniff((DATA / file).read_bytes()) > 0.9


def test_parameters_of_requests_that_nginx_logged_as_json(monkeypatch):
    names = {
        "pid": ("request", "pid", "string"),
        "also": ("args", "pid", "string"),
        "q": ("args", "q", "string"),
        "value": ("request", "value", "double"),
    }
    contract = parse_contract({"type": "record", "name": "R", "fields": [
        {"name": "time", "type": TIME, "path": "msec"}, {"name": "request", "type": "string"},
        *({"name": name, "type": ["null", kind], "path": path, "query": query} for name, (path, query, kind) in names.items())]})  # fmt: skip
    judged, judging = [], LineReader._judge
    monkeypatch.setattr(LineReader, "_judge", lambda *given: judged.append(1) or judging(*given))
    rows, rejects = parse_file(DATA / "nginx_json.log", "json", contract)
    assert [(row["pid"], row["also"], row["q"], row["value"]) for row in rows] == [
        ("p-1", "p-1", None, 2.5), ("p-2", "p-2", "rain boots & café", None), (None,) * 4, (None,) * 4, ("p-3", "p-3", None, None)]  # fmt: skip
    assert rows[0]["time"].isoformat() == "2026-11-28T12:18:03.408000+00:00"
    assert rows[0]["request"] == "GET /click?pid=p-1&value=2.5 HTTP/1.1"
    assert [reject["detail"] for reject in rejects] == ["the parameter 'pid' at 'request' stands twice"]
    assert len(judged) == 1


def test_json_of_nginx_without_escape_json_is_rejected_where_a_client_sent_quotes():
    rows, rejects = parse_file(DATA / "nginx_json_unescaped.log", "json", fields(request="request", agent="http_user_agent"))  # fmt: skip
    assert [row["agent"] for row in rows] == ["Mozilla/5.0 (X11; Linux x86_64)", "-", "curl/7.88.1", "curl/7.88.1"]
    assert [reject["reason"] for reject in rejects] == ["malformed", "malformed"]


@pytest.mark.parametrize("time", ["28/11/2026 12:18:03", "2026-11-28T12:18", "17958682", "now", "2026-13-28T12:18:03+00:00"])  # fmt: skip
def test_requests_whose_time_is_none_are_rejected(tmp_path, time):
    line = (DATA / "nginx_iso8601.log").read_bytes().splitlines()[0]
    path = written(tmp_path, line.replace(b"2026-11-28T12:18:03+00:00", time.encode()) + b"\n" + line)
    rows, (reject,) = parse_file(path, "access_log", fields(pid="query.pid", time=("time", TIME)))
    assert [row["pid"] for row in rows] == ["p-1"]
    assert reject["reason"] == ("bad_timestamp" if "13" in time else "not_in_format")


def test_csv_without_header_as_fluentd_writes_it():
    columns = ["time", "tag", "a", "b", "c", "d", "e", "f", "user"]
    rows, _ = parse_file(
        DATA / "fluentd.csv",
        "csv",
        fields(tag="tag", user="user", a="a", t=("time", TIME)),
        options={"columns": columns},
    )
    assert [(row["tag"], row["user"], row["a"]) for row in rows] == [
        ("app.pred", "zoë", ""),
        ("app.pred", "", ""),
        ("app.http", "2", ""),
    ]


def test_csv_values_may_hold_line_ends_delimiters_and_quotes_and_a_stray_quote_costs_one_record(tmp_path, monkeypatch):
    monkeypatch.setattr(read, "BLOCK_BYTES", 40)
    data = b'id;text;n\r\n1;"a\r\nb; ""c""";7\r\n2;plain;\r\n\r\n3;5" pipe;8\r\n4;"x"y;9\r\n5;"";10\r\n6;too;many;1\r\n7;"open;11\r\n'
    rows, rejects = parse_file(written(tmp_path, data), "csv", fields(id="id", text="text", n=("n", "long")))
    assert [tuple(row.values()) for row in rows] == [
        ("1", 'a\r\nb; "c"', 7),
        ("2", "plain", None),
        ("3", '5" pipe', 8),
        ("5", "", 10),
    ]
    assert [(reject["reason"], reject["line"]) for reject in rejects] == [
        ("malformed", b'4;"x"y;9'), ("not_in_format", b"6;too;many;1"), ("malformed", b'7;"open;11')
    ]  # fmt: skip
    assert all(data[reject["offset"] :].startswith(reject["line"]) for reject in rejects)


def test_json_in_strings_in_strings_is_lifted_and_what_is_none_is_told(tmp_path, monkeypatch):
    def line(inner, **outer):
        return json.dumps(
            {
                "log": json.dumps({"level": "info", "message": json.dumps(inner) + "\n"}),
                "kubernetes": {"pod": "p"},
                **outer,
            }
        )

    good = [line({"id": f"r{n}", "n": n}, id="outer", time=f"t{n}") for n in range(20)]
    odd = [
        '{"log":"stack trace","id":"a"}',
        '{"id":"bare"}',
        '{"log":null,"id":"null"}',
        '{"log":{"id":"object"}}',
        '{"log":"{\\"id\\":null}","id":"kept"}',
    ]
    contract = fields(id="id", n=("n", "long"), level="level", pod="kubernetes.pod", time="time")
    rows, rejects = parse_file(written(tmp_path, "\n".join(good + odd).encode()), "json", contract, ["log", "message"])
    assert [(row["id"], row["n"], row["level"], row["pod"], row["time"]) for row in rows[:20]] == [
        (f"r{n}", n, "info", "p", f"t{n}") for n in range(20)
    ]
    assert [row["id"] for row in rows[20:]] == ["bare", "null", "object", "kept"]
    assert [(reject["reason"], reject["detail"][:24]) for reject in rejects] == [
        ("malformed", "in the string 'log': not")
    ]
    monkeypatch.setattr(LineReader, "_judge", lambda *_: pytest.fail("a record was judged alone"))
    assert len(parse_file(written(tmp_path, "\n".join(good).encode()), "json", contract, ["log", "message"])[0]) == 20


PIECES = {
    "fluentd": lambda tag, text, time, stream: f'{time}\tkube.{stream}\t{json.dumps({"stream": "stdout", "logtag": tag, "log": text})}',
    "json": lambda tag, text, time, stream: json.dumps({"time": time, "stream": stream, "_p": tag, "log": text}),
    "cri": lambda tag, text, time, stream: f"{time} {'stdout' if stream == 'a' else 'stderr'} {tag} {text}",
    "docker": lambda tag, text, time, stream: json.dumps({"log": text + ("\n" if tag == "F" else ""), "stream": stream, "time": time}, separators=(",", ":")),
}  # fmt: skip


@pytest.mark.parametrize("block", [60, 150, 10_000])
@pytest.mark.parametrize("name", PIECES)
def test_pieces_of_a_line_are_one_record_wherever_blocks_end(tmp_path, monkeypatch, name, block):
    monkeypatch.setattr(read, "BLOCK_BYTES", block)
    line = PIECES[name]
    long, other = json.dumps({"id": "long", "text": "x y " * 20}), json.dumps({"id": "other"})
    lines = [
        line("F", '{"id":"first"}', "2026-11-20T10:00:00Z", "a"), line("P", long[:40], "2026-11-20T10:00:01Z", "a"),
        line("P", other[:9], "2026-11-20T10:00:02Z", "b"), line("P", long[40:41], "2026-11-20T10:00:03Z", "a"),
        line("F", other[9:], "2026-11-20T10:00:04Z", "b"), line("F", long[41:], "2026-11-20T10:00:05Z", "a"),
        line("F", '{"id":"last"}', "2026-11-20T10:00:06Z", "a"), line("P", "never finished", "2026-11-20T10:00:07Z", "a"),
    ]  # fmt: skip
    rows, rejects = parse_file(
        written(tmp_path, "\n".join(lines).encode()), name, fields(id="id", text="text", time="time"), ["log"]
    )
    assert [(row["id"], row["time"][-3:-1]) for row in rows] == [
        ("first", "00"),
        ("long", "05"),
        ("other", "04"),
        ("last", "06"),
    ]
    assert rows[1]["text"] == "x y " * 20
    assert [reject["reason"] for reject in rejects] == ["not_in_format"]
    assert rejects[0]["offset"] == len("\n".join(lines[:-1])) + 1


def test_tagged_failures_are_accepted_where_the_config_says_so(tmp_path):
    path = written(tmp_path, b'{"@timestamp":"2026-11-20T10:00:00Z","id":"a","tags":["_grokparsefailure"]}\n')
    assert [reject["detail"] for reject in parse_file(path, "logstash", fields(id="id"))[1]] == ["_grokparsefailure"]
    assert parse_file(path, "logstash", fields(id="id"), options={"failure_tags": "accept"})[0] == [{"id": "a"}]


@pytest.mark.parametrize(
    "data",
    [
        b'{"id":"a"}{"id":"b"}\n{"id":"{\\"c}"}', b'[{"id":"a"},{"id":"b"},\n{"id":"{\\"c}"}]', b'[\n {"id": "a"},\n {"id":\n"b"},\n {"id": "{\\"c}"}\n]\n',
        b'{\n  "id": "a",\n  "x": [{}]\n}\n{\n  "id": "b"\n}\n{"id":"{\\"c}"}\n',
        b'[{"id":"a"},{"id":"b","x":[{}]}]\n[{"id":"{\\"c}"}]\n', b'{"id":"a"} [ {"id":"b"} ][\n{"id":"{\\"c}"}\n]',  # Fluent Bit: an array a flush
    ],
)  # fmt: skip
@pytest.mark.parametrize("block", [7, 30, 10_000])
def test_json_documents_in_any_frame(tmp_path, monkeypatch, data, block):
    monkeypatch.setattr(read, "BLOCK_BYTES", block)
    rows, rejects = parse_file(written(tmp_path, data), "json_documents", fields(id="id"))
    assert ([row["id"] for row in rows], rejects) == (["a", "b", '{"c}'], [])


TORN = [
    (b'{"id":"a","t":"{"}\n{"id":"b","t":"x\n{"id":"c"}\n{"id":"d"}', ["a", "c", "d"], [(19, "malformed")]),
    (b'{\n "id": "a"\n}\n{\n "id": "b",\n "f": {\n{\n "id": "c"\n}\n{\n "id": "d"\n}\n', ["a", "c", "d"], [(15, "malformed")]),
    (b'{\n "id": "a"\n}\n{\n "id": "b",\n "f": {\r\n\r\n{\n "id": "c"\n}\n{\n "id":', ["a", "c"], [(15, "malformed"), (55, "malformed")]),
    (b'{"id":"a"}{"id":"b","f":{"x":[1,\n{"id":"c"}\n{"id":"d"}{"id":"e"}', ["a", "d", "e"], [(10, "malformed")]),  # c may stand in the array
]  # fmt: skip


@pytest.mark.parametrize(("data", "ids", "rejected"), TORN)
@pytest.mark.parametrize("block", [7, 30, 10_000])
def test_a_torn_document_costs_no_others(tmp_path, monkeypatch, data, ids, rejected, block):
    monkeypatch.setattr(read, "BLOCK_BYTES", block)
    rows, rejects = parse_file(written(tmp_path, data), "json_documents", fields(id="id"))
    assert [row["id"] for row in rows] == ids
    assert [(reject["offset"], reject["reason"]) for reject in rejects] == rejected


@pytest.mark.parametrize("block", [7, 10_000])
def test_objects_at_the_beginning_of_lines_may_be_parts_of_others(tmp_path, monkeypatch, block):
    monkeypatch.setattr(read, "BLOCK_BYTES", block)
    texts = [json.dumps({"id": f"d{n}", "f": [{"id": "x"}, {"id": "y"}], "g": {"id": "z"}}, indent=0) for n in range(3)]
    data = "\n".join(texts).replace(": {", ":\n\n{").encode()
    assert b",\n{" in data
    rows, rejects = parse_file(written(tmp_path, data), "json_documents", fields(id="id"))
    assert ([row["id"] for row in rows], rejects) == (["d0", "d1", "d2"], [])


def test_azure_blobs_as_lines_and_in_records(tmp_path):
    record = {"time": "2026-11-20T10:00:00Z", "resourceId": "/S/1", "category": "C", "properties": {"id": "a"}}
    contract = fields(id="properties.id", time=("time", TIME))
    for text in (
        f"{json.dumps(record)}\r\n" * 3,
        json.dumps({"records": [record] * 3}),
        json.dumps({"records": [record] * 3}, indent=2),
        json.dumps({"records": [record] * 2})
        + "\n"
        + json.dumps({"records": [record]}),  # blobs put together, messages of an Event Hub
        f"{json.dumps({'records': [record]})}\n" * 3,
        json.dumps({"records": [record]}) + json.dumps(record) + "\r\n" + json.dumps({"records": [record]}, indent=1),
    ):
        rows, rejects = parse_file(written(tmp_path, text.encode()), "azure_monitor", contract)
        assert ([row["id"] for row in rows], rejects) == (["a"] * 3, [])


def test_an_azure_blob_of_one_record(tmp_path):
    rows, rejects = parse_file(written(tmp_path, b'{"records":[{"id":"a"}]}'), "azure_monitor", fields(id="id"))
    assert ([row["id"] for row in rows], rejects) == (["a"], [])


def test_azure_blobs_with_keys_in_another_order_and_times_of_seven_decimals():
    gateway = b'{ "Level": 4, "time": "2022-09-16T15:22:06.5944852Z", "category": "GatewayLogs", "properties": {"id":"a","n":{"m":1}}}'
    flow = b'{"time":"2023-03-20T18:45:26.1641157Z","systemId":"s","category":"Flow","resourceId":"/S/1","properties":{"id":"b","flows":[{"f":["1,T,O"]}]}}'
    contract = fields(id="id", time=("time", TIME))
    for head, data in ((b"", gateway + b"\n" + flow + b"\n"), (b'{"records":[', gateway + b"," + flow + b"]}")):
        assert FORMATS["azure_monitor"].sniff(head + data) == pytest.approx(0.96)
        reader = LineReader("s", FORMATS["azure_monitor"], contract, unwrap=(("properties",),))
        parsed = reader.parse(Block("s", "f", len(head), data, head=head))
        assert [(row["id"], f"{row['time']:%H:%M:%S.%f}") for row in parsed.table.to_pylist()] == [
            ("a", "15:22:06.594485"),
            ("b", "18:45:26.164115"),
        ]
        assert parsed.rejects.num_rows == 0


def test_cloudwatch_events_are_told_apart_by_what_stands_between_them():
    def reads(data: bytes) -> tuple[list[str], int]:
        parsed = LineReader("s", FORMATS["cloudwatch"], fields(id="id", owner="owner")).parse(Block("s", "f", 0, data))
        return [row["id"] + row["owner"] for row in parsed.table.to_pylist()], parsed.rejects.num_rows

    def whole(events: bytes, owner: bytes = b"1") -> bytes:
        return b'{"owner":"' + owner + b'","logGroup":"g","messageType":"DATA_MESSAGE","logEvents":[' + events + b"]}"

    assert reads(whole(b'{"id":"a"},{"id":"b"}') + whole(b'{"id":"c"} ,\n {"id":"d"}', b"2")) == (
        ["a1", "b1", "c2", "d2"],
        0,
    )
    assert reads(whole(b'{"id":"a"}{"id":"b"}') + whole(b'{"id":"c"}')) == (["c1"], 1)
    assert reads(whole(b'{"id":"a"},,{"id":"b"}')) == ([], 1)
    assert reads(whole(b'{"id":"a"},{"id":nul}') + whole(b"")) == (["a1"], 2)


def test_cloudwatch_exports_and_subscriptions(tmp_path):
    export = b'2026-11-20T10:00:00.123Z {"id":"a"}\n2026-11-20T10:00:01.000Z START\n\tgoes on\n'
    contract = fields(id="id", group="logGroup", time=("timestamp", TIME), event="message")
    rows, rejects = parse_file(
        written(tmp_path, gzip.compress(export)), "cloudwatch", fields(id="id", time=("timestamp", TIME)), ["message"]
    )
    assert [(row["id"], row["time"].microsecond) for row in rows] == [("a", 123000)]
    assert [reject["reason"] for reject in rejects] == ["malformed", "not_in_format"]
    events = [{"id": str(n), "timestamp": 1795460771000 + n, "message": json.dumps({"id": f"r{n}"})} for n in range(4)]
    around = {
        "messageType": "DATA_MESSAGE",
        "owner": "1",
        "logGroup": "/shop",
        "logStream": "s",
        "subscriptionFilters": ["f"],
    }
    text = json.dumps(
        {**around, "messageType": "CONTROL_MESSAGE", "logEvents": [{"id": "", "timestamp": 1, "message": "check"}]}
    )
    text += (
        json.dumps({**around, "logEvents": events[:3]})
        + json.dumps({**around, "logEvents": events[3:]})
        + '{"messageType":"DATA_'
    )
    rows, rejects = parse_file(written(tmp_path, text.encode()), "cloudwatch", contract, ["message"])
    assert [(row["id"], row["group"]) for row in rows] == [(f"r{n}", "/shop") for n in range(4)]
    assert [(reject["reason"], reject["line"]) for reject in rejects] == [("malformed", b'{"messageType":"DATA_')]


@pytest.mark.parametrize("more", [{"searchedLogStreams": []}, {"nextForwardToken": "f/1", "nextBackwardToken": "b/1"}])
@pytest.mark.parametrize("indent", [None, 4])
def test_events_that_the_command_line_of_aws_prints(tmp_path, more, indent):
    events = [
        {
            "logStreamName": "s",
            "timestamp": 1795460771000 + n,
            "message": json.dumps({"id": f"r{n}"}),
            "ingestionTime": 1,
            "eventId": str(n),
        }
        for n in range(4)
    ]
    path = written(
        tmp_path, "\n".join(json.dumps({"events": events[n : n + 2], **more}, indent=indent) for n in (0, 2)).encode()
    )
    rows, rejects = parse_file(
        path, "cloudwatch", fields(id="id", event="eventId", time=("timestamp", TIME)), ["message"]
    )
    assert [(row["id"], row["event"]) for row in rows] == [(f"r{n}", str(n)) for n in range(4)]
    assert rejects == []
    assert FORMATS["cloudwatch"].sniff(path.read_bytes()) > 0.9
    assert FORMATS["cloudwatch"].sniff(b'{"events":[{"time":1}]}') == 0


LAMBDA = [
    "INIT_START Runtime Version: python:3.13.v14\tRuntime Version ARN: arn:aws:lambda:x", "START RequestId: 7a53ec05-7c5e-4a36-bc4d-7d1a40f2ba6e Version: $LATEST",
    json.dumps({"id": "a"}), "START of a campaign", json.dumps({"time": "2026-11-20T10:00:00Z", "type": "shop.platform", "id": "b"}),
    "END RequestId: 7a53ec05-7c5e-4a36-bc4d-7d1a40f2ba6e", "REPORT RequestId: 7a53ec05-7c5e-4a36-bc4d-7d1a40f2ba6e\tDuration: 3.49 ms\tBilled Duration: 4 ms\t",
    json.dumps({"time": "2026-11-20T10:00:00.123Z", "type": "platform.report", "record": {"requestId": "7a53ec05", "metrics": {"durationMs": 3.4}}}, separators=(",", ":")),
]  # fmt: skip


@pytest.mark.parametrize("layout", ["export", "subscription"])
def test_lines_that_lambda_writes_of_itself_count_as_blank(tmp_path, layout):
    events = [
        {"id": f"{n:056}", "timestamp": 1795460771000 + n, "message": f"{text}\n"} for n, text in enumerate(LAMBDA)
    ]
    export = "".join(f"2026-11-20T10:00:00.{n:03}Z {text}\n" for n, text in enumerate(LAMBDA))
    whole = json.dumps({"messageType": "DATA_MESSAGE", "owner": "1", "logEvents": events}, separators=(",", ":"))
    path = written(tmp_path, (export if layout == "export" else whole).encode())
    rows, rejects = parse_file(path, "cloudwatch", fields(id="id"), ["message"])
    assert [row["id"] for row in rows] == ["a", "b"]
    assert [reject["reason"] for reject in rejects] == ["malformed"]


def test_documents_of_elasticsearch_from_dumps_and_bulk_requests(tmp_path):
    contract = fields(index="_index", key="_id", id="id", under="_source.id")
    dump = json.dumps({"_index": "clicks", "_id": "7", "_score": 1, "_source": {"id": "a"}})
    bulk = '{"create":{"_index":"clicks","_id":"7"}}\n{"id":"a"}'
    for text in (dump, bulk):
        rows, rejects = parse_file(written(tmp_path, f"{text}\n".encode() * 3), "elasticsearch", contract)
        assert (rows, rejects) == ([{"index": "clicks", "key": "7", "id": "a", "under": "a"}] * 3, [])


def answer(first, documents, **layout):
    """What a search or a scroll of Elasticsearch answers."""
    hits = [
        {"_index": "a", "_id": f"d{n}", "_score": 1.0, "_source": {"id": n, "hits": [{"took": n}]}} for n in documents
    ]
    return json.dumps({**first, "timed_out": False, "_shards": {"total": 1, "failed": 0}, "hits": {"total": {"value": 9, "relation": "eq"}, "max_score": 1.0, "hits": hits}}, **layout)  # fmt: skip


ANSWERS = {
    "pages of a scroll": lambda: "\n".join(answer({"_scroll_id": "FGl[uY==", "took": 3}, range(n, n + 3), separators=(",", ":")) for n in (0, 3, 6)),
    "pages without line ends": lambda: "".join(answer({"took": 3}, range(n, n + 3)) for n in (0, 3, 6)),
    "pages with line ends in them": lambda: "\n".join(answer({"took": 3}, range(n, n + 3), indent=2) for n in (0, 3, 6)),
    "hits alone": lambda: json.dumps({"hits": {"hits": json.loads(answer({"took": 3}, range(9)))["hits"]["hits"]}}),
    "one page and an empty one": lambda: answer({"_scroll_id": "x"}, range(9)) + "\n" + answer({"_scroll_id": "x"}, []) + "\n",
}  # fmt: skip


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("block", [100, 700, 2**20])
def test_answers_of_elasticsearch_hold_documents(tmp_path, monkeypatch, name, block):
    monkeypatch.setattr(read, "BLOCK_BYTES", block)
    path = written(tmp_path, ANSWERS[name]().encode())
    rows, rejects = parse_file(
        path, "elasticsearch", fields(name="_id", id=("_source.id", "long"), same=("id", "long"))
    )
    assert rows == [{"name": f"d{n}", "id": n, "same": n} for n in range(9)]
    assert rejects == []
    assert FORMATS["elasticsearch"].sniff(path.read_bytes()) > 0.9


def test_results_of_log_analytics(tmp_path):
    rows = [["2026-11-20T10:00:00Z", "a", 1.5, '{"x":1}'], ["2026-11-20T10:00:01Z", 'b,"]', None, None], ["short"]]
    table = {
        "name": "PrimaryResult",
        "columns": [{"name": name, "type": "x"} for name in ("TimeGenerated", "Id", "Score", "Props")],
        "rows": rows,
    }
    contract = fields(id="Id", score=("Score", "double"), time=("TimeGenerated", TIME), x=("x", "long"))
    path = written(tmp_path, json.dumps({"tables": [table]}).encode())
    found, rejects = parse_file(path, "log_analytics", contract, ["Props"])
    assert [(row["id"], row["score"], row["x"]) for row in found] == [("a", 1.5, 1), ('b,"]', None, None)]
    assert [(reject["reason"], reject["line"]) for reject in rejects] == [("not_in_format", b'["short"]')]


def test_avro_with_logical_types_and_a_damaged_block(tmp_path):
    schema = {"type": "record", "name": "R", "fields": [
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}}, {"name": "id", "type": "string"},
        {"name": "inner", "type": {"type": "record", "name": "I", "fields": [{"name": "x", "type": ["null", "double"]}]}}]}  # fmt: skip
    file = io.BytesIO()
    rows = [{"at": 1795460771123456 + n, "id": f"r{n}", "inner": {"x": n / 2}} for n in range(100)]
    fastavro.writer(file, schema, rows, codec="deflate", sync_interval=200)
    contract = fields(id="id", x=("inner.x", "double"), at=("at", TIME))
    found, rejects = parse_file(written(tmp_path, file.getvalue()), "avro", contract)
    assert [(row["id"], row["x"], row["at"].microsecond) for row in found] == [
        (f"r{n}", n / 2, 123456 + n) for n in range(100)
    ]
    blocks = [block.offset for block in fastavro.block_reader(io.BytesIO(file.getvalue()))]
    broken = bytearray(file.getvalue())
    broken[blocks[3] + 5 : blocks[3] + 15] = b"\0" * 10
    found, rejects = parse_file(written(tmp_path, bytes(broken)), "avro", contract)
    assert len(found) < 100
    assert [(reject["offset"], reject["reason"]) for reject in rejects] == [(blocks[3], "not_in_format")]


def test_parquet_with_nested_and_typed_columns(tmp_path):
    table = pa.table({
        "at": pa.array([1795460771123456, 1795460772000000], pa.timestamp("us", tz="UTC")), "id": pa.array(["a", "b"]).dictionary_encode(),
        "f": pa.array([{"x": 1.5}, {"x": None}], pa.struct([("x", pa.float32())])), "m": pa.array([[("k", "v")], []], pa.map_(pa.string(), pa.string())),
        "n": pa.array([7, 2**40], pa.uint64()), "day": pa.array([20000, 20001], pa.int32()).cast(pa.date32()), "price": pa.array(["1.50", None]).cast(pa.decimal128(9, 2)),
    })  # fmt: skip
    path = tmp_path / "a.parquet"
    pq.write_table(table, path, row_group_size=1)
    contract = fields(
        at=("at", TIME), id="id", x=("f.x", "double"), k="m.k", n=("n", "int"), day="day", price=("price", "double")
    )
    rows, rejects = parse_file(path, "parquet", contract)
    assert [tuple(row.values())[1:] for row in rows] == [("a", 1.5, "v", 7, "2024-10-04", 1.5)]
    assert [(reject["offset"], reject["reason"]) for reject in rejects] == [(1, "out_of_type_range")]
    path.write_bytes(b"PAR1 no parquet")
    reader = LineReader("s", FORMATS["parquet"], contract)
    (block,) = blocks_of(Input("s", str(path), path.name, 15, 0, 15, "", None), reader)
    assert block.damaged.startswith("not a Parquet file")


def test_chunks_of_fluentd_with_times_and_a_damaged_object(tmp_path):
    event_time = msgpack.ExtType(0, (1795460771).to_bytes(4, "big") + (5000).to_bytes(4, "big"))
    data = (
        msgpack.packb([event_time, {"id": "a"}])
        + msgpack.packb(["app", 1795460771, {"id": b"b"}])
        + msgpack.packb({"id": "c\udcff"}, unicode_errors="surrogateescape")
    )
    data += msgpack.packb({"id": "d"}) + b"\xc1rest"
    rows, rejects = parse_file(written(tmp_path, data), "msgpack", fields(id="id", tag="tag", time=("time", TIME)))
    assert [(row["id"], row["tag"], row["time"] and row["time"].microsecond) for row in rows] == [
        ("a", None, 5),
        ("b", "app", 0),
        ("d", None, None),
    ]
    assert [(reject["offset"], reject["reason"]) for reject in rejects] == [
        (data.index(b"\x81\xa2id\xa2c"), "malformed"),
        (data.index(b"\xc1"), "malformed"),
    ]


def test_traditional_syslog_lies_in_the_year_up_to_the_month_that_the_config_names():
    lines = b"Dec 31 23:59:59 web-1 ml: x\n<14>Jan  1 00:00:01 web-1 ml[1]: y\nFeb 30 00:00:00 web-1 ml: z\n"
    contract = parse_contract({"type": "record", "name": "R", "fields": [{"name": "time", "type": TIME}]})
    layout = find_format("syslog", {"until": "2027-01"}, "")
    parsed = LineReader("s", layout, contract, "Europe/Paris").parse(Block("s", "f", 0, lines))
    assert [f"{row['time']:%Y-%m-%d %H:%M}" for row in parsed.table.to_pylist()] == [
        "2026-12-31 22:59",
        "2026-12-31 23:00",
    ]
    assert parsed.rejects["detail"].to_pylist() == ["field 'time' is not a date and time that exists"]
    for wrong in ("2027", "2027-13", "27-01"):
        with pytest.raises(ValueError, match="is a year and a month, such as 2026-11"):
            find_format("syslog", {"until": wrong}, "")


def test_options_and_import_paths_that_are_wrong_are_told(tmp_path, monkeypatch):
    (tmp_path / "our_formats.py").write_text(
        "import dataclasses\nfrom retrolabel.transforms.formats import FORMATS\n"
        "FORMAT = dataclasses.replace(FORMATS['json'], name='ours')\nNONE = 7\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert find_format("our_formats:FORMAT", {}, str(tmp_path)).name == "ours"
    for name, told in (
        ("our_formats:NONE", "is no Format but a int"),
        ("our_formats:MISSING", "MISSING"),
        ("nowhere:FORMAT", "nowhere"),
    ):
        with pytest.raises(LookupError, match=told):
            find_format(name, {}, str(tmp_path))
    with pytest.raises(
        ValueError,
        match=r"'failure_tag' of the format 'logstash': there is none of that name\. Known are 'failure_tags'",
    ):
        find_format("logstash", {"failure_tag": "accept"}, "")
    with pytest.raises(ValueError, match="'failure_tags' of the format 'logstash'"):
        find_format("logstash", {"failure_tags": "keep"}, "")
    with pytest.raises(ValueError, match="'json' has no options"):
        find_format("json", {"a": 1}, "")
