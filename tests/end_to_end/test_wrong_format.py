"""A config that names another format than its logs have: nothing is published, and the likely format is named."""

import datetime
import json

import pytest
from click.testing import CliRunner

from retrolabel.pipelines.cli import commands
from tests.support.writers import WRITERS

START = datetime.datetime(2026, 11, 20, 9, tzinfo=datetime.UTC)
RECORDS = [
    {"time": f"{START + datetime.timedelta(minutes=n):%Y-%m-%dT%H:%M:%SZ}", "request_id": f"req-{n:04d}"}
    for n in range(30)
]
CONTRACT = {"type": "record", "name": "P", "fields": [
    {"name": "time", "type": {"type": "long", "logicalType": "timestamp-micros"}}, {"name": "request_id", "type": "string"},
]}  # fmt: skip
CONFIG = """
dataset: wrong
predictions: {{format: {declared}, path: served.log, schema: a.avsc, key: request_id, time: time}}
outcomes:
  click: {{format: json, path: clicks.log, schema: a.avsc, key: request_id, time: time}}
labels:
  click: {{outcome: click, window: 1h, value: any}}
split: {{by: request_id, parts: {{train: 0.9, test: 0.1}}}}
"""


@pytest.mark.parametrize(
    ("declared", "written"),
    [("csv", "msgpack"), ("csv", "ltsv"), ("csv", "log_analytics"), ("csv", "parquet"), ("parquet", "csv"), ("json", "docker"), ("json", "gcp_logging"),
     ("cri", "fluentbit"), ("syslog", "access_log"), ("avro", "cloudwatch")],
)  # fmt: skip
def test_the_likely_format_is_named(tmp_path, declared, written):
    (tmp_path / "served.log").write_bytes(WRITERS[written](RECORDS))
    (tmp_path / "clicks.log").write_text("".join(json.dumps(record) + "\n" for record in RECORDS))
    (tmp_path / "a.avsc").write_text(json.dumps(CONTRACT))
    config = tmp_path / "wrong.yaml"
    config.write_text(CONFIG.format(declared=declared))
    done = CliRunner().invoke(commands, ["build", str(config), "--date", "2026-11-20"])
    assert done.exit_code == 3, done.output
    assert f"Hint: predictions: its files look like '{written}', the config says 'format: {declared}'" in done.output
