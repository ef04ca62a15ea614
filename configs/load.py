"""From a YAML file to a checked config: every mistake at once, each with its file, line and column, and what would be right."""

import dataclasses
import datetime
import glob
import itertools
import json
import os
import re
import zoneinfo
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pydantic
import yaml

from retrolabel.configs.model import (
    CONSENT,
    OPERATIONAL,
    Anonymity,
    Bound,
    Card,
    Config,
    Consent,
    ConsentLog,
    FreshnessRule,
    Label,
    Monitor,
    OnPublish,
    Outcome,
    Output,
    Policy,
    Privacy,
    Retention,
    Sample,
    Schedule,
    Source,
    Split,
    Validation,
)
from retrolabel.schemas.contract import Contract, Field, contract_of
from retrolabel.schemas.errors import ConfigError, InputError, Problem, did_you_mean, nearest_name
from retrolabel.schemas.metadata_files import schema_from, statistics_from, to_bytes
from retrolabel.schemas.personal import KEYED, parse_generalization

PREDICTIONS = "predictions"
RESERVED = ("split", "weight")
"""Columns that a build adds itself."""

ALERTS = (
    "auc", "average_precision", "log_loss", "calibration_error", "bias", "accuracy", "lift", "mae", "rmse", "ndcg", "ndcg_at_10",
    "selection_rate_difference", "equal_opportunity_difference", "accuracy_difference", "calibration_difference", "decay",
)  # fmt: skip
"""The measures that `monitor.alerts` may bound."""

_MAX_BYTES = 1_000_000
_MAX_TOKENS = 50_000
"""Of YAML, whose reader takes a tenth of a millisecond for each."""
_MAX_DEPTH = 20
_MAX_WAYS = 1000
_MAX_PROBLEMS = 100
_NO_TEXT = re.compile("[\0\ud800-\udfff]")
"""What no file name and no UTF-8 text holds; YAML can write both as escapes."""
_OPENING = (
    yaml.FlowSequenceStartToken,
    yaml.FlowMappingStartToken,
    yaml.BlockSequenceStartToken,
    yaml.BlockMappingStartToken,
)
_CLOSING = yaml.FlowSequenceEndToken, yaml.FlowMappingEndToken, yaml.BlockEndToken
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^{}]*))?\}")
_PLACEHOLDER = re.compile(r"\{([^}]*)\}?")

KeyPath = tuple[str | int, ...]
Place = tuple[int, int]
"""Line and column, from 1."""


@dataclasses.dataclass(frozen=True)
class Project:
    """A config that was checked, with its contracts."""

    path: str
    config: Config
    raw: Mapping[str, Any]
    """As written: variables of the environment are not filled in."""
    logged: Mapping[str, Contract]
    """The contract of each source, as the lines are."""
    contracts: Mapping[str, Contract]
    """What is left of them after the personal data was treated: what everything after the selection of rows knows."""
    contract_texts: Mapping[str, Any]
    """The Avro schemas themselves."""
    expected: Mapping[str, bytes]
    """What `validation` names, as binary protos: the `schema`, and the statistics of `serving`."""
    places: Mapping[KeyPath, Place]

    @property
    def recipe(self) -> dict[str, Any]:
        """What decides the content of the dataset, as written."""
        return {key: value for key, value in self.raw.items() if key not in OPERATIONAL}

    @property
    def root(self) -> str:
        """The folder of the dataset."""
        return f"{self.resolve(self.config.output.path).rstrip('/')}/{self.config.dataset}"

    @property
    def directory(self) -> str:
        """The folder to which relative paths in the config are relative."""
        return os.path.dirname(os.path.abspath(self.path))

    @property
    def sources(self) -> tuple[str, ...]:
        """The names of all sources: predictions, outcomes, and the log of consent if there is one."""
        return (PREDICTIONS, *self.config.outcomes, *((CONSENT,) if consent_log(self.config) else ()))

    def source(self, name: str) -> Source:
        """The predictions, the log of consent, or an outcome by its name."""
        log = consent_log(self.config)
        return (
            self.config.predictions
            if name == PREDICTIONS
            else log
            if name == CONSENT and log
            else self.config.outcomes[name]
        )

    def keys(self, name: str) -> KeyPath:
        """Where a source stands in the config."""
        return _keys_of(name, self.config)

    def place(self, *keys: str | int) -> str:
        """Where a key stands, or the nearest one around it, for a message."""
        return _told(self.path, self.places, keys)

    def problem(self, keys: KeyPath, message: str) -> Problem:
        """A mistake at a key."""
        line, column = _nearest(self.places, keys)
        return Problem(os.path.basename(self.path), line, column, ".".join(map(str, keys)), message)

    def resolve(self, path: str) -> str:
        """A path of the config as the file systems take it."""
        return path if "://" in path or os.path.isabs(path) else os.path.join(self.directory, path)

    def resolve_pattern(self, pattern: str) -> str:
        """The same of a pattern: what the folder of the config is called is none."""
        return (
            pattern
            if "://" in pattern or os.path.isabs(pattern)
            else os.path.join(glob.escape(self.directory), pattern)
        )


