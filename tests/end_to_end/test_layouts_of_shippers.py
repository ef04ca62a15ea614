"""Logs as shippers, servers and log stores lay them out: what `init` writes of each builds at once, and no line is lost."""

import datetime
import json

import pytest
from click.testing import CliRunner

from retrolabel.pipelines.build_command import build_day
from retrolabel.pipelines.check_command import check_project
from retrolabel.pipelines.init_command import command
from retrolabel.pipelines.runner import choose_runner

START = datetime.datetime(2026, 11, 20, 9, tzinfo=datetime.UTC)
ROWS = 40
POD = {
    "pod_name": "ml-1",
    "labels": {"app": "ml", "app.kubernetes.io/name": "ml"},
    "annotations": {"a/b": "true"},
    "docker_id": "c0",
}


def written(event):
    return json.dumps(event, separators=(",", ":"))


def lines(wrap):
    return lambda rows: "".join(written(wrap(*row)) + "\n" for row in rows)


def pages(around, size=16):
    """Objects with several events each, without line ends between them."""
    return lambda rows: "".join(written(around(rows[start : start + size])) for start in range(0, len(rows), size))


def of_lambda(rows):
    events = []
    for n, moment, event in rows:
        texts = (f"START RequestId: {n:08x} Version: $LATEST", written(event), f"END RequestId: {n:08x}", f"REPORT RequestId: {n:08x}\tDuration: 3.4 ms")  # fmt: skip
        events += [{"id": f"{4 * n + k:056}", "timestamp": round(moment.timestamp() * 1000), "message": f"{text}\n"} for k, text in enumerate(texts)]  # fmt: skip
    return {
        "messageType": "DATA_MESSAGE",
        "owner": "1",
        "logGroup": "/aws/lambda/f",
        "logStream": "s",
        "logEvents": events,
    }


def found_by_elasticsearch(rows):
    hits = [{"_index": "app", "_id": f"{n}", "_score": 1.0, "_source": {"@timestamp": iso(moment), **event}} for n, moment, event in rows]  # fmt: skip
    return {
        "_scroll_id": "FGl==",
        "took": 3,
        "_shards": {"total": 1},
        "hits": {"total": {"value": 40, "relation": "eq"}, "hits": hits},
    }


def iso(moment):
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z"


APPLICATIONS = {
    "Fluent Bit in Kubernetes": ("json", lines(lambda n, t, e: {"date": t.timestamp(), "time": f"{iso(t)[:-1]}456789Z", "stream": "stdout", "_p": "F", "log": written(e), "kubernetes": POD})),
    "Fluent Bit that merges": ("json", lines(lambda n, t, e: {"time": t.timestamp(), "stream": "stdout", "log": written(e), **e, "kubernetes": POD})),
    "Vector in Kubernetes": ("json", lines(lambda n, t, e: {"file": "/var/log/pods/0.log", "kubernetes": POD, "message": written(e), "source_type": "kubernetes_logs", "timestamp": iso(t)})),
    "Filebeat to a file": ("logstash", lines(lambda n, t, e: {"@timestamp": iso(t), "@metadata": {"beat": "filebeat", "version": "8.15.0"}, "message": written(e), "log": {"offset": 200 * n}, "ecs": {"version": "8.0.0"}, "host": {"ip": ["10.0.0.1"]}})),
    "Elastic Agent with ndjson": ("logstash", lines(lambda n, t, e: {"@timestamp": iso(t), "data_stream": {"type": "logs"}, "json": e, "log": {"offset": 200 * n}})),
    "FireLens on S3": ("json", lines(lambda n, t, e: {"date": iso(t), "container_id": "957b", "ecs_task_arn": "arn:aws:ecs:x", "log": written(e), "source": "stdout"})),
    "GKE": ("gcp_logging", lines(lambda n, t, e: {"insertId": f"{n:x}", "jsonPayload": e, "labels": {"k8s-pod/app": "ml"}, "logName": "projects/p/logs/stdout", "receiveTimestamp": iso(t), "resource": {"type": "k8s_container"}, "timestamp": iso(t)})),
    "Cloud Logging from BigQuery": ("gcp_logging", lines(lambda n, t, e: {"insertId": f"{n:x}", "jsonPayload": e, "logName": "l", "resource": {"type": "k8s_container"}, "receiveTimestamp": f"{t:%Y-%m-%d %H:%M:%S.%f} UTC", "timestamp": f"{t:%Y-%m-%d %H:%M:%S.%f} UTC"})),
    "Logstash 8": ("logstash", lines(lambda n, t, e: {"@timestamp": iso(t), "@version": "1", "event": {"original": written(e)}, "host": {"name": "a"}, **e})),
    "journald": ("json", lines(lambda n, t, e: {"__REALTIME_TIMESTAMP": str(round(t.timestamp() * 1e6)), "_PID": "42", "PRIORITY": "6", "MESSAGE": written(e)})),
    "Firehose without line ends": ("json_documents", lambda rows: "".join(written({"time": iso(t), **e}) for _, t, e in rows)),
    "Lambda through a subscription": ("cloudwatch", pages(of_lambda)),
    "pages of a scroll": ("elasticsearch", pages(found_by_elasticsearch)),
    "Application Insights": ("azure_monitor", lines(lambda n, t, e: {"TimeGenerated": f"{iso(t)[:-1]}4567Z", "Name": "x", "Properties": written(e), "OperationId": f"o{n % 20}", "Type": "AppEvents", "TenantId": "t"})),
}  # fmt: skip

