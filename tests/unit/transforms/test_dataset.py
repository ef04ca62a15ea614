"""Readers trust what a version lists, and nothing else."""

import datetime
import json

import pyarrow as pa
import pyarrow.dataset as ds
import pytest

import retrolabel
from retrolabel.schemas.errors import InputError, IntegrityError
from retrolabel.transforms.dataset import read_version, split_name
from retrolabel.transforms.publish import publish
from tests.support.at_rest import examples, publish_day, store

FORMATS = pytest.mark.parametrize("file_format", ["parquet", "avro", "tfrecord"])


def keys(loaded) -> list[str]:
    return sorted(loaded.to_table(columns=["prediction_id"]).column(0).to_pylist())


@FORMATS
def test_a_loaded_version_is_a_pyarrow_dataset_with_to_pandas(tmp_path, file_format):
    publish_day(tmp_path, examples({"a": True, "b": False}, {"a": 2.5}), file_format=file_format, shards=4)
    loaded = retrolabel.load(str(tmp_path))
    assert isinstance(loaded, ds.Dataset)
    assert loaded.schema.names == ["prediction_id", "clicked", "revenue"]
    assert loaded.count_rows() == 2
    assert loaded.to_table(filter=ds.field("clicked")).to_pylist() == [
        {"prediction_id": "a", "clicked": True, "revenue": 2.5}
    ]
    frame = loaded.to_pandas()
    assert sorted(frame["prediction_id"]) == ["a", "b"]
    assert list(loaded.to_pandas(columns=["clicked"]).columns) == ["clicked"]


def test_an_older_version_is_read_as_it_was(tmp_path):
    publish_day(tmp_path, examples({"a": True}))
    publish_day(tmp_path, examples({"a": False, "b": True}), build="b" * 16)
    for first in (
        retrolabel.load(str(tmp_path), version=1),
        retrolabel.load(str(tmp_path), version="v1"),
        retrolabel.load(f"{tmp_path}@1"),
    ):
        assert first.to_table().to_pylist() == [{"prediction_id": "a", "clicked": True, "revenue": None}]
    assert keys(retrolabel.load(str(tmp_path))) == ["a", "b"]


@FORMATS
def test_days_and_splits_are_chosen(tmp_path, file_format):
    publish_day(tmp_path, examples({"a": True}), date="2026-11-20", file_format=file_format)
    publish_day(tmp_path, examples({"b": True}), date="2026-11-21", file_format=file_format, split="eval")
    publish_day(tmp_path, examples({"c": True}), date="2026-11-22", file_format=file_format)
    root = str(tmp_path)
    assert keys(retrolabel.load(root)) == ["a", "b", "c"]
    assert keys(retrolabel.load(root, date="2026-11-21")) == ["b"]
    assert keys(retrolabel.load(root, date=datetime.date(2026, 11, 21))) == ["b"]
    assert keys(retrolabel.load(root, dates=["2026-11-22", "2026-11-20"])) == ["a", "c"]
    assert keys(retrolabel.load(root, dates=["2026-11-22", "2026-11-20"], split="train")) == ["a", "c"]


def test_days_that_were_split_otherwise_are_not_passed_over(tmp_path):
    root = str(tmp_path)
    publish_day(root, examples({"a": True}), date="2026-11-20")
    publish_day(root, examples({"b": True}), date="2026-11-21", split="eval")
    with pytest.raises(
        InputError, match=r"2026-11-21 has no split 'train', it has eval\. Build it again .* dates=\['2026-11-20'\]"
    ):
        retrolabel.load(root, split="train")
    assert keys(retrolabel.load(root, date="2026-11-20", split="train")) == ["a"]


def test_files_that_no_manifest_lists_are_not_read(tmp_path):
    manifest, folder = store(tmp_path, examples({"a": True}))
    publish(str(tmp_path), manifest, folder)
    store(tmp_path, examples({"stray": True}))
    assert keys(retrolabel.load(str(tmp_path))) == ["a"]


