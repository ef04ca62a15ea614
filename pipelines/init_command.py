"""`retrolabel init`: from logs to a config that builds, with every guess told."""

import collections
import dataclasses
import datetime
import fnmatch
import functools
import itertools
import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

import click

from retrolabel.configs.model import Source
from retrolabel.pipelines.dated_paths import dated, day_of
from retrolabel.pipelines.freshness import in_words
from retrolabel.pipelines.likely_format import BARELY, fits
from retrolabel.pipelines.tell import tell
from retrolabel.schemas.contract import Contract, Field
from retrolabel.schemas.errors import ConfigError, InputError, printable
from retrolabel.schemas.reject import Rejected
from retrolabel.transforms.formats import FORMATS, find_format
from retrolabel.transforms.kernels.examples import day_bounds
from retrolabel.transforms.kernels.find_keys import (
    Join,
    count_repeats,
    declared,
    find_group,
    find_id,
    find_joins,
    key_rows,
    kind_of_key,
)
from retrolabel.transforms.kernels.infer import (
    EPOCH_NAME,
    Sampled,
    contract_text,
    find_embedded,
    find_wrapped,
    infer_fields,
    is_without_order,
    path_text,
    rank_times,
    refused,
    with_parameters,
    without_parameters,
)
from retrolabel.transforms.kernels.parse import LineReader
from retrolabel.transforms.listing import files_matching
from retrolabel.transforms.plan import Input
from retrolabel.transforms.read import BLOCK_BYTES, blocks_of, compression_at, fingerprint_of, sample_of
from retrolabel.transforms.storage import is_local, told

LINES = 2000
"""Sampled of each file."""

FILES = 20
"""Sampled of each source, spread over their names."""

SNIFFED = 5
"""Of these, by which the format is told."""

LOOKAROUND = 3_600_000_000
"""Microseconds that an event may lie outside of the day that its file is named after."""

MOST_LEVELS = 4
"""Of JSON in strings of JSON."""

ENOUGH = 20
"""Joined pairs in the sample from which their delays are believed."""

USUAL_REJECTED = Source.model_fields["max_rejected"].default

USUAL_REPEATED = 0.01
"""The share of predictions that may repeat a key with other contents before it is told."""

MOST_KINDS = 50
"""Of events in one log; a field with more values tells something else."""

_KIND_OF_EVENT = re.compile(r"(\w+_)?(kind|event|type|action|status|state|event_(name|type))")

_UTF16 = (b"\xff\xfe", b"\xfe\xff")

_SURE = {"json": 0.5, "json_documents": 0.45, "csv": 0.7, "ltsv": 0.85}
"""What a format says of a file that is certainly its own, where that is not 0.9."""

_WINDOWS = {"1h": 3600, "24h": 86_400, **{f"{days}d": days * 86_400 for days in (7, 14, 30, 60, 90, 180, 365)}}
"""Windows that are proposed, with their seconds."""


@dataclasses.dataclass
class SourceGuess:
    """What was found out about one source."""

    name: str
    patterns: tuple[str, ...]
    format: str
    confidence: float
    sampled: Sampled
    files: int
    unread: int
    """Sampled lines that the format cannot read."""
    time: str
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    unwrap: tuple[tuple[str, ...], ...] = ()
    key: tuple[str, ...] = ()
    join: Join | None = None
    id: str | None = None
    window: str = "24h"
    evidence: str = ""
    refused: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    """Why sampled records do not fit the contract, and how many."""
    strange: Sequence[str] = ()
    """Sampled files that do not look like the format."""
    other_times: Sequence[str] = ()
    """Other fields that could be the event time, the likeliest first."""
    repeated: int = 0
    """Sampled predictions whose key an earlier one has, with other contents."""
    other_joins: Sequence[Join] = ()
    """Other keys by which outcomes find predictions."""


