"""Builds from the APIs of log stores: the same examples as from files, and nothing published when a store fails."""

import datetime
import json
import random

import grpc
import pytest
from google.cloud.logging_v2.types import LogEntry

import retrolabel
from retrolabel.pipelines.check_command import check_project
from retrolabel.schemas.errors import ConfigError
from retrolabel.transforms.apis import elasticsearch, gcp_logging
from tests.end_to_end.test_versions import run
from tests.support.cloud_logging import Service, serve
from tests.support.messy import TIMESTAMP
from tests.support.network import cutting
from tests.support.search_server import Store, basic, complaint, serving

DAY = datetime.datetime(2026, 11, 20, tzinfo=datetime.UTC)
DATE = DAY.date().isoformat()

CONFIG = """\
dataset: shoes
predictions:
  format: gcp_logging
  path: projects/shop-prod
  filter: jsonPayload.kind="prediction"
  lookaround: 1h
  retry_for: 2s
  schema: prediction.avsc
  key: prediction_id
  time: event_time
outcomes:
  click:
    format: elasticsearch
    path: http://127.0.0.1:{port}/clicks-{{date:%Y.%m.%d}}
    filter: kind:click
    auth: {{user: reader, password: {{env: ES_PASSWORD}}}}
    retry_for: 2s
    schema: click.avsc
    id: event_id
    key: prediction_id
    time: event_time
labels:
  clicked: {{outcome: click, window: 2h, value: any}}
split: {{by: prediction_id, parts: {{train: 0.8, eval: 0.2}}}}
"""

FROM_FILES = (
    CONFIG.replace("projects/shop-prod\n  filter: jsonPayload.kind=\"prediction\"", "entries.json")
    .replace("http://127.0.0.1:{port}/clicks-{{date:%Y.%m.%d}}\n    filter: kind:click\n    auth: {{user: reader, password: {{env: ES_PASSWORD}}}}", "documents.json")
    .replace("{{", "{").replace("}}", "}")
)  # fmt: skip

CONTRACTS = {
    "prediction": [
        {"name": "event_time", "type": TIMESTAMP, "path": "jsonPayload.at"},
        {"name": "prediction_id", "type": "string", "path": "jsonPayload.prediction_id"},
        {"name": "score", "type": "double", "path": "jsonPayload.score"},
    ],
    "click": [
        {"name": "event_time", "type": TIMESTAMP, "path": '_source."@timestamp"'},
        {"name": "event_id", "type": "string", "path": "_id"},
        {"name": "prediction_id", "type": "string", "path": "_source.prediction_id"},
    ],
}


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """3000 predictions, delivered late and some twice, and clicks on a third of them, in both stores and in files."""
    chance = random.Random(3)
    cloud, search = Service(), Store(authorization=basic("reader", "hunter2"))
    search.indices = {"clicks-2026.11.20": {}, "clicks-2026.11.21": {}}
    for number in range(3000):
        at = DAY + datetime.timedelta(seconds=chance.uniform(-1800, 86_400), milliseconds=1)
        payload = {"at": at.isoformat(), "prediction_id": f"p{number}", "score": number / 7, "kind": "prediction"}
        if number % 100 == 0:
            payload["score"] = "broken"
        for copy in range(1 + (number % 10 == 0)):
            logged = at + datetime.timedelta(seconds=chance.uniform(0, 600))
            cloud.entries.append(LogEntry(log_name="projects/shop-prod/logs/s", insert_id=f"{number}.{copy}", timestamp=logged,
                                          json_payload=payload))  # fmt: skip
        if number % 3 == 0:
            clicked = at + datetime.timedelta(seconds=chance.uniform(0, 10_000))
            index = search.indices[f"clicks-{clicked:%Y.%m.%d}"] if clicked >= DAY else {}
            index[f"e{number}"] = {"@timestamp": clicked.isoformat(), "prediction_id": f"p{number}", "kind": "click"}
    last = DAY + datetime.timedelta(hours=26, minutes=-1)
    search.indices["clicks-2026.11.21"]["last"] = {
        "@timestamp": last.isoformat(),
        "prediction_id": "none",
        "kind": "click",
    }
    search.indices["clicks-2026.11.20"]["view"] = {"@timestamp": DAY.isoformat(), "prediction_id": "p1", "kind": "view"}
    for name, fields in CONTRACTS.items():
        (tmp_path / f"{name}.avsc").write_text(json.dumps({"type": "record", "name": name, "fields": fields}))
    server, cloud_port = serve(cloud)
    use_cloud(monkeypatch, cloud_port)
    monkeypatch.setenv("ES_PASSWORD", "hunter2")
    elasticsearch._sessions.__dict__.clear()
    with serving(search) as port:
        (tmp_path / "shoes.yaml").write_text(CONFIG.format(port=port))
        yield tmp_path, cloud, search, cloud_port, port
    server.stop(None).wait()


