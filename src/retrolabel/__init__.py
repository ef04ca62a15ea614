"""retrolabel: the logs a company already has, turned into labelled and versioned training data."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from retrolabel.transforms.load import load as load

    __version__: str

__all__ = ["__version__", "load"]


def __getattr__(name: str) -> Any:
    """Imports `load`, and pyarrow with it, and looks up the version, when it is first asked for."""
    if name == "load":
        from retrolabel.transforms.load import load

        return load
    if name == "__version__":
        from importlib.metadata import version

        return version("retrolabel")
    raise AttributeError(f"module 'retrolabel' has no attribute {name!r}")
