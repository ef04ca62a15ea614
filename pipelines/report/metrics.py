"""The numbers of a dataset that are watched over days."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from retrolabel.pipelines.report import numbers
from retrolabel.pipelines.report.day import ALL, Day
from retrolabel.transforms.kernels.significance import ALPHA
from retrolabel.transforms.kernels.trend import Change, Metric, find_changes

_VALUES = 10
"""Of each column the most frequent values whose shares are watched."""

_NUMBERS = ("int32", "int64", "float", "double", "bool")


@dataclasses.dataclass(frozen=True)
class Watched:
    """A number of each day, what it is about, and when it changed."""

    subject: str
    """The source, label or column."""
    what: str
    """Which number of it."""
    kind: str
    """`rows`, `label`, `feature` or `slice`."""
    metric: Metric
    changes: tuple[Change, ...] = ()

    @property
    def latest(self) -> float | None:
        """The value of the last day."""
        return self.metric.values[-1]


_Number = tuple[float, float, float]
"""Value, rows and spread: see `Metric`."""


def watch(days: Sequence[Day], alpha: float = ALPHA) -> list[Watched]:
    """Every number of every day, with the days on which it changed beyond chance.

    Args:
        days: oldest first.
        alpha: the share of false alarms that is accepted among all alarms.
    """
    frequent = _frequent_values(days)
    table: dict[tuple[str, str, str, str], list[_Number | None]] = {}
    for place, day in enumerate(days):
        for kind, subject, what, unit, found in _numbers_of(day, frequent):
            table.setdefault((kind, subject, what, unit), [None] * len(days))[place] = found
    watched = []
    for (kind, subject, what, unit), per_day in table.items():
        known = [number or (None, 0.0, 0.0) for number in per_day]
        values, rows, spread = zip(*known, strict=True)
        watched.append(Watched(subject, what, kind, Metric(f"{subject} {what}", values, rows, spread, unit)))
    changes = find_changes([number.metric for number in watched], alpha)
    return [dataclasses.replace(number, changes=tuple(found)) for number, found in zip(watched, changes, strict=True)]


def _numbers_of(day: Day, frequent: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, str, str, str, _Number]]:
    """Kind, subject, what, unit, number."""
    manifest = day.manifest
    unique = manifest.accounting["predictions"].unique  # outcomes arrive over days: their number says little about one
    yield "rows", "predictions", "a day", "count", (unique, 1.0, float(unique))
    for source, counts in manifest.accounting.items():
        yield from _share("rows", source, "rejected", counts.rejected, counts.lines)
        yield from _share("rows", source, "duplicate", counts.duplicate, counts.parsed)
        yield from _share(
            "rows", source, "orphan", counts.orphan or 0, counts.unique if counts.orphan is not None else 0
        )
    types = {field["name"]: field["type"] for field in manifest.example_schema}
    for name, column in day.columns.items():
        if name in manifest.key or types.get(name, "").startswith("timestamp"):
            continue
        kind = "label" if name in manifest.labels else "feature"
        yield from _share(kind, name, "missing", column["missing"], column["rows"])
        if types.get(name) in _NUMBERS and column["deviation"] is not None:
            yield kind, name, *_mean_of(types[name], column)
    yield from _shares_of_values(day, frequent)
    yield from _labels_by_slice(day)


def _share(
    kind: str, subject: str, what: str, part: float, whole: float
) -> Iterator[tuple[str, str, str, str, _Number]]:
    if whole:
        yield kind, subject, what, "share", (part / whole, float(whole), 0.0)


def _mean_of(type_: str, column: Mapping[str, Any]) -> tuple[str, str, _Number]:
    values = float(column["rows"] - column["missing"])
    if type_ == "bool":
        return "true", "share", (column["mean"], values, 0.0)
    return "mean", "number", (column["mean"], values, column["deviation"] ** 2)


def _frequent_values(days: Sequence[Day]) -> dict[str, list[str]]:
    """Of each text column the values that are frequent on any day; where most rows have their own value there are none."""
    found: dict[str, dict[str, None]] = {}
    for day in days:
        for name, feature in day.features().items():
            text = feature.string_stats
            if (
                text.top_values
                and name not in day.manifest.key
                and text.unique <= text.common_stats.num_non_missing / 10
            ):
                found.setdefault(name, {}).update(dict.fromkeys(entry.value for entry in text.top_values[:_VALUES]))
    return {name: list(values) for name, values in found.items()}


def _shares_of_values(day: Day, frequent: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, str, str, str, _Number]]:
    features = day.features()
    for name, values in frequent.items():
        if name not in features or not (rows := features[name].string_stats.common_stats.num_non_missing):
            continue
        text = features[name].string_stats
        counts = {entry.value: int(entry.frequency) for entry in text.top_values}
        for value in values:
            if value in counts or text.unique <= len(counts):  # else it is rarer than what is listed, and unknown
                yield from _share("feature", name, f"= {value}", counts.get(value, 0), rows)


def _labels_by_slice(day: Day) -> Iterator[tuple[str, str, str, str, _Number]]:
    for name, label, mean, rows, spread in label_means(day):
        yield "slice", f"{label} where {name}", *_named(label_unit(day, label)), (mean, rows, spread)


def label_means(day: Day) -> Iterator[tuple[str, str, float, float, float]]:
    """Of each slice and each numeric label: their names, the label's mean, rows, and variance."""
    for slice_ in slices_of(day):
        features = day.features(slice_)
        for label in day.manifest.labels:
            if label in features and (statistics := features[label].num_stats).common_stats.num_non_missing:
                rows = float(statistics.common_stats.num_non_missing)
                yield slice_, label, statistics.mean, rows, statistics.std_dev**2


def label_unit(day: Day, label: str) -> str:
    """How a label's mean is shown: of a boolean it is a share."""
    types = {field["name"]: field["type"] for field in day.manifest.example_schema}
    return "share" if types.get(label) == "bool" else "number"


def _named(unit: str) -> tuple[str, str]:
    return ("true" if unit == "share" else "mean"), unit


def slices_of(day: Day) -> list[str]:
    """The names of the slices that have statistics: not all rows, nor a split, nor a label's value."""
    labels = tuple(f"{label}_" for label in day.manifest.labels)
    return [name for name in day.statistics if name != ALL and not name.startswith(("split_", *labels))]


def change_told(watched: Watched) -> str:
    """What the last change of a number was, from what to what."""
    change, told = watched.changes[-1], shown_by(watched.metric.unit)
    return f"{told(change.before)} → {told(change.after)}"


def shown_by(unit: str) -> Callable[[float | None], str]:
    """How a number of a unit is written."""
    return {"share": numbers.share, "count": numbers.number, "number": numbers.number}[unit]
