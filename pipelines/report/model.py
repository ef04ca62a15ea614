"""The model that served: how good it was, where it is weak, and since when it is worse."""

from collections.abc import Iterable, Mapping
from typing import Any

from retrolabel.pipelines.monitor_command import MEASURES, maturity_told
from retrolabel.pipelines.monitored import Monitored, read_monitored, sentence, told_value
from retrolabel.pipelines.report.html import Html, brief, element
from retrolabel.pipelines.report.material import Material
from retrolabel.pipelines.report.numbers import count, number
from retrolabel.pipelines.report.svg import drawing, line
from retrolabel.transforms.kernels.intervals import Estimate

_MOST = 20
"""Rows of a table that are shown; `retrolabel monitor --json` has them all."""

_CHOSEN = ("auc", "average_precision", "log_loss", "bias", "calibration_error", "accuracy", "precision", "recall", "lift", "mae", "rmse",
           "ndcg", "ndcg_at_10")  # fmt: skip


def section(material: Material) -> Html | None:
    """What `retrolabel monitor` tells of the day; None if it was built without `monitor`."""
    manifest = material.day.manifest
    if not any(part.kind == "monitor" for part in manifest.files):
        return None
    return told(read_monitored(material.day.root, material.version.version, manifest.date))


def told(monitored: Monitored) -> Html:
    """The section, of a model that was measured."""
    monitor, found = monitored.monitor, monitored.measures
    false = f"{monitor.false_discoveries:.0%}"
    return element(
        "div",
        element("p", f"Score {brief(monitor.score)}, label {brief(monitor.label)}, {count(found['rows'])} predictions; intervals of {monitor.confidence:.0%}.",
                class_="quiet"),
        [element("p", sentence_, class_="quiet") for sentence_ in maturity_told(monitored)],
        _findings(monitored.broken, "mark-bad", "alert"),
        _findings([sentence(finding) for finding in monitored.decay if sentence(finding) not in monitored.broken][:_MOST], "mark-look", "worse"),
        _findings([sentence(finding) for finding in monitored.weak][:_MOST], "mark-note", "weak"),
        element("p", f"Of {monitored.tested['decay']:,} series of days and {monitored.tested['weak']:,} slices that were looked at, what is told as worse or "
                f"weak is false in at most {false} of the cases.", class_="quiet"),
        element("div", _measures(found), _calibration(found.get("calibration", ())), class_="columns"),
        _days(monitored),
        _table("by model", "model", {told_value(model): one for model, one in monitored.by_model.items()}, ("rows", "auc", "mae", "bias")),
        [_table(f"fairness by {brief(attribute)}", attribute, {told_value(value): rates for value, rates in one["groups"].items()},
                ("rows", "selection_rate", "recall", "accuracy", "bias")) for attribute, one in monitored.groups.items()],
        _table("other policies: the mean label that they would have had", "policy", monitored.policies, ("rows", "ips", "snips", "doubly_robust")),
        _table("by position", "position", {str(entry["position"]): entry for entry in monitored.positions[:_MOST]}, ("rows", "rate")),
    )  # fmt: skip


_NAMES = {
    "rows": "rows",
    "ips": "inverse propensity",
    "snips": "self-normalised",
    "doubly_robust": "doubly robust",
    "rate": "mean label",
}


def _findings(sentences: Iterable[str], class_: str, word: str) -> Html | None:
    items = [element("li", element("p", element("span", word, class_=class_), text)) for text in sentences]
    return element("ul", items, class_="findings") if items else None


def _measures(found: Mapping[str, Any]) -> Html:
    rows = [element("tr", element("th", MEASURES[name], scope="row"), element("td", _interval(found[name]), class_="n"))
            for name in _CHOSEN if name in found]  # fmt: skip
    return element("div", element("table", element("tbody", rows)), class_="scroll")


def _interval(estimate: Estimate | None) -> Html | str:
    if estimate is None:
        return "cannot be told"
    interval = element("small", f" {number(estimate.low)} to {number(estimate.high)}", class_="before-text")
    return element("span", number(estimate.value), interval)


def _calibration(points: Iterable[Mapping[str, Any]]) -> Html | None:
    """Mean score and share of positives of ten bins, with the interval of each; the diagonal is a model that is right."""
    known = list(points)
    if not known:
        return None
    size, edge = 240.0, 34.0
    top = max(max(point["score"], point["rate"].high) for point in known) or 1.0

    def at(score: float, rate: float) -> tuple[float, float]:
        return edge + (size - edge - 6) * score / top, size - edge - (size - edge - 6) * rate / top

    drawn = [element("path", d="M{:.1f} {:.1f}L{:.1f} {:.1f}".format(*at(0, 0), *at(top, top)), class_="before")]
    for point in known:
        (x, low), (_, high), (_, y) = (
            at(point["score"], rate) for rate in (point["rate"].low, point["rate"].high, point["rate"].value)
        )
        drawn.append(element("path", d=f"M{x:.1f} {low:.1f}V{high:.1f}", class_="line"))
        drawn.append(element("circle", cx=x, cy=y, r=3, class_="dot"))
    drawn += [
        element("text", number(top), x=edge - 6, y=at(0, top)[1] + 8, class_="tick end"),
        element("text", "0", x=edge - 6, y=at(0, 0)[1], class_="tick end"),
        element("text", number(top), x=at(top, 0)[0], y=size - edge + 16, class_="tick end"),
        element("text", "mean score, and share of positives", x=edge, y=size - 4, class_="tick"),
    ]
    return drawing(
        size, size, *drawn, label="Calibration: the share of positives by the mean score of ten bins", class_="wide"
    )


def _days(monitored: Monitored) -> Html | None:
    if len(monitored.by_day) < 2:
        return None
    rows = []
    for name in ("auc", "log_loss", "bias", "mae", "rmse", "ndcg"):
        estimates = [found.get(name) for found in monitored.by_day.values()]
        if not any(estimates):
            continue
        starts = [finding.since for finding in monitored.decay if finding.of == ("", None) and finding.measure == name]
        marks = [number_ for number_, day in enumerate(monitored.by_day) if day in starts]
        last = estimates[-1]
        rows.append(
            element("div", element("div", element("b", MEASURES[name])),
                    line([found.value if found else None for found in estimates], f"{MEASURES[name]} over {len(estimates)} days", marks),
                    element("div", number(last.value if last else None), class_="n"),
                    element("div", element("small", f"since {starts[0]}" if starts else ""), class_="since"), class_="day")
        )  # fmt: skip
    return element("div", rows, class_="days") if rows else None


def _table(title: str, first: str, rows: Mapping[str, Mapping[str, Any]], names: tuple[str, ...]) -> Html | None:
    """A line for each of several models, groups, policies or positions."""
    shown = [name for name in names if any(found.get(name) is not None for found in rows.values())]
    if not rows or not shown:
        return None
    head = element(
        "tr",
        element("th", brief(first)),
        [element("th", _NAMES.get(name) or MEASURES[name], class_="n") for name in shown],
    )
    lines = [
        element("tr", element("th", brief(value), scope="row"),
                [element("td", count(found[name]) if name == "rows" else _interval(found.get(name)), class_="n") for name in shown])
        for value, found in list(rows.items())[:_MOST]
    ]  # fmt: skip
    table = element("table", element("thead", head), element("tbody", lines))
    return element("div", element("h3", title), element("div", table, class_="scroll"))
