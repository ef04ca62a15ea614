"""How far a build in this process has come: counted by its steps, read by whoever shows it."""

import threading
from collections import Counter


class Progress:
    """Numbers that only grow, and the stage at hand. Of an in-process build; on an engine, Beam's counters tell."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers: Counter[str] = Counter()
        self.stage = "starting"

    def add(self, stage: str, **numbers: int) -> None:
        """Adds to some numbers, at the stage that the build has reached."""
        with self._lock:
            self.stage = stage
            self._numbers.update(numbers)

    def reset(self) -> None:
        """Starts again, for the next build of this process."""
        with self._lock:
            self._numbers.clear()
            self.stage = "starting"

    def __getitem__(self, name: str) -> int:
        return self._numbers[name]


progress = Progress()
"""Of the build that runs in this process."""
