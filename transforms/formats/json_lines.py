"""`json`: one JSON object a line."""

from collections.abc import Sequence

from retrolabel.schemas.reject import Rejected
from retrolabel.transforms.formats.interface import Format, Unwrapped
from retrolabel.transforms.kernels.json_line import loads
from retrolabel.transforms.kernels.lines import Lines


def unwrap(data: bytes, lines: Lines) -> Unwrapped:
    """There is nothing to take off."""
    return Unwrapped(data)


def sniff(lines: Sequence[bytes]) -> float:
    """Half of the share of lines that are JSON objects: any more specific format that fits wins."""
    return sum(map(_is_object, lines)) / max(len(lines), 1) / 2


def _is_object(line: bytes) -> bool:
    try:
        loads(line)
    except Rejected:
        return False
    return True


FORMAT = Format("json", "One JSON object a line.", loads, sniff, unwrap)
