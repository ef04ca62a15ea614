"""Asking again when a log store cannot answer now, longer and longer apart, and giving up in time."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from retrolabel.schemas.errors import InputError

FIRST_PAUSE, LONGEST_PAUSE = 0.25, 60.0
"""Seconds; each pause is twice as long as the one before."""

_Answer = TypeVar("_Answer")


class Transient(Exception):  # noqa: N818 - not an error of the program but a state of the store
    """The store cannot answer now."""

    def __init__(self, why: str, after: float = 0.0, quota: bool = False) -> None:
        super().__init__(why)
        self.after = after
        """So many seconds later it may, by its own word."""
        self.quota = quota
        """Whether the quota is used up: then every request has to wait."""


class Gate:
    """Holds back the requests of all threads once a quota is used up."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until = 0.0

    def left(self) -> float:
        """Seconds for which it stays closed."""
        with self._lock:
            return max(0.0, self._until - time.monotonic())

    def close(self, seconds: float) -> None:
        """Closes it for some time."""
        with self._lock:
            self._until = max(self._until, time.monotonic() + seconds)


def patiently(ask: Callable[[], _Answer], patience: float, gate: Gate) -> _Answer:
    """Asks until there is an answer.

    Args:
        ask: raises `Transient` if it is worth asking again.
        patience: seconds to go on for after the first failure; however long that took to come, it is asked again.
        gate: of the quota that all requests share.

    Raises:
        InputError: there was no answer in time.
    """
    deadline, wait = None, FIRST_PAUSE
    while True:
        time.sleep(gate.left())
        try:
            return ask()
        except Transient as state:
            now = time.monotonic()
            deadline = now + patience if deadline is None else deadline
            left = deadline - now
            if left <= 0:
                raise InputError(f"{state}; asked again for {patience:,.0f} s in vain (`retry_for`)") from None
            length = min(max(wait, state.after), left)
            if state.quota:
                gate.close(length)
            else:
                time.sleep(length)
            wait = min(wait * 2, LONGEST_PAUSE)
