"""HTML that cannot be broken out of: text is escaped where it becomes part of an element, whatever log it came from."""

import html
from collections.abc import Iterable

from retrolabel.schemas.errors import printable

LONGEST = 600
"""Characters of a text that are shown."""

_VALUE = 60
"""Characters of a value of a log that are shown."""

_VOID = frozenset({"br", "col", "input", "link", "meta"})


class Html(str):
    """Markup. Only `element`, `join` and `raw` make it; all other strings are text."""

    __slots__ = ()


Content = Html | str | int | None | Iterable["Content"]
"""What may stand in an element: markup, text, nothing, or several of these."""


def element(tag: str, *content: Content, **attributes: str | float | bool | None) -> Html:
    """An element, with its content and the values of its attributes escaped.

    Args:
        tag: its name.
        *content: markup as it is; all else as text, shortened and with control characters spelled out.
        **attributes: by name, `_` for `-` and `class_` for `class`; None and False are left out, True stands without value.
    """
    told = "".join(
        f" {name.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{_attribute(value)}"')
        for name, value in attributes.items()
        if value is not None and value is not False
    )
    return Html(f"<{tag}{told}>" if tag in _VOID else f"<{tag}{told}>{join(*content)}</{tag}>")


def join(*content: Content) -> Html:
    """Several pieces one after the other, each escaped unless it is markup."""
    pieces = []
    for piece in content:
        if isinstance(piece, Html):
            pieces.append(str(piece))
        elif isinstance(piece, str):
            pieces.append(html.escape(shown(piece)))
        elif isinstance(piece, int):
            pieces.append(str(piece))
        elif piece is not None:
            pieces.append(str(join(*piece)))
    return Html("".join(pieces))


def raw(markup: str) -> Html:
    """Our own style and script, which stand as they are. Never anything from a log, a config or a file name."""
    return Html(markup)


def shown(text: str, longest: int = LONGEST) -> str:
    """Text as it may be shown: control characters and what turns the direction of text spelled out, and not endlessly long."""
    if len(text) <= longest:
        return printable(text)
    return f"{printable(text[:longest])}… ({len(text):,} characters)"


def brief(value: str) -> str:
    """A value of a log, a name or a path, short enough to stand in a sentence or a table."""
    return shown(value, _VALUE)


def _attribute(value: str | float | bool) -> str:
    if isinstance(value, float):
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return html.escape(printable(str(value)), quote=True)