@FORMATS
def test_a_column_that_a_day_lacks_is_null_there(tmp_path, file_format):
    publish_day(tmp_path, examples({"a": True}), date="2026-11-20", file_format=file_format)
    rows = examples({"b": True}).append_column("price", pa.array([9.5]))
    publish_day(tmp_path, rows, date="2026-11-21", file_format=file_format)
    found = retrolabel.load(str(tmp_path)).to_table().select(["prediction_id", "price"]).to_pylist()
    assert sorted(found, key=str) == [
        {"prediction_id": "a", "price": None},
        {"prediction_id": "b", "price": 9.5},
    ]


def test_days_whose_types_differ_are_refused_together_and_loaded_alone(tmp_path):
    publish_day(tmp_path, examples({"a": True}), date="2026-11-20")
    rows = examples({"b": True})
    publish_day(tmp_path, rows.set_column(2, "revenue", pa.array(["9"])), date="2026-11-21")
    with pytest.raises(InputError, match="different column types"):
        retrolabel.load(str(tmp_path))
    assert keys(retrolabel.load(str(tmp_path), date="2026-11-21")) == ["b"]


def test_what_is_not_there_is_told_with_what_is(tmp_path):
    root = str(tmp_path / "shoes")
    publish_day(root, examples({"a": True}))
    (tmp_path / "not_a_dataset").mkdir()
    for arguments, words in (
        ({"version": 7}, "has no version 7; there is 1 alone"),
        ({"split": "trian"}, r"@1 has no split 'trian'; it has train"),
        ({"date": "2026-11-19"}, r"@1 has no day 2026-11-19; it has 2026-11-20"),
    ):
        with pytest.raises(InputError, match=words):
            retrolabel.load(root, **arguments)
    for near in (tmp_path, tmp_path / "shoe", tmp_path / "shoes" / "2026-11-20"):
        with pytest.raises(
            InputError, match=rf"{str(near)!r} is no dataset: it holds no version. Hint: there is .*/shoes$"
        ):
            retrolabel.load(str(near))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("datasets/shoes", ("datasets/shoes", None)),
        ("datasets/shoes/@7", ("datasets/shoes", 7)),
        ("gs://bucket/shoes@v12", ("gs://bucket/shoes", 12)),
        ("me@home/shoes", ("me@home/shoes", None)),
        ("/", ("/", None)),
    ],
)
def test_a_version_stands_after_the_last_at_sign(name, expected):
    assert split_name(name) == expected


@pytest.mark.parametrize("name", ["shoes@", "shoes@latest", "shoes@-1", "shoes@²"])
def test_a_version_is_a_number(name):
    with pytest.raises(InputError, match="expected a number after '@'"):
        split_name(name)


def test_a_changed_manifest_is_noticed(tmp_path):
    publish_day(tmp_path, examples({"a": True}))
    path = tmp_path / read_version(str(tmp_path)).days["2026-11-20"]
    path.write_text(path.read_text().replace('"rows": 1', '"rows": 2'))
    with pytest.raises(IntegrityError, match="its digest differs from its name"):
        retrolabel.load(str(tmp_path))


def test_a_missing_manifest_is_noticed(tmp_path):
    publish_day(tmp_path, examples({"a": True}))
    (tmp_path / read_version(str(tmp_path)).days["2026-11-20"]).unlink()
    with pytest.raises(IntegrityError, match="is missing, though a version lists it"):
        retrolabel.load(str(tmp_path))


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format_version": "x"}', b"\xff"])
def test_a_damaged_record_is_told_with_its_path(tmp_path, content):
    publish_day(tmp_path, examples({"a": True}))
    (tmp_path / "_versions/00000001.json").write_bytes(content)
    with pytest.raises(IntegrityError, match=r"_versions/00000001.json' is damaged"):
        retrolabel.load(str(tmp_path))


def test_a_record_of_a_later_release_is_refused(tmp_path):
    publish_day(tmp_path, examples({"a": True}))
    path = tmp_path / "_versions/00000001.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format_version": 2, "novelty": 1}))
    with pytest.raises(IntegrityError, match=r"written by a later release of retrolabel \(format 2;"):
        retrolabel.load(str(tmp_path))


def test_a_moved_dataset_is_read_where_it_is(tmp_path):
    publish_day(tmp_path / "here", examples({"a": True}))
    (tmp_path / "here").rename(tmp_path / "there")
    assert keys(retrolabel.load(str(tmp_path / "there"))) == ["a"]