def consent_log(config: Config) -> ConsentLog | None:
    """The log of consent, if the config has one."""
    return config.consent.log if config.consent else None


def _keys_of(name: str, config: Config) -> KeyPath:
    if name == CONSENT and consent_log(config):
        return (CONSENT, "log")
    return (PREDICTIONS,) if name == PREDICTIONS else ("outcomes", name)


def load_project(path: str) -> Project:
    """Reads and checks a config and its contracts.

    Raises:
        ConfigError: with every problem that can be found without data.
    """
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"cannot read {path!r}: {error.strerror}. Hint: `retrolabel init` writes a config") from None
    except UnicodeDecodeError:
        raise ConfigError(f"cannot read {path!r}: not UTF-8 text") from None
    written, places = parse_yaml(text, path)
    problems: list[Problem] = []

    def add(keys: KeyPath, message: str) -> None:
        line, column = _nearest(places, keys)
        problems.append(Problem(os.path.basename(path), line, column, ".".join(map(str, keys)), message))

    unset: set[KeyPath] = set()
    filled = _fill(written, (), add, unset)
    config = None
    try:
        config = Config.model_validate(filled)
    except pydantic.ValidationError as error:
        for detail in error.errors()[:_MAX_PROBLEMS]:
            keys, problem = _in_words(detail, filled)
            if keys not in unset:  # what stands there is not known, and told already
                add(keys, problem)
    logged, texts = _read_contracts(filled, os.path.dirname(os.path.abspath(path)), add)
    contracts = {name: contract.published for name, contract in logged.items()}
    expected = {}
    if config is not None:
        _check_across(config, contracts, add)
        _check_privacy(config, logged, add)
        if config.validation:
            expected = _read_expected(config.validation, os.path.dirname(os.path.abspath(path)), add)
    if problems:
        raise ConfigError.of(path, problems)
    if config is None:
        raise ConfigError(f"{path!r} is not a config")
    return Project(path, config, written, logged, contracts, texts, expected, places)


# YAML


