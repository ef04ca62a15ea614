"""What a sample of log lines tells of a source: its fields, their types, its event time (its keys: `find_keys.py`)."""

import dataclasses
import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from retrolabel.schemas.contract import DateOrder, Field, Kind, TimeUnit
from retrolabel.schemas.reject import Rejected
from retrolabel.transforms.kernels.coerce import coerce_column, coerce_value
from retrolabel.transforms.kernels.json_line import lift
from retrolabel.transforms.kernels.pieces import goes_on
from retrolabel.transforms.kernels.query_text import parameters, value_of
from retrolabel.transforms.kernels.time_texts import as_iso, is_numbered

Path = tuple[str, ...]
Record = Mapping[str, Any]

MOST_FIELDS = 200
"""More leaves than this are a map with changing keys rather than fields."""

_NUMBER_TEXT = re.compile(r"-?(0|[1-9]\d{0,17})(\.\d+)?([eE][+-]?\d{1,2})?")

A_FEW = 0.005
"""The share of values that a field may have of another kind."""

ALMOST_ALL = 0.95
"""The share of sampled lines that should have a time, if half of them have one: the others are the ones that a build will reject."""

PLACEHOLDERS = ("", "N/A", "n/a", "NA", "null", "NULL", "None", "-", "NaN", "nan", "unknown")
"""Strings that stand for "not measured" among numbers."""

PLUMBING = re.compile(
    r"(@version|@metadata.*|host(name)?|tags?|stream|logtag|logger.*|level|severity|pid|program|path|type|thread.*|agent|ecs.*|_(score|index|type|version|seq_no|primary_term))$",
    re.I,
)
"""Fields that shippers add about themselves; left out of a contract when they say the same in every line."""

_OF_WHAT = ("id", "name", "type", "kind", "version", "value", "code", "count", "key")
"""Keys that say nothing without the one above: `user.id` is called `user_id`."""

_TIME_NAMES = ("event_time", "@timestamp", "timestamp", "time", "ts", "at", "date", "created_at", "occurred_at")
ID_NAME = re.compile(r"(^|_)(id|uuid|guid|key|request|prediction|impression)(_|$)|insertid", re.I)
"""What keys are called."""

_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
"""Between the words of a name in camel case."""

_SURROGATE = re.compile("[\ud800-\udfff]")
EPOCH_NAME = re.compile(r"time|date|(^|_)(t|ts|at|when|msec)($|_)|created|logged|received|occurred|^column_", re.I)
"""What fields of times are called."""

_UNIT = re.compile("_(s|sec|seconds|ms|millis|us|micros|ns|nanos|utc)$")
"""What a name of a time may end in."""

_EPOCH_TEXT = re.compile(r"\d{9,19}(\.\d+)?")
_TEXTS: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    ("long", re.compile(r"-?(0|[1-9]\d{0,17})")), ("double", re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?")), ("boolean", re.compile("true|false")),
)  # fmt: skip
_EPOCHS: tuple[tuple[float, float, TimeUnit], ...] = (
    (9.4e8, 4.2e9, "s"), (9.4e11, 4.2e12, "ms"), (9.4e14, 4.2e15, "us"), (9.4e17, 4.2e18, "ns"),
)  # fmt: skip
"""Epoch numbers of the years 2000 to 2100."""

_A_FEW_YEARS = 1.1
"""By how much epoch numbers of one log may differ: five years in 2026."""

_OWN = frozenset(("split", "weight"))
"""Names of columns that a build adds."""

_HAS_QUERY = re.compile(r"\?[^=?& ]+=|^[\w.-]+=[^ ]*$")

_DAY_LENGTH = len("2026-11-20")


@dataclasses.dataclass(frozen=True)
class Guess:
    """A field, and what is not sure about it."""

    field: Field
    present: int
    """In how many of the sampled lines it has a value."""
    distinct: int
    doubts: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Sampled:
    """What a sample of a source shows."""

    records: Sequence[Record]
    guesses: Sequence[Guess]
    left_out: Sequence[str]
    """Paths of fields that say the same in every line, or are too many."""

    def values(self, name: str) -> list[Any]:
        """The values of a field as the contract reads them; None where there is none, or it cannot be read."""
        (guess,) = (guess for guess in self.guesses if guess.field.name == name)
        return [_read(raw_value(record, guess.field), guess.field) for record in self.records]


