"""What shifted since the day that is compared with: the examples (covariate shift), or what becomes of them (concept shift)."""

from retrolabel.pipelines.report.html import Html, brief, element
from retrolabel.pipelines.report.label_shift import LabelShift
from retrolabel.pipelines.report.material import Material
from retrolabel.pipelines.report.numbers import share
from retrolabel.transforms.kernels.significance import ALPHA


def section(material: Material) -> Html | None:
    """What is said of each label; None without statistics of label values on both days."""
    found = material.shifts
    if not found or material.against is None:
        return None
    return element(
        "div", [_label(shift) for shift in found],
        element("p", f"Compared with {material.against.name}. One feature is looked at by itself: rates that changed within the values of one "
                "may be due to another that is not logged, or that changed together with it. Of the features named at most 1% are named "
                "falsely on average.", class_="quiet"),
    )  # fmt: skip


def _label(shift: LabelShift) -> Html:
    before, now = shift.rates
    change = "" if shift.rate_p <= ALPHA else ", within chance"
    told = [
        element("h3", f"{shift.label}: {shift.name}"),
        element("p", f"{share(before)} → {share(now)} true{change}."),
    ]
    if shift.explained_by and shift.rate_p <= ALPHA:
        told.append(
            element(
                "p",
                f"The move of {', '.join(map(brief, shift.explained_by))} explains most of it: other examples came, and what becomes of each kind is as before.",
            )
        )
    lines = [
        element("li", element("b", brief(name)), f" moved: {brief(one.moved)} {share(one.shares[0])} → {share(one.shares[1])} of the examples")
        for name, one in sorted(shift.moved.items(), key=lambda item: item[1].covariate_p)[:_MOST]
    ]  # fmt: skip
    lines += [
        element("li", f"{shift.label} given ", element("b", brief(name)), f" changed: {share(one.rates[0])} → {share(one.rates[1])} where it is {brief(one.turned)}")
        for name, one in sorted(shift.turned.items(), key=lambda item: item[1].concept_p)[:_MOST]
    ]  # fmt: skip
    return element("div", told, element("ul", lines) if lines else None)


_MOST = 8
"""Features of a kind that are named."""
