"""From a config and a date to the plan of a build: which files, which ranges, how many shards."""

import dataclasses
import datetime
import hashlib
import json
import math
import os
import re
import tempfile
import uuid
import zoneinfo
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from typing import Any

import pyarrow as pa
from apache_beam.io.filesystem import CompressionTypes, FileMetadata

from retrolabel.configs.load import Project, consent_log
from retrolabel.configs.model import CONSENT, Auth, Config, ConsentLog, Outcome, Privacy, Secret
from retrolabel.pipelines.holes import holes
from retrolabel.schemas.contract import split_path
from retrolabel.schemas.errors import InputError
from retrolabel.schemas.personal import KEYED, parse_generalization
from retrolabel.schemas.receipt import Receipt
from retrolabel.transforms.apis import api_of
from retrolabel.transforms.apis.interface import Query
from retrolabel.transforms.ask import any_reaches, slices_of
from retrolabel.transforms.copies import without_copies
from retrolabel.transforms.formats import find_format
from retrolabel.transforms.kernels.anonymity import AnonymityRule, QuasiIdentifier
from retrolabel.transforms.kernels.attribution import AttributionRule, LabelRule
from retrolabel.transforms.kernels.consent import ALWAYS, ConsentRule
from retrolabel.transforms.kernels.examples import ExampleRule, SplitRule, day_bounds
from retrolabel.transforms.kernels.expressions import label_type, value_when_none
from retrolabel.transforms.kernels.monitor import MonitorRule, PolicyRule, sliceable
from retrolabel.transforms.kernels.parse import LineReader
from retrolabel.transforms.kernels.protect import key_id
from retrolabel.transforms.kernels.select import Selection
from retrolabel.transforms.keys import KeyPlace, read_key
from retrolabel.transforms.listing import files_matching
from retrolabel.transforms.plan import PREDICTIONS, BuildPlan, Input, SourcePlan, ValidationRule
from retrolabel.transforms.read import BLOCK_BYTES, HEAD_BYTES, compression_at, compression_of, fingerprint_of
from retrolabel.transforms.receipts import Joins, read_receipts, receipt_ids, sought_of, suffix_of
from retrolabel.transforms.storage import is_local, told

SHARD_BYTES = 128 * 2**20
"""Text whose rows one shard should hold: two shards a core stay below a few hundred megabytes (measured: ARCHITECTURE.md)."""

COMPRESSION_RATIO = 8
"""How much larger than its file the text of a compressed log is taken to be."""

SOFTWARE = ("retrolabel", "apache-beam", "duckdb", "pyarrow", "fastavro", "numpy", "tensorflow-metadata")
"""What decides the bytes of a dataset, beside config and input."""

_LOOKS_AT_ONCE = 16
"""Files of object stores whose first bytes are asked for at a time."""

_DATE = re.compile(r"\{date:([^}]*)\}")
_HOUR = "{hour}"
_MICROSECOND = datetime.timedelta(microseconds=1)


