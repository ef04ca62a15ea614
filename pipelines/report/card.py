"""The data card of a version, as Croissant JSON-LD."""

import datetime
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from retrolabel.pipelines.summary import anonymity_told
from retrolabel.schemas.contract import Field, parse_contract
from retrolabel.schemas.manifest import DayManifest, VersionRecord
from retrolabel.transforms import storage
from retrolabel.transforms.dataset import VERSIONS, card_path, read_day_manifest, read_version, record_path
from retrolabel.transforms.plan import PREDICTIONS

CONFORMS_TO = ("http://mlcommons.org/croissant/1.0", "http://mlcommons.org/croissant/RAI/1.0")

_CROISSANT = ("citeAs", "column", "equivalentProperty", "extract", "field", "fileObject", "fileProperty", "fileSet", "format", "includes", "isLiveDataset", "jsonPath",
              "key", "md5", "parentField", "path", "recordSet", "references", "regex", "repeated", "replace", "samplingRate", "separator", "source", "subField",
              "transform")  # fmt: skip
_CONTEXT = {
    "@language": "en", "@vocab": "https://schema.org/", "cr": "http://mlcommons.org/croissant/", "rai": "http://mlcommons.org/croissant/RAI/",
    "sc": "https://schema.org/", "dct": "http://purl.org/dc/terms/", "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"}, "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"}, **{name: f"cr:{name}" for name in _CROISSANT},
}  # fmt: skip
_TYPES = {"string": "sc:Text", "bool": "sc:Boolean", "int32": "cr:Int32", "int64": "cr:Int64", "float": "cr:Float32", "double": "cr:Float64",
          "timestamp[us, tz=UTC]": "sc:DateTime"}  # fmt: skip
_ENCODINGS = {
    "parquet": "application/x-parquet",
    "avro": "application/vnd.apache.avro",
    "tfrecord": "application/x-tfrecord",
}
_TREATED = {
    "hash": "a keyed hash",
    "tokenize": "a token that who has the key can turn back",
    "redact": "free text without what was recognised as personal",
    "drop": "not in the dataset",
    "generalize": "a coarser value",
}


def write_card(root: str, version: int) -> None:
    """Writes the card of a version into the dataset's folder."""
    storage.write_once(storage.join(root, card_path(version)), card_text(root, read_version(root, version)).encode())


def card_text(root: str, record: VersionRecord) -> str:
    """The card of a version, as JSON."""
    manifests = [read_day_manifest(root, record.days[day]) for day in sorted(record.days)]
    _, written = storage.list_files(storage.join(root, VERSIONS))[record_path(record.version).partition("/")[2]]
    published = datetime.datetime.fromtimestamp(written, datetime.UTC).date()
    return json.dumps(card_of(record, manifests, published), indent=1, ensure_ascii=False)


def card_of(record: VersionRecord, manifests: Sequence[DayManifest], published: datetime.date) -> dict[str, Any]:
    """The card of a version, in the terms of Croissant 1.0 (docs.mlcommons.org/croissant/docs/croissant-spec.html) and Croissant RAI 1.0.

    Args:
        record: of the version.
        manifests: of its days, ascending.
        published: the day on which it was.
    """
    newest = manifests[-1]
    said = newest.config.get("card", {})
    contracts = {name: parse_contract(text) for name, text in newest.contracts.items()}
    personal = [
        f"{source}.{field.name}: {_TREATED[field.pii]}"
        for source, contract in contracts.items()
        for field in contract.fields
        if field.pii
    ]
    fields = {field.name: field for field in contracts[PREDICTIONS].fields} if PREDICTIONS in contracts else {}
    card = {
        "@context": _CONTEXT, "@type": "sc:Dataset", "conformsTo": list(CONFORMS_TO), "name": record.dataset,
        "description": said.get("description") or f"Predictions of a model and what came of them: labels {', '.join(newest.labels)}.",
        "version": f"{record.version}.0.0", "datePublished": published.isoformat(),
        "temporalCoverage": f"{manifests[0].date}/{newest.date}", "isLiveDataset": True,
        **{key: said[key] for key in ("license", "creator", "url") if key in said},
        "rai:dataUseCases": said.get("purpose"),
        "rai:dataCollection": "; ".join(_told(name, newest) for name in newest.contracts),
        "rai:personalSensitiveInformation": personal,
        "rai:dataManipulationProtocol": [*_rules(newest), *_erasures(manifests)],
        "distribution": list(_distribution(manifests)),
        "recordSet": [_record_set(split, newest, fields)
                      for split in sorted(newest.splits)],
    }  # fmt: skip
    return {key: value for key, value in card.items() if value not in (None, [])}


