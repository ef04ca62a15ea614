"""What a person asks first: is the day good, what changed, what to do."""

import dataclasses
import datetime
import zoneinfo
from collections.abc import Callable, Iterator
from typing import Literal

from tensorflow_metadata.proto.v0.anomalies_pb2 import AnomalyInfo

from retrolabel.pipelines.report.html import Html, brief, element
from retrolabel.pipelines.report.labels import whole
from retrolabel.pipelines.report.material import Material, recently_changed
from retrolabel.pipelines.report.metrics import change_told
from retrolabel.pipelines.report.numbers import count, number, part_of, share, words
from retrolabel.transforms.kernels.delays import delay_curve

Weight = Literal["bad", "look", "note"]

_ORDER: dict[Weight, int] = {"bad": 0, "look": 1, "note": 2}

_MANY_REJECTED = 0.001
_MANY_ORPHANS = 0.2

_MOST_CHANGED = 5
"""Changes of a kind that are told; the sections have the rest."""

_KINDS = {"rows": "source", "label": "label", "feature": "column", "slice": "slice"}


@dataclasses.dataclass(frozen=True)
class Finding:
    """Something about the day that a person should know."""

    weight: Weight
    """`bad`: do not train on it unseen; `look`: worth a look; `note`: good to know."""
    text: str
    advice: str = ""
    anchor: str = ""
    """The section that shows it."""


def findings(material: Material) -> list[Finding]:
    """All that the rules find, the heaviest first."""
    found = [finding for rule in RULES for finding in rule(material)]
    return sorted(found, key=lambda finding: _ORDER[finding.weight])


def section(material: Material) -> Html:
    """The verdict in a sentence, and the findings with what to do."""
    found = findings(material)
    bad, look = (sum(finding.weight == weight for finding in found) for weight in ("bad", "look"))
    class_, word = (
        ("bad", "Not good") if bad else ("look", "Good, with something to look at") if look else ("good", "Good")
    )
    counts = material.day.manifest.accounting["predictions"]
    told = f"{count(material.day.examples)} examples of {count(counts.unique)} predictions"
    if material.against:
        told += f"; {material.against.name} had {count(material.against.examples)}"
    return element(
        "div",
        element("p", element("strong", word), class_=f"verdict {class_}"),
        element("p", told, "."),
        element("ul", [_finding(finding) for finding in found], class_="findings") if found else element("p", _nothing(material), class_="quiet"),
    )  # fmt: skip


def _nothing(material: Material) -> str:
    compared = (
        f"nothing differs from {material.against.name} beyond chance"
        if material.against
        else "there is no earlier day to compare with"
    )
    return f"Every line is accounted for, every window is closed, and {compared}."


def _finding(finding: Finding) -> Html:
    text = element("a", finding.text, href=f"#{finding.anchor}") if finding.anchor else element("span", finding.text)
    advice = element("p", finding.advice, class_="advice") if finding.advice else None
    word = {"bad": "problem", "look": "look", "note": "note"}[finding.weight]
    return element("li", element("p", element("span", word, class_=f"mark-{finding.weight}"), text), advice)


def _examples(material: Material) -> Iterator[Finding]:
    counts = material.day.manifest.accounting["predictions"]
    if not counts.examples:
        yield Finding("bad", "There are no examples", "Look at where the lines went, below.", "accounting")
    for name, split in material.day.manifest.splits.items():
        if counts.examples and not split["rows"]:
            yield Finding(
                "look",
                f"The split {name} is empty",
                "Its share may be too small for the day, or its column has few values.",
                "labels",
            )


def _maturity(material: Material) -> Iterator[Finding]:
    manifest = material.day.manifest
    counts = manifest.accounting["predictions"]
    if not counts.immature:
        return
    curves = {label: delay_curve(found["bins"], found["window"]) for label, found in manifest.delays.items()}
    coming = ", ".join(
        f"{'' if curve.complete else 'at least '}{number(round(curve.to_come))} {label}"
        for label, curve in curves.items()
        if curve.to_come >= 1
    )
    weight: Weight = "look" if counts.immature > counts.unique / 100 else "note"
    yield Finding(
        weight,
        f"{count(counts.immature)} predictions ({part_of(counts.immature, counts.unique)}) are immature: their windows are still open"
        + (f"; still to come: {coming}" if coming else ""),
        f"Build the day again once the outcome logs reach {_closed(material)}; the new version says which labels changed.", "delays",
    )  # fmt: skip


def _closed(material: Material) -> str:
    """When the last window of the day closes."""
    manifest = material.day.manifest
    zone = zoneinfo.ZoneInfo(manifest.timezone)
    end = datetime.datetime.combine(
        datetime.date.fromisoformat(manifest.date) + datetime.timedelta(days=1), datetime.time(), zone
    )
    longest = max((found["window"] for found in manifest.delays.values()), default=0.0)
    moment = end.astimezone(datetime.UTC) + datetime.timedelta(seconds=longest)
    return moment.strftime("%Y-%m-%d %H:%M UTC")


