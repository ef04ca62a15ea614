"""The same work as one build, as Beam's own examples would write it: a dict a row, CoGroupByKey, a CombineFn for moments of each column.

python benchmarks/beam_rows.py DATA OUTPUT
"""

import datetime
import json
import logging
import pathlib
import sys
import zlib

import apache_beam as beam

logging.disable(logging.WARNING)
data, output = sys.argv[1], pathlib.Path(sys.argv[2])
output.mkdir(parents=True)
DAY = datetime.timedelta(hours=24)


def label(keyed):
    """One prediction of each key, with whether a click came in its window."""
    _, sides = keyed
    for prediction in list(sides["p"])[:1]:
        start = datetime.datetime.fromisoformat(prediction["time"])
        times = {click["event_id"]: datetime.datetime.fromisoformat(click["@timestamp"]) for click in sides["c"]}
        clicked = any(start <= moment < start + DAY for moment in times.values())
        features = prediction.pop("features")
        yield {**prediction, **features, "clicked": clicked, "part": zlib.crc32(prediction["user_id"].encode()) % 10}


class Moments(beam.CombineFn):
    """Of each column: values, their sum and sum of squares, the least, the greatest, zeros; of texts, of their lengths."""

    def create_accumulator(self):
        return {}

    def add_input(self, columns, row):
        for name, value in row.items():
            if value is None:
                continue
            number = len(value) if isinstance(value, str) else float(value)
            found = columns.get(name)
            if found is None:
                columns[name] = [1, number, number * number, number, number, number == 0]
                continue
            found[0] += 1
            found[1] += number
            found[2] += number * number
            found[3] = min(found[3], number)
            found[4] = max(found[4], number)
            found[5] += number == 0
        return columns

    def merge_accumulators(self, all_of):
        merged = {}
        for columns in all_of:
            for name, (count, total, squares, least, greatest, zeros) in columns.items():
                known = merged.get(name, [0, 0, 0, least, greatest, 0])
                merged[name] = [known[0] + count, known[1] + total, known[2] + squares, min(known[3], least), max(known[4], greatest),
                                known[5] + zeros]  # fmt: skip
        return merged

    def extract_output(self, columns):
        return columns


def write(keyed):
    import pyarrow as pa
    import pyarrow.parquet as pq

    split, rows = keyed
    table = pa.Table.from_pylist(list(rows))
    pq.write_table(table, output / f"{split}.parquet", compression="zstd")
    return table.num_rows, sum(table.column("clicked").to_pylist())


def tell(totals):
    (output / "counts.json").write_text(
        json.dumps([sum(rows for rows, _ in totals), sum(clicked for _, clicked in totals)])
    )


with beam.Pipeline(runner="FnApiRunner") as pipeline:
    sides = {
        name: pipeline | f"Read{name}" >> beam.io.ReadFromText(f"{data}/{files}") | f"Parse{name}" >> beam.Map(json.loads)
        | f"Key{name}" >> beam.Map(lambda row: (row["prediction_id"], row))
        for name, files in (("p", "predictions_*.json"), ("c", "clicks.json"))
    }  # fmt: skip
    rows = sides | beam.CoGroupByKey() | beam.FlatMap(label)
    _ = (
        rows
        | beam.CombineGlobally(Moments())
        | beam.Map(lambda found: (output / "statistics.json").write_text(json.dumps(found)))
    )
    _ = (
        rows
        | beam.Map(lambda row: ("train" if row["part"] < 8 else "eval" if row["part"] == 8 else "test", row))
        | beam.GroupByKey()
        | beam.Map(write)
        | beam.combiners.ToList()
        | beam.Map(tell)
    )
print((output / "counts.json").read_text())
