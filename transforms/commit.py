"""The end of a build: every row accounted for, and the version committed in one step."""

import dataclasses
import datetime
import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam

from retrolabel.configs.model import CONSENT
from retrolabel.schemas.errors import AnomalyError, InputError, ValidationError
from retrolabel.schemas.manifest import (
    DayManifest,
    InputFile,
    RejectedExample,
    SourceCounts,
    broken_identities,
)
from retrolabel.transforms import tally
from retrolabel.transforms.compare import changes_compared
from retrolabel.transforms.describe import Description, describe, statistics_of
from retrolabel.transforms.exchange import from_ipc
from retrolabel.transforms.kernels.anonymity import COUNTED
from retrolabel.transforms.kernels.column_statistics import ColumnStatistics
from retrolabel.transforms.kernels.crc32c import combine
from retrolabel.transforms.kernels.delays import DelayCounts, add_delays, as_published
from retrolabel.transforms.kernels.table_statistics import ALL_EXAMPLES, Sliced, TableStatistics, decode, of_split
from retrolabel.transforms.merge import received
from retrolabel.transforms.monitor import store_measured
from retrolabel.transforms.plan import PREDICTIONS, BuildPlan
from retrolabel.transforms.progress import progress
from retrolabel.transforms.publish import Published, publish
from retrolabel.transforms.storage import create, read_bytes

_RESULT = "published.json"


@dataclasses.dataclass(eq=False)
class Watermarks(beam.PTransform):
    """How far each log reaches: the latest event time of its parsed lines, whether or not they take part in the build."""

    def expand(self, tallies: beam.PCollection[bytes]) -> beam.PCollection[tuple[str, int]]:
        """Gives (source, microseconds of UTC)."""
        return (
            tallies
            | "Latest" >> beam.FlatMap(_latest).with_output_types(tuple[str, int])
            | "PerSource" >> beam.CombinePerKey(max)
        )


def _latest(encoded: bytes) -> Iterator[tuple[str, int]]:
    counted = tally.decode(encoded)
    if isinstance(counted, tally.BlockTally) and counted.latest is not None:
        yield counted.source, counted.latest


@dataclasses.dataclass(eq=False)
class CommitVersion(beam.PTransform):
    """Gathers all counts, checks that they add up, and commits the version."""

    plan: BuildPlan

    def expand(self, tallies: beam.PCollection[bytes]) -> beam.PCollection[str]:
        """Gives one element: what was published, as JSON."""
        return (
            tallies
            | "OneKey" >> beam.WithKeys(0).with_output_types(tuple[int, bytes])
            | "Gather" >> beam.GroupByKey()
            | "Commit" >> beam.Map(self._commit).with_output_types(str)
        )

    def _commit(self, gathered: tuple[int, Iterable[bytes]]) -> str:
        progress.add("committing")
        tallies = [tally.decode(encoded) for encoded in gathered[1]]
        split_names = self.plan.examples.split.names if self.plan.examples.split else ()
        partials = map(decode, received(tallies, tally.EXAMPLES))
        statistics = statistics_of(partials, split_names, self.plan.sliced_labels)
        manifest = manifest_of(self.plan, tallies, statistics)
        check(manifest, self.plan)
        manifest = described(manifest, describe(self.plan, statistics))
        measured = store_measured(self.plan, map(from_ipc, received(tallies, tally.MODEL)))
        manifest = manifest.model_copy(update={"files": [*manifest.files, *measured]})
        changes = changes_compared(self.plan.root, manifest, tallies)
        published = publish(
            self.plan.root, manifest, self.plan.folder, self.plan.keep_days, self.plan.receipts, changes
        )
        leave_result(self.plan, published)
        return json.dumps({**dataclasses.asdict(published), "manifest": json.loads(manifest.to_json())})


def leave_result(plan: BuildPlan, published: Published) -> None:
    """Leaves what came of the commit for the command that runs the build in its own process; see `result_of`."""
    if plan.spill:
        with create(os.path.join(plan.spill, _RESULT)) as file:
            file.write(json.dumps(dataclasses.asdict(published)).encode())


