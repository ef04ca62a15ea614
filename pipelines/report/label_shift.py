"""How a label differs between two days, and from which kind of shift."""

import dataclasses

from retrolabel.pipelines.report.day import Day
from retrolabel.transforms.kernels.shift import Shift, binned, rate_change, shift_of
from retrolabel.transforms.kernels.significance import ALPHA, false_discovery


@dataclasses.dataclass(frozen=True)
class LabelShift:
    """What can be said of one label."""

    label: str
    rates: tuple[float, float]
    rate_p: float
    """Of the change of its rate."""
    moved: dict[str, Shift]
    """Features whose distribution is different beyond chance."""
    turned: dict[str, Shift]
    """Features within whose bins the label's rate is."""

    @property
    def name(self) -> str:
        """`covariate`, `concept`, both, or nothing."""
        if self.turned and not self.explained_by:
            return "covariate and concept shift" if self.moved else "concept shift"
        return "covariate shift" if self.moved else "no shift"

    @property
    def explained_by(self) -> list[str]:
        """Features that moved, within whose bins nothing changed, and whose move makes up most of the label's change."""
        change = self.rates[1] - self.rates[0]
        return [
            name for name, shift in self.moved.items()
            if name not in self.turned and change and shift.mix / change > 0.5
        ]  # fmt: skip


def label_shifts(day: Day, against: Day) -> list[LabelShift]:
    """Of each boolean label; at most 1 % of the features that are named are false on average."""
    found = []
    for label in day.manifest.labels:
        name = f"{label}_true"
        if not all(name in side.statistics for side in (day, against)):
            continue
        each = _features(day, against, label)
        flagged = false_discovery([p for shift in each.values() for p in (shift.covariate_p, shift.concept_p)]) <= ALPHA
        moved = {feature: shift for (feature, shift), there in zip(each.items(), flagged[::2], strict=True) if there}
        turned = {feature: shift for (feature, shift), there in zip(each.items(), flagged[1::2], strict=True) if there}
        counts = [(side.statistics[name].num_examples, side.examples) for side in (against, day)]
        if all(rows for _, rows in counts):
            rates = counts[0][0] / counts[0][1], counts[1][0] / counts[1][1]
            found.append(LabelShift(label, rates, rate_change(*counts[0], *counts[1]), moved, turned))
    return found


def _features(day: Day, against: Day, label: str) -> dict[str, Shift]:
    now, before = day.features(), against.features()
    positive_now, positive_before = day.features(f"{label}_true"), against.features(f"{label}_true")
    types = {field["name"]: field["type"] for field in day.manifest.example_schema}
    left_out = {*day.manifest.key, *day.manifest.labels, "weight"}
    found = {}
    for name in now:
        if name in left_out or types.get(name, "").startswith("timestamp"):
            continue
        if name in before and name in positive_now and name in positive_before:
            bins = binned((before[name], now[name]), (positive_before[name], positive_now[name]))
            if bins is not None and (shift := shift_of(bins)) is not None:
                found[name] = shift
    return found