def plan_build(
    project: Project, date: datetime.date, complete_until: Mapping[str, datetime.datetime], *, in_process: bool
) -> tuple[BuildPlan, tuple[Input, ...]]:
    """Resolves a config into the plan of one day's build.

    Args:
        project: the config, checked.
        date: the day, in the config's timezone.
        complete_until: of outcomes whose log was declared complete, up to when.
        in_process: whether all steps run in this process, and may share files on its disk.

    Returns:
        The plan, and the files to read.

    Raises:
        InputError: a source has no files for the day.
    """
    config, used = project.config, list(project.config.outcomes)
    begin, end = day_bounds(date, zoneinfo.ZoneInfo(config.timezone))
    ranges = ranges_of(config, date)
    dates = dates_of(project, date)
    listed = {name: tuple(inputs_of_day(project, name, date)) for name in dates}
    parted = {name: without_copies(files) for name, files in listed.items()}
    missing = {name: found for name, files in listed.items() if (found := _holes(project, name, dates[name], files))}
    inputs = tuple(file for files, _ in parted.values() for file in files)
    declared = {name: round(moment.timestamp() * 1_000_000) for name, moment in complete_until.items()}
    for name in used:  # of a log store only what is needed is read: whether it goes on from there is asked
        if name not in declared and any_reaches(queries_of(project, name, dates[name]), ranges[name][1]):
            declared[name] = ranges[name][1]
    declared = dict(sorted(declared.items()))
    key = key_place(project)
    root = project.root
    receipts = receipt_ids(root)
    software = {package: version(package) for package in SOFTWARE}
    identity = {
        "config": _without_keys(project.recipe), "contracts": project.contract_texts, "software": software, "date": date.isoformat(),
        "inputs": [(file.source, file.name, file.size) for files in listed.values() for file in files],
        "complete_until": declared, "expected": {key: hashlib.sha256(found).hexdigest() for key, found in project.expected.items()},
        **({"key": key.id} if key else {}),
    }  # fmt: skip
    attributions = tuple(attribution_of(project, name) for name in used)
    around = around_of(config, date)
    sources = {
        name: source_plan(project, name, *ranges[name], around if name == PREDICTIONS else None)
        for name in project.sources
    }
    return BuildPlan(
        dataset=config.dataset,
        root=root,
        date=date,
        build=hashlib.sha256(json.dumps(identity, sort_keys=True, default=str).encode()).hexdigest()[:16],
        spill=spill_folder(root, suffix_of(receipts)) if in_process else None,
        shards=shards_for(inputs),
        sources=_without_forgotten(project, sources, read_receipts(root, receipts)) if receipts else sources,
        examples=_example_rule(config, attributions, begin, end),
        label_order=tuple(config.labels),
        prediction_order=_prediction_order(project, attributions),
        ids={name: ids for name in used if (ids := config.outcomes[name].id)},
        complete_until=declared,
        max_rejected={name: project.source(name).max_rejected for name in project.sources},
        copies=tuple(copy for _, copies in parted.values() for copy in copies),
        output_format=config.output.format,
        keep_days=config.retention.days,
        at_least=0,
        slices=config.slices,
        sliced_labels=tuple(
            label.name for rule in attributions for label in rule.labels if pa.types.is_boolean(label.type)
        ),
        validation=_validation_rule(project),
        manifest=_known_beforehand(project, date, software, attributions)
        | {"key_id": key and key.id, "holes": missing},
        key=key,
        monitor=monitor_rule(project),
        consent=consent_rule(project.config),
        receipts=receipts,
        suffix=suffix_of(receipts),
        anonymity=anonymity_rule(project),
    ), inputs


def ranges_of(config: Config, date: datetime.date) -> dict[str, tuple[int, int]]:
    """From which moment up to which each source's events take part, in microseconds of UTC."""
    begin, end = day_bounds(date, zoneinfo.ZoneInfo(config.timezone))
    ranges = {PREDICTIONS: (begin, end)}
    for name in config.outcomes:
        windows = [_micros(label.window) for label in config.labels.values() if label.outcome == name]
        ranges[name] = (begin, end + max(windows, default=0))
    if log := consent_log(config):  # a decision holds until the next one, however old it is
        last = max(end, *(around_of(config, date) or (begin, end)))
        ranges[CONSENT] = (ALWAYS, last + longest_window(config) if log.time else end)
    return ranges


def around_of(config: Config, date: datetime.date) -> tuple[int, int] | None:
    """From when to when predictions of other days may be those that the day's outcomes count for, in microseconds of UTC.

    An outcome in the window of the day's last predictions may come after one of the next day, and counts for that one alone under
    `attribution: last`; one in the first predictions' windows may count for one of the day before under `first`.
    """
    windows = {"all": 0, "last": 0, "first": 0}
    for label in config.labels.values():
        outcome = config.outcomes[label.outcome]
        if (outcome.prediction_key or outcome.key) != config.predictions.key:
            attribution = label.attribution or outcome.attribution
            windows[attribution] = max(windows[attribution], _micros(label.window))
    if not windows["last"] and not windows["first"]:
        return None
    begin, end = day_bounds(date, zoneinfo.ZoneInfo(config.timezone))
    return begin - windows["first"], end + windows["last"]


