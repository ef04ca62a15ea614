"""How many events a log holds for each second: what gaps, drops and delays are read from."""

import dataclasses
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pyarrow as pa

_MICROS = 1_000_000

Numbers = npt.NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class Volume:
    """Events by the second."""

    seconds: Numbers
    """Since the epoch, ascending, those with events alone."""
    counts: Numbers

    def between(self, begin: int, end: int) -> int:
        """How many events lie in `[begin, end)`, in seconds since the epoch."""
        first, last = np.searchsorted(self.seconds, [begin, end])
        return int(self.counts[first:last].sum())

    def last_before(self, end: int) -> int | None:
        """The last second with an event before `end`."""
        position = int(np.searchsorted(self.seconds, end))
        return int(self.seconds[position - 1]) if position else None

    def gaps(self, begin: int, end: int) -> list[tuple[int, int]]:
        """The stretches without event that end in `[begin, end)`, from one event to the next, the longest first."""
        first, last = np.searchsorted(self.seconds, [begin, end])
        around = self.seconds[max(int(first) - 1, 0) : last]
        order = np.argsort(-np.diff(around), kind="stable")
        return [(int(around[position]), int(around[position + 1])) for position in order]


def volume_of(times: pa.ChunkedArray) -> Volume:
    """Counts the events of a block by its column of event times."""
    seconds = np.floor_divide(times.cast(pa.int64()).to_numpy(), _MICROS)
    return Volume(*np.unique(seconds, return_counts=True))


def add_up(volumes: Iterable[Volume]) -> Volume:
    """Adds volumes up."""
    found = list(volumes)
    if not found:
        return Volume(np.empty(0, np.int64), np.empty(0, np.int64))
    seconds, places = np.unique(np.concatenate([volume.seconds for volume in found]), return_inverse=True)
    counts = np.zeros(len(seconds), np.int64)
    np.add.at(counts, places, np.concatenate([volume.counts for volume in found]))
    return Volume(seconds, counts)
