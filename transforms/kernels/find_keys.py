"""By which fields outcomes find their predictions, told by a sample of each: by their values first, by their names second."""

import dataclasses
import itertools
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from retrolabel.schemas.contract import Kind
from retrolabel.transforms.kernels.infer import ID_NAME, Sampled, raw_value

Row = tuple[str | None, ...]
"""The values of a key as texts, so that 7 is "7"."""

_MANY = 20
"""Different values in common that are no accident."""

_LONG = 16
"""Characters, some of them digits, that two texts do not have in common by accident."""

_TOKEN = re.compile(r"(?=.*\d).{8,}", re.DOTALL)
"""Texts that tell things apart, rather than kinds of things."""

_ADDRESS = re.compile(r" |^/|://|^[\w.-]+=.")
"""Texts that say where something is, not which one."""

_WHOLE = re.compile(r"-?(0|[1-9]\d{0,17})")

_SPARSE = 20
"""Whole numbers are not counted up if less than one in so many of their range occurs."""

_ENOUGH = 0.05
"""The share of sampled outcomes that find their prediction: the samples need not be of the same hour."""

_TELLS_APART = 0.9
"""Distinct keys a prediction, from which on a key is taken to be meant as one."""

_MOST_PAIRED = 8
"""Joins of single fields of which pairs are tried."""

_DELIVERY_ID = re.compile(r"insert_?id|_?id", re.I)
_EVENT_ID = re.compile(r"(event|insert|message|msg|log|record|delivery)_?(id|uuid|guid)|id|uuid|guid", re.I)
"""Names of what tells events apart, rather than what they are about."""

_OF_OTHERS = re.compile(
    r"(^|_)(user|customer|visitor|member|account|client|anonymous|device|session|sess|trace|span|parent|operation|correlation|item|product|sku|page|campaign)(_|$)"
)
"""Words in the names of keys of what several events may be about."""

_REFERENCE = re.compile(r"(^|_)([rpus]id|req|ref|trace|token|hash|sku|no|nr|number)(_|$)")
"""Names of keys beside those with `id` in them."""

_GENERIC = frozenset(("id", "uuid", "guid", "key", "no", "nr", "number", "ref", "hash", "value", "name"))
"""Words that do not say what something is a key of."""

_PREDICTION = frozenset(("prediction", "pred", "inference", "impression", "request", "serving"))


@dataclasses.dataclass(frozen=True)
class Join:
    """A key by which outcomes find their predictions."""

    key: tuple[str, ...]
    """The outcome's fields."""
    prediction_key: tuple[str, ...]
    found: float
    """The share of sampled outcomes whose key occurs among the sampled predictions."""
    unique: float
    """Distinct keys per sampled prediction, of which copies count once."""
    common: int
    """Different values that both sides have."""
    sure: float
    """Whether it is meant as a key: from 0, nothing speaks for it, to 1."""

    @property
    def tells_apart(self) -> bool:
        """Whether each prediction has a key of its own."""
        return self.unique > _TELLS_APART and self.sure > 0 and (self.found > _ENOUGH or self.common >= _MANY)


@dataclasses.dataclass(frozen=True)
class _Side:
    """The values of a field, or of several."""

    rows: Sequence[Row]
    """In the order of the records; with None where there is none."""
    counts: Counter[Row]
    different: int
    """Records that differ, of those that have the key."""


def find_joins(predictions: Sampled, outcomes: Sampled) -> list[Join]:
    """The keys that outcomes and predictions share, the most convincing first; last those that nothing but chance speaks for.

    Single fields are measured by the overlap of their values, whatever their names and types; pairs of such where no single field
    tells predictions apart.
    """
    mine, theirs = _sides(outcomes), _sides(predictions)
    joins = [
        dataclasses.replace(join, sure=_sure(join, mine[join.key].counts, theirs[join.prediction_key].counts))
        for key, other in itertools.product(mine, theirs)
        if (join := _join(key, mine[key], other, theirs[other]))
    ]
    if not any(join.tells_apart for join in joins):
        contents = _contents(predictions)
        likely = sorted((join for join in joins if join.sure), key=lambda join: -join.sure * join.found)[:_MOST_PAIRED]
        for one, two in itertools.combinations((join for join in joins if join in likely), 2):
            if one.key == two.key or one.prediction_key == two.prediction_key:
                continue
            key, other = one.key + two.key, one.prediction_key + two.prediction_key
            asked = _side(_zipped(mine[one.key], mine[two.key]), ())
            known = _side(_zipped(theirs[one.prediction_key], theirs[two.prediction_key]), contents)
            if join := _join(key, asked, other, known):
                joins.append(dataclasses.replace(join, sure=min(one.sure, two.sure)))
    return sorted(joins, key=_rank)


