"""Whether statistics fit a schema, and how far they lie from those of another day or of serving."""

import dataclasses
from collections.abc import Mapping, Sequence

from tensorflow_metadata.proto.v0 import schema_pb2
from tensorflow_metadata.proto.v0.anomalies_pb2 import Anomalies, AnomalyInfo, DriftSkewInfo
from tensorflow_metadata.proto.v0.schema_pb2 import Feature, FeatureComparator, Schema
from tensorflow_metadata.proto.v0.statistics_pb2 import DatasetFeatureStatistics

from retrolabel.transforms.kernels.distances import Distance, jensen_shannon, l_infinity, normalized_difference
from retrolabel.transforms.kernels.feature_view import DatasetView, FeatureView, is_weighted, serialized
from retrolabel.transforms.kernels.schema_rules import (
    Reason,
    add_feature,
    feature_of,
    is_deprecated,
    is_required,
    update_feature,
)

_NEW_COLUMN = Reason(AnomalyInfo.SCHEMA_NEW_COLUMN, "New column", "New column (column in data but not in schema)")
_MISSING_COLUMN = Reason(AnomalyInfo.SCHEMA_MISSING_COLUMN, "Column dropped", "Column is completely missing")
_UNREADABLE = (AnomalyInfo.FEATURE_MISSING_NAME, AnomalyInfo.FEATURE_MISSING_TYPE)
"""After which nothing more can be said of a feature."""
_COMPARATORS = {"drift_comparator": ("previous", "current"), "skew_comparator": ("serving", "training")}
"""What a comparator compares with what."""


@dataclasses.dataclass(frozen=True)
class Controls:
    """The statistics that others are compared with."""

    previous: DatasetFeatureStatistics | None = None
    """Of the day before."""
    serving: DatasetFeatureStatistics | None = None
    previous_version: DatasetFeatureStatistics | None = None
    """Of an earlier version of the same day."""


@dataclasses.dataclass(frozen=True)
class Compared:
    """A distance of a feature, beside what its schema allows."""

    path: tuple[str, ...]
    comparator: str
    distance: Distance
    threshold: float

    @property
    def is_high(self) -> bool:
        """Whether it is more than is allowed, and more than chance makes."""
        return self.distance.value > self.threshold and self.distance.value > self.distance.noise


def validate(
    statistics: DatasetFeatureStatistics,
    schema: Schema,
    environment: str | None = None,
    controls: Controls | None = None,
    severity: Mapping[str, str] | None = None,
) -> tuple[Anomalies, list[Compared]]:
    """Checks statistics against a schema.

    Args:
        statistics: of all examples.
        schema: what is expected; not changed.
        environment: the one that the statistics are of, such as TRAINING or SERVING; by default features of all are expected.
        controls: what the schema's comparators compare with.
        severity: `error`, `warning` or `ignore` by the name of an anomaly's type; an error by default.

    Returns:
        The anomalies as TensorFlow Data Validation reports them, and every distance that was measured.
    """
    anomalies = Anomalies(baseline=schema)
    controls, severity = controls or Controls(), severity or {}
    if statistics.num_examples == 0:
        anomalies.data_missing = True
        return anomalies, []
    anomalies.anomaly_name_format = Anomalies.SERIALIZED_PATH
    weighted = is_weighted(statistics)
    data = DatasetView(statistics, weighted, environment)
    compared: list[Compared] = []
    found: dict[tuple[str, ...], list[Reason]] = {}
    for view in data.features():
        changed = _copy(schema)
        feature = feature_of(changed, view.path)
        if feature is None:
            found[view.path] = [_NEW_COLUMN]
        elif not is_deprecated(feature):
            reasons = update_feature(changed, feature, view)
            if view.present and not (is_deprecated(feature) and reasons and reasons[-1].type in _UNREADABLE):
                more, distances = _compare(feature, view, controls)
                reasons, compared = reasons + more, compared + distances
            found[view.path] = reasons
    for feature in schema.feature:
        path: tuple[str, ...] = (feature.name,)
        if path not in found and is_required(schema, feature, environment) and data.feature(path) is None:
            found[path] = [_MISSING_COLUMN]
    for path in sorted(found):
        if info := _info(found[path], severity):
            info.path.step.extend(path)
            anomalies.anomaly_info[serialized(path)].CopyFrom(info)
    if info := _info(_compare_sizes(schema, data, controls), severity):
        anomalies.dataset_anomaly_info.CopyFrom(info)
    for path in sorted({one.path for one in compared}):
        anomalies.drift_skew_info.append(_measured(path, [one for one in compared if one.path == path]))
    return anomalies, compared


