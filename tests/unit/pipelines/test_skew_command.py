"""`retrolabel skew`: a dataset beside what was served."""

import json

import pytest
from click.testing import CliRunner

from retrolabel.pipelines.cli import commands
from tests.support.at_rest import examples, publish_day


@pytest.fixture
def dataset(tmp_path):
    publish_day(str(tmp_path / "shoes"), examples({"a": True, "b": False, "c": True}))
    return str(tmp_path / "shoes")


def run(*arguments: str):
    return CliRunner().invoke(commands, ["skew", *arguments])


def served(path, rows) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_equal_features_end_with_0_and_skewed_ones_with_5(tmp_path, dataset):
    rows = [{"prediction_id": key, "clicked": key != "b"} for key in "abc"]
    same = run(dataset, served(tmp_path / "served.jsonl", rows), "--key", "prediction_id", "--columns", "clicked")
    assert (same.exit_code, same.output.splitlines()[0]) == (
        0,
        "3 predictions on both sides, of 3 in training and 3 at serving time",
    )
    rows[0]["clicked"] = False
    other = run(dataset, served(tmp_path / "served.jsonl", rows), "--key", "prediction_id", "--columns", "clicked")
    assert other.exit_code == 5
    assert "clicked   33.333% differ: 1 values" in other.output
    assert "a: true in training, false at serving time" in other.output
    assert (
        run(
            dataset,
            str(tmp_path / "served.jsonl"),
            "--key",
            "prediction_id",
            "--columns",
            "clicked",
            "--max-rate",
            "0.5",
        ).exit_code
        == 0
    )


def test_machines_get_json(tmp_path, dataset):
    rows = [{"prediction_id": "a", "clicked": False}, {"prediction_id": "b", "clicked": False}]
    told = run(dataset, served(tmp_path / "served.jsonl", rows), "--key", "prediction_id", "--max-rate", "1", "--json")
    found = json.loads(told.output)
    assert (found["joined"], found["rates"]["clicked"]) == (2, 0.5)
    assert ["revenue", "serving"] in found["missing_columns"]


def test_nothing_in_common_is_no_success(tmp_path, dataset):
    none = run(
        dataset, served(tmp_path / "served.jsonl", [{"prediction_id": "z", "clicked": True}]), "--key", "prediction_id"
    )
    assert none.exit_code == 4
    assert "no prediction is on both sides by prediction_id" in none.output


def test_escape_sequences_of_a_log_do_not_reach_the_terminal(tmp_path):
    for side in ("training", "serving"):
        served(tmp_path / f"{side}.jsonl", [{"id": "a\x1b[31m", "text": f"\x1b]0;{side}\x07"}])
    told = run(str(tmp_path / "training.jsonl"), str(tmp_path / "serving.jsonl"), "--key", "id")
    assert told.exit_code == 5
    assert "\x1b" not in told.output
