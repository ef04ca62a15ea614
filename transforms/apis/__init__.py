"""Log stores that are asked instead of read from files: one small file each, from a query to JSON lines."""

import functools
import importlib
import pkgutil

if __name__ != "retrolabel.transforms.apis":  # found as ./transforms: a second copy of every class
    raise ImportError("import retrolabel.transforms.apis, not transforms.apis")

from retrolabel.transforms.apis.interface import Api


@functools.cache
def apis() -> dict[str, Api]:
    """Every API by the format of the lines that it gives; their clients are imported when they are first asked for."""
    modules = (
        importlib.import_module(f"{__name__}.{found.name}")
        for found in pkgutil.iter_modules(__path__)
        if found.name not in ("interface", "retry")
    )
    return {module.API.format: module.API for module in modules}


def api_of(log_format: str, path: str) -> Api | None:
    """The API that a path of a source names; None if it names files."""
    api = apis().get(log_format)
    return api if api is not None and api.answers(path) else None
