"""The page: its sections in reading order, in one file that needs nothing else."""

import base64
import hashlib
import importlib.resources
from collections.abc import Callable

from retrolabel.pipelines.report import (
    anomalies,
    anonymity,
    days,
    features,
    flow,
    labels,
    model,
    shifts,
    slices,
    verdict,
)
from retrolabel.pipelines.report.html import Html, element, join, raw
from retrolabel.pipelines.report.material import Material
from retrolabel.pipelines.summary import size_of

SECTIONS: tuple[tuple[str, str, Callable[[Material], Html | None]], ...] = (
    ("labels", "Labels", labels.balance),
    ("model", "The model that served", model.section),
    ("delays", "How long outcomes take", labels.delays),
    ("shifts", "What shifted", shifts.section),
    ("anomalies", "Anomalies", anomalies.section),
    ("anonymity", "Anonymity", anonymity.section),
    ("accounting", "Where every line went", flow.section),
    ("features", "Columns", features.section),
    ("slices", "Slices", slices.section),
    ("days", "Days", days.section),
)
"""Anchor, heading and content of each section; one without content is left out."""


def render(material: Material) -> str:
    """The whole page. It loads nothing, and its policy lets nothing run but its own script."""
    manifest = material.day.manifest
    title = f"{manifest.dataset} {manifest.date}, version {material.version.version}"
    style, script = _own("page.css"), _own("page.js")
    made = [(anchor, heading, content) for anchor, heading, make in SECTIONS if (content := make(material)) is not None]
    policy = f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; img-src data:; base-uri 'none'; form-action 'none'"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("link", rel="icon", href="data:,"),
        element("style", raw(style)),
    )
    body = element(
        "body",
        element("header", element("h1", manifest.dataset, " ", element("span", manifest.date)), _where(material)),
        element(
            "main",
            element("section", verdict.section(material), class_="top"),
            element("nav", [element("a", heading, href=f"#{anchor}") for anchor, heading, _ in made]),
            [element("section", element("h2", heading), content, id=anchor) for anchor, heading, content in made],
        ),
        element("footer", _made_of(material)),
        element("script", raw(script)),
    )
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"


def _where(material: Material) -> Html:
    compared = f", compared with {material.against.name}" if material.against else ""
    return element(
        "p",
        f"Version {material.version.version}{compared}. Times are UTC; a day is one of {material.day.manifest.timezone}.",
        class_="quiet",
    )


def _made_of(material: Material) -> Html:
    manifest = material.day.manifest
    size = sum(part.bytes for part in manifest.files)
    software = ", ".join(f"{name} {version}" for name, version in sorted(manifest.software.items()))
    return join(
        element(
            "p",
            f"{len(manifest.files):,} files, {size_of(size)}, from {len(manifest.inputs):,} files of logs. Built with {software}.",
        ),
        element("p", f"Manifest {material.day.path}"),
    )


def _own(name: str) -> str:
    return importlib.resources.files("retrolabel.pipelines.report").joinpath(name).read_text("utf-8")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
