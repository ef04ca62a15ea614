"""How two schemas differ, in words that a person reviews."""

from collections.abc import Iterator, Mapping
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from tensorflow_metadata.proto.v0.schema_pb2 import Schema


def changes_between(old: Schema, new: Schema) -> list[str]:
    """Each difference as one line: `+` what came, `-` what went, `~` what changed."""
    before, after = _things(old), _things(new)
    lines: list[str] = []
    for name in dict.fromkeys([*before, *after]):
        mine, theirs = before.get(name), after.get(name)
        if mine is None and theirs is not None:
            lines.append(f"+ {name}: {_told(theirs)}")
        elif theirs is None and mine is not None:
            lines.append(f"- {name}")
        elif mine is not None and theirs is not None:
            lines.extend(_changed(name, mine, theirs))
    return lines


def _things(schema: Schema) -> dict[str, dict[str, Any]]:
    """Features, domains and the rest, by what they are called; each as paths of fields and their values."""
    things = {f"feature {feature.name}": dict(_fields(feature)) for feature in schema.feature}
    things |= {f"domain {domain.name}": dict(_fields(domain)) for domain in schema.string_domain}
    rest = Schema()
    rest.CopyFrom(schema)
    rest.ClearField("feature")
    rest.ClearField("string_domain")
    if others := dict(_fields(rest)):
        things["schema"] = others
    for thing in things.values():
        thing.pop("name", None)
    return things


def _fields(message: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    for field, value in message.ListFields():
        name = f"{path}{field.name}"
        if field.message_type is None:
            number = field.type == FieldDescriptor.TYPE_ENUM
            repeated = not isinstance(value, str | bytes | int | float | bool)
            names = (
                [field.enum_type.values_by_number[one].name for one in ([*value] if repeated else [value])]
                if number
                else None
            )
            yield name, (names if repeated else names[0]) if names else [*value] if repeated else value
        elif hasattr(value, "ListFields"):
            below = list(_fields(value, f"{name}."))
            yield from below or [(name, "set")]
        else:
            for place, one in enumerate(value):
                yield from _fields(one, f"{name}[{place}].")


def _told(thing: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_value(value)}" for name, value in thing.items())


def _changed(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for field in dict.fromkeys([*before, *after]):
        mine, theirs = before.get(field), after.get(field)
        if mine == theirs:
            continue
        if isinstance(mine, list) or isinstance(theirs, list):
            came = [one for one in theirs or [] if one not in (mine or [])]
            went = [one for one in mine or [] if one not in (theirs or [])]
            if came:
                yield f"~ {name}: {field} + {_value(came)}"
            if went:
                yield f"~ {name}: {field} - {_value(went)}"
        elif mine is None:
            yield f"~ {name}: + {field} {_value(theirs)}"
        elif theirs is None:
            yield f"~ {name}: - {field} {_value(mine)}"
        else:
            yield f"~ {name}: {field} {_value(mine)} -> {_value(theirs)}"


def _value(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_value, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)
