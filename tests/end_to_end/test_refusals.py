"""When nothing may be published: the exit code and the text say why, and nothing is."""

import gzip
import json
import pathlib
import subprocess
import sys

import pytest

import retrolabel
from retrolabel.pipelines.runner import choose_runner
from retrolabel.schemas.errors import ConfigError
from tests.end_to_end.test_versions import DATE, run
from tests.support.messy import CONFIG, write_logs


@pytest.fixture
def shop(tmp_path):
    write_logs(tmp_path, seed=11, predictions=120)
    return tmp_path


def refuse(shop: pathlib.Path, code: int) -> str:
    text = run("build", str(shop / "shoes.yaml"), "--date", DATE, code=code)
    assert not list((shop / "datasets").rglob("*.json")), "nothing may be published"
    return text


def test_no_input_matches(shop):
    (shop / "logs/clicks/c.log").unlink()
    text = refuse(shop, 4)
    assert "click: no file matches" in text
    assert "logs/clicks/*.log" in text


@pytest.mark.parametrize(
    ("number", "code", "said"), [("SIGTERM", 143, "stopped by a signal"), ("SIGINT", 1, "Aborted!")]
)
def test_a_build_that_is_told_to_stop_says_so_and_leaves_nothing(shop, number, code, said):
    (shop / "stops.py").write_text(
        "import os, signal\n"
        "from retrolabel.transforms.formats.json_lines import FORMAT as JSON\n"
        "import dataclasses\n\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)  # what a script starts in its background ignores it\n\n"
        "def stop(lines):\n"
        f"    os.kill(os.getpid(), signal.{number})\n"
        "    return JSON.unwrap(lines)\n\n"
        "FORMAT = dataclasses.replace(JSON, unwrap=stop)\n"
    )
    (shop / "shoes.yaml").write_text(CONFIG.replace("format: json", "format: stops:FORMAT"))
    command = [sys.executable, "-m", "retrolabel", "build", str(shop / "shoes.yaml"), "--date", DATE]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, said in done.stderr, "Traceback" in done.stderr) == (code, True, False), done.stderr
    assert not [path for path in (shop / "datasets").rglob("*") if path.is_file()]


def test_a_path_that_matches_the_dataset_itself_is_refused_before_its_files_are_read_as_logs(shop):
    text = CONFIG.replace("path: logs/serving/*.log*", "path: '**/*.*o*'").replace(
        "max_rejected: 0.2", "max_rejected: 1"
    )
    (shop / "shoes.yaml").write_text(text.replace("output: {path: datasets}", "output: {path: logs/datasets}"))
    run("build", str(shop / "shoes.yaml"), "--date", DATE)
    told = run("build", str(shop / "shoes.yaml"), "--date", DATE, code=4)
    assert "predictions: 'path' matches files of the dataset itself, such as " in told
    assert "/logs/datasets/shoes/" in told


def test_too_many_rejected_lines(shop):
    (shop / "shoes.yaml").write_text(CONFIG.replace("max_rejected: 0.2", "max_rejected: 0.001"))
    text = refuse(shop, 3)
    assert "predictions: 5 of" in text
    assert "max_rejected (0.10%)" in text
    assert "at byte" in text


def test_a_wrong_filter_is_shown_with_its_place(shop):
    (shop / "shoes.yaml").write_text(CONFIG.replace("kind = 'click'", "knd = 'click'"))
    text = refuse(shop, 2)
    assert "shoes.yaml:14:5  outcomes.click.where:" in text
    assert '"kind"' in text


def test_a_wrong_label_expression_is_shown_with_its_place(shop):
    (shop / "shoes.yaml").write_text(CONFIG.replace('"max(rating) >= 4"', '"rating >= 4"'))
    assert "labels.liked.value:" in refuse(shop, 2)


def test_a_filter_that_fails_on_a_value_fails_the_build_without_telling_the_value(shop):
    (shop / "shoes.yaml").write_text(CONFIG.replace("kind = 'click'", "CAST(kind AS INTEGER) = 1"))
    text = refuse(shop, 2)
    assert "shoes.yaml:14:5 outcomes.click.where: the filter fails on the log" in text
    assert "'view'" not in text


def test_a_label_that_outgrows_its_type_fails_the_build(shop):
    text = CONFIG.replace('"max(rating) >= 4"', f'"sum({2**63 - 1})"')
    (shop / "shoes.yaml").write_text(text)
    text = refuse(shop, 2)
    assert "liked" in text
    assert "more than 64 bits; make it a double" in text


@pytest.mark.parametrize("value", ["'sum(1e308) / count(*)'", "'count(*) / 0.0'"])
def test_a_label_that_is_not_finite_fails_the_build(shop, value):
    (shop / "shoes.yaml").write_text(CONFIG.replace('"max(rating) >= 4"', value))
    text = refuse(shop, 2)
    assert "liked" in text
    assert "not a finite number" in text


def test_a_label_that_is_not_finite_without_any_outcome_is_told_before_a_build(shop):
    (shop / "shoes.yaml").write_text(CONFIG.replace('"max(rating) >= 4"', "1 / count(*)"))
    assert "shoes.yaml:32:40  labels.liked.value: without any outcome it is not a finite number" in refuse(shop, 2)


