"""What is published: the manifest of a day's build, and the record of a version."""

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

import pydantic
from pydantic import AfterValidator

from retrolabel.schemas.errors import IntegrityError

FORMAT_VERSION = 1
"""Of the manifests and version records that this release writes; it reads all up to this one."""

_Model = TypeVar("_Model", bound="AtRest")


def _inside(path: str) -> str:
    """A path that stays in the folder of the dataset, whoever wrote it."""
    if "\0" in path or "\\" in path or "://" in path or not path or set(path.split("/")) & {"", ".", ".."}:
        raise ValueError("is no path below the dataset's folder")
    return path


Inside = Annotated[str, AfterValidator(_inside)]


class AtRest(pydantic.BaseModel):
    """Something at rest: immutable, and of one text for one content."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    def to_json(self) -> str:
        """Canonical text: sorted keys, no clock, no machine."""
        return json.dumps(_finite(self.model_dump(mode="json")), sort_keys=True, indent=1, ensure_ascii=False) + "\n"

    @property
    def digest(self) -> str:
        """The SHA-256 of the canonical text."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    @classmethod
    def from_json(cls: type[_Model], text: bytes, path: str) -> _Model:
        """Reads what `to_json` wrote, in this or an earlier release.

        Raises:
            IntegrityError: it is damaged, or of a later release.
        """
        try:
            content = json.loads(text)
            if content.get("format_version", 0) > FORMAT_VERSION:
                raise IntegrityError(f"{path!r} was written by a later release of retrolabel (format {content['format_version']}; this one "
                                     f"reads up to {FORMAT_VERSION}); upgrade to read it")  # fmt: skip
            return cls.model_validate(content)
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise IntegrityError(f"{path!r} is damaged: {type(error).__name__}") from None


def _finite(value: Any) -> Any:
    """The same without NaN and infinities, which JSON does not know: they become null."""
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


class InputFile(pydantic.BaseModel):
    """A log file as it was read."""

    model_config = pydantic.ConfigDict(frozen=True)

    source: str
    path: str
    """Relative to the config file where it lies below it."""
    bytes: int
    crc32c: str
    """CRC-32C of the stored bytes, eight hexadecimal digits."""
    lines: int
    damaged: str | None = None
    """Why it could not be read to its end, if so."""
    copy_of: str | None = pydantic.Field(default=None, exclude_if=lambda other: other is None)
    """The file of the source whose text is the same, and which was read in place of this one."""


class PartFile(pydantic.BaseModel):
    """A file of the dataset."""

    model_config = pydantic.ConfigDict(frozen=True)

    kind: Literal["examples", "rejects", "statistics", "schema", "anomalies", "monitor"]
    """`statistics`, `schema` and `anomalies` are protos of TensorFlow Metadata, without rows of their own."""
    split: str | None
    shard: int
    path: Inside
    """Relative to the dataset's folder."""
    rows: int
    bytes: int
    sha256: str


class RejectedExample(pydantic.BaseModel):
    """The first line that a source had rejected for a reason; its text is in the rejects alone."""

    model_config = pydantic.ConfigDict(frozen=True)

    source: str
    reason: str
    path: str
    offset: int
    """In bytes of the decompressed file."""
    detail: str


class SourceCounts(pydantic.BaseModel):
    """What became of every line of a source (DESIGN of a build: docs/reference.md, "Accounting")."""

    model_config = pydantic.ConfigDict(frozen=True)

    lines: int = 0
    blank: int = 0
    rejected: int = 0
    parsed: int = 0
    filtered: int = 0
    out_of_range: int = 0
    no_consent: int = pydantic.Field(default=0, exclude_if=lambda count: not count)
    undecided: int = pydantic.Field(default=0, exclude_if=lambda count: not count)
    """Of those without consent by a log: their person had decided nothing yet."""
    refused: int = pydantic.Field(default=0, exclude_if=lambda count: not count)
    """Their person's last decision was not consent."""
    withdrawn: int = pydantic.Field(default=0, exclude_if=lambda count: not count)
    """Consent was withdrawn before their last window closed."""
    forgotten: int = pydantic.Field(default=0, exclude_if=lambda count: not count)
    """Rows of people who were forgotten: dropped by the build, or erased from what it had published."""
    duplicate: int = 0
    conflicting: int = 0
    """Of the duplicates, those whose content differs from the row that stands for them."""
    unique: int = 0
    examples: int | None = None
    immature: int | None = None
    sampled_out: int | None = None
    suppressed: int = pydantic.Field(default=0, exclude_if=lambda count: not count)
    """Examples that too few others were like (`anonymity`)."""
    attributed: int | None = None
    unattributed: int | None = None
    orphan: int | None = None
    reasons: dict[str, int] = {}
    """Rejected lines by reason."""


