"""What a log format is: how one record is understood, and how a whole block of records is brought to JSON or columns."""

import dataclasses
import datetime
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from retrolabel.schemas.reject import Rejected
from retrolabel.transforms.kernels.coerce import Column
from retrolabel.transforms.kernels.columns import Mask, Octets, strings
from retrolabel.transforms.kernels.lines import Lines, Positions

Path = tuple[str, ...]

Below = Callable[[Path], Column]
"""Gives the column at a path below a key: the key's own at the empty path."""


@dataclasses.dataclass(frozen=True)
class Unwrapped:
    """A block without its wrapping."""

    json: bytes | bytearray | memoryview | None = None
    """The text in which a JSON object stands for each record; None if the fields are everything."""
    fields: Mapping[str, Below] = dataclasses.field(default_factory=dict)
    """What is known without JSON, by key; these stand in place of JSON keys of the same name."""
    doubtful: Positions = dataclasses.field(default_factory=lambda: np.empty(0, np.int64))
    """Positions of the records that are to be judged one by one with `Format.record`."""
    bounds: tuple[Positions, Positions] | None = None
    """Where each object begins and ends in `json`, if not where the records stand in their block."""
    texts: Mapping[str, tuple[Octets, Positions, Positions, Mask]] = dataclasses.field(default_factory=dict)
    """Those of the fields that may hold JSON and stand as they are in a text: the text, where each begins and ends, and whether it is there."""


@dataclasses.dataclass(frozen=True)
class Format:
    """How a system writes its logs.

    `record` is the definition: `unwrap` is a faster way to the same rows, and tests hold them to it.
    """

    name: str
    summary: str
    """One sentence for people who choose a format."""
    record: Callable[[bytes], Mapping[str, Any]]
    """Reads one record into its JSON object, with the wrapping's own fields in it; raises `Rejected`."""
    sniff: Callable[[bytes], float]
    """How well the beginning of a file fits, from 0 to 1; of two formats that fit, the more specific one says more."""
    unwrap: Callable[[Lines], Unwrapped]
    """Finds the JSON or the columns of all records of a block."""
    lines: Callable[[bytes], Lines] = Lines
    """Finds the records of a block."""
    cut: Callable[[bytes], int] | None = None
    """How many bytes of a text, of which more follows, are whole records, where a record need not be a line. Such files are read from
    their beginning on."""
    head: Callable[[bytes], int] | None = None
    """How many bytes of a file, of its first ones, tell how to read the others."""
    opened: Callable[[bytes], "Format"] | None = None
    """The format of the records of a file with that head."""
    blocks: Callable[[BinaryIO], Iterator[tuple[int, bytes]]] | None = None
    """Reads a file that is no stream: blocks, and the offset of each. Raises ValueError if the file cannot be read."""
    configure: Callable[..., "Format"] | None = None
    """The format with what a config chooses under `options`: its arguments, by name."""
    suggest: Callable[[bytes, datetime.date], Mapping[str, Any]] | None = None
    """The options that the beginning of a file calls for, where the defaults do not do, and the day on which it was last written to."""
    pieces: Callable[[Lines], Positions] | None = None
    """Finds the lines that may be pieces of a longer one, where they bear no mark (see `kernels/pieces.py`)."""
    by_line: Callable[[bytes], bool] | None = None
    """Whether each line of a text is a record, in a format where it need not be: then texts of files with one head can be read together."""
    typed: bool = True
    """Whether values have JSON's types; else all are text."""
    lifted: tuple[Path, ...] = ()
    """Objects, or JSON in strings, whose keys stand beside the record's own."""

    @property
    def splittable(self) -> bool:
        """Whether a file can be read from any of its lines on."""
        return self.cut is None and self.blocks is None and self.head is None and self.pieces is None


def given(column: pa.Array) -> Below:
    """A column that is there already."""
    return made(lambda: (column, None))


def made(make: Callable[[], Column]) -> Below:
    """A column that is made when it is asked for. Nothing stands below its values."""

    def below(path: Path) -> Column:
        column, doubt = make()
        return (pa.nulls(len(column), pa.string()), pc.is_valid(column)) if path else (column, doubt)

    return below


def stretch(octets: Octets, starts: Positions, ends: Positions) -> Below:
    """A column of what stands in the block as it is."""
    return made(lambda: (strings(octets, starts, ends), None))


def share_of_lines(sample: bytes, fits: Callable[[bytes], float], most: int = 200) -> float:
    """The mean of how well the lines of a sample fit; what cannot be read (`Rejected`) does not fit at all."""
    lines = [line.strip(b" \t\r") for line in sample.split(b"\n")]
    found = [_fit(line, fits) for line in lines[: most * 2] if line][:most]
    return sum(found) / max(len(found), 1)


def _fit(line: bytes, fits: Callable[[bytes], float]) -> float:
    try:
        return fits(line)
    except Rejected:
        return 0.0
