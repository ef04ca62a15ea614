"""From the bytes of a block to a table of the contract's fields, and to the records that cannot become rows.

Whole blocks are read as columns (`json_block.py`, or the format itself). What that leaves in doubt is judged alone with
`Format.record` and `coerce_value`. tests/property/test_parsing.py holds the two ways to the same rows and the same rejects.
"""

import dataclasses
import functools
import itertools
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from retrolabel.schemas.contract import ARROW_TYPES, Contract, Field
from retrolabel.schemas.reject import KEPT_BYTES, REJECTS, Reason, Rejected
from retrolabel.transforms.formats.interface import Below, Format
from retrolabel.transforms.kernels.coerce import RAW_KINDS, Column, RawKind, coerce_column, coerce_value, either
from retrolabel.transforms.kernels.columns import Mask, Octets, begins_with
from retrolabel.transforms.kernels.json_block import Shape, read_objects
from retrolabel.transforms.kernels.json_line import CEE, TOO_DEEP, at_path, lift
from retrolabel.transforms.kernels.lines import Block, Lines, Positions, remaining, trimmed
from retrolabel.transforms.kernels.pieces import Joined, join_pieces, whole_record
from retrolabel.transforms.kernels.query_text import parameter_column, value_of

Path = tuple[str, ...]
Kinds = Mapping[Path, RawKind]
"""As what each path of the contract is read from JSON."""

_PATIENCE = 10 * 2**20
"""Bytes within which the pieces of a line must stand."""

_MARKS = ("\ufeff".encode(), CEE.encode(), "\ufeff".encode())
"""What may stand before JSON in a string."""

_NOWHERE = np.empty(0, dtype=np.int64)

_Inner = tuple[bytes | memoryview, tuple[Positions, Positions], Positions, list[pa.Array]]
"""A text of JSON objects, where each begins and ends, the records that hold them, and the doubts about records."""

_TO_ARROW_ALONE = re.compile(rb"\0|\\u0000|NaN|Inf")
"""What stands in text that Python refuses as JSON and Arrow reads: `-NaN`, `Inf`, and what follows a zero byte. Depth is the other cause."""

_LOOK_AT = 5
"""Records looked at to see whether a lifted path holds objects or strings."""

_MANY = 100
"""Records in doubt that are read once more together, as those of another way of logging, before they are judged alone."""

_LEARN_FROM = 50
"""Records looked at to see how a source logs its values."""


@dataclasses.dataclass(frozen=True)
class Parsed:
    """What became of the records of a block: `lines = blank + rejected + parsed`."""

    table: pa.Table
    """The parsed rows in the order of their records, in the contract's Arrow schema."""
    rejects: pa.Table
    """The rejected records, in the schema `REJECTS`."""
    lines: int
    blank: int


