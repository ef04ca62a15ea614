"""Logs and datasets on object stores: listed in pages, noticed when they change, committed once."""

import gzip
import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import retrolabel
from retrolabel.pipelines.build_command import run_pipeline
from retrolabel.pipelines.check_command import check_project
from retrolabel.pipelines.planning import list_inputs, plan_build
from retrolabel.pipelines.runner import choose_runner
from retrolabel.schemas.errors import InputError, StorageError
from retrolabel.transforms import storage
from retrolabel.transforms.read import fingerprint_of
from tests.end_to_end.test_mixed_delivery import DATE, lines
from tests.end_to_end.test_versions import run
from tests.support.messy import TIMESTAMP

pytestmark = pytest.mark.stores

CONFIG = """\
dataset: shoes
predictions: {{format: json, path: "{store}/serving/{{date:%Y-%m-%d}}*.json*", schema: event.avsc, key: id, time: at}}
outcomes:
  click: {{format: json, path: "{store}/clicks/*.json", schema: event.avsc, key: id, time: at}}
labels:
  clicked: {{outcome: click, window: 1h, value: any}}
output: {{path: "{store}/datasets"}}
"""


@pytest.fixture
def shop(store, tmp_path):
    fields = [{"name": "at", "type": TIMESTAMP}, {"name": "id", "type": "string"}]
    (tmp_path / "event.avsc").write_text(json.dumps({"type": "record", "name": "Event", "fields": fields}))
    (tmp_path / "shoes.yaml").write_text(CONFIG.format(store=store))
    storage.write_once(f"{store}/serving/2026-11-20.json", lines(2, 3, 4).encode())
    storage.write_once(f"{store}/clicks/a.json", lines(2.5, 3, 30).encode())
    return tmp_path


def test_a_dataset_is_built_from_and_into_a_store_and_loaded(shop, store):
    storage.write_once(f"{store}/serving/2026-11-20.b.json.gz", gzip.compress(lines(5).encode()))
    told = json.loads(run("build", str(shop / "shoes.yaml"), "--date", str(DATE), "--json"))
    assert told["splits"]["all"]["labels"]["clicked"]["values"] == {"false": 3, "true": 1}
    assert not json.loads(run("build", str(shop / "shoes.yaml"), "--date", str(DATE), "--json"))["published"]
    rows = retrolabel.load(f"{store}/datasets/shoes").to_table().to_pylist()
    assert {row["id"]: row["clicked"] for row in rows} == {
        "200200": False,
        "200300": True,
        "200400": False,
        "200500": False,
    }
    assert "version 1" in run("show", f"{store}/datasets/shoes")


def test_a_rotated_file_and_its_compressed_copy_count_once(shop, store):
    storage.write_once(f"{store}/serving/2026-11-20.json.gz", gzip.compress(lines(2, 3, 4).encode()))
    told = json.loads(run("build", str(shop / "shoes.yaml"), "--date", str(DATE), "--json"))
    assert told["copies"] == [
        {
            "source": "predictions",
            "path": f"{store}/serving/2026-11-20.json.gz",
            "copy_of": f"{store}/serving/2026-11-20.json",
        }
    ]
    assert told["accounting"]["predictions"]["lines"] == 3


@pytest.mark.parametrize("change", ["grown", "removed"])
def test_an_object_that_changes_during_the_build_is_told_and_nothing_is_published(shop, store, change):
    plan, inputs = plan_build(check_project(str(shop / "shoes.yaml")), DATE, {}, in_process=True)
    path = f"{store}/serving/2026-11-20.json"
    if change == "grown":
        storage.write_once(path, lines(2, 3, 4, 5).encode())
    else:
        storage.delete(path)
    told = "changed while the build read it" if change == "grown" else "which was there when the build began"
    with pytest.raises(InputError, match=told):
        run_pipeline(plan, inputs, choose_runner([]))
    assert not [path for path in storage.list_files(f"{store}/datasets") if path.endswith(".json")]


def test_a_listing_and_a_look_tell_the_same_of_an_object(shop, store):
    (listed,) = list_inputs(check_project(str(shop / "shoes.yaml")), "click", [DATE])
    assert fingerprint_of(listed.path) == listed.fingerprint


@pytest.mark.parametrize(
    ("store", "page"),
    [("s3", 5), ("conditional gs", 3), ("hdfs", 5), pytest.param("azfs", 5000, marks=pytest.mark.slow)],
    indirect=["store"],
)
def test_more_objects_than_a_page_of_a_listing_are_all_found(store, page):
    paths = [f"more/{number % 2}/{number:04d}.json" for number in range(page + 2)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda path: storage.create_if_absent(f"{store}/{path}", b"\n"), paths))
    assert sorted(storage.list_files(store)) == sorted(paths)


@pytest.mark.parametrize("store", ["s3", "conditional gs", "azfs", "hdfs"], indirect=True)
def test_of_many_creators_of_one_record_exactly_one_wins(store):
    path, together = f"{store}/datasets/shoes/_versions/00000001.json", threading.Barrier(8)

    def create(number: int) -> bool:
        together.wait()
        return storage.create_if_absent(path, b"%d" % number * 100)

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(create, range(8)))
    assert won.count(True) == 1
    assert storage.read_bytes(path) == b"%d" % won.index(True) * 100
    assert not storage.create_if_absent(path, b"late")
    assert list(storage.list_files(store)) == ["datasets/shoes/_versions/00000001.json"]


@pytest.mark.parametrize("store", ["s3"], indirect=True)
def test_a_file_of_a_version_is_sent_to_s3_in_one_request(store):
    from retrolabel.transforms import s3

    asked: list[str] = []
    s3._session.events.register("before-call.s3", lambda model, **_: asked.append(model.name))
    storage.write_once(f"{store}/manifest.json", b"{}")
    storage.create_if_absent(f"{store}/record.json", b"{}")
    assert asked == ["PutObject", "PutObject"]


@pytest.mark.parametrize("store", ["s3", "conditional gs", "azfs"], indirect=True)
def test_a_folder_whose_name_has_signs_of_patterns_holds_its_own_files(store):
    for folder in ("a[1]", "a1", "st*r", "star"):
        storage.write_once(f"{store}/{folder}/x", folder.encode())
    for folder in ("a[1]", "st*r"):
        assert list(storage.list_files(f"{store}/{folder}")) == ["x"]
        assert storage.read_bytes(f"{store}/{folder}/x") == folder.encode()
        storage.delete(f"{store}/{folder}/x")
        storage.delete(f"{store}/{folder}/x")
    assert sorted(storage.list_files(store)) == ["a1/x", "star/x"]


@pytest.mark.parametrize("store", ["s3", "gs", "azfs"], indirect=True)
def test_a_bucket_that_does_not_exist_is_told(store):
    with pytest.raises(StorageError, match="cannot write"):
        storage.create_if_absent(f"{store}-nothing/datasets/x", b"")