@click.command()
@click.option("--predictions", multiple=True, required=True, metavar="GLOB", help="Logs of predictions.")
@click.option(
    "--outcomes",
    multiple=True,
    required=True,
    metavar="[NAME=]GLOB",
    help="Logs of what happened; a name for each kind.",
)
@click.option("--dataset", default="examples", show_default=True, help="The name of the dataset.")
@click.option(
    "--directory",
    default=".",
    show_default=True,
    type=click.Path(file_okay=False),
    help="Where config and contracts are written.",
)
@click.option(
    "--config", "config_name", default="retrolabel.yaml", show_default=True, help="The name of the config file."
)
@click.option("--force", is_flag=True, help="Overwrite files that are there.")
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
def command(
    predictions: tuple[str, ...], outcomes: tuple[str, ...], dataset: str, directory: str, config_name: str, force: bool, as_json: bool
) -> None:  # fmt: skip
    """Look at samples of real logs, and write a config and contracts that build at once.

    It asks nothing, and says what it guessed and how sure it is. No value of the logs is written anywhere, but names of fields are,
    also where a log makes them of values.

    \b
    Examples:
      retrolabel init --predictions 'logs/serving/*.log*' --outcomes 'logs/clicks/*.log*'
      retrolabel init --predictions 'serving/*.json' --outcomes click='clicks/*.log' --outcomes purchase='shop/*.json'
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", dataset):
        raise click.BadParameter(f"expected letters, digits, '_' and '-'; got {dataset!r}", param_hint="'--dataset'")
    served = look_at("predictions", predictions)
    named: dict[str, list[str]] = collections.defaultdict(list)
    for text in outcomes:
        name, _, pattern = text.partition("=")
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) or not pattern:  # a path may hold `=`, as in logs/dt=2026/
            name, pattern = _default_name(text), text
        if name == served.name:
            raise click.BadParameter(f"an outcome cannot be called {name!r}", param_hint="'--outcomes'")
        named[name].append(pattern)
    happened = [look_at(name, patterns) for name, patterns in named.items()]
    for outcome in happened:
        _join(served, outcome)
    _declare_alike(served, happened)
    for source in (served, *happened):
        source.refused = refused(source.sampled.records, _fields(source))
    written = _files(served, happened, dataset, directory, config_name)
    there = [path for path in written if os.path.exists(path)]
    if there and not force:
        raise ConfigError(f"{', '.join(there)} exist already; --force overwrites them, --directory puts them elsewhere")
    os.makedirs(directory, exist_ok=True)
    for path, text in written.items():
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    config = os.path.join(directory, config_name)
    if as_json:
        found = {source.name: _as_json(source) for source in (served, *happened)}
        click.echo(json.dumps({"config": config, "files": sorted(written), "sources": found, "date": _day(served)}))
        return
    for source in (served, *happened):
        _tell(source)
    click.echo(f"wrote {', '.join(sorted(written))}")
    click.echo(f"\nnext: retrolabel check {config}\n      retrolabel build {config} --date {_day(served)}")


def look_at(name: str, patterns: Sequence[str]) -> SourceGuess:
    """Samples one source, and infers its format, fields and event time.

    Raises:
        InputError: there are no files, no format fits, or no line has a time.
    """
    try:
        paths = sorted(set(itertools.chain.from_iterable(map(_filled_files, patterns))))
    except (OSError, ValueError, ImportError) as error:
        where = getattr(error, "filename", None) or ", ".join(patterns)
        raise InputError(f"{name}: cannot list {where}: {told(error, patterns[0])}") from None
    if not paths:
        raise InputError(f"{name}: no file matches {', '.join(patterns)}, or all are empty")
    chosen = sorted({paths[round(n * (len(paths) - 1) / max(FILES - 1, 1))] for n in range(FILES)})
    samples = [sample for sample in map(sample_of, chosen[:SNIFFED]) if sample.strip()]
    found = fits(samples)
    best = max(found, key=lambda name: found[name], default="")
    if not found or found[best] < BARELY:
        if samples and samples[0][:2] in _UTF16:
            raise InputError(
                f"{name}: {chosen[0]} is UTF-16; logs are read as UTF-8: `iconv -f UTF-16 -t UTF-8` makes it such"
            )
        nearest = ", ".join(f"{other} {found[other]:.0%}" for other in sorted(found, key=found.__getitem__)[-3:])
        raise InputError(
            f"{name}: no format fits {chosen[0]} ({nearest or 'there are no lines'}); there are {', '.join(FORMATS)}"
        )
    options = suggest(samples[0], max(map(_written, chosen))) if (suggest := FORMATS[best].suggest) else {}
    layout = find_format(best, options, "")
    unwrap: tuple[tuple[str, ...], ...] = ()
    around: set[str] = set()
    while True:
        records, origins, unread = _records(LineReader(name, layout, Contract(name, ()), unwrap=unwrap), chosen)
        wrapped = find_wrapped(records, unwrap)
        if wrapped is None or len(unwrap) == MOST_LEVELS:
            break
        unwrap = (*unwrap, wrapped)
        around.update(key for record in records for key in record)
    if not records:
        raise InputError(f"{name}: {chosen[0]} and what else was sampled holds no record that {best} can read")
    infer = functools.partial(infer_fields, records, layout.lifted, unwrap, typed=layout.typed)
    sampled = infer()
    times = rank_times(sampled, around)
    if not times:
        sampled = infer(any_name=True)
        times = rank_times(sampled, around)
    if not times:
        raise InputError(_without_time(name, best, sampled))
    days = _patterns_of_days(patterns, paths) if _by_day(sampled.values(times[0].field.name), origins) else None
    strange = [path for path, sample in zip(chosen, samples, strict=False) if FORMATS[best].sniff(sample) < BARELY]
    return SourceGuess(
        name,
        tuple(days or patterns),
        best,
        min(1.0, found[best] / _SURE.get(best, 0.9)),
        sampled,
        len(paths),
        unread,
        times[0].field.name,
        options,
        unwrap,
        strange=tuple(strange),
        other_times=tuple(guess.field.name for guess in times[1:]),
    )


def _filled_files(pattern: str) -> list[str]:
    """The files that a pattern matches, as a build finds them, but empty ones."""
    return [
        path
        for path, file in files_matching(pattern).items()
        if (os.stat(path).st_size if is_local(path) else file.size_in_bytes)
    ]


def _without_time(name: str, best: str, sampled: Sampled) -> str:
    """What to say where no field is a time."""
    called = [guess.field.name for guess in sampled.guesses if EPOCH_NAME.search(guess.field.name)]
    shown = ", ".join(guess.field.name for guess in sampled.guesses[:12]) or "none"
    undecided = [guess.field.name for guess in sampled.guesses if is_without_order(sampled.values(guess.field.name))]
    if undecided:
        return (
            f"{name}: {undecided[0]!r} is a date in numbers, and no sampled day is beyond the 12th: nothing tells the month from the day. Take a sample "
            f"of later days, or let it be logged as ISO 8601, such as 2026-11-20T10:00:00Z (docs/formats.md)"
        )
    if called:
        hint = f"{', '.join(map(repr, called[:5]))} may be meant as one, but cannot be read: let it be logged so"
    elif best == "json":
        hint = "let the application, or the daemon that writes the file, add one to each record"
    else:
        hint = "let the application log one"
    return (
        f"{name}: no field of {best} is a time in nearly every record of the sample. Fields are: {shown}. A time is ISO 8601, such as "
        f"2026-11-20T10:00:00Z, as in HTTP or access logs, or a number of seconds to nanoseconds since 1970: {hint} (docs/formats.md)"
    )


def _written(path: str) -> datetime.date:
    """The day that a file's name tells, else that of its last change."""
    return day_of(path) or datetime.datetime.fromtimestamp(fingerprint_of(path).modified / 1e9, datetime.UTC).date()


