"""Files of received events, by tag, day and hour: open while they grow, complete under their final name, torn never."""

import datetime
import fcntl
import os
import re
import time
from collections import OrderedDict
from collections.abc import Iterable
from typing import BinaryIO

from retrolabel.schemas.errors import ConfigError
from retrolabel.transforms.storage import using

PART = ".part"
"""Ends the name of a file that still grows."""

MOST_OPEN = 64
LARGEST = 256 * 2**20
"""Bytes after which a file is complete."""

GRACE = 60
"""Seconds for which the file of an hour that is over waits for late events; what comes later makes another file."""

_HOUR = 3600


class Slices:
    """Appends events to the files of their hours.

    A file is named `TAG/DAY/HOUR.N.log`, with the first N that is free; while it grows, `.part` follows. Nothing is ever appended to a
    complete file, so that a build never meets one that changes. What a killed process left is completed when the next one starts.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._open: OrderedDict[tuple[str, int], _File] = OrderedDict()
        self._written: set[_File] = set()
        with using(folder, "write"):
            os.makedirs(folder, exist_ok=True)
            self._lock = open(os.path.join(folder, ".lock"), "wb")  # noqa: SIM115 - as long as the process lives
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._lock.close()
                raise ConfigError(f"another process collects into {folder!r} already") from None
            self._recover()

    def append(self, tag: str, events: Iterable[tuple[int, bytes]]) -> None:
        """Adds lines to the files of their hours; they are safe once `sync` has returned.

        Args:
            tag: of all of them.
            events: the time of each, in nanoseconds since the epoch, and its line with its end.
        """
        by_hour: dict[int, list[bytes]] = {}
        for moment, line in events:
            by_hour.setdefault(moment // 1_000_000_000 // _HOUR, []).append(line)
        with using(self.folder, "write"):
            for hour, lines in by_hour.items():
                file = self._file(tag, hour)
                file.write(b"".join(lines))
                self._written.add(file)

    def sync(self) -> None:
        """Makes everything that was appended survive a crash."""
        with using(self.folder, "write"):
            for file in self._written:
                file.sync()
            self._written.clear()
            for key, file in list(self._open.items()):
                if file.size >= LARGEST:
                    self._complete(key)

    def complete_old(self, now: float | None = None) -> None:
        """Completes the files of hours that are over, once nothing came for a while."""
        moment = time.time() if now is None else now
        with using(self.folder, "write"):
            for key, file in list(self._open.items()):
                if (key[1] + 1) * _HOUR + GRACE <= moment and file.last + GRACE <= moment:
                    self._complete(key)

    def close(self) -> None:
        """Completes all files."""
        with using(self.folder, "write"):
            for key in list(self._open):
                self._complete(key)
        self._lock.close()

    def _file(self, tag: str, hour: int) -> "_File":
        key = tag, hour
        if key in self._open:
            self._open.move_to_end(key)
            return self._open[key]
        if len(self._open) >= MOST_OPEN:
            self._complete(next(iter(self._open)))
        moment = datetime.datetime.fromtimestamp(hour * _HOUR, datetime.UTC)
        folder = os.path.join(self.folder, _safe(tag), f"{moment:%Y-%m-%d}")
        os.makedirs(folder, exist_ok=True)
        number = 0
        while any(os.path.exists(os.path.join(folder, f"{moment:%H}.{number}.log{end}")) for end in ("", PART)):
            number += 1
        self._open[key] = _File(os.path.join(folder, f"{moment:%H}.{number}.log"))
        _sync_folders(folder, self.folder)
        return self._open[key]

    def _complete(self, key: tuple[str, int]) -> None:
        file = self._open.pop(key)
        file.sync()
        self._written.discard(file)
        file.complete()

    def _recover(self) -> None:
        """Completes what a killed process left: a line without its end was never acknowledged."""
        for parent, _, names in os.walk(self.folder):
            for name in names:
                if not name.endswith(".log" + PART):
                    continue
                path = os.path.join(parent, name)
                with open(path, "r+b") as file:
                    file.truncate(_end_of_last_line(file))
                    os.fsync(file.fileno())
                if os.path.getsize(path):
                    os.rename(path, path.removesuffix(PART))
                else:
                    os.unlink(path)
                _sync_folder(parent)


class _File:
    """A file that grows."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.size = 0
        self.last = time.time()
        self._opened: BinaryIO = open(path + PART, "xb", buffering=0)  # noqa: SIM115 - until it is complete

    def write(self, data: bytes) -> None:
        """Appends all of the data, or, when the disk refuses, none."""
        view = memoryview(data)
        try:
            while view:
                view = view[self._opened.write(view) :]
        except OSError:
            self._opened.truncate(self.size)
            self._opened.seek(self.size)
            raise
        self.size += len(data)
        self.last = time.time()

    def sync(self) -> None:
        """Waits until the disk has it."""
        os.fsync(self._opened.fileno())

    def complete(self) -> None:
        """Gives it its name."""
        self._opened.close()
        os.rename(self.path + PART, self.path)
        _sync_folder(os.path.dirname(self.path))


def _safe(tag: str) -> str:
    """A tag as the name of a folder: letters, digits, `.`, `_` and `-` stay, the rest is percent-encoded, as are leading dots."""
    encoded = re.sub(rb"[^A-Za-z0-9._-]", lambda match: b"%%%02X" % match[0][0], tag.encode()).decode()[:200]
    return re.sub(r"^\.+", lambda match: "%2E" * len(match[0]), encoded) or "%"


def _end_of_last_line(file: BinaryIO) -> int:
    position = file.seek(0, os.SEEK_END)
    while position:
        begin = max(0, position - 2**16)
        file.seek(begin)
        found = file.read(position - begin).rfind(b"\n")
        if found >= 0:
            return begin + found + 1
        position = begin
    return 0


def _sync_folders(folder: str, root: str) -> None:
    """Makes the entries of new folders survive a crash, up to the root."""
    while True:
        _sync_folder(folder)
        if os.path.abspath(folder) == os.path.abspath(root):
            return
        folder = os.path.dirname(folder)


def _sync_folder(folder: str) -> None:
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
