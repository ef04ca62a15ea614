"""What one build of one day will do: the config, its contracts and the inputs, resolved into the numbers that the steps need."""

import dataclasses
import datetime
from collections.abc import Mapping
from typing import Any, NamedTuple

import pyarrow as pa

from retrolabel.schemas.manifest import InputFile
from retrolabel.transforms.apis.interface import Query
from retrolabel.transforms.kernels.anonymity import AnonymityRule
from retrolabel.transforms.kernels.arrange import HASH
from retrolabel.transforms.kernels.attribution import AttributionRule
from retrolabel.transforms.kernels.consent import ConsentRule
from retrolabel.transforms.kernels.examples import ExampleRule
from retrolabel.transforms.kernels.forgotten import Sought
from retrolabel.transforms.kernels.monitor import MonitorRule
from retrolabel.transforms.kernels.parse import LineReader
from retrolabel.transforms.kernels.select import Selection
from retrolabel.transforms.keys import KeyPlace

PREDICTIONS = "predictions"
"""The name of the source of predictions, beside the names of the outcomes."""

RIVALS = "predictions of other days"
"""The name of the stream of those that outcomes may count for instead of the day's own."""


class Fingerprint(NamedTuple):
    """What changes when a file is written to or replaced."""

    size: int
    modified: int
    """Nanoseconds since the epoch; on object stores in steps of up to a second."""
    number: int
    """The file's own (inode); 0 on object stores."""


class Input(NamedTuple):
    """A file, or the stretch of it that makes one block."""

    source: str
    path: str
    """As Beam's filesystems take it."""
    name: str
    """As the manifest has it: relative to the config file where it lies below."""
    size: int
    """Of the whole file, in stored bytes."""
    start: int
    stop: int
    compression: str
    """`gzip`, `bzip2`, `zstd`, or empty for plain text, as far as planning looked: a file that is read whole is what its bytes say."""
    fingerprint: Fingerprint | None
    """Of the file when it was listed: it must have the same one after it was read. None if it may grow meanwhile."""
    whole: bool = False
    """Whether its source's format has to read it from its beginning on."""
    query: Query | None = None
    """Of a slice of a log store, which stands for a file: `start` and `stop` are then its bounds, in microseconds of UTC."""


@dataclasses.dataclass(frozen=True)
class SourcePlan:
    """How the blocks of one source are read."""

    reader: LineReader
    selection: Selection
    hash_by: tuple[str, ...]
    """The fields whose hash says where a row goes first: an outcome's id, the person of a prediction whose consent is asked, else the join key."""
    place: str
    """Of the filter in the config, for errors."""
    forgotten: tuple[tuple[KeyPlace, tuple[Sought, ...]], ...] = ()
    """Whose rows are dropped: columns and marks of people who were forgotten, by the key that made the marks."""


@dataclasses.dataclass(frozen=True)
class ValidationRule:
    """What a day's statistics are validated against."""

    schema: bytes
    """A serialized `Schema` of TensorFlow Metadata."""
    environment: str | None
    against: int | None
    """The version that drift is measured against; by default the last day before this one, in the newest version."""
    serving: bytes
    """Serialized statistics of the serving data that skew is measured against; empty for none."""
    severity: Mapping[str, str]
    """`error`, `warning` or `ignore`, by type of anomaly."""


@dataclasses.dataclass(frozen=True)
class BuildPlan:
    """One build of one day."""

    dataset: str
    root: str
    """The folder of the dataset."""
    date: datetime.date
    build: str
    """The identity of the build: how the name of its folder begins."""
    spill: str | None
    """The folder for what is shuffled on one machine; None on engines that have a shuffle of their own."""
    shards: int
    sources: Mapping[str, SourcePlan]
    examples: ExampleRule
    label_order: tuple[str, ...]
    prediction_order: tuple[str, ...]
    """The columns whose order decides which of several predictions with one key is first."""
    ids: Mapping[str, tuple[str, ...]]
    """Of the outcomes that have an id, its fields."""
    complete_until: Mapping[str, int]
    """Of the outcomes whose log is known to be complete, up to when, in microseconds of UTC."""
    max_rejected: Mapping[str, float]
    copies: tuple[InputFile, ...]
    """Files that are not read, because another one holds the same text."""
    output_format: str
    keep_days: int | None
    """How many days, counted back from the newest, the version holds; None for all."""
    at_least: int
    """How many unique predictions there must be for the build to be published."""
    slices: tuple[tuple[str, ...], ...]
    """The columns by whose values rows are told apart in the statistics."""
    sliced_labels: tuple[str, ...]
    """The labels by each of whose values they are."""
    validation: ValidationRule | None
    manifest: Mapping[str, Any]
    """What the manifest says that is known before the build."""
    key: KeyPlace | None = None
    """Of the pseudonyms, if contracts ask for any."""
    monitor: MonitorRule | None = None
    """How the model is measured, if it is."""
    consent: ConsentRule | None = None
    """How the log of consent is matched with predictions, if there is one."""
    receipts: tuple[str, ...] = ()
    """Of the people who were forgotten when the build began."""
    suffix: str = ""
    """Ends the name of the build's folder: it says which receipts the build knew."""
    anonymity: AnonymityRule | None = None
    """How many people must be alike in a published row, if that is asked."""
    previous: str | None = None
    """The manifest of the day's last build when this one began, relative to the root."""

    @property
    def folder(self) -> str:
        """The folder of this build, relative to the root."""
        return f"{self.date.isoformat()}/{self.build}{self.suffix}"

    def attributions(self, direct: bool) -> tuple[AttributionRule, ...]:
        """The rules of the outcomes that join by the predictions' own key, or of those that do not."""
        return tuple(
            rule for rule in self.examples.attributions if (rule.prediction_key == self.examples.key) == direct
        )

    def narrow(self, predictions: pa.Table) -> pa.Table:
        """The columns that decide which prediction is first, whose it is, and by which keys outcomes find it."""
        joined = {name for rule in self.examples.attributions for name in rule.prediction_key}
        person = self.consent.prediction_key if self.consent else ()
        wanted = {*self.examples.key, self.examples.time, *joined, *person, HASH}
        return predictions.select([name for name in predictions.column_names if name in wanted])