def _by_day(times: Sequence[int | None], paths: Sequence[str]) -> bool:
    """Whether each file holds the events, given in microseconds of UTC, of the day in its name, give or take `LOOKAROUND`."""
    for moment, path in zip(times, paths, strict=True):
        day = day_of(path)
        if day is None:
            return False
        begin, end = day_bounds(day, datetime.UTC)
        if moment is not None and not begin - LOOKAROUND <= moment < end + LOOKAROUND:
            return False
    return True


def _patterns_of_days(patterns: Sequence[str], paths: Sequence[str]) -> list[str] | None:
    """The patterns that read a day's files alone; None if the names of some do not tell their day."""
    found = [dated(pattern, [path for path in paths if fnmatch.fnmatchcase(path, pattern)]) for pattern in patterns]
    return None if None in found else [pattern for pattern in found if pattern]


def _records(reader: LineReader, paths: Sequence[str]) -> tuple[list[Mapping[str, Any]], list[str], int]:
    """The first records of some files, the file of each, and how many records cannot be read."""
    records: list[Mapping[str, Any]] = []
    origins: list[str] = []
    unread = 0
    for path in paths:
        size = fingerprint_of(path).size
        file = Input(reader.source, path, path, size, 0, min(size, BLOCK_BYTES), compression_at(path), None)
        found = [
            record
            for block in itertools.islice(blocks_of(file, reader), 1)
            for record in itertools.islice(reader.records(block), LINES)
        ]
        records += [record for record in found if not isinstance(record, Rejected)]
        origins += [path] * (len(records) - len(origins))
        unread += sum(isinstance(record, Rejected) for record in found)
    return records, origins, unread


