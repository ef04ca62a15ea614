"""`retrolabel stats`, `schema` and `validate`, as a person or a scheduler calls them."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from retrolabel.pipelines.cli import commands
from retrolabel.schemas.metadata_files import anomalies_from, schema_from, statistics_from

GOLDEN = Path(__file__).parents[1] / "golden" / "tfdv"


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def called(*arguments, code=0):
        result = CliRunner().invoke(commands, [str(argument) for argument in arguments])
        assert result.exit_code == code, result.output
        return result.output

    return called


def test_from_files_to_a_schema_that_accepts_them(run):
    assert "2,000 examples, 11 features" in run(
        "stats", GOLDEN / "base" / "data.parquet", "-o", "base.pb", "--label", "label"
    )
    run("schema", "infer", "base.pb", "-o", "schema.pbtxt", "--not-in-serving", "label")
    assert run("validate", "base.pb", "--schema", "schema.pbtxt", "--environment", "TRAINING").startswith(
        "no anomalies"
    )
    assert "New column label" in run(
        "validate", "base.pb", "--schema", "schema.pbtxt", "--environment", "SERVING", code=5
    )
    run("stats", GOLDEN / "base" / "data.parquet", "-o", "base.pbtxt", "--columns", "user_id,price")
    assert len(statistics_from(Path("base.pbtxt").read_bytes(), "base.pbtxt").datasets[0].features) == 2


def test_what_changed_is_told_and_may_be_accepted(run):
    run("stats", GOLDEN / "base" / "data.parquet", "-o", "base.pb")
    run("stats", GOLDEN / "unexpected_value" / "data.parquet", "-o", "today.pbtxt")
    run("schema", "infer", "base.pb", "-o", "schema.pbtxt")

    told = run("validate", "today.pbtxt", "--schema", "schema.pbtxt", "-o", "anomalies.pbtxt", code=5)
    assert r"error: category: Examples contain values missing from the schema: a\"b (~33%), sandals (~" in told
    assert set(anomalies_from(Path("anomalies.pbtxt").read_bytes(), "anomalies.pbtxt").anomaly_info) == {"category"}
    run(
        "validate",
        "today.pbtxt",
        "--schema",
        "schema.pbtxt",
        "--severity",
        "ENUM_TYPE_UNEXPECTED_STRING_VALUES=warning",
    )

    assert run("schema", "update", "schema.pbtxt", "today.pbtxt", "-o", "new.pbtxt").startswith(
        '~ domain category: value + a"b, sandals'
    )
    assert run("schema", "diff", "schema.pbtxt", "new.pbtxt").startswith("~ domain category: value +")
    assert run("schema", "diff", "new.pbtxt", "new.pbtxt") == "no difference\n"
    assert run("validate", "today.pbtxt", "--schema", "new.pbtxt").startswith("no anomalies")


def test_drift_is_told_with_its_noise(run):
    for name, case, file in (
        ("today", "drift", "data"),
        ("yesterday", "drift", "previous"),
        ("same", "no_drift", "data"),
    ):
        run("stats", GOLDEN / case / f"{file}.parquet", "-o", f"{name}.pb")
    schema = str(GOLDEN / "drift" / "schema.pbtxt")

    told = json.loads(
        run("validate", "today.pb", "--schema", schema, "--previous", "yesterday.pb", "--json", code=5).splitlines()[0]
    )
    assert {anomaly["feature"] for anomaly in told["anomalies"]} == {"category", "score"}
    distances = {one["feature"]: one for one in told["distances"]}
    assert distances["price"]["value"] < distances["price"]["noise"] < distances["price"]["threshold"]
    assert distances["score"]["high"]
    assert "price: drift JENSEN_SHANNON_DIVERGENCE" in run(
        "validate", "same.pb", "--schema", schema, "--previous", "yesterday.pb"
    )


def test_a_schema_says_how_it_is_compared(run):
    first = schema_from((GOLDEN / "base" / "schema.pbtxt").read_bytes(), ".pbtxt")
    assert first.feature[0].name == "user_id"
    told = run("schema", "diff", GOLDEN / "base" / "schema.pbtxt", GOLDEN / "ranges" / "schema.pbtxt").splitlines()
    assert "~ feature price: + float_domain.min 20" in told
    assert "~ feature constant: + bool_domain set" in told


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["stats", "none.parquet"], 4, "none.parquet"),
        (["validate", "none.pb", "--schema", "none.pbtxt"], 4, "cannot read 'none.pb'"),
        (["schema", "infer", "datasets/none"], 4, "is no dataset"),
        (["validate", "x.pb", "--schema", "y", "--severity", "NO=error"], 2, "no type of anomaly is called 'NO'"),
        (["validate", "x.pb", "--schema", "y", "--severity", "SCHEMA_NEW_COLUMN=bad"], 2, "expected TYPE=error"),
        (["schema", "diff", __file__, __file__], 4, "is no Schema of TensorFlow Metadata"),
    ],
)
def test_mistakes_are_told_plainly(run, arguments, code, told):
    assert told in run(*arguments, code=code)
