"""A real OpenSearch: asked by a build, and dumped by elasticdump; both give the same dataset."""

import datetime
import json
import subprocess

import pytest
import requests

import retrolabel
from retrolabel.transforms.apis.elasticsearch import lines
from retrolabel.transforms.apis.interface import Query
from tests.end_to_end.test_versions import run
from tests.stores.conftest import ROOT, java
from tests.support.messy import TIMESTAMP

pytestmark = [pytest.mark.stores, pytest.mark.slow]

DAY = datetime.datetime(2026, 11, 20, tzinfo=datetime.UTC)
ELASTICDUMP = ROOT / "build/npm/node_modules/.bin/elasticdump"

CONFIG = """\
dataset: shoes
predictions: {{format: elasticsearch, path: "{path}", filter: {filter}, schema: event.avsc, key: id, time: at}}
outcomes:
  click: {{format: elasticsearch, path: "{path}", where: kind = 'click', schema: event.avsc, key: id, time: at}}
labels:
  clicked: {{outcome: click, window: 1h, value: any}}
output: {{path: {output}}}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """2400 views of a day and 240 clicks, in an index for each kind."""
    with java("opensearch", "MiniOpenSearch", tmp_path_factory.mktemp("opensearch")) as address:
        bulk = []
        for number in range(2640):
            kind = "view" if number % 11 else "click"
            at = DAY + datetime.timedelta(seconds=30 * number + (-20 if kind == "click" else 0))
            document = {"at": at.isoformat(), "id": f"p{number - (kind == 'click')}", "kind": kind, "note": "größe \\"}
            bulk += [json.dumps({"index": {"_index": f"{kind}s", "_id": f"d{number}"}}), json.dumps(document)]
        told = requests.post(f"{address}/_bulk?refresh=true", data="\n".join([*bulk, ""]).encode(),
                             headers={"Content-Type": "application/x-ndjson"}, timeout=120).json()  # fmt: skip
        assert not told["errors"]
        yield address


def project(folder, path: str, asked: str):
    folder.mkdir()
    fields = [{"name": "at", "type": TIMESTAMP, "path": "_source.at"}, {"name": "id", "type": "string", "path": "_source.id"},
              {"name": "kind", "type": "string", "path": "_source.kind"}]  # fmt: skip
    (folder / "event.avsc").write_text(json.dumps({"type": "record", "name": "Event", "fields": fields}))
    (folder / "shoes.yaml").write_text(CONFIG.format(path=path, filter=asked, output=folder / "datasets"))
    return str(folder / "shoes.yaml")


def test_every_document_comes_once(server):
    begin = round(DAY.timestamp() * 1e6)
    query = Query("elasticsearch", f"{server}/views,clicks", "", ("_source", "at"), None, 30.0)
    found = [
        json.loads(line)["_id"] for piece in lines(query, begin, begin + 86_400_000_000) for line in piece.splitlines()
    ]
    # The first click lies 20 seconds before the day.
    assert sorted(found) == sorted(f"d{number}" for number in range(1, 2640))


@pytest.mark.skipif(not ELASTICDUMP.exists(), reason="elasticdump is not there: `make emulators` brings it, with npm")
def test_a_build_from_the_server_and_one_from_its_dump_have_the_same_examples(server, tmp_path):
    dump = tmp_path / "dump.ndjson"
    subprocess.run(
        [str(ELASTICDUMP), f"--input={server}/*s", f"--output={dump}", "--type=data", "--limit=1000"],
        check=True, capture_output=True,
    )  # fmt: skip
    assert "elasticsearch" in run(
        "init", "--predictions", str(dump), "--outcomes", str(dump), "--directory", str(tmp_path)
    )
    asked = project(tmp_path / "asked", f"{server}/*s", "'kind:view'")
    dumped = project(tmp_path / "dumped", str(dump), "''")
    text = (tmp_path / "dumped/shoes.yaml").read_text()
    (tmp_path / "dumped/shoes.yaml").write_text(text.replace("filter: '',", "where: kind = 'view',"))
    for config in (asked, dumped):
        run("build", config, "--date", "2026-11-20", "--outcomes-complete-until", "click=2026-11-22T00:00:00Z")
    tables = [
        retrolabel.load(str(tmp_path / name / "datasets/shoes")).to_table().sort_by("id").to_pylist()
        for name in ("asked", "dumped")
    ]
    assert tables[0] == tables[1]
    assert len(tables[0]) == 2400