def _default_name(pattern: str) -> str:
    """The last word of a path that says something, in the singular."""
    for word in reversed(re.findall(r"[A-Za-z]{3,}", os.path.splitext(pattern)[0])):
        if word.lower() not in ("log", "logs", "json", "jsonl", "gz", "zst", "data", "var", "tmp", "date"):
            said: str = word.lower()
            return said.removesuffix("s") if len(said) > 3 and not said.endswith(("ss", "us", "is")) else said
    return "outcome"


def _join(served: SourceGuess, outcome: SourceGuess) -> None:
    """Finds the key, the id and the window of an outcome."""
    joins = find_joins(served.sampled, outcome.sampled)
    if not joins or not joins[0].tells_apart:
        joins = _join_by_parameters(served, outcome) or joins
    if not joins or not joins[0].sure:
        nearest = f" (nearest: {_equal(joins[0])}, {joins[0].common} in common)" if joins else ""
        unread = find_embedded(outcome.sampled) or find_embedded(served.sampled)
        advice = (
            f"{unread!r} holds JSON behind other text, which is not read: let the application log the JSON alone"
            if unread
            else "do the logs cover the same days, and does the application log with each outcome which prediction it is of?"
        )
        raise InputError(
            f"{outcome.name}: no field of its sample shares enough values with the predictions' to be a key{nearest}; {advice}"
        )
    best = joins[0]
    outcome.join, outcome.key = best, best.key
    outcome.other_joins = [join for join in joins[1:] if join.sure and join.found > 0.2 and join.unique > 0.5][:3]
    outcome.id = find_id(outcome.sampled, best.key)
    if not served.key:
        served.key = best.prediction_key if best.unique > 0.9 else _unique_key(served.sampled) or best.prediction_key
        served.repeated = count_repeats(served.sampled, served.key)
    made = zip(key_rows(served.sampled, best.prediction_key), served.sampled.values(served.time), strict=True)
    times = dict(reversed(list(made)))  # of equal keys the first
    delays = sorted(
        (moment - times[row]) / 1e6
        for row, moment in zip(key_rows(outcome.sampled, best.key), outcome.sampled.values(outcome.time), strict=True)
        if row in times and moment is not None and times[row] is not None and moment >= times[row]
    )
    if len(delays) >= ENOUGH:
        late = delays[min(len(delays) - 1, int(0.99 * len(delays)))]
        outcome.window = next((word for word, seconds in _WINDOWS.items() if late < seconds), list(_WINDOWS)[-1])
        outcome.evidence = (
            f"99 % of {len(delays):,} joined pairs come within {in_words(datetime.timedelta(seconds=late))}"
        )


def _join_by_parameters(served: SourceGuess, outcome: SourceGuess) -> list[Join]:
    """The keys if those in query strings count too, should the best be one; the fields of the sources are then those of that text too."""
    sides = {source.name: with_parameters(source.sampled) for source in (served, outcome)}
    joins = find_joins(sides[served.name], sides[outcome.name])
    if not joins or not joins[0].tells_apart:
        return []
    for source, names in ((served, joins[0].prediction_key), (outcome, joins[0].key)):
        known = [guess.field.name for guess in source.sampled.guesses if guess.field.query]
        source.sampled = without_parameters(sides[source.name], [*names, *known])
    return joins


def _declare_alike(served: SourceGuess, happened: Sequence[SourceGuess]) -> None:
    """Declares keys that are numbers in one log and texts in another as the same in both."""
    joined: dict[str, list[tuple[SourceGuess, str]]] = collections.defaultdict(list)
    for outcome in happened:
        for name, other in zip(outcome.key, outcome.join.prediction_key if outcome.join else (), strict=True):
            joined[other].append((outcome, name))
    for other, fields in joined.items():
        sides = [(served, other), *fields]
        kind = kind_of_key([(source.sampled, name) for source, name in sides])
        for source, name in sides:
            source.sampled = declared(source.sampled, [name], kind)


