"""Forgetting people: out of every version, and kept out of all that are built later.

The steps, each of which a second call repeats or finds done, so that a killed one ends in the same bytes:

1. The receipt is written. A build that knows it drops the people's rows; one that does not is refused when it comes to commit.
2. Every day of every version that has something of them is rewritten beside itself, under names that the content decides.
3. A version is committed that is the newest one without them. It takes the number that a build under way would have, so whichever
   build read the old manifests, or knows no receipt, looks again before it commits.
4. The records of the older versions are replaced one by one, then the reports.
5. What no version lists any more goes, and what was written by builds that did not know the receipt.
"""

import contextlib
import dataclasses
import functools
import math
from collections.abc import Callable, Iterator, Mapping, Set

import click

from retrolabel.pipelines.report.write import write_report
from retrolabel.schemas.errors import ConfigError, InputError, IntegrityError, StorageError, nearest_name
from retrolabel.schemas.manifest import Erasure, VersionRecord
from retrolabel.schemas.receipt import Receipt
from retrolabel.transforms import storage
from retrolabel.transforms.dataset import (
    REPORTS,
    VERSIONS,
    card_path,
    read_day_manifest,
    read_version,
    record_path,
    report_path,
    version_numbers,
)
from retrolabel.transforms.erase import Request, erase, find, wanted_in
from retrolabel.transforms.kernels.mentions import Mentions
from retrolabel.transforms.plan import PREDICTIONS
from retrolabel.transforms.receipts import RECEIPTS, receipt_ids, receipt_path, suffix_of
from retrolabel.transforms.search import mentioned_in
from retrolabel.transforms.sweep import listed_files, sweep


@dataclasses.dataclass(frozen=True)
class ErasedDay:
    """What was, or would be, erased from one build of a day."""

    date: str
    versions: tuple[int, ...]
    """That hold this build."""
    erasure: Erasure

    @property
    def examples(self) -> int:
        """Rows of all splits."""
        return sum(split["rows"] for split in self.erasure.splits.values())


@dataclasses.dataclass(frozen=True)
class Forgotten:
    """What came of it."""

    receipt: str
    version: int | None
    """The version without them; None if nothing was done."""
    is_new: bool
    days: tuple[ErasedDay, ...]
    removed: int
    """Files that were swept."""
    unsearchable: Mapping[str, tuple[str, ...]]
    """Of fields, the days that have no column of it: nobody can be told apart there by it."""
    mentions: tuple[str, ...]
    """Files, with columns, that mention them still."""


def forget(request: Request, receipt: Receipt) -> Forgotten:
    """Erases people, whom `survey` says can be found, from every version of a dataset, and leaves the receipt that keeps them out.

    Raises:
        ConfigError: a key of pseudonyms is not there.
        InputError: there is no dataset, or another erasure is not finished.
        IntegrityError: stored data is damaged; what cannot be read cannot be rewritten.
    """
    root = request.root
    with _alone(root, receipt.id):
        before = listed_files(root)
        storage.write_once(storage.join(root, receipt_path(receipt.id)), receipt.to_json().encode())
        erased = functools.cache(lambda path, suffix: erase(request, path, receipt.id, suffix))
        version, is_new = _commit(root, receipt.id, erased)
        for number in version_numbers(root):
            _replace(root, number, erased)
        for number in version_numbers(root):
            _renew_views(root, number, receipt.id, made=number == version)
        removed = _remove(root, before)
        unsearchable, mentions = survey(request)
        days = tuple(day for day in _erased_by(root, receipt.id) if day.examples or day.erasure.rejected_lines)
        left = mentioned_in(root, mentions)
    return Forgotten(receipt.id, version, is_new, days, removed, unsearchable, tuple(left))


def would_forget(request: Request, receipt: Receipt) -> Forgotten:
    """What `forget` would erase; changes nothing, and does not look for mentions.

    Raises:
        ConfigError, InputError, IntegrityError: as `forget`.
    """
    unsearchable, _ = survey(request)
    days = []
    for path, versions in _builds(request.root).items():
        manifest = read_day_manifest(request.root, path)
        found = find(request, manifest)
        if found.rows:
            days.append(ErasedDay(manifest.date, versions, found.erasure))
    return Forgotten(receipt.id, None, False, tuple(days), 0, unsearchable, ())


