"""From what JSON holds to what the contract says, without loss: once for whole columns, once for single values.

The two forms accept the same values and give the same results (tests/property/test_parsing.py holds them together). A column form
may pass on a row that it cannot judge (`doubtful`); the value form then decides, and says why a value is refused.

Accepted: strings for strings; whole numbers for strings of their digits; numbers, and strings in JSON's number grammar, for
numbers when nothing is lost (`7.0` and `"7"` for 7); `true`, `false` and the strings of those for booleans; for timestamps ISO 8601
with a space or a T and the other ways of `time_texts.py`, a zone-less one being read in the source's zone, and epoch numbers in `time_unit` or, without one,
by magnitude: below 1e11 seconds, below 1e14 milliseconds, below 1e17 microseconds, else nanoseconds.
"""

import datetime
import math
import re
import zoneinfo
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from retrolabel.schemas.contract import ARROW_TYPES, Field
from retrolabel.schemas.reject import Reason, Rejected
from retrolabel.transforms.kernels.time_texts import as_iso, columns_as_iso, is_numbered

RawKind = Literal["string", "int", "float", "boolean"]
"""What a column of JSON values is read as before the contract is applied."""

RAW_TYPES: dict[RawKind, pa.DataType] = {
    "string": pa.string(),
    "int": pa.int64(),
    "float": pa.float64(),
    "boolean": pa.bool_(),
}

RAW_KINDS: dict[str, RawKind] = {
    "string": "string", "timestamp": "string", "boolean": "boolean",
    "int": "int", "long": "int", "float": "float", "double": "float",
}  # fmt: skip
"""How each kind of field is usually logged."""

_INTEGER = r"-?(0|[1-9][0-9]{0,18})"
_NUMBER = r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?"
_EPOCH = r"-?[0-9]{1,19}(\.[0-9]+)?"
_ONE_EPOCH = re.compile(r"-?[0-9]{1,18}(\.[0-9]+)?")
_ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?)?(Z|z|[+-]\d\d(?::?\d\d)?)?", re.ASCII
)
_EPOCH_START = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_YEARS = (-62_135_596_800_000_000, 253_402_300_799_999_999)
"""Microseconds of the first and the last moment of the years 1 to 9999."""
_SAME_ZONES = (0, 2_114_380_799_999_999)
"""From 1970 to 2036: when Arrow and Python are sure to agree on a zone's clock (Arrow knows no summer time after 2037)."""
_EXACT = 2.0**53
_LIMITS = {"int": (-(2**31), 2**31 - 1), "long": (-(2**63), 2**63 - 1)}
_PER_UNIT = {"s": 1_000_000, "ms": 1_000, "us": 1}
_MAGNITUDES = ((1e11, "s"), (1e14, "ms"), (1e17, "us"))
_ISO_COLUMN = r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{1,9})?"

Column = tuple[pa.Array, pa.Array | None]
"""The values, and a mask of the rows that this form cannot judge (None: there are none)."""


def coerce_column(raw: pa.Array, field: Field, timezone: str) -> Column:
    """Reads a column of JSON values as the contract's type.

    Args:
        raw: of a type in `RAW_TYPES`, or a list of it for a repeated field; values of another type are in doubt.
        field: the contract's field.
        timezone: of timestamps that do not say theirs.
    """
    if pa.types.is_null(raw.type):
        return pa.nulls(len(raw), field.arrow_type), None
    if pa.types.is_list(raw.type) != field.repeated or (
        (raw.type.value_type if field.repeated else raw.type) not in RAW_TYPES.values()
    ):
        return pa.nulls(len(raw), field.arrow_type), either(None, pc.is_valid(raw))
    if field.repeated:
        values, doubtful = _scalars(raw.flatten(), field, timezone)
        if doubtful is not None:  # one doubtful item makes its whole list doubtful
            rows = pc.filter(pc.list_parent_indices(raw), doubtful)
            doubtful = pc.is_in(pa.array(np.arange(len(raw)), pa.int64()), value_set=rows.cast(pa.int64()))
        doubtful = either(doubtful, _item_is_null(raw))
        lengths = pc.fill_null(pc.list_value_length(raw), 0).to_numpy()  # offsets may span items below a null
        offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
        lists = pa.ListArray.from_arrays(offsets, values, mask=pc.is_null(raw))
        return lists, doubtful
    values, doubtful = _scalars(raw, field, timezone)
    if field.missing:
        values, doubtful = _without_missing(raw, values, doubtful, field)
    if field.symbols:
        known = pc.is_in(values, value_set=pa.array(field.symbols, pa.string()))
        doubtful = either(doubtful, pc.and_not(pc.is_valid(values), known))
    return values, doubtful