class _Loader(yaml.SafeLoader):
    """YAML without its surprises: only true and false are booleans, only plain decimals are numbers."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("tag:yaml.org,2002:bool", r"true|false", "tf"),
    ("tag:yaml.org,2002:null", r"null|~|", ["n", "~", ""]),
    ("tag:yaml.org,2002:int", r"-?(?:0|[1-9][0-9]*)", "-0123456789"),
    ("tag:yaml.org,2002:float", r"-?[0-9]+\.[0-9]+(?:[eE][-+]?[0-9]+)?", "-0123456789"),
    (
        "tag:yaml.org,2002:timestamp",
        r"\d{4}-\d\d-\d\d(?:[Tt ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[-+]\d\d:\d\d)?)?",
        "0123456789",
    ),
):
    _Loader.add_implicit_resolver(_tag, re.compile(f"^(?:{_pattern})$"), list(_first))


def parse_yaml(text: str, path: str) -> tuple[dict[str, Any], dict[KeyPath, Place]]:
    """Reads one YAML mapping, and where each of its keys stands.

    Raises:
        ConfigError: it is too large or too deep, is no mapping, repeats a key, or uses aliases.
    """
    if len(text) > _MAX_BYTES:
        raise ConfigError(f"{path!r} is larger than a megabyte: that is no config")
    places: dict[KeyPath, Place] = {}
    try:
        _check_tokens(text, path)
        node = yaml.compose(text, Loader=_Loader)
        loader = _Loader("")
        try:
            content = _construct(loader, node, (), places, path)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        problem = error.problem or error.context or ""
        raise ConfigError(f"{path}{where}: not YAML: {problem}{_advice(problem)}") from None
    except yaml.reader.ReaderError as error:
        raise ConfigError(f"{path}: not YAML: {error.reason} at character {error.position}") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected keys and values, such as 'dataset: shoes_ctr'")
    return content, places


def _advice(problem: str) -> str:
    """What is likely to be meant by what the reader of YAML says."""
    if "'\\t'" in problem:
        return ". Hint: indent with spaces, not with tabs"
    if "<block end>" in problem or "mapping values are not allowed" in problem:
        return ". Hint: is the line indented like those beside it, and is a text with ': ' in quotes?"
    return ""


def _check_tokens(text: str, path: str) -> None:
    """Refuses what makes little text large or slow to read, before anything is built of it."""
    depth = 0
    for number, token in enumerate(yaml.scan(text, Loader=_Loader)):
        place = f"{path}:{token.start_mark.line + 1}:{token.start_mark.column + 1}"
        depth += isinstance(token, _OPENING) - isinstance(token, _CLOSING)
        if depth > _MAX_DEPTH:
            raise ConfigError(f"{place}: nested more than {_MAX_DEPTH} levels deep")
        if number > _MAX_TOKENS:
            raise ConfigError(f"{place}: more than {_MAX_TOKENS:,} words and marks: that is no config")
        if isinstance(token, yaml.AliasToken | yaml.AnchorToken):
            raise ConfigError(f"{place}: anchors and aliases are not allowed")
        if isinstance(token, yaml.TagToken):
            raise ConfigError(f"{place}: not YAML: tags are not allowed; write texts that look like numbers in quotes")


def _construct(loader: Any, node: Any, keys: KeyPath, places: dict[KeyPath, Place], path: str) -> Any:
    """Builds plain values from YAML's tree, noting where each stands."""
    if node is None:
        return None
    places.setdefault(keys, (node.start_mark.line + 1, node.start_mark.column + 1))
    if isinstance(node, yaml.MappingNode):
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            place = f"{path}:{key_node.start_mark.line + 1}:{key_node.start_mark.column + 1}"
            if not isinstance(key_node, yaml.ScalarNode):
                raise ConfigError(f"{place}: a key must be a word")
            if key_node.value in found:
                raise ConfigError(f"{place}: the key {key_node.value!r} stands here twice")
            if _NO_TEXT.search(key_node.value):
                raise ConfigError(f"{place}: the key holds a character that no text can hold")
            below = (*keys, key_node.value)
            places[below] = key_node.start_mark.line + 1, key_node.start_mark.column + 1
            found[key_node.value] = _construct(loader, value_node, below, places, path)
        return found
    if isinstance(node, yaml.SequenceNode):
        return [_construct(loader, item, (*keys, number), places, path) for number, item in enumerate(node.value)]
    try:
        value = loader.construct_object(node)
    except ValueError:
        raise ConfigError(f"{path}:{node.start_mark.line + 1}:{node.start_mark.column + 1}: no date or number that there is; "
                          "write texts that look like one in quotes") from None  # fmt: skip
    if isinstance(value, str) and _NO_TEXT.search(value):
        raise ConfigError(
            f"{path}:{node.start_mark.line + 1}:{node.start_mark.column + 1}: a character that no text can hold"
        )
    return value


def _nearest(places: Mapping[KeyPath, Place], keys: Sequence[str | int]) -> Place:
    for length in range(len(keys), -1, -1):
        if tuple(keys[:length]) in places:
            return places[tuple(keys[:length])]
    return 1, 1


def _told(path: str, places: Mapping[KeyPath, Place], keys: Sequence[str | int]) -> str:
    line, column = _nearest(places, keys)
    return f"{os.path.basename(path)}:{line}:{column} {'.'.join(map(str, keys))}"


def _fill(value: Any, keys: KeyPath, add: Any, unset: set[KeyPath]) -> Any:
    """Fills in variables of the environment, whose values are never told; `unset` gains the keys that need one that is not there."""
    if isinstance(value, dict):
        return {key: _fill(item, (*keys, key), add, unset) for key, item in value.items()}
    if isinstance(value, list):
        return [_fill(item, (*keys, number), add, unset) for number, item in enumerate(value)]
    if not isinstance(value, str):
        return value

    def replace(match: re.Match[str]) -> str:
        name, default = match[1], match[2]
        if name not in os.environ and default is None:
            unset.add(keys)
            add(keys, f"the environment has no variable {name!r}; set it, or give a default: ${{{name}:-…}}")
        return os.environ.get(name, default or "")

    return _VARIABLE.sub(replace, value)


# Words for what pydantic finds

_SECTIONS: dict[str, type[pydantic.BaseModel]] = {
    PREDICTIONS: Source, "split": Split, "sample": Sample, "output": Output, "privacy": Privacy, "validation": Validation,
    "schedule": Schedule, "retention": Retention, "on_publish": OnPublish,
    "monitor": Monitor, "consent": Consent, "anonymity": Anonymity, "card": Card,
}  # fmt: skip


