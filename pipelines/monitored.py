"""The model in production, as the versions of a dataset tell: measures by day, model, slice and group, decay, and broken alerts."""

import dataclasses
import datetime
import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pydantic

from retrolabel.configs.model import Monitor
from retrolabel.schemas.errors import InputError
from retrolabel.schemas.manifest import DayManifest
from retrolabel.transforms.dataset import days_told, part_bytes, read_day_manifest, read_version
from retrolabel.transforms.kernels.decay import SMALLEST, Finding, Series, Slice, find_decay, find_weak, rest_of
from retrolabel.transforms.kernels.delays import add_delays
from retrolabel.transforms.kernels.intervals import Estimate, mean, proportion, quantile
from retrolabel.transforms.kernels.measures import (
    Arrivals,
    arrivals,
    auc,
    bias,
    binary_measures,
    group_measures,
    number_measures,
    policy_measures,
    scored_rows,
)
from retrolabel.transforms.kernels.monitor import NUMBERS

ALL: Slice = ("", None)


@dataclasses.dataclass(frozen=True)
class Day:
    """What one day's build says of the model."""

    date: str
    statistics: pa.Table
    delays: Mapping[int, tuple[int, int]]
    """Of the label, see `DelayCounts`."""

    @functools.cached_property
    def cells(self) -> dict[Slice, pa.Table]:
        """The `cell` statistics of each slice; none of a label that is a number."""
        return _by_slice(_of(self.statistics, "cell"))

    @functools.cached_property
    def sums(self) -> dict[Slice, dict[str, tuple[float, float, float]]]:
        """Of each slice the sums of a label that is a number."""
        found: dict[Slice, dict[str, tuple[float, float, float]]] = {}
        for name in NUMBERS:
            for of, table in _by_slice(_of(self.statistics, name)).items():
                found.setdefault(of, {})[name] = _sums(table)
        return found

    def count(self, statistic: str) -> int:
        """A number of rows."""
        return int(pc.sum(_of(self.statistics, statistic).column("rows")).as_py() or 0)


@dataclasses.dataclass(frozen=True)
class Monitored:
    """A model in production: the newest day in full, those before it as a history."""

    dataset: str
    version: int
    date: str
    monitor: Monitor
    manifest: DayManifest
    counts: Mapping[str, int]
    """`predictions`, and of these `unscored`, `unlabelled`, `immature`."""
    arrivals: Arrivals | None
    """By which immature predictions are in the measures; None where it cannot be told what will come."""
    measures: Mapping[str, Any]
    by_day: Mapping[str, Mapping[str, Any]]
    by_model: Mapping[str | None, Mapping[str, Any]]
    by_slice: Mapping[Slice, Mapping[str, Any]]
    groups: Mapping[str, Mapping[str, Any]]
    positions: Sequence[Mapping[str, Any]]
    ranking: Mapping[str, Any] | None
    policies: Mapping[str, Mapping[str, Any]]
    decay: Sequence[Finding]
    weak: Sequence[Finding]
    tested: Mapping[str, int]
    """How many slices and measures were looked at for `decay` and for `weak`."""
    left_out: Mapping[str, str]
    """Attributes of which something is not measured, and what."""
    skipped: Sequence[str]
    """Days of the history that measured something else, or nothing."""

    @property
    def broken(self) -> list[str]:
        """The alerts that are broken, in words; empty if the model is well."""
        return broken_alerts(self)


