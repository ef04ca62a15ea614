"""One line of JSON as Python objects, with every judgement that a block of lines leaves open."""

import json
from collections.abc import Iterable
from typing import Any

from retrolabel.schemas.reject import Reason, Rejected

WHITE = " \t\r\n\ufeff"
"""What may stand around JSON in a string."""

CEE = "@cee:"
"""The mark of JSON in a syslog message (https://www.rsyslog.com/json-elasticsearch/)."""


TOO_DEEP = "nested too deeply, or a number of too many digits"


class JsonObject(dict[str, Any]):
    """A JSON object that remembers which of its keys stood there more than once (the last one's value is kept)."""

    repeated: frozenset[str] = frozenset()


def loads(line: bytes) -> JsonObject:
    """Reads a line that holds one JSON object.

    Raises:
        Rejected: it is not valid UTF-8, or not exactly one JSON object.
    """
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        raise Rejected(Reason.UTF8, f"not valid UTF-8 at byte {error.start} of the line") from None
    try:
        value = _decoder.decode(text)
    except json.JSONDecodeError as error:
        raise Rejected(Reason.MALFORMED, f"not JSON at character {error.pos} of the line: {error.msg}") from None
    except (RecursionError, ValueError):
        raise Rejected(Reason.MALFORMED, TOO_DEEP) from None
    if not isinstance(value, JsonObject):
        raise Rejected(Reason.MALFORMED, f"expected one JSON object, got {type(value).__name__}")
    return value


def at_path(record: Any, path: tuple[str, ...]) -> Any:
    """The value at a path of keys; None where a key is absent or its parent null.

    Raises:
        Rejected: a key of the path stands twice, or something on the way is not an object.
    """
    for depth, key in enumerate(path):
        if record is None:
            return None
        if not isinstance(record, dict):
            raise Rejected(Reason.TYPE, f"expected an object at {'.'.join(path[:depth])!r}")
        if key in getattr(record, "repeated", ()):
            raise Rejected(Reason.DUPLICATE_KEY, f"the key {'.'.join(path[: depth + 1])!r} stands twice")
        record = record.get(key)
    return record


def lift(record: Any, path: tuple[str, ...]) -> Any:
    """Puts the keys of an object at a path, or of the JSON object in a string there, beside the record's own.

    They stand in place of keys of the same name, unless they are null. Nothing happens where the path leads nowhere or to null.

    Raises:
        Rejected: there is something else.
    """
    found = at_path(record, path)
    if isinstance(found, str):
        found = _inner(found, ".".join(path))
    if found is None:
        return record
    if not isinstance(found, dict):
        raise Rejected(Reason.TYPE, f"expected an object, or a string that holds one, at {'.'.join(path)!r}")
    said = {key: value for key, value in found.items() if value is not None}
    whole = JsonObject({**record, **said})
    whole.repeated = (getattr(record, "repeated", frozenset()) - said.keys()) | getattr(found, "repeated", frozenset())
    return whole


def _inner(text: str, place: str) -> "JsonObject":
    try:
        return loads(text.strip(WHITE).removeprefix(CEE).lstrip(WHITE).encode())
    except UnicodeEncodeError:
        raise Rejected(Reason.UTF8, f"{place!r} holds half of a surrogate pair") from None
    except Rejected as verdict:
        raise Rejected(verdict.reason, f"in the string {place!r}: {verdict.detail}") from None


def _object(pairs: Iterable[tuple[str, Any]]) -> JsonObject:
    pairs = list(pairs)
    found = JsonObject(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        found.repeated = frozenset(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
    return found


def _integer(digits: str) -> int | float:
    """`-0` is the float that a column of doubles makes of it; what no 64-bit integer holds need not be exact."""
    return float(digits) if digits == "-0" or len(digits) > 25 else int(digits)


_decoder = json.JSONDecoder(object_pairs_hook=_object, parse_int=_integer)
