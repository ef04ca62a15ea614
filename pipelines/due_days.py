"""Which days need a build: worked out from the files that are there, the versions that exist and a given moment, and from nothing else."""

import dataclasses
import datetime
import re
import zoneinfo
from collections.abc import Iterator, Sequence
from typing import Literal

from retrolabel.configs.load import Project
from retrolabel.pipelines.freshness import check_freshness
from retrolabel.pipelines.planning import dates_of, list_inputs, ranges_of
from retrolabel.pipelines.reach import time_span
from retrolabel.schemas.errors import InputError
from retrolabel.schemas.manifest import DayManifest, VersionRecord
from retrolabel.transforms.apis import api_of
from retrolabel.transforms.dataset import head_version, read_day_manifest
from retrolabel.transforms.kernels.examples import day_bounds
from retrolabel.transforms.listing import files_matching, pattern_regex
from retrolabel.transforms.plan import PREDICTIONS, Input
from retrolabel.transforms.storage import join, list_files, using

State = Literal["new", "immature", "late", "current", "not_ready", "no_data", "gone"]
"""What is to be done about a day.

- `new`: it has no version yet, because it was never built or its builds failed.
- `immature`: predictions waited for their outcomes when it was last built, and its files have changed since.
- `late`: it was mature, and its files have changed since.
- `current`: its version stands.
- `not_ready`: it has no version, and its data is not there yet.
- `no_data`: it has no version, and its data never came.
- `gone`: files that it was built from are no longer there; its version stands.
"""

TO_BUILD: tuple[State, ...] = ("new", "immature", "late")

_DIRECTIVES = {
    "%Y": r"\d{4}",
    "%y": r"\d\d",
    "%m": r"\d\d",
    "%d": r"\d\d",
    "%H": r"\d\d",
    "%j": r"\d{3}",
    "%b": r"[^/]+?",
    "%B": r"[^/]+?",
}
_PLACEHOLDER = re.compile(r"\{date:([^}]*)\}|\{hour\}")
_ONE_DAY = datetime.timedelta(days=1)


@dataclasses.dataclass(frozen=True)
class Day:
    """A day, and what is to be done about it."""

    date: datetime.date
    state: State
    why: str


def due_days(
    project: Project, now: datetime.datetime, first: datetime.date | None = None, last: datetime.date | None = None
) -> list[Day]:
    """What is to be done about every day that is due, in order.

    Args:
        project: the config, checked.
        now: the moment for which to say it.
        first: the first day to look at; by default the schedule's `since`, or the first of which there are files or versions.
        last: the last day to look at; by default the last that is due. A day that is not due is `not_ready`.
    """
    head = head_version(project.root)
    dated = any("{date:" in pattern for pattern in project.config.predictions.path)
    span = None if dated else time_span(project)
    begin = first or project.config.schedule.since or _first_day(project, head, span)
    end = last or last_due_day(project, now)
    if begin is None or end < begin:
        return []
    dates = [begin + n * _ONE_DAY for n in range((end - begin).days + 1)]
    if first is None and head and (kept := project.config.retention.days):  # what would be left out again at once
        newest = max(datetime.date.fromisoformat(max(head.days)), end)
        dates = [date for date in dates if date > newest - kept * _ONE_DAY]
    return [_judge(project, date, now, head, span) for date in dates]


def due_at(project: Project, date: datetime.date) -> datetime.datetime:
    """When a day is due: so long after its end as the schedule's `lag` says."""
    end = day_bounds(date, zoneinfo.ZoneInfo(project.config.timezone))[1]
    return _moment(end) + project.config.schedule.lag


def last_due_day(project: Project, now: datetime.datetime) -> datetime.date:
    """The last day that is due."""
    day = now.astimezone(zoneinfo.ZoneInfo(project.config.timezone)).date()
    while due_at(project, day) > now:
        day -= _ONE_DAY
    return day


def _judge(
    project: Project,
    date: datetime.date,
    now: datetime.datetime,
    head: VersionRecord | None,
    span: tuple[int, int] | None,
) -> Day:
    path = head.days.get(date.isoformat()) if head else None
    if path is None:
        return _judge_unbuilt(project, date, now, span)
    manifest = read_day_manifest(project.root, path)
    immature = manifest.accounting[PREDICTIONS].immature or 0
    if not immature and now >= _settled_at(project, date):
        return Day(date, "current", "mature; late data is no longer looked for")
    missing, changed = _compare(project, date, manifest, path)
    if missing:
        return Day(date, "gone", f"{missing[0]!r}, which it was built from, is no longer there; its version stands")
    if not changed:
        return Day(
            date, "current", f"{immature:,} immature, and no new data" if immature else "mature, and no new data"
        )
    told = f"{changed[0]!r}" + (f" and {len(changed) - 1:,} more" if len(changed) > 1 else "")
    if immature:
        return Day(date, "immature", f"{immature:,} predictions were immature, and there is new data: {told}")
    return Day(date, "late", f"new data since it was built: {told}")


