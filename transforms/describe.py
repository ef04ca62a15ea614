"""What the examples of a day are like: statistics, a schema, and what does not fit the schema that the config names."""

import dataclasses
import datetime
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from retrolabel.schemas.manifest import PartFile
from retrolabel.schemas.metadata_files import (
    Anomalies,
    DatasetFeatureStatistics,
    DatasetFeatureStatisticsList,
    Schema,
    schema_from,
    statistics_from,
    to_bytes,
)
from retrolabel.transforms.dataset import head_version, read_day_manifest, read_statistics, read_version
from retrolabel.transforms.kernels.association import Association, add_associations, associations, leaking
from retrolabel.transforms.kernels.schema_rules import infer_schema
from retrolabel.transforms.kernels.statistics_proto import statistics_list
from retrolabel.transforms.kernels.table_statistics import (
    ALL_EXAMPLES,
    Sliced,
    TableStatistics,
    merge,
    of_split,
    put_together,
)
from retrolabel.transforms.kernels.validation import Controls, validate
from retrolabel.transforms.plan import BuildPlan
from retrolabel.transforms.storage import join, write_once

NO_STATISTICS = TableStatistics(0, None, {})


@dataclasses.dataclass(frozen=True)
class Description:
    """What is stored about the examples of a day, beside its part files."""

    files: tuple[PartFile, ...]
    anomalies: list[dict[str, Any]] | None
    """Each in a few words; None if the config names no schema."""
    compared_with: str | None
    """The manifest of the day that drift was measured against."""
    leaks: tuple[Association, ...]
    """Features that predict a label too well."""


def statistics_of(partials: Iterable[Sliced], split_names: Sequence[str], sliced_labels: Sequence[str]) -> Sliced:
    """The statistics of all examples, of each split and of each slice, from those of the groups of shards in their order.

    Args:
        partials: of each group, named by the splits if there are any.
        split_names: in the order of the config; none if it has no `split`.
        sliced_labels: by whose values rows are told apart.
    """
    found = put_together(partials, sliced_labels)
    if not split_names:
        return {ALL_EXAMPLES: NO_STATISTICS, **found}
    splits = {name: found.pop(name, NO_STATISTICS) for name in map(of_split, split_names)}
    together = merge({ALL_EXAMPLES: one} for one in splits.values() if one.rows)
    return {ALL_EXAMPLES: NO_STATISTICS, **together, **splits, **dict(sorted(found.items()))}


def describe(plan: BuildPlan, statistics: Sliced) -> Description:
    """Stores statistics and schema of a day, and validates them if the config names a schema.

    Raises:
        IntegrityError: the statistics of the day that drift is measured against are damaged.
    """
    listed, leaks = listed_with_leaks(statistics, plan.sliced_labels, plan.label_order)
    files = [store_beside(plan.root, plan.folder, "statistics", to_bytes(listed, ".pb"), "pb")]
    rule = plan.validation
    if rule is None:
        schema = infer_schema(listed.datasets[0], keys=plan.examples.key)
        return Description((*files, _store(plan, "schema", schema)), None, None, leaks)
    schema = schema_from(rule.schema, "schema.pb")
    previous, compared_with = _previous(plan, rule.against)
    controls = Controls(previous, _first(statistics_from(rule.serving, "serving.pb")), _earlier(plan))
    anomalies, _ = validate(listed.datasets[0], schema, rule.environment, controls, rule.severity)
    files += [_store(plan, "schema", schema), _store(plan, "anomalies", anomalies)]
    return Description(tuple(files), told(anomalies, rule.severity), compared_with, leaks)


def listed_with_leaks(
    statistics: Sliced, sliced_labels: Sequence[str], labels: Sequence[str]
) -> tuple[DatasetFeatureStatisticsList, tuple[Association, ...]]:
    """Statistics as they are published, and the features that predict a label too well."""
    listed = statistics_list(statistics)
    found = [one for one in associations(statistics, sliced_labels) if one.feature not in labels]
    add_associations(listed, found)
    return listed, tuple(leaking(found))


def told(anomalies: Anomalies, severity: Mapping[str, str]) -> list[dict[str, Any]]:
    """Each anomaly in a few words: its feature, how severe it is and what is the matter."""
    found: dict[str, Any] = dict(sorted(anomalies.anomaly_info.items()))
    if anomalies.HasField("dataset_anomaly_info"):
        found["the whole dataset"] = anomalies.dataset_anomaly_info
    entries = [
        {"feature": name, "severity": type(info).Severity.Name(info.severity).lower(), "description": info.description or info.short_description,
         "types": [type(info).Type.Name(reason.type) for reason in info.reason]}
        for name, info in found.items()
    ]  # fmt: skip
    level = severity.get("NO_DATA_IN_SPAN", "error")
    if anomalies.data_missing and level != "ignore":
        none = {"feature": "the whole dataset", "severity": level, "description": "There is no example."}
        entries.append({**none, "types": ["NO_DATA_IN_SPAN"]})
    return entries


def _store(plan: BuildPlan, kind: str, message: Schema | Anomalies) -> PartFile:
    return store_beside(plan.root, plan.folder, kind, to_bytes(message, ".pbtxt"), "pbtxt")


def store_beside(root: str, folder: str, kind: str, data: bytes, suffix: str) -> PartFile:
    """Stores what describes a day in the folder of its build, under a name that its content decides."""
    digest = hashlib.sha256(data).hexdigest()
    path = f"{folder}/{kind}-{digest[:16]}.{suffix}"
    write_once(join(root, path), data)
    return PartFile(kind=kind, split=None, shard=0, path=path, rows=0, bytes=len(data), sha256=digest)


def _previous(plan: BuildPlan, version: int | None) -> tuple[DatasetFeatureStatistics | None, str | None]:
    """The statistics of the last day before this one, in the newest version or in the one that the config pins."""
    record = head_version(plan.root) if version is None else read_version(plan.root, version)
    days: Mapping[str, str] = record.days if record else {}
    # A pinned version is a yardstick: its last day is compared with, be it this one.
    limit = plan.date.isoformat() if version is None else datetime.date.max.isoformat()
    before = max((day for day in days if day < limit), default=None)
    return (None, None) if before is None else (_stored(plan, days[before]), days[before])


def _earlier(plan: BuildPlan) -> DatasetFeatureStatistics | None:
    """The statistics of this day as it was built before."""
    record = head_version(plan.root)
    path = record.days.get(plan.date.isoformat()) if record else None
    return None if path is None else _stored(plan, path)


def _stored(plan: BuildPlan, manifest: str) -> DatasetFeatureStatistics | None:
    return _first(read_statistics(plan.root, read_day_manifest(plan.root, manifest)))


def _first(listed: DatasetFeatureStatisticsList | None) -> DatasetFeatureStatistics | None:
    """Of all examples, which come first."""
    return listed.datasets[0] if listed is not None and listed.datasets else None
