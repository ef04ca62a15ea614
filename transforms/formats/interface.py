"""What a log format is: how one line is understood, and how a whole block of lines is brought to bare JSON."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from retrolabel.transforms.kernels.lines import Lines


@dataclasses.dataclass(frozen=True)
class Unwrapped:
    """A block without its wrapping."""

    json: bytes | bytearray | memoryview
    """JSON objects, each at its line's own bytes (the wrapping overwritten with spaces)."""
    fields: Mapping[str, pa.Array] = dataclasses.field(default_factory=dict)
    """What the wrapping said, a string a line; these stand in place of JSON keys of the same name."""
    doubtful: npt.NDArray[np.int64] = dataclasses.field(default_factory=lambda: np.empty(0, np.int64))
    """Positions among the lines of those to be judged one by one with `Format.record`."""


@dataclasses.dataclass(frozen=True)
class Format:
    """How a system writes its log lines.

    `record` is the definition: `unwrap` is a faster way to the same rows, and tests hold them to it.
    """

    name: str
    summary: str
    """One sentence for people who choose a format."""
    record: Callable[[bytes], Mapping[str, Any]]
    """Reads one line into its JSON object, with the wrapping's own fields in it; raises `Rejected`."""
    sniff: Callable[[Sequence[bytes]], float]
    """How well non-blank sample lines fit, from 0 to 1; of two that fit, the more specific format says more."""
    unwrap: Callable[[bytes, Lines], Unwrapped]
    """Finds the JSON of each line of a block."""
