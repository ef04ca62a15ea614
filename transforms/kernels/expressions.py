"""The SQL that a user may write in a config: a filter over a source's fields, an aggregate over a window's outcomes."""

import dataclasses
import math
import re
from typing import Any

import duckdb
import pyarrow as pa

from retrolabel.schemas.contract import Contract
from retrolabel.schemas.errors import ConfigError
from retrolabel.transforms.kernels.engine import connection

KEYWORDS = ("any", "count", "delay")
"""Label values that are not SQL."""

NOT_FINITE = "a sum of huge numbers, or a division by 0? Guard it, for example with nullif(n, 0)"
"""Where a label of infinity or NaN comes from."""

MATCHED = (
    pa.field("__prediction_row", pa.int64()),
    pa.field("__outcome_row", pa.int64()),
    pa.field("__prediction_time", pa.timestamp("us", "UTC")),
)
"""What stands beside the outcome's fields where a label's value is computed: `__outcome_row` is their canonical order."""

_OF_FIELD = re.compile(r"(sum|min|max|mean|first|last)\s*\(\s*([A-Za-z_][A-Za-z0-9_]*)\s*\)")


@dataclasses.dataclass(frozen=True)
class Aggregate:
    """The SQL of a label's value over the outcomes of one prediction."""

    sql: str
    """An aggregate over the table `matched`: the outcome's fields and those of `MATCHED`."""
    when_none: str
    """SQL of the value of a matured prediction without any outcome, where `matched` is empty."""


def quoted(name: str) -> str:
    """A name as a SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def aggregate(value: str, time: str) -> Aggregate:
    """Translates a label's `value` into SQL.

    `any` and `count` and `sum` know what no outcome means (false, 0, 0); `delay`, `min`, `max`, `mean`, `first` and `last` of
    nothing are null; any other SQL aggregate has the value that it has over the empty set (`count(*)`: 0, `max(rating) >= 4`: null).

    Args:
        value: as the config has it.
        time: the outcome's event-time field.
    """
    if value == "any":
        return Aggregate("true", "false")
    if value == "count":
        return Aggregate("count(*)", "0")
    if value == "delay":
        return Aggregate(f"(epoch_us(min({quoted(time)})) - epoch_us(any_value(__prediction_time))) / 1e6", "NULL")
    if match := _OF_FIELD.fullmatch(value.strip()):
        function, field = match[1], quoted(match[2])
        if function == "sum":
            return Aggregate(f"coalesce(sum({field} ORDER BY __outcome_row), 0)", "0")
        ordered = {
            "mean": f"avg({field} ORDER BY __outcome_row)",
            "first": f"first({field} ORDER BY __outcome_row)",
            "last": f"last({field} ORDER BY __outcome_row)",
        }
        return Aggregate(ordered.get(function, f"{function}({field})"), "NULL")
    return Aggregate(f"({value})", f"(SELECT {value} FROM matched)")


def check_filter(where: str, contract: Contract) -> None:
    """Refuses a filter that is not one true-or-false expression over the contract's fields.

    Raises:
        ConfigError: what is wrong, in the engine's words without its internals.
    """
    _check_expression(where)
    found = _values(f"SELECT ({where}) AS value FROM block", "block", contract.arrow_schema, where).type
    if found not in (pa.bool_(), pa.null()):
        raise ConfigError(f"expected an expression that is true or false; {where!r} is of type {found}")


def check_number(sql: str, contract: Contract) -> None:
    """Refuses SQL that is not one number over the contract's fields.

    Raises:
        ConfigError: what is wrong, in the engine's words without its internals.
    """
    _check_expression(sql)
    found = _values(f"SELECT ({sql}) AS value FROM block", "block", contract.arrow_schema, sql).type
    if not (pa.types.is_integer(found) or pa.types.is_floating(found)):
        raise ConfigError(f"expected a number; {sql!r} is of type {found}")


def label_type(value: str, contract: Contract, time: str) -> pa.DataType:
    """The Arrow type of a label, having checked that its value is one aggregate over the outcome's fields.

    Raises:
        ConfigError: what is wrong, in the engine's words without its internals.
    """
    if value not in KEYWORDS:
        _check_expression(value)
    sql = f"SELECT __prediction_row, {aggregate(value, time).sql} AS value FROM matched GROUP BY __prediction_row"
    found = _values(sql, "matched", _matched_schema(contract), value).type
    if not (pa.types.is_primitive(found) or pa.types.is_string(found)):
        raise ConfigError(f"{value!r} is of type {found}; a label is a boolean, a number, a string or a timestamp")
    return found


def value_when_none(value: str, contract: Contract, time: str) -> Any:
    """The value of a label for a matured prediction without any outcome."""
    sql = f"SELECT {aggregate(value, time).when_none} AS value"
    return _values(sql, "matched", _matched_schema(contract), value)[0].as_py()


def with_plain_types(table: pa.Table) -> pa.Table:
    """SQL's own numbers (HUGEINT, DECIMAL, small integers) as the two that every output format has."""
    return table.cast(pa.schema([field.with_type(_plain_type(field.type)) for field in table.schema]))