def infer_fields(
    records: Sequence[Record],
    lifted: Sequence[Path] = (),
    unwrapped: Sequence[Path] = (),
    *,
    typed: bool = True,
    any_name: bool = False,
) -> Sampled:
    """Infers the fields of a source from sampled records.

    Args:
        records: what the sample holds.
        lifted: paths of which what stands at or below them was lifted out.
        unwrapped: paths of texts of which the JSON was lifted out; an object there is one of the application's own of that name.
        typed: whether values have JSON's types; else numbers and truth are told by the texts of the values.
        any_name: whether numbers that grow like a clock are a time whatever they are called.

    A field is required only if every one of at least 200 records has it; a sample cannot prove more.
    """
    leaves: dict[Path, list[Any]] = defaultdict(list)
    for record in records:
        for path, value in _leaves(record, ()):
            if path not in unwrapped and not any(path[: len(whole)] == whole for whole in lifted):
                leaves[path].append(value)
    left_out = []
    if len(leaves) > MOST_FIELDS:
        common = {
            path for path, _ in Counter({path: len(values) for path, values in leaves.items()}).most_common(MOST_FIELDS)
        }
        left_out.append(f"{len(leaves) - MOST_FIELDS} rarer fields: this looks like a map with changing keys")
        leaves = defaultdict(list, {path: values for path, values in leaves.items() if path in common})
    for path, times in Counter(path for record in records for path in _standing_twice(record, ())).items():
        if times > A_FEW * len(records) and _present(leaves.pop(path, [])):
            left_out.append(f"{'.'.join(path)} (stands twice in {times} lines)")
    left_out += [".".join(path) for path in _clashing(leaves) if _present(leaves.pop(path))]
    guesses, taken = [], {*_OWN}
    for path, values in leaves.items():
        if PLUMBING.fullmatch(".".join(path)) and len({str(value) for value in values}) == 1:
            left_out.append(".".join(path))
            continue
        guess = _guess(path, values, len(records), _name(path, taken), typed, any_name)
        unread = sum(value is not None and _read(value, guess.field) is None for value in values)
        if guess.field.kind == "string" and unread > A_FEW * len(values):
            left_out.append(f"{'.'.join(path)} (holds {_holds(values)})")
            taken.discard(guess.field.name)
            continue
        guesses.append(guess)
    return Sampled(records, guesses, left_out)


def _clashing(leaves: Mapping[Path, Sequence[Any]]) -> list[Path]:
    """Paths to leave out because others descend into them, or they into others, and more records have those."""
    clashing = []
    for path in leaves:
        below = [other for other in leaves if len(other) > len(path) and other[: len(path)] == path]
        if below:
            deeper = max(_present(leaves[other]) for other in below)
            clashing += below if _present(leaves[path]) > deeper else [path]
    return list(dict.fromkeys(clashing))


def _present(values: Sequence[Any]) -> int:
    return sum(value is not None for value in values)


def find_wrapped(records: Sequence[Record], known: Collection[Path] = ()) -> Path | None:
    """The path, none of those known, at which most records that have it hold a JSON object in a string."""
    found: Counter[Path] = Counter()
    there: Counter[Path] = Counter()
    begun = False
    count = 0
    for record in records:
        follows, begun = begun, goes_on(record)
        if follows:
            continue  # the next piece of a line that a container runtime cut
        count += 1
        for path, value in _leaves(record, ()):
            if isinstance(value, str):
                there[path] += 1
                found[path] += "{" in value[:8] and (begun or _holds_object(record, path))
    likely = [path for path, times in found.items() if path not in known and times >= max(there[path], count / 2) / 2]
    return max(likely, key=lambda path: found[path], default=None)


def find_embedded(sampled: Sampled) -> str | None:
    """A field most of whose texts end with a JSON object that something else stands before."""

    def ends_with_object(text: str) -> bool:
        before, begins, _ = text.partition('{"')
        return bool(begins and before.strip()) and text.rstrip().endswith("}")

    for guess in sampled.guesses:
        texts = [value for value in sampled.values(guess.field.name) if isinstance(value, str)]
        if sum(map(ends_with_object, texts)) > len(texts) / 2:
            return guess.field.name
    return None


def _holds_object(record: Record, path: Path) -> bool:
    try:
        return lift(record, path) is not record
    except Rejected:
        return False


