"""How a contract says that a field holds personal data, and what is left of it in a dataset."""

import dataclasses
import itertools
import json
from typing import Any, Literal, get_args

from retrolabel.schemas.errors import ConfigError

Treatment = Literal["hash", "tokenize", "redact", "drop", "generalize"]
"""What becomes of a field right after it was parsed and the rows were selected.

- `hash`: a keyed digest (HMAC-SHA-256, the first 128 bits), the same wherever the value stands.
- `tokenize`: a token (AES-SIV, RFC 5297), the same wherever the value stands, that who has the key can turn back.
- `redact`: a text without the e-mail addresses, phone and card numbers, IP addresses and secrets in it.
- `drop`: nothing.
- `generalize`: something coarser, see `Generalization`.
"""

KEYED = ("hash", "tokenize")
"""Treatments that need a key, and keep equal values equal."""

_TRUNCATIONS = ("hour", "day", "week", "month", "quarter", "year")
_WAYS = {
    "bin": "the width of a bin of numbers, above 0",
    "edges": "ascending numbers between bins",
    "truncate": f"one of {', '.join(_TRUNCATIONS)}, for a timestamp",
    "prefix": "how many characters to keep of a text",
    "ip": "how many bits to keep of an IPv4 and of an IPv6 address, as in [24, 48]",
    "map": 'texts and what stands for them, as in {"Berlin": "DE"}',
}


@dataclasses.dataclass(frozen=True)
class Generalization:
    """A coarser value: `bin` and `edges` of numbers, `truncate` of timestamps, `prefix`, `ip` and `map` of texts."""

    way: str
    by: Any
    """A number, a text or a tuple, as `way` needs it; of a `map` its pairs."""
    other: str | None = None
    """What stands for a text that is not in the `map`."""

    @property
    def kind(self) -> str | None:
        """Of what is left, if it is another kind than that of the field."""
        return "string" if self.way == "edges" else None


def parse_treatment(name: str, entry: dict[str, Any], kind: str, repeated: bool) -> tuple[str, Generalization | None]:
    """Reads `pii` and `generalize` of a field.

    Raises:
        ConfigError: there is no such treatment, or it does not fit the field.
    """
    pii, rule = entry.get("pii"), entry.get("generalize")
    if pii is None and rule is None:
        return "", None
    if pii not in get_args(Treatment):
        raise ConfigError(f"field {name!r}: 'pii' is one of {list(get_args(Treatment))}; got {pii!r}")
    if pii in KEYED and (kind in ("boolean", "float", "double") or (repeated and kind != "string")):
        raise ConfigError(
            f"field {name!r}: 'pii': {pii!r} is for texts, integers, timestamps and arrays of texts; "
            "'generalize' or 'drop' it"
        )
    if pii == "redact" and kind != "string":
        raise ConfigError(f"field {name!r}: 'pii': 'redact' is for texts; 'generalize' or 'drop' it")
    if (pii == "generalize") != (rule is not None):
        raise ConfigError(f"field {name!r}: 'generalize' and \"pii\": \"generalize\" go together, as in "
                          '"pii": "generalize", "generalize": {"bin": 10}')  # fmt: skip
    return str(pii), None if rule is None else parse_generalization(name, rule, kind, repeated)


def parse_generalization(name: str, rule: Any, kind: str, repeated: bool) -> Generalization:
    """Reads what is to stand for the values of a field.

    Raises:
        ConfigError: it is no way of generalization, or does not fit the field.
    """
    ways = [way for way in _WAYS if isinstance(rule, dict) and way in rule]
    if len(ways) != 1 or set(rule) - {*ways, *(["other"] if ways == ["map"] else [])}:
        told = "; ".join(f"{way!r}: {what}" for way, what in _WAYS.items())
        raise ConfigError(f"field {name!r}: 'generalize' has one of {told}")
    way, by, other = ways[0], rule[ways[0]], rule.get("other")
    numeric = kind in ("int", "long", "float", "double")
    fits = {"bin": numeric, "edges": numeric, "truncate": kind == "timestamp"}.get(way, kind == "string")
    if not fits or repeated:
        told = f"an array of {kind}" if repeated else f"a {kind}"
        raise ConfigError(f"field {name!r}: 'generalize': {way!r} is {_WAYS[way]}; the field is {told}")
    good = {
        "bin": lambda: _is_number(by) and by > 0 and (kind in ("float", "double") or isinstance(by, int)),
        "edges": lambda: isinstance(by, list) and len(by) > 0 and all(map(_is_number, by)) and _ascends(by),
        "truncate": lambda: by in _TRUNCATIONS,
        "prefix": lambda: _is_count(by) and by > 0,
        "ip": lambda: isinstance(by, list) and len(by) == 2 and all(map(_is_count, by)) and by[0] <= 32 and by[1] <= 128,
        "map": lambda: isinstance(by, dict) and all(isinstance(to, str) for to in by.values()) and isinstance(other, str | None),
    }[way]()  # fmt: skip
    if not good:
        raise ConfigError(f"field {name!r}: 'generalize': {way!r} is {_WAYS[way]}; got {json.dumps(by)}")
    fixed = tuple(sorted(by.items())) if isinstance(by, dict) else tuple(by) if isinstance(by, list) else by
    return Generalization(way, fixed, other)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _ascends(values: list[Any]) -> bool:
    return all(low < high for low, high in itertools.pairwise(values))