def _item_is_null(raw: pa.ListArray) -> pa.Array | None:
    items = raw.flatten()
    if not items.null_count:
        return None
    rows = pc.filter(pc.list_parent_indices(raw), pc.is_null(items))
    return pc.is_in(pa.array(np.arange(len(raw)), pa.int64()), value_set=rows.cast(pa.int64()))


def _scalars(raw: pa.Array, field: Field, timezone: str) -> Column:
    if field.kind == "timestamp":
        return _timestamps(raw, field, timezone)
    target = ARROW_TYPES[field.kind]
    if pa.types.is_string(raw.type):
        return _from_strings(raw, field, target)
    if pa.types.is_boolean(raw.type):
        return (raw, None) if field.kind == "boolean" else _all_doubtful(raw, target)
    if field.kind == "boolean":
        return _all_doubtful(raw, target)
    if field.kind == "string":
        return (raw.cast(pa.string()), None) if pa.types.is_integer(raw.type) else _all_doubtful(raw, target)
    if field.kind in _LIMITS:
        low, high = _LIMITS[field.kind]
        if pa.types.is_integer(raw.type):
            return _checked(raw, None if field.kind == "long" else _outside(raw, low, high), target)
        return _checked(
            raw, pc.or_(pc.not_equal(pc.floor(raw), raw), pc.greater(pc.abs(raw), min(_EXACT, float(high)))), target
        )
    values = raw.cast(target, safe=False)
    return _checked(values, pc.invert(pc.is_finite(values)), target)


def _from_strings(raw: pa.Array, field: Field, target: pa.DataType) -> Column:
    if field.kind == "string":
        return raw, None
    if field.kind == "boolean":
        known = pc.is_in(raw, value_set=pa.array(["true", "false"]))
        return pc.equal(raw, "true"), either(None, pc.and_not(pc.is_valid(raw), known))
    grammar = _INTEGER if field.kind in _LIMITS else _NUMBER
    fits = pc.fill_null(pc.match_substring_regex(raw, f"^{grammar}$"), True)
    if not pc.all(fits, min_count=0).as_py():
        values, doubtful = _from_strings(pc.if_else(fits, raw, None), field, target)
        return values, either(doubtful, pc.invert(fits))
    try:
        return _scalars(raw.cast(pa.int64() if field.kind in _LIMITS else pa.float64()), field, "UTC")
    except pa.ArrowInvalid:  # 19 digits that do not fit 64 bits
        return _all_doubtful(raw, target)


def _outside(raw: pa.Array, low: int, high: int) -> pa.Array:
    return pc.or_(pc.less(raw, low), pc.greater(raw, high))


def _checked(values: pa.Array, wrong: pa.Array | None, target: pa.DataType) -> Column:
    """Casts the values that are not wrong; the wrong ones are doubtful."""
    doubtful = either(None, wrong)
    if doubtful is not None:
        values = pc.if_else(doubtful, None, values)
    return values.cast(target, safe=False), doubtful


def _all_doubtful(raw: pa.Array, target: pa.DataType) -> Column:
    return pa.nulls(len(raw), target), pc.is_valid(raw)


def either(first: pa.Array | None, second: pa.Array | None) -> pa.Array | None:
    """The union of two masks, None where no row is set."""
    masks = [pc.fill_null(mask, False) for mask in (first, second) if mask is not None]
    union = masks[0] if len(masks) == 1 else pc.or_(*masks) if masks else None
    return union if union is not None and pc.any(union).as_py() else None