def _rules(manifest: DayManifest) -> Iterator[str]:
    """Whose rows are there, and how alike they are, on the newest day."""
    consent, counts = manifest.config.get("consent"), manifest.accounting[PREDICTIONS]
    if consent and "log" in consent:
        yield (f"Consent by a log: only predictions of people who had consented when they were made, and did not withdraw before their labels were known; "
               f"on {manifest.date} {counts.undecided:,} rows of people who had decided nothing, {counts.refused:,} refused and {counts.withdrawn:,} "
               "withdrawn were dropped.")  # fmt: skip
    elif consent:
        yield f"Consent: only predictions whose field {consent['field']!r} is true; on {manifest.date} {counts.no_consent:,} rows were dropped."
    if anonymous := list(anonymity_told(manifest)):
        yield f"k-anonymity on {manifest.date}: {'; '.join(anonymous)}."


def _erasures(manifests: Sequence[DayManifest]) -> Iterator[str]:
    """What was erased since, of all days."""
    by_receipt: dict[str, int] = {}
    for erasure in (erasure for manifest in manifests for erasure in manifest.erasures):
        rows = sum(split["rows"] for split in erasure.splits.values())
        by_receipt[erasure.receipt] = by_receipt.get(erasure.receipt, 0) + rows
    for receipt, rows in sorted(by_receipt.items()):
        yield f"Erased on request, by receipt {receipt}: {rows:,} {'row' if rows == 1 else 'rows'}."


def _told(source: str, manifest: DayManifest) -> str:
    """What one source is, and how much of it was used on the newest day."""
    config = manifest.config
    section = config.get("outcomes", {}).get(source) or config.get(source, {}).get("log") or config.get(source)
    counts, files = manifest.accounting[source], sum(file.source == source for file in manifest.inputs)
    return (f"{source}: a log of format {(section or {}).get('format', 'unknown')}, on {manifest.date} {counts.lines:,} lines in {files:,} files, "
            f"{counts.rejected:,} rejected, {counts.no_consent:,} without consent, {counts.unique:,} unique events")  # fmt: skip


def _distribution(manifests: Sequence[DayManifest]) -> Iterator[dict[str, Any]]:
    """Every part file, and of each split the set of them."""
    splits: dict[str, list[str]] = {}
    for part in (part for manifest in manifests for part in manifest.files if part.kind == "examples"):
        encoding = _ENCODINGS[part.path.rpartition(".")[2]]
        splits.setdefault(part.split or "all", []).append(part.path)
        yield {"@type": "cr:FileObject", "@id": part.path, "name": part.path.rpartition("/")[2], "contentUrl": part.path,
               "contentSize": f"{part.bytes} B", "encodingFormat": encoding, "sha256": part.sha256}  # fmt: skip
    for split, paths in sorted(splits.items()):
        yield {"@type": "cr:FileSet", "@id": f"files-{split}", "name": f"files-{split}", "includes": paths,
               "encodingFormat": _ENCODINGS[paths[0].rpartition(".")[2]]}  # fmt: skip


def _record_set(split: str, manifest: DayManifest, fields: Mapping[str, Field]) -> dict[str, Any]:
    columns = [
        {"@type": "cr:Field", "@id": f"{split}/{column['name']}", "name": column["name"], **_type_of(column["type"]),
         "description": _description(column["name"], fields.get(column["name"]), manifest),
         "source": {"fileSet": {"@id": f"files-{split}"}, "extract": {"column": column["name"]}}}
        for column in manifest.example_schema
    ]  # fmt: skip
    return {
        "@type": "cr:RecordSet", "@id": split, "name": split, "description": f"The examples of the split {split}.",
        "key": [{"@id": f"{split}/{name}"} for name in manifest.key], "field": columns,
    }  # fmt: skip


def _type_of(name: str) -> dict[str, Any]:
    if name.startswith("list<"):
        return {"dataType": _TYPES[name.rpartition(": ")[2].rstrip(">")], "repeated": True}
    return {"dataType": _TYPES[name]}


def _description(name: str, field: Field | None, manifest: DayManifest) -> str:
    """The field's own doc, or what a label is, and how personal data in it was treated."""
    if name in manifest.labels:
        label = manifest.config.get("labels", {}).get(name, {})
        window = (
            f", from {label.get('after', 'then')} to {label['window']} after the prediction"
            if "window" in label
            else ""
        )
        return f"Label: {label.get('value', 'any')} of {label.get('outcome', 'the outcomes')}{window}."
    if field is None:
        return "Weight of the row, because negatives were sampled." if name == "weight" else ""
    sensitivity = f"Personal data: {_TREATED[field.pii]}." if field.pii else "No personal data by its contract."
    return " ".join(filter(None, [field.doc, sensitivity]))