def _section_of(keys: KeyPath) -> type[pydantic.BaseModel]:
    if keys and keys[0] in ("outcomes", "labels") and len(keys) >= 2:
        return Outcome if keys[0] == "outcomes" else Label
    if keys[:2] == (CONSENT, "log"):
        return ConsentLog
    if keys and keys[0] == "freshness":
        return FreshnessRule
    if len(keys) >= 3 and keys[:2] in (("monitor", "policies"), ("monitor", "alerts")):
        return Policy if keys[1] == "policies" else Bound
    return _SECTIONS.get(str(keys[0]), Config) if keys else Config


def known_keys(section: type[pydantic.BaseModel]) -> list[str]:
    """The keys that a section of the config may have."""
    return [field.alias or name for name, field in section.model_fields.items()]


def _in_words(detail: Any, filled: Any) -> tuple[KeyPath, str]:
    keys = tuple(
        key
        for key in detail["loc"]
        if _exists(filled, detail["loc"], key) or detail["type"] in ("missing", "extra_forbidden")
    )
    found = detail["input"]
    shown = json.dumps(found, default=str, ensure_ascii=False)[:80]
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        return keys, f"unknown key. {nearest_name(str(keys[-1]), known_keys(_section_of(keys[:-1])))}"
    if kind == "missing":
        return keys[:-1], f"the key {keys[-1]!r} is missing"
    if kind == "value_error":
        return keys, str(context.get("error", detail["msg"])).removeprefix("Value error, ")
    if kind == "literal_error":
        meant = did_you_mean(str(found), re.findall("'([^']*)'", context["expected"]))
        return keys, f"expected {context['expected']}; got {shown}. {meant}".removesuffix(". ")
    if kind == "string_pattern_mismatch":
        return keys, f"expected letters, digits, '_' and '-', beginning with a letter or digit; got {shown}"
    words = {"string_type": "text", "string_too_short": "text that is not empty", "dict_type": "keys and values", "model_type": "keys and values",
             "tuple_type": "a name or a list of names", "float_parsing": "a number", "float_type": "a number", "int_parsing": "a whole number",
             "int_type": "a whole number", "int_from_float": "a whole number", "too_short": "at least one", "greater_than": "a number above {gt:g}",
             "less_than": "a number below {lt:g}", "less_than_equal": "a number of at most {le:g}", "greater_than_equal": "a number of at least {ge:g}"}  # fmt: skip
    expected = words[kind].format(**context) if kind in words else detail["msg"][:1].lower() + detail["msg"][1:]
    return keys, f"expected {expected}; got {shown}"


def _exists(filled: Any, location: Sequence[str | int], key: str | int) -> bool:
    """Whether a step of pydantic's path is one of the file: branches of unions are not."""
    value = filled
    for step in location[: location.index(key) + 1]:
        below = value if isinstance(value, dict) else dict(enumerate(value)) if isinstance(value, list) else {}
        if step in below:
            value = below[step]
        elif step == key:
            return False
    return True


# Contracts


def _read_contracts(filled: Any, directory: str, add: Any) -> tuple[dict[str, Contract], dict[str, Any]]:
    contracts: dict[str, Contract] = {}
    texts: dict[str, Any] = {}
    outcomes = filled.get("outcomes") if isinstance(filled.get("outcomes"), dict) else {}
    sources = {PREDICTIONS: (filled.get(PREDICTIONS), (PREDICTIONS,))} | {
        name: (of, ("outcomes", name)) for name, of in outcomes.items()
    }
    if isinstance(filled.get(CONSENT), dict) and "log" in filled[CONSENT]:
        sources[CONSENT] = (filled[CONSENT]["log"], (CONSENT, "log"))
    for name, (source, keys) in sources.items():
        if not isinstance(source, dict) or not isinstance(source.get("schema"), str):
            continue
        file = source["schema"] if os.path.isabs(source["schema"]) else os.path.join(directory, source["schema"])
        try:
            with open(file, encoding="utf-8") as opened:
                text = opened.read(_MAX_BYTES + 1)
            if len(text) > _MAX_BYTES:
                raise ConfigError("larger than a megabyte: that is no contract")
            contracts[name] = contract_of(text)
            texts[name] = json.loads(text)
        except OSError as error:
            beside = sorted(
                os.path.relpath(path, directory) for path in glob.glob(f"{glob.escape(os.path.dirname(file))}/*.avsc")
            )
            hint = f". {nearest_name(source['schema'], beside)}" if beside else "; `retrolabel init` writes contracts"
            add((*keys, "schema"), f"cannot read {source['schema']!r}: {error.strerror}{hint}")
        except (ConfigError, UnicodeDecodeError) as error:
            for problem in str(error).splitlines()[:_MAX_PROBLEMS]:
                add((*keys, "schema"), f"{source['schema']}: {problem}")
    return contracts, texts


