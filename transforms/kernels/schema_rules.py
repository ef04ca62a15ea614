"""What a schema says of a feature, whether statistics fit it, and the smallest change after which they do.

The rules, their order and their words are those of TensorFlow Data Validation 1.16 (anomalies/schema.cc, feature_util.cc and
*_domain_util.cc there), so that a schema means here what it means there.
"""

import math
import re
from collections.abc import Callable, Collection
from typing import NamedTuple

import numpy as np
from tensorflow_metadata.proto.v0 import schema_pb2
from tensorflow_metadata.proto.v0.anomalies_pb2 import AnomalyInfo
from tensorflow_metadata.proto.v0.schema_pb2 import Feature, Schema, StringDomain, TimeDomain
from tensorflow_metadata.proto.v0.statistics_pb2 import DatasetFeatureStatistics, FeatureNameStatistics, Histogram

from retrolabel.transforms.kernels.feature_view import DatasetView, FeatureView, is_weighted, serialized
from retrolabel.transforms.kernels.statistics_proto import TYPE

DOMAIN_SIZE = 100
"""Up to how many different texts a feature is taken to have a fixed set of them."""

_TRUE = ("", "1", "SET", "TRUE", "set", "true")
_FALSE = ("0", "CLEAR", "FALSE", "clear", "false")
_INT64 = 2**63
_OUT = "Out-of-range values"
_INVALID = "Invalid values"
_NON_BOOLEAN = "Non-boolean values"
_DROPPED = "Column dropped"
_SHAPE = "Feature shape dropped"
_SPECIFICATION = AnomalyInfo.INVALID_SCHEMA_SPECIFICATION

# Which types may have which domain.
_INTS, _FLOATS, _BYTES, _STRUCTS = schema_pb2.INT, schema_pb2.FLOAT, schema_pb2.BYTES, schema_pb2.STRUCT
_ALLOWED = {
    "domain": {_BYTES}, "string_domain": {_BYTES}, "bool_domain": {_INTS, _BYTES, _FLOATS}, "int_domain": {_INTS, _BYTES},
    "float_domain": {_FLOATS, _BYTES}, "struct_domain": {_STRUCTS}, "natural_language_domain": {_BYTES}, "image_domain": {_BYTES},
    "mid_domain": {_BYTES}, "url_domain": {_BYTES}, "time_domain": {_INTS, _BYTES},
}  # fmt: skip


class Reason(NamedTuple):
    """Why statistics do not fit a schema."""

    type: int
    """An `AnomalyInfo.Type`."""
    short: str
    long: str


def infer_schema(
    statistics: DatasetFeatureStatistics, domain_size: int = DOMAIN_SIZE, keys: Collection[str] = ()
) -> Schema:
    """The schema of data with these statistics.

    Args:
        statistics: of all examples.
        domain_size: up to how many different texts make a domain.
        keys: features that have other values every day, however few they are today.
    """
    schema = Schema()
    for feature in DatasetView(statistics, is_weighted(statistics)).features():
        add_feature(schema, feature, 0 if feature.path[0] in keys else domain_size)
    return schema


def add_feature(schema: Schema, view: FeatureView, domain_size: int = DOMAIN_SIZE, *, shape: bool = True) -> None:
    """Adds what can be inferred of one feature: with its shape, or with the number of its values alone."""
    feature = schema.feature.add(name=".".join(view.path), type=view.schema_type)
    feature.presence.min_count = 1 if view.present >= 1 else 0
    if view.present > 0:
        if view.missing == 0:
            feature.presence.min_fraction = 1.0
        _infer_shape(feature, view, shape=shape)
    _infer_domain(schema, feature, view, domain_size)


def _infer_shape(feature: Feature, view: FeatureView, *, shape: bool) -> None:
    """A shape where every example has the same number of values, else the number of values."""
    levels = view.value_counts
    if shape and not any(view.missing_by_level) and all(least == most > 0 for least, most in levels):
        for least, _ in levels:
            feature.shape.dim.add(size=least)
        return
    if len(levels) > 1:
        counts = [feature.value_counts.value_count.add() for _ in levels]
    elif levels[0][0] > 0:
        counts = [feature.value_count]
    else:
        return
    for count, (least, most) in zip(counts, levels, strict=True):
        if least > 0:
            count.min = least if least == most else 1
            if least == most:
                count.max = most