def survey(request: Request) -> tuple[dict[str, tuple[str, ...]], Mentions]:
    """Of each field the days without a column of it, and how mentions of the people look over all days.

    Raises:
        InputError: there is no dataset.
        ConfigError: no day has a column of a field, or a key of pseudonyms is not there.
    """
    read_version(request.root)  # says so if there is no dataset
    lacking: dict[str, set[str]] = {}
    names: set[str] = set()
    fields = {subject.field for subject in request.subjects}
    columns: set[str] = set()
    nowhere = set(fields)
    for path in _builds(request.root):
        manifest = read_day_manifest(request.root, path)
        wanted = wanted_in(request, manifest)
        names.update(wanted.mentions.names)
        columns.update(field["name"] for field in manifest.example_schema)
        for field in wanted.unsearchable:
            lacking.setdefault(field, set()).add(manifest.date)
        nowhere &= set(wanted.unsearchable)
    for field in sorted(nowhere):
        raise ConfigError(f"no day of {request.root!r} has a column by which {field!r} could be found: it is no field of the predictions, nor "
                              f"joined with one, or its contract leaves nothing of it. {nearest_name(field, sorted(columns))}")  # fmt: skip
    return {field: tuple(sorted(days)) for field, days in sorted(lacking.items())}, Mentions(tuple(sorted(names)))


def _builds(root: str) -> dict[str, tuple[int, ...]]:
    """The manifest of every build that a version holds, with these versions."""
    found: dict[str, list[int]] = {}
    for record in _records(root):
        for path in record.days.values():
            found.setdefault(path, []).append(record.version)
    return {path: tuple(versions) for path, versions in sorted(found.items())}


def _records(root: str) -> Iterator[VersionRecord]:
    """Of every version; one that retention removes meanwhile is none."""
    for number in version_numbers(root):
        with contextlib.suppress(InputError):
            yield read_version(root, number)


def _commit(root: str, receipt: str, erased: Callable[[str, str], str]) -> tuple[int, bool]:
    """The version without the people, and whether it is new: that of an earlier call stands if the newest has nothing of them."""
    while True:
        records = list(_records(root))
        suffix = suffix_of(receipt_ids(root))  # after the newest record: see `publish`
        rewritten = {path: erased(path, suffix) for record in records for path in record.days.values()}
        head = records[-1]
        days = {day: rewritten[path] for day, path in head.days.items()}
        made = [record.version for record in records if record.receipt == receipt]
        if made and days == head.days:
            return made[-1], False
        _check_stored(root, {path for path in rewritten.values() if path not in rewritten})
        record = _next(root, head, days, receipt)
        if storage.create_if_absent(storage.join(root, record_path(record.version)), record.to_json().encode()):
            return record.version, True
        if record.version not in version_numbers(
            root
        ):  # to forget somebody in the versions that are listed would not be enough
            raise StorageError(
                f"nobody was forgotten yet: {record_path(record.version)!r} is there, and {root!r} does not list it. Call this again once it does"
            )


def _next(root: str, head: VersionRecord, days: Mapping[str, str], receipt: str) -> VersionRecord:
    """A version that is the newest one, with the days that were rewritten; it counts as a change of the last of these."""
    date = max((day for day in days if days[day] != head.days[day]), default=head.date)
    manifest = read_day_manifest(root, days[date])
    removed = sum(
        split["rows"]
        for erasure in manifest.erasures
        if erasure.receipt == receipt
        for split in erasure.splits.values()
    )
    counts = manifest.accounting[PREDICTIONS]
    changes = {
        "examples_added": 0, "examples_removed": removed, "examples_kept": counts.examples or 0,
        "immature_before": counts.immature, "immature_now": counts.immature,
        "labels": {label: {"changed": 0, "transitions": {}} for label in manifest.labels},
    }  # fmt: skip
    return VersionRecord(
        dataset=head.dataset, version=head.version + 1, parent=head.version, date=date, changes=changes, days=days, receipt=receipt
    )  # fmt: skip


