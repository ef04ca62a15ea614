"""Statistics of hostile tables, of slices and labels, and of files in every format."""

import datetime
import decimal
import gzip
import json
import math
import resource

import fastavro
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from retrolabel.schemas.errors import InputError
from retrolabel.transforms.kernels.association import associations, leaking
from retrolabel.transforms.kernels.schema_rules import infer_schema
from retrolabel.transforms.kernels.spread import spread_of
from retrolabel.transforms.kernels.statistics_proto import statistics_list
from retrolabel.transforms.kernels.table_statistics import encode, merge, sliced_statistics
from retrolabel.transforms.parts import encode as encode_part
from retrolabel.transforms.tables import blocks_of, statistics_of_files


def features_of(table, **options):
    dataset = statistics_list(sliced_statistics(table, [], **options)).datasets[0]
    return {feature.path.step[0]: feature for feature in dataset.features}


def test_booleans_times_and_lists_are_numbers_that_the_schema_knows():
    moment = datetime.datetime(2026, 11, 20, 12, tzinfo=datetime.UTC)
    table = pa.table({
        "flag": [True, False, None, True], "at": pa.array([moment] * 4, pa.timestamp("us", tz="UTC")),
        "day": pa.array([moment.date()] * 4), "fixed": pa.array([[1.0, 2.0]] * 4, pa.list_(pa.float32(), 2)),
        "kind": pa.array(["a", "b", "a", None]).dictionary_encode(), "cents": pa.array([decimal.Decimal(number) for number in range(1, 5)], pa.decimal128(9, 2)),
    })  # fmt: skip
    found = features_of(table)
    schema = {
        feature.name: feature
        for feature in infer_schema(statistics_list(sliced_statistics(table, [])).datasets[0]).feature
    }

    assert (found["flag"].num_stats.mean, found["flag"].num_stats.num_zeros) == (pytest.approx(2 / 3), 1)
    assert found["at"].num_stats.min == moment.timestamp() * 1e6
    assert [custom.str for custom in found["at"].custom_stats if custom.name == "type"] == ["timestamp[us, tz=UTC]"]
    assert found["fixed"].num_stats.common_stats.max_num_values == 2
    assert [value.value for value in found["kind"].string_stats.top_values] == ["a", "b"]
    assert found["cents"].num_stats.max == 4
    assert schema["flag"].HasField("bool_domain")
    assert schema["at"].HasField("time_domain")
    assert schema["fixed"].shape.dim[0].size == 2


@pytest.mark.parametrize(
    "values", [[1e308, -1e308, 1e308], [5e-324, 0.0, -5e-324], [math.nan, math.inf, -math.inf], [1e16, 1e16 + 2, 1e16]]
)
def test_extreme_numbers_are_no_trouble(values):
    numbers = features_of(pa.table({"x": pa.array(values)}))["x"].num_stats
    finite = [value for value in values if math.isfinite(value)]
    assert numbers.min == min(value for value in values if not math.isnan(value))
    assert numbers.max == max(value for value in values if not math.isnan(value))
    assert numbers.median in values or min(finite) <= numbers.median <= max(finite)
    assert sum(bucket.sample_count for bucket in numbers.histograms[1].buckets) == pytest.approx(
        len(values) - sum(map(math.isnan, values))
    )


def test_a_narrow_distribution_far_from_zero_keeps_its_deviation_and_quantiles():
    values = 1e9 + np.random.default_rng(1).normal(size=100_000)
    halves = [sliced_statistics(pa.table({"x": half}), []) for half in np.array_split(values, 2)]
    numbers = statistics_list(merge(halves)).datasets[0].features[0].num_stats
    assert numbers.std_dev == pytest.approx(values.std(), rel=1e-9)
    assert numbers.median == pytest.approx(np.median(values), abs=0.01)


def test_a_column_of_zeros_and_many_amounts_has_zero_for_its_median():
    amounts = np.concatenate(
        [np.zeros(9_000), np.random.default_rng(7).uniform(0.5, 90, 3_000), -np.arange(1, 3_001) / 7]
    )
    assert spread_of(amounts).quantiles([0.3, 0.5, 0.7], -500.0, 90.0).tolist() == [0.0, 0.0, 0.0]


