"""Erasing people from a day that is published: part files without their rows, and what was made of these rows made anew.

Whatever is rewritten gets a name that its content decides, beside the old: nothing changes for who reads a version until its record does.
"""

import dataclasses
import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from google.protobuf.message import Message

from retrolabel.configs.model import CONSENT, Monitor
from retrolabel.schemas.contract import parse_contract
from retrolabel.schemas.errors import ConfigError
from retrolabel.schemas.manifest import DayManifest, Erasure, PartFile
from retrolabel.schemas.metadata_files import DatasetFeatureStatisticsList, to_bytes
from retrolabel.schemas.personal import KEYED
from retrolabel.schemas.reject import REJECTS
from retrolabel.transforms import storage
from retrolabel.transforms.commit import counted_labels
from retrolabel.transforms.dataset import (
    example_schema,
    part_bytes,
    read_anomalies,
    read_day_manifest,
    read_part,
    read_schema,
    read_statistics,
)
from retrolabel.transforms.describe import listed_with_leaks, statistics_of, store_beside
from retrolabel.transforms.kernels.examples import ALL, WEIGHT
from retrolabel.transforms.kernels.forgotten import in_rows
from retrolabel.transforms.kernels.mentions import Mentions
from retrolabel.transforms.kernels.monitor import MonitorRule, PolicyRule, less, without_values
from retrolabel.transforms.kernels.protect import pseudonym, token
from retrolabel.transforms.kernels.schema_rules import infer_schema
from retrolabel.transforms.kernels.shard_groups import by_group
from retrolabel.transforms.kernels.table_statistics import ALL_EXAMPLES, Sliced, merge, of_split, partial_statistics
from retrolabel.transforms.monitor import measured_examples, store_statistics
from retrolabel.transforms.parts import decode, encode
from retrolabel.transforms.plan import PREDICTIONS
from retrolabel.transforms.receipts import Joins, columns_of

_DIGEST = re.compile(r"-[0-9a-f]{16}(?=\.\w+$)")


@dataclasses.dataclass(frozen=True, order=True)
class Subject:
    """A value of a field by which somebody is known."""

    field: str
    text: str = dataclasses.field(repr=False)
    """As it stands in the logs."""


@dataclasses.dataclass(frozen=True)
class Request:
    """Who is to be erased from a dataset."""

    root: str
    subjects: tuple[Subject, ...]
    keys: Mapping[str, bytes] = dataclasses.field(repr=False)
    """Keys of pseudonyms, by their ids."""
    mentions: bool
    """Whether rows go too in which any other text mentions them."""


@dataclasses.dataclass(frozen=True)
class Wanted:
    """How the people look in one day's files."""

    columns: Mapping[str, pa.Array]
    """Of columns of the examples, the values that are theirs."""
    unsearchable: tuple[str, ...]
    """The fields of which the examples have no column that tells people apart."""
    mentions: Mentions


@dataclasses.dataclass(frozen=True)
class Found:
    """What of a day is theirs."""

    rows: Mapping[str, npt.NDArray[np.bool_]]
    """Of each file that holds rows of examples or rejected lines of theirs, which these are."""
    erasure: Erasure
    mentions: Mentions


def find(request: Request, manifest: DayManifest) -> Found:
    """Looks for people in the examples and rejected lines of a day.

    Raises:
        ConfigError: the day's pseudonyms were made under a key that is not there, or a field is of a kind that tells nobody apart.
        IntegrityError: a file is not what the manifest says.
    """
    wanted = wanted_in(request, manifest)
    rows: dict[str, npt.NDArray[np.bool_]] = {}
    splits: dict[str, Any] = {}
    lines = 0
    for part in manifest.files:
        if part.kind == "rejects":
            hits = _their_lines(request.root, part, wanted.mentions)
            lines += int(hits.sum())
        elif part.kind == "examples" and (wanted.columns or request.mentions):
            hits = _their_rows(request, part, manifest, wanted)
            if hits.any():
                _count(splits, request.root, part, manifest, hits)
        else:
            continue
        if hits.any():
            rows[part.path] = hits
    return Found(rows, Erasure(receipt="", splits=dict(sorted(splits.items())), rejected_lines=lines), wanted.mentions)


