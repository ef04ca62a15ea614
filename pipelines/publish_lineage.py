"""OpenLineage: which logs a version of a dataset was made from."""

import datetime
import json
import os
import zoneinfo
from typing import Any

from retrolabel import __version__
from retrolabel.configs.load import Project
from retrolabel.pipelines.notify import from_environment, identity_of, post
from retrolabel.schemas.manifest import DayManifest, VersionRecord
from retrolabel.transforms import storage
from retrolabel.transforms.dataset import VERSIONS, record_path
from retrolabel.transforms.kernels.examples import day_bounds

_PRODUCER = f"https://github.com/retrolabel/retrolabel/tree/v{__version__}"
_SPEC = "https://openlineage.io/spec"


def send_lineage(project: Project, record: VersionRecord, manifest: DayManifest) -> None:
    """Sends the event of a version to a server, or adds it to a file.

    Raises:
        HookError: the server does not take it.
    """
    lineage = project.config.on_publish.openlineage
    assert lineage is not None
    event = event_of(project, record, manifest, _committed_at(project.root, record))
    body = (json.dumps(event, sort_keys=True) + "\n").encode()
    if lineage.url:
        key = {"Authorization": f"Bearer {from_environment(lineage.api_key_env)}"} if lineage.api_key_env else {}
        post(lineage.url, body, key)
        return
    path = project.resolve(str(lineage.file))
    with storage.using(path, "write"):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "ab") as file:
            file.write(body)


def event_of(
    project: Project, record: VersionRecord, manifest: DayManifest, moment: datetime.datetime
) -> dict[str, Any]:
    """The COMPLETE event of the run that published a version (OpenLineage 2-0-2).

    An input is a source's path pattern, with its contract as its schema and what was read of it; the output is the dataset's folder.
    """
    lineage = project.config.on_publish.openlineage
    assert lineage is not None
    bounds = day_bounds(datetime.date.fromisoformat(record.date), zoneinfo.ZoneInfo(manifest.timezone))
    begin, end = (datetime.datetime.fromtimestamp(bound / 1e6, datetime.UTC).isoformat() for bound in bounds)
    nominal = {"nominalStartTime": begin, "nominalEndTime": end}
    rows = sum(split["rows"] for split in manifest.splits.values())
    size = sum(part.bytes for part in manifest.files if part.kind == "examples")
    return {
        "eventType": "COMPLETE", "eventTime": moment.isoformat(), "producer": _PRODUCER,
        "schemaURL": f"{_SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent",
        "run": {"runId": identity_of(record, manifest), "facets": {"nominalTime": _facet("NominalTimeRunFacet", "1-0-1", **nominal)}},
        "job": {
            "namespace": lineage.namespace, "name": record.dataset,
            "facets": {"jobType": _facet("JobTypeJobFacet", "2-0-4", processingType="BATCH", integration="RETROLABEL", jobType="DATASET")},
        },
        "inputs": [_input(project, name, manifest) for name in project.sources],
        "outputs": [{
            **_named(project.root),
            "facets": {
                "schema": _schema(manifest.example_schema),
                "version": _facet("DatasetVersionDatasetFacet", "1-0-1", datasetVersion=str(record.version)),
            },
            "outputFacets": {
                "outputStatistics": _facet("OutputStatisticsOutputDatasetFacet", "1-0-2", rowCount=rows, size=size),
            },
        }],
    }  # fmt: skip


def _input(project: Project, name: str, manifest: DayManifest) -> dict[str, Any]:
    counts, files = manifest.accounting[name], [file for file in manifest.inputs if file.source == name]
    fields = [{"name": field.name, "type": str(field.arrow_type)} for field in project.contracts[name].fields]
    return {
        **_named(project.resolve(project.source(name).path[0])),
        "facets": {"schema": _schema(fields)},
        "inputFacets": {
            "inputStatistics": _facet("InputStatisticsInputDatasetFacet", "1-0-0", rowCount=counts.lines,
                                      size=sum(file.bytes for file in files), fileCount=len(files)),
        },
    }  # fmt: skip


def _named(path: str) -> dict[str, str]:
    """A place as OpenLineage names it: the storage is the namespace, the path the name."""
    if storage.is_local(path):
        return {"namespace": "file", "name": os.path.abspath(path)}
    scheme, _, rest = path.partition("://")
    bucket, _, name = rest.partition("/")
    return {"namespace": f"{scheme}://{bucket}", "name": name}


def _schema(fields: Any) -> dict[str, Any]:
    told = [{"name": field["name"], "type": field["type"]} for field in fields]
    return _facet("SchemaDatasetFacet", "1-2-0", fields=told)


def _facet(name: str, version: str, **content: Any) -> dict[str, Any]:
    return {"_producer": _PRODUCER, "_schemaURL": f"{_SPEC}/facets/{version}/{name}.json#/$defs/{name}", **content}


def _committed_at(root: str, record: VersionRecord) -> datetime.datetime:
    """When the version's record was stored: the same whenever the event is sent."""
    written = storage.list_files(storage.join(root, VERSIONS))
    return datetime.datetime.fromtimestamp(written[record_path(record.version).rpartition("/")[2]][1], datetime.UTC)
