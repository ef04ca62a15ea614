"""verify reads every file that a version lists, once, and names those that are not what was published."""

import json
import tracemalloc
from pathlib import Path

import pytest
from click.testing import CliRunner

from retrolabel.pipelines.cli import commands
from retrolabel.transforms.dataset import read_day_manifest, read_version
from tests.support.at_rest import examples, publish_day


def run(*arguments: str, code: int = 0):
    result = CliRunner().invoke(commands, ["verify", *arguments])
    assert result.exit_code == code, result.output
    return result


def part_of(root: Path, version: int) -> Path:
    record = read_version(str(root), version)
    return root / read_day_manifest(str(root), record.days[record.date]).files[0].path


@pytest.fixture
def dataset(tmp_path):
    """Three versions of two days: the first day was built twice."""
    publish_day(tmp_path, examples({"a": True}))
    publish_day(tmp_path, examples({"a": False}), build="b" * 16)
    publish_day(tmp_path, examples({"c": False}), date="2026-11-21", build="c" * 16)
    return tmp_path


def test_a_sound_dataset_is_said_to_be_so_with_how_much_was_read(dataset):
    text = run(str(dataset)).stdout
    assert "3 versions, 2 days" in text
    assert "every file is what was published" in text


def test_all_versions_are_looked_at_unless_one_is_named(dataset):
    part_of(dataset, 1).unlink()
    run(str(dataset), code=6)
    run(f"{dataset}@1", code=6)
    assert "1 version, 2 days" in run(f"{dataset}@3").stdout


def test_each_file_is_named_with_what_was_found_and_expected(dataset):
    cut, flipped = part_of(dataset, 1), part_of(dataset, 3)
    size = cut.stat().st_size
    cut.write_bytes(cut.read_bytes()[:-1])
    data = bytearray(flipped.read_bytes())
    data[len(data) // 2] ^= 1
    flipped.write_bytes(data)
    result = run(str(dataset), code=6)
    first, second = result.stdout.splitlines()[:2]
    assert str(cut) in first
    assert f"found {size - 1:,} bytes, expected {size:,}" in first
    assert "version 1" in first
    assert str(flipped) in second
    assert "found SHA-256 " in second
    assert "version 3" in second
    assert "2 of 9 files are not what was published" in result.stderr


@pytest.mark.parametrize("content", [None, b"{", b"{}"])
def test_a_manifest_that_is_gone_or_damaged_is_named_and_the_rest_is_read(dataset, content):
    manifest = dataset / read_version(str(dataset), 1).days["2026-11-20"]
    manifest.unlink() if content is None else manifest.write_bytes(content)
    part_of(dataset, 3).unlink()
    told = run(str(dataset), code=6).stdout.splitlines()
    assert str(manifest) in told[0]
    assert str(part_of(dataset, 3)) in told[1]
    assert "found nothing" in told[1]


def test_a_record_that_is_damaged_is_named_and_the_rest_is_read(dataset):
    (dataset / "_versions/00000002.json").write_bytes(b"")
    told = run(str(dataset), code=6).stdout.splitlines()
    assert "_versions/00000002.json" in told[0]


def test_machines_read_the_same(dataset):
    gone = part_of(dataset, 2)
    expected = gone.stat().st_size
    assert json.loads(run(f"{dataset}@1", "--json").stdout)["damaged"] == []
    gone.unlink()
    found = json.loads(run(str(dataset), "--json", code=6).stdout)
    assert found["versions"] == [1, 2, 3]
    assert found["damaged"] == [
        {
            "path": str(gone.relative_to(dataset)),
            "found": "nothing",
            "expected": f"{expected:,} bytes",
            "versions": [2, 3],
        }
    ]


def test_a_folder_that_is_no_dataset_is_refused(tmp_path):
    assert "is no dataset" in run(str(tmp_path), code=4).output


def test_what_retention_removes_at_the_same_moment_is_no_damage(dataset, monkeypatch):
    from retrolabel.transforms import verify

    listing = verify.version_numbers

    def then_expire(root: str) -> list[int]:
        numbers = listing(root)
        (dataset / "_versions/00000001.json").unlink(missing_ok=True)
        return numbers

    gone = part_of(dataset, 1)
    monkeypatch.setattr(verify, "version_numbers", then_expire)
    gone.unlink()
    assert "2 versions" in run(str(dataset)).stdout


def test_a_file_of_any_size_is_looked_at_in_little_memory(dataset):
    part = part_of(dataset, 3)
    with part.open("ab") as file:
        file.truncate(200_000_000)
    tracemalloc.start()
    try:
        assert "found 200,000,000 bytes" in run(str(dataset), code=6).stdout
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()
