"""Statistics, schemas and anomalies beside the answers of TensorFlow Data Validation 1.16.1 (tests/golden/tfdv/make.py)."""

import collections
import math
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from google.protobuf import json_format

from retrolabel.schemas.metadata_files import anomalies_from, schema_from, statistics_from, to_bytes
from retrolabel.transforms.kernels.distances import jensen_shannon
from retrolabel.transforms.kernels.schema_rules import infer_schema
from retrolabel.transforms.kernels.statistics_proto import statistics_list
from retrolabel.transforms.kernels.table_statistics import sliced_statistics
from retrolabel.transforms.kernels.validation import Controls, update_schema, validate

GOLDEN = Path(__file__).parents[2] / "golden" / "tfdv"
CASES = sorted(path.name for path in GOLDEN.iterdir() if path.is_dir() and not path.name.startswith("__"))
RANK_ERROR = 0.02
"""TFDV's quantiles are off by a hundredth of the values, ours by less than another."""


def statistics_of(path):
    return statistics_list(sliced_statistics(pq.read_table(path), [])).datasets[0]


def answer(case, name, read):
    path = GOLDEN / case / name
    return read(path.read_bytes(), str(path))


def differences(mine, theirs, path=""):
    if isinstance(mine, dict) and isinstance(theirs, dict):
        for key in sorted({*mine, *theirs}):
            yield from differences(mine.get(key), theirs.get(key), f"{path}.{key}")
    elif isinstance(mine, list) and isinstance(theirs, list):
        if len(mine) != len(theirs):
            yield path, len(mine), len(theirs)
        for place, pair in enumerate(zip(mine, theirs, strict=False)):
            yield from differences(*pair, f"{path}[{place}]")
    elif isinstance(mine, float) and isinstance(theirs, float):
        if not math.isclose(mine, theirs, rel_tol=1e-6, abs_tol=1e-15) and not math.isnan(mine):
            yield path, mine, theirs
    elif mine != theirs:
        yield path, mine, theirs


def plain(feature):
    content = json_format.MessageToDict(feature)
    content.pop("customStats", None)
    content.get("numStats", {}).pop("histograms", None)
    content.get("numStats", {}).pop("median", None)
    return content


@pytest.mark.parametrize("case", CASES)
def test_counts_means_extremes_and_values_are_theirs(case):
    mine = statistics_of(GOLDEN / case / "data.parquet")
    theirs = answer(case, "stats.pb", statistics_from).datasets[0]

    assert [feature.path.step[0] for feature in mine.features] == [feature.path.step[0] for feature in theirs.features]
    assert mine.num_examples == theirs.num_examples
    for ours, other in zip(mine.features, theirs.features, strict=True):
        found = [
            one
            for one in differences(plain(ours), plain(other), ours.path.step[0])
            if "tenth.numStats.stdDev" not in one[0]
        ]
        assert found == []


@pytest.mark.parametrize("case", CASES)
def test_medians_and_histograms_are_theirs_within_the_error_of_quantiles(case):
    table = pq.read_table(GOLDEN / case / "data.parquet")
    mine = statistics_of(GOLDEN / case / "data.parquet")
    theirs = answer(case, "stats.pb", statistics_from).datasets[0]
    for ours, other in zip(mine.features, theirs.features, strict=True):
        numbers = table[ours.path.step[0]].drop_null().to_pylist()
        if not ours.num_stats.histograms or isinstance(numbers[0], list):
            continue
        # A number that comes often falls on either side of a bound that it equals.
        most = max(collections.Counter(numbers).values())
        rank = abs(
            sum(value < ours.num_stats.median for value in numbers)
            - sum(value < other.num_stats.median for value in numbers)
        )
        assert rank <= RANK_ERROR * len(numbers) or ours.num_stats.median == other.num_stats.median
        for histogram, reference in zip(ours.num_stats.histograms, other.num_stats.histograms, strict=True):
            assert (histogram.type, histogram.num_nan) == (reference.type, reference.num_nan)
            assert len(histogram.buckets) == len(reference.buckets)
            for bucket, expected in zip(histogram.buckets, reference.buckets, strict=True):
                assert abs(bucket.sample_count - expected.sample_count) <= RANK_ERROR * len(numbers) + most


