"""Which features say something about a label, and which say so much that they must have seen it."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from tensorflow_metadata.proto.v0.statistics_pb2 import DatasetFeatureStatisticsList

from retrolabel.transforms.kernels import spread
from retrolabel.transforms.kernels.column_statistics import ColumnStatistics
from retrolabel.transforms.kernels.distances import chi_squared
from retrolabel.transforms.kernels.table_statistics import ALL_EXAMPLES, Sliced, TableStatistics

INFORMATION = "mutual_information"
"""The custom statistic `mutual_information:<label>`: bits, without the bias of a finite sample."""
SHARE = "information_share"
"""The custom statistic `information_share:<label>`: of the label's entropy, 0 to 1."""

LEAKING = 0.7
"""From which share of the label's entropy on a feature is suspected to have been made from the label."""

_BINS = 20
_TEXTS = 200
_RARE = 10
"""How often a text must occur to be told from the others: what is said by a key is chance."""

Counts = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Association:
    """What a feature says about a label."""

    feature: str
    label: str
    bits: float
    """Mutual information, less its expected value if there were none (Miller, "Note on the bias of information estimates", 1955)."""
    share: float
    """Of the label's entropy."""
    is_chance: bool
    """Whether a feature that says nothing reaches as much in one of a thousand samples (the G-test)."""


def associations(statistics: Sliced, labels: Sequence[str]) -> list[Association]:
    """What each feature says about each label, by the statistics of all examples and of those of each value of the label.

    Lists are left out, and so are the labels themselves.
    """
    whole = statistics[ALL_EXAMPLES]
    found = []
    for label in labels:
        if label not in whole.columns:
            continue
        values = [f"{label}_{word}" for word in _words(whole.columns[label])]
        slices = [statistics[name] for name in values if name in statistics]
        if len(slices) < 2:
            continue
        for name, column in whole.columns.items():
            if (
                name not in labels
                and column.kind != "missing"
                and column.levels[0].most <= 1
                and len(column.levels) == 1
            ):
                found.append(_association(name, label, _table(name, column, slices)))
    return found


def add_associations(listed: DatasetFeatureStatisticsList, found: Sequence[Association]) -> None:
    """Writes them beside the other statistics of the features of all examples."""
    by_feature: dict[str, list[Association]] = {}
    for one in found:
        by_feature.setdefault(one.feature, []).append(one)
    for feature in listed.datasets[0].features:
        for one in by_feature.get(feature.path.step[0], []):
            feature.custom_stats.add(name=f"{INFORMATION}:{one.label}", num=one.bits)
            feature.custom_stats.add(name=f"{SHARE}:{one.label}", num=one.share)


def leaking(found: Sequence[Association]) -> list[Association]:
    """Those that predict a label too well."""
    return [one for one in found if one.share >= LEAKING and not one.is_chance]


def _words(column: ColumnStatistics) -> list[str]:
    """The values of a label, as slices are named by them."""
    if column.kind == "string":
        return [text for text, _ in column.texts.ranked(_TEXTS)]
    if column.numeric.spread.shift:
        return []
    values: Mapping[float, str] = {0.0: "false", 1.0: "true"} if column.type_name == "bool" else {}
    return [values.get(value) or f"{value:.0f}" for value in column.numeric.spread.lows.tolist()]


def _table(name: str, column: ColumnStatistics, slices: Sequence[TableStatistics]) -> Counts:
    """How often each bin of the feature's values meets each value of the label; the last row: it is missing."""
    empty = ColumnStatistics("missing", "null", column.levels)
    columns = [table.columns.get(name, empty) for table in slices]
    rows = _texts(column, columns) if column.kind == "string" else _numbers(columns)
    missing = [table.rows - sum(column_of) for table, column_of in zip(slices, np.transpose(rows), strict=True)]
    return np.vstack([rows, np.maximum(missing, 0)])


def _texts(column: ColumnStatistics, columns: Sequence[ColumnStatistics]) -> Counts:
    often = max(_RARE, 2 * column.texts.error)
    ranked = [text for text, count in column.texts.ranked(_TEXTS) if count >= often]
    most = {text: place for place, text in enumerate(ranked)}
    counts = np.zeros((len(most) + 1, len(columns)))
    for number, one in enumerate(columns):
        for text, count in one.texts.ranked(2 * _TEXTS):
            if text in most:
                counts[most[text], number] = count
        counts[-1, number] = max(one.levels[0].present - counts[:, number].sum(), 0) if one.kind != "missing" else 0
    return counts


def _numbers(columns: Sequence[ColumnStatistics]) -> Counts:
    spreads = [column.numeric.spread for column in columns]
    pooled = spread.together(spreads).coarser(256)
    groups = np.zeros(0, np.int64)
    if len(pooled.keys):
        middle = np.cumsum(pooled.counts) - pooled.counts / 2
        groups = np.minimum(middle / pooled.counts.sum() * _BINS, _BINS - 1).astype(np.int64)
    counts = np.zeros((_BINS + 3, len(columns)))
    for number, (one, column) in enumerate(zip(spreads, columns, strict=True)):
        if len(one.keys):
            same = one.at(pooled.shift)
            counts[:_BINS, number] = np.bincount(groups[np.searchsorted(pooled.keys, same.keys)], same.counts, _BINS)
        counts[_BINS:, number] = column.numeric.nans, *column.numeric.infinities
    return counts


def _association(feature: str, label: str, counts: Counts) -> Association:
    counts = counts[counts.sum(axis=1) > 0]
    total = counts.sum()
    joint = counts / total
    expected = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        plain = float(np.where(joint > 0, joint * np.log2(joint / expected), 0.0).sum())
    degrees = (counts.shape[0] - 1) * (counts.shape[1] - 1)
    share_of = joint.sum(axis=0)
    entropy = float(-(share_of * np.log2(share_of)).sum())
    bits = max(plain - degrees / (2 * total * math.log(2)), 0.0)
    chance = degrees == 0 or plain <= chi_squared(degrees) / (2 * total * math.log(2))
    return Association(feature, label, bits, min(bits / entropy, 1.0) if entropy else 0.0, chance)