def _plain_type(found: pa.DataType) -> pa.DataType:
    if pa.types.is_decimal(found):
        return pa.int64() if found.scale == 0 else pa.float64()
    return pa.int64() if pa.types.is_integer(found) else pa.float64() if pa.types.is_floating(found) else found


def check_value(value: str, contract: Contract, time: str) -> None:
    """Refuses a label value that is not one aggregate over the outcome's fields (see `label_type`)."""
    label_type(value, contract, time)
    without = value_when_none(value, contract, time)
    if isinstance(without, float) and not math.isfinite(without):
        raise ConfigError(f"without any outcome it is not a finite number: {NOT_FINITE}")


def _check_expression(sql: str) -> None:
    """A lone, repeatable expression: no second statement, no second column, no comment that swallows what follows."""
    try:
        duckdb.SQLExpression(sql)
    except duckdb.Error as error:
        raise ConfigError(f"{sql!r} is not one SQL expression: {_plain(error)}") from None
    if "--" in sql or "/*" in sql:
        raise ConfigError(f"{sql!r} holds a SQL comment; write comments in YAML")
    if outside := _outside(sql):
        raise ConfigError(f"{sql!r} uses {outside!r}, which reads something else than the row")
    names = sorted({name.lower() for name in re.findall(r"[A-Za-z_][A-Za-z0-9_]*", sql)})
    changing = (
        connection()
        .execute(
            "SELECT function_name FROM duckdb_functions() WHERE stability <> 'CONSISTENT' AND list_contains(?, function_name)",
            [names],
        )
        .fetchall()
    )
    if changing:
        raise ConfigError(
            f"{sql!r} uses {changing[0][0]!r}, whose value changes from run to run; a build must be repeatable"
        )


def _outside(sql: str) -> str | None:
    """The first table function of an expression: files, settings and further SQL, where only the row counts."""
    called = {name.lower() for name in re.findall(r"([A-Za-z_][A-Za-z0-9_]*)\s*\(", sql)}
    found = (
        connection()
        .execute(
            "SELECT function_name FROM duckdb_functions() WHERE list_contains(?, function_name) "
            "GROUP BY function_name HAVING bool_and(function_type IN ('table', 'table_macro', 'pragma')) ORDER BY 1",
            [sorted(called - {"unnest", "range", "generate_series"})],
        )
        .fetchall()
    )
    return str(found[0][0]) if found else None


def _matched_schema(contract: Contract) -> pa.Schema:
    return pa.schema([*contract.arrow_schema, *MATCHED])


def _values(sql: str, table: str, schema: pa.Schema, written: str) -> pa.ChunkedArray:
    """The column `value` of a query over an empty table, made of what the user has written."""
    engine = connection()
    engine.register(table, schema.empty_table())
    try:
        return with_plain_types(engine.sql(sql).to_arrow_table()).column("value")
    except duckdb.Error as error:
        raise ConfigError(_plain(error) + _hint(error, written)) from None
    finally:
        engine.unregister(table)


def _plain(error: duckdb.Error) -> str:
    """The engine's message without the query that it quotes."""
    text = str(error).split("\n\nLINE ")[0].replace("\n", " ").strip()
    return text.partition(". Either add it to the GROUP BY list")[0]


def _hint(error: duckdb.Error, written: str) -> str:
    """What is likely to be meant."""
    named = re.search(r'column "([^"]*)" (not found|must appear in the GROUP BY)', str(error))
    if named and named[2] == "not found" and f'"{named[1]}"' in written:
        return f". Hint: a text stands in single quotes, '{named[1]}'; double quotes are for names of fields"
    if named and named[2] != "not found":
        return f". Hint: a prediction may have several outcomes: say which counts, as in max({named[1]}) or last({named[1]})"
    return ""
