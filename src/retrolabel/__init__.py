"""retrolabel: the logs a company already has, turned into labelled and versioned training data."""

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from retrolabel.transforms.dataset import load as load

__all__ = ["__version__", "load"]
__version__ = version("retrolabel")


def __getattr__(name: str) -> Any:
    """Imports `load`, and pyarrow with it, when it is first asked for."""
    if name == "load":
        from retrolabel.transforms.dataset import load

        return load
    raise AttributeError(f"module 'retrolabel' has no attribute {name!r}")
