"""From the bytes of a block to a table of the contract's fields, and to the lines that cannot become rows.

Whole blocks go through Arrow's JSON reader. It is quick and careless: one bad line fails the block, some bad lines pass unseen.
So every line that the quick way fails on, or leaves in doubt, is judged alone with Python's `json` and `coerce_value`.
tests/property/test_parsing.py holds the two ways to the same rows and the same rejects.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from retrolabel.schemas.contract import ARROW_TYPES, Contract
from retrolabel.schemas.reject import KEPT_BYTES, REJECTS, Reason, Rejected
from retrolabel.transforms.formats.interface import Format, Unwrapped
from retrolabel.transforms.kernels.coerce import RAW_KINDS, RAW_TYPES, RawKind, coerce_column, coerce_value
from retrolabel.transforms.kernels.json_line import at_path
from retrolabel.transforms.kernels.lines import Block, Lines

Path = tuple[str, ...]
Kinds = Mapping[Path, RawKind]
"""As what each path of the contract is read from JSON."""

_LEARN_FROM = 50
"""Lines looked at to see how a source logs its values."""

_HANDFUL = 16
"""Lines that are tried together once a block is known to hold lines that Arrow refuses."""


@dataclasses.dataclass(frozen=True)
class Parsed:
    """What became of the lines of a block: `lines = blank + rejected + parsed`."""

    table: pa.Table
    """The parsed rows in the order of their lines, in the contract's Arrow schema."""
    rejects: pa.Table
    """The rejected lines, in the schema `REJECTS`."""
    lines: int
    blank: int