def _without_missing(raw: pa.Array, values: pa.Array, doubtful: pa.Array | None, field: Field) -> Column:
    """Turns values that mean "not measured" into nulls."""
    words = [value for value in field.missing if isinstance(value, str)]
    numbers = [
        float(value) for value in field.missing if isinstance(value, int | float) and not isinstance(value, bool)
    ]
    flags = [value for value in field.missing if isinstance(value, bool)]
    matches: list[pa.Array] = []
    if words and pa.types.is_string(raw.type):
        matches.append(pc.is_in(raw, value_set=pa.array(words)))
    if numbers and field.kind in ("int", "long", "float", "double"):
        matches.append(pc.is_in(values.cast(pa.float64(), safe=False), value_set=pa.array(numbers)))
    if flags and field.kind == "boolean":
        matches.append(pc.is_in(values, value_set=pa.array(flags)))
    if numbers and field.kind in ("string", "timestamp") and pa.types.is_integer(raw.type):
        matches.append(pc.is_in(raw.cast(pa.float64(), safe=False), value_set=pa.array(numbers)))
    if numbers and field.kind == "timestamp" and pa.types.is_floating(raw.type):
        matches.append(pc.is_in(raw, value_set=pa.array(numbers)))
    for match in matches:
        values = pc.if_else(match, None, values)
        doubtful = None if doubtful is None else either(None, pc.and_not(doubtful, match))
    return values, doubtful


def _timestamps(raw: pa.Array, field: Field, timezone: str) -> Column:
    target = ARROW_TYPES["timestamp"]
    if pa.types.is_string(raw.type):
        epoch = _ONE_EPOCH.fullmatch(raw[0].as_py() or "") if len(raw) else None
        if epoch and _of_one_shape(raw):
            values, doubtful = _timestamps(raw.cast(pa.float64() if epoch[1] else pa.int64()), field, timezone)
            if doubtful is None:
                return values, None
        values, doubtful = _iso_timestamps(raw, timezone)
        if doubtful is not None:
            values, doubtful = _epoch_timestamps(raw, values, doubtful, field, timezone)
        if doubtful is not None:
            values, doubtful = _rewritten_timestamps(raw, values, doubtful, field, timezone)
        outside = _outside(values.cast(pa.int64()), *_YEARS)
        return (values, doubtful) if not pc.any(outside).as_py() else (values, either(doubtful, outside))
    if pa.types.is_boolean(raw.type):
        return _all_doubtful(raw, target)
    numbers = raw.fill_null(0).to_numpy(zero_copy_only=False)  # with nulls, integers would become floats
    valid = raw.is_valid().to_numpy(zero_copy_only=False)
    unit = field.time_unit or _unit_of(float(np.max(np.abs(numbers), initial=0)))
    if field.time_unit is None and not np.all(_in_unit(np.abs(numbers[valid]), unit)):
        return _all_doubtful(raw, target)  # values of several magnitudes: one by one
    if numbers.dtype == np.int64:
        fits = np.full(len(numbers), True) if unit == "ns" else np.abs(numbers) <= _YEARS[1] // _PER_UNIT[unit]
        micros = numbers // 1000 if unit == "ns" else np.where(fits, numbers, 0) * _PER_UNIT[unit]
    else:
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = np.rint(numbers * _PER_UNIT[unit]) if unit != "ns" else np.floor(numbers)
        # Nanoseconds beyond may have been written as whole numbers and been rounded beside other lines' decimals.
        fits = np.abs(scaled) <= (_YEARS[1] if unit != "ns" else _EXACT)
        micros = np.where(fits, scaled, 0).astype(np.int64) // (1000 if unit == "ns" else 1)
    fits &= (micros >= _YEARS[0]) & (micros <= _YEARS[1])
    values = pa.array(micros, pa.int64(), mask=~valid).cast(target)
    return _checked(values, pa.array(~fits & valid), target)


