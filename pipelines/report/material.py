"""What a report is made of: a version's day, what it is compared with, and the days before."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

from retrolabel.pipelines.report.day import Day
from retrolabel.pipelines.report.label_shift import LabelShift, label_shifts
from retrolabel.pipelines.report.metrics import Watched, watch
from retrolabel.schemas.errors import InputError
from retrolabel.schemas.manifest import VersionRecord
from retrolabel.transforms.dataset import days_told, read_version

HISTORY = 28
"""Days before the one of the report that are looked at."""

RECENT = 7
"""Days for which a change is news."""


@dataclasses.dataclass(frozen=True)
class Material:
    """All that a report shows."""

    version: VersionRecord
    day: Day
    against: Day | None
    """What the day is compared with: by default the day before it; None for the first day."""
    days: tuple[Day, ...]
    """The days before it and itself, oldest first."""
    watched: tuple[Watched, ...]
    """The numbers of those days, and when they changed."""

    @functools.cached_property
    def shifts(self) -> list[LabelShift]:
        """Of each label that has statistics by its values on both days."""
        return label_shifts(self.day, self.against) if self.against else []

    @property
    def changes(self) -> Mapping[str, Any] | None:
        """How the day differs from its previous build, if this version rebuilt it."""
        return self.version.changes if self.version.date == self.day.manifest.date else None


def gather(root: str, version: int | None = None, date: str | None = None, against: int | None = None) -> Material:
    """Finds what the report of a version is about.

    Args:
        root: the dataset's folder.
        version: its number; the newest by default.
        date: the day; the one that the version changed by default.
        against: the version to compare with: its build of the same day, or its latest day if it has none. By default the latest
            earlier day of the version itself.

    Raises:
        InputError: there is no such version or day.
    """
    record = read_version(root, version)
    chosen = date or record.date
    if chosen not in record.days:
        raise InputError(f"version {record.version} has no day {chosen}; it has {days_told(record)}")
    earlier = [day for day in sorted(record.days) if day < chosen][-HISTORY:]
    days = tuple(Day(root, record.days[day], day) for day in [*earlier, chosen])
    compared = days[-2] if earlier else None
    if against is not None:
        other = read_version(root, against)
        its_day = chosen if chosen in other.days else max(other.days)
        name = f"version {against}" if its_day == chosen else f"{its_day} of version {against}"
        compared = Day(root, other.days[its_day], name)
    return Material(record, days[-1], compared, days, tuple(watch(days)))


def recently_changed(material: Material, *kinds: str) -> dict[str, list[Watched]]:
    """Of each subject of some kinds the numbers that changed within the last days, those of the newest changes first."""
    found: dict[str, list[Watched]] = {}
    recent = [watched for watched in material.watched if watched.kind in kinds and watched.changes
              and watched.changes[-1].day >= len(material.days) - RECENT]  # fmt: skip
    for watched in sorted(recent, key=lambda watched: (-watched.changes[-1].day, watched.changes[-1].q)):
        found.setdefault(watched.subject, []).append(watched)
    return found
