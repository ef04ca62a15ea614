"""What HDFS alone has: a server in the URL, users and permissions, folders, names of any kind."""

import getpass
import json
import os
import re
import subprocess
import sys

import pytest

import retrolabel
from retrolabel.schemas.errors import StorageError
from retrolabel.transforms import storage
from tests.end_to_end.test_mixed_delivery import DATE, lines
from tests.end_to_end.test_versions import run

hdfs = pytest.importorskip("hdfs", reason="the extra hdfs is not installed")

pytestmark = [pytest.mark.stores, pytest.mark.parametrize("store", ["hdfs"], indirect=True)]


def client():
    return hdfs.InsecureClient(os.environ["HDFS"].replace("hdfs://", "http://"), user=getpass.getuser())


def test_from_a_first_look_at_the_logs_to_a_swept_dataset(store, tmp_path):
    for hour in range(3):
        storage.write_once(f"{store}/serving/2026-11-20/{hour}/part.json", lines(hour, hour + 0.5).encode())
    storage.write_once(f"{store}/clicks/all.json", lines(0, 30).encode())
    run("init", "--predictions", f"{store}/serving/*/*/*.json", "--outcomes", f"click={store}/clicks/*.json", "--directory",
        str(tmp_path))  # fmt: skip
    config = str(tmp_path / "retrolabel.yaml")
    text = re.sub(r"(?m)^output:.*$", f"output: {{path: {store}/datasets}}", (tmp_path / "retrolabel.yaml").read_text())
    (tmp_path / "retrolabel.yaml").write_text(text)
    run("check", config)
    builds = [
        subprocess.Popen([sys.executable, "-m", "retrolabel", "build", config, "--date", str(DATE)]) for _ in range(2)
    ]
    assert [build.wait() for build in builds] == [0, 0]
    (dataset,) = {path.split("/")[0] for path in storage.list_files(f"{store}/datasets")}
    root = f"{store}/datasets/{dataset}"
    assert retrolabel.load(root).to_table().num_rows == 6
    assert "first build of the day" in run("versions", root)
    storage.write_once(f"{root}/2026-11-19/{'0' * 16}/examples-0.parquet", b"left by a killed build")
    assert "removed 2026-11-19" in run("gc", root, "--older-than", "0h")
    assert client().status(f"/{root.split('/', 3)[3]}/2026-11-19", strict=False) is None, "the folder too"
    assert retrolabel.load(root).to_table().num_rows == 6


def test_names_hold_what_hdfs_allows(store):
    name = "dt=2026-11-20/höhe 50% + 1/a&b;c?#.json"
    storage.write_once(f"{store}/{name}", b"{}")
    assert list(storage.list_files(store)) == [name]
    assert storage.read_bytes(f"{store}/{name}") == b"{}"


def test_folders_are_no_files_and_what_is_not_there_is_nothing(store):
    storage.write_once(f"{store}/a/b/c.json", b"{}")
    assert [file.path for file in storage.beam_filesystems().match([f"{store}/*"])[0].metadata_list] == []
    assert [file.path for file in storage.beam_filesystems().match([f"{store}/*/b/*.json"])[0].metadata_list] == [
        f"{store}/a/b/c.json"
    ]
    assert storage.list_files(f"{store}/nothing") == {}
    with pytest.raises(FileNotFoundError):
        storage.read_bytes(f"{store}/nothing")


def test_a_torn_file_is_replaced_and_the_same_made_young(store):
    path = f"{store}/part.parquet"
    storage.write_once(path, b"torn")
    client().set_times(f"/{path.split('/', 3)[3]}", modification_time=1_000_000)
    storage.write_once(path, b"whole!")
    assert storage.read_bytes(path) == b"whole!"
    client().set_times(f"/{path.split('/', 3)[3]}", modification_time=1_000_000)
    storage.write_once(path, b"whole!")
    assert storage.list_files(store)["part.parquet"][1] > 1_000_000


def test_the_user_is_hadoops_and_what_they_may_not_do_is_told(store, monkeypatch):
    storage.write_once(f"{store}/mine", b"")
    monkeypatch.setenv("HADOOP_USER_NAME", "guest")
    with pytest.raises(StorageError, match=r"cannot write .*: Permission denied: user=guest, access=WRITE"):
        storage.create_if_absent(f"{store}/theirs", b"")
    assert storage.read_bytes(f"{store}/mine") == b""


@pytest.mark.parametrize(
    ("server", "told"),
    [
        ("", "names no server: write hdfs://namenode:9870/path"),
        ("127.0.0.1:1", "http://127.0.0.1:1 does not answer .*the web server of the namenode, by default port 9870"),
    ],
)
def test_a_server_that_is_not_there_is_told(store, tmp_path, server, told):
    with pytest.raises(StorageError, match=told):
        storage.list_files(f"hdfs://{server}/logs")
    (tmp_path / "shoes.yaml").write_text(
        json.dumps(
            {
                "dataset": "shoes",
                "predictions": {"format": "json", "path": f"hdfs://{server}/logs/*", "schema": "e.avsc", "key": "id", "time": "at"},
                "outcomes": {"click": {"format": "json", "path": "clicks.json", "schema": "e.avsc", "key": "id", "time": "at"}},
                "labels": {"clicked": {"outcome": "click", "window": "1h", "value": "any"}},
            }
        )
    )  # fmt: skip
    fields = [
        {"name": "id", "type": "string"},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
    ]
    (tmp_path / "e.avsc").write_text(json.dumps({"type": "record", "name": "E", "fields": fields}))
    output = run("build", str(tmp_path / "shoes.yaml"), "--date", str(DATE), code=4)
    assert f"predictions: cannot list hdfs://{server}/logs/*: " in output
    assert "Traceback" not in output