def _infer_domain(schema: Schema, feature: Feature, view: FeatureView, domain_size: int) -> None:
    if view.has_invalid_utf8 or view.statistics.type == FeatureNameStatistics.BYTES:
        return
    type_name = next((custom.str for custom in view.statistics.custom_stats if custom.name == TYPE), "")
    if type_name.startswith("timestamp"):
        feature.time_domain.integer_format = TimeDomain.UNIX_MICROSECONDS
        return
    texts = list(view.texts)
    if view.statistics.type == FeatureNameStatistics.INT:
        if (view.numbers.min >= 0 and view.numbers.max == 1) or type_name == "bool":
            feature.bool_domain.SetInParent()
    elif view.statistics.type == FeatureNameStatistics.STRING and texts:
        true, false = [text for text in texts if text in _TRUE], [text for text in texts if text in _FALSE]
        if len(texts) <= 2 and len(true) <= 1 and len(false) <= 1 and len(true) + len(false) == len(texts):
            feature.bool_domain.SetInParent()
            if true:
                feature.bool_domain.true_value = true[0]
            if false:
                feature.bool_domain.false_value = false[0]
        elif all(_int_of(text) is not None for text in texts):
            feature.int_domain.SetInParent()
        elif len(texts) <= domain_size:
            domain = schema.string_domain.add(name=_new_domain(schema, serialized(view.path)), value=texts)
            feature.domain = domain.name


def _new_domain(schema: Schema, wanted: str) -> str:
    taken, name, number = {domain.name for domain in schema.string_domain}, wanted, 1
    while name in taken:
        number += 1
        name = f"{wanted}{number}"
    return name


def feature_of(schema: Schema, path: tuple[str, ...]) -> Feature | None:
    """What a schema says of a feature; None if it does not know it."""
    return next((feature for feature in schema.feature if feature.name == ".".join(path)), None)


def is_deprecated(feature: Feature) -> bool:
    """Whether a feature is no longer, or not yet, checked."""
    stages = (schema_pb2.PLANNED, schema_pb2.ALPHA, schema_pb2.DEPRECATED, schema_pb2.DEBUG_ONLY, schema_pb2.DISABLED)
    return bool(feature.deprecated or feature.lifecycle_stage in stages)


def is_in_environment(schema: Schema, feature: Feature, environment: str | None) -> bool:
    """Whether a feature is expected in an environment; without one, every feature is."""
    if environment is None or environment in feature.in_environment:
        return True
    return environment not in feature.not_in_environment and environment in schema.default_environment


def is_required(schema: Schema, feature: Feature, environment: str | None) -> bool:
    """Whether data must have a feature."""
    if is_deprecated(feature) or (feature.presence.min_count <= 0 and feature.presence.min_fraction <= 0):
        return False
    return is_in_environment(schema, feature, environment)