def longest_window(config: Config) -> int:
    """Microseconds from a prediction to the close of its last window."""
    return max(_micros(label.window) for label in config.labels.values())


def dates_of(project: Project, date: datetime.date) -> dict[str, list[datetime.date]]:
    """The days whose files each source is read from."""
    dates = {name: days_between(*times, project.config.timezone) for name, times in times_of(project, date).items()}
    if (log := consent_log(project.config)) and not log.time:  # nothing in a snapshot of another day says that it is
        dates[CONSENT] = [date]
    return dates


def times_of(project: Project, date: datetime.date) -> dict[str, tuple[int, int]]:
    """From when to when events are looked for in each source: its range, or what is around it, and the `lookaround` at both ends."""
    times = {}
    ranges = ranges_of(project.config, date)
    ranges[PREDICTIONS] = around_of(project.config, date) or ranges[PREDICTIONS]
    for name, (begin, end) in ranges.items():
        if name == CONSENT:
            begin = _first_decision(project.config, date)
        times[name] = _with_lookaround(project, name, begin, end)
    return times


def _with_lookaround(project: Project, name: str, begin: int, end: int) -> tuple[int, int]:
    around = _micros(project.source(name).lookaround)
    return begin - around, end + around


def _first_decision(config: Config, date: datetime.date) -> int:
    """From when on the log of consent is read: from its beginning, of snapshots those of the day."""
    log = consent_log(config)
    return day_bounds(log.since if log and log.since else date, zoneinfo.ZoneInfo(config.timezone))[0]


def shards_for(inputs: Sequence[Input]) -> int:
    """A power of two that depends on the sizes of the files alone, so that every run has the same part files."""
    text = sum(file.size * (COMPRESSION_RATIO if file.compression else 1) for file in inputs)
    return 1 << max(0, math.ceil(math.log2(max(1.0, text / SHARD_BYTES))))


def spill_folder(root: str, suffix: str) -> str:
    """A folder of this run's own, that says which receipts it knew.

    Below a local dataset, where `gc` sweeps what a killed build leaves; else where the system keeps temporary files.
    """
    parent = os.path.join(root, "_tmp") if is_local(root) else os.path.join(tempfile.gettempdir(), "retrolabel")
    return os.path.join(parent, uuid.uuid4().hex + suffix)


def _micros(duration: datetime.timedelta) -> int:
    return duration // _MICROSECOND


def key_place(project: Project) -> KeyPlace | None:
    """Where the key of pseudonyms is, if a contract asks for any.

    Raises:
        ConfigError: it is not there.
    """
    secret = project.config.privacy.key
    if secret is None or not any(
        field.pii in KEYED for contract in project.logged.values() for field in contract.fields
    ):
        return None
    place = Secret(file=project.resolve(secret.file)) if secret.file else secret
    return KeyPlace(place, key_id(read_key(place)))


def keys_of(privacy: Privacy, resolve: Callable[[str], str]) -> dict[str, KeyPlace]:
    """The key that a config names, and those that it has taken the place of, by their ids.

    Args:
        privacy: the config's section.
        resolve: makes paths of the config such as the file systems take.

    Raises:
        ConfigError: one is not there.
    """
    found = {}
    for secret in [*([privacy.key] if privacy.key else []), *privacy.former_keys]:
        place = Secret(file=resolve(secret.file)) if secret.file else secret
        name = key_id(read_key(place))
        found[name] = KeyPlace(place, name)
    return found


def joins_of(config: Config) -> Joins:
    """The fields that each outcome, and the log of consent, is joined by, with those of the predictions."""
    log = consent_log(config)
    joined: dict[str, Outcome | ConsentLog] = {**config.outcomes, **({CONSENT: log} if log else {})}
    return {
        name: list(zip(source.key, source.prediction_key or source.key, strict=True)) for name, source in joined.items()
    }


