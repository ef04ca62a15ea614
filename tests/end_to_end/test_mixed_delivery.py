"""Logs as they are delivered: files rotated and compressed, written to while they are read, events in the file of another day."""

import bz2
import datetime
import gzip
import json
import os

import pytest
import zstandard

from retrolabel.pipelines import planning
from retrolabel.pipelines.build_command import build_day, run_pipeline
from retrolabel.pipelines.check_command import check_project
from retrolabel.pipelines.planning import plan_build
from retrolabel.pipelines.runner import choose_runner
from retrolabel.schemas.errors import InputError
from retrolabel.transforms import read
from tests.end_to_end.test_versions import run
from tests.support import memory_store
from tests.support.messy import TIMESTAMP

DATE = datetime.date(2026, 11, 20)

CONFIG = """\
dataset: shoes
predictions: {format: json, path: "serving/*.log*", schema: event.avsc, key: id, time: at}
outcomes:
  click: {format: json, path: "clicks/*.log*", schema: event.avsc, key: id, time: at}
labels:
  clicked: {outcome: click, window: 1h, value: any}
"""


def lines(*hours: float, day: int = 20) -> str:
    start = datetime.datetime(2026, 11, day, tzinfo=datetime.UTC)
    moments = [start + datetime.timedelta(hours=hour) for hour in hours]
    return "".join(json.dumps({"at": moment.isoformat(), "id": f"{moment:%d%H%M}"}) + "\n" for moment in moments)


@pytest.fixture
def shop(tmp_path):
    fields = [{"name": "at", "type": TIMESTAMP}, {"name": "id", "type": "string"}]
    (tmp_path / "event.avsc").write_text(json.dumps({"type": "record", "name": "Event", "fields": fields}))
    (tmp_path / "shoes.yaml").write_text(CONFIG)
    (tmp_path / "serving").mkdir()
    (tmp_path / "clicks").mkdir()
    (tmp_path / "serving/app.log").write_text(lines(2, 3, 4))
    (tmp_path / "clicks/app.log").write_text(lines(2.5, 3, 30))
    return tmp_path


def build(shop):
    return build_day(check_project(str(shop / "shoes.yaml")), DATE, {}, choose_runner([]))


def test_a_rotated_file_and_its_compressed_copy_count_once_and_are_told(shop):
    (shop / "serving/app.log.1").write_text(lines(0, 1))
    (shop / "serving/app.log.1.gz").write_bytes(gzip.compress(lines(0, 1).encode()))
    told = run("build", str(shop / "shoes.yaml"), "--date", str(DATE))
    assert "predictions: 5 lines in 2 files" in told
    assert "counted once: serving/app.log.1.gz holds the same text as serving/app.log.1" in told
    assert "0 duplicate + 5 unique" in told
    again = json.loads(run("build", str(shop / "shoes.yaml"), "--date", str(DATE), "--json"))
    assert not again["published"]
    assert again["copies"] == [
        {"source": "predictions", "path": "serving/app.log.1.gz", "copy_of": "serving/app.log.1"}
    ]


def test_a_copy_is_in_the_manifest_with_its_checksum_and_no_lines(shop):
    (shop / "serving/old.gz").unlink(missing_ok=True)
    (shop / "serving/app.log.gz").write_bytes(gzip.compress((shop / "serving/app.log").read_bytes()))
    first = build(shop).manifest
    assert [(file.path, file.lines, file.copy_of) for file in first.inputs if file.source == "predictions"] == [
        ("serving/app.log", 3, None), ("serving/app.log.gz", 0, "serving/app.log"),
    ]  # fmt: skip
    (shop / "serving/app.log.gz").write_bytes(gzip.compress(lines(5).encode()))
    assert build(shop).manifest.accounting["predictions"].unique == 4, "the copy has become a file of its own"


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("change", ["grown", "replaced", "touched", "removed"])
def test_a_file_that_changes_during_the_build_is_told_and_nothing_is_published(shop, change, packed):
    log = shop / "serving/app.log"
    content = log.read_bytes()
    log.write_bytes(gzip.compress(content) if packed else content)
    project = check_project(str(shop / "shoes.yaml"))
    plan, inputs = plan_build(project, DATE, {}, in_process=True)
    stored = log.read_bytes()
    if change == "grown":
        log.write_bytes(stored + stored)
    elif change == "replaced":
        (shop / "new").write_bytes(stored)
        os.utime(shop / "new", ns=(log.stat().st_atime_ns, log.stat().st_mtime_ns))
        os.replace(shop / "new", log)
    elif change == "touched":
        os.utime(log, ns=(0, log.stat().st_mtime_ns + 1))
    else:
        log.unlink()
    told = (
        "which was there when the build began"
        if change == "removed"
        else "'serving/app.log' changed while the build read it"
    )
    with pytest.raises(InputError, match=told):
        run_pipeline(plan, inputs, choose_runner([]))
    assert not list((shop / "datasets").rglob("*.json"))


def test_lookaround_finds_events_in_the_files_of_other_days(shop):
    config = CONFIG.replace("serving/*.log*", "serving/{date:%Y-%m-%d}.log")
    (shop / "serving/2026-11-20.log").write_text(lines(1, 2, 23))
    (shop / "serving/2026-11-21.log").write_text(lines(23.9) + lines(1, day=21))
    (shop / "shoes.yaml").write_text(config)
    assert build(shop).manifest.accounting["predictions"].unique == 3
    (shop / "shoes.yaml").write_text(
        config.replace(
            "schema: event.avsc, key: id, time: at}", "schema: event.avsc, key: id, time: at, lookaround: 2h}", 1
        )
    )
    counts = build(shop).manifest.accounting["predictions"]
    assert (counts.lines, counts.unique, counts.out_of_range) == (5, 4, 1)


