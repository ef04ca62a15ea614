"""What a user may set, and what it means. The one description of the config: the loader and the JSON Schema follow it."""

import datetime
import difflib
import re
from typing import Annotated, Any, Literal, TypeVar

import pydantic
from pydantic import AfterValidator, BeforeValidator, Field
from tensorflow_metadata.proto.v0.anomalies_pb2 import AnomalyInfo

Attribution = Literal["all", "last", "first"]
"""Which predictions an outcome counts for, of those with its key in whose window it falls.

- `all`: each of them.
- `last`: the latest one (last touch), for keys such as user and item.
- `first`: the earliest one (first touch).
"""

CONSENT = "consent"
"""The name of the log of consent, beside the predictions and the outcomes."""

_DURATION = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,15})?)\s*(us|ms|s|m|h|d|w)")
LONGEST = datetime.timedelta(days=36_525)
"""A century: what is counted back or on from a day stays a date."""

_MICROSECONDS = {
    "us": 1,
    "ms": 1_000,
    "s": 1_000_000,
    "m": 60_000_000,
    "h": 3_600_000_000,
    "d": 86_400_000_000,
    "w": 604_800_000_000,
}


def parse_duration(value: Any) -> Any:
    """Reads `90s`, `24h`, `7d` or `1h30m` into a timedelta.

    >>> parse_duration("1h30m")
    datetime.timedelta(seconds=5400)
    """
    if isinstance(value, datetime.timedelta):
        return value
    parts = _DURATION.findall(value) if isinstance(value, str) and len(value) <= 100 else []
    if not parts or _DURATION.sub("", value).strip():
        raise ValueError(f"expected a duration such as 30s, 90m, 24h or 7d; got {str(value)[:100]!r}")
    seconds = sum(float(number) * _MICROSECONDS[unit] for number, unit in parts) / 1e6
    if seconds > LONGEST.total_seconds():
        raise ValueError(f"expected a duration of at most {LONGEST.days:,} days; got {value!r}")
    return datetime.timedelta(microseconds=round(seconds * 1e6))


def _as_tuple(value: Any) -> Any:
    return (value,) if isinstance(value, str | int) else value