def test_long_texts_and_many_columns_stay_small():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    long = pa.table({"text": [character * 1_000_000 for character in "abcdefgh"] * 4})
    found = features_of(long)["text"].string_stats
    assert (found.unique, found.avg_length) == (8, 1_000_000)
    assert [(top.value, top.frequency) for top in found.top_values] == [("__LARGE_BYTES__", 32)]

    random = np.random.default_rng(2)
    wide = pa.table({f"c{number}": random.normal(size=3000) for number in range(2000)})
    statistics = sliced_statistics(wide, [])
    assert len(statistics_list(statistics).datasets[0].features) == 2000
    assert len(encode(statistics)) < 2000 * 2048 * 16 + 1_000_000
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 < 800


def test_a_million_different_texts_are_counted_in_little_memory():
    partials = [
        sliced_statistics(pa.table({"id": pa.array(np.arange(start, start + 100_000)).cast(pa.string())}), [])
        for start in range(0, 1_000_000, 100_000)
    ]
    together = merge(partials)
    texts = statistics_list(together).datasets[0].features[0].string_stats
    assert texts.unique == pytest.approx(1_000_000, rel=0.03)
    assert max(len(encode(one)) for one in [*partials, together]) < 400_000


def test_slices_are_named_by_their_values_and_the_rest_is_in_none():
    table = pa.table({"device": ["web", "ios", None, "web"], "country": ["ch", "de", "ch", "ch"], "clicked": [True, None, False, True],
                      "x": [1.0, 2.0, 3.0, 5.0]})  # fmt: skip
    found = sliced_statistics(table, [("device",), ("device", "country")], ["clicked"])
    rows = {name: one.rows for name, one in found.items()}
    assert rows == {"All Examples": 4, "clicked_true": 2, "clicked_false": 1, "device_web": 2, "device_ios": 1,
                    "country_ch_device_web": 2, "country_de_device_ios": 1}  # fmt: skip
    assert found["device_web"].columns["x"].numeric.moments.mean == 3.0
    assert found["All Examples"].columns["x"].numeric.moments.mean == pytest.approx(2.75)


def test_an_association_is_found_and_chance_is_not():
    random = np.random.default_rng(3)
    clicked = random.random(20_000) < 0.1
    table = pa.table({
        "clicked": clicked, "leak": np.where(clicked, 5.0, 0.0) + random.normal(0, 0.5, 20_000), "noise": random.random(20_000),
        "missing_if_clicked": pa.array(random.random(20_000), mask=clicked), "weak": random.normal(size=20_000) + clicked * 0.5,
        "id": [f"i{number}" for number in range(20_000)], "random_text": random.choice(list("abcdefghij"), 20_000),
    })  # fmt: skip
    found = {one.feature: one for one in associations(sliced_statistics(table, [], ["clicked"]), ["clicked"])}

    assert {one.feature for one in leaking(list(found.values()))} == {"leak", "missing_if_clicked"}
    assert 0.01 < found["weak"].share < 0.1
    assert not found["weak"].is_chance
    for name in ("noise", "id", "random_text"):
        assert found[name].is_chance
        assert found[name].share < 0.002


def test_a_feature_that_is_known_only_where_the_label_is_not_has_no_association():
    table = pa.table({"clicked": [True, False, None], "price": [None, None, 9.5]})
    (one,) = associations(sliced_statistics(table, [], ["clicked"]), ["clicked"])
    assert one.bits == 0


def test_the_bias_of_a_small_sample_is_taken_off():
    random = np.random.default_rng(4)
    shares = []
    for _ in range(60):
        table = pa.table({"clicked": random.random(300) < 0.5, "x": random.random(300)})
        (one,) = associations(sliced_statistics(table, [], ["clicked"]), ["clicked"])
        shares.append(one.share)
    assert np.mean(shares) < 0.02  # 0.05 without the correction


# Files

ROWS = [{"text": "a", "number": 1.5, "whole": 1, "list": [1, 2]}, {"text": "ö", "number": None, "whole": 2, "list": []},
        {"text": None, "number": 2.5, "whole": 3, "list": [3]}]  # fmt: skip
TABLE = pa.Table.from_pylist(
    ROWS,
    pa.schema([("text", pa.string()), ("number", pa.float64()), ("whole", pa.int64()), ("list", pa.list_(pa.int64()))]),
)


def write(folder, name):
    path = folder / name
    if ".csv" in name:
        content = b"text,number,whole\na,1.5,1\n\xc3\xb6,,2\n,2.5,3\n"
    elif ".jsonl" in name:
        content = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
    else:
        content = encode_part(TABLE, name.partition(".")[2])
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return str(path)