@pytest.mark.parametrize("block", [2**23, 50])
def test_objects_whose_names_do_not_tell_or_lie_are_read_as_their_bytes_say(shop, monkeypatch, block):
    monkeypatch.setattr(read, "BLOCK_BYTES", block)
    monkeypatch.setattr(planning, "BLOCK_BYTES", block)
    config = (shop / "shoes.yaml").read_text().replace("serving/*.log*", "memory://logs/serving/*")
    (shop / "shoes.yaml").write_text(config)
    contents = {
        "100000-objectA1b2": gzip.compress(lines(2).encode()), "100001-objectC3d4": zstandard.compress(lines(3).encode()),
        "100002-objectE5f6": bz2.compress(lines(4).encode()), "transcoded.json.gz": lines(5).encode(), "plain.json": lines(6, 7, 8).encode(),
        "stream-2026-11-20": gzip.compress(gzip.compress(lines(9).encode()) + gzip.compress(lines(10).encode())),
    }  # fmt: skip
    for name, content in contents.items():
        monkeypatch.setitem(memory_store.OBJECTS, f"memory://logs/serving/{name}", content)
    found = build(shop).manifest
    counts = {
        file.path.removeprefix("memory://logs/serving/"): file.lines
        for file in found.inputs
        if file.source == "predictions"
    }
    assert counts == {name: 3 if name == "plain.json" else 2 if name.startswith("stream") else 1 for name in contents}
    assert found.accounting["predictions"].unique == 9
    assert all(file.damaged is None for file in found.inputs)


def test_small_objects_are_not_looked_at_before_they_are_read(shop, monkeypatch):
    (shop / "shoes.yaml").write_text(
        (shop / "shoes.yaml").read_text().replace("serving/*.log*", "memory://logs/serving/*")
    )
    monkeypatch.setitem(memory_store.OBJECTS, "memory://logs/serving/a", lines(2).encode())
    monkeypatch.setitem(memory_store.OBJECTS, "memory://logs/serving/b", lines(3).encode())
    memory_store.OPENED.clear()
    plan_build(check_project(str(shop / "shoes.yaml")), DATE, {}, in_process=True)
    assert memory_store.OPENED == []


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: os.mkfifo(path), "predictions: 'SHOP/serving/b.log' is no regular file"),
        (lambda path: path.symlink_to("gone.log"), "No such file or directory; it is a link to 'gone.log'"),
        (lambda path: path.symlink_to(path), "predictions: cannot list SHOP/serving/b.log: Too many levels of symbolic links"),
        (lambda path: path.with_name(os.fsdecode(b"\xff.log")).write_text(""), "'SHOP/serving/\\udcff.log' is no UTF-8"),
    ],
    ids=["pipe", "link to nowhere", "link to itself", "name that is no text"],
)  # fmt: skip
def test_what_cannot_be_read_is_told_and_not_passed_over(shop, make, said):
    make(shop / "serving/b.log")
    told = run("build", str(shop / "shoes.yaml"), "--date", str(DATE), code=4)
    assert said.replace("SHOP", str(shop)) in told


def test_folders_may_be_links_and_be_called_like_patterns(tmp_path, shop):
    config = CONFIG.replace('"serving/*.log*"', '"days/{date:%d}*/*.log*"')
    (shop / "shoes.yaml").write_text(config)
    (shop / "days").mkdir()
    (shop / "days/20 [x]").symlink_to(shop / "serving")
    home = shop / "a*b [c]"
    home.mkdir()
    for name in ("shoes.yaml", "event.avsc", "days", "clicks"):
        (shop / name).rename(home / name)
    (shop / "aXb c").mkdir()
    told = run("build", str(home / "shoes.yaml"), "--date", str(DATE))
    assert "predictions: 3 lines in 1 file" in told
    days = run("run", str(home / "shoes.yaml"), "--now", "2026-11-21T12:00:00Z", "--dry-run", "--json", code=0)
    assert [json.loads(line)["date"] for line in days.splitlines()] == ["2026-11-20"]


def test_an_hour_without_a_file_between_others_is_told_for_its_clicks_would_be_negatives(shop):
    config = CONFIG.replace("clicks/*.log*", "clicks/{date:%Y%m%d}-{hour}*.log")
    (shop / "shoes.yaml").write_text(config)
    for day, hour in ((20, 2), (20, 3), (20, 5), (21, 6)):
        (shop / f"clicks/202611{day}-{hour:02d}.log").write_text(lines(hour + 0.5, day=day))
    built = run("build", str(shop / "shoes.yaml"), "--date", str(DATE))
    told = [line for line in built.splitlines() if "no file" in line]
    assert told == [
        "    warning: no file for 25 of the hours or days between others, clicks/20261120-04*.log to clicks/20261121-05*.log: are events missing?"
    ]
    again = json.loads(run("build", str(shop / "shoes.yaml"), "--date", str(DATE), "--json"))
    assert again["holes"]["click"][:2] == ["clicks/20261120-04*.log", "clicks/20261120-06*.log"]
    assert told[0] in run("show", str(shop / "datasets/shoes"))
    for day, hour in [(20, hour) for hour in range(4, 24)] + [(21, hour) for hour in range(6)]:
        (shop / f"clicks/202611{day}-{hour:02d}.log").touch()
    assert "no file" not in run("build", str(shop / "shoes.yaml"), "--date", str(DATE))