def _check_stored(root: str, manifests: Set[str]) -> None:
    """Makes sure that what was rewritten is there, and stays: a sweep of all young files would take it away."""
    sizes = {path: size for path, (size, _) in storage.list_files(root).items()}
    for path in manifests:
        for part in read_day_manifest(root, path).files:
            if sizes.get(part.path) != part.bytes:
                raise IntegrityError(
                    f"{part.path!r} is not there, though it was just written: is `retrolabel gc` at work? Run this again"
                )
    storage.settle(root, {path.rpartition("/")[0] for path in manifests})


def _replace(root: str, number: int, erased: Callable[[str, str], str]) -> None:
    """Makes the record of a version name the days without the people."""
    try:
        record = read_version(root, number)
    except InputError:  # retention removed it
        return
    suffix = suffix_of(receipt_ids(root))
    days = {day: erased(path, suffix) for day, path in record.days.items()}
    written = storage.list_files(storage.join(root, VERSIONS)).get(record_path(number).partition("/")[2])
    if days != record.days and written:
        text = record.model_copy(update={"days": days}).to_json()
        storage.write_once(storage.join(root, record_path(number)), text.encode(), modified=written[1])


def _renew_views(root: str, number: int, receipt: str, *, made: bool) -> None:
    """Writes the report and the card of a version, if it was made by this erasure, or has a report and shows a day of which something was erased."""
    reports = storage.list_files(storage.join(root, REPORTS))
    if not made and report_path(number).removeprefix(f"{REPORTS}/") not in reports:
        storage.delete(storage.join(root, card_path(number)))  # the card of a build that was killed before its report
        return
    manifests = [read_day_manifest(root, path) for path in read_version(root, number).days.values()]
    if not any(erasure.receipt == receipt for manifest in manifests for erasure in manifest.erasures):
        return
    try:
        write_report(root, number, again=True)
    except Exception as error:  # noqa: BLE001 - a report is a view: better none than one that shows them
        for path in (report_path(number), card_path(number)):
            storage.delete(storage.join(root, path))
        told = f"the report and the card of version {number} could not be written again and are gone"
        click.echo(f"warning: {told}: {error}", err=True)


def _remove(root: str, before: Set[str]) -> int:
    """Removes what versions listed before and do not any more, and what was written by builds that did not know all receipts; says how much."""
    gone = [*before - listed_files(root)]
    # A report that was being written when its writer was killed is nobody's.
    gone += [
        f"{REPORTS}/{name}"
        for name in storage.list_files(storage.join(root, REPORTS))
        if name.startswith(storage.TEMPORARY)
    ]
    for path in sorted(gone):
        storage.delete(storage.join(root, path))
    swept = sweep(root, math.inf)
    for folder in {path.partition("/")[0] for path in gone} - {REPORTS}:
        storage.remove_empty_folders(storage.join(root, folder))
    return len(gone) + len(swept)


def _erased_by(root: str, receipt: str) -> Iterator[ErasedDay]:
    """What the manifests say was erased for a receipt, by this call or by an earlier one that was killed."""
    for path, versions in _builds(root).items():
        manifest = read_day_manifest(root, path)
        for erasure in manifest.erasures:
            if erasure.receipt == receipt:
                yield ErasedDay(manifest.date, versions, erasure)


@contextlib.contextmanager
def _alone(root: str, receipt: str) -> Iterator[None]:
    """Only one erasure of a dataset at a time: two would take each other's work for leftovers.

    On a local disk the second waits; the system gives the lock back when its holder dies. On an object store, or a disk without
    locks, the second is refused, and the first, were it killed, has to be called again: the lock is its receipt's.
    """
    if storage.is_local(root):
        with storage.locked(storage.join(root, "_tmp", "forget.lock"), wait=True) as held:
            if held:
                yield
                return
    path = storage.join(root, RECEIPTS, "at-work")
    if not storage.create_if_absent(path, receipt.encode()) and (other := storage.read_bytes(path).decode()) != receipt:
        raise InputError(f"the erasure for receipt {other} is at work, or was killed: wait for it, or call it again with its subjects. "
                         f"Hint: if neither can be, remove {path!r}")  # fmt: skip
    yield
    storage.delete(path)
