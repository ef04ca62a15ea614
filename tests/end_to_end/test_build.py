"""Builds on messy logs, against the plain computation of tests/support/messy.py."""

import math

import pytest

import retrolabel
from retrolabel.pipelines.build_command import build_day
from retrolabel.pipelines.check_command import check_project
from retrolabel.pipelines.runner import choose_runner
from tests.support.messy import DAY, expected_examples, write_logs


@pytest.fixture(params=[1, 2, 3])
def built(tmp_path, request):
    logs = write_logs(tmp_path, seed=request.param)
    return logs, tmp_path, build_day(check_project(str(tmp_path / "shoes.yaml")), DAY.date(), {}, choose_runner([]))


def rows_of(folder, **chosen) -> dict[str, dict]:
    rows = retrolabel.load(str(folder / "datasets" / "shoes"), **chosen).to_table().to_pylist()
    return {row["prediction_id"]: row for row in rows}


def test_labels_equal_the_plain_computation(built):
    logs, folder, _ = built
    found, expected = rows_of(folder), expected_examples(logs)
    assert len(expected) > 100
    assert {row["clicked"] for row in expected.values()} == {True, False}
    assert any(row["bought"] for row in expected.values())
    assert found.keys() == expected.keys()
    for key, want in expected.items():
        for name, value in want.items():
            got = found[key][name]
            assert math.isclose(got, value, abs_tol=1e-9) if isinstance(value, float) else got == value, (
                key,
                name,
                got,
                value,
            )


def test_every_line_is_accounted_for(built):
    logs, _, result = built
    counts = result.manifest.accounting
    for source, events in (("predictions", logs.predictions), ("click", logs.clicks), ("purchase", logs.purchases)):
        assert counts[source].parsed == len(events)
        assert counts[source].rejected == logs.rejected[source]
        assert counts[source].blank == logs.blank[source]
        assert counts[source].lines == len(events) + logs.rejected[source] + logs.blank[source]
    assert counts["predictions"].examples == len(expected_examples(logs))
    assert counts["predictions"].conflicting > 0
    assert counts["click"].conflicting > 0
    assert counts["predictions"].immature > 0


def test_a_user_is_in_one_split_alone(built):
    _, folder, _ = built
    users = {
        split: {row["user_id"] for row in rows_of(folder, split=split).values()} for split in ("train", "eval", "test")
    }
    assert users["train"]
    assert not users["train"] & users["eval"]
    assert not users["train"] & users["test"]
    assert not users["eval"] & users["test"]


def test_the_delay_of_every_unique_prediction_is_counted(built):
    logs, _, result = built
    unique, expected = result.manifest.accounting["predictions"].unique, expected_examples(logs)
    immature = result.manifest.accounting["predictions"].immature
    assert result.manifest.delays.keys() == set(result.manifest.labels)
    for label in ("clicked", "bought"):
        bins = result.manifest.delays[label]["bins"]
        assert sum(arrived + left for _, arrived, left in bins) == unique
        labelled = sum(row[label] for row in expected.values())
        assert labelled > 0
        assert labelled <= sum(arrived for _, arrived, _ in bins) <= labelled + immature
    quick = sum(row["delay"] is not None and row["delay"] <= 1 for row in expected.values())
    assert quick > 0
    assert (
        quick
        <= sum(arrived for bound, arrived, _ in result.manifest.delays["delay"]["bins"] if bound <= 1)
        <= quick + immature
    )
