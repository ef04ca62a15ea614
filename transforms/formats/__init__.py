"""Log formats: one small file each, from the bytes of a block to bare JSON. A new file here is a new format."""

import importlib
import pkgutil

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