@dataclasses.dataclass(frozen=True)
class LineReader:
    """How the records of one source are read."""

    source: str
    format: Format
    contract: Contract
    timezone: str = "UTC"
    keep_lines: bool = True
    """Whether rejects keep the text of their record; of a record with personal data they never do."""
    unwrap: tuple[Path, ...] = ()
    """Where the application's own JSON stands, outermost first: an object, or a string that holds one."""
    _learned: dict[int, Kinds] = dataclasses.field(default_factory=dict, compare=False, repr=False)
    """How each layer of the source was last seen to log its values: a matter of speed alone."""

    @property
    def splittable(self) -> bool:
        """Whether a file can be read from any of its lines on; not where one may go on a line cut in pieces."""
        return self.format.splittable and not self.unwrap

    def cut(self, text: bytes) -> int:
        """How many bytes of a text, of which more follows, are whole records."""
        if self.format.cut is not None:
            return self.format.cut(text)
        whole = text[: text.rfind(b"\n") + 1]
        unfinished = self._joined(Lines(whole)).unfinished if self._in_pieces else len(whole)
        return unfinished if len(whole) - unfinished < _PATIENCE else len(whole)

    def opened(self, head: bytes) -> "LineReader":
        """The reader of a file that begins with that head."""
        return dataclasses.replace(self, format=self.format.opened(head)) if self.format.opened else self

    def parse(self, block: Block) -> Parsed:
        """Reads all records of a block."""
        if self.format.opened:
            return self.opened(block.head).parse(block)
        lines, pieced = self._records_of(block)
        readable = lines.readable()
        if len(pieced):
            readable = np.setdiff1d(readable, pieced, assume_unique=True)
        tables, rows = [self.contract.arrow_schema.empty_table()], [_NOWHERE]
        while len(readable):
            table, doubtful = self._quick(lines.only(readable))
            if doubtful is None:
                tables.append(table)
                rows.append(readable)
                break
            sure = pc.invert(doubtful)
            kept = sure.to_numpy(zero_copy_only=False)
            tables.append(table.filter(sure))
            rows.append(readable[kept])
            readable = readable[~kept]
            if not kept.any() or len(readable) < _MANY:
                break  # else there are many that may be logged alike, in another way than those before
        return self._collect(block, lines, pa.concat_tables(tables), np.concatenate(rows))

    def parse_each(self, block: Block) -> Parsed:
        """Reads the records one by one: the definition that `parse` is held to."""
        if self.format.opened:
            return self.opened(block.head).parse_each(block)
        lines, _ = self._records_of(block)
        return self._collect(block, lines, self.contract.arrow_schema.empty_table(), np.empty(0, np.int64))

    def records(self, block: Block) -> Iterator[Mapping[str, Any] | Rejected]:
        """What each record of a block holds before the contract is applied."""
        if self.format.opened:
            yield from self.opened(block.head).records(block)
            return
        lines, _ = self._records_of(block)
        for position in range(len(lines)):
            try:
                yield self._record(lines.line(position))
            except Rejected as verdict:
                yield verdict

    @property
    def _in_pieces(self) -> bool:
        """Whether lines may have been cut in pieces by a container runtime."""
        return bool(self.unwrap) and self.format.cut is None and self.format.blocks is None

    def _joined(self, lines: Lines) -> Joined:
        return join_pieces(lines, self.format.record, self.unwrap[0][0], self.format.pieces)

    def _records_of(self, block: Block) -> tuple[Lines, Positions]:
        """The records of a block, and the positions of those that were joined from pieces."""
        lines = self.format.lines(block.data)
        if not self._in_pieces:
            return lines, np.empty(0, np.int64)
        joined = self._joined(lines)
        return joined.lines, joined.pieced

    def _collect(self, block: Block, lines: Lines, table: pa.Table, rows: Positions) -> Parsed:
        """Judges the remaining records and puts all rows in the order of their records."""
        rejects = [
            (block.offset + start, Reason.TOO_LONG, f"line of {length:,} bytes", head)
            for start, length, head in block.skipped
        ]
        found: list[list[Any]] = []
        found_at: list[int] = []
        for position in remaining(len(lines), rows).tolist():
            line = lines.line(position)
            try:
                found.append(self._judge(line))
                found_at.append(position)
            except Rejected as verdict:
                offset = block.offset + int(lines.offsets[position])
                rejects.append((offset, verdict.reason, verdict.detail, line[:KEPT_BYTES]))
        if found:
            table = pa.concat_tables([table, self._table_of(found)])
            rows = np.concatenate([rows, np.array(found_at, dtype=np.int64)])
        if np.any(np.diff(rows) < 0):
            table = table.combine_chunks().take(pa.array(np.argsort(rows, kind="stable")))
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
                pa.array([self._detail(reason, detail) for _, reason, detail, _ in ordered], pa.string()),
                pa.array(
                    [line if self.keep_lines and not self.contract.personal else None for _, _, _, line in ordered],
                    pa.binary(),
                ),
            ],
            schema=REJECTS,
        )

    def _detail(self, reason: Reason, detail: str) -> str:
        """What may be told: of a record with personal data, what the log says of itself may not."""
        return "" if self.contract.personal and reason is Reason.FAILURE_TAG else detail

    # One record

    def _record(self, text: bytes) -> Mapping[str, Any]:
        """What one record holds, the application's own JSON lifted out of its wrapping."""
        record = (
            whole_record(text, self.format.record, self.unwrap[0][0]) if self._in_pieces else self.format.record(text)
        )
        for path in (*self.format.lifted, *self.unwrap):
            record = lift(record, path)
        return record

    def _judge(self, text: bytes) -> list[Any]:
        """The values of one record, in the contract's order; raises `Rejected`."""
        try:
            record = self._record(text)
        except Rejected as verdict:
            if TOO_DEEP not in verdict.detail and not _TO_ARROW_ALONE.search(text):
                raise
            lines = self.format.lines(text)
            if len(lines) != 1 or len(lines.readable()) != 1:
                raise
            table, doubtful = self._quick(lines)
            if doubtful is not None:
                raise
            return [_plain_value(column[0]) for column in table.columns]
        return [coerce_value(value_of(record, field), field, self.timezone) for field in self.contract.fields]

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

    def _quick(self, lines: Lines) -> tuple[pa.Table, pa.Array | None]:
        """Reads what can be read all at once: a row for each record, and a mask of those that must be judged alone."""
        if not len(lines):
            return self.contract.arrow_schema.empty_table(), None
        doubts: list[pa.Array] = []
        layers = self._layers(lines, doubts)
        columns = []
        for field in self.contract.fields:
            column, doubt = _column(layers, field, self.timezone)
            if doubt is not None:
                doubts.append(doubt)
            if not field.nullable and column.null_count:
                doubts.append(pc.is_null(column))
            columns.append(column)
        doubtful = either(functools.reduce(pc.or_, doubts), None) if doubts else None
        return pa.Table.from_arrays(columns, schema=self.contract.arrow_schema), doubtful

    def _layers(self, lines: Lines, doubts: list[pa.Array]) -> list[Below]:
        """What stands in each record, and in the objects lifted out of it, outermost first; adds to the doubts."""
        unwrapped, count, sample = self.format.unwrap(lines), len(lines), _Sample(self, lines)
        wanted = remaining(count, unwrapped.doubtful)
        if unwrapped.json is None:
            doubts += _all_but(wanted, count)
            layers = [_fields(unwrapped.fields, lambda path: (pa.nulls(count, pa.string()), None))]
        else:
            bounds = unwrapped.bounds or (lines.starts, lines.ends)
            found, rows = self._objects(unwrapped.json, bounds, wanted, sample, 0, unwrapped.fields)
            doubts += _all_but(rows, count)
            layers = [_fields(unwrapped.fields, _columns_of(_spread(found, rows, count)))]
        for depth, path in enumerate((*self.format.lifted, *self.unwrap), 1):
            if path in sample.objects:
                doubts += _hidden(layers, path)
                layers += [functools.partial(_under, layer, path) for layer in layers]
                continue
            stands = unwrapped.texts.get(path[0]) if depth == len(path) == 1 else None
            if stands is None:
                text, bounds, held, doubt = _inner_text(_merged(layers, path))
            else:
                text, bounds, held, doubt = _inner_objects(*stands)
            found, rows = self._objects(text, bounds, np.arange(len(held)), sample, depth, {})
            doubts += [*doubt, *_all_but(rows, len(held), held, count)]
            layers.append(_columns_of(_spread(found, held[rows], count)))
        return layers

    def _objects(
        self, json: bytes | bytearray | memoryview, bounds: tuple[Positions, Positions], wanted: Positions, sample: "_Sample", depth: int,
        known: Collection[str],
    ) -> tuple[pa.Table, Positions]:  # fmt: skip
        """Reads the JSON objects of a layer in the way that its source was last seen to log, or now does."""

        def shapes() -> Iterator[Shape]:
            first = self._learned.get(depth, {})
            first = first if first.keys() == self._usual_kinds.keys() else self._usual_kinds
            yield self._shape(first, sample, known)
            seen = sample.kinds
            if seen != first:
                yield self._shape(seen, sample, known)

        table, rows, shape = read_objects(json, *bounds, wanted, shapes())
        self._learned[depth] = {path: shape.kinds.get(path, kind) for path, kind in self._usual_kinds.items()}
        return table, rows

    def _shape(self, kinds: Kinds, sample: "_Sample", known: Collection[str]) -> Shape:
        repeated = {field.path for field in self.contract.fields if field.repeated}
        lifted = (*self.format.lifted, *self.unwrap)
        paths = {path: kind for path, kind in kinds.items() if path[0] not in known}
        paths |= {path: "string" for path in lifted if path not in sample.objects and path[0] not in known}
        for path in (path for path in lifted if path in sample.objects):
            paths |= {(*path, *below): kind for below, kind in paths.items()}
            repeated |= {(*path, *below) for below in repeated}
        return Shape(paths, frozenset(repeated))

    @functools.cached_property
    def _usual_kinds(self) -> Kinds:
        kinds: dict[Path, RawKind] = {}
        for field in self.contract.fields:
            kinds.setdefault(field.path, RAW_KINDS[field.kind] if field.query is None else "string")
        return kinds


