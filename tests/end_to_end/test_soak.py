"""Many days in a row, by one process that lives as long as they do: with late data and changing schemas, disk and memory stay bounded.

A day is simulated by making every file a day older. Logs are kept for ten days, the dataset for a week.
"""

import contextlib
import dataclasses
import datetime
import gc
import itertools
import json
import multiprocessing
import os
import pathlib
import queue
import random
import tempfile
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
from click.testing import CliRunner

import retrolabel
from retrolabel.pipelines.cli import commands
from retrolabel.transforms.dataset import read_day_manifest, read_version, version_numbers
from retrolabel.transforms.verify import verify

FIRST = datetime.date(2027, 1, 1)
DAY = datetime.timedelta(days=1)
LOGS_KEPT = 10
DAYS_KEPT = 7
VERSIONS_KEPT = 4

CONFIG = f"""\
dataset: shop
predictions: {{format: json, path: "logs/served/{{date:%Y-%m-%d}}*.json", schema: served.avsc, key: id, time: at}}
outcomes:
  click: {{format: json, path: "logs/click/{{date:%Y-%m-%d}}*.json", schema: click.avsc, id: event, key: id, time: at}}
labels:
  clicked: {{outcome: click, window: 24h, value: any}}
split: {{by: id, parts: {{train: 0.9, eval: 0.1}}}}
slices: [[shelf]]
monitor: {{score: score, label: clicked}}
retention: {{versions: {VERSIONS_KEPT}, days: {DAYS_KEPT}}}
on_publish: {{file: told.json}}
"""

TIME = {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}}


@dataclasses.dataclass(frozen=True)
class Measured:
    """What a day leaves: in memory, on the disk, and open."""

    peak: int
    """Bytes of memory at most, while the day's run was at work."""
    files: int
    bytes: int
    versions: int
    open_files: frozenset[str]
    """Number and target of each."""
    threads: int
    temporary: int
    """Files and folders where the system keeps temporary ones, and below the dataset's own folder for them."""


def fields_of(number: int) -> list[dict[str, Any]]:
    """The contract of the served log on a day: fields come, are widened, and go."""
    price = "int" if number < 20 else "double"
    fields = [TIME, {"name": "id", "type": "string"}, {"name": "score", "type": "double"}, {"name": "price", "type": price},
              {"name": "shelf", "type": "string"}]  # fmt: skip
    if 10 <= number < 35:
        fields.append({"name": "category", "type": ["null", "string"]})
    return fields