def _equal(join: Join) -> str:
    return f"{_names(join.key)} = {_names(join.prediction_key)}"


def _unique_key(sampled: Sampled) -> tuple[str, ...]:
    found = find_id(sampled, ())
    return (found,) if found else ()


def _fields(source: SourceGuess) -> list[Field]:
    """The fields with time, and key of predictions, as the contract needs them: never null."""
    required = (source.time, *(() if source.join else source.key))
    return [
        dataclasses.replace(guess.field, nullable=False, missing=()) if guess.field.name in required else guess.field
        for guess in source.sampled.guesses
    ]


def _rejected(source: SourceGuess) -> float:
    """The share of the sampled records that a build will reject."""
    return (source.unread + source.refused.total()) / max(source.unread + len(source.sampled.records), 1)


def _files(
    served: SourceGuess, happened: Sequence[SourceGuess], dataset: str, directory: str, config_name: str
) -> dict[str, str]:
    """The text of every file to write."""
    files = {}
    for source in (served, *happened):
        contract = contract_text(source.name.title().replace("_", ""), _fields(source))
        entries = ",\n    ".join(json.dumps(entry, ensure_ascii=False) for entry in contract.pop("fields"))
        files[os.path.join(directory, f"{source.name}.avsc")] = (
            f'{json.dumps(contract)[:-1]}, "fields": [\n    {entries}\n]}}\n'
        )
    files[os.path.join(directory, config_name)] = _config(served, happened, dataset, directory)
    return files


def _config(served: SourceGuess, happened: Sequence[SourceGuess], dataset: str, directory: str) -> str:
    lines = [f"dataset: {dataset}", "predictions:", *_source(served, directory, "  ")]
    lines.append("outcomes:")
    for outcome in happened:
        lines += [f"  {outcome.name}:", *_source(outcome, directory, "    ")]
        if outcome.id:
            lines.append(f"    id: {outcome.id}")
        if outcome.join and outcome.join.prediction_key != outcome.key:
            lines.append(f"    prediction_key: {_names(outcome.join.prediction_key)}")
        lines += [f"    # where: {name} = '…'     # {advice}" for name, advice in _kinds_of_event(outcome).items()]
    lines.append("labels:")
    for outcome in happened:
        label = (
            outcome.name
            if outcome.name not in {guess.field.name for guess in served.sampled.guesses}
            else f"{outcome.name}_label"
        )
        told = f"   # {outcome.evidence}" if outcome.evidence else ""
        lines.append(f"  {label}: {{outcome: {outcome.name}, window: {outcome.window}, value: any}}{told}")
    group = find_group(served.sampled) or served.key[0]
    lines.append(f"split: {{by: {group}, parts: {{train: 0.8, eval: 0.1, test: 0.1}}}}")
    lines.append("output: {path: datasets, format: parquet}")
    return "\n".join(lines) + "\n"


def _source(source: SourceGuess, directory: str, indent: str) -> list[str]:
    paths = [
        pattern if "://" in pattern or os.path.isabs(pattern) else os.path.relpath(pattern, directory)
        for pattern in source.patterns
    ]
    path = json.dumps(paths[0]) if len(paths) == 1 else json.dumps(paths)
    lines = [f"format: {source.format}", f"path: {path}", f"schema: {source.name}.avsc"]
    if source.options:
        lines.append(f"options: {json.dumps(source.options)}")
    if source.unwrap:
        lines.append(f"unwrap: {_names([path_text(path) for path in source.unwrap])}")
    if any("{date:" in path for path in paths):
        lines.append(
            "lookaround: 1h     # how late an event may be: so far into the files of the days around it is looked for"
        )
    lines += [f"key: {_names(source.key)}", f"time: {source.time}"]
    if (share := _rejected(source)) > USUAL_REJECTED / 2:
        lines.append(
            f"max_rejected: {min(1, math.ceil(200 * share) / 100):g}     # {share:.1%} of the sampled records are rejected"
        )
    return [f"{indent}{line}" for line in lines]