def use_cloud(monkeypatch, port: int) -> None:
    monkeypatch.setenv("LOGGING_EMULATOR_HOST", f"127.0.0.1:{port}")
    gcp_logging._client.cache_clear()


def build(folder, *arguments: str, code: int = 0) -> str:
    return run("build", str(folder / "shoes.yaml"), "--date", DATE, *arguments, code=code)


def examples(folder) -> list[dict]:
    table = retrolabel.load(str(folder / "datasets/shoes")).to_table()
    return sorted(table.to_pylist(), key=lambda row: row["prediction_id"])


def refused(folder) -> None:
    assert not list(folder.rglob("_versions/*")), "nothing may be published"


def test_a_build_from_apis_gives_what_the_same_lines_in_files_give(shop, tmp_path_factory):
    folder, cloud, search, *_ = shop
    (folder / "shoes.yaml").write_text(
        (folder / "shoes.yaml").read_text().replace("  retry_for: 2s", "  max_rejected: 0.02")
    )
    told = json.loads(build(folder, "--json"))
    files = tmp_path_factory.mktemp("files")
    for name in CONTRACTS:
        (files / f"{name}.avsc").write_text((folder / f"{name}.avsc").read_text())
    entries = (LogEntry.to_dict(entry) for entry in cloud.entries)
    (files / "entries.json").write_text(
        "".join(json.dumps({"jsonPayload": entry["json_payload"]}) + "\n" for entry in entries)
    )
    documents = [
        (id_, found) for index in search.indices.values() for id_, found in index.items() if found["kind"] == "click"
    ]
    (files / "documents.json").write_text(
        "".join(json.dumps({"_id": id_, "_source": found}) + "\n" for id_, found in documents)
    )
    (files / "shoes.yaml").write_text(FROM_FILES.replace("  retry_for: 2s", "  max_rejected: 0.02"))
    build(files)
    assert examples(folder) == examples(files)
    assert sum(row["clicked"] for row in examples(folder)) > 500
    predictions = told["accounting"]["predictions"]
    assert predictions["rejected"] == predictions["reasons"]["wrong_type"] > 10
    assert predictions["lines"] == predictions["rejected"] + predictions["parsed"]
    assert predictions["duplicate"] > 100
    assert "click" in told["watermarks"]


def test_rejects_name_the_slice_and_the_place_in_its_text(shop):
    folder = shop[0]
    (folder / "shoes.yaml").write_text(
        (folder / "shoes.yaml").read_text().replace("  retry_for: 2s", "  max_rejected: 0.02")
    )
    (example,) = json.loads(build(folder, "--json"))["rejected_examples"]
    assert example["path"] == "projects/shop-prod/2026-11-19T23:00:00Z/2026-11-21T01:00:00Z"
    assert example["offset"] > 0


def test_the_same_data_makes_no_new_version(shop):
    folder = shop[0]
    (folder / "shoes.yaml").write_text(
        (folder / "shoes.yaml").read_text().replace("  retry_for: 2s", "  max_rejected: 0.02")
    )
    assert json.loads(build(folder, "--json"))["published"]
    assert not json.loads(build(folder, "--json"))["published"]


def test_many_slices_read_at_once_give_the_same(shop, monkeypatch):
    folder = shop[0]
    (folder / "shoes.yaml").write_text(
        (folder / "shoes.yaml").read_text().replace("  retry_for: 2s", "  max_rejected: 0.02")
    )
    build(folder)
    once = examples(folder)
    monkeypatch.setattr(gcp_logging, "SLICE_BYTES", 50_000)
    monkeypatch.setattr(elasticsearch, "SLICE_BYTES", 20_000)
    told = json.loads(build(folder, "--json"))
    assert examples(folder) == once
    manifest = next(folder.rglob(f"{DATE}/*/manifest-*.json"))
    assert told["published"], "its inputs are others"
    assert any(
        len(json.loads(path.read_text())["inputs"]) > 10 for path in manifest.parents[1].rglob("manifest-*.json")
    )


def test_connections_that_are_cut_cost_nothing(shop, monkeypatch):
    folder, _, _, cloud_port, port = shop
    text = (folder / "shoes.yaml").read_text().replace("  retry_for: 2s", "  max_rejected: 0.02")
    (folder / "shoes.yaml").write_text(text)
    build(folder)
    once = examples(folder)
    with cutting(cloud_port, 20_000) as cloud, cutting(port, 30_000) as search:
        use_cloud(monkeypatch, cloud.port)
        (folder / "shoes.yaml").write_text(text.replace(f":{port}/", f":{search.port}/"))
        build(folder)
        assert (cloud.cut, search.cut) == (1, 1)
    assert examples(folder) == once


