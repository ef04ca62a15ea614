"""What becomes of a dataset over several builds: nothing new, late outcomes, many at once."""

import hashlib
import json
import multiprocessing
import os
import pathlib
import shutil
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner

import retrolabel
from retrolabel.pipelines.cli import commands
from tests.support.daily import click, make_shop, serve
from tests.support.messy import CONFIG, DAY, write_logs

DATE = DAY.date().isoformat()


def run(*arguments: str, code: int = 0) -> str:
    """Runs a command in this process; returns what it printed."""
    result = CliRunner().invoke(commands, list(arguments))
    assert result.exit_code == code, result.output + str(result.exception)
    return result.output


def files_of(folder: pathlib.Path) -> dict[str, str]:
    """The digest of every file below a folder."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def shop(tmp_path):
    write_logs(tmp_path / "shop", seed=7, predictions=150)
    return tmp_path / "shop"


def test_a_build_with_nothing_changed_publishes_nothing_and_says_so(shop):
    first = json.loads(run("build", str(shop / "shoes.yaml"), "--date", DATE, "--json"))
    before = files_of(shop / "datasets")
    second = json.loads(run("build", str(shop / "shoes.yaml"), "--date", DATE, "--json"))
    assert (first["published"], first["version"]) == (True, 1)
    assert (second["published"], second["version"]) == (False, 1)
    assert files_of(shop / "datasets") == before
    assert "nothing changed" in run("build", str(shop / "shoes.yaml"), "--date", DATE)


@pytest.mark.parametrize("lost", ["train/*.parquet", "manifest-*.json", "statistics-*.pb"])
@pytest.mark.parametrize("how", ["gone", "cut"])
def test_a_build_writes_files_again_that_are_gone_or_cut_and_says_so(shop, lost, how):
    run("build", str(shop / "shoes.yaml"), "--date", DATE)
    before = files_of(shop / "datasets")
    victim = next((shop / "datasets/shoes").glob(f"{DATE}/*/{lost}"))
    victim.unlink() if how == "gone" else victim.write_bytes(victim.read_bytes()[:-1])
    told = run("build", str(shop / "shoes.yaml"), "--date", DATE)
    assert "were gone or cut are written again" in told
    assert "version 1 stands" in told
    assert files_of(shop / "datasets") == before
    run("verify", str(shop / "datasets/shoes"))


def test_a_day_whose_last_build_is_damaged_can_still_be_built_from_later_logs(shop):
    run("build", str(shop / "shoes.yaml"), "--date", DATE)
    next((shop / "datasets/shoes").glob(f"{DATE}/*/train/*.parquet")).unlink()
    rows = retrolabel.load(str(shop / "datasets/shoes"), split="test").to_table().to_pylist()
    late = {
        "@timestamp": rows[0]["event_time"].isoformat(),
        "event_id": "late",
        "prediction_id": rows[0]["prediction_id"],
        "kind": "click",
    }
    (shop / "logs/clicks/late.log").write_text(json.dumps(late) + "\n")
    told = run("build", str(shop / "shoes.yaml"), "--date", DATE)
    assert "published version 2" in told
    assert "what changed since version 1 cannot be told: its files are damaged" in told
    assert "what changed is not known" in run("versions", str(shop / "datasets/shoes")).splitlines()[0]
    run("verify", f"{shop}/datasets/shoes@2")


def test_a_copied_project_builds_the_same_bytes(shop, tmp_path):
    shutil.copytree(shop, tmp_path / "copy")
    for folder in (shop, tmp_path / "copy"):
        run("build", str(folder / "shoes.yaml"), "--date", DATE)
    assert files_of(shop / "datasets") == files_of(tmp_path / "copy" / "datasets")
    assert len(files_of(shop / "datasets")) > 3


def test_late_outcomes_make_a_version_that_says_what_changed(shop):
    run("build", str(shop / "shoes.yaml"), "--date", DATE)
    rows = retrolabel.load(str(shop / "datasets/shoes")).to_table().to_pylist()
    negative = next(row for row in rows if not row["clicked"])
    moment = negative["event_time"].isoformat()
    late = {"@timestamp": moment, "event_id": "late", "prediction_id": negative["prediction_id"], "kind": "click"}
    (shop / "logs/clicks/late.log").write_text(json.dumps(late) + "\n")
    built = json.loads(run("build", str(shop / "shoes.yaml"), "--date", DATE, "--json"))
    assert (built["version"], built["parent"]) == (2, 1)
    assert built["changes"]["examples_added"] == built["changes"]["examples_removed"] == 0
    assert built["changes"]["labels"]["clicked"] == {"changed": 1, "transitions": {"false -> true": 1}}
    assert built["changes"]["labels"]["bought"]["changed"] == 0
    old = {
        row["prediction_id"]: row["clicked"]
        for row in retrolabel.load(str(shop / "datasets/shoes"), version=1).to_table().to_pylist()
    }
    new = {
        row["prediction_id"]: row["clicked"]
        for row in retrolabel.load(str(shop / "datasets/shoes@2")).to_table().to_pylist()
    }
    assert [key for key in old if old[key] != new[key]] == [negative["prediction_id"]]


def test_more_predictions_mature_when_the_logs_are_declared_complete(shop):
    first = json.loads(run("build", str(shop / "shoes.yaml"), "--date", DATE, "--json"))
    second = json.loads(
        run("build", str(shop / "shoes.yaml"), "--date", DATE, "--json", "--outcomes-complete-until", "2026-12-01")
    )
    immature = first["accounting"]["predictions"]["immature"]
    assert immature > 0
    assert second["accounting"]["predictions"]["immature"] == 0
    assert second["changes"]["examples_added"] == immature
    assert second["watermarks"] == {"click": "2026-12-01T00:00:00Z", "purchase": "2026-12-01T00:00:00Z"}


def test_days_of_a_range_are_built_in_order_and_a_version_holds_all_of_them(shop):
    out = run("build", str(shop / "shoes.yaml"), "--from", "2026-11-20", "--to", "2026-11-21", "--json",
              "--outcomes-complete-until", "2026-12-01")  # fmt: skip
    built = [json.loads(line) for line in out.splitlines()]
    assert [(day["date"], day["version"]) for day in built] == [("2026-11-20", 1), ("2026-11-21", 2)]
    both = retrolabel.load(str(shop / "datasets/shoes")).count_rows()
    assert both == sum(day["accounting"]["predictions"]["examples"] for day in built)
    assert retrolabel.load(str(shop / "datasets/shoes"), date="2026-11-21").count_rows() < both


@pytest.mark.parametrize("file_format", ["avro", "tfrecord"])
def test_every_format_holds_the_same_rows(shop, file_format):
    run("build", str(shop / "shoes.yaml"), "--date", DATE)
    parquet = retrolabel.load(str(shop / "datasets/shoes"), split="train").to_table()
    (shop / "other.yaml").write_text(
        CONFIG.replace("output: {path: datasets}", f"output: {{path: other, format: {file_format}}}")
    )
    run("build", str(shop / "other.yaml"), "--date", DATE)
    other = retrolabel.load(str(shop / "other/shoes"), split="train").to_table()
    assert other.column_names == parquet.column_names
    for name in parquet.column_names:
        if (
            file_format == "tfrecord" and str(parquet.schema.field(name).type) == "double"
        ):  # tf.Example's floats have 32 bits
            pairs = zip(other.column(name).to_pylist(), parquet.column(name).to_pylist(), strict=True)
            assert all(mine == theirs or abs(mine - theirs) <= abs(theirs) * 1e-6 for mine, theirs in pairs), name
        else:
            assert other.column(name).to_pylist() == parquet.column(name).to_pylist(), name
    assert not retrolabel.load(str(shop / "other/shoes")).to_pandas().empty


def _build(path: str) -> int:
    return subprocess.run(
        [sys.executable, "-m", "retrolabel", "build", path, "--date", DATE], capture_output=True, check=False
    ).returncode


def test_two_builds_of_one_day_at_once_end_well(shop):
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert pool.map(_build, [str(shop / "shoes.yaml")] * 2) == [0, 0]
    assert [path.name for path in sorted((shop / "datasets/shoes/_versions").iterdir())] == ["00000001.json"]
    assert retrolabel.load(str(shop / "datasets/shoes")).count_rows() > 0


def test_gc_sweeps_what_no_version_lists_and_nothing_else(shop):
    run("build", str(shop / "shoes.yaml"), "--date", DATE)
    before = files_of(shop / "datasets/shoes")
    left = shop / "datasets/shoes" / DATE / "0123456789abcdef/train/part-00000-of-00001-torn.parquet"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"torn")
    young = run("gc", str(shop / "datasets/shoes"))
    assert "0 files" in young
    assert left.exists()
    os.utime(left, (time.time() - 90_000, time.time() - 90_000))
    assert "would remove" in run("gc", str(shop / "datasets/shoes"), "--dry-run")
    run("gc", str(shop / "datasets/shoes"))
    assert not left.exists()
    assert files_of(shop / "datasets/shoes") == before


def test_labels_that_flip_move_no_row_to_another_part_and_weigh_what_they_should(tmp_path):
    folder = tmp_path / "shop"
    config = make_shop(folder, "split: {by: id, parts: {train: 0.5, eval: 0.5}}\nsample: {negatives: 0.25}\n")
    for number in range(8):
        serve(folder, DATE, name=f"served-{number}")
    served = sorted(folder.rglob("served-*.json"))
    for number, path in enumerate(served):
        path.write_text(path.read_text().replace(f"{DATE}/", f"{number}/"))
    click(folder, DATE, range(0))
    clicks = folder / "logs" / DATE.replace("-", "/") / "click.json"
    watermark = clicks.with_name("click.json").read_text().replace(DATE, "2026-12-01")
    moments = [(f"{number}/{hour:02}", f"{DATE}T{hour:02}:30:00Z") for number in range(8) for hour in range(24)]

    def build(clicked: list[tuple[str, str]]) -> dict[str, tuple[str, bool, float]]:
        clicks.write_text(watermark + "".join(json.dumps({"id": key, "at": at}) + "\n" for key, at in clicked))
        run("build", config, "--date", DATE)
        return read()

    def read(version: int | None = None) -> dict[str, tuple[str, bool, float]]:
        return {
            row["id"]: (split, row["clicked"], row["weight"])
            for split in ("train", "eval")
            for row in retrolabel.load(str(folder / "datasets/shop"), version=version, split=split)
            .to_table()
            .to_pylist()
        }

    first, second = build(moments[::8]), build(moments[::4])
    assert {key for key, (_, clicked, _) in second.items() if clicked} == {key for key, _ in moments[::4]}
    for rows in (first, second):
        assert {(clicked, weight) for _, clicked, weight in rows.values()} == {(True, 1.0), (False, 4.0)}
    assert first.keys() < second.keys(), "what was sampled out and clicked later is there, nothing goes"
    assert all(second[key][0] == split for key, (split, _, _) in first.items())
    assert any(first[key][1:] == (False, 4.0) and second[key][1:] == (True, 1.0) for key in first)
    assert read(version=1) == first
    assert build(moments[::8]) == first, "a click that is taken back makes the negative, and its absence, again"
