"""The same records as each system writes them: by their libraries where there are some, else byte by byte as their documentation says."""

import csv
import io
import itertools
import json
import urllib.parse
from collections.abc import Callable, Sequence

import fastavro
import msgpack
import pyarrow as pa
import pyarrow.parquet as pq

Record = dict[str, object]


def _lines(line: Callable[[Record], str]) -> Callable[[Sequence[Record]], bytes]:
    return lambda records: "".join(f"{line(record)}\n" for record in records).encode()


def _cells(record: Record) -> list[str]:
    return [
        "" if value is None else value if isinstance(value, str) else json.dumps(value) for value in record.values()
    ]


def _csv(records: Sequence[Record]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    names = list(dict.fromkeys(itertools.chain.from_iterable(records))) or ["id"]
    writer.writerow(names)
    writer.writerows(_cells({name: record.get(name) for name in names}) for record in records)
    return text.getvalue().encode()


def _ltsv(record: Record) -> str:
    return "\t".join(f"{label}:{value}" for label, value in zip(record, _cells(record), strict=True)).replace("\n", " ")


def _access(record: Record) -> str:
    query = urllib.parse.urlencode(dict(zip(record, _cells(record), strict=True)))
    return f'10.0.0.1 - - [20/Nov/2026:10:00:00 +0100] "GET /click?{query} HTTP/1.1" 200 {len(query)} "-" "Mozilla/5.0 (X11)"'


def _columns(records: Sequence[Record]) -> pa.Table:
    """The columns that hold values of one type; text for others."""
    names = list(dict.fromkeys(itertools.chain.from_iterable(records))) or ["id"]
    columns = {}
    for name in names:
        values = [record.get(name) for record in records]
        try:
            columns[name] = pa.array(values)
            if "struct<>" in str(columns[name].type):
                raise pa.ArrowInvalid("no fields")
        except (pa.ArrowException, OverflowError):
            columns[name] = pa.array([None if value is None else json.dumps(value) for value in values], pa.string())
    return pa.table(
        {
            name: column.cast(pa.string()) if pa.types.is_null(column.type) else column
            for name, column in columns.items()
        }
    )


_AVRO = {"string": "string", "int64": "long", "double": "double", "bool": "boolean"}


def _avro(records: Sequence[Record]) -> bytes:
    table = _columns(records)
    fields = [
        {
            "name": name,
            "type": ["null", {"type": "map", "values": "string"} if pa.types.is_nested(kind) else _AVRO[str(kind)]],
        }
        for name, kind in zip(table.schema.names, table.schema.types, strict=True)
    ]
    rows = [
        {
            name: {"x": str(value)}
            if pa.types.is_nested(table.schema.field(name).type) and value is not None
            else value
            for name, value in row.items()
        }
        for row in table.to_pylist()
    ]
    file = io.BytesIO()
    fastavro.writer(
        file, {"type": "record", "name": "R", "fields": fields}, rows, codec="deflate", sync_interval=16_000
    )
    return file.getvalue()


def _parquet(records: Sequence[Record]) -> bytes:
    file = io.BytesIO()
    table = _columns(records)
    for number, kind in enumerate(table.schema.types):
        if pa.types.is_string(kind):
            table = table.set_column(number, table.schema.names[number], table.column(number).dictionary_encode())
    pq.write_table(table, file, row_group_size=20_000)
    return file.getvalue()


def _tables(records: Sequence[Record]) -> bytes:
    names = list(dict.fromkeys(itertools.chain.from_iterable(records))) or ["id"]
    rows = [[record.get(name) for name in names] for record in records]
    table = {"name": "PrimaryResult", "columns": [{"name": name, "type": "dynamic"} for name in names], "rows": rows}
    return json.dumps({"tables": [table]}, separators=(",", ":")).encode()


def _subscription(records: Sequence[Record]) -> bytes:
    def whole(kind: str, events: Sequence[Record]) -> str:
        return json.dumps({"messageType": kind, "owner": "1", "logGroup": "g", "logStream": "s", "subscriptionFilters": ["f"], "logEvents": list(events)},
                          separators=(",", ":"))  # fmt: skip

    control = whole("CONTROL_MESSAGE", [{"id": "", "timestamp": 1, "message": "CWL CONTROL MESSAGE: Checking health."}])
    data = "".join(whole("DATA_MESSAGE", records[start : start + 10]) for start in range(0, len(records), 10))
    return (control + data).encode()


def _docker(text: str, time: str) -> str:
    """A line of the json-file driver (moby's jsonlogbytes.go)."""
    line = json.dumps({"log": text + "\n", "stream": "stdout", "time": time}, separators=(",", ":"), ensure_ascii=False)
    return line.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _time(record: Record) -> str:
    return str(record.get("time", "2026-11-20T10:00:00Z")).replace(" ", "T")


WRITERS: dict[str, Callable[[Sequence[Record]], bytes]] = {
    "access_log": _lines(_access),
    "avro": _avro,
    "azure_monitor": lambda records: json.dumps({"records": list(records)}).encode(),
    "cloudwatch": _subscription,
    "cri": _lines(lambda record: f"{_time(record)} stdout F {json.dumps(record)}"),
    "csv": _csv,
    "docker": _lines(lambda record: _docker(json.dumps(record), _time(record))),
    "elasticsearch": _lines(
        lambda record: json.dumps({"_index": "clicks", "_id": "1", "_score": 1, "_source": record})
    ),
    "fluentbit": _lines(lambda record: f"app.tag: [1795460771.532316767, {json.dumps(record)}]"),
    "fluentd": _lines(lambda record: f"{_time(record)}\tapp.tag\t{json.dumps(record)}"),
    "gcp_logging": _lines(
        lambda record: json.dumps(
            {"insertId": "1", "logName": "l", "jsonPayload": record, "receiveTimestamp": "2026-11-20T10:00:00Z"}
        )
    ),
    "json": _lines(json.dumps),
    "json_documents": lambda records: "".join(json.dumps(record) for record in records).encode(),
    "log_analytics": _tables,
    "logstash": _lines(lambda record: json.dumps({"@version": "1", **record})),
    "ltsv": _lines(_ltsv),
    "msgpack": lambda records: b"".join(map(msgpack.packb, records)),
    "parquet": _parquet,
    "syslog": _lines(lambda record: f"{_time(record)} web-1 ml[42]: @cee: {json.dumps(record)}"),
}
"""By the name of the format."""
