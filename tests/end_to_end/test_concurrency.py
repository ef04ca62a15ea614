"""Builders, readers, `gc`, retention and erasures at once: no reader ever finds a torn version, and no version is lost.

Everything that was there before is old, so that `gc` and retention are at work; and builders write again the very files that killed builds left,
while `gc` removes them.
"""

import datetime
import itertools
import multiprocessing
import os
import pathlib
import queue
import random
import signal
import time
import traceback
from multiprocessing.process import BaseProcess
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event

import pytest

import retrolabel
from retrolabel.configs.model import Retention
from retrolabel.pipelines.retention import GRACE, expire
from retrolabel.schemas.errors import InputError, IntegrityError
from retrolabel.transforms.dataset import read_day_manifest, read_version, record_path, version_numbers
from retrolabel.transforms.sweep import sweep, unlisted
from retrolabel.transforms.verify import verify
from tests.support.at_rest import examples, publish_day, store
from tests.support.daily import click, make_shop, serve
from tests.support.faults import KEY, Workshop

DAYS = [f"2026-11-{day:02d}" for day in range(1, 9)]
BUILDERS = 3
ROUNDS = int(os.environ.get("RETROLABEL_TEST_ROUNDS", "20"))
SPAWN = multiprocessing.get_context("spawn")


def rows_of(day: str, turn: int):
    """What a day's build holds; the same turn gives the same bytes."""
    return examples({f"{day}/{number}": (number + turn) % 3 == 0 for number in range(40)})


def build_days(root: str, seed: int, turns: int) -> None:
    """Builds days in an order of its own, some of them as others do at the same moment."""
    random_ = random.Random(seed)
    for _ in range(turns):
        day, turn = random_.choice(DAYS), random_.randrange(4)
        publish_day(root, rows_of(day, turn), date=day, build=f"{turn:016x}", shards=2)
        retrolabel.load(root, date=day).to_table()


def torn(root: str) -> list[str]:
    """What is wrong with the versions that there are."""
    return [told for number in version_numbers(root) for told in wrong_with(root, number)]


def wrong_with(root: str, number: int) -> list[str]:
    """Of a version that retention removes, or an erasure replaces, while it is looked at, it is looked at again."""
    path = pathlib.Path(root, record_path(number))
    while path.exists():
        try:
            record = path.read_bytes()
            days = read_version(root, number).days.values()
            wrong = [told for day in days for told in verify(root, read_day_manifest(root, day))]
        except (InputError, IntegrityError, FileNotFoundError) as error:
            wrong = [str(error)]
        if not wrong or (path.exists() and path.read_bytes() == record):
            return wrong
    return []


def read(root: str, stop: Event) -> int | list[str]:
    looks = 0
    while not stop.is_set() or not looks:
        if wrong := torn(root):
            return wrong
        retrolabel.load(root).to_table()
        looks += 1
    return looks


def sweep_always(root: str, stop: Event) -> int:
    swept = len(sweep(root, GRACE))
    while not stop.is_set():
        swept += len(sweep(root, GRACE))
    return swept


def expire_always(root: str, stop: Event) -> int:
    expired = len(expire(root, Retention(versions=2), time.time()))
    while not stop.is_set():
        expired += len(expire(root, Retention(versions=2), time.time()))
    return expired


ROLES = {"read": read, "sweep": sweep_always, "expire": expire_always}
"""What goes on while days are built, until all are: how often something was done, or what was found wrong."""


def play(role: str, root: str, stop: Event, told: Queue) -> None:
    """Plays a role and tells what came of it, be it an error: a role that ends in silence would be waited for."""
    try:
        told.put(ROLES[role](root, stop))
    except Exception:
        told.put(traceback.format_exc())
        raise


def heard(process: BaseProcess, told: Queue) -> int | list[str] | str:
    """What a role tells; a process that died before it could tell anything is not waited for."""
    while True:
        was_alive = process.is_alive()
        try:
            return told.get(timeout=1)
        except queue.Empty:
            assert was_alive, f"a role ended with {process.exitcode} and told nothing"


def grow_old(root: pathlib.Path) -> None:
    """Two days pass."""
    for path in root.rglob("*"):
        changed = path.stat().st_mtime - 2 * 86_400
        os.utime(path, (changed, changed))


def left_by_killed_builds(root: pathlib.Path) -> None:
    for day in DAYS:
        for turn in range(4):
            store(root, rows_of(day, turn), date=day, build=f"{turn:016x}", shards=2)


def all_at_once(root: pathlib.Path, seed: int, turns: int) -> dict[str, int]:
    """Lets builders and all roles work at once; how often each role did something."""
    build_days(str(root), seed, 1)  # whoever reads finds a version
    left_by_killed_builds(root)
    grow_old(root)
    stop, told = SPAWN.Event(), {role: SPAWN.Queue() for role in ROLES}
    others = [SPAWN.Process(target=play, args=(role, str(root), stop, told[role])) for role in ROLES]
    builders = [SPAWN.Process(target=build_days, args=(str(root), seed + n, turns)) for n in range(BUILDERS)]
    for process in (*others, *builders):
        process.start()
    for process in builders:
        process.join()
    stop.set()
    found = {role: heard(process, queue) for process, (role, queue) in zip(others, told.items(), strict=True)}
    for process in others:
        process.join()
    assert [process.exitcode for process in (*builders, *others)] == [0] * (BUILDERS + len(ROLES)), found
    assert isinstance(found["read"], int), found
    assert torn(str(root)) == []
    return found