def update_feature(schema: Schema, feature: Feature, view: FeatureView) -> list[Reason]:
    """Changes what a schema says of a feature as little as makes statistics fit it.

    Args:
        schema: holds the feature; changed in place.
        feature: as the schema has it.
        view: its statistics.

    Returns:
        What did not fit, in the order of the checks.
    """
    reasons = _mend_specification(schema, feature)
    if is_deprecated(feature):
        return reasons
    environment = view.dataset.environment
    if view.present == 0:
        if is_required(schema, feature, environment):
            reasons.append(
                Reason(AnomalyInfo.FEATURE_TYPE_NOT_PRESENT, _DROPPED, "The feature was not present in any examples.")
            )
            feature.lifecycle_stage = schema_pb2.DEPRECATED
        return reasons
    if environment is not None and not is_in_environment(schema, feature, environment):
        kept = [name for name in feature.not_in_environment if name != environment]
        del feature.not_in_environment[:]
        feature.not_in_environment.extend(kept)
        if not is_in_environment(schema, feature, environment):
            feature.in_environment.append(environment)
        told = (
            f"New column {serialized(view.path)} found in data but not in the environment {environment} in the schema."
        )
        reasons.append(Reason(AnomalyInfo.SCHEMA_NEW_COLUMN, "Column missing in environment", told))
    reasons += _update_value_counts(feature, view)
    reasons += _update_shape(feature, view)
    reasons += _update_presence(feature, view)
    if view.schema_type != feature.type:
        feature.lifecycle_stage = schema_pb2.DEPRECATED
        names = schema_pb2.FeatureType.Name(feature.type), FeatureNameStatistics.Type.Name(view.statistics.type)
        reasons.append(Reason(AnomalyInfo.UNEXPECTED_DATA_TYPE, "Unexpected data type",
                              f"Expected data of type: {names[0]} but got {names[1]}"))  # fmt: skip
    domain = feature.WhichOneof("domain_info")
    if view.statistics.type == FeatureNameStatistics.BYTES and domain not in (
        None, "natural_language_domain", "image_domain", "url_domain",
    ):  # fmt: skip
        told = f"Data is marked as BYTES with incompatible domain_info: {feature}"
        reasons.append(Reason(AnomalyInfo.DOMAIN_INVALID_FOR_TYPE, "Invalid domain type", told))
        feature.ClearField(domain)
        domain = None
    if domain in _DOMAINS:
        reasons += _DOMAINS[domain](schema, feature, view)
    reasons += _update_unique(feature, view)
    return reasons


def _mend_specification(schema: Schema, feature: Feature) -> list[Reason]:
    """What a schema says that cannot be meant."""
    if is_deprecated(feature):
        return []
    if not feature.HasField("name"):
        feature.lifecycle_stage = schema_pb2.DEPRECATED
        return [_told(AnomalyInfo.FEATURE_MISSING_NAME,
                      "unspecified name (maybe meant to be the empty string): find name rather than deprecating.")]  # fmt: skip
    reasons = []
    if not feature.HasField("type"):
        if feature.WhichOneof("domain_info") not in ("domain", "string_domain"):
            feature.lifecycle_stage = schema_pb2.DEPRECATED
            return [_told(AnomalyInfo.FEATURE_MISSING_TYPE,
                          "unspecified type: determine the type and set it, rather than deprecating.")]  # fmt: skip
        feature.type = schema_pb2.BYTES
        reasons.append(_told(AnomalyInfo.FEATURE_MISSING_TYPE,
                             "unspecified type: inferring the type to be BYTES, given the domain specified."))  # fmt: skip
    if feature.presence.min_fraction < 0:
        feature.presence.ClearField("min_fraction")
        reasons.append(_told(_SPECIFICATION, "min_fraction should not be negative: clear is equal to zero"))
    if feature.presence.min_fraction > 1:
        feature.presence.min_fraction = 1.0
        reasons.append(_told(_SPECIFICATION, "min_fraction should not greater than 1"))
    if feature.value_count.min < 0:
        feature.value_count.ClearField("min")
        reasons.append(_told(_SPECIFICATION, "ValueCount.min should not be negative"))
    if feature.value_count.HasField("max") and feature.value_count.max < feature.value_count.min:
        feature.value_count.max = feature.value_count.min
        reasons.append(_told(_SPECIFICATION, "ValueCount.max should not be less than min"))
    for level, count in enumerate(feature.value_counts.value_count):
        if count.min < 0:
            count.ClearField("min")
            reasons.append(Reason(_SPECIFICATION, "ValueCounts.min should not be negative",
                                  f"ValueCounts.min at level {level} should not be negative."))  # fmt: skip
        if count.HasField("max") and count.max < count.min:
            count.max = count.min
            reasons.append(Reason(_SPECIFICATION, "ValueCounts.max should not be less than min",
                                  f"ValueCounts.max at level {level} should not be less than min."))  # fmt: skip
    if any(dim.size <= 0 for dim in feature.shape.dim):
        feature.ClearField("shape")
        reasons.append(_told(_SPECIFICATION, "Shape.dim.size must be a positive integer"))
    values = list(dict.fromkeys(feature.string_domain.value))
    if len(values) < len(feature.string_domain.value):
        del feature.string_domain.value[:]
        feature.string_domain.value.extend(values)
    domain = feature.WhichOneof("domain_info")
    if domain in _ALLOWED and feature.type not in _ALLOWED[domain]:
        told = f'The domain "{domain}" does not match the type: {schema_pb2.FeatureType.Name(feature.type)}'
        reasons.append(Reason(AnomalyInfo.DOMAIN_INVALID_FOR_TYPE, "The domain does not match the type", told))
        feature.ClearField(domain)
        domain = None
    if domain == "domain" and not any(found.name == feature.domain for found in schema.string_domain):
        feature.ClearField("domain")
        reasons.append(_told(AnomalyInfo.INVALID_DOMAIN_SPECIFICATION, "missing domain: "))
    elif domain not in ("domain", "string_domain") and feature.HasField("distribution_constraints"):
        feature.ClearField("distribution_constraints")
        words = {"bool_domain": "not supported for bool domains.", "int_domain": "not supported for int domains.",
                 "float_domain": "not supported for float domains.", "struct_domain": "not supported for struct domains.",
                 None: "require domain or string domain."}  # fmt: skip
        told = words.get(domain, "not supported for semantic domains.")
        reasons.append(_told(_SPECIFICATION, f"distribution constraints {told}"))
    return reasons