def result_of(plan: BuildPlan) -> Published | None:
    """What came of the commit of a build that ran in this process; None if it ran on an engine."""
    return Published(**json.loads(read_bytes(os.path.join(plan.spill, _RESULT)))) if plan.spill else None


def manifest_of(plan: BuildPlan, tallies: Sequence[tally.Tally], statistics: Sliced) -> DayManifest:
    """Puts together what a build of one day has counted, in an order that does not depend on how it ran."""
    stretches: dict[tuple[str, str], list[tally.StretchTally]] = defaultdict(list)
    rejected: list[RejectedExample] = []
    accounting: dict[str, Counter[str]] = {name: Counter() for name in plan.sources}
    reasons: dict[str, Counter[str]] = {name: Counter() for name in plan.sources}
    latest: dict[str, int] = dict(plan.complete_until)
    parts = [counted for counted in tallies if isinstance(counted, tally.PartTally)]
    delays: dict[str, list[DelayCounts]] = defaultdict(list)
    for counted in tallies:
        if isinstance(counted, tally.BlockTally):
            for stretch in counted.stretches:
                stretches[counted.source, stretch.name].append(stretch)
            rejected.extend(
                RejectedExample(source=counted.source, reason=reason, path=name, offset=offset, detail=detail)
                for reason, name, offset, detail in counted.rejected_examples
            )
            numbers = {"lines": counted.lines, "blank": counted.blank, "filtered": counted.filtered, "out_of_range": counted.out_of_range,
                       "rejected": sum(counted.reasons.values()), "no_consent": counted.no_consent,
                       "forgotten": counted.forgotten,
                       "parsed": counted.filtered + counted.out_of_range + counted.no_consent + counted.forgotten + counted.kept}  # fmt: skip
            accounting[counted.source].update(numbers)
            reasons[counted.source].update(counted.reasons)
            if counted.latest is not None and counted.source not in plan.complete_until:
                latest[counted.source] = max(latest.get(counted.source, counted.latest), counted.latest)
        elif isinstance(counted, tally.SourceTally):
            fields = {field: getattr(counted, field) for field in counted.__struct_fields__ if field != "source"}
            accounting[counted.source].update(fields)
        elif isinstance(counted, tally.DelayTally):
            delays[counted.label].append(counted.counts)
    return DayManifest(
        **plan.manifest,
        shards=plan.shards,
        inputs=sorted(
            [*plan.copies, *(_input_file(source, name, found) for (source, name), found in stretches.items())],
            key=lambda file: (file.source, file.path),
        ),
        watermarks={
            rule.outcome: _iso(latest.get(rule.outcome))
            for rule in sorted(plan.examples.attributions, key=lambda rule: rule.outcome)
        },
        accounting={name: _counts(name, accounting[name], reasons[name]) for name in sorted(plan.sources)},
        rejected_examples=_rejected_examples(rejected),
        splits={split: _split(plan, split, statistics) for split in _split_names(plan)},
        anomalies=None,
        anonymity=_anonymity(plan, tallies, accounting[PREDICTIONS]),
        compared_with=None,
        delays={
            label.name: as_published(add_delays(delays[label.name]), label.window) for _, label in plan.examples.labels
        },
        files=[
            part.as_file()
            for part in sorted(parts, key=lambda part: (part.kind, part.split or "", part.shard, part.path))
        ],
    )


def described(manifest: DayManifest, description: Description) -> DayManifest:
    """The manifest with the files that describe its examples, and what does not fit their schema.

    Raises:
        AnomalyError: an anomaly that the config calls an error.
    """
    errors = [anomaly for anomaly in description.anomalies or [] if anomaly["severity"] == "error"]
    if errors:
        where = next(part.path for part in description.files if part.kind == "anomalies")
        lines = "\n  ".join(f"{anomaly['feature']}: {anomaly['description'][:300]}" for anomaly in errors)
        raise AnomalyError(f"nothing was published: the data does not fit its schema.\n  {lines}\n"
                           f"Hint: {where!r} below the dataset's folder says more; if the data is right, review what `retrolabel schema "
                           "update` proposes, or make the anomaly a warning under `validation: severity:`")  # fmt: skip
    return manifest.model_copy(
        update={
            "files": [*manifest.files, *description.files],
            "anomalies": description.anomalies,
            "compared_with": description.compared_with,
            "leaks": [
                {"feature": leak.feature, "label": leak.label, "share": round(leak.share, 6)}
                for leak in description.leaks
            ],
        }
    )