def _no_truth(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError(f"expected a whole number; got {str(value).lower()}")  # noqa: TRY004  # pydantic tells of ValueErrors
    return value


Moment = TypeVar("Moment", bound=datetime.date)


def within_years(moment: Moment) -> Moment:
    """Lets pass what is so far from the ends of the calendar that windows fit in between.

    Raises:
        ValueError: it is not.
    """
    if not 1000 <= moment.year <= 9000:
        raise ValueError(f"is a day of the years 1000 to 9000; got {moment}")
    return moment


Duration = Annotated[datetime.timedelta, BeforeValidator(parse_duration)]
Name = Annotated[str, Field(min_length=1)]
"""Not the empty text that is left of a variable without value: what asks for nothing must not pass for what was not asked."""
Names = Annotated[tuple[Name, ...], BeforeValidator(_as_tuple), Field(min_length=1)]
Whole = Annotated[int, BeforeValidator(_no_truth)]


class Section(pydantic.BaseModel):
    """A part of the config: immutable, and strict about unknown keys."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Secret(Section):
    """Where a secret is kept: never in the config itself."""

    @pydantic.model_validator(mode="before")
    @classmethod
    def _no_text(cls, value: Any) -> Any:
        if isinstance(value, dict | Secret):
            return value
        raise ValueError("a secret must not stand in a config: say where it is kept, {env: NAME} or {file: PATH}")

    env: Name | None = None
    """The variable of the environment that holds it."""
    file: Name | None = None
    """The file whose first line it is. Relative to the config file."""

    @pydantic.model_validator(mode="after")
    def _one_place(self) -> "Secret":
        if (self.env is None) == (self.file is None):
            raise ValueError("a secret is kept in one place: {env: NAME} or {file: PATH}")
        return self


class Auth(Section):
    """As whom a log store is asked: by password, by API key, or by AWS's own credentials."""

    user: str | None = None
    password: Secret | None = None
    api_key: Secret | None = None
    aws_region: str | None = None
    """Signs requests for Amazon OpenSearch (SigV4), with the credentials that AWS's tools find."""
    aws_service: Literal["es", "aoss"] = "es"
    """`aoss` for Amazon OpenSearch Serverless."""

    @pydantic.model_validator(mode="after")
    def _one_way(self) -> "Auth":
        ways = [
            self.user is not None and self.password is not None,
            self.api_key is not None,
            self.aws_region is not None,
        ]
        if sum(ways) != 1 or (self.user is None) != (self.password is None):
            raise ValueError("give 'user' and 'password', or 'api_key', or 'aws_region'")
        return self


class Source(Section):
    """One kind of log: where it is, how its lines are wrapped, and what they hold."""

    format: str
    """How records are wrapped: one of docs/formats.md, or a format of one's own at an import path, `package.module:FORMAT`."""
    options: dict[str, Any] = {}
    """What the format lets one choose, such as `failure_tags: accept` for `logstash`."""
    unwrap: Annotated[tuple[str, ...], BeforeValidator(_as_tuple)] = ()
    """Paths, outermost first, of the fields that hold the application's own JSON; its keys then stand beside those of its wrapping."""
    path: Annotated[tuple[str, ...], BeforeValidator(_as_tuple), Field(min_length=1)]
    """Globs; `{date:%Y/%m/%d}` and `{hour}` expand for the build's day. Relative to the config file."""
    lookaround: Duration = datetime.timedelta(0)
    """How long before and after the time that a build needs its events may be delivered: so much further `{date}` and `{hour}` expand."""
    filter: str | dict[str, Any] | None = None
    """What a log store is asked for, in its own language: for sources that are read from an API."""
    auth: Auth | None = None
    """As whom a log store is asked; `gcp_logging` finds Google's application default credentials itself."""
    retry_for: Duration = datetime.timedelta(minutes=10)
    """How long a request is tried again that a log store cannot answer now: connection cut, quota exceeded."""
    contract: str = Field(alias="schema")
    """The Avro schema (`.avsc`) of the record that a line yields. Relative to the config file."""
    key: Names
    """The field, or fields, by which predictions and outcomes are joined."""
    time: Name
    """The field with the event time."""
    timezone: str = "UTC"
    """The zone of timestamps that do not say theirs."""
    where: str | None = None
    """SQL over the contract's fields; rows for which it does not hold are counted as filtered."""
    max_rejected: float = Field(default=0.01, ge=0, le=1)
    """The build fails when more than this share of the source's lines is rejected."""


class Outcome(Source):
    """A log of what really happened."""

    id: Names | None = None
    """What makes two deliveries the same event; without it: equal key, time and fields."""
    prediction_key: Names | None = None
    """The predictions' fields that `key` equals, in the same order; default: fields of the same names."""
    attribution: Attribution = "all"


class Label(Section):
    """One column computed from the outcomes in a window after each prediction."""

    outcome: str
    window: Duration
    """An outcome counts when `prediction time + after <= outcome time < prediction time + window`."""
    after: Duration = datetime.timedelta(0)
    value: str = "any"
    """`any`, `count`, `delay` (seconds), `sum|min|max|mean|first|last(field)`, or a SQL aggregate over the outcomes."""
    attribution: Attribution | None = None
    """Overrides the outcome's own."""

    @pydantic.model_validator(mode="after")
    def _window_is_open(self) -> "Label":
        if self.window <= self.after:
            raise ValueError("the window must end after it starts: 'window' must be longer than 'after'")
        return self


class Split(Section):
    """How rows are dealt into parts; the same row goes to the same part on every machine and in every version."""

    by: Names
    """Columns whose stable hash decides; or the event time alone, to split by time."""
    parts: dict[
        str, float | Annotated[datetime.date | datetime.datetime, AfterValidator(within_years)] | Literal["rest"]
    ] = Field(min_length=1)
    """Shares that add up to 1; when `by` is the event time, shares of the day, or times up to which a part goes (the last: `rest`)."""


class Sample(Section):
    """Downsampling by a stable hash, with the weight written beside."""

    negatives: float = Field(gt=0, le=1)
    """The share kept of the rows all of whose labels are false, zero or null."""


class ConsentLog(Source):
    """A log of what people decided about the use of their data, or snapshots of it."""

    time: Name = ""
    """The field with the moment of a decision; snapshots may lack it, and then hold for every event."""
    max_rejected: float = Field(default=0.0, ge=0, le=1)
    """As of every source; by default none, because a line that cannot be read may be a withdrawal."""
    state: Name
    """The field with the decision: a boolean, or a text."""
    granted: Annotated[tuple[str, ...], BeforeValidator(_as_tuple)] = ()
    """The texts of `state` that mean consent; all others, and null, mean none."""
    holds: Literal["changes", "snapshots"] = "changes"
    """What the files hold: each decision once, or each the decisions of everybody; `{date}` then expands for the day of the build alone and
    the days of the windows."""
    since: Annotated[datetime.date, AfterValidator(within_years)] | None = None
    """The first day of a log of changes: so far back `{date}` and `{hour}` expand."""
    prediction_key: Names | None = None
    """The predictions' fields that `key` equals, in the same order; default: fields of the same names."""
    undecided: Literal["drop", "keep"] = "drop"
    """What becomes of the predictions of people who had decided nothing yet."""


class Consent(Section):
    """Whose predictions may be used."""

    field: Name | None = None
    """The predictions' field that says so: a boolean; null is no consent."""
    log: ConsentLog | None = None
    """The log that says so: a prediction is used if consent was given when it was made, and not withdrawn before its last window closed."""

    @pydantic.model_validator(mode="after")
    def _one_way(self) -> "Consent":
        if (self.field is None) == (self.log is None):
            raise ValueError("give either 'field', a boolean of the predictions, or 'log', a log of consent")
        return self


class Anonymity(Section):
    """How many people at least must be alike in what others may know of them (k-anonymity)."""

    k: Whole = Field(ge=2)
    """No row is published whose group, the rows of equal quasi-identifiers of the day, has fewer people."""
    quasi_identifiers: Names
    """The predictions' fields by which a person might be recognised."""
    person: Annotated[tuple[str, ...], BeforeValidator(_as_tuple)] = ()
    """The predictions' fields that tell people apart; without them every row counts as a person."""
    generalize: dict[str, Annotated[tuple[dict[str, Any], ...], Field(min_length=1)]] = {}
    """Of quasi-identifiers what may stand for their values, ever coarser, each step as a contract's `generalize`."""
    max_suppressed: float = Field(default=0.01, ge=0, le=1)
    """The share of the examples that may be suppressed before values are made coarser."""


class Card(Section):
    """What the data card of a version says that nobody can tell from the data."""

    description: str | None = None
    purpose: str | None = None
    """What the dataset was made for."""
    license: str | None = None
    """Its name or URL."""
    creator: str | None = None
    url: str | None = None


class Output(Section):
    """Where the dataset goes."""

    path: str = "datasets"
    """The folder that holds datasets; relative to the config file, or a URL of any Beam filesystem."""
    format: Literal["parquet", "avro", "tfrecord"] = "parquet"


class Privacy(Section):
    """What may be kept of people's data."""

    rejected_lines: Literal["keep", "drop"] = "keep"
    """Whether the text of a rejected line is kept beside its place and reason; never where its contract has personal data."""
    key: Secret | None = None
    """Of the pseudonyms that contracts ask for, and of receipts: `{env: NAME}`, or `{file: PATH}` relative to the config file."""
    former_keys: tuple[Secret, ...] = ()
    """Keys that `key` has taken the place of: people who were forgotten under them stay forgotten."""


def _as_slices(value: Any) -> Any:
    return tuple((one,) if isinstance(one, str) else tuple(one) for one in value) if isinstance(value, list) else value


def _anomaly_type(name: str) -> str:
    if name not in AnomalyInfo.Type.keys():  # noqa: SIM118 - not a dict
        near = difflib.get_close_matches(name.upper(), AnomalyInfo.Type.keys(), n=1)
        hint = f"did you mean {near[0]}?" if near else "such as SCHEMA_NEW_COLUMN"
        raise ValueError(f"no type of anomaly of TensorFlow Metadata is called {name!r}; {hint}")
    return name


class Validation(Section):
    """What a day's examples must be like to be published."""

    expected: str = Field(alias="schema")
    """A `Schema` of TensorFlow Metadata, as `retrolabel schema infer` writes it. Relative to the config file."""
    environment: str | None = None
    """Of the schema's environments the one that the examples are of, such as TRAINING."""
    against: Whole | None = Field(default=None, ge=1)
    """The version whose last day drift is measured against; by default the last day before the built one."""
    serving: str | None = None
    """Statistics of the serving data that skew is measured against. Relative to the config file."""
    severity: dict[Annotated[str, AfterValidator(_anomaly_type)], Literal["error", "warning", "ignore"]] = {}
    """What an anomaly of a type means: `error` (the default): nothing is published; `warning`: published, and marked; `ignore`."""


class Schedule(Section):
    """Which days `retrolabel run` builds, and when; nothing here changes what a build publishes."""

    since: Annotated[datetime.date, AfterValidator(within_years)] | None = None
    """The first day; by default the first that the predictions' files, or versions, are of."""
    lag: Duration = datetime.timedelta(0)
    """A day is due this long after it has ended in the config's timezone."""
    late: Duration = datetime.timedelta(days=7)
    """For so long after the last window of a day has closed, a change of its files makes it built again."""
    wait: Duration = datetime.timedelta(0)
    """How long to wait for the data of a day that is due."""
    parallel: Whole = Field(default=1, ge=1)
    """How many days are built at once, the oldest first."""


class Retention(Section):
    """What `retrolabel run` keeps."""

    days: Whole | None = Field(default=None, ge=1)
    """New versions hold so many days, counted back from the newest; all by default."""
    versions: Whole | None = Field(default=None, ge=1)
    """So many of the newest versions stay readable, and those that were the newest within the last day; all by default."""
    pinned: Annotated[tuple[Annotated[Whole, Field(ge=1)], ...], BeforeValidator(_as_tuple)] = ()
    """Versions that stay whatever comes."""


class FreshnessRule(Section):
    """What `retrolabel freshness` and a build that waits expect of a source; what is not set is not judged."""

    max_delay: Duration | None = None
    """How far its last event may be behind."""
    max_gap: Duration | None = None
    """How long no event at all may come within the day."""
    min_volume: float | None = Field(default=None, gt=0)
    """The least share of the usual volume of an hour: of the median of the same hour of the earlier days."""


class Policy(Section):
    """Another policy, to be valued on the log of the one that served."""

    probability: str
    """SQL over the predictions' fields: how likely this policy would have chosen what was logged."""
    value: str | None = None
    """SQL over the predictions' fields: the label that a model expects under this policy; with it the estimate is doubly robust."""


class Bound(Section):
    """Between which numbers a measure must lie."""

    min: float | None = None
    max: float | None = None

    @pydantic.model_validator(mode="after")
    def _bounds_something(self) -> "Bound":
        if self.min is None and self.max is None:
            raise ValueError("give 'min', 'max' or both")
        return self


def _as_policy(value: Any) -> Any:
    return {"probability": value} if isinstance(value, str) else value


class Monitor(Section):
    """How the model in production is measured, from its logged scores and the labels that came."""

    score: Name
    """The predictions' field with the model's score: a probability for a label that is true or false, else the predicted number."""
    label: str
    threshold: float = 0.5
    """From which score on a prediction counts as positive, for accuracy and fairness."""
    model: Name | None = None
    """The field with the version of the model."""
    position: Name | None = None
    """The field with the place in which an item was shown, from 1."""
    query: Names | None = None
    """The fields whose equal values make one ranked list."""
    propensity: Name | None = None
    """The field with the probability with which the logging policy chose what was logged."""
    policies: dict[str, Annotated[Policy, BeforeValidator(_as_policy)]] = {}
    slices: tuple[Names, ...] | Literal["auto"] = "auto"
    """The fields, or combinations of fields, by whose values the model is measured; `auto`: every field that has few values."""
    groups: Names | tuple[()] = ()
    """The fields whose values are compared for fairness."""
    min_rows: Whole = Field(default=100, ge=1)
    """Values of slices and groups with fewer rows a day are not measured."""
    history: Duration = datetime.timedelta(days=28)
    """How far back changes are looked for, and delays are learned from."""
    confidence: float = Field(default=0.95, gt=0, lt=1)
    """Of the intervals."""
    false_discoveries: float = Field(default=0.05, gt=0, lt=1)
    """The share of false ones that is tolerated among the changes and weak slices that are told."""
    alerts: dict[str, Bound] = {}
    """Of measures, the bounds outside of which the model counts as broken; `decay` is the number of changes for the worse."""


class Webhook(Section):
    """An HTTP POST of what was published, signed as the Standard Webhooks specification says."""

    url: str = Field(pattern=r"^https?://")
    """Where to; one that is a secret itself comes from the environment: `${SLACK_URL}`."""
    secret_env: str | None = None
    """The variable of the environment that holds the secret by which messages are signed (`whsec_` and base64, or any text)."""


class OpenLineage(Section):
    """An OpenLineage event for each version: to a server, or a line of a file."""

    url: str | None = Field(default=None, pattern=r"^https?://")
    """The server's endpoint for events, such as `http://marquez:5000/api/v1/lineage`."""
    api_key_env: str | None = None
    """The variable of the environment that holds the server's key."""
    file: str | None = None
    """A file to which events are added, a line each; relative to the config file."""
    namespace: str = "retrolabel"
    """Of the job."""

    @pydantic.model_validator(mode="after")
    def _goes_somewhere(self) -> "OpenLineage":
        if (self.url is None) == (self.file is None):
            raise ValueError("give either 'url' or 'file'")
        return self


class Iceberg(Section):
    """An Apache Iceberg table over the Parquet files of the newest version."""

    table: str = Field(pattern=r"^[^.]+(\.[^.]+)+$")
    """Its name, with its namespace: `ml.shoes_ctr`."""
    catalog: dict[str, str] = {}
    """Properties of the catalog as PyIceberg takes them (`type: rest`, `uri: …`), and its `name` (default `retrolabel`); by default an
    SQLite catalog beside the datasets."""


class OnPublish(Section):
    """What is told to whom about each version, after it was committed."""

    file: str | None = None
    """A file that always holds the newest version's message; relative to the config file."""
    command: Names | None = None
    """A program and its arguments, run in the config file's folder with the message on its standard input."""
    webhook: Webhook | None = None
    openlineage: OpenLineage | None = None
    iceberg: Iceberg | None = None
    tfx: str | None = None
    """A folder that gets the examples as TFX's spans and versions; relative to the config file, on the datasets' file system."""


class Config(Section):
    """One dataset, from logs to labelled examples."""

    dataset: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")
    timezone: str = "UTC"
    """The zone in which a day begins and ends."""
    predictions: Source
    outcomes: dict[str, Outcome] = Field(min_length=1)
    labels: dict[str, Label] = Field(min_length=1)
    split: Split | None = None
    sample: Sample | None = None
    output: Output = Output()
    privacy: Privacy = Privacy()
    consent: Consent | None = None
    anonymity: Anonymity | None = None
    card: Card = Card()
    slices: Annotated[tuple[Names, ...], BeforeValidator(_as_slices)] = ()
    """Columns, or groups of them, by whose values the statistics tell examples apart; boolean labels always do."""
    validation: Validation | None = None
    schedule: Schedule = Schedule()
    retention: Retention = Retention()
    freshness: dict[str, FreshnessRule] = {}
    """Rules for `predictions` and for outcomes, by name."""
    monitor: Monitor | None = None
    on_publish: OnPublish = OnPublish()


OPERATIONAL = ("schedule", "retention", "freshness", "on_publish")
"""Sections that say when and where things happen, and nothing about what is published: no part of a build's identity or manifest."""
