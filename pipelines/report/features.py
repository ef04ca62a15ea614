"""Every column: its distribution beside the previous one, what is missing, and what changed."""

from collections.abc import Mapping, Sequence
from typing import Any

from tensorflow_metadata.proto.v0.statistics_pb2 import FeatureNameStatistics

from retrolabel.pipelines.report.distributions import Distribution, distribution
from retrolabel.pipelines.report.html import Html, brief, element
from retrolabel.pipelines.report.material import Material, recently_changed
from retrolabel.pipelines.report.metrics import Watched, change_told
from retrolabel.pipelines.report.numbers import NOTHING, count, number, part_of, share
from retrolabel.pipelines.report.svg import bars


def section(material: Material) -> Html:
    """A row a column, those that changed lately or have an anomaly first."""
    manifest = material.day.manifest
    now, before = material.day.features(), material.against.features() if material.against else {}
    changed = recently_changed(material, "feature", "label")
    anomalous = set(material.day.anomalies.anomaly_info) if material.day.anomalies is not None else set()
    names = [field["name"] for field in manifest.example_schema]
    ordered = sorted(names, key=lambda name: (name not in anomalous, name not in changed))
    old = material.against.columns if material.against else {}
    rows = [
        _column(
            name, material, now.get(name), before.get(name), old.get(name), changed.get(name, []), name in anomalous
        )
        for name in ordered
    ]
    missing = [name for name in old if name not in names]
    told = f"{count(len(names))} columns" + (
        f", {len(set(changed) & set(names)):,} changed recently" if changed else ""
    )
    return element(
        "div",
        element("p", told, ", gone: " + ", ".join(map(brief, missing)) if missing else "", ". ",
                element("span", "Filled: this day. Outline: ", material.against.name, ".") if material.against and now else None, class_="quiet"),
        element("p", element("input", type="search", id="find", placeholder="Find a column", aria_label="Find a column"),
                element("label", element("input", type="checkbox", id="changed"), " changed only"), class_="tools", hidden=True)
        if len(names) > 8 else None,
        element("div", rows, class_="features" if now else "features undrawn"),
    )  # fmt: skip


def _column(
    name: str, material: Material, now: FeatureNameStatistics | None, before: FeatureNameStatistics | None,
    old: Mapping[str, Any] | None, changes: list[Watched], anomalous: bool,
) -> Html:  # fmt: skip
    manifest = material.day.manifest
    type_ = next(field["type"] for field in manifest.example_schema if field["name"] == name)
    column = material.day.columns.get(name, {})
    drawn = distribution(now, before) if now is not None and name not in manifest.key else None
    role = "key" if name in manifest.key else "label" if name in manifest.labels else ""
    flags = [
        element(
            "li", f"{brief(watched.what)} {change_told(watched)} since {material.days[watched.changes[-1].day].name}"
        )
        for watched in changes
    ]
    if anomalous:
        flags.insert(0, element("li", element("a", "anomaly", href="#anomalies")))
    if old is None and material.against:
        flags.append(element("li", "new column"))
    return element(
        "div",
        element("div", element("b", brief(name)), element("small", f" {type_}", f" · {role}" if role else ""), class_="name"),
        element("div", _picture(name, drawn), class_="picture") if now is not None else None,
        element("div", _facts(type_, column, old, now), class_="facts"),
        element("ul", flags, class_="flags") if flags else None,
        _details(drawn),
        class_="feature changed" if flags else "feature",
    )  # fmt: skip


def _picture(name: str, drawn: Distribution | None) -> Html | None:
    if drawn is None:
        return None
    most = max(zip(drawn.now, drawn.bins, strict=True), default=(0.0, ""))
    return bars(drawn.now, drawn.before, f"Distribution of {brief(name)}: most often {brief(most[1])} ({most[0]:.0%})")


def _facts(
    type_: str, column: Mapping[str, Any], old: Mapping[str, Any] | None, now: FeatureNameStatistics | None
) -> list[Html]:
    if not column:
        return []
    facts = [
        _fact(
            "missing", part_of(column["missing"], column["rows"]), part_of(old["missing"], old["rows"]) if old else None
        )
    ]
    mean = _mean_of(column)
    was = _mean_of(old) if old else None
    if mean is None:
        return facts
    if type_ == "bool":
        return [*facts, _fact("true", share(mean), share(was) if was is not None else None)]
    if type_ == "string" and now is not None and now.string_stats.unique:
        facts.append(_fact("different", count(now.string_stats.unique), None))
    if name := _MEANS.get(type_.partition("<")[0]):
        facts.append(_fact(name, number(mean), number(was) if was is not None else None))
    if type_ in ("int32", "int64", "float", "double"):
        facts.append(_fact("range", f"{number(column['minimum'])} to {number(column['maximum'])}", None))
    return facts


_MEANS = {
    "int32": "mean", "int64": "mean", "float": "mean", "double": "mean", "string": "mean bytes", "list": "mean length",
}  # fmt: skip
"""What the mean of a column of each type is one of; times have none that tells anything."""


def _mean_of(column: Mapping[str, Any]) -> float | None:
    return column["mean"] if column["missing"] < column["rows"] else None


def _fact(name: str, now: str, before: str | None) -> Html:
    was = (
        element("small", f" {before}", class_="before-text", title="before")
        if before is not None and before != now
        else None
    )
    return element("span", element("small", f"{name} "), now, was, class_="fact")


def _details(drawn: Distribution | None) -> Html | None:
    if drawn is None:
        return None
    before: Sequence[float | None] = drawn.before or [None] * len(drawn.now)
    rows = [
        element("tr", element("td", brief(name)), element("td", share(now), class_="n"),
                element("td", share(was) if was is not None else NOTHING, class_="n before-text"))
        for name, now, was in zip(drawn.bins, drawn.now, before, strict=True) if now or was
    ]  # fmt: skip
    head = element("tr", element("th", "value"), element("th", "now", class_="n"), element("th", "before", class_="n"))
    return element(
        "details", element("summary", "values"), element("table", element("thead", head), element("tbody", rows))
    )
