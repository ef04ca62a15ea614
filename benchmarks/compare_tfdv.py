"""`retrolabel stats` beside TensorFlow Data Validation: the same Parquet file, the same threads, in turn.

    python benchmarks/compare_tfdv.py --rows 5000000 --columns 13
    python benchmarks/compare_tfdv.py --rows 200000 --columns 300 --rounds 3

TFDV needs old releases of everything, so it lives in an environment of its own, which this makes (Python 3.9 or 3.10, about 2 GB). It is called as
its users call it: `generate_statistics_from_dataframe` with `n_jobs` processes, of a frame that pandas reads from the file. Wall and CPU
seconds are those of all processes, imports included; memory is the peak of the resident size of the process tree.
"""

import argparse
import pathlib
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE))

from compare import measure  # noqa: E402

PINS = ("tensorflow-data-validation==1.16.1", "apache-beam==2.59.0", "tfx-bsl==1.16.1", "tensorflow-metadata==1.16.1", "pyarrow==10.0.1",
        "tensorflow==2.16.2", "numpy==1.26.4", "protobuf<5", "pandas<2.3")  # fmt: skip

SCRIPT = """
import sys
import pandas
import tensorflow_data_validation as tfdv
if sys.argv[1] == "read":
    statistics = tfdv.load_stats_binary(sys.argv[2])
    tfdv.infer_schema(statistics)
    print(statistics.datasets[0].num_examples, len(statistics.datasets[0].features))
else:
    found = tfdv.generate_statistics_from_dataframe(pandas.read_parquet(sys.argv[1]), n_jobs=int(sys.argv[2]))
    open(sys.argv[3], "wb").write(found.SerializeToString())
    print(found.datasets[0].num_examples, len(found.datasets[0].features))
"""

BLOCK = 500_000


def generate(rows: int, columns: int, path: pathlib.Path) -> None:
    """Predictions of a shop: texts of few and of many values, fractions, whole numbers, missing values."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        made = pathlib.Path(folder) / path.name
        writer = None
        for start in range(0, rows, BLOCK):
            random = np.random.default_rng(start)
            table = pa.table(
                {f"c{number}": _column(random, number, min(BLOCK, rows - start)) for number in range(columns)}
            )
            writer = writer or pq.ParquetWriter(made, table.schema, compression="zstd")
            writer.write_table(table)
        assert writer is not None
        writer.close()
        made.rename(path)


def _column(random: np.random.Generator, number: int, rows: int) -> pa.Array:
    kind = number % 13
    if kind in (0, 1):
        return pa.array([f"u{value}" for value in random.zipf(1.3, rows) % (200_000 if kind else 2_000_000)])
    if kind in (2, 3, 4):
        return pa.array(
            random.choice([f"v{value}" for value in range(4 ** (kind - 1))], rows), mask=random.random(rows) < 0.05
        )
    if kind in (5, 6, 7):
        return pa.array(random.lognormal(4, 1, rows), mask=random.random(rows) < 0.02)
    if kind in (8, 9):
        return pa.array(random.random(rows))
    return pa.array(random.integers(0, (2, 40, 100_000)[kind - 10], rows))


def environment(folder: pathlib.Path, python: str) -> pathlib.Path:
    """The interpreter of TFDV's environment, made if need be."""
    found = folder / "bin" / "python"
    if not found.exists():
        print("making the environment of TFDV: some minutes", file=sys.stderr)
        subprocess.run([python, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(found), "-m", "pip", "install", "--quiet", *PINS], check=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--columns", type=int, default=13)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--python", default="python3.10", help="what makes TFDV's environment")
    parser.add_argument("--tfdv", type=pathlib.Path, default=HERE / "data" / "tfdv", help="TFDV's environment")
    parser.add_argument("--data", type=pathlib.Path, default=HERE / "data")
    arguments = parser.parse_args()
    path = arguments.data / f"shop-{arguments.rows}-{arguments.columns}.parquet"
    generate(arguments.rows, arguments.columns, path)
    tfdv = str(environment(arguments.tfdv, arguments.python))
    retrolabel = str(pathlib.Path(sysconfig.get_path("scripts")) / "retrolabel")
    with tempfile.TemporaryDirectory(dir=arguments.data) as output:
        ours, theirs = f"{output}/ours.pb", f"{output}/theirs.pb"
        commands = {
            "retrolabel": [retrolabel, "stats", str(path), "-o", ours],
            "tfdv": [tfdv, "-c", SCRIPT, str(path), str(arguments.threads), theirs],
        }
        runs: dict[str, list[dict[str, float]]] = {name: [] for name in commands}
        for number in range(arguments.rounds):
            for name, command in commands.items():
                figures, _ = measure(command)
                runs[name].append(figures)
                told = ", ".join(f"{key} {value:,.1f}" for key, value in figures.items())
                print(f"round {number + 1} {name}: {told}", file=sys.stderr)
        _, read = measure([tfdv, "-c", SCRIPT, "read", ours])
    print(
        f"{arguments.rows:,} rows x {arguments.columns} columns, medians of {arguments.rounds} rounds; TFDV reads of ours: {read}"
    )
    medians = {
        name: {key: statistics.median(run[key] for run in some) for key in some[0]} for name, some in runs.items()
    }
    for name, figures in medians.items():
        ratios = "   ".join(f"{key} {medians['tfdv'][key] / figures[key]:.2f}" for key in figures)
        print(
            f"{name:12} {figures['wall']:>9.1f} s {figures['cpu']:>9.1f} s cpu {figures['memory']:>9.0f} MB   TFDV's by ours: {ratios}"
        )


if __name__ == "__main__":
    main()
    shutil.rmtree(HERE / "__pycache__", ignore_errors=True)
