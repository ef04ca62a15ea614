"""Shards in groups: what is known of shards is put together inside each group first, then that of the groups.

Sums of floats depend on their order, to the last digit. Whatever puts shards together takes the order from here, so that a build gives the
same bytes wherever it runs, and a day from which rows were erased those of a build without them.
"""

from collections.abc import Callable, Iterable
from typing import TypeVar

GROUPS = 16
"""So many workers can merge at once, and so few results meet in one place. The bytes of statistics depend on it."""

T = TypeVar("T")


def group_of(shard: int) -> int:
    """The group of a shard, which its number alone decides."""
    return shard % GROUPS


def by_group(parts: Iterable[T], place: Callable[[T], tuple[int, str]]) -> dict[int, list[T]]:
    """The parts of each group, and the groups, in the order in which they are put together.

    Args:
        parts: in any order.
        place: of a part, its shard and its name there, such as a split.
    """
    groups: dict[int, list[T]] = {}
    for part in sorted(parts, key=lambda part: (group_of(place(part)[0]), *place(part))):
        groups.setdefault(group_of(place(part)[0]), []).append(part)
    return groups
