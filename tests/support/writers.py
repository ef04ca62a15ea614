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
    return ["" if value is None else value if isinstance(value, str) else json.dumps(value) for value in record.values()]


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
    query = urllib.parse.urlencode({name: value for name, value in zip(record, _cells(record), strict=True)})
    return f'10.0.0.1 - - [20/Nov/2026:10:00:00 +0100] "GET /click?{query} HTTP/1.1" 200 {len(query)} "-" "Mozilla/5.0 (X11)"'


def _avro(records: Sequence[Record]) -> bytes:
    schema = {"type": "record", "name": "R", "fields": [{"name": "time", "type": "string"}, {"name": "id", "type": ["null", "string"]},
              {"name": "n", "type": ["null", "long"]}, {"name": "f", "type": {"type": "map", "values": "double"}}]}  # fmt: skip
    file = io.BytesIO()
    rows = [{"time": str(record.get("time")), "id": str(record["id"]) if "id" in record else None,
             "n": record.get("n") if isinstance(record.get("n"), int) else None, "f": {"x": 1.5}} for record in records]  # fmt: skip
    fastavro.writer(file, schema, rows, codec="deflate", sync_interval=100)
    return file.getvalue()


def _parquet(records: Sequence[Record]) -> bytes:
    file = io.BytesIO()
    columns = {
        "time": pa.array([str(record.get("time")) for record in records], pa.string()),
        "id": pa.array([None if record.get("id") is None else str(record["id"]) for record in records], pa.string()).dictionary_encode(),
        "n": pa.array([value if isinstance(value := record.get("n"), int) and abs(value) < 2**31 else None for record in records], pa.int32()),
        "f": pa.array([{"x": 2.5, "y": 1} for _ in records], pa.struct([("x", pa.float32()), ("y", pa.int8())])),
    }
    pq.write_table(pa.table(columns), file, row_group_size=3)
    return file.getvalue()


def _tables(records: Sequence[Record]) -> bytes:
    names = list(dict.fromkeys(itertools.chain.from_iterable(records))) or ["id"]
    rows = [[record.get(name) for name in names] for record in records]
    table = {"name": "PrimaryResult", "columns": [{"name": name, "type": "dynamic"} for name in names], "rows": rows}
    return json.dumps({"tables": [table]}).encode()


def _subscription(records: Sequence[Record]) -> bytes:
    def whole(kind: str, events: Sequence[Record]) -> str:
        return json.dumps({"messageType": kind, "owner": "1", "logGroup": "g", "logStream": "s", "subscriptionFilters": ["f"], "logEvents": list(events)},
                          separators=(",", ":"))  # fmt: skip

    control = whole("CONTROL_MESSAGE", [{"id": "", "timestamp": 1, "message": "CWL CONTROL MESSAGE: Checking health."}])
    data = "".join(whole("DATA_MESSAGE", records[start : start + 3]) for start in range(0, len(records), 3))
    return (control + data).encode()


def _time(record: Record) -> str:
    return str(record.get("time", "2026-11-20T10:00:00Z")).replace(" ", "T")


WRITERS: dict[str, Callable[[Sequence[Record]], bytes]] = {
    "access_log": _lines(_access),
    "avro": _avro,
    "azure_monitor": lambda records: json.dumps({"records": list(records)}, indent=1).encode(),
    "cloudwatch": _subscription,
    "cri": _lines(lambda record: f"{_time(record)} stdout F {json.dumps(record)}"),
    "csv": _csv,
    "docker": _lines(lambda record: json.dumps({"log": json.dumps(record) + "\n", "stream": "stdout", "time": _time(record)})),
    "elasticsearch": _lines(lambda record: json.dumps({"_index": "clicks", "_id": "1", "_score": 1, "_source": record})),
    "fluentbit": _lines(lambda record: f"app.tag: [1795460771.532316767, {json.dumps(record)}]"),
    "fluentd": _lines(lambda record: f"{_time(record)}\tapp.tag\t{json.dumps(record)}"),
    "gcp_logging": _lines(lambda record: json.dumps({"insertId": "1", "logName": "l", "jsonPayload": record, **record})),
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
