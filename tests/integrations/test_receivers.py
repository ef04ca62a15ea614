"""What receivers make of our messages: the reference implementations of Standard Webhooks and of OpenLineage."""

import base64
import json

import pytest

from retrolabel.configs.load import load_project
from retrolabel.pipelines.publish_lineage import event_of
from retrolabel.transforms.dataset import read_day_manifest, read_version
from tests.end_to_end.test_hooks import receiver, run, shop, url
from tests.support.daily import midnight

__all__ = ["receiver", "url"]

pytestmark = pytest.mark.integrations


def test_the_reference_implementation_accepts_our_signature_and_no_other_body(tmp_path, receiver, url, monkeypatch):
    webhooks = pytest.importorskip("standardwebhooks", reason="needs standardwebhooks: make test-integrations")
    secret = "whsec_" + base64.b64encode(bytes(range(24))).decode()
    monkeypatch.setenv("SHOP_SECRET", secret)
    folder = shop(tmp_path, f"on_publish: {{webhook: {{url: {url}, secret_env: SHOP_SECRET}}}}\n")
    run(folder, "--date", "2026-11-20")
    ((headers, body),) = receiver.requests
    assert webhooks.Webhook(secret).verify(body, headers)["version"] == 1
    with pytest.raises(webhooks.WebhookVerificationError):
        webhooks.Webhook(secret).verify(body.replace(b'"version": 1', b'"version": 2'), headers)


def test_the_openlineage_client_makes_the_same_event_of_the_same_facts(tmp_path):
    event_v2 = pytest.importorskip(
        "openlineage.client.event_v2", reason="needs openlineage-python: make test-integrations"
    )
    from openlineage.client import facet_v2, serde

    folder = shop(tmp_path, "on_publish: {openlineage: {file: events.ndjson, namespace: ml}}\n")
    run(folder, "--date", "2026-11-20")
    project = load_project(str(folder / "shop.yaml"))
    record = read_version(project.root)
    manifest = read_day_manifest(project.root, record.days[record.date])
    ours = event_of(project, record, manifest, midnight("2026-11-21"))
    (written,) = [json.loads(line) for line in (folder / "events.ndjson").read_text().splitlines()]
    assert written | {"eventTime": ours["eventTime"]} == ours

    producer = ours["producer"]
    facets = {
        "nominalTime": facet_v2.nominal_time_run.NominalTimeRunFacet,
        "jobType": facet_v2.job_type_job.JobTypeJobFacet,
        "schema": facet_v2.schema_dataset.SchemaDatasetFacet,
        "version": facet_v2.dataset_version_dataset.DatasetVersionDatasetFacet,
        "outputStatistics": facet_v2.output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet,
        "inputStatistics": facet_v2.input_statistics_input_dataset.InputStatisticsInputDatasetFacet,
    }

    def facet(name: str, content: dict):
        known = {key: value for key, value in content.items() if not key.startswith("_")}
        if name == "schema":
            known["fields"] = [facet_v2.schema_dataset.SchemaDatasetFacetFields(**field) for field in known["fields"]]
        made = facets[name](**known, producer=producer)
        assert made._schemaURL == content["_schemaURL"]
        return made

    def all_facets(kind: str, of: dict) -> dict:
        return {name: facet(name, content) for name, content in of.get(kind, {}).items()}

    theirs = event_v2.RunEvent(
        eventType=event_v2.RunState.COMPLETE,
        eventTime=ours["eventTime"],
        run=event_v2.Run(ours["run"]["runId"], all_facets("facets", ours["run"])),
        job=event_v2.Job("ml", "shop", all_facets("facets", ours["job"])),
        inputs=[
            event_v2.InputDataset(
                known["namespace"],
                known["name"],
                facets=all_facets("facets", known),
                inputFacets=all_facets("inputFacets", known),
            )
            for known in ours["inputs"]
        ],
        outputs=[
            event_v2.OutputDataset(
                known["namespace"],
                known["name"],
                facets=all_facets("facets", known),
                outputFacets=all_facets("outputFacets", known),
            )
            for known in ours["outputs"]
        ],
        producer=producer,
    )
    assert _without_empty(json.loads(serde.Serde.to_json(theirs))) == ours


def _without_empty(value):
    """The client writes every optional field of a facet as null or empty; we leave them out."""
    if isinstance(value, dict):
        return {key: _without_empty(entry) for key, entry in value.items() if entry is not None and entry != []}
    return [_without_empty(entry) for entry in value] if isinstance(value, list) else value
