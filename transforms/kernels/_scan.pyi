from retrolabel.transforms.kernels.columns import Octets
from retrolabel.transforms.kernels.json_columns import Plan
from retrolabel.transforms.kernels.lines import Positions

Text = bytes | bytearray | memoryview

def read(
    text: Text, starts: Positions, ends: Positions, plan: Plan, nodes: int, ascii_only: bool, /
) -> tuple[int, list[bytes | None], bytes]: ...
def spans(
    text: Text | Octets, levels: tuple[int, ...], within: int, /
) -> tuple[tuple[tuple[bytes, bytes], ...], bytes, bytes] | None: ...
def named(
    text: Text | Octets, starts: Positions, ends: Positions, names: tuple[bytes, ...], /
) -> tuple[bytes, bytes]: ...
def next_places(text: Text | Octets, octet: int, positions: Positions, /) -> bytes: ...
