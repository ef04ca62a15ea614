"""Text for people: lines longer than their terminal is wide are broken between words, and go on indented; elsewhere they are left whole."""

import shutil
import sys
import textwrap

import click

_HANGING = 4


def tell(text: str, *, err: bool = False) -> None:
    """Prints text, as wide as the terminal is if it goes to one."""
    if (sys.stderr if err else sys.stdout).isatty():
        text = fitted(text, shutil.get_terminal_size().columns)
    click.echo(text, err=err)


def fitted(text: str, width: int) -> str:
    """Breaks the lines of a text that are longer than `width` characters; words, such as paths, stay whole."""
    return "\n".join(line if len(line) <= width else _broken(line, width) for line in text.split("\n"))


def _broken(line: str, width: int) -> str:
    indent = " " * (len(line) - len(line.lstrip()) + _HANGING)
    return textwrap.fill(line, max(width, 2 * len(indent)), subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)  # fmt: skip
