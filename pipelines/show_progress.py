"""What a person, or a log collector, sees while a build runs."""

import contextlib
import datetime
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from retrolabel.pipelines.summary import size_of
from retrolabel.transforms.progress import progress

_READING_SHARE = 0.6
"""How much of a build's time reading and parsing takes; the rest is spent on shards (measured: ARCHITECTURE.md)."""

_WIDE = 110
"""Columns of a terminal on which a bar, the rate and the time passed stand beside what is asked for most: how far, and how long still."""


@contextlib.contextmanager
def show_progress(day: datetime.date, log_format: str) -> Iterator[None]:
    """Shows how far the build of a day has come: a live display on a terminal, JSON lines by option, otherwise nothing."""
    if log_format == "json":
        with _ticking(5.0, lambda: _log("progress", day)):
            _log("started", day)
            yield
            _log("finished", day)
    elif sys.stderr.isatty():
        with _live(day):
            yield
    else:
        yield


def _log(event: str, day: datetime.date) -> None:
    numbers = {
        name: progress[name] for name in ("bytes", "total_bytes", "lines", "rejected", "shards", "written", "parts")
    }
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
    entry = {"time": now, "event": event, "date": day.isoformat(), "stage": progress.stage, **numbers}
    print(json.dumps(entry), file=sys.stderr, flush=True)


@contextlib.contextmanager
def _live(day: datetime.date) -> Iterator[None]:
    console = Console(stderr=True)
    is_wide = console.width >= _WIDE
    columns = (TextColumn("{task.description}"), *([BarColumn()] if is_wide else []), TextColumn("{task.percentage:>3.0f}%"),
               TextColumn("{task.fields[told]}"), *([TimeElapsedColumn()] if is_wide else []), TextColumn("left:"), TimeRemainingColumn())  # fmt: skip
    started = time.monotonic()
    with Progress(*columns, console=console, transient=True) as display:
        task = display.add_task(f"{day} starting", total=1.0, told="")

        def update() -> None:
            seconds = max(time.monotonic() - started, 1e-9)
            told = f"{size_of(progress['bytes'])} · {progress['lines']:,} lines"
            if is_wide:
                told += f" · {size_of(progress['bytes'] / seconds)}/s"
            if progress["rejected"]:
                told += f" · {progress['rejected']:,} rejected"
            display.update(task, completed=_share_done(), description=f"{day} {progress.stage}", told=told)

        with _ticking(0.2, update):
            yield


def _share_done() -> float:
    read = progress["bytes"] / max(progress["total_bytes"], 1)
    shards = progress["shards"] / max(progress["all_shards"], 1)
    return _READING_SHARE * min(read, 1.0) + (1 - _READING_SHARE) * min(shards, 1.0)


@contextlib.contextmanager
def _ticking(seconds: float, tick: Callable[[], None]) -> Iterator[None]:
    """Calls a function every so often until the block ends."""
    over = threading.Event()

    def run() -> None:
        while not over.wait(seconds):
            tick()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