def read_monitored(
    root: str, version: int | None = None, date: str | None = None, monitor: Monitor | None = None
) -> Monitored:
    """Measures the model whose predictions a version of a dataset holds.

    Args:
        root: the dataset's folder.
        version: its number; the newest by default.
        date: the day to measure; the newest by default. Those before it are the history.
        monitor: what to measure it by, such as other alerts; by default as the config had it when the day was built.

    Raises:
        InputError: there is no such dataset, version or day, or it was built without `monitor` in its config.
        IntegrityError: a file is not what its manifest says.
    """
    record = read_version(root, version)
    newest = date or max(record.days)
    if newest not in record.days:
        raise InputError(f"version {record.version} of {root!r} has no day {newest}; it has {days_told(record)}")
    manifest = read_day_manifest(root, record.days[newest])
    monitor = monitor or _monitor_of(manifest)
    statistics = _statistics(root, manifest)
    if monitor is None or statistics is None:
        raise InputError(f"{root}@{record.version} says nothing of a model on {newest}: it was built without 'monitor' in its config. "
                         f"Hint: name the score's field and the label under 'monitor', and build the day again")  # fmt: skip
    first = (datetime.date.fromisoformat(newest) - monitor.history).isoformat()
    days, skipped = [Day(newest, statistics, _delays(manifest, monitor))], []
    for day in sorted((day for day in record.days if first <= day < newest), reverse=True):
        earlier = read_day_manifest(root, record.days[day])
        found = _statistics(root, earlier) if _measured_alike(earlier, manifest) else None
        if found is None:
            skipped.append(day)
        else:
            days.append(Day(day, found, _delays(earlier, monitor)))
    return evaluate(f"{manifest.dataset}", record.version, manifest, monitor, days[::-1], sorted(skipped))


def measures_of(root: str, manifest: DayManifest) -> Mapping[str, Any] | None:
    """The measures of one day by itself; None if it was built without `monitor`."""
    statistics = _statistics(root, manifest)
    if statistics is None:
        return None
    monitor = _monitor_of(manifest)
    assert monitor is not None
    day = Day(manifest.date, statistics, _delays(manifest, monitor))
    return _measures(day, ALL, _arrivals([day], manifest, monitor), quantile(monitor.confidence))


def alerts_of(root: str, version: int, date: str, monitor: Monitor) -> list[str]:
    """The alerts that a day of a version breaks, in words; none of a day that was built without `monitor`."""
    if not any(
        part.kind == "monitor" for part in read_day_manifest(root, read_version(root, version).days[date]).files
    ):
        return []
    return read_monitored(root, version, date, monitor).broken


def _monitor_of(manifest: DayManifest) -> Monitor | None:
    section = manifest.config.get("monitor")
    try:
        return Monitor.model_validate(section) if section else None
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"the config that {manifest.dataset} was built with on {manifest.date} cannot be read again: "
                         f"monitor.{'.'.join(map(str, first['loc']))}: {first['msg']}; write values there, not variables") from None  # fmt: skip


def _measured_alike(earlier: DayManifest, now: DayManifest) -> bool:
    """Whether two days tell of the same score, label and threshold."""
    sections = [day.config.get("monitor") or {} for day in (earlier, now)]
    told = [
        (section.get("score"), section.get("threshold"), day.config["labels"].get(section.get("label")))
        for section, day in zip(sections, (earlier, now), strict=True)
    ]
    return told[0] == told[1]


def _delays(manifest: DayManifest, monitor: Monitor) -> dict[int, tuple[int, int]]:
    return {round(bound * 1e6): (arrived, left) for bound, arrived, left in manifest.delays[monitor.label]["bins"]}


def _statistics(root: str, manifest: DayManifest) -> pa.Table | None:
    for part in manifest.files:
        if part.kind == "monitor":
            return pq.read_table(pa.BufferReader(part_bytes(root, part)))
    return None