def check(manifest: DayManifest, plan: BuildPlan) -> None:
    """Refuses a build that must not be published.

    Raises:
        ValidationError: too many lines were rejected, or the counts do not add up.
    """
    problems = []
    for source, counts in manifest.accounting.items():
        share, allowed = counts.rejected / max(counts.lines, 1), plan.max_rejected[source]
        if share > allowed:
            worst = ", ".join(
                f"{reason} {count:,}" for reason, count in sorted(counts.reasons.items(), key=lambda item: -item[1])
            )
            place = next((example for example in manifest.rejected_examples if example.source == source), None)
            first = f"; the first: {place.path} at byte {place.offset}: {place.detail}" if place else ""
            problems.append(f"{source}: {counts.rejected:,} of {counts.lines:,} lines ({share:.2%}) were rejected, more than "
                            f"max_rejected ({allowed:.2%}) allows: {worst}{first}")  # fmt: skip
    for source, counts in manifest.accounting.items():
        problems.extend(
            f"{source}: rows are missing or counted twice: {broken}" for broken in broken_identities(source, counts)
        )
    for source, counts in manifest.accounting.items():
        files = [file for file in manifest.inputs if file.source == source]
        if files and not counts.lines and all(file.damaged for file in files):
            problems.append(
                f"{source}: nothing could be read of its files, of which there are {len(files):,}; the first: {files[0].path} is damaged ({files[0].damaged})"
            )
    problems.extend(
        f"{CONSENT}: {file.path} is damaged ({file.damaged}): what is missing may be withdrawals"
        for file in manifest.inputs
        if plan.consent and file.source == CONSENT and file.damaged
    )
    for label, found in manifest.delays.items():
        waited = sum(arrived + left for _, arrived, left in found["bins"])
        if waited != manifest.accounting[PREDICTIONS].unique:
            problems.append(
                f"{label}: the delays of {waited:,} predictions were counted, there are {manifest.accounting[PREDICTIONS].unique:,}"
            )
    rows = sum(part.rows for part in manifest.files if part.kind == "examples")
    made = manifest.accounting[PREDICTIONS].examples or 0
    if rows != made:
        problems.append(f"the part files hold {rows:,} rows, {made:,} examples were made")
    # Who was forgotten since then is no sign of lost logs.
    if manifest.accounting[PREDICTIONS].unique + manifest.accounting[PREDICTIONS].forgotten < plan.at_least:
        problems.append(
            f"{manifest.date} had {plan.at_least:,} predictions when it was last built, and has "
            f"{manifest.accounting[PREDICTIONS].unique:,} now: are its logs being deleted already? "
            "`retrolabel build` publishes it all the same"
        )
    if problems:
        raise ValidationError("nothing was published.\n  " + "\n  ".join(problems))


def _input_file(source: str, name: str, stretches: list[tally.StretchTally]) -> InputFile:
    checksum = end = 0
    for offset, length, stretch in sorted(
        (one.raw_offset, one.raw_bytes, one.crc32c) for one in stretches if one.raw_bytes
    ):
        if offset != end:
            raise InputError(f"{name!r} changed while it was read: bytes {end:,} to {offset:,} were never seen")
        checksum, end = combine(checksum, stretch, length), offset + length
    damaged = next((stretch.damaged for stretch in stretches if stretch.damaged), None)
    return InputFile(
        source=source,
        path=name,
        bytes=end,
        crc32c=f"{checksum:08x}",
        lines=sum(stretch.lines for stretch in stretches),
        damaged=damaged,
    )


