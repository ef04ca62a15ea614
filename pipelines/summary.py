"""What a person wants to read about a build."""

import datetime
import json
import os
import zoneinfo
from collections.abc import Iterator, Mapping
from typing import Any

from retrolabel.pipelines.monitored import measures_of
from retrolabel.schemas.errors import printable
from retrolabel.schemas.manifest import DayManifest, SourceCounts
from retrolabel.transforms.kernels.anonymity import COUNTED
from retrolabel.transforms.publish import Published

_PREDICTIONS = "predictions"


def render_summary(
    manifest: DayManifest, published: Published, root: str, seconds: float | None = None, report: str | None = None
) -> str:
    """Rows in and out, label balance, rejects with an example each, immature and orphans, time and place.

    Args:
        manifest: of the day.
        published: as which version.
        root: the dataset's folder.
        seconds: how long the build took.
        report: the path of its report, relative to the root.
    """
    lines = [_headline(manifest, published), ""]
    lines += _examples(manifest)
    if anonymous := list(anonymity_told(manifest)):
        lines += ["", f"  anonymity: {anonymous[0]}", *(f"    {line}" for line in anonymous[1:])]
    for source in sorted(manifest.accounting, key=lambda name: (name != _PREDICTIONS, name)):
        lines += ["", *_source(source, manifest)]
    if measures := measures_of(root, manifest):
        lines += ["", *_model(measures)]
    if changes := (published.changes if published.is_new else None):
        lines += ["", *_changes(changes)]
    size = sum(part.bytes for part in manifest.files)
    took = f" in {seconds:,.1f} s" if seconds is not None else ""
    place = os.path.relpath(root) if "://" not in root and not os.path.relpath(root).startswith("..") else root
    lines += ["", f"{place}@{published.version}: {len(manifest.files):,} files, {size_of(size)}{took}"]
    if report:
        lines.append(f"report: {place}/{report}")
    return "\n".join(map(printable, lines))


def _model(measures: Mapping[str, Any]) -> Iterator[str]:
    """How good the model was that made the predictions."""
    known = [f"{name} {found.value:.4g} ({found.low:.4g} to {found.high:.4g})" for name in ("auc", "log_loss", "bias", "mae", "rmse", "ndcg")
             if (found := measures.get(name))]  # fmt: skip
    yield f"  model: {', '.join(known) or 'cannot be told yet'}; `retrolabel monitor` says more"


def in_order(manifest: DayManifest) -> dict[str, Any]:
    """The splits, the largest first."""
    return dict(sorted(manifest.splits.items(), key=lambda split: (-split[1]["rows"], split[0])))


def size_of(count: float) -> str:
    """A number of bytes as people say it."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:,.0f} {unit}" if unit == "bytes" else f"{count:,.1f} {unit}"
        count /= 1000
    return f"{count:,.1f} TB"


def _headline(manifest: DayManifest, published: Published) -> str:
    name = f"{manifest.dataset} {manifest.date}"
    if published.is_new:
        return f"{name}: published version {published.version}" + (
            f" (was {published.parent})" if published.parent else ""
        )
    return f"{name}: nothing changed, version {published.version} stands; nothing new was published"


def _examples(manifest: DayManifest) -> Iterator[str]:
    total = sum(split["rows"] for split in manifest.splits.values())
    counts = manifest.accounting[_PREDICTIONS]
    yield f"  {total:,} examples of {counts.unique:,} predictions"
    if counts.lines and not counts.unique:
        yield f"  no prediction of {counts.lines:,} lines lies in this day of {manifest.timezone}"
    width = max(map(len, manifest.splits), default=0)
    for name, split in in_order(manifest).items():
        labels = ", ".join(f"{label} {balance(found, split['rows'])}" for label, found in split["labels"].items())
        yield f"    {name:<{width}}  {split['rows']:>12,}  {labels}"
    if counts.immature:
        watermarks = ", ".join(f"{name} up to {moment or 'nothing'}" for name, moment in manifest.watermarks.items())
        yield f"  {counts.immature:,} immature: their windows were open when the outcome logs end ({watermarks})"
        if not counts.examples:
            yield f"  for all to be examples the logs must reach {_closed(manifest)}: build the day again then, or say"
            yield "  `--outcomes-complete-until` if they are complete, or give labels shorter windows"
    if counts.sampled_out:
        yield f"  {counts.sampled_out:,} negatives sampled out; the weight of the others says so"
    for erasure in manifest.erasures:
        rows = sum(split["rows"] for split in erasure.splits.values())
        yield f"  {rows:,} examples were erased after they were published, because somebody was forgotten (receipt {erasure.receipt})"
    for leak in manifest.leaks:
        yield (f"  warning: {leak['feature']} tells {leak['share']:.0%} of what there is to know of {leak['label']}: was it known "
               "when the prediction was made?")  # fmt: skip
    for anomaly in manifest.anomalies or []:
        yield f"  {anomaly['severity']}: {anomaly['feature']}: {anomaly['description'][:300]}"


def _closed(manifest: DayManifest) -> str:
    """When the last window of a day closes."""
    midnight = datetime.datetime.fromisoformat(manifest.date) + datetime.timedelta(days=1)
    end = midnight.replace(tzinfo=zoneinfo.ZoneInfo(manifest.timezone)).astimezone(datetime.UTC)
    seconds = max((label["window"] for label in manifest.delays.values()), default=0)
    return (end + datetime.timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def balance(label: Mapping[str, Any], rows: int) -> str:
    """A label's balance in a word: the share of true, or the mean."""
    values = label.get("values")
    if not rows:
        return "-"
    if label.get("missing") == rows or values == {"null": rows}:
        return "all unknown"
    if values is not None and set(values) <= {"true", "false", "null"}:
        told = f"{values.get('true', 0):,} true ({values.get('true', 0) / rows:.2%})"
        return told + (f", {values['null']:,} unknown" if values.get("null") else "")
    if label["mean"] is None:
        return f"{len(values) - ('null' in values)} different values" if values else "many different values"
    unknown = f", {label['missing']:,} unknown" if label.get("missing") else ""
    return f"mean {label['mean']:.4g}{unknown}"