def _read_expected(validation: Validation, directory: str, add: Any) -> dict[str, bytes]:
    """The schema, and the statistics of serving, of `validation`."""
    found = {}
    for key, file, read in (
        ("schema", validation.expected, schema_from),
        ("serving", validation.serving, statistics_from),
    ):
        if file is None:
            continue
        try:
            with open(os.path.join(directory, file), "rb") as opened:
                found[key] = to_bytes(read(opened.read(), file), ".pb")
        except OSError as error:
            hint = "; `retrolabel schema infer` writes one" if key == "schema" else ""
            add(("validation", key), f"cannot read {file!r}: {error.strerror}{hint}")
        except InputError as error:
            add(("validation", key), str(error))
    return found


# What two parts of a config must agree on


def _check_across(config: Config, contracts: Mapping[str, Contract], add: Any) -> None:
    _check_timezone(config.timezone, ("timezone",), add)
    _check_source(config.predictions, contracts.get(PREDICTIONS), (PREDICTIONS,), add)
    for name, outcome in config.outcomes.items():
        keys = ("outcomes", name)
        if name == PREDICTIONS:
            add(keys, f"an outcome cannot be called {PREDICTIONS!r}")
        _check_source(outcome, contracts.get(name), keys, add)
        for field in _named(outcome.id or (), contracts.get(name), (*keys, "id"), add):
            if field.repeated or field.kind in ("float", "double"):
                add(
                    (*keys, "id"),
                    f"{field.name!r} is {_kind(field)}; an id is a string, an integer, a boolean or a timestamp",
                )
        _check_join(outcome, contracts.get(name), contracts.get(PREDICTIONS), keys, add)
    if log := consent_log(config):
        _check_consent_log(config, log, contracts, add)
    for name, label in config.labels.items():
        if label.outcome not in config.outcomes:
            add(
                ("labels", name, "outcome"),
                f"no outcome is called {label.outcome!r}. {nearest_name(label.outcome, config.outcomes)}",
            )
        taken = [field.name.lower() for field in contracts[PREDICTIONS].fields] if PREDICTIONS in contracts else []
        if name.lower() in taken:
            add(
                ("labels", name),
                f"the predictions have a field {name!r}: both would be columns; call the label otherwise",
            )
        elif name.lower() in RESERVED or not re.fullmatch(r"[A-Za-z_]\w*", name):
            add(
                ("labels", name),
                "a label's name is letters, digits and '_', and neither 'split' nor 'weight'",
            )
    for path, named in ((("labels",), config.labels), (("split", "parts"), config.split.parts if config.split else {})):
        for name in named:
            if (first := next(other for other in named if other.lower() == name.lower())) != name:
                add(
                    (*path, name),
                    f"{first!r} is there already: names that differ in case alone are one in SQL and on some disks",
                )
    for name in config.outcomes:
        if not any(label.outcome == name for label in config.labels.values()):
            add(("outcomes", name), "no label uses this outcome; add one under 'labels', or remove it")
    for name in config.freshness:
        if name != PREDICTIONS and name not in config.outcomes:
            add(
                ("freshness", name),
                f"no source is called {name!r}. {nearest_name(name, [PREDICTIONS, *config.outcomes])}",
            )
    _check_slices(config, contracts.get(PREDICTIONS), add)
    for hook, what in (("iceberg", "parquet"), ("tfx", "tfrecord")):
        if getattr(config.on_publish, hook) and config.output.format != what:
            add(("on_publish", hook), f"needs 'output: {{format: {what}}}'; the format is {config.output.format!r}")
    if config.split:
        _check_split(config, contracts.get(PREDICTIONS), add)
    if config.monitor:
        _check_monitor(config, config.monitor, contracts.get(PREDICTIONS), add)
    if config.anonymity:
        _check_anonymity(config, config.anonymity, contracts.get(PREDICTIONS), add)


def _check_source(source: Source, contract: Contract | None, keys: KeyPath, add: Any) -> None:
    _check_timezone(source.timezone, (*keys, "timezone"), add)
    for number, pattern in enumerate(source.path):
        for problem in _bad_placeholders(pattern):
            add((*keys, "path", number), problem)
    required = keys == (PREDICTIONS,)
    for field in _named(source.key, contract, (*keys, "key"), add):
        if field.repeated or field.kind in ("float", "double"):
            add(
                (*keys, "key"),
                f"{field.name!r} is {_kind(field)}; a key is a string, an integer, a boolean or a timestamp",
            )
        if required and field.nullable:
            add(
                (*keys, "key"),
                f"{field.name!r} may be null by its contract; make its type plain: a prediction without key cannot be joined",
            )
    for field in _named((source.time,) if source.time else (), contract, (*keys, "time"), add):
        if field.kind != "timestamp":
            add(
                (*keys, "time"),
                f'{field.name!r} is {_kind(field)}; give it {{"type": "long", "logicalType": "timestamp-micros"}}',
            )
        if field.nullable:
            add(
                (*keys, "time"),
                f"{field.name!r} may be null by its contract; make its type plain: an event without time cannot be placed",
            )


