"""Asks TensorFlow Data Validation 1.16.1 for the answers that the tests compare with, and stores them beside this file.

    python3.10 -m venv tfdv && tfdv/bin/pip install tensorflow-data-validation==1.16.1 apache-beam==2.59.0 tfx-bsl==1.16.1 \\
        tensorflow-metadata==1.16.1 pyarrow==10.0.1 tensorflow==2.16.2 numpy==1.26.4 'protobuf<5' 'pandas<2.3'
    tfdv/bin/python tests/golden/tfdv/make.py

A case is a folder: `data.parquet`; `stats.pb`, its statistics; `schema.pbtxt`, what it was checked against; `anomalies.pbtxt`;
`previous.parquet` or `serving.parquet`, what it was compared with; `updated.pbtxt`, what TFDV's `update_schema` proposes.
A null is a missing value, and a value is a list of length one.
"""

import copy
import pathlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow_data_validation as tfdv
from tensorflow_data_validation.statistics import stats_impl, stats_options

HERE = pathlib.Path(__file__).parent
ROWS = 2000


def shop(seed, rows=ROWS, **changed):
    """Predictions of a shop, as a model would have logged them."""
    random = np.random.default_rng(seed)
    columns = {
        "user_id": pa.array([f"u{number}" for number in random.zipf(1.6, rows) % 700]),
        "category": pa.array(random.choice(["run", "boots", "kids", "näh"], rows, p=[0.5, 0.3, 0.15, 0.05])),
        "device": pa.array(random.choice(["web", "ios", "android"], rows), mask=random.random(rows) < 0.1),
        "price": pa.array(np.round(random.lognormal(4, 0.6, rows), 2), mask=random.random(rows) < 0.05),
        "score": pa.array(random.beta(2, 8, rows)),
        "position": pa.array(random.integers(1, 40, rows)),
        "member": pa.array(random.integers(0, 2, rows)),
        "label": pa.array((random.random(rows) < 0.1).astype(int)),
        "constant": pa.array([7] * rows),
        "tags": pa.array([None if random.random() < 0.1 else [f"t{tag}" for tag in random.integers(0, 5, random.integers(0, 4))]
                          for _ in range(rows)]),
        "embedding": pa.array([list(map(float, random.normal(size=3))) for _ in range(rows)]),
    }  # fmt: skip
    columns.update({name: change(random, rows) for name, change in changed.items() if change is not None})
    return pa.table({name: column for name, column in columns.items() if changed.get(name, 1) is not None})


def types(rows=600):
    """A column of every kind."""
    random = np.random.default_rng(5)
    missing = random.random(rows) < 0.3
    return pa.table({
        "true_false": pa.array(random.choice(["true", "false"], rows)), "zero_one": pa.array(random.choice(["0", "1"], rows)),
        "digits": pa.array([str(number) for number in random.integers(0, 50, rows)]),
        "fractions": pa.array([f"{number:.2f}" for number in random.random(rows)]),
        "empty": pa.array(random.choice(["", "a", "b"], rows)), "sparse_bit": pa.array(random.integers(0, 2, rows), mask=missing),
        "no_int": pa.nulls(rows, pa.int64()), "no_text": pa.nulls(rows, pa.string()), "no_float": pa.nulls(rows, pa.float64()),
        "nothing": pa.nulls(rows), "nan": pa.array(np.where(missing, np.nan, random.normal(size=rows)), from_pandas=False),
        "all_nan": pa.array(np.full(rows, np.nan), from_pandas=False),
        "infinite": pa.array(np.where(missing, np.inf, np.where(random.random(rows) < 0.1, -np.inf, random.normal(size=rows)))),
        "all_infinite": pa.array(np.full(rows, np.inf)), "huge": pa.array(random.integers(-(2**62), 2**62, rows)),
        "unsigned": pa.array(random.integers(0, 2**63, rows).astype(np.uint64) * 2),
        "single": pa.array(random.normal(size=rows).astype(np.float32)), "byte": pa.array(random.integers(-100, 100, rows).astype(np.int8)),
        "many": pa.array([f"v{number}" for number in range(rows)][:401] + ["v0"] * (rows - 401)),
        "domain": pa.array([f"v{number}" for number in range(rows)][:400] + ["v0"] * (rows - 400)),
        "unicode": pa.array(random.choice(["é", "日本", "a\nb", "tab\t", 'q"uote'], rows)),
        "bits": pa.array([list(map(int, random.integers(0, 2, 2))) for _ in range(rows)]),
        "empty_lists": pa.array([[] for _ in range(rows)], pa.list_(pa.int64())),
        "some": pa.array([["x"] * int(count) for count in random.integers(1, 4, rows)]),
        "not_utf8": pa.array([bytes([200, number % 256]) for number in range(rows)], pa.binary()), "octets": pa.array([b"abc"] * rows),
        "long": pa.array(["x" * 1500 if number % 2 else "y" * 900 for number in range(rows)]), "tenth": pa.array([0.1] * rows),
        "ones": pa.array([1] * rows), "zeros": pa.array([0] * rows), "one_value": pa.array([5] + [None] * (rows - 1)),
    })  # fmt: skip


def as_lists(column):
    """A column as TFDV takes it."""
    if pa.types.is_list(column.type) or pa.types.is_null(column.type):
        return column
    valid = column.is_valid().to_numpy(zero_copy_only=False)
    offsets = pa.array(np.concatenate([[0], np.cumsum(valid)]), mask=np.concatenate([~valid, [False]]), type=pa.int32())
    return pa.ListArray.from_arrays(offsets, column.drop_null())