def key_rows(sampled: Sampled, names: Sequence[str]) -> list[Row]:
    """The key of each record."""
    columns = ([None if value is None else str(value) for value in sampled.values(name)] for name in names)
    return list(zip(*columns, strict=True))


def count_repeats(sampled: Sampled, key: Sequence[str]) -> int:
    """How many of the records have the key of an earlier one, but other contents."""
    side = _side(key_rows(sampled, key), _contents(sampled))
    return side.different - len(side.counts)


def _contents(sampled: Sampled) -> list[int]:
    return [hash(repr(record)) for record in sampled.records]


def _side(rows: Sequence[Row], contents: Sequence[int]) -> _Side:
    there = [None not in row for row in rows]
    counts = Counter(itertools.compress(rows, there))
    return _Side(rows, counts, len(set(itertools.compress(zip(rows, contents, strict=False), there))))


def _sides(sampled: Sampled) -> Mapping[tuple[str, ...], _Side]:
    names = [guess.field.name for guess in sampled.guesses
             if guess.field.kind in ("string", "long") and not guess.field.repeated and guess.present
             and (guess.distinct > 1 or (len(sampled.records) == 1 and ID_NAME.search(guess.field.name)))]  # fmt: skip
    contents = _contents(sampled)
    return {(name,): _side(key_rows(sampled, [name]), contents) for name in names}


def _zipped(one: _Side, two: _Side) -> list[Row]:
    return [first + second for first, second in zip(one.rows, two.rows, strict=True)]


def _join(key: tuple[str, ...], asked: _Side, other: tuple[str, ...], known: _Side) -> Join | None:
    common = asked.counts.keys() & known.counts.keys()
    if not common:
        return None
    found = sum(asked.counts[row] for row in common) / asked.counts.total()
    return Join(key, other, found, len(known.counts) / known.different, len(common), 0)


def _sure(join: Join, asked: Counter[Row], known: Counter[Row]) -> float:
    """How sure it is that two fields, which have values in common, mean the same thing."""
    (name,), (other,) = join.key, join.prediction_key
    common = [value for (value,) in asked.keys() & known.keys() if value]
    numbers = [int(value) for value in common if _WHOLE.fullmatch(value)]
    counted = len(numbers) == len(common) and max(numbers, default=0) - min(numbers, default=0) < _SPARSE * len(numbers)
    tokens = not counted and (
        len(numbers) == len(common) or sum(map(bool, map(_TOKEN.match, common))) > len(common) / 2
    )
    many = len(common) >= _MANY
    # Of a few outcomes half are enough, if no two things have such keys.
    telling = many or (2 * len(common) >= len(asked) and all(len(value) >= _LONG for value in common))
    alike = _of_what(name) == _of_what(other) != set()
    if alike or _related(name, other):
        if telling and tokens:
            return 0.99
        likely = 0.9 if not counted else 0.7 if _is_id(name) else 0.3
        return likely if many or (alike and 2 * len(common) >= len(asked)) else min(likely, 0.5) if alike else 0.0
    if counted:
        return 0.3 if name == other else 0.0
    if name == other:
        return 0.99 if telling else 0.7
    if numbers and not (_is_id(name) or _is_id(other)):
        return 0.0  # amounts, sizes, durations
    return (0.99 if tokens else 0.8) if telling else 0.0


def _of_what(name: str) -> set[str]:
    return {*name.split("_")} - _GENERIC