def _check_join(
    source: Outcome | ConsentLog, own: Contract | None, predictions: Contract | None, keys: KeyPath, add: Any
) -> None:
    """Whether a source's key can equal the predictions' fields that it is joined with."""
    theirs = source.prediction_key or source.key
    place: KeyPath = (*keys, "prediction_key" if source.prediction_key else "key")
    if len(theirs) != len(source.key):
        add(
            place,
            f"'key' names {', '.join(source.key)} and 'prediction_key' {', '.join(theirs)}; they are matched one by one",
        )
        return
    if source.prediction_key is None and predictions:
        known = {field.name for field in predictions.fields}
        if absent := [field for field in theirs if field not in known]:
            add(
                place,
                f"the predictions have no field {absent[0]!r}; name theirs under 'prediction_key'. {nearest_name(absent[0], known)}",
            )
            return
    fields = list(_named(theirs, predictions, place, add))
    for mine, other in zip(_named(source.key, own, place, lambda *_: None), fields, strict=False):
        if _family(mine) != _family(other):
            add(
                place,
                f"{mine.name!r} is {_kind(mine)}, but the predictions' {other.name!r} is {_kind(other)}; they can never be equal",
            )


def _check_consent_log(config: Config, log: ConsentLog, contracts: Mapping[str, Contract], add: Any) -> None:
    keys, contract = _keys_of(CONSENT, config), contracts.get(CONSENT)
    if CONSENT in config.outcomes:
        add(("outcomes", CONSENT), f"an outcome cannot be called {CONSENT!r} beside a log of consent")
    _check_source(log, contract, keys, add)
    _check_join(log, contract, contracts.get(PREDICTIONS), keys, add)
    for field in _named((log.state,), contract, (*keys, "state"), add):
        if field.repeated or field.kind not in ("boolean", "string"):
            add((*keys, "state"), f"{field.name!r} is {_kind(field)}; a decision is a boolean or a text")
        elif (field.kind == "string") != bool(log.granted):
            told = (
                "a text; list under 'granted' which of its values mean consent"
                if field.kind == "string"
                else "a boolean; true is consent"
            )
            add((*keys, "granted" if log.granted else "state"), f"{field.name!r} is {told}")
    dated = any("{" in path for path in log.path)
    if log.holds == "changes":
        if not log.time:
            add(
                keys,
                "the key 'time' is missing: a log of changes says when each was; only 'holds: snapshots' can do without",
            )
        if dated and not log.since:
            add((*keys, "path"), "a log of changes is read from its beginning on, which files of single days do not tell: give its first day, "
                "'since: 2024-01-31'; if each file holds the decisions of everybody, 'holds: snapshots'")  # fmt: skip
    elif log.since:
        add((*keys, "since"), "is for 'holds: changes'; of snapshots those of the build's day are read")


def _check_slices(config: Config, contract: Contract | None, add: Any) -> None:
    for number, group in enumerate(config.slices):
        fields = [name for name in group if name not in config.labels]
        for field in _named(fields, contract, ("slices", number), add):
            if field.repeated or field.kind in ("float", "double", "timestamp"):
                add(
                    ("slices", number),
                    f"{field.name!r} is {_kind(field)}; slice by texts, integers, booleans or labels",
                )


def _check_split(config: Config, contract: Contract | None, add: Any) -> None:
    split = config.split
    if split is None:
        return
    for field in _named(split.by, contract, ("split", "by"), add):
        if field.repeated or field.kind in ("float", "double"):
            add(
                ("split", "by"),
                f"{field.name!r} is {_kind(field)}; split by a string, an integer, a boolean or the time",
            )
    parts = list(split.parts.values())
    for name in split.parts:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name) or name in ("rejects", "all"):
            add(
                ("split", "parts", name),
                "a part's name is letters, digits, '_' and '-', and neither 'rejects' nor 'all'",
            )
    if all(isinstance(part, float | int) for part in parts):
        for name in (name for name, part in split.parts.items() if part < 0):  # type: ignore[operator]
            add(("split", "parts", name), f"expected a share from 0 to 1; got {split.parts[name]}")
        if abs(sum(parts) - 1) > 1e-9:  # type: ignore[arg-type]
            add(("split", "parts"), f"the shares must add up to 1; they add up to {sum(parts):g}")  # type: ignore[arg-type]
        return
    if split.by != (config.predictions.time,):
        add(
            ("split", "parts"),
            f"times are for a split by the predictions' time, 'by: {config.predictions.time}'; otherwise give shares",
        )
        return
    times = [_moment(part) for part in parts[:-1]]
    if None in times or (parts[-1] != "rest" and _moment(parts[-1]) is None):
        add(("split", "parts"), "give times in ascending order, and 'rest' for the last part; or give shares")
    elif any(later <= earlier for earlier, later in itertools.pairwise(times)):  # type: ignore[operator]
        add(("split", "parts"), "the times must ascend")


