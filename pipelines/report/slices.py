"""Slices: how many examples each has, and what their labels say."""

from retrolabel.pipelines.report.day import Day
from retrolabel.pipelines.report.html import Html, brief, element
from retrolabel.pipelines.report.material import Material
from retrolabel.pipelines.report.metrics import label_means, label_unit, shown_by, slices_of
from retrolabel.pipelines.report.numbers import count, part_of


def section(material: Material) -> Html | None:
    """A row a slice, the largest first; None if the build made no statistics of slices."""
    day, labels = material.day, material.day.manifest.labels
    names = sorted(slices_of(day), key=lambda name: (-day.statistics[name].num_examples, name))
    if not names:
        return None
    now, before = _means(day), _means(material.against) if material.against else {}
    changed = {watched.subject for watched in material.watched if watched.kind == "slice"
               and any(change.day == len(material.days) - 1 for change in watched.changes)}  # fmt: skip
    shown = [label for label in labels if any((name, label) in now for name in names)]
    units = {label: label_unit(day, label) for label in shown}
    head = element("tr", element("th", "slice"), element("th", "rows", class_="n"), element("th", "share", class_="n"),
                   [element("th", label if units[label] == "share" else f"mean {label}", class_="n") for label in shown])  # fmt: skip
    rows = [
        element("tr", element("th", brief(name), scope="row"), element("td", count(day.statistics[name].num_examples), class_="n"),
                element("td", part_of(day.statistics[name].num_examples, day.examples), class_="n"),
                [_cell(now.get((name, label)), before.get((name, label)), units[label], f"{label} where {name}" in changed) for label in shown])
        for name in names
    ]  # fmt: skip
    return element("div", element("table", element("thead", head), element("tbody", rows)), class_="scroll")


def _means(day: Day) -> dict[tuple[str, str], float]:
    return {(name, label): mean for name, label, mean, _, _ in label_means(day)}


def _cell(now: float | None, before: float | None, unit: str, changed: bool) -> Html:
    told = shown_by(unit)
    was = element("small", f" {told(before)}", class_="before-text") if before is not None else None
    return element("td", told(now), was, class_="n changed" if changed else "n")
