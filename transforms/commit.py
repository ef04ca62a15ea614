"""The end of a build: every row accounted for, and the version committed in one step."""

import dataclasses
import datetime
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam

from retrolabel.schemas.errors import InputError, ValidationError
from retrolabel.schemas.manifest import (
    DayManifest,
    InputFile,
    PartFile,
    RejectedExample,
    SourceCounts,
    broken_identities,
)
from retrolabel.transforms import tally
from retrolabel.transforms.kernels.crc32c import combine
from retrolabel.transforms.kernels.delays import DelayCounts, add_delays, as_published
from retrolabel.transforms.kernels.moments import Moments, add_all
from retrolabel.transforms.plan import PREDICTIONS, BuildPlan
from retrolabel.transforms.progress import progress
from retrolabel.transforms.publish import publish


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
        manifest = manifest_of(self.plan, [tally.decode(encoded) for encoded in gathered[1]])
        check(manifest, self.plan)
        published = publish(self.plan.root, manifest, self.plan.folder, self.plan.keep_days)
        return json.dumps({**dataclasses.asdict(published), "manifest": json.loads(manifest.to_json())})


def manifest_of(plan: BuildPlan, tallies: Iterable[tally.Tally]) -> DayManifest:
    """Puts together what a build of one day has counted, in an order that does not depend on how it ran."""
    blocks: dict[tuple[str, str], list[tally.BlockTally]] = defaultdict(list)
    accounting: dict[str, Counter[str]] = {name: Counter() for name in plan.sources}
    reasons: dict[str, Counter[str]] = {name: Counter() for name in plan.sources}
    latest: dict[str, int] = dict(plan.complete_until)
    parts: list[tally.PartTally] = []
    delays: dict[str, list[DelayCounts]] = defaultdict(list)
    for counted in tallies:
        if isinstance(counted, tally.BlockTally):
            blocks[counted.source, counted.name].append(counted)
            numbers = {"lines": counted.lines, "blank": counted.blank, "filtered": counted.filtered, "out_of_range": counted.out_of_range,
                       "rejected": sum(counted.reasons.values()), "parsed": counted.filtered + counted.out_of_range + counted.kept}  # fmt: skip
            accounting[counted.source].update(numbers)
            reasons[counted.source].update(counted.reasons)
            if counted.latest is not None and counted.source not in plan.complete_until:
                latest[counted.source] = max(latest.get(counted.source, counted.latest), counted.latest)
        elif isinstance(counted, tally.SourceTally):
            fields = {field: getattr(counted, field) for field in counted.__struct_fields__ if field != "source"}
            accounting[counted.source].update(fields)
        elif isinstance(counted, tally.DelayTally):
            delays[counted.label].append(counted.counts)
        else:
            parts.append(counted)
    parts.sort(key=lambda part: (part.kind, part.split or "", part.shard, part.path))
    examples = [part for part in parts if part.kind == "examples"]
    return DayManifest(
        **plan.manifest,
        shards=plan.shards,
        inputs=sorted(
            [*plan.copies, *(_input_file(source, name, found) for (source, name), found in blocks.items())],
            key=lambda file: (file.source, file.path),
        ),
        watermarks={name: _iso(latest.get(name)) for name in sorted(plan.sources) if name != PREDICTIONS},
        accounting={name: _counts(name, accounting[name], reasons[name]) for name in sorted(plan.sources)},
        rejected_examples=_rejected_examples(blocks),
        splits={
            split: _split(plan, [part for part in examples if part.split == split]) for split in _split_names(plan)
        },
        columns={"all": _columns(examples)},
        delays={
            label.name: as_published(add_delays(delays[label.name]), label.window) for _, label in plan.examples.labels
        },
        files=[
            PartFile(
                kind=part.kind,
                split=part.split,
                shard=part.shard,
                path=part.path,
                rows=part.rows,
                bytes=part.bytes,
                sha256=part.sha256,
            )
            for part in parts
        ],
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
    for label, found in manifest.delays.items():
        waited = sum(arrived + left for _, arrived, left in found["bins"])
        if waited != manifest.accounting[PREDICTIONS].unique:
            problems.append(
                f"{label}: the delays of {waited:,} predictions were counted, there are {manifest.accounting[PREDICTIONS].unique:,}"
            )
    rows = sum(part.rows for part in manifest.files if part.kind == "examples")
    if rows != manifest.accounting[PREDICTIONS].examples:
        problems.append(
            f"the part files hold {rows:,} rows, {manifest.accounting[PREDICTIONS].examples:,} examples were made"
        )
    if manifest.accounting[PREDICTIONS].unique < plan.at_least:
        problems.append(
            f"{manifest.date} had {plan.at_least:,} predictions when it was last built, and has "
            f"{manifest.accounting[PREDICTIONS].unique:,} now: are its logs being deleted already? "
            "`retrolabel build` publishes it all the same"
        )
    if problems:
        raise ValidationError("nothing was published.\n  " + "\n  ".join(problems))


def _input_file(source: str, name: str, blocks: list[tally.BlockTally]) -> InputFile:
    stretches = sorted((block.raw_offset, block.raw_bytes, block.crc32c) for block in blocks if block.raw_bytes)
    checksum = end = 0
    for offset, length, stretch in stretches:
        if offset != end:
            raise InputError(f"{name!r} changed while it was read: bytes {end:,} to {offset:,} were never seen")
        checksum, end = combine(checksum, stretch, length), offset + length
    damaged = next((block.damaged for block in blocks if block.damaged), None)
    return InputFile(
        source=source,
        path=name,
        bytes=end,
        crc32c=f"{checksum:08x}",
        lines=sum(block.lines for block in blocks),
        damaged=damaged,
    )


def _counts(name: str, counts: Counter[str], reasons: Counter[str]) -> SourceCounts:
    other = ("attributed", "unattributed", "orphan") if name == PREDICTIONS else ("examples", "immature", "sampled_out")
    return SourceCounts(
        **{key: value for key, value in counts.items() if key not in other}, reasons=dict(sorted(reasons.items()))
    )


def _rejected_examples(blocks: dict[tuple[str, str], list[tally.BlockTally]]) -> list[RejectedExample]:
    first: dict[tuple[str, str], RejectedExample] = {}
    for (source, name), found in sorted(blocks.items()):
        for reason, offset, detail in sorted(example for block in found for example in block.rejected_examples):
            first.setdefault(
                (source, reason), RejectedExample(source=source, reason=reason, path=name, offset=offset, detail=detail)
            )
    return [first[key] for key in sorted(first)]


def _split_names(plan: BuildPlan) -> tuple[str, ...]:
    return plan.examples.split.names if plan.examples.split else ("all",)


def _split(plan: BuildPlan, parts: list[tally.PartTally]) -> dict[str, Any]:
    """Rows, and of each label its balance or its moments."""
    labels: dict[str, Any] = {}
    columns = _columns(parts)
    for label in plan.label_order:
        balance: Counter[str] = Counter()
        for part in parts:
            balance.update(part.labels[label])
        complete = sum(balance.values()) == sum(part.rows for part in parts) and len(balance) <= 20
        labels[label] = {"values": dict(sorted(balance.items())) if complete else None, **columns.get(label, {})}
    return {"rows": sum(part.rows for part in parts), "labels": labels}


def _columns(parts: list[tally.PartTally]) -> dict[str, dict[str, float | int | None]]:
    names = dict.fromkeys(name for part in parts for name in part.columns)
    columns = {}
    for name in names:
        moments = add_all(Moments(*part.columns[name]) for part in parts)  # type: ignore[arg-type]
        columns[name] = {"rows": moments.rows, "missing": moments.missing, "mean": moments.mean, "deviation": moments.deviation,
                         "minimum": moments.minimum, "maximum": moments.maximum, "zeros": moments.zeros}  # fmt: skip
    return columns


def _iso(micros: int | None) -> str | None:
    if micros is None:
        return None
    moment = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(microseconds=micros)
    return moment.isoformat().replace("+00:00", "Z")