def _check_monitor(config: Config, monitor: Monitor, contract: Contract | None, add: Any) -> None:
    if monitor.label not in config.labels:
        add(("monitor", "label"), f"no label is called {monitor.label!r}. {nearest_name(monitor.label, config.labels)}")
    for key in ("score", "position", "propensity"):
        for field in _named([name for name in (getattr(monitor, key),) if name], contract, ("monitor", key), add):
            if field.repeated or field.kind not in ("int", "long", "float", "double"):
                add(("monitor", key), f"{field.name!r} is {_kind(field)}; expected a number")
    segments = monitor.slices if isinstance(monitor.slices, tuple) else ()
    for keys, names in (
        (("monitor", "model"), (monitor.model,) if monitor.model else ()),
        (("monitor", "query"), monitor.query or ()),
        (("monitor", "groups"), monitor.groups),
        *((("monitor", "slices", number), names) for number, names in enumerate(segments)),
    ):
        for field in _named(names, contract, keys, add):
            if field.repeated or (field.kind in ("float", "double") and keys[1] != "slices"):
                add(keys, f"{field.name!r} is {_kind(field)}; expected a string, an integer or a boolean")
            elif field.pii not in ("", "generalize") and keys[1] != "query":
                add(
                    keys,
                    f"{field.name!r} is personal data by its contract ('pii'); the values of slices and groups are published",
                )
    if monitor.policies and not monitor.propensity:
        add(
            ("monitor", "policies"),
            "other policies can be valued only where 'propensity' names the field with the logged one",
        )
    for name in monitor.alerts:
        if name not in ALERTS:
            add(("monitor", "alerts", name), f"no measure is called {name!r}. {nearest_name(name, ALERTS)}")


def _check_anonymity(config: Config, anonymity: Anonymity, contract: Contract | None, add: Any) -> None:
    quasi = {
        field.name: field
        for field in _named(anonymity.quasi_identifiers, contract, ("anonymity", "quasi_identifiers"), add)
    }
    for name, field in quasi.items():
        if field.repeated:
            add(("anonymity", "quasi_identifiers"), f"{name!r} is {_kind(field)}; a quasi-identifier has one value")
        if name in config.predictions.key or name in anonymity.person:
            add(
                ("anonymity", "quasi_identifiers"), f"{name!r} tells predictions or people apart: no two would be alike"
            )
    for field in _named(anonymity.person, contract, ("anonymity", "person"), add):
        if field.repeated or field.kind in ("float", "double"):
            add(
                ("anonymity", "person"), f"{field.name!r} is {_kind(field)}; expected a string, an integer or a boolean"
            )
    ways = 1
    for name, steps in anonymity.generalize.items():
        keys, ways = ("anonymity", "generalize", name), ways * (len(steps) + 1)
        if name not in anonymity.quasi_identifiers:
            add(keys, f"is not among 'quasi_identifiers'. {nearest_name(name, anonymity.quasi_identifiers)}")
        for number, step in enumerate(steps if name in quasi else ()):
            try:
                if parse_generalization(name, step, quasi[name].kind, quasi[name].repeated).kind:
                    add(
                        (*keys, number),
                        "'edges' makes texts of numbers, and a column has one type; expected {bin: WIDTH}",
                    )
            except ConfigError as error:
                add((*keys, number), str(error))
    if ways > _MAX_WAYS:
        add(
            ("anonymity", "generalize"),
            f"makes {ways:,} ways to generalize; at most {_MAX_WAYS:,} are tried: give fewer steps",
        )
    if config.monitor and config.monitor.min_rows < anonymity.k:
        add(
            ("monitor", "min_rows"),
            f"values of fewer rows would be told than 'anonymity' publishes; expected at least k, {anonymity.k}",
        )