def wanted_in(request: Request, manifest: DayManifest) -> Wanted:
    """How the people look in a day's files: as they were logged, or as the contract had the day's build treat them."""
    contracts = {name: parse_contract(schema) for name, schema in manifest.contracts.items()}
    known = {field.name: field for field in contracts[PREDICTIONS].fields} if PREDICTIONS in contracts else {}
    schema = example_schema(manifest)
    fields = {name: [field.name for field in contract.fields] for name, contract in contracts.items()}
    fields[PREDICTIONS] = list({*fields.get(PREDICTIONS, ()), *schema.names} - set(manifest.labels))
    joins = {name: pairs for name, pairs in joins_in(manifest.config).items() if name in fields}
    by_field: dict[str, list[str]] = defaultdict(list)
    for subject in request.subjects:
        by_field[subject.field].append(subject.text)
    columns: dict[str, list[str]] = defaultdict(list)
    names = {subject.text for subject in request.subjects}
    coarser = _coarser(manifest)
    unsearchable = []
    for field, texts in sorted(by_field.items()):
        searched = False
        for column in columns_of(field, fields, joins)[PREDICTIONS]:
            treatment = known[column].pii if column in known else ""
            if column not in schema.names or column in coarser or treatment not in ("", *KEYED):
                continue
            kind = known[column].kind if column in known else None
            values = (
                whole_numbers(texts)
                if kind in ("int", "long") or pa.types.is_integer(schema.field(column).type)
                else texts
            )
            if treatment:
                made = pseudonym if treatment == "hash" else token
                key = _key(request, manifest)
                values = [made(text, key) for text in values]
                names.update(values)
            columns[column] += values
            searched = True
        if not searched:
            unsearchable.append(field)
    arrays = {column: _array(column, values, schema) for column, values in columns.items()}
    return Wanted(arrays, tuple(unsearchable), Mentions(tuple(sorted(names))))


def _coarser(manifest: DayManifest) -> set[str]:
    """The columns whose values stand for those of several people, so that a person is k-anonymous."""
    steps = (manifest.anonymity or {}).get("quasi_identifiers", {})
    return {name for name, found in steps.items() if found["level"]}


def joins_in(config: Mapping[str, Any]) -> Joins:
    """The fields that each outcome, and the log of consent, of a config as it was written is joined by, with those of the predictions."""
    found = {}
    log = (config.get(CONSENT) or {}).get("log")
    for name, source in {**config.get("outcomes", {}), **({CONSENT: log} if log else {})}.items():
        own, theirs = (_as_list(source.get(key) or source["key"]) for key in ("key", "prediction_key"))
        found[name] = list(zip(own, theirs, strict=True))
    return found


