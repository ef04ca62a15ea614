"""Small inputs that ask for much: each is read in this process, which then says what came of it, and how much it took.

`python -m tests.support.hostile CASE…` prints a line of JSON a case: its outcome, the seconds of processor, the megabytes of the process so far.
"""

import bz2
import collections
import gzip
import io
import json
import resource
import sys
import time
from collections.abc import Callable

import msgpack
import zstandard

from retrolabel.configs.load import parse_yaml
from retrolabel.configs.model import parse_duration
from retrolabel.pipelines.collect_forward import ForwardError, Messages, read_message
from retrolabel.schemas.contract import contract_of
from retrolabel.schemas.errors import ConfigError
from retrolabel.transforms import read
from retrolabel.transforms.formats import FORMATS
from retrolabel.transforms.kernels.parse import LineReader
from retrolabel.transforms.plan import Input
from tests.property.test_formats import QUERY
from tests.property.test_parsing import CONTRACT

MIB = 2**20
TIME = b"2026-11-20T10:00:00Z"
REQUEST = b'1 - - [20/Nov/2026:10:00:00 +0100] "GET /?%b HTTP/1.1" 200 1\n'


def parsed(name: str, data: bytes) -> str:
    """What became of the records of a file: how many rows, and how many rejects for each reason."""
    reader = LineReader("s", FORMATS[name], QUERY if name == "access_log" else CONTRACT)
    file = Input("s", "f", "f", len(data), 0, len(data), read.compression_of(data[: read.HEAD_BYTES]), None)
    counts: collections.Counter[str] = collections.Counter()
    for block in read._stream_blocks(file, io.BytesIO(data), reader):
        found = reader.parse(block)
        assert found.lines == found.blank + found.table.num_rows + found.rejects.num_rows
        counts.update(rows=found.table.num_rows, damaged=block.damaged is not None)
        counts.update(found.rejects.column("reason").to_pylist())
    return " ".join(f"{name} {count}" for name, count in sorted(counts.items()) if count)


def refused(call: Callable[[], object]) -> str:
    """The words in which something is refused."""
    try:
        call()
    except (ConfigError, ForwardError, ValueError) as error:
        return str(error)
    return "taken"


def sent(message: bytes) -> str:
    """What the forward receiver makes of bytes."""
    return refused(lambda: [read_message(one) for one in Messages().feed(message)])