REQUESTS = {
    "App Service": ("azure_monitor", lambda t, q: {"time": iso(t), "resourceId": "/S/1", "category": "AppServiceHTTPLogs", "properties": written({"CsUriStem": "/click", "CsUriQuery": q, "ScStatus": "200"})}),
    "a load balancer of Google's": ("gcp_logging", lambda t, q: {"insertId": f"{q}", "httpRequest": {"requestUrl": f"https://a.example/click?{q}", "status": 302}, "logName": "projects/p/logs/requests", "receiveTimestamp": iso(t), "resource": {"type": "http_load_balancer"}, "timestamp": iso(t)}),
    "Caddy": ("json", lambda t, q: {"level": "info", "ts": t.timestamp(), "request": {"method": "GET", "uri": f"/click?{q}", "headers": {"Accept": ["*/*"]}}, "status": 200}),
    "Traefik": ("json", lambda t, q: {"RequestCount": t.minute, "RequestPath": f"/click?{q}", "StartUTC": iso(t), "time": iso(t)[:19] + "Z"}),
    "Application Gateway": ("azure_monitor", lambda t, q: {"timeStamp": iso(t), "resourceId": "/S/1", "category": "ApplicationGatewayAccessLog", "properties": {"requestUri": "/click", "requestQuery": q, "originalRequestUriWithArgs": f"/click?{q}"}}),
}  # fmt: skip


def rows(outcomes):
    for n in range(ROWS):
        event = {"request_id": f"req-{n:04d}"} | ({"kind": "click"} if outcomes else {"score": n / 8})
        yield n, START + datetime.timedelta(minutes=n, seconds=20 * outcomes, milliseconds=7 * n), event


def build(folder, monkeypatch, served, happened):
    monkeypatch.chdir(folder)
    (folder / "served.log").write_text(served)
    (folder / "clicks.log").write_text(happened)
    result = CliRunner().invoke(command, ["--predictions", "served.log", "--outcomes", "click=clicks.log", "--json"])
    assert result.exit_code == 0, result.exception
    complete = {"click": START + datetime.timedelta(days=1)}
    built = build_day(check_project("retrolabel.yaml"), START.date(), complete, choose_runner([])).manifest
    assert [built.accounting[name].rejected for name in ("predictions", "click")] == [0, 0]
    assert (built.accounting["predictions"].examples, built.accounting["click"].attributed) == (ROWS, ROWS)
    return json.loads(result.stdout)["sources"]


@pytest.mark.parametrize("name", APPLICATIONS)
def test_logs_of_applications(tmp_path, monkeypatch, name):
    layout, make = APPLICATIONS[name]
    sources = build(tmp_path, monkeypatch, make(list(rows(0))), make(list(rows(1))))
    assert {(source["format"], *source["key"]) for source in sources.values()} == {(layout, "request_id")}


@pytest.mark.parametrize("name", REQUESTS)
def test_logs_of_requests(tmp_path, monkeypatch, name):
    layout, wrap = REQUESTS[name]
    served = lines(lambda n, t, e: {"time": iso(t), **e})(rows(0))
    clicks = lines(lambda n, t, e: wrap(t, f"pid={e['request_id']}&n={n}"))(rows(1))
    click = build(tmp_path, monkeypatch, served, clicks)["click"]
    assert (click["format"], click["key"]) == (layout, ["pid"])
    assert click["id"] in (None, "insert_id")