def _as_list(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _key(request: Request, manifest: DayManifest) -> bytes:
    if manifest.key_id is None or manifest.key_id not in request.keys:
        raise ConfigError(f"the pseudonyms of {manifest.date} were made under the key {manifest.key_id}, which is not there: who is theirs "
                          "cannot be told. Hint: name that key under 'privacy: key', or under 'privacy: former_keys'")  # fmt: skip
    return request.keys[manifest.key_id]


def whole_numbers(texts: Sequence[str]) -> list[str]:
    """Whole numbers as they are written; a text that is none is in no column of numbers."""
    return [str(int(text)) for text in texts if re.fullmatch(r"[-+]?[0-9]{1,18}", text)]


def _array(column: str, values: Sequence[str], schema: pa.Schema) -> pa.Array:
    found = schema.field(column).type
    plain = found.value_type if pa.types.is_list(found) else found
    if not (pa.types.is_string(plain) or pa.types.is_integer(plain)):
        raise ConfigError(
            f"{column!r} is a {found}: people are told apart by texts and whole numbers; name another field"
        )
    return pa.array(sorted(set(values)), pa.string()).cast(plain)


def _their_rows(request: Request, part: PartFile, manifest: DayManifest, wanted: Wanted) -> npt.NDArray[np.bool_]:
    if request.mentions:
        table = read_part(request.root, part, manifest)
        hits = wanted.mentions.rows(table)
    else:
        table = read_part(request.root, part, manifest, list(wanted.columns))
        hits = np.zeros(table.num_rows, dtype=np.bool_)
    for name, values in wanted.columns.items():
        column = table.column(name).combine_chunks()
        items = column.flatten() if pa.types.is_list(column.type) else column
        hits |= in_rows(column, pc.is_in(items, value_set=values))
    return hits


def _their_lines(root: str, part: PartFile, mentions: Mentions) -> npt.NDArray[np.bool_]:
    table = decode(part_bytes(root, part), "parquet", REJECTS)
    return mentions.lines(table.column("line").combine_chunks()) | mentions.rows(table.select(["detail"]))


def _count(
    splits: dict[str, Any], root: str, part: PartFile, manifest: DayManifest, hits: npt.NDArray[np.bool_]
) -> None:
    """Adds rows, and the values of boolean labels that stood in them, to what was counted of a split."""
    counted = splits.setdefault(part.split or ALL, {"rows": 0, "labels": {}})
    counted["rows"] += int(hits.sum())
    schema = example_schema(manifest)
    names = [name for name in manifest.labels if pa.types.is_boolean(schema.field(name).type)]
    if not names:
        return
    table = read_part(root, part, manifest, names)
    for name in names:
        words = pc.fill_null(table.column(name).filter(pa.array(hits)).cast(pa.string()), "null")
        values = counted["labels"].setdefault(name, {})
        for entry in pc.value_counts(words).to_pylist():
            values[entry["values"]] = values.get(entry["values"], 0) + entry["counts"]
        counted["labels"][name] = dict(sorted(values.items()))


def erase(request: Request, path: str, receipt: str, suffix: str) -> str:
    """Stores a day's manifest without some people, and whatever files of it are not as they were.

    Args:
        request: who.
        path: of the manifest, relative to the root.
        receipt: of the people.
        suffix: ends the names of folders that are written in (`receipts.suffix_of`).

    Returns:
        The path of the new manifest; that of the old one if it has nothing of them.
    """
    root, manifest = request.root, read_day_manifest(request.root, path)
    found = find(request, manifest)
    mentions = found.mentions
    date, build = path.split("/")[:2]
    folder = f"{date}/{build.partition('-')[0]}{suffix}"
    files = list(_rewritten_parts(root, folder, manifest, found, mentions))
    changed = manifest.model_copy(
        update={
            "files": files,
            "rejected_examples": [
                example.model_copy(update={"detail": mentions.cleared(example.detail)})
                for example in manifest.rejected_examples
            ],
            "anomalies": manifest.anomalies
            and [
                {**anomaly, "description": mentions.cleared(str(anomaly["description"]))}
                for anomaly in manifest.anomalies
            ],
        }
    )
    if gone := sum(split["rows"] for split in found.erasure.splits.values()):
        changed = _without_rows(root, folder, changed, gone)
        changed = _measured_without(root, folder, changed, _their_examples(root, manifest, found))
    changed = _cleared(root, folder, changed, mentions)
    if changed == manifest:
        return path
    erasure = found.erasure.model_copy(update={"receipt": receipt})
    changed = changed.model_copy(update={"erasures": [*manifest.erasures, erasure]})
    new = f"{folder}/manifest-{changed.digest[:16]}.json"
    storage.write_once(storage.join(root, new), changed.to_json().encode())
    return new


def _rewritten_parts(
    root: str, folder: str, manifest: DayManifest, found: Found, mentions: Mentions
) -> Iterator[PartFile]:
    """The files of a day, those that hold something of the people without it; a file without rows is none."""
    for part in manifest.files:
        if part.path not in found.rows:
            yield part
            continue
        hits = pa.array(found.rows[part.path])
        if part.kind == "rejects":
            table = decode(part_bytes(root, part), "parquet", REJECTS)
            line = pc.if_else(hits, pa.scalar(None, pa.binary()), table.column("line").combine_chunks())
            detail = pa.array([mentions.cleared(text) for text in table.column("detail").to_pylist()], pa.string())
            table = pa.Table.from_arrays(
                [*(table.column(name) for name in REJECTS.names[:-2]), detail, line], schema=REJECTS
            )
        else:
            table = read_part(root, part, manifest).filter(pc.invert(hits))
            if not table.num_rows:
                continue
        data = encode(table, part.path.rpartition(".")[2])
        digest = hashlib.sha256(data).hexdigest()
        name = _DIGEST.sub(f"-{digest[:16]}", part.path.rpartition("/")[2])
        new = f"{folder}/{part.split or part.kind}/{name}"
        storage.write_once(storage.join(root, new), data)
        yield part.model_copy(update={"path": new, "rows": table.num_rows, "bytes": len(data), "sha256": digest})


def _without_rows(root: str, folder: str, manifest: DayManifest, gone: int) -> DayManifest:
    """The manifest of a day whose part files lost rows: counts, statistics and an inferred schema made anew."""
    labels = {field["name"]: field["type"] for field in manifest.example_schema if field["name"] in manifest.labels}
    sliced = [name for name in manifest.labels if labels[name] == "bool"]
    listed = read_statistics(root, manifest)
    names = _split_names(manifest, listed)
    statistics = statistics_of(_groups(root, manifest, sliced, bool(names)), names, sliced)
    counts = manifest.accounting[PREDICTIONS]
    counts = counts.model_copy(update={"unique": counts.unique - gone, "examples": (counts.examples or 0) - gone, "forgotten": counts.forgotten + gone})  # fmt: skip
    ordered = {name: labels[name] for name in manifest.labels}
    splits = {
        split: counted_labels(statistics[of_split(split) if names else ALL_EXAMPLES], ordered)
        for split in manifest.splits
    }
    update: dict[str, Any] = {"accounting": {**manifest.accounting, PREDICTIONS: counts}, "splits": splits}
    if listed is not None:
        told, leaks = listed_with_leaks(statistics, sliced, manifest.labels)
        made = {"statistics": store_beside(root, folder, "statistics", to_bytes(told, ".pb"), "pb")}
        if manifest.anomalies is None:
            schema = infer_schema(told.datasets[0], keys=tuple(manifest.key))
            made["schema"] = store_beside(root, folder, "schema", to_bytes(schema, ".pbtxt"), "pbtxt")
        update["files"] = [made.get(part.kind, part) for part in manifest.files]
        update["leaks"] = [
            {"feature": leak.feature, "label": leak.label, "share": round(leak.share, 6)} for leak in leaks
        ]
    return manifest.model_copy(update=update)


def _their_examples(root: str, manifest: DayManifest, found: Found) -> pa.Table:
    parts = [part for part in manifest.files if part.kind == "examples" and part.path in found.rows]
    return pa.concat_tables([read_part(root, part, manifest).filter(pa.array(found.rows[part.path])) for part in parts])


def _measured_without(root: str, folder: str, manifest: DayManifest, gone: pa.Table) -> DayManifest:
    """The manifest of a day whose measures of the model no longer count some examples.

    Ranked lists are measured without theirs where the examples are all that was ranked: neither immature nor sampled out.
    """
    files = []
    for part in manifest.files:
        if part.kind == "monitor":
            statistics = pq.read_table(pa.BufferReader(part_bytes(root, part)))
            rule = _monitor_rule(manifest, statistics)
            columns = list(rule.query)
            left = (read_part(root, other, manifest, columns) for other in manifest.files if other.kind == "examples")
            measured = measured_examples(gone, left if columns else (), rule)
            part = store_statistics(root, folder, less(statistics, measured, rule.model, rule.min_rows))
        files.append(part)
    return manifest.model_copy(update={"files": files})


def _monitor_rule(manifest: DayManifest, statistics: pa.Table) -> MonitorRule:
    """How the model was measured, by the attributes of which something is published, and that are as they were logged."""
    monitor = Monitor.model_validate(manifest.config["monitor"])
    label = manifest.config["labels"][monitor.label]
    counts = manifest.accounting[PREDICTIONS]
    whole = not (counts.immature or counts.sampled_out or counts.suppressed)
    sliced = statistics.filter(pc.is_in(statistics.column("statistic"), pa.array(["cell", "error"])))
    names = sorted(set(sliced.column("attribute").to_pylist()) - {"", monitor.model})
    fields = [
        tuple(name.split(", ")) for name in names
    ]  # of those made coarser since, it cannot be told what they were
    return MonitorRule(
        score=monitor.score, label=monitor.label, foretold=label.get("value", "any") == "any", outcome=label["outcome"], window=0,
        time=manifest.config[PREDICTIONS]["time"], threshold=monitor.threshold, model=monitor.model, position=monitor.position,
        query=(monitor.query or ()) if whole else (), propensity=monitor.propensity,
        policies=tuple(PolicyRule(name, policy.probability, policy.value) for name, policy in monitor.policies.items()),
        attributes=tuple(attribute for attribute in fields if _coarser(manifest).isdisjoint(attribute)), min_rows=monitor.min_rows,
    )  # fmt: skip


def _split_names(manifest: DayManifest, listed: DatasetFeatureStatisticsList | None) -> list[str]:
    """The names of the splits in the order of the config, which the statistics keep; none if there is but the whole."""
    if list(manifest.splits) == [ALL] and not manifest.config.get("split"):
        return []
    order = [dataset.name for dataset in listed.datasets] if listed is not None else []
    return sorted(
        manifest.splits, key=lambda name: (order.index(of_split(name)) if of_split(name) in order else len(order), name)
    )


def _groups(root: str, manifest: DayManifest, labels: Sequence[str], parted: bool) -> Iterator[Sliced]:
    """The statistics of each group of shards, put together as in its build."""
    slices = [_as_list(group) for group in manifest.config.get("slices") or ()]
    weight = WEIGHT if manifest.config.get("sample") else None
    parts = [part for part in manifest.files if part.kind == "examples"]
    for group in by_group(parts, lambda part: (part.shard, part.split or "")).values():
        yield merge(
            partial_statistics(
                read_part(root, part, manifest),
                slices,
                labels,
                weight,
                of_split(part.split) if parted and part.split else ALL_EXAMPLES,
            )
            for part in group
        )


def _cleared(root: str, folder: str, manifest: DayManifest, mentions: Mentions) -> DayManifest:
    """The manifest with the files that mention the people, though they hold no rows of theirs, made anew without the mention."""
    files = []
    for part in manifest.files:
        if part.kind in ("schema", "anomalies"):
            message = read_schema(root, manifest) if part.kind == "schema" else read_anomalies(root, manifest)
            if message is not None and _clear_message(message, mentions):
                part = store_beside(root, folder, part.kind, to_bytes(message, ".pbtxt"), "pbtxt")
        elif part.kind == "monitor":
            statistics = pq.read_table(pa.BufferReader(part_bytes(root, part)))
            values = statistics.column("value").combine_chunks()
            hits = mentions.rows(pa.table({"value": values}))
            if hits.any():
                part = store_statistics(root, folder, without_values(statistics, hits))
        files.append(part)
    return manifest.model_copy(update={"files": files})


def _clear_message(message: Message, mentions: Mentions) -> bool:
    """Clears every text of a proto of names; says whether there were any."""
    cleared = False
    for field, value in message.ListFields():
        if field.type == field.TYPE_MESSAGE:
            some = (
                value.values() if field.message_type.GetOptions().map_entry else value if field.is_repeated else [value]
            )
            cleared |= True in [_clear_message(one, mentions) for one in some if isinstance(one, Message)]
        elif field.type == field.TYPE_STRING:
            texts = list(value) if field.is_repeated else [value]
            new = [mentions.cleared(text) for text in texts]
            if new != texts:
                cleared = True
                if field.is_repeated:
                    value[:] = new
                else:
                    setattr(message, field.name, new[0])
    return cleared
