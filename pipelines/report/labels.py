"""What the labels say: their balance in each split, and how long their outcomes take to arrive."""

from collections.abc import Mapping
from typing import Any

from retrolabel.pipelines.report.day import Day
from retrolabel.pipelines.report.html import Html, element
from retrolabel.pipelines.report.material import Material
from retrolabel.pipelines.report.numbers import NOTHING, count, duration, number, part_of, share, words
from retrolabel.pipelines.report.svg import arrivals
from retrolabel.pipelines.summary import in_order
from retrolabel.transforms.kernels.delays import DelayCurve, delay_curve

_MOST_VALUES = 6
"""A label of more values is shown by its mean."""


def balance(material: Material) -> Html | None:
    """Each label's balance in all rows and in each split, beside that of before."""
    manifest = material.day.manifest
    splits = in_order(manifest)
    if not manifest.labels:
        return None
    names = [name for name in splits if len(splits) > 1 or name != "all"]
    head = element("tr", element("th", "label"), element("th", "all rows", class_="n"), element("th", "before", class_="n"),
                   [element("th", name, class_="n") for name in names])  # fmt: skip
    rows = [_row(material, label, names) for label in manifest.labels]
    sizes = element("tr", element("td", "rows", class_="quiet"), element("td", count(material.day.examples), class_="n quiet"),
                    element("td", count(material.against.examples) if material.against else NOTHING, class_="n quiet"),
                    [element("td", count(splits[name]["rows"]), class_="n quiet") for name in names])  # fmt: skip
    return element("div", element("table", element("thead", head), element("tbody", rows, sizes)), class_="scroll")


def _row(material: Material, label: str, names: list[str]) -> Html:
    splits = material.day.manifest.splits
    return element(
        "tr", element("th", label, scope="row"),
        element("td", _told(whole(material.day, label)), class_="n"),
        element("td", _told(whole(material.against, label)) if material.against else NOTHING, class_="n before-text"),
        [element("td", _told({"rows": splits[name]["rows"], **splits[name]["labels"].get(label, {})}), class_="n") for name in names],
    )  # fmt: skip


def whole(day: Day, label: str) -> Mapping[str, Any]:
    """A label's balance over all splits, as a split has it."""
    found = [split["labels"].get(label) for split in day.manifest.splits.values()]
    values: dict[str, int] | None = {}
    for split in found:
        if split is None or split.get("values") is None:
            values = None
            break
        for value, rows in split["values"].items():
            values = {**(values or {}), value: (values or {}).get(value, 0) + rows}
    return {**day.columns.get(label, {}), "values": values}


def _told(found: Mapping[str, Any]) -> Html | str:
    values, rows, missing = found.get("values"), found.get("rows") or 0, found.get("missing") or 0
    if not rows:
        return NOTHING
    unknown = element("small", f" {part_of(missing, rows)} unknown") if missing else None
    if values is not None and set(values) <= {"true", "false", "null"}:
        return element("span", f"{part_of(values.get('true', 0), rows - missing)} true", unknown)
    if values is not None and found.get("mean") is None and len(values) <= _MOST_VALUES:
        return element("span", ", ".join(f"{value} {part_of(n, rows)}" for value, n in values.items()), unknown)
    return element("span", f"mean {number(found.get('mean'))}" if missing < rows else "", unknown)


def delays(material: Material) -> Html | None:
    """The delay curve of each label, labels of one curve together."""
    curves: dict[tuple[float, DelayCurve], list[str]] = {}
    for label, found in material.day.manifest.delays.items():
        curves.setdefault((found["window"], delay_curve(found["bins"], found["window"])), []).append(label)
    shown = [_curve(material, window, curve, labels) for (window, curve), labels in curves.items() if curve.predictions]
    if not shown:
        return None
    return element(
        "div", element("div", shown, class_="columns"),
        element("p", "The share of predictions whose first outcome has arrived, by time since the prediction, with a band of 95%. A prediction "
                "counts as far as its outcome log is known (Kaplan-Meier): open windows do not pull the curve down. Delays are by event "
                "time; how late a line was written to its log is not in the logs.", class_="quiet"),
    )  # fmt: skip


def _curve(material: Material, window: float, curve: DelayCurve, labels: list[str]) -> Html:
    before: DelayCurve | None = None
    if material.against and (found := material.against.manifest.delays.get(labels[0])) and found["window"] == window:
        before = delay_curve(found["bins"], window)
    told = sentence(curve, window)
    picture = arrivals(
        list(zip(curve.seconds, curve.arrived, curve.error, strict=True)) if curve.outcomes else [],
        list(zip(before.seconds, before.arrived, before.error, strict=True)) if before and before.outcomes else [],
        window, told,
    )  # fmt: skip
    return element("div", element("h3", ", ".join(labels)), element("p", told), picture if curve.outcomes else None)


def sentence(curve: DelayCurve, window: float) -> str:
    """What the curve says."""
    told = f"{count(curve.outcomes)} of {count(curve.predictions)} predictions have an outcome"
    if curve.outcomes:
        half, most = duration(curve.quantile(0.5)), duration(curve.quantile(0.9))
        told += f": half of them within {half}, nine of ten within {most}."
    else:
        told += "."
    if not curve.waiting:
        return f"{told} Every window of {duration(window)} is closed: nothing is still to come."
    least = "about" if curve.complete else "at least"
    return (f"{told} {count(curve.waiting)} still wait inside their window of {duration(window)}; {least} {words(round(curve.to_come), 'outcome is', 'outcomes are')} "
            f"still to come, so that in the end {share(min(1.0, curve.arrived[-1]))} will have one.")  # fmt: skip
