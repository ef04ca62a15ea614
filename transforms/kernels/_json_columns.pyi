from retrolabel.transforms.kernels.json_columns import Plan
from retrolabel.transforms.kernels.lines import Positions

def read(
    text: bytes | bytearray | memoryview,
    starts: Positions,
    ends: Positions,
    plan: Plan,
    nodes: int,
    ascii_only: bool,
    /,
) -> tuple[int, list[bytes | None], bytes]: ...
