"""Many JSON objects at once: what is plain through a reader of our own (`json_columns.py`), what it leaves through Arrow's.

Arrow's takes more, and is careless: one bad object fails the block, some bad ones pass unseen. What it fails on, or leaves in doubt,
is left to be judged one by one.
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
from retrolabel.transforms.kernels.columns import Mask
from retrolabel.transforms.kernels.json_columns import Plan, plan_of, read_plain
from retrolabel.transforms.kernels.lines import Positions, is_utf8, remaining, slices

Path = tuple[str, ...]

_HANDFUL = 16
"""Objects that are tried together where Arrow does not tell which it refuses, or refuses many."""

_SOME = 512
"""Objects that are tried together where it does."""

_REFUSED = re.compile(r" in row (\d+)$")
_TWICE = re.compile(r"Column\((?:.*/)?(.*)\) was specified twice in row (\d+)$", re.DOTALL)
"""What Arrow tells of the objects that it refuses, though not always."""

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
    def plan(self) -> Plan:
        """The schema as our own reader needs it."""
        return plan_of(self.schema)

    @functools.cached_property
    def decoder(self) -> msgspec.json.Decoder[Any]:
        """Accepts just the objects whose paths hold these kinds, or nothing."""
        return msgspec.json.Decoder(_struct_of({p: (_STRICT_ITEMS if p in self.repeated else _STRICT)[kind] for p, kind in self.kinds.items()}))  # fmt: skip


def read_objects(
    json: bytes | bytearray | memoryview, starts: Positions, ends: Positions, wanted: Positions, shapes: Iterable[Shape]
) -> tuple[pa.Table, Positions, Shape]:
    """Reads objects of a text as the first of some shapes that fits them all; if none does, those that fit the last.

    Args:
        json: the text that they stand in.
        starts: where each object begins.
        ends: where each ends.
        wanted: positions of the objects to read, ascending.
        shapes: at least one.

    Returns:
        The columns, the positions of the objects that are their rows, and the shape. The others are in doubt.
    """
    utf8 = is_utf8(json)
    bounds = starts[wanted], ends[wanted]
    for shape in shapes:
        table, left = read_plain(json, *bounds, shape.schema, shape.plan, utf8=utf8)
        if not len(left):
            return table, wanted, shape
        text, places = slices(json, *(bound[left] for bound in bounds))
        sound = (utf8 or is_utf8(text)) and _braced(text, *places)
        if sound and isinstance(others := _read(text, len(left), shape), pa.Table):
            return *_in_order([(remaining(len(wanted), left), table), (left, others)], wanted), shape
    good = _promising(text, *places, shape)
    groups = [(left[rows], others) for rows, others in _groups(text, *places, good, shape)]
    return *_in_order([(remaining(len(wanted), left), table), *groups], wanted), shape


def _in_order(read: Sequence[tuple[Positions, pa.Table]], wanted: Positions) -> tuple[pa.Table, Positions]:
    """Rows that were read in several turns, in the order of their positions among those wanted."""
    read = [(rows, table) for rows, table in read if len(rows)] or list(read[:1])
    rows, table = np.concatenate([rows for rows, _ in read]), pa.concat_tables([table for _, table in read])
    if np.any(np.diff(rows) < 0):
        order = np.argsort(rows)
        rows, table = rows[order], table.combine_chunks().take(pa.array(order))
    return table, wanted[rows]


def _braced(json: bytes | bytearray | memoryview, starts: Positions, ends: Positions) -> bool:
    octets = np.frombuffer(json, dtype=np.uint8)
    if not np.all(ends > starts):
        return False
    return bool(np.all(octets[starts] == ord("{")) and np.all(octets[ends - 1] == ord("}")))


def _read(json: bytes | bytearray | memoryview, count: int, shape: Shape) -> pa.Table | str:
    """The objects as a table; what Arrow says if it cannot read them, nothing if it finds more or fewer of them."""
    if not count:
        return shape.schema.empty_table()
    try:
        table = pj.read_json(
            pa.BufferReader(pa.py_buffer(json)),
            read_options=pj.ReadOptions(use_threads=False, block_size=len(json) + 1),
            parse_options=pj.ParseOptions(explicit_schema=shape.schema, unexpected_field_behavior="ignore"),
        )
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        return str(error)
    return table if table.num_rows == count else ""


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
) -> Iterator[tuple[Positions, pa.Table]]:
    """Reads the promising objects together, without those in which keys stand twice, or else those that it can."""
    text, bounds = slices(json, starts[good], ends[good])
    if not _braced(text, *bounds):
        return
    table = _read(text, len(good), shape)
    for _ in range(_HANDFUL):
        twice = None if isinstance(table, pa.Table) else _TWICE.search(table)
        some = _with_as_many(text, bounds[0], twice[1], int(twice[2])) if twice else np.zeros(len(good), dtype=bool)
        if not some.any():
            break
        good = good[~some]
        text, bounds = slices(text, *(bound[~some] for bound in bounds))
        table = _read(text, len(good), shape)
    if isinstance(table, pa.Table):
        yield good, table
    else:
        yield from _stretches(memoryview(text), bounds, good, shape)


def _with_as_many(text: bytes, starts: Positions, key: str, position: int) -> Mask:
    """The objects in which a key stands at least twice, and as often as in the one at a position, be it in others within."""
    pattern = re.compile(re.escape(msgspec.json.encode(key)) + rb"[ \t]*:")
    places = np.array([match.start() for match in pattern.finditer(text)], dtype=np.int64)
    counts = np.bincount(np.searchsorted(starts, places, side="right") - 1, minlength=len(starts))
    return np.asarray(counts >= max(2, int(counts[position])))


def _stretches(
    text: memoryview, bounds: tuple[Positions, Positions], good: Positions, shape: Shape
) -> Iterator[tuple[Positions, pa.Table]]:
    """Reads what stands between the objects that Arrow refuses."""

    def read(begin: int, end: int) -> pa.Table | str:
        return _read(text[bounds[0][begin] : bounds[1][end - 1]], end - begin, shape)

    begin, step, refused = 0, len(good), 0
    while begin < len(good):
        end = min(begin + step, len(good))
        table = read(begin, end)
        if isinstance(table, pa.Table):
            yield good[begin:end], table
            begin = end
        elif step <= _HANDFUL:
            begin = end  # left to be judged alone
        elif (
            (told := _REFUSED.search(table))
            and refused <= len(good) // _HANDFUL
            and isinstance(before := read(begin, begin + int(told[1])), pa.Table)
        ):
            yield good[begin : begin + int(told[1])], before
            begin, step, refused = begin + int(told[1]) + 1, _SOME, refused + 1
        else:
            step = _HANDFUL


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