def write_day(shop: pathlib.Path, number: int, rows: int, truth: dict[str, dict[str, bool]]) -> None:
    """Writes the logs that come on a day: its own, and what is late of days before."""
    random_ = random.Random(number)
    fields = fields_of(number)
    (shop / "served.avsc").write_text(json.dumps({"type": "record", "name": "served", "fields": fields}))
    own = [(number, "", rows), (number - 1, "-late", rows // 20)]
    if number % 3 == 0:
        own.append((number - 3, "-very-late", rows // 20))
    for day, name, count in own:
        if day < 0:
            continue
        date = FIRST + day * DAY
        served, clicks = [], []
        for turn in range(count):
            moment = datetime.datetime.combine(date, datetime.time(), datetime.UTC) + random_.random() * DAY
            event = {"at": moment.isoformat(), "id": f"{date}{name}/{turn}", "score": random_.random(), "shelf": f"s{turn % 7}",
                     "price": turn if number < 20 else turn / 2}  # fmt: skip
            if 10 <= number < 30:  # five days before the contract drops it, the field is gone from the log
                event["category"] = random_.choice(["boots", "shoes"])
            if number >= 40:
                event["unannounced"] = {"deep": [turn]}
            served += [json.dumps(event)] * random_.choice([1, 1, 1, 2])
            is_clicked = random_.random() < 0.3
            truth.setdefault(str(date), {})[event["id"]] = is_clicked
            if is_clicked:
                delayed = moment + random_.random() * DAY
                clicks.append((delayed, {"at": delayed.isoformat(), "id": event["id"], "event": f"e{event['id']}"}))
        write(shop / f"logs/served/{date}{name}.json", served)
        by_day: dict[datetime.date, list[str]] = {date: [], date + DAY: []}
        for moment, event in clicks:
            by_day[moment.date()].append(json.dumps(event))
        for log_date, lines in by_day.items():
            # The log of clicks reaches to the end of each day, whoever clicked then.
            end = datetime.datetime.combine(log_date + DAY, datetime.time(), datetime.UTC) - datetime.timedelta(
                microseconds=1
            )
            lines.append(json.dumps({"at": end.isoformat(), "id": "nobody", "event": f"end {log_date}"}))
            write(shop / f"logs/click/{log_date}-of-{date}{name}.json", lines)


def write(path: pathlib.Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def a_day_passes(shop: pathlib.Path, number: int) -> None:
    """Files grow older, and logs too old are deleted."""
    for path in shop.rglob("*"):
        changed = path.stat().st_mtime - 86_400
        os.utime(path, (changed, changed))
    limit = str(FIRST + (number - LOGS_KEPT) * DAY)
    for path in (shop / "logs").rglob("*.json"):
        if path.name[:10] < limit:
            path.unlink()


def open_files() -> Iterator[str]:
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            yield f"{number} {os.readlink(f'/proc/self/fd/{number}')}"


def kept_open(days: list[Measured]) -> set[str]:
    """What was opened after the second day and is open at the end of two days: Arrow's threads close what was read a moment later, not a day."""
    of_two_days = (before.open_files & after.open_files for before, after in itertools.pairwise(days[2:]))
    return set().union(*of_two_days) - days[1].open_files


def measured(root: pathlib.Path) -> Measured:
    process = psutil.Process()
    status = pathlib.Path("/proc/self/status").read_text().splitlines()
    peak = next(line.split()[1] for line in status if line.startswith("VmHWM"))
    files = [path for path in root.rglob("*") if path.is_file()]
    spills = [path for path in (root / "_tmp").glob("*") if path.name != "run.lock"]
    return Measured(
        peak=int(peak) * 1024, files=len(files), bytes=sum(path.stat().st_size for path in files), versions=len(version_numbers(str(root))),
        open_files=frozenset(open_files()), threads=process.num_threads(), temporary=len(os.listdir(tempfile.gettempdir())) + len(spills),
    )  # fmt: skip


def check_dataset(root: str, number: int, truth: dict[str, dict[str, bool]]) -> None:
    """Every version is whole, and the newest holds the last days with the labels that they should have."""
    for version in version_numbers(root):
        for path in read_version(root, version).days.values():
            assert list(verify(root, read_day_manifest(root, path))) == []
    days = [str(FIRST + day * DAY) for day in range(max(0, number - DAYS_KEPT + 1), number + 1)]
    assert list(read_version(root).days) == days
    for day in days[:-1]:  # the last one's windows are open
        rows = retrolabel.load(root, date=day).to_table(columns=["id", "clicked"]).to_pylist()
        found = {row["id"]: row["clicked"] for row in rows}
        assert len(rows) == len(found)
        assert found == truth[day]


def live(folder: str, days: int, rows: int, told) -> None:
    """A scheduler's life: writes logs and runs the daily command, day after day; tells what each day left."""
    shop = pathlib.Path(folder)
    tempfile.tempdir = str(shop.with_name("temporary"))
    os.mkdir(tempfile.tempdir)
    (shop / "shop.yaml").write_text(CONFIG)
    click = {
        "type": "record",
        "name": "click",
        "fields": [TIME, *({"name": name, "type": "string"} for name in ("id", "event"))],
    }
    (shop / "click.avsc").write_text(json.dumps(click))
    truth: dict[str, dict[str, bool]] = {}
    for number in range(days):
        write_day(shop, number, rows, truth)
        gc.collect()
        pathlib.Path("/proc/self/clear_refs").write_text("5")  # the peak of memory is that of the day
        now = f"{FIRST + (number + 1) * DAY}T06:00:00Z"
        result = CliRunner().invoke(commands, ["run", str(shop / "shop.yaml"), "--now", now])
        assert result.exit_code == 0, (number, result.output, result.exception)
        check_dataset(str(shop / "datasets/shop"), number, truth)
        told.put(measured(shop / "datasets/shop"))
        a_day_passes(shop, number)
    told.put(None)


def soak(folder: pathlib.Path, days: int, rows: int) -> list[Measured]:
    folder.mkdir()
    spawn = multiprocessing.get_context("spawn")
    told = spawn.Queue()
    process = spawn.Process(target=live, args=(str(folder), days, rows, told))
    process.start()
    found = []
    while process.is_alive() or not told.empty():
        try:
            found.append(told.get(timeout=1))
        except queue.Empty:
            continue
    process.join()
    assert process.exitcode == 0
    assert len(found) == days + 1
    return found[:-1]


@pytest.mark.skipif(not os.path.exists("/proc/self/clear_refs"), reason="memory is measured as Linux tells it")
def test_a_few_days_leave_nothing_open_and_nothing_behind(tmp_path):
    days = soak(tmp_path / "shop", 4, 60)
    assert {day.temporary for day in days} == {0}
    assert kept_open(days) == set()


@pytest.mark.slow
def test_fifty_days_in_bounded_disk_and_memory(tmp_path):
    rows = 3000
    days = soak(tmp_path / "shop", 50, rows)
    early, late = days[5:15], days[40:]
    for name in ("peak", "files", "bytes", "versions", "threads"):
        first, last = (max(getattr(day, name) for day in some) for some in (early, late))
        print(f"\n{name}: at most {first:,} on days 6 to 15, {last:,} on days 41 to 50", end="")
    print()
    assert max(day.peak for day in late) < max(day.peak for day in early) * 1.1
    assert max(day.files for day in late) <= max(day.files for day in early) * 1.1
    assert max(day.bytes for day in late) <= max(day.bytes for day in early) * 1.3  # prices are wider since
    assert max(day.versions for day in days) <= VERSIONS_KEPT + 3  # and what was the newest a day ago
    assert kept_open(days) == set()
    assert max(day.threads for day in late) <= max(day.threads for day in early) + 1
    assert {day.temporary for day in days} == {0}