class _Sample:
    """What the first records of a block show of how their source logs."""

    def __init__(self, reader: LineReader, lines: Lines) -> None:
        self._reader, self._lines = reader, lines

    @functools.cached_property
    def objects(self) -> frozenset[Path]:
        """The lifted paths that hold objects, not strings."""
        objects: set[Path] = set()
        if self._lifted:
            for _ in self._records(_LOOK_AT, objects):
                pass
        return frozenset(objects)

    @property
    def _lifted(self) -> tuple[Path, ...]:
        return (*self._reader.format.lifted, *self._reader.unwrap)

    def _records(self, most: int, objects: set[Path]) -> Iterator[Mapping[str, Any]]:
        for position in range(min(len(self._lines), most)):
            try:
                record = self._reader.format.record(self._lines.line(position))
                for path in self._lifted:
                    if isinstance(at_path(record, path), dict):
                        objects.add(path)
                    record = lift(record, path)
            except Rejected:
                continue
            yield record

    @functools.cached_property
    def kinds(self) -> Kinds:
        """As what each path of the contract stands in the sample."""
        kinds = dict(self._reader._usual_kinds)  # noqa: SLF001 - of the same module
        records = list(self._records(_LEARN_FROM, set()))
        for path in kinds:
            seen = set()
            for record in records:
                try:
                    seen.add(_kind_of(at_path(record, path)))
                except Rejected:
                    continue
            seen.discard(None)
            if len(seen) == 1:
                kinds[path] = seen.pop()  # type: ignore[assignment]
            elif seen == {"int", "float"}:
                kinds[path] = "float"
        return kinds