@pytest.mark.parametrize("case", ["base", "types"])
def test_the_inferred_schema_is_theirs(case):
    assert infer_schema(statistics_of(GOLDEN / case / "data.parquet")) == answer(case, "schema.pbtxt", schema_from)


@pytest.mark.parametrize("case", CASES)
def test_the_anomalies_are_theirs_but_for_distances_between_numbers(case):
    schema = answer(case, "schema.pbtxt", schema_from)
    others = {
        name: statistics_of(path)
        for name in ("previous", "serving")
        if (path := GOLDEN / case / f"{name}.parquet").exists()
    }
    mine, _ = validate(
        statistics_of(GOLDEN / case / "data.parquet"),
        schema,
        "SERVING" if case == "serving" else None,
        Controls(**others),
    )
    theirs = answer(case, "anomalies.pbtxt", anomalies_from)
    numbers = {"price", "score"} if others else set()

    assert mine.dataset_anomaly_info == theirs.dataset_anomaly_info
    for name in {*mine.anomaly_info, *theirs.anomaly_info} - numbers:
        assert (name in mine.anomaly_info, mine.anomaly_info[name]) == (
            name in theirs.anomaly_info,
            theirs.anomaly_info[name],
        )
    for ours, other in zip(mine.drift_skew_info, theirs.drift_skew_info, strict=True):
        assert ours.path == other.path
        if ours.path.step[0] not in numbers:
            assert list(differences(*map(json_format.MessageToDict, (ours, other)))) == []
    # Only what did change: TFDV raises an alarm for prices of one distribution, too.
    assert numbers & set(mine.anomaly_info) == ({"score"} if case == "drift" else set()) | (
        {"price"} & missing_control(theirs)
    )


def missing_control(anomalies):
    """What both call missing on the other side."""
    return {name for name, info in anomalies.anomaly_info.items() if "data missing" in info.short_description}


@pytest.mark.parametrize("case", CASES)
def test_the_updated_schema_is_theirs_and_accepts_the_data(case):
    statistics = statistics_of(GOLDEN / case / "data.parquet")
    updated = update_schema(statistics, answer(case, "schema.pbtxt", schema_from))

    assert updated == answer(case, "updated.pbtxt", schema_from)
    assert not validate(statistics, updated)[0].anomaly_info


def test_two_samples_of_one_distribution_are_within_the_noise_and_others_are_not():
    same = [statistics_of(GOLDEN / "no_drift" / f"{name}.parquet") for name in ("data", "previous")]
    changed = [statistics_of(GOLDEN / "drift" / f"{name}.parquet") for name in ("data", "previous")]
    for mine, other in zip(*(dataset.features for dataset in same), strict=True):
        distance = jensen_shannon(mine, other)
        assert distance is None or distance.value <= distance.noise
    score = [next(one for one in dataset.features if one.path.step[0] == "score") for dataset in changed]
    assert jensen_shannon(*score).value > 10 * jensen_shannon(*score).noise


def test_statistics_of_tfdv_are_compared_by_their_quantiles():
    ours = statistics_of(GOLDEN / "no_drift" / "data.parquet")
    theirs = answer("base", "stats.pb", statistics_from).datasets[0]
    for mine, other in zip(ours.features, theirs.features, strict=True):
        distance = jensen_shannon(mine, other)
        assert distance is None or distance.value <= distance.noise


@pytest.mark.parametrize("suffix", [".pb", ".pbtxt"])
def test_files_are_read_as_they_were_written(suffix):
    statistics = statistics_list(sliced_statistics(pq.read_table(GOLDEN / "types" / "data.parquet"), []))
    schema = infer_schema(statistics.datasets[0])
    anomalies = validate(statistics.datasets[0], schema)[0]

    assert schema_from(to_bytes(schema, suffix), suffix) == schema
    assert anomalies_from(to_bytes(anomalies, suffix), suffix) == anomalies
    read = statistics_from(to_bytes(statistics, suffix), suffix)
    assert to_bytes(read, ".pb") == to_bytes(statistics, ".pb")