@pytest.mark.parametrize("name", ["x.parquet", "x.avro", "x.tfrecord", "x.csv", "x.csv.gz", "x.jsonl", "x.jsonl.gz"])
def test_every_format_gives_the_same_statistics(tmp_path, name):
    (dataset,) = statistics_list(merge(statistics_of_files([write(tmp_path, name)]))).datasets
    found = {feature.path.step[0]: feature for feature in dataset.features}
    assert dataset.num_examples == 3
    assert found["number"].num_stats.mean == 2.0
    assert found["number"].num_stats.common_stats.num_missing == 1
    assert (found["whole"].type, found["whole"].num_stats.max) == (0, 3)
    assert {top.value for top in found["text"].string_stats.top_values} == {"a", "ö"}
    if "csv" not in name:
        assert found["list"].num_stats.common_stats.tot_num_values == 3


def test_a_column_of_csv_is_as_wide_as_its_widest_value(tmp_path):
    path = tmp_path / "x.csv"
    lines = [f"{number},{number},1,x" for number in range(400_000)]
    path.write_text("whole,fraction,text,words\n" + "\n".join(lines) + "\n7,0.5,oh,\n")
    types = {
        name: str(field.type)
        for block in blocks_of(str(path))
        for name, field in zip(block.schema.names, block.schema, strict=True)
    }
    assert types == {"whole": "int64", "fraction": "double", "text": "string", "words": "string"}


def test_a_block_of_parquet_is_as_small_as_its_rows_are_large(tmp_path):
    path = str(tmp_path / "x.parquet")
    pq.write_table(
        pa.table({"text": ["x" * 1_000_000 + str(number) for number in range(80)]}),
        path,
        use_dictionary=False,
        compression=None,
    )
    assert max(block.nbytes for block in blocks_of(path)) < 50_000_000


def test_files_that_cannot_be_read_are_named(tmp_path):
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 no")
    (tmp_path / "x.tfrecord").write_bytes(b"\x01\x00\x00\x00\x00\x00\x00\x00")
    (tmp_path / "mixed.jsonl").write_text('{"a": 1}\n{"a": "x"}\n')
    for name, told in (("none.csv", "none.csv.*No such file"), ("x.docx", "does not tell its format"), ("bad.parquet", "bad.parquet.*damaged"),
                       ("x.tfrecord", "ends within it"), ("mixed.jsonl", "mixed.jsonl")):  # fmt: skip
        with pytest.raises(InputError, match=told):
            list(statistics_of_files([str(tmp_path / name)]))
    with pytest.raises(InputError, match="the labels 'a' have 300 different values"):
        list(statistics_of_files([write_parquet(tmp_path, "many.parquet", a=list(range(300)))], labels=["a"]))
    (tmp_path / "twice.csv").write_text("a,a\n1,2\n")
    with pytest.raises(InputError, match="the column 'a' stands there 2 times"):
        list(statistics_of_files([str(tmp_path / "twice.csv")]))
    with pytest.raises(InputError, match="has no column 'b'; it has a"):
        list(statistics_of_files([write_parquet(tmp_path, "a.parquet", a=[1])], columns=["b"]))
    with pytest.raises(InputError, match="column 'a' holds int64 and string in different places"):
        merge(
            statistics_of_files(
                [write_parquet(tmp_path, "1.parquet", a=[1]), write_parquet(tmp_path, "2.parquet", a=["x"])]
            )
        )


def write_parquet(folder, name, **columns):
    pq.write_table(pa.table(columns), folder / name)
    return str(folder / name)


def test_avro_of_others_is_read(tmp_path):
    schema = {"type": "record", "name": "R", "fields": [
        {"name": "kind", "type": {"type": "enum", "name": "K", "symbols": ["A", "B"]}}, {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "below", "type": {"type": "record", "name": "S", "fields": [{"name": "x", "type": ["null", "int"]}]}},
    ]}  # fmt: skip
    rows = [
        {"kind": "A", "at": datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC), "below": {"x": 1}},
        {"kind": "B", "at": 0, "below": {"x": None}},
    ]
    with (tmp_path / "x.avro").open("wb") as file:
        fastavro.writer(file, fastavro.parse_schema(schema), rows)
    (dataset,) = statistics_list(merge(statistics_of_files([str(tmp_path / "x.avro")]))).datasets
    assert [feature.path.step[0] for feature in dataset.features] == ["kind", "at", "below.x"]
