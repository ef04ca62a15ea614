"""Mistakes in a config: all at once, each with its place and what would be right."""

import json

import pytest

from retrolabel.configs.load import load_project
from retrolabel.pipelines.check_command import check_project
from retrolabel.schemas.errors import ConfigError
from tests.support.messy import CONFIG, CONTRACTS


@pytest.fixture
def folder(tmp_path):
    for name, fields in CONTRACTS.items():
        (tmp_path / f"{name}.avsc").write_text(json.dumps({"type": "record", "name": name, "fields": fields}))
    return tmp_path


def problems(folder, text: str) -> list[str]:
    (folder / "shoes.yaml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        check_project(str(folder / "shoes.yaml"))
    return [str(problem) for problem in caught.value.problems] or [str(caught.value)]


def test_a_right_config_gives_a_project(folder):
    (folder / "shoes.yaml").write_text(CONFIG)
    project = load_project(str(folder / "shoes.yaml"))
    assert project.config.labels["clicks"].after.total_seconds() == 1
    assert set(project.contracts) == {"predictions", "click", "purchase"}
    assert project.place("labels", "clicks", "window") == "shoes.yaml:29:28 labels.clicks.window"


def test_every_problem_is_told_at_once_in_the_order_of_the_file(folder):
    text = CONFIG.replace("  format: fluentd", "  fromat: fluentd").replace("window: 6h", "window: 6 hours of day")
    text = text.replace("by: user_id", "by: usr_id").replace("time: at", "time: amount")
    found = problems(folder, text)
    assert [problem.split(": ")[0].split("  ")[1] for problem in found][:2] == ["predictions", "predictions.fromat"]
    assert any("Did you mean 'format'?" in problem for problem in found)
    assert any("the key 'format' is missing" in problem for problem in found)
    assert any("expected a duration such as 30s, 90m, 24h or 7d; got '6 hours of day'" in problem for problem in found)


@pytest.mark.parametrize(
    ("old", "new", "where", "said"),
    [
        ("by: user_id", "by: usr_id", "shoes.yaml:38:9  split.by", "Did you mean 'user_id'?"),
        ("dataset: shoes", "dataset: shoes\ntimezone: +2", "timezone", "Names are such as UTC, Europe/Berlin or America/New_York"),
        ("path: datasets", "format: csv", "output.format", "expected 'parquet', 'avro' or 'tfrecord'; got \"csv\""),
        ("path: datasets", "format: parqet", "output.format", "Did you mean 'parquet'?"),
        ("train: 0.8, eval", "train: 1.2, lost: -0.4, eval", "split.parts.lost", "expected a share from 0 to 1; got -0.4"),
        ("click.avsc", "clicks.avsc", "outcomes.click.schema", "No such file or directory. Did you mean 'click.avsc'?"),
        ("value: count}\n  delay", "value: count}\n  user_id: {outcome: click, window: 1h, value: any}\n  delay", "labels.user_id", "the predictions have a field 'user_id'"),
        ("where: kind = 'click'", 'where: kind = "click"', "outcomes.click.where", "Hint: a text stands in single quotes, 'click'"),
        ("value: sum(amount)", "value: amount", "labels", "several outcomes: say which counts, as in max(amount) or last(amount)"),
        ("time: at", "time: amount", "outcomes.purchase.time", "is a double; give it"),
        ("key: [user_id, item]", "key: [user_id, itm]", "outcomes.purchase.key", "Did you mean 'item'?"),
        ("format: logstash", "format: logstahs", "outcomes.click.format", "Did you mean 'logstash'?"),
        ("outcome: purchase, window: 48h, value: any", "outcome: purchse, window: 48h, value: any", "labels.bought.outcome", "'purchase'"),
        ("value: count}\n  delay", "value: count}\n  Clicks: {outcome: click, window: 1h, value: any}\n  delay", "labels.Clicks", "'clicks' is there already"),
        ("train: 0.8, eval", "train: 0.5, Train: 0.3, eval", "split.parts.Train", "'train' is there already"),
        ("train: 0.8", "train: 0.9", "split.parts", "they add up to 1.1"),
        ("after: 1s", "after: 7h", "labels.clicks", "the window must end after it starts"),
        ("dataset: shoes", "dataset: ../shoes", "dataset", "letters, digits"),
        ("dataset: shoes", "dataset: shoes\ntimezone: Europe/Pari", "timezone", "Did you mean 'Europe/Paris'?"),
        ("path: logs/clicks/*.log", "path: ''", "outcomes.click.path", "names no file"),
        ("path: logs/clicks/*.log", "path: logs/{dat:%Y}/*.log", "outcomes.click.path", "expected {date:%Y/%m/%d} or {hour}"),
        ("id: event_id", "id: event_id\n    prediction_key: [item]", "outcomes.click.prediction_key", "they can never be equal"),
        ("value: count}\n  delay", "value: random()}\n  delay", "labels.clicks.value", "a build must be repeatable"),
        ("schema: click.avsc", "schema: clack.avsc", "outcomes.click.schema", "cannot read 'clack.avsc'"),
        ("  key: prediction_id\n  time: event_time", "  key: prediction_id\n  time: ''", "predictions.time", "expected text that is not empty"),
        ("dataset: shoes", "dataset: shoes\nconsent: {field: '${UNSET:-}'}", "consent.field", "expected text that is not empty"),
        ("dataset: shoes", "dataset: shoes\nretention: {versions: true}", "retention.versions", "expected a whole number; got true"),
        ("dataset: shoes", "dataset: shoes\nretention: {days: 0}", "retention.days", "expected a number of at least 1; got 0"),
        ("dataset: shoes", "dataset: shoes\nretention: {days: 30d}", "retention.days", "expected a whole number; got \"30d\""),
        ("dataset: shoes", "dataset: shoes\nretention: {pinned: [-1]}", "retention.pinned", "expected a number of at least 1; got -1"),
        ("  key: prediction_id\n  time: event_time", "  key: price\n  time: event_time", "predictions.key", "a key is a string"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_place_and_what_would_be_right(folder, old, new, where, said):
    assert old in CONFIG
    found = problems(folder, CONFIG.replace(old, new, 1))
    assert any(where in problem and said in problem for problem in found), found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("dataset: [", "not YAML"),
        ("dataset: a\ndataset: b\n", "stands here twice"),
        ("a: &x [1]\nb: *x\n", "anchors and aliases are not allowed"),
        ("dataset: !!python/object/apply:os.system ['true']\n", "not YAML"),
        ("- a\n- b\n", "expected keys and values"),
        ("a: " + "[" * 60 + "]" * 60, "levels deep"),
        ("x" * 1_100_000, "larger than a megabyte"),
    ],
)
def test_yaml_that_is_no_config_is_refused(folder, text, said):
    assert said in problems(folder, text)[0]


def test_words_stay_words(folder):
    """YAML 1.1 would read `no` as false and 12:30:45 as 45045."""
    (folder / "shoes.yaml").write_text(CONFIG.replace("clicked: {", "no: {"))
    assert "no" in load_project(str(folder / "shoes.yaml")).config.labels


def test_variables_of_the_environment_are_filled_in_and_never_told(folder, monkeypatch):
    monkeypatch.setenv("SHOP_SECRET", "s3cr3t")
    (folder / "shoes.yaml").write_text(CONFIG.replace("path: datasets", "path: '${SHOP_SECRET}/${SHOP_FOLDER:-sets}'"))
    project = load_project(str(folder / "shoes.yaml"))
    assert project.config.output.path == "s3cr3t/sets"
    assert "s3cr3t" not in json.dumps(project.raw)
    found = problems(folder, CONFIG.replace("path: datasets", "path: '${SHOP_NOTHING}'"))
    assert any("no variable 'SHOP_NOTHING'" in problem for problem in found)
    assert "s3cr3t" not in "".join(found)


def test_contract_problems_name_file_and_field(folder):
    fields = [
        *CONTRACTS["click"],
        {"name": "x", "type": "decimal"},
        {"name": "kind", "type": "string"},
        {"name": "y", "type": "string", "pth": "z"},
        {"name": "d", "type": "string", "date_order": "mdy"},
        {"name": "q", "type": {"type": "array", "items": "string"}, "query": "q"},
        {"name": "deep", "type": "string", "path": ".".join(["x"] * 1001)},
    ]
    (folder / "click.avsc").write_text(json.dumps({"type": "record", "name": "c", "fields": fields}))
    found = "\n".join(problems(folder, CONFIG))
    assert (
        "click.avsc: field 'x': expected string, boolean, int, long, float, double, an array of those, an enum, or a long with"
        in found
    )
    assert "click.avsc: field 'y': unknown attribute 'pth'" in found
    assert "click.avsc: field 'd': 'date_order' is one of ['mdy', 'dmy'], and for timestamps only" in found
    assert "click.avsc: field 'q': 'query' is the name of a parameter, and for single values only" in found
    assert "click.avsc: field 'deep': 'path' has 1,001 keys; at most 100 are read" in found
    assert "click.avsc: field 'kind': the name is used twice" in found


def test_a_variable_that_is_not_set_is_one_problem(folder):
    assert problems(folder, CONFIG.replace("dataset: shoes", "dataset: ${NO_SUCH_NAME}")) == [
        "shoes.yaml:1:1  dataset: the environment has no variable 'NO_SUCH_NAME'; set it, or give a default: ${NO_SUCH_NAME:-…}"
    ]


def test_a_key_of_the_top_that_is_missing_is_told_without_a_place_below(folder):
    found = problems(folder, CONFIG.replace("labels:", "lbls:"))
    assert found[0] == "shoes.yaml:1:1  the key 'labels' is missing"


@pytest.mark.parametrize(("text", "hint"), [("a: 1\n  b: 2\n", "indented like"), ("a:\n\tb: 1\n", "not with tabs")])
def test_what_is_no_yaml_is_told_with_what_it_is_likely_to_be(folder, text, hint):
    assert hint in problems(folder, text)[0]