def _leaves(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, dict) and value and len(path) < 8:
        for key, below in value.items():
            if key and not _SURROGATE.search(key):
                yield from _leaves(below, (*path, key))
    elif path and not isinstance(value, dict):
        yield path, value


def _standing_twice(value: Any, path: Path) -> Iterator[Path]:
    """The paths of keys that stand twice in an object or in those below it."""
    yield from ((*path, key) for key in getattr(value, "repeated", ()))
    for key, below in value.items():
        if isinstance(below, dict):
            yield from _standing_twice(below, (*path, key))


def _name(path: Path, taken: set[str]) -> str:
    """A valid name, unique whatever its case, made of the last keys of the path that make it so, and tell what it is of."""
    for depth in range(2 if len(path) > 1 and _words(path[-1]) in _OF_WHAT else 1, len(path) + 1):
        name = _words("_".join(path[-depth:]))
        name = f"f_{name}" if name[0].isdigit() or name in ("true", "false", "null") else name  # to YAML no words
        if name not in taken:
            break
    for number in itertools.count(2):
        if name not in taken:
            break
        name = f"{name.rstrip('0123456789')}{number}"
    taken.add(name)
    return name


def _words(text: str) -> str:
    """`predictionId` as `prediction_id`."""
    return re.sub(r"\W+|__+", "_", _WORDS.sub("_", text), flags=re.ASCII).strip("_").lower() or "field"


def _guess(path: Path, values: Sequence[Any], records: int, name: str, typed: bool, any_name: bool) -> Guess:
    found = [value for value in values if value is not None]
    items = [item for value in found for item in (value if isinstance(value, list) else [value])]
    repeated = bool(found) and all(isinstance(value, list) for value in found)
    doubts: list[str] = []
    missing: tuple[str, ...] = ()
    unit: TimeUnit | None = None
    order, because = _date_order(items)
    kinds = {_kind(item) for item in items}
    kind: Kind = "string"
    if not items:
        doubts.append("always null in the sample: taken for a string")
    elif kinds == {"boolean"}:
        kind = "boolean"
    elif kinds <= {"long", "double"}:
        kind = "double" if "double" in kinds and not _whole_key(path[-1], items) else "long"
        unit = None if repeated else _epoch_unit(path[-1], items, any_name)
        kind = "timestamp" if unit else kind
        if kind == "long" and not all(-(2**63) <= item < 2**63 for item in items):
            kind = "string"
            doubts.append("its whole numbers do not fit 64 bits: taken for a string")
    elif (
        not repeated
        and kinds <= {"string", "long", "double"}
        and (times := _times(items, order)) >= ALMOST_ALL * len(items)
    ):
        kind = "timestamp"
        if times < len(items):
            doubts.append(f"{len(items) - times} values are no times: their lines will be rejected")
        doubts += [because] if because else []
        if all(len(item) == _DAY_LENGTH for item in items if isinstance(item, str)):
            doubts.append("it holds days only")
    elif kinds == {"string"}:
        if not repeated and all(map(_EPOCH_TEXT.fullmatch, items)):
            unit = _epoch_unit(path[-1], [float(item) for item in items], any_name)
            kind = "timestamp" if unit else kind
        if not unit and not typed:
            kind = next((kind for kind, test in _TEXTS if all(map(test.fullmatch, items))), kind)
    elif kinds <= {"long", "double", "string"} and not repeated:
        words = {item for item in items if isinstance(item, str)}
        spelled = {word for word in words if _NUMBER_TEXT.fullmatch(word)}
        if words - spelled <= set(PLACEHOLDERS):
            numbers = [float(item) for item in items if not isinstance(item, str) or item in spelled]
            whole = "double" not in kinds and all(word.lstrip("-").isdigit() for word in spelled)
            kind = "long" if whole or _whole_key(path[-1], numbers) else "double"
            missing = tuple(sorted(words - spelled))
            doubts += [f"{', '.join(map(repr, missing))} taken for missing"] if missing else []
            doubts += ["some of its numbers are texts"] if spelled else []
        else:
            doubts.append("numbers and text mixed: taken for a string")
    else:
        doubts.append(
            f"{' and '.join(sorted(kinds))} mixed: taken for a string; lines of another kind will be rejected"
        )
        repeated = False
    if unit and not EPOCH_NAME.search(_words(path[-1])):
        doubts.append("its name does not say that it is a time, its numbers do")
    full = len(found) == records
    nullable = bool(missing) or not (full and (records >= 200))
    field = Field(name, kind, path, nullable, repeated, missing, unit, order if kind == "timestamp" else None)
    return Guess(field, len(found), len({str(value) for value in found}), tuple(doubts))


