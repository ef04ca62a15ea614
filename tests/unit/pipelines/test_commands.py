"""The smaller commands: what they print, and that what they print works."""

import json
import re

import duckdb
import pytest

from retrolabel.configs.load import load_project
from tests.end_to_end.test_versions import DATE, run
from tests.support.messy import write_logs


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shop")
    write_logs(folder, seed=2, predictions=120)
    run("build", str(folder / "shoes.yaml"), "--date", DATE)
    return folder


def test_explain_prints_sql_that_runs_as_it_is(shop):
    text = run("explain", str(shop / "shoes.yaml"))
    assert "-- Inside a block of predictions" in text
    assert "-- Inside a shard: outcomes purchase" in text
    statements = duckdb.connect()
    statements.execute("SET TimeZone = 'UTC'")
    for statement in duckdb.extract_statements(text):
        statements.execute(statement)


def test_explain_shows_the_range_that_a_build_of_the_day_selects(shop):
    (shop / "far.yaml").write_text("timezone: Asia/Tokyo\n" + (shop / "shoes.yaml").read_text())
    text = run("explain", str(shop / "far.yaml"))
    begin = 1795100400  # 2026-11-20T00:00 in Tokyo
    for hours in (24, 48, 72):  # the day of predictions, then its clicks and purchases with their windows
        assert f'< {begin}000000 OR epoch_us("' in text
        assert f">= {begin + hours * 3600}000000 THEN 2" in text
    assert "what 2026-11-20 in Asia/Tokyo needs" in text


def test_check_says_that_a_config_is_valid(shop):
    assert "shoes.yaml is valid: dataset shoes, 3 sources" in run("check", str(shop / "shoes.yaml"), "--date", DATE)
    assert json.loads(run("check", str(shop / "shoes.yaml"), "--json")) == {
        "valid": True,
        "problems": [],
        "warnings": [],
    }


def test_check_warns_of_a_path_that_no_file_matches(shop):
    (shop / "nowhere.yaml").write_text(
        (shop / "shoes.yaml").read_text().replace("logs/shop/*.json*", "logs/shops/*.json*")
    )
    told = run("check", str(shop / "nowhere.yaml"))
    assert "nowhere.yaml is valid" in told
    assert "nowhere.yaml:21:5  outcomes.purchase.path: no file matches logs/shops/*.json* now" in told


def test_a_command_that_there_is_not_is_told_with_the_nearest(shop):
    assert "Did you mean 'build'?" in run("bild", "shoes.yaml", code=2)


@pytest.mark.parametrize(
    ("days", "told"),
    [
        (["--from", "2026-11-20", "--to", "2026-11-10"], "--to 2026-11-10 is before --from 2026-11-20"),
        (["--from", "2026-11-20"], "or a range, --from"),
    ],
)
def test_a_range_of_days_that_is_none_is_told(shop, days, told):
    assert told in run("build", str(shop / "shoes.yaml"), *days, code=2)


def test_check_gives_problems_to_machines(shop):
    (shop / "wrong.yaml").write_text((shop / "shoes.yaml").read_text().replace("time: at", "time: att"))
    told = json.loads(run("check", str(shop / "wrong.yaml"), "--json", code=2))
    assert not told["valid"]
    assert told["problems"][0]["key"] == "outcomes.purchase.time"
    assert told["problems"][0]["line"] == 24


def test_show_tells_rows_accounting_and_columns(shop):
    text = run("show", str(shop / "datasets/shoes"))
    for word in (
        "train",
        "clicked",
        "lines =",
        "parsed =",
        "immature",
        "prediction_id",
        "duplicate",
        "datasets/shoes@1",
    ):
        assert word in text
    assert re.search(
        rf"\n    event_time +timestamp.* {DATE} \d\d:\d\d:\d\d to {DATE} \d\d:\d\d:\d\d, median {DATE} ", text
    )
    assert re.search(r"\n    clicked +bool +0 missing +\d+\.\d\d% true\n", text)
    manifest = json.loads(run("show", str(shop / "datasets/shoes@1"), "--json"))
    assert manifest["date"] == DATE
    assert "is no dataset" in run("show", str(shop / "nothing"), code=4)


def test_versions_lists_the_history(shop):
    (told,) = [json.loads(line) for line in run("versions", str(shop / "datasets/shoes"), "--json").splitlines()]
    assert (told["version"], told["parent"], told["date"]) == (1, None, DATE)
    line = run("versions", str(shop / "datasets/shoes"))
    assert DATE in line
    part, rows = "train", told["splits"]["train"]
    true = told["labels"][part]["clicked"]["values"]["true"]
    assert f"clicked {true:,} true ({true / rows:.2%})" in line.partition(f"; {part}: ")[2]


def test_init_writes_a_config_that_builds_at_once(shop, tmp_path):
    text = run("init", "--predictions", str(shop / "logs/serving/*.log*"), "--outcomes", f"click={shop}/logs/clicks/*.log",
               "--directory", str(tmp_path), "--dataset", "guessed")  # fmt: skip
    assert "predictions: fluentd" in text
    assert "click: logstash" in text
    project = load_project(str(tmp_path / "retrolabel.yaml"))
    assert project.config.predictions.key == ("prediction_id",)
    assert project.config.outcomes["click"].key == ("prediction_id",)
    assert project.config.split.by == ("user_id",)
    price = project.contracts["predictions"].field("price")
    assert (price.kind, price.nullable) == ("string", True) or (price.kind, set(price.missing)) == (
        "double",
        {"", "N/A"},
    )
    (tmp_path / "retrolabel.yaml").write_text(
        (tmp_path / "retrolabel.yaml")
        .read_text()
        .replace("time:", "max_rejected: 0.9\n    time:")
        .replace("    max_rejected: 0.9\n    time: ts", "  max_rejected: 0.9\n  time: ts")
    )
    assert "already" in run("init", "--predictions", str(shop / "logs/serving/*.log*"), "--outcomes", f"{shop}/logs/clicks/*.log",
                            "--directory", str(tmp_path), code=2)  # fmt: skip