def _epoch_timestamps(raw: pa.Array, values: pa.Array, doubtful: pa.Array, field: Field, timezone: str) -> Column:
    """Reads strings that are epoch numbers as such, of those that are in doubt."""
    for pattern, kind in ((_EPOCH + "$", pa.float64()), (r"-?[0-9]{1,18}$", pa.int64())):
        epochs = pc.and_(doubtful, pc.fill_null(pc.match_substring_regex(raw, "^" + pattern), False))
        if kind == pa.float64():
            epochs = pc.and_(epochs, pc.match_substring(pc.fill_null(raw, ""), "."))
        if not pc.any(epochs).as_py():
            continue
        found, unsure = _timestamps(pc.if_else(epochs, raw, None).cast(kind), field, timezone)
        values = pc.if_else(epochs, found, values)
        doubtful = either(pc.and_not(doubtful, epochs), unsure)
        if doubtful is None:
            break
    return values, doubtful


def _rewritten_timestamps(raw: pa.Array, values: pa.Array, doubtful: pa.Array, field: Field, timezone: str) -> Column:
    """Reads strings that are times in another way than ISO 8601, of those that are in doubt."""
    iso = columns_as_iso(pc.if_else(doubtful, raw, None), field.date_order)
    if iso.null_count == len(iso):
        return values, doubtful
    found, unsure = _iso_timestamps(iso, timezone)
    rewritten = pc.is_valid(iso)
    return pc.if_else(rewritten, found, values), either(pc.and_not(doubtful, rewritten), unsure)


def _unit_of(magnitude: float) -> str:
    return next((unit for bound, unit in _MAGNITUDES if magnitude < bound), "ns")


def _in_unit(magnitudes: Any, unit: str) -> Any:
    bounds = {"s": (0.0, 1e11), "ms": (1e11, 1e14), "us": (1e14, 1e17), "ns": (1e17, math.inf)}[unit]
    return (magnitudes >= bounds[0]) & (magnitudes < bounds[1])


def _iso_timestamps(raw: pa.Array, timezone: str) -> Column:
    """Casts all at once; rows of a rarer shape are left to the value form."""
    target = ARROW_TYPES["timestamp"]
    looked_at = raw.slice(0, 1) if _of_one_shape(raw) else raw
    zoned = pc.fill_null(pc.match_substring_regex(looked_at, _ISO_COLUMN + r"(Z|[+-]\d\d(:?\d\d)?)$"), True)
    if pc.all(zoned, min_count=0).as_py():
        return _cast_zoned(raw)
    if pc.any(pc.match_substring(raw, ",")).as_py():  # as Python's logging writes decimals
        raw = pc.replace_substring(raw, ",", ".", max_replacements=1)
        zoned = pc.fill_null(pc.match_substring_regex(raw, _ISO_COLUMN + r"(Z|[+-]\d\d(:?\d\d)?)$"), True)
    elif len(looked_at) < len(raw):
        zoned = pa.repeat(zoned[0], len(raw))
    naive = pc.fill_null(pc.match_substring_regex(raw, _ISO_COLUMN + "$"), False)
    zoned_values, zoned_doubt = _cast_zoned(pc.if_else(zoned, raw, None))
    naive_values, naive_doubt = _cast_naive(pc.if_else(naive, raw, None), timezone)
    neither = pc.and_(pc.invert(zoned), pc.invert(naive))
    values = pc.coalesce(zoned_values, naive_values).cast(target)
    return values, either(either(zoned_doubt, naive_doubt), neither)


def _of_one_shape(texts: pa.Array) -> bool:
    """Whether digits stand in all texts where they stand in the first, and otherwise the same octets: one tells of all, then."""
    if not len(texts) or texts.null_count:
        return False
    offsets = np.frombuffer(texts.buffers()[1], dtype=np.int32)[texts.offset :][: len(texts) + 1]
    length = offsets[1] - offsets[0]
    if not length or np.any(np.diff(offsets) != length):
        return False
    octets = np.frombuffer(texts.buffers()[2], dtype=np.uint8)[offsets[0] : offsets[-1]].reshape(-1, length)
    digits = octets - np.uint8(ord("0")) < 10
    others = ~digits[0]
    return bool(np.all(digits == digits[0]) and np.all(octets[:, others] == octets[0, others]))


