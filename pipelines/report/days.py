"""The days: the course of the most telling numbers, and since when they are different."""

from retrolabel.pipelines.report.html import Html, brief, element
from retrolabel.pipelines.report.material import Material
from retrolabel.pipelines.report.metrics import Watched, shown_by
from retrolabel.pipelines.report.svg import line

_MOST = 40
"""Numbers that are shown; `retrolabel trend` has them all."""


def section(material: Material) -> Html | None:
    """The volume, the labels, and whatever changed on any of the days; None for a first day."""
    if len(material.days) < 2:
        return None
    always = [watched for watched in material.watched if watched.metric.unit == "count"
              or (watched.kind == "label" and watched.what in ("true", "mean"))]  # fmt: skip
    changed = sorted(
        (watched for watched in material.watched if watched.changes and watched not in always),
        key=lambda watched: (-watched.changes[-1].day, watched.changes[-1].q, watched.subject, watched.what),
    )
    shown = [*always, *changed][:_MOST]
    left = len(always) + len(changed) - len(shown)
    return element(
        "div",
        element("p", f"{len(material.days)} days, {material.days[0].name} to {material.days[-1].name}. A line marks a day from which on the "
                "number is different beyond chance and its usual wobble; of all such marks at most 1% are false on average "
                f"({len(material.watched):,} numbers were watched).", class_="quiet"),
        element("div", [_row(watched, material) for watched in shown], class_="days"),
        element("p", f"{left:,} more changed: retrolabel trend shows them.", class_="quiet") if left > 0 else None,
    )  # fmt: skip


def _row(watched: Watched, material: Material) -> Html:
    told = shown_by(watched.metric.unit)
    picture = line(watched.metric.values, f"{brief(watched.subject)} {brief(watched.what)} over {len(material.days)} days: {told(watched.latest)} now",
                   [change.day for change in watched.changes])  # fmt: skip
    last = watched.changes[-1] if watched.changes else None
    since = f"{told(last.before)} → {told(last.after)} since {material.days[last.day].name}" if last else ""
    return element(
        "div",
        element("div", element("b", brief(watched.subject)), " ", element("small", brief(watched.what))),
        picture,
        element("div", told(watched.latest), class_="n"),
        element("div", element("small", since), class_="since"),
        class_="day",
    )