def _told(kind: int, text: str) -> Reason:
    return Reason(kind, text, "")


def _update_value_counts(feature: Feature, view: FeatureView) -> list[Reason]:
    levels, reasons = view.value_counts, []
    short = "Mismatched value nest level"
    if feature.HasField("value_count"):
        if len(levels) > 1:
            feature.ClearField("value_count")
            _infer_shape(feature, view, shape=False)
            return [Reason(AnomalyInfo.VALUE_NESTEDNESS_MISMATCH, short,
                           "This feature has a value_count, but the nestedness level of the feature > 1. For features with nestedness "
                           "levels greater than 1, value_counts, not value_count, should be specified.")]  # fmt: skip
        counts, places = [feature.value_count], [""]
    elif feature.HasField("value_counts"):
        counts = list(feature.value_counts.value_count)
        if len(counts) != len(levels):
            feature.ClearField("value_counts")
            _infer_shape(feature, view, shape=False)
            return [Reason(AnomalyInfo.VALUE_NESTEDNESS_MISMATCH, short,
                           "The values have a different nest level than expected. Value counts will not be checked.")]  # fmt: skip
        places = [f" at nestedness level {level}" for level in range(len(counts))]
    else:
        return []
    for count, (least, most), place in zip(counts, levels, places, strict=True):
        if count.HasField("min") and least < count.min:
            reasons.append(Reason(AnomalyInfo.FEATURE_TYPE_LOW_NUMBER_VALUES, "Missing values",
                                  f"Some examples have fewer values than expected{place}."))  # fmt: skip
            if least:
                count.min = least
            else:
                count.ClearField("min")
        if count.HasField("max") and most > count.max:
            reasons.append(Reason(AnomalyInfo.FEATURE_TYPE_HIGH_NUMBER_VALUES, "Superfluous values",
                                  f"Some examples have more values than expected{place}."))  # fmt: skip
            count.max = most
    return reasons


def _update_shape(feature: Feature, view: FeatureView) -> list[Reason]:
    if not feature.HasField("shape"):
        return []
    expected = math.prod(dim.size for dim in feature.shape.dim)
    levels = view.value_counts
    if any(least != most or not least for least, most in levels) or any(view.missing_by_level):
        told = ("The feature has a shape, but it's not always present (if the feature is nested, then it should always be present at "
                "each nested level) or its value lengths vary.")  # fmt: skip
    elif (actual := math.prod(least for least, _ in levels)) != expected:
        told = f"The feature has fixed value length {actual} but it's not compatible with the specified shape."
    else:
        return []
    feature.ClearField("shape")
    return [Reason(AnomalyInfo.INVALID_FEATURE_SHAPE, _SHAPE, told)]


