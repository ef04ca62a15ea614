"""The keys that `retrolabel init` finds where logs disagree on names and types, and what it says of them."""

import datetime
import json

import pytest
from click.testing import CliRunner

from retrolabel.pipelines.build_command import build_day
from retrolabel.pipelines.check_command import check_project
from retrolabel.pipelines.init_command import command
from retrolabel.pipelines.runner import choose_runner

START = datetime.datetime(2026, 11, 20, 9, tzinfo=datetime.UTC)
ROWS = 60


def time_of(n, clicks=False):
    return (START + datetime.timedelta(minutes=n, seconds=20 * clicks)).isoformat()


def token(n):
    """Looks random, is the same each time."""
    return f"{n * 2654435761 % 2**32:08x}"


def init(folder, monkeypatch, predictions, clicks):
    monkeypatch.chdir(folder)
    for name, records in (("serving", predictions), ("clicks", clicks)):
        (folder / f"{name}.log").write_text("".join(json.dumps(record) + "\n" for record in records))
    result = CliRunner().invoke(command, ["--predictions", "serving.log", "--outcomes", "click=clicks.log"])
    assert result.exit_code == 0, (result.output, result.exception)
    return result.output, (folder / "retrolabel.yaml").read_text()


def build():
    """The predictions that were unique, and those that were clicked, by the config that init wrote."""
    complete = dict.fromkeys(check_project("retrolabel.yaml").config.outcomes, START + datetime.timedelta(days=2))
    built = build_day(check_project("retrolabel.yaml"), START.date(), complete, choose_runner([])).manifest
    labels = [split["labels"]["click"]["values"] for split in built.splits.values()]
    return built.accounting["predictions"].unique, sum(values.get("true", 0) for values in labels)


@pytest.mark.parametrize(("served", "clicked", "declared"), [(int, str, "string"), (float, int, "long")])
def test_a_key_that_the_logs_write_in_two_ways_is_declared_so_that_both_match(
    tmp_path, monkeypatch, served, clicked, declared
):
    _, config = init(
        tmp_path, monkeypatch,
        [{"time": time_of(n), "request_id": served(7_000_000 + 31 * n), "score": n / 8} for n in range(ROWS)],
        [{"time": time_of(n, True), "request_id": clicked(7_000_000 + 31 * n)} for n in range(0, ROWS, 3)],
    )  # fmt: skip
    assert config.count("key: request_id") == 2
    contract = json.loads((tmp_path / "predictions.avsc").read_text())
    assert {"name": "request_id", "type": declared} in contract["fields"]
    assert build() == (ROWS, ROWS / 3)


