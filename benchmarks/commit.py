"""What the commit of a large day holds, and how long it takes: statistics of many part files, merged in groups and then in one place.

    python benchmarks/commit.py --parts 64 512 8192

Builds a generated day of four shards, lets the statistics of its twelve part files stand for those of as many as are asked for, and prints a Markdown
table. The groups are merged one after the other here; on an engine as many workers can do it. "All in the commit" merges without groups. Bytes are those
that travel through an engine's shuffle; in process references to spilled files travel instead.
"""

import argparse
import pathlib
import subprocess
import sys
import sysconfig
import tempfile
import time

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE))

from generate import CONFIG, DAY, generate  # noqa: E402

from retrolabel.transforms import tally  # noqa: E402
from retrolabel.transforms.dataset import read_day_manifest, read_part, read_version  # noqa: E402
from retrolabel.transforms.describe import statistics_of  # noqa: E402
from retrolabel.transforms.kernels import table_statistics  # noqa: E402
from retrolabel.transforms.kernels.shard_groups import group_of  # noqa: E402
from retrolabel.transforms.merge import merge_group, received  # noqa: E402
from retrolabel.transforms.parcel import receive, send  # noqa: E402

COLUMNS = ("part files", "all statistics MB", "largest group MB", "merged groups MB", "counts MB", "groups s", "slowest group s",
           "commit s", "all in the commit s")  # fmt: skip
SPLITS = ("train", "eval", "test")
LABELS = ("clicked",)


def statistics_of_parts(rows: int, scratch: pathlib.Path) -> dict[str, list[bytes]]:
    """Of each split the statistics of the part files of a day that is built, spilled, as they are referred to."""
    data, output = scratch / "data", scratch.resolve() / "datasets"
    generate(rows, data)
    (data / "bench.yaml").write_text(CONFIG.format(output=output))
    command = [str(pathlib.Path(sysconfig.get_path("scripts")) / "retrolabel"), "build", str(data / "bench.yaml"), "--date", str(DAY), "--json"]  # fmt: skip
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    root = str(output / "bench")
    manifest = read_day_manifest(root, read_version(root).days[str(DAY)])
    found: dict[str, list[bytes]] = {split: [] for split in SPLITS}
    for part in manifest.files:
        if part.kind == "examples" and part.split:
            whole = table_statistics.of_split(part.split)
            partial = table_statistics.partial_statistics(read_part(root, part, manifest), [], LABELS, None, whole)
            found[part.split].append(send(table_statistics.encode(partial), str(scratch / "spill")))
    return found


def commit(tallies: list[tally.Tally]) -> float:
    """Seconds to make of statistics, of parts or of groups, those of the day."""
    start = time.perf_counter()
    statistics_of(map(table_statistics.decode, received(tallies, tally.EXAMPLES)), SPLITS, LABELS)
    return time.perf_counter() - start


def row_of(parts: int, known: dict[str, list[bytes]], spill: str) -> tuple[float, ...]:
    """The figures of `COLUMNS`."""
    tallies, counts, groups = [], 0, {}
    for number in range(parts):
        shard, split = divmod(number, len(SPLITS))
        statistics = known[SPLITS[split]][shard % len(known[SPLITS[split]])]
        path = f"2026-11-20/{'0' * 16}/{SPLITS[split]}/part-{shard:05d}-of-{parts:05d}-{'0' * 16}.parquet"
        counts += len(tally.encode(tally.PartTally("examples", SPLITS[split], shard, path, 100_000, 10**7, "0" * 64)))
        tallies.append(tally.StatisticsTally(tally.EXAMPLES, shard, SPLITS[split], statistics))
        groups.setdefault((tally.EXAMPLES, group_of(shard)), []).append(tallies[-1])
    sizes = {one: len(receive(one)) for some in known.values() for one in some}
    seconds, merged = [], []
    for group, some in groups.items():
        start = time.perf_counter()
        merged.append(tally.decode(merge_group((group, map(tally.encode, some)), spill)))
        seconds.append(time.perf_counter() - start)
    largest = max(sum(sizes[one.statistics] for one in some) for some in groups.values())
    together = sum(len(receive(one.statistics)) for one in merged)
    return (parts, sum(sizes[one.statistics] for one in tallies) / 1e6, largest / 1e6, together / 1e6, counts / 1e6,
            sum(seconds), max(seconds), commit(merged), commit(tallies))  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", type=int, nargs="+", default=[64, 512, 8192])
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the day whose part files stand for all")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="commit-") as scratch:
        known = statistics_of_parts(arguments.rows, pathlib.Path(scratch))
        print("| " + " | ".join(COLUMNS) + " |\n|" + "--:|" * len(COLUMNS), flush=True)
        for parts in arguments.parts:
            _, *figures = row_of(parts, known, f"{scratch}/spill")
            print(f"| {parts:,} | " + " | ".join(f"{figure:,.1f}" for figure in figures) + " |", flush=True)


if __name__ == "__main__":
    main()