def _update_presence(feature: Feature, view: FeatureView) -> list[Reason]:
    reasons, presence, fraction = [], feature.presence, view.fraction_present
    if not feature.HasField("presence"):
        return []
    fewer = "The feature was present in fewer examples than expected"
    if presence.HasField("min_count") and view.present < presence.min_count:
        told = f"{fewer}: minimum count = {presence.min_count}, actual = {int(view.present)}"
        presence.min_count = int(view.present)
        reasons.append(Reason(AnomalyInfo.FEATURE_TYPE_LOW_NUMBER_PRESENT, _DROPPED, told))
    if presence.HasField("min_fraction") and fraction is not None:
        if fraction < presence.min_fraction:
            told = f"{fewer}: minimum fraction = {presence.min_fraction:f}, actual = {fraction:f}"
            presence.min_fraction = fraction
            reasons.append(Reason(AnomalyInfo.FEATURE_TYPE_LOW_FRACTION_PRESENT, _DROPPED, told))
        if presence.min_fraction == 1 and view.missing:
            presence.min_fraction = 0.9999
            told = f"The feature was expected everywhere, but was missing in {view.missing:.6g} examples."
            reasons.append(Reason(AnomalyInfo.FEATURE_TYPE_LOW_FRACTION_PRESENT, _DROPPED, told))
    return reasons


def _update_unique(feature: Feature, view: FeatureView) -> list[Reason]:
    if not feature.HasField("unique_constraints"):
        return []
    wanted, found, reasons = feature.unique_constraints, view.unique, []
    if found is None:
        feature.ClearField("unique_constraints")
        return [Reason(AnomalyInfo.FEATURE_TYPE_NO_UNIQUE, "No unique values",
                       "UniqueConstraints specified for the feature, but unique values were not counted (i.e., feature is not string or "
                       "categorical).")]  # fmt: skip
    if found < wanted.min:
        reasons.append(Reason(AnomalyInfo.FEATURE_TYPE_LOW_UNIQUE, "Low number of unique values",
                              f"Expected at least {wanted.min} unique values but found only {found}."))  # fmt: skip
        wanted.min = found
    if found > wanted.max:
        reasons.append(Reason(AnomalyInfo.FEATURE_TYPE_HIGH_UNIQUE, "High number of unique values",
                              f"Expected no more than {wanted.max} unique values but found {found}."))  # fmt: skip
        wanted.max = found
    return reasons


# Domains


def _update_named_domain(schema: Schema, feature: Feature, view: FeatureView) -> list[Reason]:
    domain = next(found for found in schema.string_domain if found.name == feature.domain)
    reasons = _update_strings(feature, domain, view)
    if any(reason.type == AnomalyInfo.ENUM_TYPE_INVALID_UTF8 for reason in reasons):
        name = feature.domain
        for other in schema.feature:
            if other.domain == name:
                other.ClearField("domain")
        kept = [found for found in schema.string_domain if found.name != name]
        del schema.string_domain[:]
        schema.string_domain.extend(kept)
    return reasons


def _update_own_domain(_: Schema, feature: Feature, view: FeatureView) -> list[Reason]:
    reasons = _update_strings(feature, feature.string_domain, view)
    if any(reason.type == AnomalyInfo.ENUM_TYPE_INVALID_UTF8 for reason in reasons):
        feature.ClearField("string_domain")
    return reasons


def _update_strings(feature: Feature, domain: StringDomain, view: FeatureView) -> list[Reason]:
    if view.has_invalid_utf8:
        return [Reason(AnomalyInfo.ENUM_TYPE_INVALID_UTF8, "Invalid UTF8 strings",
                       "Found strings that were not valid UTF8 strings.")]  # fmt: skip
    known, total = set(domain.value), view.values
    unknown = {text: count for text, count in view.texts.items() if text not in known}
    constraints = feature.distribution_constraints
    allowed = 1.0 - constraints.min_domain_mass if constraints.HasField("min_domain_mass") else 0.0
    if not unknown or (allowed > 0 and sum(unknown.values()) / total <= allowed):
        return []
    domain.value.extend(unknown)
    told = ", ".join(f"{_escaped(text)} ({_percentage(count, total)})" for text, count in unknown.items())
    return [Reason(AnomalyInfo.ENUM_TYPE_UNEXPECTED_STRING_VALUES, "Unexpected string values",
                   f"Examples contain values missing from the schema: {told}. ")]  # fmt: skip