def update_schema(statistics: DatasetFeatureStatistics, schema: Schema, environment: str | None = None) -> Schema:
    """The schema with the smallest changes after which the statistics fit it, for a person to review."""
    changed = _copy(schema)
    data = DatasetView(statistics, is_weighted(statistics), environment)
    paths = set()
    for view in data.features():
        paths.add(view.path)
        feature = feature_of(changed, view.path)
        if feature is None:
            add_feature(changed, view, shape=False)
        elif not is_deprecated(feature):
            update_feature(changed, feature, view)
    for feature in changed.feature:
        if (feature.name,) not in paths and is_required(changed, feature, environment):
            feature.lifecycle_stage = schema_pb2.DEPRECATED
    return changed


def _copy(schema: Schema) -> Schema:
    copied = Schema()
    copied.CopyFrom(schema)
    return copied


def _info(reasons: Sequence[Reason], severity: Mapping[str, str]) -> AnomalyInfo | None:
    """All reasons of one feature; None if there is none, or they are ignored."""
    kept = [(reason, severity.get(AnomalyInfo.Type.Name(reason.type), "error")) for reason in reasons]
    kept = [(reason, level) for reason, level in kept if level != "ignore"]
    if not kept:
        return None
    told = [reason for reason, _ in kept if reason.long] or [kept[-1][0]]
    info = AnomalyInfo(
        severity=AnomalyInfo.ERROR if any(level == "error" for _, level in kept) else AnomalyInfo.WARNING,
        short_description=told[0].short if len(told) == 1 else "Multiple errors",
        description=" ".join(reason.long for reason in told),
    )
    for reason, _ in kept:
        info.reason.add(type=reason.type, short_description=reason.short, description=reason.long)
    return info


# Drift and skew


def _compare(feature: Feature, view: FeatureView, controls: Controls) -> tuple[list[Reason], list[Compared]]:
    reasons: list[Reason] = []
    compared: list[Compared] = []
    for name, (control, treatment) in _COMPARATORS.items():
        comparator: FeatureComparator = getattr(feature, name)
        thresholds = _thresholds(comparator)
        other: DatasetFeatureStatistics | None = getattr(controls, control)
        if not thresholds or other is None:
            continue
        theirs = DatasetView(other, view.dataset.by_weight).feature(view.path)
        if theirs is None:
            told = f"{control} data missing"
            reasons.append(Reason(AnomalyInfo.COMPARATOR_CONTROL_DATA_MISSING, told, f"{control} data is missing."))
            continue
        for measure, threshold in thresholds.items():
            distance = _MEASURES[measure](view.statistics, theirs.statistics, view.dataset.by_weight)
            if distance is not None:
                one = Compared(view.path, name, distance, threshold)
                compared.append(one)
                if one.is_high:
                    reasons.append(_high(one, f"{treatment} and {control}"))
    return reasons, compared


def _thresholds(comparator: FeatureComparator) -> dict[str, float]:
    found = {}
    for measure, field in _FIELDS.items():
        norm = getattr(comparator, field)
        if comparator.HasField(field) and norm.HasField("threshold"):
            found[measure] = norm.threshold
    return found


_FIELDS = {"L_INFTY": "infinity_norm", "JENSEN_SHANNON_DIVERGENCE": "jensen_shannon_divergence",
           "NORMALIZED_ABSOLUTE_DIFFERENCE": "normalized_abs_difference"}  # fmt: skip
_MEASURES = {"L_INFTY": l_infinity, "JENSEN_SHANNON_DIVERGENCE": jensen_shannon,
             "NORMALIZED_ABSOLUTE_DIFFERENCE": normalized_difference}  # fmt: skip
