"""How fresh the logs of a dataset are: when each source last delivered, how far it is behind, and whether its volume is as usual."""

import dataclasses
import datetime
import functools
import os
import statistics
import time
import zoneinfo
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from retrolabel.configs.load import Project
from retrolabel.configs.model import FreshnessRule
from retrolabel.pipelines.planning import days_between, list_inputs, ranges_of, source_plan
from retrolabel.schemas.contract import Contract
from retrolabel.schemas.errors import InputError
from retrolabel.transforms.copies import without_copies
from retrolabel.transforms.kernels.examples import day_bounds
from retrolabel.transforms.kernels.select import select
from retrolabel.transforms.kernels.volume import Volume, add_up, volume_of
from retrolabel.transforms.plan import PREDICTIONS, Input, SourcePlan
from retrolabel.transforms.read import blocks_of, stretches_of

_HOUR = 3600
_DAY = 24 * _HOUR
_MICROS = 1_000_000
_EVER = 2**62

PAUSE = 30.0
"""Seconds between two looks of a build that waits."""

NO_RULE = FreshnessRule()


@dataclasses.dataclass(frozen=True)
class Hour:
    """The volume of one hour."""

    begin: datetime.datetime
    events: int
    usual: float | None
    """The median of the same hour, by the clock of the config's timezone, of the earlier days; None where none was logged."""
    complete: bool
    """Whether the hour is over, and the time that the source may be behind as well."""

    @property
    def share(self) -> float | None:
        """Of the usual volume."""
        return self.events / self.usual if self.usual else None


@dataclasses.dataclass(frozen=True)
class SourceFreshness:
    """What is known of one source."""

    source: str
    rule: FreshnessRule
    last_event: datetime.datetime | None
    """The time of the last event before the moment asked for."""
    last_written: datetime.datetime | None
    """When the newest of its files was written."""
    delay: datetime.timedelta | None
    """From the last event to the moment asked for."""
    hours: tuple[Hour, ...]
    longest_gap: tuple[datetime.datetime, datetime.datetime] | None
    """Of the period, from one event to the next."""
    problems: tuple[str, ...]
    """The rules that are broken, in words with numbers; and that there is no event at all."""

    @property
    def per_minute(self) -> float:
        """Events per minute, over the complete hours."""
        complete = [hour.events for hour in self.hours if hour.complete]
        return sum(complete) / max(len(complete), 1) / 60

    @property
    def usual_per_minute(self) -> float | None:
        """The same of the usual volume."""
        usual = [hour.usual for hour in self.hours if hour.complete and hour.usual is not None]
        return sum(usual) / len(usual) / 60 if usual else None


@dataclasses.dataclass(frozen=True)
class Freshness:
    """Of a dataset's sources, at a moment."""

    dataset: str
    moment: datetime.datetime
    date: datetime.date | None
    sources: tuple[SourceFreshness, ...]

    @property
    def problems(self) -> tuple[str, ...]:
        """All broken rules; none: the input is ready."""
        return tuple(f"{found.source}: {problem}" for found in self.sources for problem in found.problems)

    def to_json(self) -> dict[str, Any]:
        """For machines: times as ISO 8601 in UTC, durations in seconds."""
        return {
            "dataset": self.dataset, "moment": _iso(self.moment), "date": self.date.isoformat() if self.date else None,
            "ready": not self.problems, "sources": [_source_json(found) for found in self.sources],
        }  # fmt: skip


def check_freshness(project: Project, date: datetime.date | None, now: datetime.datetime, days: int = 7) -> Freshness:
    """Looks how fresh every source is, and whether the config's `freshness` rules hold.

    The period is the day up to now, or without a date the 24 hours before now. Delays count up to now, or up to the end of what the
    day's build needs of the source if that is earlier.

    Args:
        project: the config, checked.
        date: the day whose build needs the logs.
        now: the moment.
        days: with how many earlier days the hours are compared.

    Raises:
        InputError: a file cannot be read.
    """
    return Freshness(project.config.dataset, now, date,
                     tuple(_look(project, name, date, now, days) for name in (PREDICTIONS, *project.config.outcomes)))  # fmt: skip