def _counts(name: str, counts: Counter[str], reasons: Counter[str]) -> SourceCounts:
    fates = ("examples", "immature", "sampled_out", "suppressed"), ("attributed", "unattributed", "orphan")
    own, other = fates if name == PREDICTIONS else fates[::-1]
    counted = {key: value for key, value in counts.items() if key not in other}
    # Where no row was of the day, no shard counted what became of them.
    return SourceCounts(**(dict.fromkeys(own, 0) | counted), reasons=dict(sorted(reasons.items())))


def _anonymity(plan: BuildPlan, tallies: Sequence[tally.Tally], counts: Counter[str]) -> dict[str, Any] | None:
    rule, found = plan.anonymity, [one for one in tallies if isinstance(one, tally.AnonymityTally)]
    if rule is None:
        return None
    place = max((one.place for one in found), default=0)
    levels = rule.lattice[place]
    at_risk = [one.at_risk for one in found]
    smallest = min((one.smallest for one in found if one.groups), default=None)
    return {
        "k": rule.k, "counts": "people" if rule.person else "rows",
        "quasi_identifiers": {column.name: {"level": level, "steps": len(column.coarser)} for column, level in zip(rule.columns, levels, strict=True)},
        "at_risk": max(at_risk, default=0) if len(rule.lattice) > 1 else sum(at_risk),
        "suppressed": counts["suppressed"], "groups": sum(one.groups for one in found),
        "smallest": smallest if smallest is None or not rule.person else min(smallest, max(rule.k, COUNTED)),
        "precision": round(rule.precision(levels), 6),
    }  # fmt: skip


def _rejected_examples(rejected: list[RejectedExample]) -> list[RejectedExample]:
    """Of each source and reason the first, by file and offset."""
    first: dict[tuple[str, str], RejectedExample] = {}
    for example in sorted(rejected, key=lambda one: (one.path, one.offset, one.detail)):
        first.setdefault((example.source, example.reason), example)
    return [first[key] for key in sorted(first)]


def _split_names(plan: BuildPlan) -> tuple[str, ...]:
    return plan.examples.split.names if plan.examples.split else ("all",)


def _split(plan: BuildPlan, split: str, statistics: Sliced) -> dict[str, Any]:
    found = statistics[of_split(split) if plan.examples.split else ALL_EXAMPLES]
    types = {field["name"]: field["type"] for field in plan.manifest["example_schema"]}
    return counted_labels(found, {name: types[name] for name in plan.label_order})


def counted_labels(found: TableStatistics, labels: Mapping[str, str]) -> dict[str, Any]:
    """Rows, and of each label, given with its type, how often each of its few values occurs, or its mean."""
    told = {name: _label(found.columns.get(name), found.rows, type_name) for name, type_name in labels.items()}
    return {"rows": found.rows, "labels": told}


def _label(column: ColumnStatistics | None, rows: int, type_name: str) -> dict[str, Any]:
    if column is None:
        return {"values": {}, "missing": 0, "mean": None, "deviation": None}
    missing = rows - column.levels[0].present
    moments = column.numeric.moments
    known = moments.mass > 0
    return {
        "values": _balance(column, missing, type_name), "missing": missing,
        "mean": moments.mean if known else None, "deviation": moments.deviation if known else None,
    }  # fmt: skip


def _balance(column: ColumnStatistics, missing: int, type_name: str) -> Mapping[str, int] | None:
    """How often each value occurs; None for labels of many values."""
    if column.kind == "string":
        counts = dict(column.texts.ranked(21))
    elif column.kind == "missing":
        counts = {}
    elif column.numeric.spread.shift or column.numeric.nans or any(column.numeric.infinities):
        return None
    else:
        spread = column.numeric.spread
        counts = {
            _word(value, type_name): count
            for value, count in zip(spread.lows.tolist(), spread.counts.tolist(), strict=True)
        }
    if missing:
        counts["null"] = missing
    return {value: round(count) for value, count in sorted(counts.items())} if len(counts) <= 20 else None


def _word(value: float, type_name: str) -> str:
    if type_name == "bool":
        return "true" if value else "false"
    return str(value) if type_name == "double" else f"{value:.0f}"


def _iso(micros: int | None) -> str | None:
    if micros is None:
        return None
    moment = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(microseconds=micros)
    return moment.isoformat().replace("+00:00", "Z")