_WORDS = {"L_INFTY": (AnomalyInfo.COMPARATOR_L_INFTY_HIGH, "Linfty distance"),
          "JENSEN_SHANNON_DIVERGENCE": (AnomalyInfo.COMPARATOR_JENSEN_SHANNON_DIVERGENCE_HIGH, "approximate Jensen-Shannon divergence"),
          "NORMALIZED_ABSOLUTE_DIFFERENCE": (AnomalyInfo.COMPARATOR_NORMALIZED_ABSOLUTE_DIFFERENCE_HIGH,
                                             "normalized absolute difference")}  # fmt: skip


def _high(compared: Compared, between: str) -> Reason:
    distance = compared.distance
    kind, words = _WORDS[distance.measure]
    told = (f"The {words} between {between} is {distance.value:.6g} (up to six significant digits), above the threshold "
            f"{compared.threshold:.6g}.")  # fmt: skip
    if distance.furthest:
        told += f" The feature value with maximum difference is: {distance.furthest}"
    return Reason(kind, f"High {words} between {between}", told)


def _measured(path: tuple[str, ...], compared: Sequence[Compared]) -> DriftSkewInfo:
    info = DriftSkewInfo()
    info.path.step.extend(path)
    for one in compared:
        measurements = info.drift_measurements if one.comparator == "drift_comparator" else info.skew_measurements
        kind = DriftSkewInfo.Measurement.Type.Value(one.distance.measure)
        measurements.add(type=kind, value=one.distance.value, threshold=one.threshold)
    return info


def _compare_sizes(schema: Schema, data: DatasetView, controls: Controls) -> list[Reason]:
    """How many examples there are, and how many there were."""
    reasons: list[Reason] = []
    constraints, examples = schema.dataset_constraints, data.examples
    if not schema.HasField("dataset_constraints"):
        return reasons
    for field, name, control in (
        ("num_examples_drift_comparator", "previous span", controls.previous),
        ("num_examples_version_comparator", "previous version", controls.previous_version),
    ):
        comparator = getattr(constraints, field)
        if not constraints.HasField(field) or control is None:
            continue
        before = DatasetView(control, data.by_weight).examples
        ratio = examples / before if before else None
        told = f"The ratio of num examples in the current dataset versus the {name} is {ratio or 0:.6g} (up to six significant digits), which is"
        if comparator.HasField("max_fraction_threshold"):
            most = comparator.max_fraction_threshold
            short = f"High num examples in current dataset versus the {name}"
            if ratio is None:
                long = (f"The {name} has 0 examples, so there is a high number of examples in the current dataset versus the "
                        f"{name}.")  # fmt: skip
                reasons.append(Reason(AnomalyInfo.COMPARATOR_HIGH_NUM_EXAMPLES, f"{short}, which has 0.", long))
            elif ratio > most:
                reasons.append(
                    Reason(
                        AnomalyInfo.COMPARATOR_HIGH_NUM_EXAMPLES, f"{short}.", f"{told} above the threshold {most:.6g}."
                    )
                )
        least = comparator.min_fraction_threshold
        if comparator.HasField("min_fraction_threshold") and ratio is not None and ratio < least:
            short = f"Low num examples in current dataset versus the {name}."
            reasons.append(
                Reason(AnomalyInfo.COMPARATOR_LOW_NUM_EXAMPLES, short, f"{told} below the threshold {least:.6g}.")
            )
    if constraints.HasField("min_examples_count") and examples < constraints.min_examples_count:
        reasons.append(Reason(AnomalyInfo.DATASET_LOW_NUM_EXAMPLES, "Low num examples in dataset.",
                              f"The dataset has {examples:.6g} examples, which is fewer than expected."))  # fmt: skip
    if constraints.HasField("max_examples_count") and examples > constraints.max_examples_count:
        reasons.append(Reason(AnomalyInfo.DATASET_HIGH_NUM_EXAMPLES, "High num examples in dataset.",
                              f"The dataset has {examples:.6g} examples, which is more than expected."))  # fmt: skip
    return reasons
