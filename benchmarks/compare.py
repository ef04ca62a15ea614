"""A build beside the scripts that people write by hand: the same work, in turn, in one run.

    python benchmarks/compare.py --rows 5000000 --rounds 3
    python benchmarks/compare.py --rows 200000 --only retrolabel duckdb

Prints medians and ratios to the DuckDB script; `duckdb_full` is the same script with statistics of the kind that a build stores. Wall and
CPU seconds are those of the whole process, imports included; memory is the peak of the resident size of the process tree, sampled every
20 ms: it counts pages of mapped files too. Row-wise Beam runs on `--beam-rows` predictions and is scaled to the others by the row.
"""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time

import psutil

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE))

from generate import CONFIG, DAY, generate  # noqa: E402

CONTENDERS = ("retrolabel", "duckdb", "duckdb_full", "polars", "beam_rows")


def measure(command: list[str]) -> tuple[dict[str, float], str]:
    """Runs a command; returns wall and CPU seconds, peak memory in megabytes, and its last line of output."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    peak = [0]

    def watch() -> None:
        while process.returncode is None:
            try:
                tree = psutil.Process(process.pid)
                peak[0] = max(peak[0], sum(one.memory_info().rss for one in (tree, *tree.children(recursive=True))))
            except psutil.Error:
                pass
            time.sleep(0.02)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    assert process.stdout is not None
    text = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    watcher.join()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed with {process.returncode}")
    return {"wall": wall, "cpu": usage.ru_utime + usage.ru_stime, "memory": peak[0] / 1e6}, text.strip().splitlines()[
        -1
    ]


def run(contender: str, data: pathlib.Path) -> tuple[dict[str, float], list[int]]:
    """Measures one contender into a fresh folder; returns the figures, and the numbers of examples and of clicked ones."""
    with tempfile.TemporaryDirectory(dir=data.parent, prefix="out-") as output:
        if contender == "retrolabel":
            (data / "bench.yaml").write_text(CONFIG.format(output=output))
            command = [
                str(pathlib.Path(sysconfig.get_path("scripts")) / "retrolabel"),
                "build",
                str(data / "bench.yaml"),
                "--date",
                str(DAY),
                "--json",
            ]
            figures, text = measure(command)
            splits = json.loads(text)["splits"].values()
            return figures, [
                sum(split["rows"] for split in splits),
                sum(split["labels"]["clicked"]["values"]["true"] for split in splits),
            ]
        name, *options = contender.split("_")
        script, options = (HERE / "beam_rows.py", []) if name == "beam" else (HERE / f"{name}_script.py", options)
        figures, text = measure(
            [sys.executable, str(script), str(data), str(pathlib.Path(output) / "result"), *options]
        )
        return figures, json.loads(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--beam-rows", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, default=CONTENDERS)
    parser.add_argument("--data", type=pathlib.Path, default=HERE / "data")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    large, small = arguments.data / f"{arguments.rows}", arguments.data / f"{arguments.beam_rows}"
    generate(arguments.rows, large)
    results: dict[str, list[dict[str, float]]] = {name: [] for name in arguments.only}
    answers: dict[str, list[int]] = {}
    for number in range(arguments.rounds):
        for name in arguments.only:
            if name == "beam_rows":
                if number:
                    continue
                generate(arguments.beam_rows, small)
            figures, answer = run(name, small if name == "beam_rows" else large)
            if name == "beam_rows":
                scale = arguments.rows / arguments.beam_rows
                figures = {"wall": figures["wall"] * scale, "cpu": figures["cpu"] * scale, "memory": figures["memory"]}
            else:
                answers[name] = answer
            results[name].append(figures)
            print(
                f"round {number + 1} {name}: " + ", ".join(f"{key} {value:,.1f}" for key, value in figures.items()),
                file=sys.stderr,
            )
    if len({tuple(answer) for answer in answers.values()}) > 1:
        raise SystemExit(f"the contenders disagree: {answers}")
    medians = {
        name: {key: statistics.median(run[key] for run in runs) for key in runs[0]} for name, runs in results.items()
    }
    if arguments.json:
        print(
            json.dumps(
                {"rows": arguments.rows, "medians": medians, "examples_and_clicked": next(iter(answers.values()), None)}
            )
        )
        return
    base = medians.get("duckdb")
    print(f"{arguments.rows:,} predictions, medians of {arguments.rounds} rounds; examples and clicked: {answers}")
    print(f"{'':12} {'wall s':>9} {'cpu s':>9} {'peak MB':>9}   ratios to the DuckDB script")
    for name, figures in medians.items():
        ratios = "   ".join(f"{key} {figures[key] / base[key]:.2f}" for key in figures) if base else ""
        scaled = f"   (scaled from {arguments.beam_rows:,} rows; memory is not)" if name == "beam_rows" else ""
        print(f"{name:12} {figures['wall']:>9.1f} {figures['cpu']:>9.1f} {figures['memory']:>9.0f}   {ratios}{scaled}")


if __name__ == "__main__":
    main()
    shutil.rmtree(HERE / "__pycache__", ignore_errors=True)