def test_a_store_that_fails_publishes_nothing_and_says_why(shop):
    folder, cloud, search, *_ = shop
    cloud.failures = [(grpc.StatusCode.RESOURCE_EXHAUSTED, "Quota exceeded")] * 500
    assert "the read quota of Cloud Logging is used up" in build(folder, code=4)
    cloud.failures = [(grpc.StatusCode.PERMISSION_DENIED, "Permission denied")]
    assert "Cloud Logging refuses the credentials" in build(folder, code=4)
    cloud.failures = []
    search.authorization = basic("reader", "another")
    told = build(folder, code=4)
    assert "the server refuses the credentials (401 security_exception); see 'auth'" in told
    assert "hunter2" not in told
    search.authorization = None
    search.indices = {}
    assert "clicks-2026.11.20: no index of that name" in build(folder, code=4)
    refused(folder)


def test_a_store_that_fails_half_way_publishes_nothing_and_says_why(shop):
    folder, _, search, _, port = shop
    busy = (429, complaint("es_rejected_execution_exception", "queue is full"))
    search.failures = [("_search", *busy)] * 1000
    assert "the server has too much to do (429 es_rejected" in build(folder, code=4)
    search.failures = [("_search", 200, {"timed_out": False, "hits": {"total": {"value": 0}, "hits": []}})]
    search.failures += [("_search", 401, complaint("security_exception", "token expired"))] * 1000
    assert "the server refuses the credentials (401 security_exception); see 'auth'" in build(folder, code=4)
    search.failures = []
    with cutting(port, *[30_000] * 1000) as cut:  # every answer that is larger
        text = (folder / "shoes.yaml").read_text()
        (folder / "shoes.yaml").write_text(text.replace(f":{port}/", f":{cut.port}/"))
        told = build(folder, code=4)
        assert cut.cut > 1
    assert f"127.0.0.1:{cut.port}/clicks-" in told
    assert "no complete answer" in told
    refused(folder)


def test_an_index_that_is_missing_for_one_of_the_days_is_no_failure(shop):
    folder, _, search, *_ = shop
    del search.indices["clicks-2026.11.21"]
    (folder / "shoes.yaml").write_text(
        (folder / "shoes.yaml").read_text().replace("  retry_for: 2s", "  max_rejected: 0.02")
    )
    assert json.loads(build(folder, "--json"))["accounting"]["predictions"]["immature"] > 0


def test_secrets_are_in_nothing_that_is_written(shop):
    folder = shop[0]
    (folder / "shoes.yaml").write_text(
        (folder / "shoes.yaml").read_text().replace("  retry_for: 2s", "  max_rejected: 0.02")
    )
    told = build(folder, "--log-format", "json")
    assert "hunter2" not in told
    for path in folder.rglob("*"):
        assert path.is_dir() or b"hunter2" not in path.read_bytes(), path


def test_the_freshness_of_a_store_is_told_like_that_of_files(shop):
    folder = shop[0]
    found = json.loads(run("freshness", str(folder / "shoes.yaml"), "--date", DATE, "--json"))
    predictions, click = found["sources"]
    assert predictions["last_event"].startswith("2026-11-20T23:")
    assert click["last_event"] == "2026-11-21T01:59:00Z"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("{env: ES_PASSWORD}", "hunter2", "a secret must not stand in a config: say where it is kept, {env: NAME} or {file: PATH}"),
        ("http://", "http://reader:hunter2@", "must not hold a user or a password"),
        ("path: projects/shop-prod", "path: [projects/shop-prod, logs/*.json]", "names files and a log store; make them two sources"),
        ("path: projects/shop-prod", "path: logs/*.json", "filter: is for log stores; 'path' names files"),
        ("user: reader, ", "", "give 'user' and 'password', or 'api_key', or 'aws_region'"),
        ("{env: ES_PASSWORD}", "{env: A, file: b}", "a secret is kept in one place"),
    ],
)  # fmt: skip
def test_mistakes_are_told_without_secrets(shop, old, new, told):
    folder = shop[0]
    (folder / "shoes.yaml").write_text((folder / "shoes.yaml").read_text().replace(old, new))
    with pytest.raises(ConfigError) as mistakes:
        check_project(str(folder / "shoes.yaml"))
    assert told in str(mistakes.value)
    assert "hunter2" not in str(mistakes.value)
