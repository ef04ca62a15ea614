"""Log formats: one small file each, from the bytes of a block to JSON or columns. A new file here is a new format."""

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Mapping
from typing import Any

import pydantic

if __name__ != "retrolabel.transforms.formats":  # found as ./transforms: a second copy of every class
    raise ImportError("import retrolabel.transforms.formats, not transforms.formats")

from retrolabel.transforms.formats.interface import Format

FORMATS: dict[str, Format] = {
    module.FORMAT.name: module.FORMAT
    for module in (
        importlib.import_module(f"{__name__}.{found.name}")
        for found in pkgutil.iter_modules(__path__)
        if found.name != "interface"
    )
}
"""Every format by name."""


def find_format(name: str, options: Mapping[str, Any], directory: str) -> Format:
    """The format of that name, or a user's own at an import path `package.module:FORMAT`, with a config's options.

    Args:
        name: of the format.
        options: what the config chooses.
        directory: of the config, where a module is looked for after all other places.

    Raises:
        LookupError: there is none.
        ValueError: the format has no such option, or no such value for one.
    """
    found = _imported(name, directory) if ":" in name else FORMATS[name]
    if not options:
        return found
    if found.configure is None:
        raise ValueError(f"the format {name!r} has no options")
    try:
        return pydantic.validate_call(found.configure)(**options)
    except pydantic.ValidationError as error:
        wrong = error.errors()[0]
        known = ", ".join(map(repr, inspect.signature(found.configure).parameters))
        told = "there is none of that name" if wrong["type"] == "unexpected_keyword_argument" else wrong["msg"]
        raise ValueError(
            f"option {'.'.join(map(str, wrong['loc']))!r} of the format {name!r}: {told}. Known are {known}"
        ) from None


def _imported(name: str, directory: str) -> Format:
    module, _, attribute = name.partition(":")
    if directory not in sys.path:
        sys.path.append(directory)
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise LookupError(f"{name!r} cannot be imported: {error}") from None
    if not isinstance(found, Format):
        raise LookupError(f"{name!r} is no Format but a {type(found).__name__}")  # noqa: TRY004 - whatever is there, it is no format
    return found
