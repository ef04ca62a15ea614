"""Days beside a day that were built from a config that means something else: together they are no one dataset."""

from collections.abc import Iterator

from retrolabel.schemas.manifest import DayManifest, VersionRecord
from retrolabel.transforms.dataset import read_day_manifest


def built_otherwise(root: str, record: VersionRecord, manifest: DayManifest) -> Iterator[str]:
    """What the day before, and the day after, in a version were built with that this day was not, in words."""
    before = max((date for date in record.days if date < manifest.date), default=None)
    after = min((date for date in record.days if date > manifest.date), default=None)
    for date in filter(None, (before, after)):
        for difference in _differences(read_day_manifest(root, record.days[date]), manifest):
            yield f"{date} was built with another {difference}; build it again"


def _differences(there: DayManifest, here: DayManifest) -> Iterator[str]:
    if there.timezone != here.timezone:
        yield f"timezone ({there.timezone} there, {here.timezone} here): an example may be in both days, or in none"
    if there.key != here.key:
        yield f"key ({', '.join(there.key)} there, {', '.join(here.key)} here): its examples are told apart by something else"
    for section, meaning in (
        ("split", "equal rows may be in other parts"),
        ("sample", "other shares of negatives were kept"),
    ):
        if there.config.get(section) != here.config.get(section):
            yield f"{section}: {meaning}"
    labels = here.config["labels"]
    for name, label in there.config["labels"].items():
        if name in labels and label != labels[name]:
            yield f"labels.{name}: the same name stands for something else"
