"""retrolabel: the logs a company already has, turned into labelled and versioned training data."""

from importlib.metadata import version

__version__ = version("retrolabel")