def _check_privacy(config: Config, logged: Mapping[str, Contract], add: Any) -> None:
    """Personal data, and what a build needs of it: the contracts are those of the lines."""
    treated = {name: {field.name: field for field in contract.fields if field.pii} for name, contract in logged.items()}
    used: list[tuple[str, KeyPath, Sequence[str]]] = [(PREDICTIONS, (PREDICTIONS, "key"), config.predictions.key)]
    log = consent_log(config)
    joined: dict[str, Outcome | ConsentLog] = {**config.outcomes, **({CONSENT: log} if log else {})}
    for name, source in joined.items():
        keys = _keys_of(name, config)
        used.append((name, (*keys, "key"), source.key))
        if isinstance(source, Outcome):
            used.append((name, (*keys, "id"), source.id or ()))
        theirs = source.prediction_key or source.key
        used.append((PREDICTIONS, (*keys, "prediction_key" if source.prediction_key else "key"), theirs))
        for mine, other in zip(source.key, theirs, strict=False):
            ways = [treated.get(of, {}).get(field) for of, field in ((name, mine), (PREDICTIONS, other))]
            told = [way.pii if way else "" for way in ways]
            if told[0] != told[1]:
                add(
                    (*keys, "key"),
                    f"'pii' of {mine!r} is {told[0] or 'absent'!r}, of the predictions' {other!r} {told[1] or 'absent'!r}; "
                    "fields that are joined must be treated alike",
                )
    for of, keys, names in used:
        for name in names:
            field = treated.get(of, {}).get(name)
            if field and field.pii not in KEYED:
                add(
                    keys, f"{name!r} has 'pii': {field.pii!r}; what events are told apart by may be hashed or tokenized"
                )
    for name, contract in logged.items():
        keys = _keys_of(name, config)
        if time := treated[name].get((config.predictions if name == PREDICTIONS else joined[name]).time):
            add(
                (*keys, "time"),
                f"{time.name!r} has 'pii'; the event time decides windows. Treat a second field of the same 'path' instead",
            )
        if not config.privacy.key and any(field.pii in KEYED for field in contract.fields):
            add(
                ("privacy",) if "privacy" in config.model_fields_set else (*keys, "schema"),
                "the contract hashes or tokenizes fields; say where the key is kept: 'privacy: {key: {env: NAME}}'",
            )
    if log and (state := treated.get(CONSENT, {}).get(log.state)):
        add((*_keys_of(CONSENT, config), "state"), f"{state.name!r} has 'pii'; what was decided must be read as it is")
    if config.consent and config.consent.field:
        for field in _named((config.consent.field,), logged.get(PREDICTIONS), ("consent", "field"), add):
            if field.repeated or field.kind != "boolean":
                add(("consent", "field"), f"{field.name!r} is {_kind(field)}; consent is a boolean")


def _moment(part: Any) -> datetime.datetime | None:
    if isinstance(part, datetime.datetime):
        return part if part.tzinfo else part.replace(tzinfo=datetime.UTC)
    if isinstance(part, datetime.date):
        return datetime.datetime.combine(part, datetime.time(), datetime.UTC)
    return None


def _named(names: Sequence[str], contract: Contract | None, keys: KeyPath, add: Any) -> Iterator[Field]:
    """The fields of those names; the ones that do not exist are told."""
    if contract is None:
        return
    for name in names:
        try:
            yield contract.field(name)
        except KeyError:
            if name in contract.dropped:
                add(keys, f"{name!r} is personal data that the contract drops ('pii')")
                continue
            add(
                keys,
                f"the contract has no field {name!r}. {nearest_name(name, [field.name for field in contract.fields])}",
            )


def _kind(field: Field) -> str:
    return f"an array of {field.kind}" if field.repeated else f"a {field.kind}"


def _family(field: Field) -> str:
    return {"int": "integer", "long": "integer"}.get(field.kind, field.kind)


def _check_timezone(name: str, keys: KeyPath, add: Any) -> None:
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        hint = did_you_mean(name, sorted(zoneinfo.available_timezones()))
        add(
            keys,
            f"no timezone is called {name!r}. {hint or 'Names are such as UTC, Europe/Berlin or America/New_York'}",
        )


def _bad_placeholders(pattern: str) -> Iterator[str]:
    if not pattern.strip():
        yield f"{pattern!r} names no file, and would take whatever lies beside the config"
    for match in _PLACEHOLDER.finditer(pattern):
        inner = match[1]
        if not match[0].endswith("}"):
            yield f"{pattern!r}: a '{{' is never closed"
        elif inner != "hour" and not (inner.startswith("date:") and "%" in inner):
            yield f"{pattern!r}: expected {{date:%Y/%m/%d}} or {{hour}}; got {{{inner}}}"
