"""Accounting as a picture: what came in at the top, what left at the sides, what stayed."""

from collections.abc import Iterator, Mapping

from retrolabel.pipelines.report.html import Html, brief, element
from retrolabel.pipelines.report.material import Material
from retrolabel.pipelines.report.numbers import count, part_of
from retrolabel.pipelines.report.svg import drawing
from retrolabel.pipelines.summary import size_of
from retrolabel.schemas.manifest import DayManifest, SourceCounts

_WIDTH, _BAND, _TEXT, _ROW = 340.0, 96.0, 132.0, 22.0

_LEAVE = {
    "lines": ("blank", "rejected"),
    "parsed": ("filtered", "out_of_range", "no_consent", "forgotten", "duplicate"),
    "unique": ("immature", "sampled_out", "suppressed", "unattributed", "orphan"),
}
"""What leaves at each stage; the rest goes on to the next."""


def section(material: Material) -> Html:
    """A flow for each source, predictions first."""
    manifest = material.day.manifest
    sources = sorted(manifest.accounting, key=lambda name: (name != "predictions", name))
    return element("div", [_source(manifest, source) for source in sources], class_="columns")


def _source(manifest: DayManifest, source: str) -> Html:
    files = [file for file in manifest.inputs if file.source == source]
    read = f"{count(len(files))} {'file' if len(files) == 1 else 'files'}, {size_of(sum(file.bytes for file in files))}"
    watermark = manifest.watermarks.get(source)
    known = f"; known up to {watermark}" if watermark else ""
    examples = [found for found in manifest.rejected_examples if found.source == source]
    return element(
        "div",
        element("h3", source),
        element("p", read, known, class_="quiet"),
        flow(manifest.accounting[source]),
        element("ul", [_reject(manifest, found.reason, found.path, found.offset, found.detail, source) for found in examples], class_="plain")
        if examples else None,
    )  # fmt: skip


def _reject(manifest: DayManifest, reason: str, path: str, offset: int, detail: str, source: str) -> Html:
    rejected = manifest.accounting[source].reasons.get(reason, 0)
    return element(
        "li",
        element("b", f"{rejected:,} {reason}"),
        f", first in {brief(path)} at byte {offset:,}: ",
        element("q", detail),
    )


def flow(counts: SourceCounts) -> Html:
    """The flow of one source: every line is in it once."""
    stages = _stages(counts)
    total = max(stages[0][1], 1)
    drawn: list[Html] = []
    y = 16.0
    for place, (name, rows, leaving) in enumerate(stages):
        wide = _BAND * rows / total
        drawn.append(element("text", element("tspan", count(rows), class_="strong"), f" {name}", x=_TEXT, y=y + 4))
        if place + 1 == len(stages):
            drawn.append(element("rect", x=0, y=y, width=max(wide, 1.0) if rows else 0, height=10, class_="now"))
            break
        start, edge = y, wide
        y += _ROW
        for reason, left in leaving.items():
            thick = max(1.0, _BAND * left / total)
            middle = y + thick / 2 - 3
            drawn.append(_turn(edge - _BAND * left / total, edge, start, middle, thick))
            edge -= _BAND * left / total
            drawn.append(element("text", f"\u2212 {count(left)} {reason}", element("tspan", f"  {part_of(left, rows)}", class_="quiet"),
                                 x=_TEXT, y=middle + 4, class_="leaving"))  # fmt: skip
            y += max(_ROW, thick + 8)
        y += 6
        kept = _BAND * stages[place + 1][1] / total
        drawn.insert(
            0,
            element(
                "rect",
                x=0,
                y=start,
                width=max(kept, 1.0) if stages[place + 1][1] else 0,
                height=y - start,
                class_="stay",
            ),
        )
    told = "; ".join(f"{count(rows)} {name}" + "".join(f", {count(left)} {reason}" for reason, left in leaving.items())
                     for name, rows, leaving in stages)  # fmt: skip
    return drawing(_WIDTH, y + 14, *drawn, label=told, class_="flow")


def _stages(counts: SourceCounts) -> list[tuple[str, int, Mapping[str, int]]]:
    last = "examples" if counts.examples is not None else "attributed"
    return [
        *((name, getattr(counts, name), dict(_left(counts, names))) for name, names in _LEAVE.items()),
        (last, getattr(counts, last) or 0, {}),
    ]


def _left(counts: SourceCounts, names: tuple[str, ...]) -> Iterator[tuple[str, int]]:
    for name in names:
        decided = [why for why in ("undecided", "refused", "withdrawn") if getattr(counts, why)]
        if name == "no_consent" and decided:
            yield from ((f"no consent: {why}", getattr(counts, why)) for why in decided)
        elif left := getattr(counts, name):
            yield name.replace("_", " "), left


def _turn(left: float, right: float, top: float, middle: float, thick: float) -> Html:
    """A band that leaves the main one downwards and turns to the right."""
    upper, lower, end = middle - thick / 2, middle + thick / 2, _TEXT - 8
    right = max(right, left + 1)
    return element(
        "path", class_="leave",
        d=f"M{left:.1f} {top:.1f}C{left:.1f} {lower:.1f} {left:.1f} {lower:.1f} {max(end, left):.1f} {lower:.1f}V{upper:.1f}"
          f"C{right:.1f} {upper:.1f} {right:.1f} {upper:.1f} {right:.1f} {top:.1f}Z",
    )  # fmt: skip