def _whole_key(name: str, items: Sequence[float]) -> bool:
    """Whether numbers are keys that were written with a decimal point, as systems do that know no whole numbers."""
    return bool(ID_NAME.search(_words(name))) and all(abs(item) <= 2**53 and item == int(item) for item in items)


def _kind(value: Any) -> str:
    names = {bool: "boolean", int: "long", float: "double", str: "string", list: "array"}
    return names.get(type(value), "object")


def _holds(values: Iterable[Any]) -> str:
    """What a field of no type holds, in words."""

    def kind(value: Any) -> str:
        if isinstance(value, list):
            return f"arrays of {' or '.join(sorted({kind(item) for item in value if item is not None}))}"
        return {"long": "numbers", "double": "numbers", "string": "texts"}.get(_kind(value), f"{_kind(value)}s")

    kinds = {kind(value) for value in values if value is not None}
    return " and ".join(sorted(kinds))


def _epoch_unit(name: str, numbers: Sequence[float], any_name: bool) -> TimeUnit | None:
    low, high = min(numbers), max(numbers)
    unit = next((unit for least, most, unit in _EPOCHS if least <= low and high <= most), None)
    if unit is None or EPOCH_NAME.search(_words(name)):
        return unit
    grows = sum(later >= earlier for earlier, later in itertools.pairwise(numbers))
    clocklike = any_name and low < high < low * _A_FEW_YEARS and grows >= ALMOST_ALL * (len(numbers) - 1)
    return unit if clocklike else None


def _date_order(items: Sequence[Any]) -> tuple[DateOrder | None, str]:
    """Which of the numbers is the month, where months stand in numbers beside the day; and how it was guessed if no day beyond the 12th tells."""
    dates = [item for item in items if isinstance(item, str) and is_numbered(item)]
    if not dates:
        return None, ""
    first, second = (sum(int(re.split(r"\D", date)[place]) > 12 for date in dates) for place in (0, 1))
    if first != second:
        return ("dmy" if first > second else "mdy"), ""
    if all("." in date[:3] for date in dates):
        return "dmy", "date_order: taken for day first, as dates with dots are written"
    if all(re.search("[AP]M", date) for date in dates):
        return "mdy", "date_order: taken for month first, as AM and PM in capitals are written in American English"
    return None, ""


def is_without_order(values: Sequence[Any]) -> bool:
    """Whether values are times whose month and day nothing tells apart."""
    dates = [value for value in values if value is not None]
    return bool(dates) and all(isinstance(date, str) and is_numbered(date) for date in dates)


def _times(items: Sequence[Any], order: DateOrder | None) -> int:
    """How many values are times or dates in words, not numbers."""
    texts = [
        item for item in items if isinstance(item, str) and (re.match(r"\d{4}-\d\d-\d\d", item) or as_iso(item, order))
    ]
    field = Field("t", "timestamp", ("t",), True, date_order=order)
    _, doubtful = coerce_column(pa.array(texts, pa.string()), field, "UTC")
    unsure = (
        [] if doubtful is None else [text for text, doubt in zip(texts, doubtful.to_pylist(), strict=True) if doubt]
    )
    return len(texts) - sum(_read(text, field) is None for text in unsure)


def raw_value(record: Record, field: Field) -> Any:
    """What a record has for a field; None where it has nothing, or nothing that can be read."""
    try:
        return value_of(record, field)
    except Rejected:
        return None