def check_history(root: str) -> None:
    """Every version differs from the one before in its own day, and in nothing else: no commit undid another."""
    numbers = version_numbers(root)
    assert numbers == list(range(numbers[0], numbers[-1] + 1))
    for before, after in itertools.pairwise(numbers):
        old, new = read_version(root, before), read_version(root, after)
        assert new.parent == before
        assert {**old.days, new.date: new.days[new.date]} == new.days


def test_builders_readers_gc_and_retention_at_once(tmp_path):
    all_at_once(tmp_path, seed=1, turns=4)
    found = all_at_once(tmp_path, seed=2, turns=4)  # now with versions that are old
    check_history(str(tmp_path))
    assert found["expire"] > 0
    assert found["read"] > 0
    assert unlisted(str(tmp_path), GRACE) == {}  # be it that `gc` or retention swept


@pytest.mark.slow
def test_builders_readers_gc_and_retention_at_once_many_times(tmp_path):
    total: dict[str, int] = dict.fromkeys(ROLES, 0)
    turns = 40
    for number in range(ROUNDS):
        for role, count in all_at_once(tmp_path, seed=100 * number, turns=turns).items():
            total[role] += count
        check_history(str(tmp_path))
    versions = version_numbers(str(tmp_path))[-1]
    print(f"\n{ROUNDS * turns * BUILDERS} builds by {BUILDERS} at once made {versions} versions; {total['read']} full reads, "
          f"{total['expire']} versions expired, {total['sweep']} files swept meanwhile: none torn, none lost")  # fmt: skip


@pytest.mark.slow
def test_commands_at_once_some_of_them_killed(tmp_path):
    """Whole commands over the same days: by two schedulers and by hand, with `gc` and `forget`."""
    workshop, random_ = Workshop(tmp_path), random.Random(3)
    days = ["2026-11-20", "2026-11-21", "2026-11-22"]
    for name in ("calm", "shop"):
        sections = f"retention: {{versions: 3}}\nschedule: {{parallel: 2}}\nprivacy: {{key: {{env: {KEY}}}}}\n"
        make_shop(tmp_path / name, sections)
        for day in days:
            serve(tmp_path / name, day)
            click(tmp_path / name, day)
    now, later = "2026-11-23T12:00:00Z", ("--outcomes-complete-until", "2026-12-01")
    assert workshop.run("run", str(tmp_path / "calm/shop.yaml"), "--now", now).code == 0
    shop = str(tmp_path / "shop/shop.yaml")
    root, killed, looks = tmp_path / "shop/datasets/shop", 0, 0
    gone = [f"{day}/{hour:02}" for day in days for hour in random_.sample(range(24), 8)][:ROUNDS]
    for turn in range(ROUNDS):
        grow_old(tmp_path / "shop")
        commands = [
            ("run", shop, "--now", now), ("run", shop, "--now", now), ("build", shop, "--date", days[0]),
            ("build", shop, "--date", days[0], *later), ("build", shop, "--date", days[2]), ("gc", str(root)),
            ("forget", shop, f"--subject=id={gone[turn % len(gone)]}"),
        ]  # fmt: skip
        running = [workshop.start(*command) for command in commands]
        victim = random_.choice(running)
        for _ in range(random_.randrange(1, 30)):
            looks += 1
            assert torn(str(root)) == []
        if not workshop.has_ended(victim):
            os.kill(victim, signal.SIGKILL)
        while not all(map(workshop.has_ended, running)):
            looks += 1
            assert torn(str(root)) == []
        for process, command in zip(running, commands, strict=True):
            ended = workshop.end(process)
            killed += ended.code == -signal.SIGKILL
            # Another run is at work; there is no dataset yet; or a build did not know that somebody was forgotten meanwhile.
            assert ended.code in (0, 4, 8, -signal.SIGKILL), (command, ended)
            assert "Traceback" not in ended.output
        assert torn(str(root)) == []
    erase = ("forget", shop, *(f"--subject=id={key}" for key in gone))
    for command in (erase, *(("build", shop, "--date", day) for day in days)):
        assert workshop.run(*command).code == 0
    workshop.close()
    calm, then = (retrolabel.load(str(tmp_path / name / "datasets/shop")).to_table() for name in ("calm", "shop"))
    assert then.to_pylist() == [row for row in calm.to_pylist() if row["id"] not in gone]
    assert datetime.date.fromisoformat(max(read_version(str(root)).days)) == datetime.date(2026, 11, 22)
    print(
        f"\n{ROUNDS * len(commands)} commands, seven at once, {killed} of them killed, {len(gone)} people forgotten; a reader looked {looks} times: none torn, all healed"
    )
