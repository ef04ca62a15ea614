"""Removing old versions, so that nobody who reads or builds at the moment notices."""

import itertools

from retrolabel.configs.model import Retention
from retrolabel.transforms import storage
from retrolabel.transforms.dataset import VERSIONS, record_path, version_numbers
from retrolabel.transforms.sweep import sweep

GRACE = 24 * 3600.0
"""Seconds for which what was the newest version a moment ago stays readable: longer than any build or read should take."""


def expire(root: str, retention: Retention, now: float) -> list[int]:
    """Removes the versions that need not be kept, then the files that no version lists any more.

    A version goes when enough newer ones are there, it is not pinned, and the version after it is older than a day: whoever opened it
    as the newest has had that long. Its record goes first, so that nobody finds it half removed; were this killed before the files
    went, `gc` or the next call sweeps them. The newest record never goes, so that version numbers never come twice.

    Args:
        root: the dataset's folder.
        retention: what to keep.
        now: epoch seconds.

    Returns:
        The numbers of the versions that were removed.
    """
    if retention.versions is None:
        return []
    written = storage.list_files(storage.join(root, VERSIONS))  # once: another run may remove versions at the same time
    numbers = [number for number in version_numbers(root) if _name(number) in written]
    expired = [
        number
        for number, following in itertools.pairwise(numbers[: max(len(numbers) - retention.versions + 1, 0)])
        if number not in retention.pinned and now - written[_name(following)][1] >= GRACE
    ]
    for number in expired:
        storage.delete(storage.join(root, record_path(number)))
    if expired:
        sweep(root, GRACE)
    return expired


def _name(number: int) -> str:
    return record_path(number).partition("/")[2]
