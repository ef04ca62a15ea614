"""Many JSON objects at once, through Arrow's reader.

It is quick and careless: one bad object fails the block, some bad ones pass unseen. What it fails on, or leaves in doubt, is left
to be judged one by one.
"""

import dataclasses
import functools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.json as pj

from retrolabel.transforms.kernels.coerce import RAW_TYPES, RawKind
from retrolabel.transforms.kernels.lines import Positions, is_utf8, slices

Path = tuple[str, ...]

_HANDFUL = 16
"""Objects that are tried together once a block is known to hold some that Arrow refuses."""

_UNNAMEABLE = re.compile(r'["\\\x00-\x1f]')

_INT64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]

_STRICT: dict[RawKind, Any] = {
    "string": str | None,
    "int": _INT64 | None,
    "float": float | None,
    "boolean": bool | None,
}

_STRICT_ITEMS: dict[RawKind, Any] = {
    "string": list[str | None] | None, "int": list[_INT64 | None] | None, "float": list[float | None] | None, "boolean": list[bool | None] | None,
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Shape:
    """As what each path is read; paths that are not named are passed over."""

    kinds: Mapping[Path, RawKind]
    repeated: frozenset[Path] = frozenset()
    """Paths that hold arrays of their kind."""

    @functools.cached_property
    def schema(self) -> pa.Schema:
        """The nested Arrow schema in which the paths stand."""
        types = {path: RAW_TYPES[kind] for path, kind in self.kinds.items()}
        return pa.schema(_members({p: pa.list_(found) if p in self.repeated else found for p, found in types.items()}))

    @functools.cached_property
    def decoder(self) -> msgspec.json.Decoder[Any]:
        """Accepts just the objects whose paths hold these kinds, or nothing."""
        return msgspec.json.Decoder(_struct_of({p: (_STRICT_ITEMS if p in self.repeated else _STRICT)[kind] for p, kind in self.kinds.items()}))  # fmt: skip


def read_objects(
    json: bytes | bytearray | memoryview, starts: Positions, ends: Positions, wanted: Positions, shapes: Iterable[Shape]
) -> tuple[pa.Table, Positions, Shape]:
    """Reads objects of a text as the first of some shapes that fits them all; if none does, those that fit the last.

    Args:
        json: the text, nothing but white space between the objects.
        starts: where each object begins.
        ends: where each ends.
        wanted: positions of the objects to read, ascending.
        shapes: at least one.

    Returns:
        The columns, the positions of the objects that are their rows, and the shape. The others are in doubt.
    """
    if len(wanted) < len(starts):
        json, (starts, ends) = slices(json, starts[wanted], ends[wanted])
    sound = is_utf8(json) and _braced(json, starts, ends)
    for shape in shapes:
        if sound and (table := _read(json, len(starts), shape)) is not None:
            return table, wanted, shape
    good = _promising(json, starts, ends, shape)
    read = [(rows, table) for rows, table in _groups(json, starts, ends, good, shape) if table is not None]
    found = np.concatenate([np.empty(0, np.int64), *(rows for rows, _ in read)])
    return pa.concat_tables([shape.schema.empty_table(), *(table for _, table in read)]), wanted[found], shape


def _braced(json: bytes | bytearray | memoryview, starts: Positions, ends: Positions) -> bool:
    octets = np.frombuffer(json, dtype=np.uint8)
    if not np.all(ends > starts):
        return False
    return bool(np.all(octets[starts] == ord("{")) and np.all(octets[ends - 1] == ord("}")))


def _read(json: bytes | bytearray | memoryview, count: int, shape: Shape) -> pa.Table | None:
    """The objects as a table; None if Arrow cannot read them, or finds more or fewer of them."""
    if not count:
        return shape.schema.empty_table()
    try:
        table = pj.read_json(
            pa.BufferReader(pa.py_buffer(json)),
            read_options=pj.ReadOptions(use_threads=False, block_size=len(json) + 1),
            parse_options=pj.ParseOptions(explicit_schema=shape.schema, unexpected_field_behavior="ignore"),
        )
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None
    return table if table.num_rows == count else None


def _promising(json: bytes | bytearray | memoryview, starts: Positions, ends: Positions, shape: Shape) -> Positions:
    """The objects that msgspec can read in that shape: a quick guess at what Arrow will accept."""
    view, decoder = memoryview(json), shape.decoder
    good = []
    for position, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
        text = view[start:end]
        try:
            decoder.decode(text)
            bytes(text).decode()
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            continue
        good.append(position)
    return np.array(good, dtype=np.int64)


def _groups(
    json: bytes | bytearray | memoryview, starts: Positions, ends: Positions, good: Positions, shape: Shape
) -> Sequence[tuple[Positions, pa.Table | None]]:
    """Reads the promising objects together, or by the handful if together they fail."""
    together = _read_some(json, starts, ends, good, shape)
    if together is not None:
        return [(good, together)]
    groups = [good[start : start + _HANDFUL] for start in range(0, len(good), _HANDFUL)]
    return [(group, _read_some(json, starts, ends, group, shape)) for group in groups]


def _read_some(
    json: bytes | bytearray | memoryview, starts: Positions, ends: Positions, positions: Positions, shape: Shape
) -> pa.Table | None:
    text, bounds = slices(json, starts[positions], ends[positions])
    return _read(text, len(positions), shape) if _braced(text, *bounds) else None


def _members(types: Mapping[Path, pa.DataType]) -> list[pa.Field]:
    return [pa.field(head, below[()] if () in below else pa.struct(_members(below))) for head, below in _by_head(types)]


def _struct_of(types: Mapping[Path, Any]) -> type[msgspec.Struct]:
    members: list[tuple[str, Any, Any]] = []
    rename: dict[str, str] = {}
    for number, (head, below) in enumerate(_by_head(types)):
        if _UNNAMEABLE.search(head):
            continue  # msgspec has no such names: Arrow alone judges what stands there
        rename[f"f{number}"] = head
        members.append((f"f{number}", below[()] if () in below else _struct_of(below) | None, None))
    return msgspec.defstruct("Line", members, rename=rename)


def _by_head(types: Mapping[Path, Any]) -> Iterator[tuple[str, dict[Path, Any]]]:
    for head in dict.fromkeys(path[0] for path in types):
        yield head, {path[1:]: found for path, found in types.items() if path[0] == head}