def evaluate(
    dataset: str,
    version: int,
    manifest: DayManifest,
    monitor: Monitor,
    days: Sequence[Day],
    skipped: Sequence[str] = (),
) -> Monitored:
    """Works out every measure of the newest day, and what changed over all of them.

    Args:
        dataset: its name.
        version: that the days are of.
        manifest: of the newest day.
        monitor: the config's section.
        days: ascending.
        skipped: days that were not read.
    """
    today, z = days[-1], quantile(monitor.confidence)
    arrived = _arrivals(days, manifest, monitor)
    slices = {of: _measures(today, of, arrived, z) for of in (today.cells or today.sums)}
    attribute = monitor.model or ""
    decay, decay_tested = find_decay(_series(days, arrived, z), monitor.false_discoveries, z)
    weak, weak_tested = find_weak(_against_the_rest(today, arrived, z), monitor.false_discoveries)
    return Monitored(
        dataset=dataset, version=version, date=today.date, monitor=monitor, manifest=manifest,
        counts={name: today.count(name) for name in ("predictions", "unscored", "unlabelled", "immature")},
        arrivals=arrived, measures=_measures(today, ALL, arrived, z), by_day={day.date: _measures(day, ALL, arrived, z) for day in days},
        by_model={of[1]: found for of, found in slices.items() if of[0] == attribute and of != ALL},
        by_slice={of: found for of, found in slices.items() if of[0] not in ("", attribute)},
        groups={name: _group(today, name, monitor, z) for name in monitor.groups} if today.cells else {},
        positions=_positions(today, z), ranking=_ranking(today, z), policies=_policies(today, z),
        decay=decay, weak=weak, tested={"decay": decay_tested, "weak": weak_tested}, left_out=_left_out(today), skipped=skipped,
    )  # fmt: skip


def _arrivals(days: Sequence[Day], manifest: DayManifest, monitor: Monitor) -> Arrivals | None:
    return arrivals(add_delays(day.delays for day in days), round(manifest.delays[monitor.label]["window"] * 1e6))


def _of(statistics: pa.Table, name: str) -> pa.Table:
    return statistics.filter(pc.equal(statistics.column("statistic"), name))


def _by_slice(table: pa.Table) -> dict[Slice, pa.Table]:
    """Parts of a table, which is sorted by attribute and value."""
    if not table.num_rows:
        return {}
    codes = [
        table.column(name).combine_chunks().dictionary_encode(null_encoding="encode").indices.to_numpy()
        for name in ("attribute", "value")
    ]
    changes = np.flatnonzero((codes[0][1:] != codes[0][:-1]) | (codes[1][1:] != codes[1][:-1])) + 1
    bounds = [0, *changes.tolist(), table.num_rows]
    return {
        (table.column("attribute")[begin].as_py(), table.column("value")[begin].as_py()): table.slice(
            begin, end - begin
        )
        for begin, end in itertools.pairwise(bounds)
    }


def _sums(table: pa.Table) -> tuple[float, float, float]:
    rows, total, squares = (pc.sum(table.column(name)).as_py() or 0 for name in ("rows", "total", "squares"))
    return float(rows), float(total), float(squares)


def _measures(day: Day, of: Slice, arrived: Arrivals | None, z: float) -> dict[str, Any]:
    if of in day.cells:
        found = binary_measures(day.cells[of], arrived, z)
    elif of in day.sums:
        found = number_measures(day.sums[of], z)
    else:
        found = {"rows": 0}
    if of == ALL and (ranking := _ranking(day, z)):
        found |= {name: ranking[name] for name in ("ndcg", "ndcg_at_10")}
    return found


def _series(days: Sequence[Day], arrived: Arrivals | None, z: float) -> list[Series]:
    """Of every slice of the newest day: AUC and bias, or error and bias, on the days that can tell."""
    found: dict[tuple[Slice, str], tuple[list[str], list[Estimate], float]] = {}
    present = set(days[-1].cells or days[-1].sums)
    for day in days:
        for of in present & set(day.cells or day.sums):
            for name, (estimate, smallest) in _tracked(day, of, arrived, z).items():
                dates, estimates, _ = found.setdefault((of, name), ([], [], smallest))
                dates.append(day.date)
                estimates.append(estimate)
        if ranking := _ranking(day, z):
            dates, estimates, _ = found.setdefault((ALL, "ndcg"), ([], [], SMALLEST["ndcg"]))
            if ranking["ndcg"]:
                dates.append(day.date)
                estimates.append(ranking["ndcg"])
    ordered = sorted(found.items(), key=lambda item: (item[0][1], item[0][0][0], item[0][0][1] or ""))
    return [Series(of, name, dates, estimates, smallest) for (of, name), (dates, estimates, smallest) in ordered
            if dates and dates[-1] == days[-1].date]  # fmt: skip