@dataclasses.dataclass(frozen=True)
class LineReader:
    """How the lines of one source are read."""

    source: str
    format: Format
    contract: Contract
    timezone: str = "UTC"
    keep_lines: bool = True
    """Whether rejects keep the text of their line."""
    _learned: dict[str, Kinds] = dataclasses.field(default_factory=dict, compare=False, repr=False)
    """How the source was last seen to log its values: a matter of speed alone."""

    def parse(self, block: Block) -> Parsed:
        """Reads all lines of a block."""
        lines = Lines(block.data)
        unwrapped = self.format.unwrap(block.data, lines)
        return self._collect(block, lines, *self._quick(lines, unwrapped))

    def parse_each(self, block: Block) -> Parsed:
        """Reads the lines one by one: the definition that `parse` is held to."""
        lines = Lines(block.data)
        return self._collect(
            block, lines, self.contract.arrow_schema.empty_table(), np.empty(0, np.int64), np.arange(len(lines))
        )

    def _collect(
        self, block: Block, lines: Lines, table: pa.Table, rows: npt.NDArray[np.int64], rest: npt.NDArray[np.int64]
    ) -> Parsed:
        """Judges the remaining lines and puts all rows in the order of their lines."""
        rejects = [
            (block.offset + start, Reason.TOO_LONG, f"line of {length:,} bytes", head)
            for start, length, head in block.skipped
        ]
        found: list[list[Any]] = []
        found_at: list[int] = []
        for position in rest.tolist():
            line = lines.line(position)
            try:
                found.append(self._judge(line))
                found_at.append(position)
            except Rejected as verdict:
                rejects.append(
                    (block.offset + int(lines.starts[position]), verdict.reason, verdict.detail, line[:KEPT_BYTES])
                )
        if found:
            order = np.argsort(np.concatenate([rows, np.array(found_at, dtype=np.int64)]), kind="stable")
            table = pa.concat_tables([table, self._table_of(found)]).combine_chunks().take(pa.array(order))
        blank = lines.blank
        return Parsed(table, self._rejects(block, rejects), len(lines) + blank + len(block.skipped), blank)

    def _rejects(self, block: Block, rejects: Sequence[tuple[int, Reason, str, bytes]]) -> pa.Table:
        ordered = sorted(rejects, key=lambda reject: reject[0])
        return pa.Table.from_arrays(
            [
                pa.array([self.source] * len(ordered), pa.string()),
                pa.array([block.path] * len(ordered), pa.string()),
                pa.array([offset for offset, _, _, _ in ordered], pa.int64()),
                pa.array([str(reason) for _, reason, _, _ in ordered], pa.string()),
                pa.array([detail for _, _, detail, _ in ordered], pa.string()),
                pa.array([line if self.keep_lines else None for _, _, _, line in ordered], pa.binary()),
            ],
            schema=REJECTS,
        )

    # One line

    def _judge(self, line: bytes) -> list[Any]:
        """The values of one line, in the contract's order; raises `Rejected`."""
        try:
            record = self.format.record(line)
        except Rejected as verdict:
            if verdict.reason is not Reason.MALFORMED:
                raise
            alone = self._columns(Lines(line), self.format.unwrap(line, Lines(line)), self._usual_kinds())
            if alone is None or alone[1] is not None:
                raise
            return [_plain_value(column[0]) for column in alone[0].columns]
        return [coerce_value(at_path(record, field.path), field, self.timezone) for field in self.contract.fields]

    def _table_of(self, rows: list[list[Any]]) -> pa.Table:
        columns = []
        for position, field in enumerate(self.contract.fields):
            values = [row[position] for row in rows]
            if field.kind == "timestamp":
                columns.append(pa.array(values, pa.int64()).cast(ARROW_TYPES["timestamp"]))
            else:
                columns.append(pa.array(values, field.arrow_type))
        return pa.Table.from_arrays(columns, schema=self.contract.arrow_schema)

    # Whole blocks

    def _quick(
        self, lines: Lines, unwrapped: Unwrapped
    ) -> tuple[pa.Table, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Reads what can be read all at once: the rows, their lines' positions, and the positions left to judge."""
        everything = np.arange(len(lines))
        nothing = self.contract.arrow_schema.empty_table()
        if not len(lines):
            return nothing, everything, everything
        if not len(unwrapped.doubtful) and _is_utf8(lines.data):
            for kinds in self._likely_kinds(lines):
                whole = self._columns(lines, unwrapped, kinds)
                if whole is not None:
                    self._learned["kinds"] = kinds
                    return self._without_doubtful(*whole, everything)
        good = self._promising(lines, unwrapped)
        tables, rows = [nothing], [np.empty(0, np.int64)]
        for group in self._groups(lines, unwrapped, good):
            table, positions, _ = self._without_doubtful(*group)
            tables.append(table)
            rows.append(positions)
        found = np.concatenate(rows)
        return pa.concat_tables(tables).combine_chunks(), found, np.setdiff1d(everything, found, assume_unique=True)

    def _groups(
        self, lines: Lines, unwrapped: Unwrapped, good: npt.NDArray[np.int64]
    ) -> Iterator[tuple[pa.Table, pa.Array | None, npt.NDArray[np.int64]]]:
        """Reads the promising lines together, or by the handful if together they fail."""
        kinds = self._learned.get("kinds") or self._usual_kinds()
        for size in (max(len(good), 1), _HANDFUL):
            groups = [good[start : start + size] for start in range(0, len(good), size)]
            read = [(self._columns(*_only(lines, unwrapped, group), kinds), group) for group in groups]
            if size == _HANDFUL or all(whole is not None for whole, _ in read):
                yield from ((*whole, group) for whole, group in read if whole is not None)
                return

    @staticmethod
    def _without_doubtful(
        table: pa.Table, doubtful: pa.Array | None, positions: npt.NDArray[np.int64]
    ) -> tuple[pa.Table, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        if doubtful is None:
            return table, positions, positions[:0]
        sure = pc.invert(doubtful)
        mask = sure.to_numpy(zero_copy_only=False)
        return table.filter(sure), positions[mask], positions[~mask]

    def _columns(self, lines: Lines, unwrapped: Unwrapped, kinds: Kinds) -> tuple[pa.Table, pa.Array | None] | None:
        """The block's rows and a mask of the doubtful ones; None if Arrow cannot read it as lines of one object each."""
        starts, ends = lines.starts, lines.ends
        octets = np.frombuffer(unwrapped.json, dtype=np.uint8)
        if not (octets[ends - 1] == ord("}")).all() or (
            not unwrapped.fields and not (octets[starts] == ord("{")).all()
        ):
            return None
        schema = _raw_schema(
            {path: kind for path, kind in kinds.items() if path[0] not in unwrapped.fields}, self.contract
        )
        try:
            raw = pj.read_json(
                pa.BufferReader(pa.py_buffer(unwrapped.json)),
                read_options=pj.ReadOptions(use_threads=False, block_size=len(unwrapped.json) + 1),
                parse_options=pj.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore"),
            )
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            return None
        if raw.num_rows != len(lines):
            return None
        columns, doubtful = [], None
        for field in self.contract.fields:
            column, doubt = coerce_column(_at_path(raw, unwrapped.fields, field.path), field, self.timezone)
            if not field.nullable and column.null_count:
                absent = pc.is_null(column)
                doubt = absent if doubt is None else pc.or_(doubt, absent)
            columns.append(column)
            if doubt is not None:
                doubtful = doubt if doubtful is None else pc.or_(doubtful, doubt)
        return pa.Table.from_arrays(columns, schema=self.contract.arrow_schema), doubtful

    # How a source logs its values

    def _usual_kinds(self) -> Kinds:
        kinds: dict[Path, RawKind] = {}
        for field in self.contract.fields:
            kinds.setdefault(field.path, RAW_KINDS[field.kind])
        return kinds

    def _likely_kinds(self, lines: Lines) -> Iterator[Kinds]:
        """What worked last, or the usual; if that fails, what the block's first lines show."""
        first = self._learned.get("kinds") or self._usual_kinds()
        yield first
        seen = self._kinds_of([lines.line(position) for position in range(min(len(lines), _LEARN_FROM))])
        if seen != first:
            yield seen

    def _kinds_of(self, sample: Sequence[bytes]) -> Kinds:
        kinds = dict(self._usual_kinds())
        for path in kinds:
            seen = set()
            for line in sample:
                try:
                    seen.add(_kind_of(at_path(self.format.record(line), path)))
                except Rejected:
                    continue
            seen.discard(None)
            if len(seen) == 1:
                kinds[path] = seen.pop()  # type: ignore[assignment]
            elif seen == {"int", "float"}:
                kinds[path] = "float"
        return kinds

    def _struct(self, kinds: Kinds, unwrapped: Unwrapped) -> type[msgspec.Struct]:
        repeated = {field.path for field in self.contract.fields if field.repeated}
        return _struct_of(
            {
                path: Any if path in repeated else _STRICT[kind]
                for path, kind in kinds.items()
                if path[0] not in unwrapped.fields
            }
        )

    def _promising(self, lines: Lines, unwrapped: Unwrapped) -> npt.NDArray[np.int64]:
        """The lines that msgspec can read as the kinds that are expected: a quick guess at what Arrow will accept."""
        kinds = self._learned.get("kinds") or self._usual_kinds()
        decoder = msgspec.json.Decoder(self._struct(kinds, unwrapped))
        view = memoryview(unwrapped.json)
        doubtful = set(unwrapped.doubtful.tolist())
        good = []
        for position, (start, end) in enumerate(zip(lines.starts.tolist(), lines.ends.tolist(), strict=True)):
            if position in doubtful:
                continue
            line = view[start:end]
            try:
                decoder.decode(line)
                bytes(line).decode()
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                continue
            good.append(position)
        return np.array(good, dtype=np.int64)


def _is_utf8(data: bytes) -> bool:
    offsets = pa.py_buffer(np.array([0, len(data)], dtype=np.int32))
    try:
        pa.Array.from_buffers(pa.binary(), 1, [None, offsets, pa.py_buffer(data)]).cast(pa.string())
    except pa.ArrowInvalid:
        return False
    return True


def _only(lines: Lines, unwrapped: Unwrapped, positions: npt.NDArray[np.int64]) -> tuple[Lines, Unwrapped]:
    """A block of some of the lines."""
    view = memoryview(unwrapped.json)
    starts, ends = lines.starts[positions].tolist(), lines.ends[positions].tolist()
    text = b"\n".join([bytes(view[start:end]).lstrip() for start, end in zip(starts, ends, strict=True)])
    fields = {name: column.take(pa.array(positions)) for name, column in unwrapped.fields.items()}
    return Lines(text), Unwrapped(text, fields)


def _at_path(raw: pa.Table, fields: Mapping[str, pa.Array], path: Path) -> pa.Array:
    if path[0] in fields:
        return fields[path[0]] if len(path) == 1 else pa.nulls(raw.num_rows, pa.string())
    column = raw.column(path[0]).combine_chunks()
    for key in path[1:]:
        column = column.flatten()[column.type.get_field_index(key)]  # null where its parent is
    return column


def _raw_schema(kinds: Kinds, contract: Contract) -> pa.Schema:
    """The nested Arrow schema in which the paths of the contract stand."""
    repeated = {field.path for field in contract.fields if field.repeated}
    return pa.schema(
        _members(
            {path: pa.list_(RAW_TYPES[kind]) if path in repeated else RAW_TYPES[kind] for path, kind in kinds.items()}
        )
    )


def _members(types: Mapping[Path, pa.DataType]) -> list[pa.Field]:
    heads = dict.fromkeys(path[0] for path in types)
    members = []
    for head in heads:
        below = {path[1:]: found for path, found in types.items() if path[0] == head}
        members.append(pa.field(head, below[()] if () in below else pa.struct(_members(below))))
    return members


_STRICT: dict[RawKind, Any] = {"string": str | None, "int": int | None, "float": float | None, "boolean": bool | None}


def _struct_of(types: Mapping[Path, Any]) -> type[msgspec.Struct]:
    """A msgspec type that accepts just the objects whose paths hold these types, or nothing."""
    members: list[tuple[str, Any, Any]] = []
    rename: dict[str, str] = {}
    for number, head in enumerate(dict.fromkeys(path[0] for path in types)):
        below = {path[1:]: found for path, found in types.items() if path[0] == head}
        rename[f"f{number}"] = head
        members.append((f"f{number}", below[()] if () in below else _struct_of(below) | None, None))
    return msgspec.defstruct("Line", members, rename=rename)


def _kind_of(value: Any) -> RawKind | None:
    if isinstance(value, list):
        kinds = {_kind_of(item) for item in value} - {None}
        return kinds.pop() if len(kinds) == 1 else "float" if kinds == {"int", "float"} else None
    names: dict[type, RawKind] = {str: "string", bool: "boolean", int: "int", float: "float"}
    return names.get(type(value))


def _plain_value(value: pa.Scalar) -> Any:
    return value.value if pa.types.is_timestamp(value.type) else value.as_py()