def _column(layers: Sequence[Below], field: Field, timezone: str) -> Column:
    """A field's values: of each record those of the innermost layer that has the first key of its path."""
    chosen: list[tuple[Below, pa.Array | None]] = []
    for layer in reversed(layers[1:]):
        has = pc.is_valid(layer(field.path[:1])[0])
        if pc.any(has).as_py():
            chosen.append((layer, has))
            if pc.all(has, min_count=0).as_py():
                break
    else:
        chosen.append((layers[0], None))
    values = doubtful = None
    for layer, has in reversed(chosen):
        raw, unsure = layer(field.path)
        if field.query is not None:
            raw, unsure = parameter_column((raw, unsure), field.query)
        found, doubt = coerce_column(raw, field, timezone)
        doubt = either(doubt, unsure)
        if values is None:
            values, doubtful = found, doubt
        else:
            values = pc.if_else(has, found, values)
            doubtful = either(
                None if doubt is None else pc.and_(doubt, has), None if doubtful is None else pc.and_not(doubtful, has)
            )
    return values, doubtful


def _fields(fields: Mapping[str, Below], others: Below) -> Below:
    return lambda path: fields[path[0]](path[1:]) if path[0] in fields else others(path)


def _columns_of(table: pa.Table) -> Below:
    """The columns of nested objects; nothing stands below a value that is no object."""

    def below(path: Path) -> Column:
        index = table.schema.get_field_index(path[0])
        if index < 0:
            return pa.nulls(table.num_rows, pa.string()), None
        column = table.column(index).combine_chunks()
        for key in path[1:]:
            if not pa.types.is_struct(column.type):
                return pa.nulls(table.num_rows, pa.string()), pc.is_valid(column)
            index = column.type.get_field_index(key)
            if index < 0:
                return pa.nulls(table.num_rows, pa.string()), None
            column = pc.struct_field(column, index)  # null where its parent is
        return column, None

    return below