def _tracked(day: Day, of: Slice, arrived: Arrivals | None, z: float) -> dict[str, tuple[Estimate, float]]:
    """What is followed over days, and the change that matters; nothing where too few rows tell."""
    return _comparable(day.cells[of], arrived, z) if of in day.cells else _errors(day.sums[of], z)


def _comparable(cells: pa.Table, arrived: Arrivals | None, z: float) -> dict[str, tuple[Estimate, float]]:
    rows = scored_rows(cells, arrived)
    area = auc(rows, z)
    if area is None:
        return {}
    found = {"auc": (area[0], SMALLEST["auc"])}
    apart = bias(rows, z)
    if apart and rows.score.min() >= 0 and rows.score.max() <= 1:
        found["bias"] = apart, SMALLEST["bias"] * rows.weights[0] / float(rows.rows.sum())
    return found


def _errors(sums: Mapping[str, tuple[float, float, float]], z: float) -> dict[str, tuple[Estimate, float]]:
    error, apart = mean(*sums["absolute_error"], z), mean(*sums["error"], z)
    if error is None or apart is None or sums["error"][0] < 30:  # the normal approximation
        return {}
    return {"mae": (error, SMALLEST["mae"] * error.value), "bias": (apart, SMALLEST["mae"] * error.value)}


def _against_the_rest(
    day: Day, arrived: Arrivals | None, z: float
) -> dict[tuple[Slice, str], tuple[Estimate, Estimate, float]]:
    """Each slice beside all rows that are not in it."""
    found: dict[tuple[Slice, str], tuple[Estimate, Estimate, float]] = {}
    for of in day.cells or day.sums:
        if of == ALL:
            continue
        inside = _tracked(day, of, arrived, z)
        if of in day.cells:
            rest = _comparable(rest_of(day.cells[ALL], day.cells[of]), arrived, z)
        else:
            rest = _errors({name: _less(day.sums[ALL][name], day.sums[of][name]) for name in NUMBERS}, z)
        for name in inside.keys() & rest.keys():
            found[of, name] = rest[name][0], inside[name][0], rest[name][1]
    return dict(sorted(found.items(), key=lambda item: (item[0][1], item[0][0][0], item[0][0][1] or "")))


def _less(whole: tuple[float, float, float], part: tuple[float, float, float]) -> tuple[float, float, float]:
    return whole[0] - part[0], whole[1] - part[1], whole[2] - part[2]