def zeros(size: int) -> bytes:
    """A Zstandard frame of so many zeros."""
    out = io.BytesIO()
    with zstandard.ZstdCompressor().stream_writer(out, closefd=False) as writer:
        for _ in range(size // MIB):
            writer.write(bytes(MIB))
    return out.getvalue()


def avro(schema: object, count: int, block: bytes) -> bytes:
    """An Avro file of one block that says to hold so many records."""

    def long(number: int) -> bytes:
        number, out = number << 1, b""
        while number > 127:
            out, number = out + bytes([number & 127 | 128]), number >> 7
        return out + bytes([number])

    def text(value: bytes) -> bytes:
        return long(len(value)) + value

    header = (
        b"Obj\1"
        + long(2)
        + text(b"avro.schema")
        + text(json.dumps(schema).encode())
        + text(b"avro.codec")
        + text(b"null")
        + long(0)
    )
    return header + b"S" * 16 + long(count) + text(block) + b"S" * 16


def packed(*entries: bytes) -> bytes:
    return msgpack.packb(["t", b"".join(entries)])


LIST = {"type": "record", "name": "R", "fields": [{"name": "next", "type": ["null", "R"]}]}
EMPTY = {"type": "record", "name": "R", "fields": [{"name": "nothing", "type": {"type": "array", "items": "null"}}]}
TABLE = {"name": "t", "columns": [{"name": "a" * 100_000}], "rows": [[1]] * 100_000}
EVENTS = b'{"messageType":"DATA_MESSAGE","logGroup":"%b","logEvents":[%b{}]}' % (b"g" * MIB, b"{}," * 300_000)

CASES: dict[str, Callable[[], str]] = {
    "gzip of zeros": lambda: parsed("json", gzip.compress(bytes(100 * MIB))),
    "gzip in gzip": lambda: parsed("json", gzip.compress(gzip.compress(bytes(100 * MIB)))),
    "bzip2 of zeros": lambda: parsed("json", bz2.compress(bytes(100 * MIB))),
    "zstd of zeros": lambda: parsed("json", zeros(100 * MIB)),
    "a bomb of zstd": lambda: parsed("json", zeros(1100 * MIB)),
    "many gzip members": lambda: parsed("json", gzip.compress(b"") * 200_000),
    "a line of 100 MB": lambda: parsed("json", b'{"id":"' + b"x" * 100 * MIB + b'"}\n{"time":"%b","id":"a"}\n' % TIME),
    "lines that end nowhere": lambda: parsed("csv", b'a,b\n"' + b"x\n" * MIB),
    "deep JSON": lambda: parsed("json", (b'{"a":' * 200_000 + b"\n") * 2),
    "deep documents": lambda: parsed("json_documents", b"[" + b'{"a":' * 200_000),
    "a request of many parameters": lambda: parsed("access_log", REQUEST % (b"n=1&" * 300_000)),
    "answers in answers": lambda: parsed("elasticsearch", b'{"hits":' * 300_000),
    "a header of many columns": lambda: parsed("csv", b"a," * 300_000 + b"b\n1,2\n"),
    "tables of many columns": lambda: parsed("log_analytics", json.dumps({"tables": [{"name": "t", "columns": [{"name": "a"}] * 50_000, "rows": [[1] * 50_000] * 3}]}).encode()),
    "tables of long names": lambda: parsed("log_analytics", json.dumps({"tables": [TABLE]}).encode()),
    "events of a long name": lambda: parsed("cloudwatch", EVENTS),
    "arrays of two thousand million items": lambda: parsed("msgpack", b"\xdd\x7f\xff\xff\xff" * 500),
    "Avro that holds itself": lambda: parsed("avro", avro(LIST, 1, b"\2" * 500_000 + b"\0")),
    "Avro records without bytes": lambda: parsed("avro", avro({"type": "record", "name": "R", "fields": []}, 2**40, b"")),
    "Avro items without bytes": lambda: parsed("avro", avro(EMPTY, 1, b"\xfe\xff\xff\xff\xff\x7f\0")),
    "forward: arrays of a hundred million items": lambda: sent(b"\x93\xa1t" + b"\xdd\x07\xff\xff\xff" * 400 + b"\x00"),
    "forward: a message without end": lambda: sent(b"\xdd\x7f\xff\xff\xff" + b"\xc0" * 129 * MIB),
    "forward: a record of small objects": lambda: sent(msgpack.packb(["t", 1, {"a": [[]] * (11 * MIB)}])),
    "forward: small entries in gzip": lambda: sent(msgpack.packb(["t", gzip.compress(b"\x92\0\x80" * (80 * MIB)), {"compressed": "gzip"}])),
    "forward: a long tag": lambda: sent(msgpack.packb(["t" * MIB, b"\x92\0\x80" * 1000])),
    "forward: gzip members": lambda: sent(msgpack.packb(["t", gzip.compress(b"") * 150_000, {"compressed": "gzip"}])),
    "forward: endless time": lambda: sent(msgpack.packb(["t", float("inf"), {}])),
    "YAML of brackets": lambda: refused(lambda: parse_yaml("[" * 500_000, "f")),
    "YAML that laughs": lambda: refused(lambda: parse_yaml("a: &a [x, x]\nb: &b [*a, *a]\n", "f")),
    "YAML of many words": lambda: refused(lambda: parse_yaml("a: [" + "x," * 400_000 + "]", "f")),
    "YAML with a tag": lambda: refused(lambda: parse_yaml("a: !!timestamp never", "f")),
    "YAML with a zero byte": lambda: refused(lambda: parse_yaml('a: "x\\0y"', "f")),
    "YAML with a day that is none": lambda: refused(lambda: parse_yaml("a: 2026-13-45", "f")),
    "a duration of digits": lambda: refused(lambda: parse_duration("9" * 200_000 + "h")),
    "a duration of ages": lambda: refused(lambda: parse_duration("999999999d")),
    "a contract of many fields": lambda: refused(lambda: contract_of(json.dumps({"type": "record", "fields": [{"name": f"f{n}", "type": "int"} for n in range(20_000)]}))),
    "a deep contract": lambda: refused(lambda: contract_of("[" * 100_000)),
    "a contract with a long number": lambda: refused(lambda: contract_of('{"a":' + "9" * 5000 + "}")),
    "a contract with half a character": lambda: refused(lambda: contract_of('{"type": "record", "name": "\\ud800"}')),
}  # fmt: skip
"""By what they are."""

if __name__ == "__main__":
    for case in sys.argv[1:] or CASES:
        began = time.process_time()
        outcome = CASES[case]()
        megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        print(json.dumps([case, outcome[:200], round(time.process_time() - began, 2), megabytes]), flush=True)