def _judge_unbuilt(project: Project, date: datetime.date, now: datetime.datetime, span: tuple[int, int] | None) -> Day:
    if now < due_at(project, date):
        return Day(date, "not_ready", f"due at {due_at(project, date).isoformat()}")
    waiting = why_not_ready(project, date, now, span)
    if waiting is None:
        return Day(date, "new", "it has no version")
    return Day(date, "not_ready" if now < _settled_at(project, date) else "no_data", waiting)


def why_not_ready(
    project: Project, date: datetime.date, now: datetime.datetime, span: tuple[int, int] | None
) -> str | None:
    """Why the data of a day without version is not there yet; None if it is."""
    begin, end = day_bounds(date, zoneinfo.ZoneInfo(project.config.timezone))
    if span is not None:  # the files' names say nothing: what is in them does
        if span[1] < begin or (span[1] < end and now < _settled_at(project, date)):
            return f"the predictions' log reaches to {_moment(span[1]).isoformat()} only"
        if end <= span[0]:
            return f"the predictions' log begins at {_moment(span[0]).isoformat()}"
    try:
        for name, dates in dates_of(project, date).items():
            list(list_inputs(project, name, [date] if name == PREDICTIONS else dates))
    except InputError as error:
        return str(error)
    if project.config.freshness and now < _settled_at(project, date):
        return "; ".join(check_freshness(project, date, now).problems) or None
    return None


def _settled_at(project: Project, date: datetime.date) -> datetime.datetime:
    """Up to when changes of a day's files are looked for: `late` after its last window has closed, and not before it is due."""
    closed = _moment(max(end for _, end in ranges_of(project.config, date).values()))
    return max(closed, due_at(project, date)) + project.config.schedule.late


def _compare(project: Project, date: datetime.date, manifest: DayManifest, path: str) -> tuple[list[str], list[str]]:
    """Which files that a day was built from are missing now, and which are new or changed since.

    By names and sizes; a file of the same size counts as changed when it was written to after the build, whose own look at its checksums
    has the last word.
    """
    there = {(file.source, file.name): file for file in _listed(project, date)}
    built = {(file.source, file.path): file.bytes for file in manifest.inputs}
    folder, _, name = join(project.root, path).rpartition("/")
    built_at = list_files(folder)[name][1]
    missing = sorted(name for source, name in built.keys() - there.keys())
    changed = [
        file.name
        for key, file in sorted(there.items())
        if built.get(key) != file.size or (file.fingerprint and file.fingerprint.modified / 1e9 > built_at)
    ]
    return missing, changed


def _listed(project: Project, date: datetime.date) -> Iterator[Input]:
    for name, dates in dates_of(project, date).items():
        try:
            yield from list_inputs(project, name, dates)
        except InputError:  # all its files are gone
            continue


def _first_day(project: Project, head: VersionRecord | None, span: tuple[int, int] | None) -> datetime.date | None:
    """The first day that files or versions are of."""
    zone = zoneinfo.ZoneInfo(project.config.timezone)
    days = [datetime.date.fromisoformat(min(head.days))] if head and head.days else []
    if span is not None:
        days.append(datetime.datetime.fromtimestamp(span[0] / 1e6, zone).date())
    else:
        files = [
            path for path in project.config.predictions.path if not api_of(project.config.predictions.format, path)
        ]
        days += _days_in_names([project.resolve_pattern(pattern) for pattern in files])
    return min(days, default=None)


def _days_in_names(patterns: Sequence[str]) -> list[datetime.date]:
    """The days that the names of files say, where a pattern has `{date:…}`."""
    found = []
    for pattern in patterns:
        named = _name_regex(pattern)
        formats = "/".join(match[1] for match in _PLACEHOLDER.finditer(pattern) if match[1])
        with using(pattern, "list"):
            paths = list(files_matching(_PLACEHOLDER.sub(_any_date, pattern)))
        for path in paths:
            if told := named.fullmatch(path):
                try:
                    found.append(datetime.datetime.strptime("/".join(told.groups()), formats).date())  # noqa: DTZ007
                except ValueError:
                    continue  # numbers that are no date
    return found


def _any_date(match: re.Match[str]) -> str:
    return re.sub(r"%[A-Za-z]", "*", match[1]) if match[1] else "*"


def _name_regex(pattern: str) -> re.Pattern[str]:
    """A pattern as a regular expression with a group for each `{date:…}`."""
    written, position = "", 0
    for match in _PLACEHOLDER.finditer(pattern):
        written += pattern_regex(pattern[position : match.start()])
        if match[1]:
            pieces = re.split(r"(%[A-Za-z])", match[1])
            written += "(" + "".join(_DIRECTIVES.get(piece, re.escape(piece)) for piece in pieces) + ")"
        else:
            written += r"\d\d"
        position = match.end()
    return re.compile(written + pattern_regex(pattern[position:]), re.DOTALL)


def _moment(micros: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(micros / 1e6, datetime.UTC)