def _without_forgotten(
    project: Project, sources: Mapping[str, SourcePlan], receipts: Sequence[Receipt]
) -> dict[str, SourcePlan]:
    """The sources without the rows of people who were forgotten. Texts of rejected lines, which may be theirs, are not kept."""
    fields = {name: [field.name for field in project.logged[name].fields] for name in sources}
    sought = sought_of(receipts, fields, joins_of(project.config), keys_of(project.config.privacy, project.resolve))
    return {
        name: dataclasses.replace(
            source, reader=dataclasses.replace(source.reader, keep_lines=False), forgotten=sought[name]
        )
        for name, source in sources.items()
    }


def _without_keys(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe without the places of keys: the identity of a build holds the key itself, by its id."""
    privacy = recipe.get("privacy")
    if not isinstance(privacy, dict):
        return dict(recipe)
    rest = {name: value for name, value in privacy.items() if name not in ("key", "former_keys")}
    return {name: value for name, value in recipe.items() if name != "privacy"} | ({"privacy": rest} if rest else {})


def reader_of(project: Project, name: str) -> LineReader:
    """How the records of a source are read."""
    source = project.source(name)
    layout = find_format(source.format, source.options, project.directory)
    unwrap = tuple(split_path(path) for path in source.unwrap)
    keep = project.config.privacy.rejected_lines == "keep" and project.config.anonymity is None
    return LineReader(name, layout, project.logged[name], source.timezone, keep, unwrap)


def source_plan(project: Project, name: str, begin: int, end: int, around: tuple[int, int] | None = None) -> SourcePlan:
    """How the blocks of a source are read, for events from a moment up to another, in microseconds of UTC."""
    source, reader = project.source(name), reader_of(project, name)
    first, consent = source.key, None
    if isinstance(source, Outcome) and source.id:
        first = source.id
    elif name == PREDICTIONS and project.config.consent:
        consent, rule = project.config.consent.field, consent_rule(project.config)
        first = rule.prediction_key if rule else first
    return SourcePlan(reader, Selection(source.where, source.time, begin, end, consent, around), first,
                      project.place(*project.keys(name), "where"))  # fmt: skip


def consent_rule(config: Config) -> ConsentRule | None:
    """How the log of consent is matched with predictions, if there is one."""
    log = consent_log(config)
    if log is None:
        return None
    return ConsentRule(
        key=log.key, prediction_key=log.prediction_key or log.key, time=log.time, state=log.state, granted=log.granted,
        keep_undecided=log.undecided == "keep", prediction_time=config.predictions.time, window=longest_window(config),
    )  # fmt: skip


def attribution_of(project: Project, name: str) -> AttributionRule:
    """How one kind of outcome is matched, and the labels that it gives."""
    outcome, contract = project.config.outcomes[name], project.contracts[name]
    labels = tuple(
        LabelRule(label_name, label.value, _micros(label.after), _micros(label.window), label.attribution or outcome.attribution,
                  label_type(label.value, contract, outcome.time), value_when_none(label.value, contract, outcome.time))
        for label_name, label in project.config.labels.items() if label.outcome == name
    )  # fmt: skip
    fields = tuple(field.name for field in contract.fields)
    return AttributionRule(name, outcome.key, outcome.prediction_key or outcome.key, outcome.time, fields, labels)


def anonymity_rule(project: Project) -> AnonymityRule | None:
    """How many people must be alike in a published row, if that is asked."""
    anonymity, contract = project.config.anonymity, project.contracts[PREDICTIONS]
    if anonymity is None:
        return None
    columns = tuple(
        QuasiIdentifier(name, tuple(parse_generalization(name, step, contract.field(name).kind, repeated=False)
                                    for step in anonymity.generalize.get(name, ())))
        for name in anonymity.quasi_identifiers
    )  # fmt: skip
    return AnonymityRule(anonymity.k, columns, anonymity.person, anonymity.max_suppressed)


def monitor_rule(project: Project) -> MonitorRule | None:
    """How the model is measured, with the fields by which slices are found."""
    config, contract = project.config, project.contracts[PREDICTIONS]
    monitor = config.monitor
    if monitor is None:
        return None
    label = config.labels[monitor.label]
    no_slice = {*config.predictions.key, *(monitor.query or ()), monitor.score, monitor.propensity}
    found = sliceable(
        [
            (field.name, field.arrow_type)
            for field in contract.fields
            if field.name not in no_slice and field.pii in ("", "generalize")
        ]
    )
    chosen = found if monitor.slices == "auto" else monitor.slices
    policies = tuple(PolicyRule(name, policy.probability, policy.value) for name, policy in monitor.policies.items())
    return MonitorRule(
        score=monitor.score, label=monitor.label, foretold=label.value == "any", outcome=label.outcome,
        window=_micros(label.window), time=config.predictions.time, threshold=monitor.threshold, model=monitor.model,
        position=monitor.position, query=monitor.query or (), propensity=monitor.propensity, policies=policies,
        attributes=tuple(dict.fromkeys([*chosen, *((name,) for name in monitor.groups)])), min_rows=monitor.min_rows,
    )  # fmt: skip


def _example_rule(config: Config, attributions: tuple[AttributionRule, ...], begin: int, end: int) -> ExampleRule:
    split = None
    if config.split:
        by_time = config.split.by == (config.predictions.time,)
        bounds = _time_bounds(config, begin, end) if by_time else _share_bounds(config)
        split = SplitRule(config.split.by, tuple(config.split.parts), bounds, by_time)
    keep = config.sample.negatives if config.sample else 1.0
    return ExampleRule(
        config.predictions.key, config.predictions.time, attributions, split, keep, config.sample is not None
    )


def _validation_rule(project: Project) -> ValidationRule | None:
    rule = project.config.validation
    if rule is None:
        return None
    expected = project.expected
    return ValidationRule(
        expected["schema"], rule.environment, rule.against, expected.get("serving", b""), rule.severity
    )


def _share_bounds(config: Config) -> tuple[float, ...]:
    shares = list(config.split.parts.values()) if config.split else []
    return tuple(sum(shares[: number + 1]) for number in range(len(shares) - 1))  # type: ignore[arg-type]


def _time_bounds(config: Config, begin: int, end: int) -> tuple[int, ...]:
    """Shares of the day, or the times themselves."""
    parts = list(config.split.parts.values()) if config.split else []
    if all(isinstance(part, float | int) for part in parts):
        return tuple(begin + round(share * (end - begin)) for share in _share_bounds(config))
    zone = zoneinfo.ZoneInfo(config.timezone)
    bounds = []
    for part in parts[:-1]:
        if isinstance(part, datetime.datetime):
            moment = part if part.tzinfo else part.replace(tzinfo=zone)
            bounds.append(round(moment.timestamp() * 1_000_000))
        elif isinstance(part, datetime.date):
            bounds.append(day_bounds(part, zone)[0])
    return tuple(bounds)


def _prediction_order(project: Project, attributions: Sequence[AttributionRule]) -> tuple[str, ...]:
    """Event time, then the keys by which outcomes find the prediction, then the rest in the contract's order."""
    joined = [name for rule in attributions for name in rule.prediction_key]
    fields = [field.name for field in project.contracts[PREDICTIONS].fields]
    return tuple(dict.fromkeys([project.config.predictions.time, *sorted(set(joined)), *fields]))


def _known_beforehand(
    project: Project, date: datetime.date, software: Mapping[str, str], attributions: Sequence[AttributionRule]
) -> dict[str, Any]:
    config, contract = project.config, project.contracts[PREDICTIONS]
    types = {label.name: label.type for rule in attributions for label in rule.labels}
    anonymity = anonymity_rule(project)
    coarser = {column.name for column in anonymity.columns if column.may_be_null} if anonymity else set()
    schema = [
        {"name": field.name, "type": str(field.arrow_type), "nullable": field.nullable or field.name in coarser}
        for field in contract.fields
    ]
    schema += [{"name": name, "type": str(types[name]), "nullable": True} for name in config.labels]
    if config.sample:
        schema.append({"name": "weight", "type": "double", "nullable": False})
    return {
        "dataset": config.dataset, "date": date.isoformat(), "timezone": config.timezone, "config": project.recipe,
        "contracts": dict(project.contract_texts), "software": dict(software), "key": list(config.predictions.key),
        "labels": list(config.labels), "example_schema": schema,
    }  # fmt: skip


# The files of a day


def inputs_of_day(project: Project, name: str, date: datetime.date) -> Iterator[Input]:
    """The files of a source that a day's build reads, each once, in the order of their names; of a log store the slices.

    Raises:
        InputError: there are none, or none but those of other days' predictions.
    """
    times = times_of(project, date)[name]
    if name == PREDICTIONS and around_of(project.config, date) and not queries_of(project, name, [date]):
        own = _with_lookaround(project, name, *ranges_of(project.config, date)[name])
        _match(project, name, days_between(*own, project.config.timezone))
    yield from list_inputs(project, name, dates_of(project, date)[name], times)


def list_inputs(
    project: Project, name: str, dates: Sequence[datetime.date], times: tuple[int, int] | None = None
) -> Iterator[Input]:
    """The files of a source for some days, each once, in the order of their names; of a log store the slices.

    Args:
        project: the config, checked.
        name: of the source.
        dates: the days for which `path` expands.
        times: from when to when a log store is asked, in microseconds of UTC; by default for the whole of the days.

    Raises:
        InputError: there are none.
    """
    if queries := queries_of(project, name, dates):
        zone = zoneinfo.ZoneInfo(project.config.timezone)
        yield from slices_of(
            name, queries, *(times or (day_bounds(min(dates), zone)[0], day_bounds(max(dates), zone)[1]))
        )
        return
    found = _match(project, name, dates)
    whole = not reader_of(project, name).splittable

    def look(path: str) -> Input:
        return _input(name, found[path], project.directory, whole)

    paths = sorted(found)
    if all(map(is_local, paths)):  # here threads would wait for each other: 260 µs of processor time a file, not 31
        yield from map(look, paths)
        return
    with ThreadPoolExecutor(_LOOKS_AT_ONCE) as pool:
        yield from pool.map(look, paths)


def _match(project: Project, name: str, dates: Sequence[datetime.date]) -> dict[str, FileMetadata]:
    """The files of a source for some days, by their paths."""
    patterns = expand(project.source(name).path, dates)
    found = {}
    try:
        for pattern in patterns:
            found.update(files_matching(project.resolve_pattern(pattern)))
    except (OSError, ValueError, ImportError) as error:
        where = getattr(error, "filename", None) or ", ".join(map(project.resolve, patterns))
        raise InputError(f"{name}: cannot list {where}: {told(error, project.resolve(pattern))}") from None
    own = os.path.join(project.root, "")
    if mine := next((path for path in sorted(found) if path.startswith(own)), None):
        raise InputError(f"{name}: 'path' matches files of the dataset itself, such as {mine}: they would be read as logs. "
                         "Narrow 'path', or put the dataset elsewhere with 'output: {path: …}'")  # fmt: skip
    if not found:
        shown = [project.resolve(pattern) for pattern in patterns[:5]]
        looked = "\n  ".join(f"{pattern} (the folder {_nearest(pattern)!r} exists)" for pattern in shown)
        raise InputError(f"{name}: no file matches\n  {looked}")
    return found


def _holes(project: Project, name: str, dates: Sequence[datetime.date], files: Iterable[Input]) -> list[str]:
    """The patterns of hours and days that have no file, between others that have one; as the manifest has them."""
    paths = [file.path for file in files]
    missing: list[str] = []
    for pattern in project.source(name).path:
        series = {project.resolve_pattern(one): one for one in expand([pattern], dates)}
        missing += [_name(project.resolve(series[one]), project.directory) for one in holes(list(series), paths)]
    return missing


def queries_of(project: Project, name: str, dates: Sequence[datetime.date]) -> list[Query]:
    """What is asked of a log store, if the source is read from one."""
    source = project.source(name)
    text = (
        source.filter
        if isinstance(source.filter, str)
        else json.dumps(source.filter, sort_keys=True)
        if source.filter
        else ""
    )
    time = project.logged[name].field(source.time).path if source.time else ()
    auth = _resolved(project, source.auth)
    return [
        Query(source.format, path, text, time, auth, source.retry_for.total_seconds())
        for path in expand(source.path, dates)
        if api_of(source.format, path)
    ]


def _resolved(project: Project, auth: Auth | None) -> Auth | None:
    """With the paths of secrets as the file systems take them."""
    secrets = {
        key: secret for key in ("password", "api_key") if auth and (secret := getattr(auth, key)) and secret.file
    }
    return auth and auth.model_copy(
        update={key: Secret(file=project.resolve(secret.file)) for key, secret in secrets.items()}
    )


def expand(patterns: Iterable[str], dates: Sequence[datetime.date]) -> list[str]:
    """Fills `{date:…}` for each day and `{hour}` for each hour; patterns without either stand once."""
    filled: dict[str, None] = {}
    for pattern in patterns:
        for date in dates:
            dated = _DATE.sub(lambda match, date=date: date.strftime(match[1]), pattern)  # type: ignore[misc]
            hours = range(24) if _HOUR in dated else range(1)
            filled.update(dict.fromkeys(dated.replace(_HOUR, f"{hour:02d}") for hour in hours))
    return list(filled)


def days_between(begin: int, end: int, timezone: str) -> list[datetime.date]:
    """The days that a range touches, by the config's calendar and by that of UTC: file names follow either."""
    days: set[datetime.date] = set()
    for zone in (datetime.UTC, zoneinfo.ZoneInfo(timezone)):
        first = datetime.datetime.fromtimestamp(begin / 1e6, zone).date()
        last = datetime.datetime.fromtimestamp((end - 1) / 1e6, zone).date()
        days.update(first + datetime.timedelta(days=n) for n in range((last - first).days + 1))
    return sorted(days)


def _name(path: str, directory: str) -> str:
    """A path as manifests have it: relative to the config file where it lies below, so that a copied project builds the same bytes."""
    if not is_local(path):
        return path
    relative = os.path.relpath(os.path.abspath(path), os.path.abspath(directory))
    return path if relative.startswith("..") else relative.replace(os.sep, "/")


def _nearest(pattern: str) -> str:
    folder = os.path.dirname(pattern)
    while is_local(folder) and folder and not os.path.isdir(folder) and folder != os.path.dirname(folder):
        folder = os.path.dirname(folder)
    return folder or "."


def _input(source: str, file: FileMetadata, directory: str, whole: bool) -> Input:
    """A whole file as it is now.

    How it is compressed is told by its first bytes. On object stores, where a look is a request, it is told by the name, and by a look at files
    that would be cut in stretches: what is read whole is looked at when it is read.
    """
    path, kinds = (
        file.path,
        {CompressionTypes.GZIP: "gzip", CompressionTypes.BZIP2: "bzip2", CompressionTypes.ZSTD: "zstd"},
    )
    name = _name(path, directory)
    if name.encode(errors="replace").decode() != name:
        raise InputError(f"{source}: the name of {path!r} is no UTF-8: rename it, or leave it out of `path`")
    try:
        fingerprint = fingerprint_of(path, file)
        if is_local(path):
            if not os.path.isfile(path):
                raise InputError(f"{source}: {path!r} is no regular file: leave it out of `path`")
            with open(path, "rb") as opened:
                compression = compression_of(opened.read(HEAD_BYTES))
        else:
            compression = kinds.get(CompressionTypes.detect_compression_type(path), "")
            if not compression and not whole and fingerprint.size > BLOCK_BYTES:
                compression = compression_at(path)
    except OSError as error:
        dangling = f"; it is a link to {os.readlink(path)!r}" if is_local(path) and os.path.islink(path) else ""
        raise InputError(f"{source}: cannot read {path!r}: {error.strerror}{dangling}") from None
    return Input(source, path, name, fingerprint.size, 0, fingerprint.size, compression, fingerprint, whole)
