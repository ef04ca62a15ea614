"""gc removes what builds left and no version lists, once it is old; and nothing else, whatever lies in the folder."""

import os
import time

import pytest
from click.testing import CliRunner

import retrolabel
from retrolabel.configs.model import Retention
from retrolabel.pipelines import retention
from retrolabel.pipelines.cli import commands
from retrolabel.transforms import storage, sweep
from retrolabel.transforms.sweep import unlisted
from tests.support.at_rest import examples, publish_day, store

LONG_AGO = time.time() - 7 * 86_400


def run(*arguments: str) -> str:
    result = CliRunner().invoke(commands, ["gc", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


def files(folder) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def left(tmp_path):
    """A dataset of two versions, and what killed builds left: all of it old."""
    publish_day(tmp_path, examples({"a": True}))
    publish_day(tmp_path, examples({"a": False}), build="b" * 16)
    kept = files(tmp_path)
    store(tmp_path, examples({"z": True}))
    store(tmp_path, examples({"z": True}), build="c" * 16)
    for name in (
        "_tmp/run1/seg-0",
        "_tmp/run2/deep/seg-0",
        "_versions/.tmp-01",
        "_hooks/.tmp-01",
        f"2026-11-20/{'a' * 16}/train/.tmp-01",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"1234")
    for path in tmp_path.rglob("*"):
        os.utime(path, (LONG_AGO, LONG_AGO))
    return tmp_path, kept


def test_old_leftovers_go_with_their_folders_and_every_version_stays(left):
    root, kept = left
    assert " files, " in run(str(root)).splitlines()[-1]
    assert files(root) == kept
    assert not (root / "_tmp/run1").exists()
    assert not (root / f"2026-11-20/{'c' * 16}").exists()
    assert run(str(root)) == "0 files, 0 bytes\n"


def test_a_dry_run_tells_the_same_and_removes_nothing(left):
    root, _ = left
    before = files(root)
    told = run(str(root), "--dry-run")
    assert files(root) == before
    assert run(str(root)) == told.replace("would remove", "removed")


def test_young_files_stay_and_so_does_all_that_a_living_run_has_spilled(left):
    root, kept = left
    (root / "_tmp/run1/seg-1").write_bytes(b"")
    run(str(root), "--older-than", "2h")
    assert files(root) == kept | {"_tmp/run1/seg-0", "_tmp/run1/seg-1"}


def test_what_no_build_wrote_is_never_touched(left):
    root, kept = left
    for name in ("README.md", "notes/2026-11-20.txt", "2026-11-20/notes.txt", "_versions/00000001.json.bak"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(b"")
        os.utime(root / name, (LONG_AGO, LONG_AGO))
        kept.add(name)
    run(str(root), "--older-than", "0s")
    assert files(root) == kept


def test_a_folder_that_is_no_dataset_is_refused(tmp_path):
    (tmp_path / "thesis.txt").write_bytes(b"")
    os.utime(tmp_path / "thesis.txt", (LONG_AGO, LONG_AGO))
    result = CliRunner().invoke(commands, ["gc", str(tmp_path)])
    assert result.exit_code == 4
    assert "is no dataset" in result.output
    assert files(tmp_path) == {"thesis.txt"}


def test_what_a_first_build_left_is_swept_though_there_is_no_version(tmp_path):
    store(tmp_path, examples({"a": True}))
    assert len(unlisted(str(tmp_path), older_than=0)) == 1


def test_a_damaged_manifest_stops_everything(left):
    root, _ = left
    (next(root.glob(f"2026-11-20/{'a' * 16}/manifest-*"))).write_text("{}")
    before = files(root)
    assert CliRunner().invoke(commands, ["gc", str(root)]).exit_code == 6
    assert files(root) == before


def test_a_file_that_a_build_needs_again_meanwhile_stays(left, monkeypatch):
    root, kept = left
    again = next(path for path in files(root) - kept if path.endswith(".parquet"))
    delete = storage.delete

    def build_then_delete(path: str) -> None:
        os.utime(root / again)  # as a build does that finds its file there
        delete(path)

    monkeypatch.setattr(storage, "delete", build_then_delete)
    run(str(root))
    assert again in files(root)


def test_a_version_that_retention_removes_at_the_same_moment_is_no_trouble(left, monkeypatch):
    root, kept = left
    listing = sweep.version_numbers

    def then_expire(folder: str) -> list[int]:
        numbers = listing(folder)
        (root / "_versions/00000001.json").unlink(missing_ok=True)
        return numbers

    monkeypatch.setattr(sweep, "version_numbers", then_expire)
    run(str(root))
    assert files(root) < kept
    assert retrolabel.load(str(root)).count_rows() == 1


def test_versions_that_another_run_removes_at_the_same_moment_are_no_trouble(left, monkeypatch):
    root, _ = left
    for turn in range(2, 6):
        publish_day(root, examples({"a": turn % 2 == 0}), build=f"{turn:016x}")
    for path in root.rglob("*"):
        os.utime(path, (LONG_AGO, LONG_AGO))
    listing = retention.version_numbers

    def then_expire(folder: str) -> list[int]:
        numbers = listing(folder)
        (root / "_versions/00000001.json").unlink(missing_ok=True)
        return numbers

    monkeypatch.setattr(retention, "version_numbers", then_expire)
    assert 5 in retention.expire(str(root), Retention(versions=1), time.time())
    assert retrolabel.load(str(root)).count_rows() == 1
