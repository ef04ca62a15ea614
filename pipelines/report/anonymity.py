"""How many people are alike in what is published, and what that cost."""

from retrolabel.pipelines.report.html import Html, element
from retrolabel.pipelines.report.material import Material
from retrolabel.pipelines.summary import anonymity_told


def section(material: Material) -> Html | None:
    """The groups, what was suppressed, and how coarse each quasi-identifier is; None if nobody asked for it."""
    manifest = material.day.manifest
    if manifest.anonymity is None:
        return None
    head, *rest = anonymity_told(manifest)
    return element(
        "div",
        element("p", f"{head[:1].upper()}{head[1:]}."),
        element("ul", [element("li", line) for line in rest], class_="plain"),
    )
