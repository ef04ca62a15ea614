"""Builders, readers, `gc` and retention at once: no reader ever finds a torn version, and no version is lost.

Everything that was there before is old, so that `gc` and retention are at work; and builders write again the very files that killed builds left,
while `gc` removes them.
"""

import datetime
import itertools
import multiprocessing
import os
import pathlib
import random
import signal
import time
from multiprocessing.synchronize import Event

import pytest

import retrolabel
from retrolabel.configs.model import Retention
from retrolabel.pipelines.retention import GRACE, expire
from retrolabel.schemas.errors import InputError, IntegrityError
from retrolabel.transforms.dataset import read_day_manifest, read_version, verify, version_numbers
from retrolabel.transforms.sweep import sweep
from tests.support.at_rest import examples, publish_day, store
from tests.support.daily import click, make_shop, serve
from tests.support.faults import Workshop

DAYS = [f"2026-11-{day:02d}" for day in range(1, 9)]
BUILDERS = 3
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
    """What is wrong with the versions that there are; one that retention removes meanwhile is no longer one."""
    wrong = []
    for number in version_numbers(root):
        try:
            for path in read_version(root, number).days.values():
                wrong += verify(root, read_day_manifest(root, path))
        except (InputError, IntegrityError) as error:
            wrong.append(str(error))
        if wrong and number not in version_numbers(root):
            wrong.clear()
        if wrong:
            return wrong
    return wrong


def read(root: str, stop: Event, told) -> None:
    looks = 0
    while not stop.is_set() or not looks:
        if wrong := torn(root):
            told.put(wrong)
            return
        retrolabel.load(root).to_table()
        looks += 1
    told.put(looks)


def sweep_always(root: str, stop: Event, told) -> None:
    swept = 0
    while not stop.is_set() or not swept:
        swept += len(sweep(root, GRACE))
    told.put(swept)


def expire_always(root: str, stop: Event, told) -> None:
    expired = 0
    while not stop.is_set():
        expired += len(expire(root, Retention(versions=2), time.time()))
    told.put(expired)


ROLES = {"read": read, "sweep": sweep_always, "expire": expire_always}
"""What goes on while days are built, until all are; each tells in the end how often it did something, or what it found wrong."""


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
    left_by_killed_builds(root)
    grow_old(root)
    stop, told = SPAWN.Event(), {role: SPAWN.Queue() for role in ROLES}
    others = [SPAWN.Process(target=ROLES[role], args=(str(root), stop, told[role])) for role in ROLES]
    builders = [SPAWN.Process(target=build_days, args=(str(root), seed + n, turns)) for n in range(BUILDERS)]
    for process in (*others, *builders):
        process.start()
    for process in builders:
        process.join()
    stop.set()
    found = {role: queue.get() for role, queue in told.items()}
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
    all_at_once(tmp_path, seed=1, turns=8)
    found = all_at_once(tmp_path, seed=2, turns=8)  # now with versions that are old
    check_history(str(tmp_path))
    assert found["expire"] > 0
    assert found["sweep"] > 0
    assert found["read"] > 0


@pytest.mark.slow
def test_builders_readers_gc_and_retention_at_once_many_times(tmp_path):
    total: dict[str, int] = dict.fromkeys(ROLES, 0)
    rounds, turns = 20, 40
    for number in range(rounds):
        for role, count in all_at_once(tmp_path, seed=100 * number, turns=turns).items():
            total[role] += count
        check_history(str(tmp_path))
    versions = version_numbers(str(tmp_path))[-1]
    print(f"\n{rounds * turns * BUILDERS} builds by {BUILDERS} at once made {versions} versions; {total['read']} full reads, "
          f"{total['expire']} versions expired, {total['sweep']} files swept meanwhile: none torn, none lost")  # fmt: skip


@pytest.mark.slow
def test_commands_at_once_some_of_them_killed(tmp_path):
    """Whole commands, by two schedulers, by hand, and by `gc`, over the same days."""
    workshop, random_ = Workshop(tmp_path), random.Random(3)
    days = ["2026-11-20", "2026-11-21", "2026-11-22"]
    for name in ("calm", "shop"):
        make_shop(tmp_path / name, "retention: {versions: 3}\nschedule: {parallel: 2}\n")
        for day in days:
            serve(tmp_path / name, day)
            click(tmp_path / name, day)
    now, later = "2026-11-23T12:00:00Z", ("--outcomes-complete-until", "2026-12-01")
    assert workshop.run("run", str(tmp_path / "calm/shop.yaml"), "--now", now).code == 0
    shop = str(tmp_path / "shop/shop.yaml")
    root, killed, looks = tmp_path / "shop/datasets/shop", 0, 0
    for _ in range(20):
        grow_old(tmp_path / "shop")
        commands = [
            ("run", shop, "--now", now), ("run", shop, "--now", now), ("build", shop, "--date", days[0]),
            ("build", shop, "--date", days[0], *later), ("build", shop, "--date", days[2]), ("gc", str(root)),
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
            # There may be no dataset yet for `gc`; of a day that was built with more outcomes a run leaves what stands.
            assert ended.code in (0, 4, 8, -signal.SIGKILL), (command, ended)
            assert "Traceback" not in ended.output
        assert torn(str(root)) == []
    for day in days:
        assert workshop.run("build", shop, "--date", day).code == 0
    workshop.close()
    calm, then = (retrolabel.load(str(tmp_path / name / "datasets/shop")).to_table() for name in ("calm", "shop"))
    assert then.equals(calm)
    assert datetime.date.fromisoformat(max(read_version(str(root)).days)) == datetime.date(2026, 11, 22)
    print(
        f"\n{20 * len(commands)} commands, six at once, {killed} of them killed; a reader looked {looks} times: none torn, all healed"
    )
