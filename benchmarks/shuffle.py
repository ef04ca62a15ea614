"""What a build sends through an engine's shuffle: bytes of Arrow IPC with lz4, by stream.

    python benchmarks/shuffle.py examples/open_bandit/open_bandit.yaml --date 2019-11-28
    python benchmarks/shuffle.py --rows 1000000

Builds in process as on an engine, rows themselves instead of references to spilled ones, into a folder that goes again, and prints a Markdown table.
"""

import argparse
import collections
import dataclasses
import datetime
import pathlib
import sys
import tempfile
from typing import Any

import msgspec

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE))

from generate import CONFIG, DAY, generate  # noqa: E402

from retrolabel.configs.load import load_project  # noqa: E402
from retrolabel.pipelines.build_command import run_pipeline  # noqa: E402
from retrolabel.pipelines.planning import plan_build  # noqa: E402
from retrolabel.pipelines.runner import choose_runner  # noqa: E402
from retrolabel.transforms import exchange  # noqa: E402


@dataclasses.dataclass
class Stream:
    """What travelled of a stream."""

    rows: int = 0
    decoded: int = 0
    sent: int = 0


def measure(config: pathlib.Path, date: datetime.date) -> tuple[dict[str, Stream], int]:
    """Builds a day; what each stream sent, and the bytes of the input files."""
    streams: dict[str, Stream] = collections.defaultdict(Stream)
    take = exchange.SendRows._take  # noqa: SLF001

    def counted(self: Any, to: tuple[int, str]) -> exchange.Sent:
        gathered = self.gathered[to]
        rows, decoded = sum(table.num_rows for table in gathered), self.sizes[to]
        shard, message = take(self, to)
        _, ipc = msgspec.msgpack.decode(memoryview(message)[1:])
        stream = streams[to[1]]
        stream.rows, stream.decoded, stream.sent = stream.rows + rows, stream.decoded + decoded, stream.sent + len(ipc)
        return shard, message

    exchange.SendRows._take = counted  # type: ignore[method-assign]  # noqa: SLF001
    with tempfile.TemporaryDirectory() as scratch:
        project = load_project(str(config))
        plan, inputs = plan_build(project, date, {}, in_process=False)
        run_pipeline(dataclasses.replace(plan, root=scratch), inputs, choose_runner([]))
    return streams, sum(file.size for file in inputs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", type=pathlib.Path, nargs="?")
    parser.add_argument("--date", type=datetime.date.fromisoformat, default=DAY)
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the generated day, if there is no config")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        config = arguments.config
        if config is None:
            generate(arguments.rows, pathlib.Path(scratch))
            config = pathlib.Path(scratch, "bench.yaml")
            config.write_text(CONFIG.format(output=pathlib.Path(scratch, "datasets")))
        streams, size = measure(config, arguments.date)
    print("| stream | rows | bytes in memory a row | bytes sent a row | sent MB |\n|---|--:|--:|--:|--:|")
    for name, stream in sorted(streams.items()):
        print(
            f"| {name} | {stream.rows:,} | {stream.decoded / stream.rows:.0f} | {stream.sent / stream.rows:.0f} | {stream.sent / 1e6:.1f} |"
        )
    sent = sum(stream.sent for stream in streams.values())
    print(f"\nsent {sent / 1e6:.1f} MB, {sent / size:.0%} of {size / 1e6:.1f} MB of input files")


if __name__ == "__main__":
    main()
