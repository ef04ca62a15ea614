"""A published day as the report reads it: its manifest, statistics and anomalies, each when it is asked for."""

import dataclasses
import functools
import math
from collections.abc import Mapping
from typing import Any

from google.protobuf import text_format
from tensorflow_metadata.proto.v0.anomalies_pb2 import Anomalies
from tensorflow_metadata.proto.v0.statistics_pb2 import (
    DatasetFeatureStatistics,
    DatasetFeatureStatisticsList,
    FeatureNameStatistics,
)

from retrolabel.schemas.manifest import DayManifest
from retrolabel.transforms.dataset import part_bytes, read_day_manifest

ALL = "All Examples"
"""What TFDV calls the statistics of all rows, beside those of slices."""


@dataclasses.dataclass(frozen=True)
class Day:
    """A published day."""

    root: str
    path: str
    """Of its manifest, relative to the root."""
    name: str
    """What it is called in the report."""

    @functools.cached_property
    def manifest(self) -> DayManifest:
        """Everything about its build."""
        return read_day_manifest(self.root, self.path)

    @functools.cached_property
    def statistics(self) -> Mapping[str, DatasetFeatureStatistics]:
        """By name: of all examples, splits, slices and label values; empty if the build made none."""
        data = self._file("statistics")
        listed = DatasetFeatureStatisticsList.FromString(data) if data is not None else DatasetFeatureStatisticsList()
        return {dataset.name: dataset for dataset in listed.datasets}

    @functools.cached_property
    def anomalies(self) -> Anomalies | None:
        """What validation found; None if the build did not validate."""
        data = self._file("anomalies")
        return text_format.Parse(data.decode(), Anomalies()) if data is not None else None

    def features(self, dataset: str = ALL) -> dict[str, FeatureNameStatistics]:
        """The statistics of each column by its name."""
        found = self.statistics.get(dataset)
        return {feature_name(feature): feature for feature in found.features} if found is not None else {}

    @functools.cached_property
    def columns(self) -> dict[str, dict[str, Any]]:
        """Of each column its `rows`, `missing`, `mean`, `deviation`, `minimum` and `maximum`; of texts the mean is of their bytes."""
        rows = self.statistics[ALL].num_examples if ALL in self.statistics else 0
        return {name: _summary(feature, rows) for name, feature in self.features().items()}

    @property
    def examples(self) -> int:
        """How many examples it has."""
        return self.manifest.accounting["predictions"].examples or 0

    def _file(self, kind: str) -> bytes | None:
        part = next((part for part in self.manifest.files if str(part.kind) == kind), None)
        return part_bytes(self.root, part) if part is not None else None


def _summary(feature: FeatureNameStatistics, rows: int) -> dict[str, Any]:
    if feature.HasField("string_stats"):
        text = feature.string_stats
        present = text.common_stats.num_non_missing
        mean = float(text.avg_length) if present else None
        return {
            "rows": rows,
            "missing": rows - present,
            "mean": mean,
            "deviation": None,
            "minimum": None,
            "maximum": None,
        }
    numeric = feature.num_stats
    present = numeric.common_stats.num_non_missing
    known = present > 0 and math.isfinite(numeric.mean)
    return {
        "rows": rows, "missing": rows - present, "mean": numeric.mean if known else None,
        "deviation": numeric.std_dev if known else None, "minimum": numeric.min if present else None,
        "maximum": numeric.max if present else None,
    }  # fmt: skip


def feature_name(feature: FeatureNameStatistics) -> str:
    """A column's name, whether it stands as such or as a path."""
    return feature.name or ".".join(feature.path.step)