def test_a_key_is_a_text_in_the_predictions_and_a_number_in_one_of_two_outcomes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    logs = {
        "serving": [{"time": time_of(n), "request_id": str(7_000_000 + 31 * n)} for n in range(ROWS)],
        "click": [{"time": time_of(n, True), "request_id": 7_000_000 + 31 * n, "page": n % 4} for n in range(ROWS // 2)],
        "order": [{"time": time_of(n, True), "request_id": str(7_000_000 + 31 * n), "sum": n / 4} for n in range(ROWS // 2)],
    }  # fmt: skip
    for name, records in logs.items():
        (tmp_path / f"{name}.log").write_text("".join(json.dumps(record) + "\n" for record in records))
    arguments = ["--predictions", "serving.log", "--outcomes", "click=click.log", "--outcomes", "order=order.log"]
    assert CliRunner().invoke(command, arguments).exit_code == 0
    assert build() == (ROWS, ROWS / 2)


def test_keys_of_other_names_are_found_by_their_values(tmp_path, monkeypatch):
    output, config = init(
        tmp_path, monkeypatch,
        [{"time": time_of(n), "request_id": token(n), "rank": n, "user": f"u{n % 7}"} for n in range(ROWS)],
        [{"time": time_of(n, True), "context": {"rid": token(n)}, "position": n % 5} for n in range(0, ROWS, 2)],
    )  # fmt: skip
    assert "  key: request_id\n" in config
    assert "    key: rid\n" in config
    assert "    prediction_key: request_id\n" in config
    assert "by rid = request_id (99% sure: 30 different values in common, though their names differ)" in output
    assert build() == (ROWS, ROWS / 2)


def test_a_few_values_in_common_are_not_much_to_be_sure_of(tmp_path, monkeypatch):
    output, _ = init(
        tmp_path, monkeypatch,
        [{"time": time_of(n), "request_id": token(n) if n < 2 else token(n).upper()} for n in range(ROWS)],
        [{"time": time_of(n, True), "request_id": f"{token(n)}" if n < 2 else token(n + 500)} for n in range(ROWS)],
    )  # fmt: skip
    assert "by request_id = request_id (50% sure: 2 different values in common)" in output


def test_small_numbers_and_categories_in_common_are_no_key(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, key in (("serving", "rank"), ("clicks", "position")):
        records = [{"time": time_of(n), key: n, f"{key}_shop": ("boots", "socks")[n % 2]} for n in range(ROWS)]
        (tmp_path / f"{name}.log").write_text("".join(json.dumps(record) + "\n" for record in records))
    result = CliRunner().invoke(command, ["--predictions", "serving.log", "--outcomes", "click=clicks.log"])
    assert "click: no field of its sample shares enough values with the predictions'" in str(result.exception)
    assert "nearest: position = rank" in str(result.exception)


def test_a_row_number_in_both_logs_is_no_rival_of_what_names_the_prediction(tmp_path, monkeypatch):
    output, config = init(
        tmp_path, monkeypatch,
        [{"id": n + 1, "created_at": time_of(n), "score": n / 8} for n in range(ROWS)],
        [{"id": n + 1, "created_at": time_of(2 * n, True), "predictionId": 2 * n + 1} for n in range(ROWS // 2)],
    )  # fmt: skip
    assert "    key: prediction_id\n" in config
    assert "    prediction_key: id\n" in config
    assert "    id: id\n" in config
    assert "sure: " in output
    assert build() == (ROWS, ROWS / 2)


def test_names_in_camel_case_are_read_as_words(tmp_path, monkeypatch):
    output, config = init(
        tmp_path, monkeypatch,
        [{"predictionId": token(n), "userId": f"u{n % 9}", "eventTime": time_of(n), "loggedAt": time_of(ROWS)} for n in range(ROWS)],
        [{"eventId": token(10**6 + n), "prediction_id": token(n), "eventTime": time_of(n, True), "eventType": ("view", "buy")[n % 2]}
         for n in range(ROWS)],
    )  # fmt: skip
    assert "key: prediction_id\n  time: event_time\n" in config
    assert "    key: prediction_id\n    time: event_time\n    id: event_id\n" in config
    assert "prediction_key" not in config
    assert "split: {by: user_id," in config
    assert "event_type has 2 values" in output
    contract = json.loads((tmp_path / "predictions.avsc").read_text())
    assert {"name": "prediction_id", "type": "string", "path": "predictionId"} in contract["fields"]
    assert build() == (ROWS, ROWS)


def test_pairs_of_fields_of_other_names_are_a_key(tmp_path, monkeypatch):
    _, config = init(
        tmp_path, monkeypatch,
        [{"time": time_of(n), "visitor": token(n % 30), "product": token(100 + 7 * n % 24)} for n in range(ROWS)],
        [{"time": time_of(n, True), "uid": token(n % 30), "sku": token(100 + 7 * n % 24)} for n in range(ROWS)],
    )  # fmt: skip
    assert "    key: [uid, sku]\n" in config
    assert "    prediction_key: [visitor, product]\n" in config
    assert "  key: [visitor, product]\n" in config
    assert build() == (ROWS, ROWS)


def test_a_key_that_does_not_tell_predictions_apart_is_warned_of(tmp_path, monkeypatch):
    output, _ = init(
        tmp_path, monkeypatch,
        [{"time": time_of(n), "session": token(n // 4), "item": n % 9} for n in range(ROWS)],
        [{"time": time_of(n, True), "session": token(n // 4)} for n in range(ROWS)],
    )  # fmt: skip
    assert (
        "warning: session does not tell predictions apart: 45 of 60 sampled repeat it with other contents, and a build keeps the first"
        in output
    )
    assert build() == (ROWS / 4, ROWS / 4)


def test_predictions_that_were_delivered_twice_are_not_warned_of(tmp_path, monkeypatch):
    served = [{"time": time_of(n), "request_id": token(n), "item": n % 9} for n in range(ROWS)]
    output, config = init(
        tmp_path, monkeypatch, served * 2, [{"time": time_of(n, True), "request_id": token(n)} for n in range(ROWS)]
    )
    assert "warning" not in output
    assert config.count("key: request_id") == 2
    assert build() == (ROWS, ROWS)


@pytest.mark.parametrize(
    ("days", "window", "told"),
    [(0.02, "1h", "28 min 48 s"), (6, "7d", "6 d"), (48.5, "60d", "48 d 12 h"), (600, "365d", "600 d")],
)
def test_the_window_is_as_long_as_outcomes_take(tmp_path, monkeypatch, days, window, told):
    later = datetime.timedelta(days=days)
    output, config = init(
        tmp_path, monkeypatch,
        [{"time": time_of(n), "request_id": token(n)} for n in range(ROWS)],
        [{"time": (START + datetime.timedelta(minutes=n) + later).isoformat(), "request_id": token(n)} for n in range(ROWS)],
    )  # fmt: skip
    assert f"window: {window}: 99 % of 60 joined pairs come within {told}\n" in output
    assert f"window: {window}, value: any" in config
    assert "60 lines sampled of 1 file\n" in output


@pytest.mark.parametrize(
    ("path", "name"), [("status.log", "status"), ("access.log", "access"), ("clicks.log", "click")]
)
def test_an_outcome_is_called_after_its_file(tmp_path, monkeypatch, path, name):
    monkeypatch.chdir(tmp_path)
    for file, late in (("serving.log", False), (path, True)):
        records = [
            {"time": time_of(n, late), "request_id": token(n), "status": ("in", "out")[n % 2]} for n in range(ROWS)
        ]
        (tmp_path / file).write_text("".join(json.dumps(record) + "\n" for record in records))
    result = CliRunner().invoke(command, ["--predictions", "serving.log", "--outcomes", path])
    assert f"\n{name}: json" in result.output
    assert "status has 2 values" in result.output