def _cast_zoned(raw: pa.Array) -> Column:
    target = ARROW_TYPES["timestamp"]
    try:
        return raw.cast(target), None
    except pa.ArrowInvalid:
        pass
    try:  # more than six decimals
        return _floor_to_micros(raw.cast(pa.timestamp("ns", tz="UTC"))).cast(target), None
    except pa.ArrowInvalid:
        return _all_doubtful(raw, target)


def _cast_naive(raw: pa.Array, timezone: str) -> Column:
    target = ARROW_TYPES["timestamp"]
    try:
        local = raw.cast(pa.timestamp("us"))
    except pa.ArrowInvalid:
        try:
            local = _floor_to_micros(raw.cast(pa.timestamp("ns")))
        except pa.ArrowInvalid:
            return _all_doubtful(raw, target)
    if timezone == "UTC":
        return local.cast(target), None
    rare = either(None, _outside(local.cast(pa.int64()), *_SAME_ZONES))
    if rare is not None:
        local = pc.if_else(rare, None, local)
    try:
        return pc.assume_timezone(local, timezone, ambiguous="earliest", nonexistent="raise").cast(target), rare
    except pa.ArrowInvalid:
        return _all_doubtful(raw, target)


def _floor_to_micros(nanos: pa.Array) -> pa.Array:
    integers = nanos.cast(pa.int64())
    floored = np.floor_divide(integers.fill_null(0).to_numpy(zero_copy_only=False), 1000)
    return pa.array(floored, pa.int64(), mask=integers.is_null().to_numpy(zero_copy_only=False)).cast(
        pa.timestamp("us", tz=nanos.type.tz)
    )


def coerce_value(value: Any, field: Field, timezone: str) -> Any:
    """Reads one JSON value as the contract's type; timestamps as microseconds since the epoch.

    Raises:
        Rejected: it cannot be read without loss. The detail names types and the field, never the value.
    """
    if _is_missing(value, field):
        value = None
    if value is None:
        if field.nullable:
            return None
        raise Rejected(Reason.MISSING, f"required field {field.name!r} is absent, null or a missing value")
    if field.repeated:
        if not isinstance(value, list):
            raise _wrong(value, field)
        return [_scalar(item, field, timezone) for item in value]
    return _scalar(value, field, timezone)


def _scalar(value: Any, field: Field, timezone: str) -> Any:
    if field.kind == "string":
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str):
            raise _wrong(value, field)
        if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
            raise Rejected(Reason.UTF8, f"field {field.name!r} holds half of a surrogate pair")
        if field.symbols and value not in field.symbols:
            raise Rejected(
                Reason.SYMBOL, f"field {field.name!r} is not one of the {len(field.symbols)} symbols of its enum"
            )
        return value
    if field.kind == "boolean":
        if value in ("true", "false"):
            return value == "true"
        if not isinstance(value, bool):
            raise _wrong(value, field)
        return value
    if field.kind == "timestamp":
        return _timestamp(value, field, timezone)
    return _number(value, field)


def _number(value: Any, field: Field) -> int | float:
    whole = field.kind in _LIMITS
    if isinstance(value, str) and re.fullmatch(_INTEGER if whole else _NUMBER, value):
        value = int(value) if whole else float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(value, field)
    if whole:
        if isinstance(value, float):
            if not value.is_integer():
                raise _wrong(value, field)
            if abs(value) > _EXACT:
                raise Rejected(
                    Reason.RANGE,
                    f"field {field.name!r} is a float beyond 2**53, where whole numbers are no longer exact",
                )
        low, high = _LIMITS[field.kind]
        if not low <= value <= high:
            raise Rejected(Reason.RANGE, f"field {field.name!r} does not fit {field.kind}")
        return int(value)
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    with np.errstate(over="ignore"):
        number = float(np.float32(number)) if field.kind == "float" else number
    if not math.isfinite(number):
        raise Rejected(Reason.RANGE, f"field {field.name!r} is not a finite {field.kind}")
    return number


