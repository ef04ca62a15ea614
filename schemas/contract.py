"""The contract of a source: one Avro schema whose fields say where they stand in the log line."""

import dataclasses
import json
import math
import re
from collections.abc import Mapping
from typing import Any, Literal, get_args

import pyarrow as pa

from retrolabel.schemas.errors import ConfigError, did_you_mean, nearest_name
from retrolabel.schemas.personal import KEYED, Generalization, parse_treatment

Kind = Literal["string", "boolean", "int", "long", "float", "double", "timestamp"]
"""What a field holds. `timestamp` is a `long` with an Avro `timestamp-*` logical type, kept in microseconds of UTC."""

TimeUnit = Literal["s", "ms", "us", "ns"]
"""The unit of an epoch timestamp; without one it is judged by magnitude (see `kernels/coerce.py`)."""

DateOrder = Literal["mdy", "dmy"]
"""Which of the numbers before the year is the month, in times such as 11/20/2026 10:00."""

ARROW_TYPES: Mapping[Kind, pa.DataType] = {
    "string": pa.string(),
    "boolean": pa.bool_(),
    "int": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "timestamp": pa.timestamp("us", tz="UTC"),
}

_TIMESTAMPS = ("timestamp-millis", "timestamp-micros", "timestamp-nanos")
_ATTRIBUTES = {
    "name", "type", "path", "missing", "query", "time_unit", "date_order", "doc", "default", "pii", "generalize", "aliases",
}  # fmt: skip
_DEEPEST = 100
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PATH_PART = re.compile(r'"((?:[^"\\]|\\.)*)"|([^."]+)')


@dataclasses.dataclass(frozen=True)
class Field:
    """One column of the record that parsing yields, and where it stands in the log line."""

    name: str
    kind: Kind
    path: tuple[str, ...]
    """Keys to descend, outermost first."""
    nullable: bool = False
    """Whether the field may be absent or null; a line that lacks a plain field is rejected."""
    repeated: bool = False
    """Whether the field is an array of `kind`."""
    missing: tuple[str | int | float | bool, ...] = ()
    """JSON values that mean "not measured"; they become null."""
    time_unit: TimeUnit | None = None
    date_order: DateOrder | None = None
    """Without one, times whose month stands in numbers beside the day are rejected."""
    symbols: tuple[str, ...] = ()
    """The values that an Avro enum allows; empty for other types."""
    doc: str = ""
    pii: str = ""
    """What becomes of the personal data in it (`Treatment`); empty if it holds none."""
    generalize: Generalization | None = None
    query: str | None = None
    """The field is the parameter of that name in the query string of the text at `path`."""

    @property
    def arrow_type(self) -> pa.DataType:
        """The Arrow type of the parsed column."""
        return pa.list_(ARROW_TYPES[self.kind]) if self.repeated else ARROW_TYPES[self.kind]

    @property
    def published(self) -> "Field | None":
        """The field as it is after its personal data was treated; None if nothing is left."""
        if self.pii == "drop":
            return None
        if self.pii in KEYED:
            return dataclasses.replace(self, kind="string", symbols=())
        if self.generalize:
            kind: Any = self.generalize.kind or self.kind
            nullable = self.nullable or self.generalize.way in ("ip", "map")
            return dataclasses.replace(self, kind=kind, nullable=nullable, symbols=())
        return self


@dataclasses.dataclass(frozen=True)
class Contract:
    """The flat record that parsing one source yields."""

    name: str
    fields: tuple[Field, ...]
    dropped: tuple[str, ...] = ()
    """Names of fields of which nothing was left, because they are personal data."""

    @property
    def arrow_schema(self) -> pa.Schema:
        """The Arrow schema of a parsed block, fields in the contract's order."""
        return pa.schema([pa.field(f.name, f.arrow_type, nullable=f.nullable) for f in self.fields])

    @property
    def published(self) -> "Contract":
        """What is left of the record after the personal data in it was treated."""
        left = {field.name: field.published for field in self.fields}
        return Contract(self.name, tuple(filter(None, left.values())), tuple(name for name in left if not left[name]))

    @property
    def personal(self) -> bool:
        """Whether the record holds personal data."""
        return any(field.pii for field in self.fields)

    def field(self, name: str) -> Field:
        """The field called `name`.

        Raises:
            KeyError: there is none.
        """
        for field in self.fields:
            if field.name == name:
                return field
        raise KeyError(name)