def test_sql_cannot_read_files(shop):
    (shop / "shoes.yaml").write_text(
        CONFIG.replace("kind = 'click'", "kind IN (SELECT content FROM read_text('/etc/hostname'))")
    )
    assert "outcomes.click.where:" in refuse(shop, 2)


def test_a_truncated_gzip_yields_the_lines_it_has_and_is_counted_as_damaged(shop):
    path = shop / "logs/serving/b.log.gz"
    whole = gzip.decompress(path.read_bytes()).count(b"\n")
    path.write_bytes(path.read_bytes()[:-200])
    built = json.loads(run("build", str(shop / "shoes.yaml"), "--date", DATE, "--json"))
    manifest = json.loads(run("show", str(shop / "datasets/shoes"), "--json"))
    (damaged,) = [file for file in manifest["inputs"] if file["damaged"]]
    assert damaged["path"] == "logs/serving/b.log.gz"
    assert 0 < damaged["lines"] < whole
    assert built["published"]
    assert "damaged logs/serving/b.log.gz" in run("show", str(shop / "datasets/shoes"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--direct_running_mode", "multi_threading"], "silently loses elements"),
        (["--direct_running_mode", "multi_processing"], "hangs for ever"),
        (["--direct_num_workers", "2"], "--direct_num_workers is refused"),
        (["--hdfs_host", "namenode"], "--hdfs_host is refused: the URL names the server"),
        (["--runner", "DaskRunner"], "drops branches"),
        (["--runner", "BundleBasedDirectRunner"], "refused"),
        (["--runner", "NoSuchRunner"], "NoSuchRunner"),
        (["--jsn"], "no option is called --jsn"),
        (["--dat", "2026-11-20"], "no option is called --dat"),
    ],
)
def test_ways_of_running_that_lose_data_or_hang_are_refused(arguments, words):
    with pytest.raises(ConfigError, match=words):
        choose_runner(arguments)


def test_rejects_are_listed_with_place_and_reason_and_harmless_text(shop):
    with (shop / "logs/clicks/c.log").open("a") as file:
        file.write('\r\n\x1b[31mred\x1b[0m {"a": "<script>"}\r\n')
    run("build", str(shop / "shoes.yaml"), "--date", DATE)
    text = run("rejects", str(shop / "datasets/shoes"), "--source", "click")
    assert "click: malformed: logs/clicks/c.log at byte" in text
    assert "\x1b" not in text
    assert "\\x1b[31mred" in text
    entries = [json.loads(line) for line in run("rejects", str(shop / "datasets/shoes"), "--json").splitlines()]
    assert {entry["source"] for entry in entries} == {"predictions", "click", "purchase"}
    data = (shop / "logs/clicks/c.log").read_bytes()
    for entry in entries:
        if entry["path"] == "logs/clicks/c.log":
            assert data[entry["offset"] :].startswith(entry["line"].encode())


def test_the_text_of_rejected_lines_may_be_left_out(shop):
    (shop / "shoes.yaml").write_text(CONFIG + "privacy: {rejected_lines: drop}\n")
    run("build", str(shop / "shoes.yaml"), "--date", DATE)
    entries = [json.loads(line) for line in run("rejects", str(shop / "datasets/shoes"), "--json").splitlines()]
    assert {entry["line"] for entry in entries} == {None}
    for path in (shop / "datasets").rglob("*"):
        if path.is_file():
            assert b"not json" not in path.read_bytes()


def test_loading_what_is_not_there_says_what_is(shop):
    run("build", str(shop / "shoes.yaml"), "--date", DATE)
    with pytest.raises(retrolabel.schemas.errors.InputError, match="no version 9; there is 1 alone"):
        retrolabel.load(str(shop / "datasets/shoes"), version=9)
    with pytest.raises(retrolabel.schemas.errors.InputError, match="it has eval, test, train"):
        retrolabel.load(str(shop / "datasets/shoes"), split="validation")
    with pytest.raises(retrolabel.schemas.errors.InputError, match="is no dataset"):
        retrolabel.load(str(shop))


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 300 kB; only root may make one."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(place)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("needs root, to mount a small file system")
    yield place
    # Arrow closes what it has read from on a thread of its own, sometimes a moment later.
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_full_disk_fails_the_build_and_a_larger_one_heals_it(shop, small_disk):
    text = CONFIG.replace("output: {path: datasets}", f"output: {{path: {small_disk}}}")
    (shop / "shoes.yaml").write_text(text)
    (small_disk / "ballast").write_bytes(b"0" * 290_000)
    text = run("build", str(shop / "shoes.yaml"), "--date", DATE, code=7)
    assert "the disk is full: free some space" in text
    assert not list(small_disk.rglob("*.json"))
    (small_disk / "ballast").unlink()
    subprocess.run(["mount", "-o", "remount,size=30m", str(small_disk)], check=True)
    run("build", str(shop / "shoes.yaml"), "--date", DATE)
    assert retrolabel.load(str(small_disk / "shoes")).count_rows() > 0