def _kinds_of_event(outcome: SourceGuess) -> dict[str, str]:
    """Fields that tell several kinds of events in one log apart, and what to do about each."""
    return {
        name: f"{name} has {guess.distinct} values in the sample: as it is, each counts. Choose with `where`, or make a "
        f"label of each: value: count(*) FILTER ({name} = '…') > 0"
        for guess in outcome.sampled.guesses
        if _KIND_OF_EVENT.fullmatch(name := guess.field.name)
        and guess.field.kind == "string"
        and 1 < guess.distinct <= MOST_KINDS
    }


def _names(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"[{', '.join(names)}]"


def _day(served: SourceGuess) -> str:
    """The day of most sampled predictions."""
    days = collections.Counter(
        moment // 86_400_000_000 for moment in served.sampled.values(served.time) if moment is not None
    )
    return (datetime.date(1970, 1, 1) + datetime.timedelta(days=days.most_common(1)[0][0])).isoformat()


def _tell(source: SourceGuess) -> None:
    records = len(source.sampled.records)
    tell(
        f"{source.name}: {source.format} ({source.confidence:.0%} sure), {records:,} lines sampled of {source.files:,} file{'s' * (source.files != 1)}"
    )
    if source.unread:
        tell(f"  {source.unread:,} sampled lines cannot be read as {source.format}; a build will reject such lines")
    for reason, count in source.refused.most_common(3):
        tell(f"  {count:,} sampled lines will be rejected: {printable(reason)}")
    for path in source.strange:
        tell(f"  {path} does not look like {source.format}: files of another format are a source of their own")
    rather = f" (rather than {', '.join(source.other_times)})" if source.other_times else ""
    tell(f"  time: {source.time}{rather}    key: {_names(source.key)}" + (f"    id: {source.id}" if source.id else ""))
    if source.repeated > USUAL_REPEATED * records:
        tell(
            f"  warning: {_names(source.key)} does not tell predictions apart: {source.repeated:,} of {records:,} sampled repeat it with other "
            f"contents, and a build keeps the first of each; let the application log an id of each prediction, or add fields to `key`"
        )
    if source.options:
        tell(f"  options: {json.dumps(source.options)}: guessed; the config has them")
    if source.join:
        join = source.join
        though = "" if join.key == join.prediction_key else ", though their names differ"
        tell(f"  {join.found:.1%} of the sampled {source.name} lines find their prediction in the sample, by {_equal(join)} "
                   f"({join.sure:.0%} sure: {join.common:,} different values in common{though})")  # fmt: skip
    for join in source.other_joins:
        tell(
            f"  by {_equal(join)} it would be {join.found:.1%}, {join.unique:.0%} of predictions having one of their own"
        )
    if source.evidence:
        tell(f"  window: {source.window}: {source.evidence}")
    for advice in _kinds_of_event(source).values() if source.join else ():
        tell(f"  {advice}")
    width = max(len(guess.field.name) for guess in source.sampled.guesses)
    for guess in source.sampled.guesses:
        kind = f"array of {guess.field.kind}" if guess.field.repeated else guess.field.kind
        unit = (
            f" ({guess.field.time_unit or guess.field.date_order})"
            if guess.field.time_unit or guess.field.date_order
            else ""
        )
        may = (
            "may be null" if guess.field.nullable and guess.field.name not in (source.time, *source.key) else "required"
        )
        doubts = f"   ? {'; '.join(guess.doubts)}" if guess.doubts else ""
        tell(
            f"    {guess.field.name:<{width}}  {kind + unit:<16} {may:<11} {guess.present / max(records, 1):>6.1%} present{printable(doubts)}"
        )
    if source.sampled.left_out:
        tell(f"    left out: {printable(', '.join(source.sampled.left_out))}")


def _as_json(source: SourceGuess) -> dict[str, object]:
    return {
        "format": source.format, "confidence": round(source.confidence, 3), "files": source.files, "lines": len(source.sampled.records),
        "time": source.time, "other_times": list(source.other_times), "key": list(source.key), "id": source.id, "window": source.window if source.join else None,
        "found": round(source.join.found, 4) if source.join else None, "sure": source.join.sure if source.join else None,
        "prediction_key": list(source.join.prediction_key) if source.join else None, "repeated": source.repeated,
        "fields": [{"name": guess.field.name, "kind": guess.field.kind, "nullable": guess.field.nullable, "present": guess.present,
                    "doubts": list(guess.doubts)} for guess in source.sampled.guesses],
    }  # fmt: skip