def anonymity_told(manifest: DayManifest) -> Iterator[str]:
    """The same for a terminal, a page and a card: first what holds, then what it cost; nothing if nobody asked for it."""
    found = manifest.anonymity
    if found is None:
        return
    rows = (manifest.accounting[_PREDICTIONS].examples or 0) + found["suppressed"]
    names = ", ".join(sorted(found["quasi_identifiers"]))
    yield f"at least {found['k']:,} {found['counts']} share the {names} of each row"
    more = " or more" if found["counts"] == "people" and found["smallest"] == max(COUNTED, found["k"]) else ""
    yield f"{found['groups']:,} groups" + (
        f", the smallest of {found['smallest']:,} {found['counts']}{more}" if found["smallest"] else ""
    )
    share = f" ({found['suppressed'] / rows:.2%})" if rows else ""
    yield f"{found['suppressed']:,} of {rows:,} rows suppressed{share}; {found['at_risk']:,} were in smaller groups as logged"
    steps = manifest.config.get("anonymity", {}).get("generalize", {})
    for name, one in sorted(found["quasi_identifiers"].items()):
        if one["level"]:
            yield f"{name} made coarser: {json.dumps(steps[name][one['level'] - 1], ensure_ascii=False)}, step {one['level']} of {one['steps']}"
    if found["precision"] < 1:
        yield f"{found['precision']:.0%} of the precision is left"


def _source(name: str, manifest: DayManifest) -> Iterator[str]:
    counts = manifest.accounting[name]
    files = [file for file in manifest.inputs if file.source == name and not file.copy_of]
    size = sum(file.bytes for file in files)
    yield f"  {name}: {counts.lines:,} lines in {len(files):,} {'file' if len(files) == 1 else 'files'}, {size_of(size)}"
    yield from (f"    {told}" for told in _flow(name, counts))
    if counts.orphan and counts.orphan == counts.unique and manifest.accounting[_PREDICTIONS].unique:
        yield f"    warning: none of these events has the key of a prediction: is 'key' of {name} right?"
    for example in manifest.rejected_examples:
        if example.source == name:
            count = counts.reasons[example.reason]
            yield f"    rejected {count:,} {example.reason}, first {example.path} at byte {example.offset:,}: {example.detail}"
    if missing := manifest.holes.get(name):
        where = missing[0] if len(missing) == 1 else f"{missing[0]} to {missing[-1]}"
        yield f"    warning: no file for {len(missing):,} of the hours or days between others, {where}: are events missing?"
    for file in files:
        if file.damaged:
            yield f"    damaged {file.path}: {file.damaged}; its {file.lines:,} readable lines were used"
    for file in manifest.inputs:
        if file.source == name and file.copy_of:
            yield f"    counted once: {file.path} holds the same text as {file.copy_of}"


def _flow(name: str, counts: SourceCounts) -> Iterator[str]:
    first = _numbers(counts, ("blank", "rejected", "parsed"))
    second = _numbers(
        counts,
        (
            "filtered",
            "out_of_range",
            *(("no_consent",) if counts.no_consent else ()),
            *(("forgotten",) if counts.forgotten else ()),
            "duplicate",
            "unique",
        ),
    )
    ends: tuple[str, ...] = ("attributed", "unattributed", "orphan")
    if name == _PREDICTIONS:
        ends = ("examples", "immature", "sampled_out", *(("suppressed",) if counts.suppressed else ()))
    yield f"lines = {first}"
    conflicts = f", {counts.conflicting:,} of the duplicates conflicting" if counts.conflicting else ""
    yield f"parsed = {second}{conflicts}"
    yield f"unique = {_numbers(counts, ends)}"
    if counts.undecided or counts.refused or counts.withdrawn:
        yield f"no consent = {_numbers(counts, ('undecided', 'refused', 'withdrawn'))} before the last window closed"


def _numbers(counts: SourceCounts, names: tuple[str, ...]) -> str:
    return " + ".join(f"{getattr(counts, name) or 0:,} {name.replace('_', ' ')}" for name in names)


def _changes(changes: Mapping[str, Any]) -> Iterator[str]:
    yield (
        f"  since the day's last build: {changes['examples_added']:,} examples added, {changes['examples_removed']:,} removed, "
        f"{sum(label['changed'] for label in changes['labels'].values()):,} labels changed"
    )
    for name, label in changes["labels"].items():
        if label["changed"]:
            told = ", ".join(f"{count:,} {transition}" for transition, count in label["transitions"].items())
            yield f"    {name}: {label['changed']:,} changed: {told}"