def _is_id(name: str) -> bool:
    return bool(ID_NAME.search(name) or _REFERENCE.search(name))


def _related(name: str, other: str) -> bool:
    """Whether an outcome's field says by its name that it refers to that field of the predictions."""
    words, others = (tuple(one.split("_")) for one in (name, other))
    if _GENERIC.issuperset(others):
        return not _PREDICTION.isdisjoint(words)
    mine, theirs = ([word for word in some if word not in _GENERIC] for some in (words, others))
    short = {"".join(word[:1] for word in some) for some in (words, others)}
    return bool(
        any(one.startswith(two) or two.startswith(one) for one, two in itertools.product(mine, theirs) if min(len(one), len(two)) > 2)
        or not short.isdisjoint((*mine, *theirs))
    )  # fmt: skip


def _rank(join: Join) -> tuple[object, ...]:
    """First those that tell predictions apart, then by how many find their prediction, then by what their names say."""
    return (
        not join.sure, not join.tells_apart, -round(min(join.unique, 1) * join.found * join.sure, 2), join.key != join.prediction_key,
        not ID_NAME.search(join.key[0]), bool(_DELIVERY_ID.fullmatch(join.key[0])), len(join.key), join.key, join.prediction_key,
    )  # fmt: skip


def find_id(sampled: Sampled, key: Sequence[str]) -> str | None:
    """A field, not the join key nor a copy of it, that tells events apart even if some were delivered twice."""
    keys = list(zip(*map(sampled.values, key), strict=True)) if key else []
    likely = []
    for guess in sampled.guesses:
        name = guess.field.name
        if (
            guess.field.kind not in ("string", "long")
            or guess.field.repeated
            or name in key
            or not ID_NAME.search(name)
        ):
            continue
        if guess.present == len(sampled.records) and guess.distinct >= 0.8 * len(sampled.records):
            values = sampled.values(name)
            if not _EVENT_ID.fullmatch(name) and (_OF_OTHERS.search(name) or _is_counter(values)):
                continue
            if any(_ADDRESS.search(str(value)) for value in values):
                continue  # a request line, a URL or a query string: two events may share it
            if key and values == [row[0] for row in keys]:
                continue
            likely.append(name)
    return min(likely, key=lambda name: not _EVENT_ID.fullmatch(name), default=None)


def _is_counter(values: Sequence[object]) -> bool:
    """Whether numbers are counted up, as each process does for itself."""
    numbers = [value for value in values if isinstance(value, int)]
    return len(numbers) == len(values) and max(numbers) - min(numbers) < _SPARSE * len(numbers)


def find_group(sampled: Sampled) -> str | None:
    """A field that names a person or a session, by which to split."""
    for pattern in (r"user(_?id)?", r"(customer|visitor|member|account|client)(_?id)?", r"session(_?id)?"):
        for guess in sampled.guesses:
            if (
                re.fullmatch(pattern, guess.field.name)
                and guess.field.kind in ("string", "long")
                and not guess.field.repeated
            ):
                return guess.field.name
    return None


def kind_of_key(fields: Sequence[tuple[Sampled, str]]) -> Kind:
    """As what a key is declared in all logs that hold it, so that it matches: as a number unless one of them holds texts.

    Texts of digits are numbers too where another log writes whole numbers with a decimal point.
    """
    sides = [
        (sampled, guess.field) for sampled, name in fields for guess in sampled.guesses if guess.field.name == name
    ]
    values = [raw_value(record, field) for sampled, field in sides for record in sampled.records]
    digits = all(_WHOLE.fullmatch(value) for value in values if isinstance(value, str))
    decimals = any(isinstance(value, float) for value in values)
    return "long" if all(field.kind == "long" for _, field in sides) or (decimals and digits) else "string"


def declared(sampled: Sampled, names: Collection[str], kind: Kind) -> Sampled:
    """The sample with some fields declared as of that kind."""
    guesses = [
        dataclasses.replace(guess, field=dataclasses.replace(guess.field, kind=kind))
        if guess.field.name in names
        else guess
        for guess in sampled.guesses
    ]
    return dataclasses.replace(sampled, guesses=guesses)
