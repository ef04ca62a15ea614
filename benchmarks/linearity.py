"""Whether cost grows with the rows, and memory does not: builds of growing days, one after the other.

    python benchmarks/linearity.py --millions 1 5 10 20 40

Prints a Markdown table. A day is generated, built in a process of its own, measured and deleted before the next: the largest needs 1 GB of disk
for each million rows. Seconds are those of the whole process, the 2 seconds of imports included; memory is the peak of the resident size of the
process tree, sampled every 20 ms; spilled are the bytes that waited on disk for the shuffle.
"""

import argparse
import json
import pathlib
import shutil
import sys
import sysconfig
import tempfile
import threading

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE))

from compare import measure  # noqa: E402
from generate import CONFIG, DAY, generate  # noqa: E402

COLUMNS = ("million rows", "text GB", "shards", "processor s", "wall s", "peak GB", "spilled GB", "processor s a million",
           "spilled B a row")  # fmt: skip


class Spilled:
    """The most that a folder held while it was watched."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.most = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> "Spilled":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._end.wait(0.05):
            self.most = max(self.most, size_of(self.folder))


def size_of(folder: pathlib.Path) -> int:
    """The bytes of all files below; of those that vanish meanwhile, none."""
    size = 0
    for path in folder.rglob("*"):
        try:
            size += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:
            continue
    return size


def row_of(millions: float, scratch: pathlib.Path) -> tuple[float, ...]:
    """Generates, builds and measures one day; the figures of `COLUMNS`."""
    rows = round(millions * 1_000_000)
    data, output = scratch / "data", scratch.resolve() / "datasets"
    generate(rows, data)
    (data / "bench.yaml").write_text(CONFIG.format(output=output))
    command = [str(pathlib.Path(sysconfig.get_path("scripts")) / "retrolabel"), "build", str(data / "bench.yaml"), "--date", str(DAY), "--json"]  # fmt: skip
    with Spilled(output / "bench" / "_tmp") as spilled:
        figures, text = measure(command)
    built = json.loads(text)["splits"].values()
    if sum(split["rows"] for split in built) != rows:
        raise SystemExit(f"{rows:,} rows were generated, and the build has {sum(split['rows'] for split in built):,}")
    (manifest,) = output.glob("bench/*/*/manifest-*.json")
    shards = json.loads(manifest.read_text())["shards"]
    return (millions, size_of(data) / 1e9, shards, figures["cpu"], figures["wall"], figures["memory"] / 1e3, spilled.most / 1e9,
            figures["cpu"] / millions, spilled.most / rows)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--millions", type=float, nargs="+", default=[1, 5, 10, 20, 40])
    parser.add_argument(
        "--scratch",
        type=pathlib.Path,
        help="where logs and datasets lie meanwhile; default: the system's place for such",
    )
    arguments = parser.parse_args()
    print("| " + " | ".join(COLUMNS) + " |\n|" + "--:|" * len(COLUMNS), flush=True)
    for millions in arguments.millions:
        scratch = pathlib.Path(tempfile.mkdtemp(dir=arguments.scratch, prefix="linearity-"))
        try:
            figures = row_of(millions, scratch)
        finally:
            shutil.rmtree(scratch)
        formats = ("g", ".2f", "d", ".1f", ".1f", ".2f", ".2f", ".2f", ".0f")
        print(
            "| " + " | ".join(format(figure, shape) for figure, shape in zip(figures, formats, strict=True)) + " |",
            flush=True,
        )


if __name__ == "__main__":
    main()
