"""The same work as one build, as a strong engineer writes it by hand for Polars.

python benchmarks/polars_script.py DATA OUTPUT
"""

import json
import pathlib
import sys

import polars as pl

data, output = sys.argv[1], pathlib.Path(sys.argv[2])
output.mkdir(parents=True)
features = {"category": pl.String, "brand": pl.String, "price": pl.Float64, "discount": pl.Float64, "position": pl.Int32, "device": pl.String,
            "country": pl.String, "hour": pl.Int32, "history_len": pl.Int32, "affinity": pl.Float64}  # fmt: skip
prediction = {"time": pl.String, "prediction_id": pl.String, "user_id": pl.String, "score": pl.Float64, "model_version": pl.String,
              "features": pl.Struct(features)}  # fmt: skip
click = {"@timestamp": pl.String, "event_id": pl.String, "prediction_id": pl.String}
when = pl.col("time").str.to_datetime("%Y-%m-%dT%H:%M:%S%.fZ", time_zone="UTC").alias("event_time")
day = pl.datetime(2026, 11, 20, time_zone="UTC"), pl.datetime(2026, 11, 21, time_zone="UTC")
predictions = (
    pl.scan_ndjson(f"{data}/predictions_*.json", schema=prediction)
    .select(when, pl.exclude("time", "features"), pl.col("features").struct.unnest())
    .filter(pl.col("event_time").is_between(*day, closed="left"))
    .unique("prediction_id", keep="any")
)
clicks = (
    pl.scan_ndjson(f"{data}/clicks.json", schema=click)
    .unique("event_id", keep="any")
    .select(
        "prediction_id",
        pl.col("@timestamp").str.to_datetime("%Y-%m-%dT%H:%M:%S%.fZ", time_zone="UTC").alias("clicked_at"),
    )
)
labels = (
    predictions.select("prediction_id", "event_time")
    .join(clicks, on="prediction_id")
    .filter(
        pl.col("clicked_at") >= pl.col("event_time"),
        pl.col("clicked_at") < pl.col("event_time") + pl.duration(hours=24),
    )
    .select("prediction_id", clicked=True)
    .unique("prediction_id")
)
examples = (
    predictions.join(labels, on="prediction_id", how="left")
    .with_columns(pl.col("clicked").fill_null(False), part=pl.col("user_id").hash(0) % 10)
    .collect(engine="streaming")
)
statistics = {}
for name, kind in examples.schema.items():
    values = (
        pl.col(name).str.len_bytes()
        if kind == pl.String
        else pl.col(name).cast(pl.Int64)
        if kind.is_temporal()
        else pl.col(name).cast(pl.Float64)
    )
    statistics |= {f"{name}.{what}": found for what, found in (
        ("count", pl.col(name).count()), ("mean", values.mean()), ("deviation", values.std(ddof=0)), ("min", values.min()), ("max", values.max()),
        ("zeros", (values == 0).sum()))}  # fmt: skip
found = examples.select(**statistics).row(0)
(output / "statistics.json").write_text(json.dumps(found))
for split, condition in (("train", pl.col("part") < 8), ("eval", pl.col("part") == 8), ("test", pl.col("part") == 9)):
    examples.filter(condition).drop("part").write_parquet(output / f"{split}.parquet", compression="zstd")
print(json.dumps([examples.height, int(examples["clicked"].sum())]))