def parse_contract(schema: Any) -> Contract:
    """Reads an Avro record schema (as parsed JSON) into a contract.

    Raises:
        ConfigError: the schema is not one that a log line can be read into; the message lists every problem, a line each.
    """
    if not isinstance(schema, dict) or schema.get("type") != "record":
        raise ConfigError('a contract is an Avro record: {"type": "record", "name": …, "fields": […]}')
    declared = schema.get("fields")
    if not isinstance(declared, list) or not declared:
        raise ConfigError("a contract needs a non-empty list under 'fields'")
    fields: list[Field] = []
    problems: list[str] = []
    for position, entry in enumerate(declared):
        try:
            fields.append(_parse_field(entry, position))
        except ConfigError as problem:
            problems.append(str(problem))
    problems.extend(_clashes(fields))
    if problems:
        raise ConfigError("\n".join(problems))
    return Contract(str(schema.get("name", "Record")), tuple(fields))


def contract_of(text: str) -> Contract:
    """Reads the text of an `.avsc` file (see `parse_contract`)."""
    try:
        schema = json.loads(text, parse_int=_whole, parse_float=_number, parse_constant=_number)
        json.dumps(schema, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise ConfigError(f"line {error.lineno}, column {error.colno}: not JSON: {error.msg}") from None
    except UnicodeEncodeError:
        raise ConfigError("not JSON that can be read: half of a surrogate pair") from None
    except (RecursionError, ValueError):
        raise ConfigError("not JSON that can be read: nested too deeply, or no number of 64 bits") from None
    return parse_contract(schema)


def _whole(digits: str) -> int:
    if len(digits) > 19:
        raise ValueError("too many digits")
    return int(digits)


def _number(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError("not a finite number")
    return number


def _parse_field(entry: Any, position: int) -> Field:
    name = entry.get("name") if isinstance(entry, dict) else None
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigError(f"field {position + 1}: needs a 'name' of letters, digits and underscores; got {name!r}")
    if name.startswith("__"):
        raise ConfigError(
            f"field {name!r}: names that begin with two underscores are retrolabel's own; name it otherwise, with a 'path'"
        )
    if unknown := sorted(set(entry) - _ATTRIBUTES):
        raise ConfigError(
            f"field {name!r}: unknown attribute {unknown[0]!r}. {nearest_name(unknown[0], sorted(_ATTRIBUTES))}"
        )
    kind, nullable, repeated, symbols = _parse_type(name, entry.get("type"))
    unit = entry.get("time_unit")
    if unit is not None and (unit not in get_args(TimeUnit) or kind != "timestamp"):
        raise ConfigError(f"field {name!r}: 'time_unit' is one of {list(get_args(TimeUnit))}, and for timestamps only")
    order = entry.get("date_order")
    if order is not None and (order not in get_args(DateOrder) or kind != "timestamp"):
        raise ConfigError(
            f"field {name!r}: 'date_order' is one of {list(get_args(DateOrder))}, and for timestamps only"
        )
    query = entry.get("query")
    if query is not None and (not isinstance(query, str) or not query or repeated):
        raise ConfigError(f"field {name!r}: 'query' is the name of a parameter, and for single values only")
    missing = entry.get("missing", [])
    if not isinstance(missing, list) or not all(isinstance(value, str | int | float | bool) for value in missing):
        raise ConfigError(f"field {name!r}: 'missing' is a list of strings, numbers or booleans; got {missing!r}")
    if missing and not nullable:
        raise ConfigError(f'field {name!r}: a field with \'missing\' values must be nullable: "type": ["null", …]')
    path = split_path(entry["path"]) if "path" in entry else (name,)
    if len(path) > _DEEPEST:
        raise ConfigError(f"field {name!r}: 'path' has {len(path):,} keys; at most {_DEEPEST} are read")
    return Field(name, kind, path, nullable, repeated, tuple(missing), unit, order, symbols, str(entry.get("doc", "")),
                 *parse_treatment(name, entry, kind, repeated), query)  # fmt: skip


def _parse_type(name: str, declared: Any) -> tuple[Kind, bool, bool, tuple[str, ...]]:
    """Returns kind, nullable, repeated and the symbols of an Avro type."""
    nullable = isinstance(declared, list)
    if isinstance(declared, list):
        others = [branch for branch in declared if branch != "null"]
        if len(others) != 1 or len(declared) != 2:
            raise ConfigError(
                f'field {name!r}: a union is ["null", TYPE] and nothing else; got {json.dumps(declared)[:80]}'
            )
        declared = others[0]
    if isinstance(declared, dict) and declared.get("type") == "array":
        kind, item_nullable, nested, symbols = _parse_type(name, declared.get("items"))
        if item_nullable or nested or symbols or kind == "timestamp":
            raise ConfigError(f"field {name!r}: an array holds plain strings, booleans or numbers")
        return kind, nullable, True, ()
    if isinstance(declared, dict) and declared.get("type") == "enum":
        words = declared.get("symbols")
        if not isinstance(words, list) or not words or not all(isinstance(word, str) for word in words):
            raise ConfigError(f"field {name!r}: an enum has 'symbols', a list of texts; got {json.dumps(words)[:80]}")
        return "string", nullable, False, tuple(words)
    if isinstance(declared, dict):
        logical, declared = declared.get("logicalType"), declared.get("type")
        if logical in _TIMESTAMPS and declared == "long":
            return "timestamp", nullable, False, ()
        if logical is not None:
            raise ConfigError(
                f"field {name!r}: no logical type {logical!r} is supported. {nearest_name(str(logical), _TIMESTAMPS)}"
            )
    known = [kind for kind in ARROW_TYPES if kind == declared != "timestamp"]
    if not known:
        plain = [kind for kind in ARROW_TYPES if kind != "timestamp"]
        raise ConfigError(
            f"field {name!r}: expected {', '.join(plain)}, an array of those, an enum, or a long with the logical type "
            f"{' or '.join(_TIMESTAMPS)}; got {json.dumps(declared)[:80]}. {did_you_mean(str(declared), plain)}".removesuffix(
                ". "
            )
        )
    return known[0], nullable, False, ()


def split_path(path: Any) -> tuple[str, ...]:
    """Splits a path at its dots; a key that itself holds dots is quoted.

    >>> split_path('kubernetes."app.io/name"')
    ('kubernetes', 'app.io/name')
    """
    keys, end = [], 0
    for part in _PATH_PART.finditer(path) if isinstance(path, str) else ():
        if part.start() != end:
            break
        keys.append(re.sub(r"\\(.)", r"\1", part[1]) if part[1] is not None else part[2])
        end = part.end()
        if end < len(path) and path[end] == ".":
            end += 1
        elif end != len(path):
            break
    if not keys or end != len(path) or path.endswith("."):
        raise ConfigError(
            f'path {path!r} is not keys separated by dots, as in features.price or kubernetes."app.io/name"'
        )
    return tuple(keys)


def _clashes(fields: list[Field]) -> list[str]:
    """Names used twice, and paths that descend into another field."""
    problems = []
    seen: dict[str, Field] = {}
    for field in fields:
        if field.name.lower() in seen:
            problems.append(
                f"field {field.name!r}: the name is used twice (names that differ in case alone are one in SQL)"
            )
        seen[field.name.lower()] = field
    by_path = {field.path: field for field in reversed(fields)}
    for other in fields:
        above = (by_path.get(other.path[:depth]) for depth in range(1, len(other.path)))
        if whole := next(filter(None, above), None):
            problems.append(
                f"field {other.name!r}: its path descends into {'.'.join(whole.path)!r}, "
                f"which is a {whole.kind} of the field {whole.name!r}"
            )
    return problems