def broken_identities(source: str, counts: SourceCounts) -> list[str]:
    """The identities of the accounting that do not hold, in words with numbers."""
    parts: dict[str, tuple[str, ...]] = {
        "lines": ("blank", "rejected", "parsed"),
        "parsed": (
            "filtered",
            "out_of_range",
            *(("no_consent",) if counts.no_consent else ()),
            *(("forgotten",) if counts.forgotten else ()),
            "duplicate",
            "unique",
        ),
        "unique": ("examples", "immature", "sampled_out", *(("suppressed",) if counts.suppressed else ()))
        if source == "predictions"
        else ("attributed", "unattributed", "orphan"),
    }
    broken = []
    for whole, names in parts.items():
        values = [getattr(counts, name) or 0 for name in names]
        if getattr(counts, whole) != sum(values):
            told = " + ".join(f"{name} {value:,}" for name, value in zip(names, values, strict=True))
            broken.append(f"{whole} {getattr(counts, whole):,} is not {told}")
    decided = {name: getattr(counts, name) for name in ("undecided", "refused", "withdrawn")}
    if any(decided.values()) and sum(decided.values()) != counts.no_consent:
        told = " + ".join(f"{name} {value:,}" for name, value in decided.items())
        broken.append(f"no_consent {counts.no_consent:,} is not {told}")
    if sum(counts.reasons.values()) != counts.rejected:
        broken.append(f"rejected {counts.rejected:,} is not the sum of its reasons, {sum(counts.reasons.values()):,}")
    return broken


class Erasure(pydantic.BaseModel):
    """What was erased from a day after it was published, because somebody was forgotten."""

    model_config = pydantic.ConfigDict(frozen=True)

    receipt: str
    splits: Mapping[str, Any]
    """Of each split that had rows of them, how many (`rows`), and of each boolean label how often each value stood there (`labels`)."""
    rejected_lines: int
    """Rejected lines whose text mentioned them and is no longer kept."""


class DayManifest(AtRest):
    """Everything about the build of one day."""

    format_version: int = FORMAT_VERSION
    dataset: str
    date: str
    timezone: str
    config: Mapping[str, Any]
    """As written."""
    contracts: Mapping[str, Any]
    """The Avro schema of each source, as used."""
    software: Mapping[str, str]
    key_id: str | None = pydantic.Field(default=None, exclude_if=lambda key: key is None)
    """Which key made the pseudonyms, if there are any; it says nothing about the key."""
    inputs: list[InputFile]
    holes: Mapping[str, list[str]] = pydantic.Field(default={}, exclude_if=lambda holes: not holes)
    """Of each source the patterns of hours and days that had no file, between others that had one."""
    watermarks: Mapping[str, str | None]
    """Up to when each outcome's log is known; null if it has no line."""
    accounting: Mapping[str, SourceCounts]
    rejected_examples: list[RejectedExample]
    splits: Mapping[str, Any]
    """Of each split its `rows` and `labels`."""
    anomalies: list[Mapping[str, Any]] | None = None
    """What does not fit the schema that the config names; null if it names none. Its statistics have a file of their own."""
    leaks: list[Mapping[str, Any]] = []
    """Features that predict a label so well that they may have been made from it: `feature`, `label` and `share` of its entropy."""
    anonymity: Mapping[str, Any] | None = pydantic.Field(default=None, exclude_if=lambda found: found is None)
    """If k-anonymity is asked for: `k`, of what (`counts`: people or rows), each quasi-identifier's `level` of how many `steps`, how many
    rows were `at_risk` in smaller groups as logged and were `suppressed`, the number of `groups`, the size of the `smallest`, and the
    `precision` that is left (Sweeney's Prec)."""
    compared_with: str | None = None
    """The manifest of the day that drift was measured against."""
    delays: Mapping[str, Any] = {}
    """Of each label its `window` in seconds, and `bins` of how long unique predictions waited for their first outcome: upper bound in
    seconds, predictions whose outcome came by then, predictions of which no more is known."""
    example_schema: list[Mapping[str, Any]]
    key: list[str]
    labels: list[str]
    shards: int
    files: list[PartFile]
    erasures: list[Erasure] = pydantic.Field(default=[], exclude_if=lambda erasures: not erasures)
    """What of all this is no longer there; every other number and digest is of what is."""


class VersionRecord(AtRest):
    """The commit of a version: which manifest holds for which day."""

    format_version: int = FORMAT_VERSION
    dataset: str
    version: int
    parent: int | None
    date: str
    """The day that this version changed."""
    changes: Mapping[str, Any] | None
    """How the day differs from its previous build; null for its first, and if that is damaged."""
    days: Mapping[str, Inside] = pydantic.Field(min_length=1)
    """The path of each day's manifest, relative to the dataset's folder."""
    receipt: str | None = pydantic.Field(default=None, exclude_if=lambda receipt: receipt is None)
    """Of the people whom this version, and all before it, were made to forget; null for the version of a build."""
