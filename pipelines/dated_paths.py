"""Which day's events a file holds, told by its name: from a glob to a `path` that reads a day's files alone."""

import datetime
import re
from collections.abc import Sequence

_DATE = re.compile(r"(?<!\d)(20\d\d)([-_./]?)(0[1-9]|1[0-2])\2(0[1-9]|[12]\d|3[01])(?!\d)")


def day_of(path: str) -> datetime.date | None:
    """The last day that a path names, as `2026-11-20`, `20261120` or `2026/11/20`; None if it names none."""
    for match in reversed(list(_DATE.finditer(path))):
        try:
            return datetime.date(int(match[1]), int(match[3]), int(match[4]))
        except ValueError:
            continue  # as the 31st of February
    return None


def dated(pattern: str, paths: Sequence[str]) -> str | None:
    """The pattern with `{date:…}` for the day in the names of its files.

    Args:
        pattern: a glob, of `*` alone.
        paths: the files that it matches.

    Returns:
        None if the names tell no days, or less than two: then nothing shows that they are days.
    """
    if len({day_of(path) for path in paths} - {None}) < 2:
        return None
    found = {_dated(pattern, path) for path in paths}
    (only,) = found if len(found) == 1 else (None,)
    return only


def _dated(pattern: str, path: str) -> str | None:
    """The pattern with `{date:…}` where its wildcards stand for a day in one path; what else they stand for there stays `*`."""
    match = list(_DATE.finditer(path))[-1] if day_of(path) else None
    glob = re.fullmatch("([^/]*)".join(map(re.escape, pattern.split("*"))), path)
    if match is None or glob is None:
        return None
    groups = [
        number
        for number in range(1, glob.re.groups + 1)
        if glob.start(number) < match.end() and glob.end(number) > match.start()
    ]
    if not groups or glob.start(groups[0]) > match.start() or glob.end(groups[-1]) < match.end():
        return None  # a part of the date is written in the pattern
    before, after = path[glob.start(groups[0]) : match.start()], path[match.end() : glob.end(groups[-1])]
    date = match[2].join(("%Y", "%m", "%d"))
    stars = [place for place, letter in enumerate(pattern) if letter == "*"]
    first, last = stars[groups[0] - 1], stars[groups[-1] - 1]
    return f"{pattern[:first]}{_rest(before)}{{date:{date}}}{_rest(after)}{pattern[last + 1 :]}"


def _rest(text: str) -> str:
    """What stands beside a date: signs as they are, everything else may differ from file to file."""
    return re.sub(r"[A-Za-z0-9]+", "*", text)