def wait_until_fresh(
    project: Project, date: datetime.date, patience: datetime.timedelta,
    clock: Callable[[], datetime.datetime] = lambda: datetime.datetime.now(datetime.UTC), pause: Callable[[float], None] = time.sleep,
) -> None:  # fmt: skip
    """Waits until every freshness rule holds for the build of a day.

    Args:
        project: the config, checked.
        date: the day to be built.
        patience: how long to wait at most.
        clock: tells the moment.
        pause: waits so many seconds.

    Raises:
        InputError: a rule is still broken then; the text says which.
    """
    deadline = clock() + patience
    while problems := check_freshness(project, date, clock()).problems:
        left = (deadline - clock()).total_seconds()
        if left <= 0:
            told = "\n  ".join(problems)
            raise InputError(f"{date}: the logs are not ready after {in_words(patience)}; nothing was built.\n  {told}")
        pause(min(PAUSE, left))


def _look(
    project: Project, name: str, date: datetime.date | None, now: datetime.datetime, days: int
) -> SourceFreshness:
    zone = zoneinfo.ZoneInfo(project.config.timezone)
    rule = project.config.freshness.get(name, NO_RULE)
    until = end = int(now.timestamp())
    begin = end - end % _HOUR - _DAY
    if date is not None:
        begin, day_end = (moment // _MICROS for moment in day_bounds(date, zone))
        end = min(day_end, end)
        until = min(until, ranges_of(project.config, date)[name][1] // _MICROS)
    since = begin - days * _DAY
    problems: list[str] = []
    try:
        files = _files(project, name, since, max(until, begin + 1))
    except InputError as error:
        files, problems = [], [str(error)]
    written = [file.fingerprint.modified for file in files if file.fingerprint]
    volume = _volume_of_all(project, name, files, since)
    last = volume.last_before(until)
    allowed = rule.max_delay or datetime.timedelta(0)
    hours = tuple(_hours(volume, range(begin, end, _HOUR), until - round(allowed.total_seconds()), zone, days))
    gaps = volume.gaps(begin, end)
    return SourceFreshness(
        source=name,
        rule=rule,
        last_event=None if last is None else _moment(last),
        last_written=_moment(max(written) / 1e9) if written else None,
        delay=None if last is None else datetime.timedelta(seconds=until - last),
        hours=hours,
        longest_gap=(_moment(gaps[0][0]), _moment(gaps[0][1])) if gaps else None,
        problems=(*problems, *_broken(rule, last, until, hours, gaps)),
    )


# Reading


def _files(project: Project, name: str, begin: int, end: int) -> list[Input]:
    around = project.source(name).lookaround // datetime.timedelta(seconds=1)
    times = (begin - around) * _MICROS, (end + around) * _MICROS
    return list(list_inputs(project, name, days_between(*times, project.config.timezone), times))


def _volume_of_all(project: Project, name: str, files: Sequence[Input], begin: int) -> Volume:
    plan = source_plan(project, name, begin * _MICROS, _EVER)
    plan = dataclasses.replace(plan, selection=dataclasses.replace(plan.selection, consent=None))
    if project.source(name).where is None:  # then nothing but the time needs to be read
        contract = project.logged[name]
        only = Contract(contract.name, (contract.field(plan.selection.time),))
        plan = dataclasses.replace(plan, reader=dataclasses.replace(plan.reader, contract=only))
    growing = [file._replace(fingerprint=None) for file in files]  # logs are written to while they are looked at
    kept = {file.name for file in without_copies(growing)[0]}
    stretches = [stretch for file in files if file.name in kept for stretch in stretches_of(file)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return add_up(pool.map(functools.partial(_volume, plan), stretches))


@functools.lru_cache(maxsize=4096)
def _volume(plan: SourcePlan, stretch: Input) -> Volume:
    """Remembered, for a build that waits looks again and again."""
    reader = plan.reader
    tables = (reader.parse(block).table for block in blocks_of(stretch._replace(fingerprint=None), reader))
    return add_up(volume_of(select(table, plan.selection).kept.column(plan.selection.time)) for table in tables)


# Judging


def _hours(volume: Volume, begins: Iterable[int], over: int, zone: datetime.tzinfo, days: int) -> Iterator[Hour]:
    first = int(volume.seconds[0]) if len(volume.seconds) else 0
    for begin in begins:
        local = datetime.datetime.fromtimestamp(begin, zone)
        earlier = [int((local - datetime.timedelta(days=number)).timestamp()) for number in range(1, days + 1)]
        counts = [volume.between(other, other + _HOUR) for other in earlier if other + _HOUR > first]
        usual = float(statistics.median(counts)) if counts else None
        yield Hour(_moment(begin), volume.between(begin, begin + _HOUR), usual, begin + _HOUR <= over)


def _broken(
    rule: FreshnessRule, last: int | None, until: int, hours: Sequence[Hour], gaps: Sequence[tuple[int, int]]
) -> Iterator[str]:
    if rule.max_delay is not None:
        allowed = rule.max_delay.total_seconds()
        if last is None:
            yield f"no event at all before {_iso(_moment(until))}; max_delay allows {in_words(rule.max_delay)}"
        elif until - last > allowed:
            yield (f"the last event, {_iso(_moment(last))}, is {in_words(datetime.timedelta(seconds=until - last))} behind; max_delay "
                   f"allows {in_words(rule.max_delay)}")  # fmt: skip
    if rule.max_gap is not None:
        for begin, end in sorted(gap for gap in gaps if gap[1] - gap[0] > rule.max_gap.total_seconds()):
            yield (f"no event from {_iso(_moment(begin))} to {_iso(_moment(end))}, "
                   f"{in_words(datetime.timedelta(seconds=end - begin))}; max_gap allows {in_words(rule.max_gap)}")  # fmt: skip
    if rule.min_volume is not None:
        for hour in hours:
            if hour.complete and hour.share is not None and hour.share < rule.min_volume:
                yield (f"{hour.events:,} events in the hour from {_iso(hour.begin)}, usually {hour.usual:,.0f} ({hour.share:.0%}); min_volume "
                       f"asks for {rule.min_volume:.0%}")  # fmt: skip


# Words


def in_words(duration: datetime.timedelta) -> str:
    """A duration in its two largest units, such as `2 h 5 min`."""
    seconds = int(duration.total_seconds())
    units = (
        (seconds // _DAY, "d"),
        (seconds % _DAY // _HOUR, "h"),
        (seconds % _HOUR // 60, "min"),
        (seconds % 60, "s"),
    )
    told = [f"{count} {unit}" for count, unit in units if count]
    return " ".join(told[:2]) or "0 s"


def _moment(seconds: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)


def _iso(moment: datetime.datetime) -> str:
    return moment.astimezone(datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _source_json(found: SourceFreshness) -> dict[str, Any]:
    gap = found.longest_gap
    return {
        "source": found.source,
        "last_event": _iso(found.last_event) if found.last_event else None,
        "last_written": _iso(found.last_written) if found.last_written else None,
        "delay": found.delay.total_seconds() if found.delay is not None else None,
        "per_minute": round(found.per_minute, 3),
        "usual_per_minute": None if found.usual_per_minute is None else round(found.usual_per_minute, 3),
        "longest_gap": {"from": _iso(gap[0]), "to": _iso(gap[1]), "seconds": (gap[1] - gap[0]).total_seconds()} if gap else None,
        "hours": [
            {"hour": _iso(hour.begin), "events": hour.events, "usual": hour.usual, "share": hour.share, "complete": hour.complete}
            for hour in found.hours
        ],
        "problems": list(found.problems),
    }  # fmt: skip