def _timestamp(value: Any, field: Field, timezone: str) -> int:
    if isinstance(value, str):
        if match := _ISO.fullmatch(value) or _ISO.fullmatch(as_iso(value, field.date_order) or ""):
            return _iso_micros(match, field, timezone, numbered=is_numbered(value))
        if is_numbered(value) and not field.date_order:
            raise Rejected(
                Reason.TIME,
                f'field {field.name!r} is a date in numbers: which number is the month, \'date_order\' says: "mdy" or "dmy"',
            )
        if not re.fullmatch(_EPOCH, value):
            raise Rejected(
                Reason.TIME, f"field {field.name!r} is a string that is neither ISO 8601 nor an epoch number"
            )
        value = float(value) if "." in value else int(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(value, field)
    if isinstance(value, float) and not math.isfinite(value):
        raise Rejected(Reason.TIME, f"field {field.name!r} is not a finite number")
    unit = field.time_unit or _unit_of(abs(value))
    if isinstance(value, int):
        micros = value // 1000 if unit == "ns" else value * _PER_UNIT[unit]
    else:
        micros = math.floor(value) // 1000 if unit == "ns" else int(np.rint(value * _PER_UNIT[unit]))
    if not _YEARS[0] <= micros <= _YEARS[1]:
        raise Rejected(Reason.TIME, f"field {field.name!r} lies outside the years 1 to 9999")
    return micros


def _iso_micros(match: re.Match[str], field: Field, timezone: str, *, numbered: bool) -> int:
    year, month, day, hour, minute, second, decimals, zone = match.groups()
    try:
        moment = datetime.datetime(  # noqa: DTZ001 - the zone follows
            int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0),
            int((decimals or "0")[:6].ljust(6, "0")))  # fmt: skip
        if zone is None:
            local = moment.replace(tzinfo=zoneinfo.ZoneInfo(timezone))
            moment = local.astimezone(datetime.UTC)
            if moment.astimezone(local.tzinfo).replace(tzinfo=None) != local.replace(tzinfo=None):
                raise Rejected(
                    Reason.TIME, f"field {field.name!r} is a local time that {timezone} skipped (clocks went forward)"
                )
        elif zone in "Zz":
            moment = moment.replace(tzinfo=datetime.UTC)
        else:
            minutes = int(zone[-2:]) if len(zone) > 3 else 0
            if minutes > 59 or int(zone[1:3]) > 23:
                raise ValueError("offset")
            offset = datetime.timedelta(hours=int(zone[1:3]), minutes=minutes)
            moment = moment.replace(tzinfo=datetime.UTC) + (offset if zone[0] == "-" else -offset)
    except (ValueError, OverflowError):
        order = f", if its order is {field.date_order} as 'date_order' says" if numbered else ""
        raise Rejected(Reason.TIME, f"field {field.name!r} is not a date and time that exists{order}") from None
    return (moment - _EPOCH_START) // datetime.timedelta(microseconds=1)


def _is_missing(value: Any, field: Field) -> bool:
    """JSON equality: -1 is -1.0, but neither is true or "-1" (of which the latter is a number, where a number is expected)."""
    for missing in field.missing:
        if isinstance(missing, bool) or isinstance(value, bool):
            if value is missing or (
                field.kind == "boolean" and isinstance(missing, bool) and value == str(missing).lower()
            ):
                return True
        elif isinstance(missing, str) == isinstance(value, str):
            if value == missing:
                return True
        elif isinstance(value, str) and field.kind in ("int", "long", "float", "double"):  # noqa: SIM102 - two questions
            if re.fullmatch(_NUMBER, value) and float(value) == missing:
                return True
    return False


def _wrong(value: Any, field: Field) -> Rejected:
    names = {bool: "boolean", int: "number", float: "number", str: "string", list: "array", dict: "object"}
    expected = f"array of {field.kind}" if field.repeated else field.kind
    found = next((name for kind, name in names.items() if isinstance(value, kind)), "null")
    return Rejected(Reason.TYPE, f"field {field.name!r}: expected {expected}, got {found}")
