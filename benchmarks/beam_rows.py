"""The same join as one build, as Beam's own examples would write it: a dict a row, CoGroupByKey. No statistics.

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
    _ = (
        sides
        | beam.CoGroupByKey()
        | beam.FlatMap(label)
        | beam.Map(lambda row: ("train" if row["part"] < 8 else "eval" if row["part"] == 8 else "test", row))
        | beam.GroupByKey()
        | beam.Map(write)
        | beam.combiners.ToList()
        | beam.Map(tell)
    )
print((output / "counts.json").read_text())
