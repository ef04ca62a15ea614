"""How fast each format is parsed: the same predictions, as each system writes them.

    python benchmarks/formats.py --rows 100000 --rounds 5

Processor time of one thread, blocks of 8 MiB in memory, medians of rounds in which the formats take turns. Megabytes are those of the text that is
parsed, wrapping included. What is compared with plain JSON lines is the time a megabyte takes.
"""

import argparse
import io
import pathlib
import random
import statistics
import sys
import time
from collections.abc import Iterator

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

from retrolabel.pipelines.runner import keep_freed_memory
from retrolabel.schemas.contract import parse_contract
from retrolabel.transforms.formats import FORMATS
from retrolabel.transforms.kernels.lines import Block
from retrolabel.transforms.kernels.parse import LineReader
from retrolabel.transforms.read import BLOCK_BYTES
from tests.support.writers import WRITERS

INSIDE = {"cri": (("log",),), "docker": (("log",),), "syslog": (("message",),), "gcp_logging": (("jsonPayload",),)}
FIELDS = {"time": {"type": "long", "logicalType": "timestamp-micros"}, "id": "string", "user": "string", "item": "long", "score": "double",
          "category": "string", "page": "string", "query": "string", "rank": "int"}  # fmt: skip


def records(rows: int) -> list[dict[str, object]]:
    """Predictions with nine fields, 260 bytes of JSON each, with what is escaped in JSON, and in JSON within it."""
    chance = random.Random(7)
    return [
        {"time": f"2026-11-20T10:{n // 60000 % 60:02d}:{n // 1000 % 60:02d}.{n % 1000:03d}Z", "id": f"{n:08x}-{chance.getrandbits(64):016x}",
         "user": f"u{chance.randrange(10**6)}", "item": chance.randrange(10**5), "score": chance.random(), "rank": n % 20,
         "category": chance.choice(["boots", "sandals", "sneakers"]), "page": f"/shop/{chance.randrange(1000)}?from=mail&pos={n % 20}",
         "query": chance.choice(["boots", "red sandals", '"wide" boots', "schuhe größe 42", "boots < 100 €", "left\nright", "shoes\\sale"])}
        for n in range(rows)
    ]  # fmt: skip


def written(rows: int, names: list[str]) -> dict[str, bytes]:
    """The file of each format; the records go, which else are looked at whenever Python collects its garbage."""
    found = records(rows)
    return {name: WRITERS[name](found) for name in names}


def contract_of(name: str) -> LineReader:
    """The reader of a format; its fields stand in the query string of an access log."""
    path = (lambda field: {"time": "time"}.get(field, f"query.{field}")) if name == "access_log" else str
    fields = [{"name": field, "type": kind, "path": path(field)} for field, kind in FIELDS.items()]
    return LineReader(
        "s",
        FORMATS[name],
        parse_contract({"type": "record", "name": "R", "fields": fields}),
        unwrap=INSIDE.get(name, ()),
    )


def blocks_of(name: str, data: bytes) -> Iterator[Block]:
    """The blocks of a file as a build reads them."""
    layout = FORMATS[name]
    if layout.blocks:
        yield from (Block("s", "f", offset, block) for offset, block in layout.blocks(io.BytesIO(data)))
        return
    begin = layout.head(data) if layout.head else 0
    head, reader = data[:begin], contract_of(name).opened(data[:begin])
    size = BLOCK_BYTES
    while begin < len(data):
        text = data[begin : begin + size]
        end = len(text) if begin + size >= len(data) else reader.cut(text)
        if not end:  # a record that is longer
            size += BLOCK_BYTES
            continue
        yield Block("s", "f", begin, text[:end], head=head)
        begin, size = begin + end, BLOCK_BYTES


def main() -> None:
    """Prints a table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rows", type=int, default=100_000)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--only", nargs="*", default=sorted(WRITERS))
    options = arguments.parse_args()
    keep_freed_memory()  # as a build does
    names = ["json", *(name for name in options.only if name != "json")]
    files = written(options.rows, names)
    blocks = {name: list(blocks_of(name, files[name])) for name in names}
    readers = {name: contract_of(name) for name in names}

    def took(name: str) -> float:
        begin = time.process_time()
        parsed = [readers[name].parse(block) for block in blocks[name]]
        spent = time.process_time() - begin
        rejects = parsed[0].rejects.slice(0, 3).to_pylist()
        assert sum(one.table.num_rows for one in parsed) == options.rows, (name, rejects)
        return spent

    times: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for _ in range(options.rounds):
        for name in names:  # each beside plain JSON lines: what else the machine does changes from second to second
            times[name].append((took(name), took("json")))
    print(f"{'format':<16} {'MB':>7} {'MB/s':>7} {'rows/s':>9} {'time a MB':>10} {'time a row':>11}")
    megabytes = {name: len(files[name]) / 1e6 for name in names}
    for name in names:
        seconds = statistics.median(one for one, _ in times[name])
        ratio = statistics.median(one / usual for one, usual in times[name])
        print(f"{name:<16} {megabytes[name]:7.1f} {megabytes[name] / seconds:7.0f} {options.rows / seconds:9,.0f} "
              f"{ratio * megabytes['json'] / megabytes[name]:10.2f} {ratio:11.2f}")  # fmt: skip


if __name__ == "__main__":
    main()
