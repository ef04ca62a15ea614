"""The statistics of one feature, as the rules of schemas look at them."""

import dataclasses
import re
from collections.abc import Iterator

from tensorflow_metadata.proto.v0 import schema_pb2
from tensorflow_metadata.proto.v0.statistics_pb2 import (
    CommonStatistics,
    DatasetFeatureStatistics,
    FeatureNameStatistics,
    NumericStatistics,
)

from retrolabel.transforms.kernels.distances import text_counts

_TYPES = {FeatureNameStatistics.INT: schema_pb2.INT, FeatureNameStatistics.FLOAT: schema_pb2.FLOAT,
          FeatureNameStatistics.STRING: schema_pb2.BYTES, FeatureNameStatistics.BYTES: schema_pb2.BYTES,
          FeatureNameStatistics.STRUCT: schema_pb2.STRUCT}  # fmt: skip
_PLAIN_STEP = re.compile(r"(\([^()]*\))|([^().']+)")


@dataclasses.dataclass(frozen=True)
class DatasetView:
    """The statistics of a dataset."""

    statistics: DatasetFeatureStatistics
    by_weight: bool = False
    """Whether counts are sums of weights."""
    environment: str | None = None

    @property
    def examples(self) -> float:
        """How many there are, or what they weigh."""
        found = self.statistics
        return found.weighted_num_examples if self.by_weight else float(found.num_examples)

    def features(self) -> Iterator["FeatureView"]:
        """Of every feature that has statistics, in their order."""
        for feature in self.statistics.features:
            if feature.WhichOneof("stats") or feature.custom_stats:
                yield FeatureView(feature, self)

    def feature(self, path: tuple[str, ...]) -> "FeatureView | None":
        """Of one feature."""
        return next((feature for feature in self.features() if feature.path == path), None)


@dataclasses.dataclass(frozen=True)
class FeatureView:
    """The statistics of one feature."""

    statistics: FeatureNameStatistics
    dataset: DatasetView

    @property
    def path(self) -> tuple[str, ...]:
        """Its name; several where it is a field of a struct."""
        found = self.statistics
        return tuple(found.path.step) if found.HasField("path") else (found.name,)

    @property
    def common(self) -> CommonStatistics:
        """What all kinds of features have."""
        kind = self.statistics.WhichOneof("stats")
        found: CommonStatistics = getattr(self.statistics, kind).common_stats if kind else CommonStatistics()
        return found

    @property
    def numbers(self) -> NumericStatistics:
        """What numbers have."""
        return self.statistics.num_stats

    @property
    def schema_type(self) -> int:
        """Its `schema_pb2.FeatureType`."""
        return int(_TYPES.get(self.statistics.type, schema_pb2.TYPE_UNKNOWN))

    @property
    def present(self) -> float:
        """In how many examples it has a value."""
        common = self.common
        return common.weighted_common_stats.num_non_missing if self.dataset.by_weight else float(common.num_non_missing)

    @property
    def missing(self) -> float:
        """In how many it has none."""
        common = self.common
        return common.weighted_common_stats.num_missing if self.dataset.by_weight else float(common.num_missing)

    @property
    def missing_by_level(self) -> list[float]:
        """The same, of each level of lists."""
        common = self.common
        levels = (
            common.weighted_presence_and_valency_stats if self.dataset.by_weight else common.presence_and_valency_stats
        )
        return [level.num_missing for level in levels] or [self.missing]

    @property
    def fraction_present(self) -> float | None:
        """In which share of the examples it has a value."""
        if self.dataset.examples <= 0:
            return None
        return 1.0 if self.missing == 0 else self.present / self.dataset.examples

    @property
    def value_counts(self) -> list[tuple[int, int]]:
        """The least and greatest number of values of an example, of each level of lists."""
        common = self.common
        levels = list(common.presence_and_valency_stats) or [common]
        return [(max(level.min_num_values, 0), level.max_num_values) for level in levels]

    @property
    def values(self) -> float:
        """How many values there are in all."""
        common = self.common
        if self.dataset.by_weight:
            return float(common.weighted_common_stats.tot_num_values)
        return float(common.tot_num_values or common.num_non_missing * common.avg_num_values)

    @property
    def texts(self) -> dict[str, float]:
        """How often each text occurs, in the order of their bytes."""
        counts = text_counts(self.statistics, self.dataset.by_weight)
        return dict(sorted(counts.items(), key=lambda item: item[0].encode()))

    @property
    def has_invalid_utf8(self) -> bool:
        """Whether a text is not UTF-8."""
        return bool(self.statistics.string_stats.invalid_utf8_count > 0)

    @property
    def unique(self) -> int | None:
        """How many texts differ."""
        return self.statistics.string_stats.unique if self.statistics.HasField("string_stats") else None


def serialized(path: tuple[str, ...]) -> str:
    """A path in one word, the key of `Anomalies.anomaly_info`."""
    return ".".join(step if _PLAIN_STEP.fullmatch(step) else "'" + step.replace("'", "''") + "'" for step in path)


def is_weighted(statistics: DatasetFeatureStatistics) -> bool:
    """Whether all features have weighted statistics."""
    view = DatasetView(statistics)
    return bool(statistics.weighted_num_examples) and all(
        feature.common.HasField("weighted_common_stats") for feature in view.features()
    )