def statistics_of(table):
    columns = [as_lists(table.column(name).combine_chunks()) for name in table.column_names]
    batch = pa.RecordBatch.from_arrays(columns, table.column_names)
    return stats_impl.generate_statistics_in_memory(batch, stats_options.StatsOptions())


def make(name, data, schema=None, previous=None, serving=None, environment=None):
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    pq.write_table(data, folder / "data.parquet", compression="zstd")
    stats = statistics_of(data)
    tfdv.write_stats_text(stats, str(folder / "stats.pbtxt"))
    (folder / "stats.pb").write_bytes(stats.SerializeToString())
    (folder / "stats.pbtxt").unlink()
    if schema is None:
        schema = tfdv.infer_schema(stats)
    others = {}
    for what, table in (("previous", previous), ("serving", serving)):
        if table is not None:
            pq.write_table(table, folder / f"{what}.parquet", compression="zstd")
            others[f"{what}_statistics"] = statistics_of(table)
    tfdv.write_schema_text(schema, str(folder / "schema.pbtxt"))
    anomalies = tfdv.validate_statistics(stats, schema, environment, **others)
    anomalies.ClearField("baseline")
    tfdv.write_anomalies_text(anomalies, str(folder / "anomalies.pbtxt"))
    tfdv.write_schema_text(tfdv.update_schema(schema, stats), str(folder / "updated.pbtxt"))


def main():
    base = shop(1)
    schema = tfdv.infer_schema(statistics_of(base))

    def changed(edit):
        edited = copy.deepcopy(schema)
        edit(edited, {feature.name: feature for feature in edited.feature})
        return edited

    def compare(kind):
        def edit(_, features):
            getattr(features["category"], kind).infinity_norm.threshold = 0.05
            getattr(features["device"], kind).jensen_shannon_divergence.threshold = 0.02
            for name in ("price", "score"):
                getattr(features[name], kind).jensen_shannon_divergence.threshold = 0.02

        return changed(edit)

    def ranges(_, features):
        features["price"].float_domain.min, features["price"].float_domain.max = 20, 100
        features["position"].int_domain.min, features["position"].int_domain.max = 2, 30
        features["constant"].bool_domain.SetInParent()
        features["user_id"].unique_constraints.min, features["user_id"].unique_constraints.max = 5000, 9000
        features["category"].distribution_constraints.min_domain_mass = 0.9
        features["score"].unique_constraints.min = 1

    def counts(edited, features):
        features["embedding"].ClearField("shape")
        features["embedding"].value_count.min = features["embedding"].value_count.max = 2
        features["tags"].value_count.min = 1
        features["label"].presence.min_count = 5000
        edited.dataset_constraints.min_examples_count = 3000
        edited.dataset_constraints.num_examples_drift_comparator.min_fraction_threshold = 0.9

    def environments(edited, features):
        edited.default_environment.extend(["TRAINING", "SERVING"])
        features["label"].not_in_environment.append("SERVING")

    def types_differ(_, features):
        for name, kind in (("price", 1), ("category", 2), ("score", 2), ("position", 3), ("tags", 3)):
            features[name].type = kind

    make("base", base)
    make("types", types())
    make("new_column", base.append_column("new_column", pa.array([1] * ROWS)), schema)
    make(
        "missing_column",
        base.drop_columns(["score"]) if hasattr(base, "drop_columns") else base.drop(["score"]),
        schema,
    )
    make(
        "unexpected_value",
        shop(2, category=lambda random, rows: pa.array(random.choice(["run", "sandals", 'a"b'], rows))),
        schema,
    )
    make("int_becomes_float", shop(3, position=lambda random, rows: pa.array(random.random(rows))), schema)
    make("int_becomes_string", shop(4, member=lambda random, rows: pa.array(random.choice(["a", "b"], rows))), schema)
    make(
        "presence_drops",
        shop(5, score=lambda random, rows: pa.array(random.random(rows), mask=random.random(rows) < 0.1)),
        schema,
    )
    make("all_missing", shop(6, price=lambda random, rows: pa.nulls(rows, pa.float64())), schema)
    make("bits_leave", shop(7, member=lambda random, rows: pa.array(random.integers(-1, 3, rows))), schema)
    make("shape_changes", shop(8, embedding=lambda random, rows: pa.array([[1.0, 2.0]] * rows)), schema)
    make("ranges", base, changed(ranges))
    make("counts", base, changed(counts), previous=shop(9, rows=3000))
    make("types_differ", base, changed(types_differ))
    make("serving", base, changed(environments), environment="SERVING")
    make("drift", shop(10, category=lambda random, rows: pa.array(random.choice(["run", "boots"], rows)),
                       score=lambda random, rows: pa.array(random.beta(8, 2, rows))), compare("drift_comparator"), previous=base)  # fmt: skip
    make("no_drift", shop(11), compare("drift_comparator"), previous=base)
    make("skew", shop(12, device=lambda random, rows: pa.array(random.choice(["web", "ios"], rows, p=[0.9, 0.1]))),
         compare("skew_comparator"), serving=base)  # fmt: skip
    make("control_missing", base, compare("drift_comparator"), previous=base.drop(["price"]))


if __name__ == "__main__":
    main()