def _under(layer: Below, path: Path, below: Path) -> Column:
    return layer((*path, *below))


def _merged(layers: Sequence[Below], path: Path) -> Column:
    """A column of strings: of each record that of the innermost layer that has the first key of the path."""
    text, doubt = layers[0](path)
    for layer in layers[1:]:
        has = pc.is_valid(layer(path[:1])[0])
        inner, unsure = layer(path)
        text = pc.if_else(has, inner, text)
        doubt = either(
            None if unsure is None else pc.and_(unsure, has), None if doubt is None else pc.and_not(doubt, has)
        )
    return text, doubt


def _hidden(layers: Sequence[Below], path: Path) -> list[pa.Array]:
    """The records in which several layers have the object's key: only the innermost one counts there."""
    there = [pc.is_valid(layer(path[:1])[0]) for layer in layers]
    return [pc.and_(one, other) for one, other in itertools.combinations(there, 2)]


def _inner_text(column: Column) -> _Inner:
    """The JSON in a column of strings, read where Arrow keeps it."""
    raw, unsure = column
    if raw.null_count == len(raw):
        return b"", (_NOWHERE, _NOWHERE), _NOWHERE, [] if unsure is None else [unsure]
    _, offsets, text = raw.buffers()
    bounds = np.frombuffer(offsets, dtype=np.int32)[raw.offset :][: len(raw) + 1].astype(np.int64)
    valid = raw.is_valid().to_numpy(zero_copy_only=False)
    json, where, held, doubts = _inner_objects(np.frombuffer(text, dtype=np.uint8), bounds[:-1], bounds[1:], valid)
    return json, where, held, doubts if unsure is None else [*doubts, unsure]


def _inner_objects(octets: Octets, starts: Positions, ends: Positions, valid: Mask) -> _Inner:
    """The JSON objects in stretches of a text, one a record."""
    starts, ends = trimmed(octets, starts, ends)
    bare = bool((octets[starts[starts < len(octets)]] == ord("{")).all())
    for mark in () if bare else _MARKS:  # in the order in which `json_line.lift` takes them off
        marked = begins_with(octets, starts, mark) & (starts + len(mark) <= ends)
        if marked.any():
            starts, ends = trimmed(octets, starts + len(mark) * marked, ends)
    braced = valid & (ends > starts)
    braced[braced] = (octets[starts[braced]] == ord("{")) & (octets[ends[braced] - 1] == ord("}"))
    held = np.flatnonzero(braced)
    wrong = valid & ~braced
    return octets.data, (starts[held], ends[held]), held, [pa.array(wrong)] if wrong.any() else []


def _spread(table: pa.Table, rows: Positions, count: int) -> pa.Table:
    """The rows of a table at their places among `count`, null elsewhere."""
    if len(rows) == count:
        return table
    places = np.full(count, -1, dtype=np.int64)
    places[rows] = np.arange(len(rows))
    return table.take(pa.array(places, mask=places < 0))


def _all_but(rows: Positions, length: int, places: Positions | None = None, count: int | None = None) -> list[pa.Array]:
    """A mask of the records that are not among some rows, if there are any."""
    if len(rows) == length:
        return []
    left = remaining(length, rows)
    mask = np.zeros(count or length, dtype=bool)
    mask[left if places is None else places[left]] = True
    return [pa.array(mask)]


def _kind_of(value: Any) -> RawKind | None:
    if isinstance(value, list):
        kinds = {_kind_of(item) for item in value} - {None}
        return kinds.pop() if len(kinds) == 1 else "float" if kinds == {"int", "float"} else None
    names: dict[type, RawKind] = {str: "string", bool: "boolean", int: "int", float: "float"}
    return names.get(type(value))


def _plain_value(value: pa.Scalar) -> Any:
    return value.value if pa.types.is_timestamp(value.type) else value.as_py()