def _group(day: Day, attribute: str, monitor: Monitor, z: float) -> dict[str, Any]:
    cells = {of[1]: table for of, table in day.cells.items() if of[0] == attribute}
    pairs = max(len(cells) * (len(cells) - 1) // 2, 1)
    return group_measures(cells, z, quantile(1 - (1 - monitor.confidence) / pairs))


def _positions(day: Day, z: float) -> list[dict[str, Any]]:
    rows = _of(day.statistics, "position").to_pylist()
    if day.cells:
        return [
            {"position": row["bin"], "rows": row["rows"], "rate": proportion(row["positives"], row["rows"], z)}
            for row in rows
        ]
    return [
        {"position": row["bin"], "rows": row["rows"], "rate": mean(row["rows"], row["total"], row["squares"], z)}
        for row in rows
    ]


def _ranking(day: Day, z: float) -> dict[str, Any] | None:
    queries = _of(day.statistics, "queries").to_pylist()
    if not queries:
        return None
    found: dict[str, Any] = {"queries": queries[0]["rows"], "unknown": queries[0]["positives"]}
    for name in ("ndcg", "ndcg_at_10"):
        sums = _sums(_of(day.statistics, name))
        found |= {name: mean(*sums, z), "with_gain": int(sums[0])}
    return found


def _policies(day: Day, z: float) -> dict[str, Any]:
    sums: dict[str, dict[str, tuple[float, float, float]]] = {}
    for name in ("policy_weight", "policy_reward", "policy_cross", "policy_doubly_robust", "policy_refused"):
        for of, table in _by_slice(_of(day.statistics, name)).items():
            sums.setdefault(of[1] or "", {})[name] = _sums(table)
    return {name: policy_measures(found, z) for name, found in sums.items()}


def _left_out(day: Day) -> dict[str, str]:
    told = {row["attribute"]: "too many values" for row in _of(day.statistics, "too_many_values").to_pylist()}
    for row in _of(day.statistics, "left_out").to_pylist():
        told[row["attribute"]] = f"{row['positives']:,} of its values, with {row['rows']:,} rows in all"
    return told


def broken_alerts(monitored: Monitored) -> list[str]:
    """The alerts of the config that the newest day breaks, in words; a measure that cannot be told breaks none."""
    alerts = monitored.monitor.alerts
    told = []
    for name, bound in alerts.items():
        if name == "decay":
            continue
        for of, estimate in _alerted(monitored, name):
            if bound.min is not None and estimate.value < bound.min:
                limit, side = bound.min, "below"
            elif bound.max is not None and estimate.value > bound.max:
                limit, side = bound.max, "above"
            else:
                continue
            chance = "; by chance, perhaps" if estimate.low <= limit <= estimate.high else ""
            told.append(
                f"{name}{of} is {estimate.value:.4g} ({estimate.low:.4g} to {estimate.high:.4g}), {side} {limit:g}{chance}"
            )
    tolerated = alerts["decay"].max if "decay" in alerts else None
    if tolerated is not None and len(monitored.decay) > tolerated:
        told.extend(sentence(finding) for finding in monitored.decay)
    return told


def _alerted(monitored: Monitored, name: str) -> Iterator[tuple[str, Estimate]]:
    if name.endswith("_difference"):
        for attribute, found in monitored.groups.items():
            if entry := found["differences"].get(name):
                yield (
                    f" between {attribute} {told_value(entry['highest'])} and {told_value(entry['lowest'])}",
                    entry["difference"],
                )
    elif isinstance(estimate := monitored.measures.get(name), Estimate):
        yield "", estimate


WORDS = {"auc": "AUC", "ndcg": "NDCG", "bias": "bias", "mae": "mean absolute error"}


def sentence(finding: Finding) -> str:
    """A finding as a person would say it.

    >>> before, now = Estimate(0.81, 0.8, 0.82, 0.005), Estimate(0.66, 0.64, 0.68, 0.01)
    >>> sentence(Finding(("category", "mens-dress"), "auc", before, now, "2026-11-18", 1e-9))
    'AUC fell from 0.81 (0.80 to 0.82) to 0.66 (0.64 to 0.68) on category = mens-dress since 18 November 2026'
    """
    where = "" if finding.of == ALL else f" on {finding.of[0]} = {told_value(finding.of[1])}"
    reference, found = (_two_digits(estimate) for estimate in (finding.reference, finding.found))
    name = WORDS[finding.measure]
    if finding.since is None:
        return f"{name} is {found}{where}, {reference} elsewhere"
    moment = datetime.date.fromisoformat(finding.since)
    verb = "fell" if finding.found.value < finding.reference.value else "rose"
    return f"{name} {verb} from {reference} to {found}{where} since {moment.day} {moment:%B %Y}"


def told_value(value: str | None) -> str:
    """A value of an attribute."""
    return "(missing)" if value is None else value


def _two_digits(estimate: Estimate) -> str:
    """With as many decimals as tell the interval's ends apart: two at least."""
    reach = abs(estimate.high - estimate.low)
    digits = 2 if reach >= 0.02 or reach == 0 else min(6, 2 - int(np.floor(np.log10(reach / 0.02))))
    return f"{estimate.value:.{digits}f} ({estimate.low:.{digits}f} to {estimate.high:.{digits}f})"