def _percentage(count: float, total: float) -> str:
    if not total:
        return "?"
    percent = 100 * math.floor(count) / total
    return "<1%" if percent < 1 else f"~{math.floor(percent)}%"


def _escaped(text: str) -> str:
    """As `absl::Utf8SafeCEscape` writes it."""
    plain = {"\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "'": "\\'", "\\": "\\\\"}
    return "".join(plain.get(one) or (f"\\{ord(one):03o}" if ord(one) < 32 or ord(one) == 127 else one) for one in text)


def _update_bool(_: Schema, feature: Feature, view: FeatureView) -> list[Reason]:
    kind, least, greatest = view.statistics.type, view.numbers.min, view.numbers.max
    if kind == FeatureNameStatistics.INT:
        if least < 0 or greatest > 1:
            feature.int_domain.min, feature.int_domain.max = _clamped(least), _clamped(greatest)
            anomaly = AnomalyInfo.BOOL_TYPE_SMALL_INT if least < 0 else AnomalyInfo.BOOL_TYPE_BIG_INT
            value = least if least < 0 else greatest
            long = f"Integers (such as {value:.6g}) not in {{0, 1}}: converting to an integer."
            return [Reason(anomaly, _NON_BOOLEAN, long)]
    elif kind == FeatureNameStatistics.FLOAT:
        if (told := _no_boolean(view)) is not None:
            feature.float_domain.min, feature.float_domain.max = least, greatest
            return [
                Reason(AnomalyInfo.BOOL_TYPE_UNEXPECTED_FLOAT, _NON_BOOLEAN, f"{told}: converting to float_domain.")
            ]
    elif kind == FeatureNameStatistics.STRING:
        domain = feature.bool_domain
        valid = sorted({getattr(domain, name) for name in ("true_value", "false_value") if domain.HasField(name)})
        for text in view.texts:
            if text not in valid:
                wanted = '{"' + '", "'.join(valid) + '"}' if valid else "{}"
                feature.ClearField("bool_domain")
                return [Reason(AnomalyInfo.BOOL_TYPE_UNEXPECTED_STRING, _NON_BOOLEAN,
                               f'Saw unexpected value "{text}" instead of {wanted}.')]  # fmt: skip
    return []


def _no_boolean(view: FeatureView) -> str | None:
    for value in (view.numbers.min, view.numbers.max):
        if value not in (0, 1):
            return f"Floats (such as {value:.6g}) not in {{0, 1}}"
    for histogram in view.numbers.histograms:
        if histogram.num_nan > 0:
            return "Floats (such as NaN) not in {0, 1}"
        for bucket in histogram.buckets:
            inside = bucket.low_value > 0 and bucket.high_value < 1
            if bucket.sample_count > 0 and histogram.type == Histogram.QUANTILES and inside:
                return "Float values falling between 0 and 1"
    return None


def _update_int(_: Schema, feature: Feature, view: FeatureView) -> list[Reason]:
    domain, texts, kind = feature.int_domain, list(view.texts), view.statistics.type
    if kind == FeatureNameStatistics.INT and not texts:
        least, greatest = view.numbers.min, view.numbers.max
        beyond = next((value for value in (least, greatest) if not -_INT64 <= value <= _INT64), None)
        bounds = None if beyond is not None else (_clamped(least), _clamped(greatest))
        example = None if beyond is None else f"{beyond:f}"
    elif kind in (FeatureNameStatistics.INT, FeatureNameStatistics.STRING, FeatureNameStatistics.BYTES):
        numbers = [_int_of(text) for text in texts]
        example = next((text for text, number in zip(texts, numbers, strict=True) if number is None), None)
        known = [number for number in numbers if number is not None]
        bounds = (min(known), max(known)) if known and example is None else None
    else:
        return []
    if example is not None:
        if view.schema_type == schema_pb2.BYTES:
            feature.ClearField("int_domain")
            return [Reason(AnomalyInfo.INT_TYPE_NOT_INT_STRING, _INVALID,
                           f'String values that were not ints were found, such as "{example}".')]  # fmt: skip
        if domain.HasField("min") or domain.HasField("max"):
            feature.ClearField("int_domain")
            return [Reason(AnomalyInfo.DOMAIN_INVALID_FOR_TYPE, _INVALID,
                           f'Integer had values that were not valid Int64, such as "{example}".')]  # fmt: skip
        return []
    reasons = []
    if bounds is not None and domain.HasField("min") and domain.min > bounds[0]:
        domain.min = bounds[0]
        reasons.append(Reason(AnomalyInfo.INT_TYPE_SMALL_INT, _OUT, f"Unexpectedly small value: {bounds[0]}."))
    if bounds is not None and domain.HasField("max") and domain.max < bounds[1]:
        domain.max = bounds[1]
        reasons.append(Reason(AnomalyInfo.INT_TYPE_BIG_INT, _OUT, f"Unexpectedly large value: {bounds[1]}."))
    return reasons


def _update_float(_: Schema, feature: Feature, view: FeatureView) -> list[Reason]:
    domain, reasons = feature.float_domain, []
    texts = view.texts if view.schema_type == schema_pb2.BYTES else {}
    numbers = {text: _float_of(text) for text in texts}
    nans = any(histogram.num_nan > 0 for histogram in view.numbers.histograms)
    if domain.disallow_nan and (nans or any(number is not None and math.isnan(number) for number in numbers.values())):
        domain.disallow_nan = False
        reasons.append(Reason(AnomalyInfo.FLOAT_TYPE_HAS_NAN, _INVALID, "Float feature has NaN values."))
    if (example := next((text for text, number in numbers.items() if number is None), None)) is not None:
        feature.ClearField("float_domain")
        return [*reasons, Reason(AnomalyInfo.FLOAT_TYPE_STRING_NOT_FLOAT, _INVALID,
                                 f'String values that were not floats were found, such as "{example}".')]  # fmt: skip
    if view.statistics.type == FeatureNameStatistics.FLOAT:
        least, greatest = view.numbers.min, view.numbers.max
    elif known := [number for number in numbers.values() if number is not None]:
        least, greatest = min(known), max(known)
    else:
        return reasons
    least, greatest = float(np.float32(least)), float(np.float32(greatest))  # as the bounds of a FloatDomain are
    if domain.HasField("min") and least < domain.min:
        told = f"Unexpectedly low values: {least:.6g}<{domain.min:.6g}(upto six significant digits)"
        domain.min = least
        reasons.append(Reason(AnomalyInfo.FLOAT_TYPE_SMALL_FLOAT, _OUT, told))
    if domain.HasField("max") and greatest > domain.max:
        told = f"Unexpectedly high value: {greatest:.6g}>{domain.max:.6g}(upto six significant digits)"
        domain.max = greatest
        reasons.append(Reason(AnomalyInfo.FLOAT_TYPE_BIG_FLOAT, _OUT, told))
    if domain.disallow_inf and (math.isinf(least) or math.isinf(greatest)):
        domain.disallow_inf = False
        reasons.append(Reason(AnomalyInfo.FLOAT_TYPE_HAS_INF, _INVALID, "Float feature has Inf values."))
    return reasons


def _clamped(value: float) -> int:
    return max(-_INT64, min(int(value), _INT64 - 1))


def _int_of(text: str) -> int | None:
    """The 64-bit integer that a text says, in decimal digits."""
    if not re.fullmatch(r"[ \t\n\v\f\r]*[+-]?[0-9]+[ \t\n\v\f\r]*", text):
        return None
    return value if -_INT64 <= (value := int(text)) < _INT64 else None


def _float_of(text: str) -> float | None:
    if "_" in text or not text.strip():
        return None
    try:
        return float(text)
    except ValueError:
        return None


_DOMAINS: dict[str | None, Callable[[Schema, Feature, FeatureView], list[Reason]]] = {
    "domain": _update_named_domain,
    "string_domain": _update_own_domain,
    "bool_domain": _update_bool,
    "int_domain": _update_int,
    "float_domain": _update_float,
}