def _lines(material: Material) -> Iterator[Finding]:
    manifest = material.day.manifest
    for file in manifest.inputs:
        if file.damaged:
            yield Finding(
                "bad",
                f"{brief(file.path)} is damaged: {brief(file.damaged)}",
                f"Its {file.lines:,} readable lines were used; fetch it again and rebuild.",
                "accounting",
            )
    for source, counts in manifest.accounting.items():
        if counts.rejected:
            worst = max(counts.reasons, key=lambda reason: counts.reasons[reason], default="")
            weight: Weight = "look" if counts.rejected > counts.lines * _MANY_REJECTED else "note"
            yield Finding(weight, f"{source}: {words(counts.rejected, 'line')} ({part_of(counts.rejected, counts.lines)}) rejected, most as {worst}",
                          f"retrolabel rejects --source {source} shows them.", "accounting")  # fmt: skip
        if counts.conflicting:
            yield Finding("note", f"{source}: {words(counts.conflicting, 'duplicate')} with another content than the one that was kept",
                          "The earliest stands. Check that the key or id is unique.", "accounting")  # fmt: skip
        if counts.orphan and counts.orphan > counts.unique * _MANY_ORPHANS:
            yield Finding("look", f"{source}: {part_of(counts.orphan, counts.unique)} of the outcomes belong to no prediction of the day",
                          "Some belong to predictions of the days around it; if it is most, check the join key.", "accounting")  # fmt: skip


def _labels(material: Material) -> Iterator[Finding]:
    for label in material.day.manifest.labels:
        found = whole(material.day, label)
        values = found.get("values")
        if material.day.examples and values and len(set(values) - {"null"}) == 1:
            (only,) = set(values) - {"null"}
            yield Finding(
                "bad",
                f"Every {label} is {only}",
                "Nothing can be learned from it: check the outcome's log, its filter and the join key.",
                "labels",
            )
        if material.day.examples and found.get("missing") == found.get("rows"):
            yield Finding("look", f"No {label} is known", "Every value is null: check the label's value.", "labels")
    if (changes := material.changes) and (changed := sum(label["changed"] for label in changes["labels"].values())):
        yield Finding(
            "note",
            f"{count(changed)} labels changed since the last build of the day, {changes['examples_added']:,} examples were added",
            "",
            "labels",
        )


def _anomalies(material: Material) -> Iterator[Finding]:
    anomalies = material.day.anomalies
    if anomalies is None:
        return
    for name, info in sorted(anomalies.anomaly_info.items()):
        weight: Weight = "bad" if info.severity == AnomalyInfo.ERROR else "look"
        yield Finding(weight, f"{brief(name)}: {info.short_description}", "", "anomalies")
    if anomalies.HasField("dataset_anomaly_info"):
        yield Finding("bad", f"The whole dataset: {anomalies.dataset_anomaly_info.short_description}", "", "anomalies")


def _changed(material: Material) -> Iterator[Finding]:
    """What is different lately, in one finding a subject, the labels before the columns."""
    for kind, anchor in (("rows", "days"), ("label", "days"), ("feature", "features"), ("slice", "slices")):
        changed = recently_changed(material, kind)
        for subject, numbers in list(changed.items())[:_MOST_CHANGED]:
            since = numbers[0].changes[-1].day
            same_day = [watched for watched in numbers if watched.changes[-1].day == since]
            told = ", ".join(f"{brief(watched.what)} {change_told(watched)}" for watched in same_day[:3])
            weight: Weight = "look" if since == len(material.days) - 1 else "note"
            yield Finding(weight, f"{brief(subject)} changed since {material.days[since].name}: {told}", "", anchor)
        if len(changed) > _MOST_CHANGED:
            yield Finding("look", f"{words(len(changed) - _MOST_CHANGED, 'more ' + _KINDS[kind])} changed", "", anchor)


def _leaks(material: Material) -> Iterator[Finding]:
    for leak in material.day.manifest.leaks:
        yield Finding("look", f"{brief(leak['feature'])} alone tells {leak['label']} almost surely ({share(leak['share'])} of its entropy)",
                      "It may have been made from the outcome: look at when it is logged.", "features")  # fmt: skip


def _shifts(material: Material) -> Iterator[Finding]:
    for found in material.shifts:
        if found.name != "no shift" and material.against:
            names = ", ".join(map(brief, list({**found.moved, **found.turned})[:3]))
            yield Finding(
                "look", f"{found.label}: {found.name} since {material.against.name}, in {names}", "", "shifts"
            )


RULES: tuple[Callable[[Material], Iterator[Finding]], ...] = (
    _examples,
    _lines,
    _labels,
    _anomalies,
    _leaks,
    _shifts,
    _changed,
    _maturity,
)
"""Each gives what it finds."""