def with_parameters(sampled: Sampled) -> Sampled:
    """The sample with the parameters of query strings in its texts as further fields (see `query_text.py`)."""
    taken = {guess.field.name for guess in sampled.guesses} | _OWN
    known = {guess.field.path for guess in sampled.guesses if guess.field.query}
    more, seen = [], set()
    for guess in sampled.guesses:
        if guess.field.kind != "string" or guess.field.repeated or guess.field.path in known:
            continue
        found: dict[str, list[str]] = defaultdict(list)
        twice: set[str] = set()
        for text in sampled.values(guess.field.name):
            if text and _HAS_QUERY.search(text):
                pairs = parameters(text)
                for name, value in pairs:
                    found[name].append(value)
                if len(pairs) > len({name for name, _ in pairs}):
                    twice.update(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        common = sorted(found, key=lambda name: -len(found[name]))[:MOST_FIELDS]
        for name in (name for name in found if name in common and name not in twice and not _SURROGATE.search(name)):
            if not name or not any(found[name]):
                continue  # a text alone, which may be anything
            if (copy := (name, *found[name])) in seen:
                continue  # a URL and its query string beside it
            seen.add(copy)
            named = _name((*guess.field.path, name), taken)
            parameter = _guess((*guess.field.path, name), found[name], len(sampled.records), named, False, False)
            field = dataclasses.replace(parameter.field, path=guess.field.path, query=name, nullable=True)
            more.append(dataclasses.replace(parameter, field=field))
    return dataclasses.replace(sampled, guesses=[*sampled.guesses, *more])


def without_parameters(sampled: Sampled, names: Collection[str]) -> Sampled:
    """The sample without the parameters of texts of which none of the named fields is one."""
    kept = {guess.field.path for guess in sampled.guesses if guess.field.query and guess.field.name in names}
    guesses = [guess for guess in sampled.guesses if not guess.field.query or guess.field.path in kept]
    return dataclasses.replace(sampled, guesses=guesses)


def _read(value: Any, field: Field) -> Any:
    try:
        return coerce_value(value, dataclasses.replace(field, nullable=True), "UTC")
    except Rejected:
        return None


def refused(records: Iterable[Record], fields: Sequence[Field]) -> Counter[str]:
    """Why records do not fit a contract, and how many of them for each reason."""
    reasons: Counter[str] = Counter()
    for record in records:
        try:
            for field in fields:
                coerce_value(value_of(record, field), field, "UTC")
        except Rejected as verdict:
            reasons[verdict.detail] += 1
    return reasons


def rank_times(sampled: Sampled, around: Collection[str] = ()) -> list[Guess]:
    """The timestamps that almost every line has, the likeliest event time first: by name, then by their order in the file.

    Those of the application come before those of its wrapping, whose keys are `around` it.
    """
    times = [guess for guess in sampled.guesses if guess.field.kind == "timestamp"]
    enough = min(ALMOST_ALL * len(sampled.records), max((guess.present for guess in times), default=0))
    candidates = [guess for guess in times if guess.present >= max(enough, len(sampled.records) / 2)]

    def rank(guess: Guess) -> tuple[int, float]:
        last = guess.field.path[-1]
        known = [_TIME_NAMES.index(name) for name in (last.lower(), _UNIT.sub("", _words(last))) if name in _TIME_NAMES]
        precise = guess.distinct / max(len(sampled.records), 1)
        return (min(known, default=len(_TIME_NAMES)), -precise)

    # A time of a whole second, such as the wrapping's, loses to a finer one of a plausible name.
    best = sorted(candidates, key=rank)
    finest = max((guess.distinct for guess in best), default=0)
    fine = [guess for guess in best if guess.distinct >= 0.9 * finest]
    ordered = fine + [guess for guess in best if guess not in fine]
    return sorted(ordered, key=lambda guess: guess.field.path[0] in around)


def avro_type(field: Field) -> Any:
    """The Avro type of an inferred field."""
    plain: Any = {"type": "long", "logicalType": "timestamp-micros"} if field.kind == "timestamp" else field.kind
    if field.repeated:
        plain = {"type": "array", "items": plain}
    return ["null", plain] if field.nullable else plain


def path_text(path: Path) -> str:
    """A path as contracts and configs have it."""
    return ".".join(_quoted(key) if re.search(r'[."]', key) else key for key in path)


def _quoted(key: str) -> str:
    escaped = re.sub(r'(["\\])', r"\\\1", key)
    return f'"{escaped}"'


def contract_text(name: str, fields: Sequence[Field]) -> dict[str, Any]:
    """The contract, as the JSON of an Avro schema."""
    entries = []
    for field in fields:
        entry: dict[str, Any] = {"name": field.name, "type": avro_type(field)}
        path = path_text(field.path)
        if path != field.name:
            entry["path"] = path
        if field.query:
            entry["query"] = field.query
        if field.missing:
            entry["missing"] = list(field.missing)
        if field.time_unit:
            entry["time_unit"] = field.time_unit
        if field.date_order:
            entry["date_order"] = field.date_order
        entries.append(entry)
    return {"type": "record", "name": name, "fields": entries}
