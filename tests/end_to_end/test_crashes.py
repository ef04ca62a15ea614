"""Builds that are killed: before every step on the disk, and at random moments while others read.

The short form, five steps with whole processes, is in test_versions.py. Here a build is a fork of a process that has imported everything, so that
hundreds can be killed in minutes.
"""

import os
import pathlib
import random
import shutil
import signal
import time
from collections.abc import Callable

import pytest

from retrolabel.pipelines.build_command import build_day
from retrolabel.pipelines.check_command import check_project
from retrolabel.pipelines.runner import choose_runner
from retrolabel.transforms import storage
from retrolabel.transforms.dataset import read_day_manifest, read_version, verify, version_numbers
from retrolabel.transforms.sweep import unlisted
from tests.end_to_end.test_versions import files_of
from tests.support.messy import DAY, write_logs

MOMENTS = 150
STEPS = ("mkdir", "fsync", "replace", "link")
"""What a build does to the disk: a folder made, a file or folder synced, a file moved into place, a version committed."""


def forked(work: Callable[[], None]) -> int:
    """Starts work in a fork of this process; gives its number."""
    child = os.fork()
    if not child:
        code = 1
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            work()
            code = 0
        finally:
            os._exit(code)
    return child


def status_of(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def build(shop: pathlib.Path) -> None:
    build_day(check_project(str(shop / "shoes.yaml")), DAY.date(), {}, choose_runner([]))


def dying(shop: pathlib.Path, left: int, told: int | None = None) -> None:
    """A build that is killed before one of its steps; one that lives tells through a pipe how many it had left."""
    remaining = [left]

    def wrapped(step):
        def call(*arguments, **options):
            remaining[0] -= 1
            if remaining[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return step(*arguments, **options)

        return call

    for name in STEPS:
        setattr(os, name, wrapped(getattr(os, name)))
    build(shop)
    if told is not None:
        os.write(told, str(remaining[0]).encode())


def readable(root: pathlib.Path) -> int:
    """How many versions there are; every one must be whole."""
    numbers = version_numbers(str(root))
    for number in numbers:
        for path in read_version(str(root), number).days.values():
            assert list(verify(str(root), read_day_manifest(str(root), path))) == []
    return len(numbers)


def mended(shop: pathlib.Path, expected: dict) -> None:
    """What is there is whole; after another build, and a sweep, it is what an undisturbed build leaves."""
    root = shop / "datasets/shoes"
    readable(root)
    assert status_of(forked(lambda: build(shop))) == 0
    for path in unlisted(str(root), older_than=0):
        storage.delete(storage.join(str(root), path))
    storage.remove_empty_folders(str(root))
    assert files_of(shop / "datasets") == expected
    shutil.rmtree(shop / "datasets")


@pytest.fixture
def shop(tmp_path):
    write_logs(tmp_path, seed=5, predictions=150)
    return tmp_path


@pytest.mark.slow
def test_killed_before_every_step_on_the_disk(shop):
    receive, tell = os.pipe()
    assert status_of(forked(lambda: dying(shop, 1_000_000, tell))) == 0
    steps = 1_000_000 - int(os.read(receive, 20))
    expected = files_of(shop / "datasets")
    shutil.rmtree(shop / "datasets")
    for step in range(steps):
        assert status_of(forked(lambda step=step: dying(shop, step))) == -signal.SIGKILL, step
        mended(shop, expected)
    print(f"\nkilled before each of {steps} steps: all mended")


@pytest.mark.slow
def test_killed_at_random_moments_while_others_read(shop):
    started = time.monotonic()
    assert status_of(forked(lambda: build(shop))) == 0
    takes = time.monotonic() - started
    expected = files_of(shop / "datasets")
    shutil.rmtree(shop / "datasets")
    random_, killed, published = random.Random(1), 0, 0
    for _ in range(MOMENTS):
        child = forked(lambda: build(shop))
        end = time.monotonic() + random_.uniform(0, takes * 1.1)
        while time.monotonic() < end:
            readable(shop / "datasets/shoes")
        os.kill(child, signal.SIGKILL)
        killed += status_of(child) == -signal.SIGKILL
        published += bool(version_numbers(str(shop / "datasets/shoes")))
        mended(shop, expected)
    assert killed > MOMENTS / 3
    assert 0 < published < MOMENTS
    print(f"\n{killed} builds killed at random moments, {published} of {MOMENTS} had published: all mended")
