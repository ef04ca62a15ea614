"""`json`: one JSON object a line."""

from retrolabel.transforms.formats.interface import Format, Unwrapped, share_of_lines
from retrolabel.transforms.kernels.json_line import loads
from retrolabel.transforms.kernels.lines import Lines


def unwrap(lines: Lines) -> Unwrapped:
    """There is nothing to take off."""
    return Unwrapped(lines.data)


def sniff(sample: bytes) -> float:
    """Half of the share of lines that are JSON objects: any more specific format that fits wins."""
    return share_of_lines(sample, lambda line: 0.5 if loads(line) is not None else 0.0)


FORMAT = Format("json", "One JSON object a line.", loads, sniff, unwrap)
