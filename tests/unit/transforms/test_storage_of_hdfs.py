"""Files on HDFS are replaced in one step; tests/stores has the rest, on a real cluster."""

import pytest

from retrolabel.transforms import storage
from tests.support.fake_webhdfs import FakeWebHdfs

pytest.importorskip("hdfs", reason="the extra hdfs is not installed")

NAME = "/shop/_hooks/file.json"


def test_a_file_that_is_replaced_is_there_at_every_moment():
    cluster = FakeWebHdfs()
    with cluster.serving() as url:
        storage.write_once(url + NAME, b"1")
        cluster.seen.clear()
        storage.write_once(url + NAME, b"2")
        assert {after.get(NAME) for after in cluster.seen} == {b"1", b"2"}
        assert cluster.files == {NAME: b"2"}


def test_an_equal_file_is_found_and_nothing_is_written():
    cluster = FakeWebHdfs()
    with cluster.serving() as url:
        storage.write_once(url + NAME, b"1")
        cluster.seen.clear()
        storage.write_once(url + NAME, b"1")
        assert all(after == {NAME: b"1"} for after in cluster.seen)


def test_a_gateway_that_cannot_replace_a_file_removes_it_first():
    cluster = FakeWebHdfs(is_httpfs=True)
    with cluster.serving() as url:
        for data in (b"1", b"2", b"2"):
            storage.write_once(url + NAME, data)
            assert cluster.files == {NAME: data}


def test_a_record_is_created_only_if_absent():
    cluster = FakeWebHdfs()
    with cluster.serving() as url:
        assert storage.create_if_absent(url + NAME, b"1")
        assert not storage.create_if_absent(url + NAME, b"2")
        assert cluster.files == {NAME: b"1"}
