"""init, check, build and show, as a user runs them, on small logs such as systems write them."""

import datetime
import gzip
import json
import urllib.parse

import pytest
from click.testing import CliRunner

from retrolabel.pipelines.cli import commands

START = datetime.datetime(2026, 11, 20, 9, tzinfo=datetime.UTC)
ROWS = 60


def run(*arguments):
    result = CliRunner().invoke(commands, arguments)
    assert result.exit_code == 0, (arguments, result.output, result.exception)
    return result.output


def at(n, clicked=False):
    return START + datetime.timedelta(minutes=n, seconds=17 * clicked)


def token(n):
    return f"{n * 2654435761 % 2**32:08x}-{n:04d}"


def iso(moment, decimals=3):
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{'0' * decimals}Z"


def lines(*texts):
    return "".join(f"{text}\n" for text in texts).encode()


def fluentd():
    """Fluentd's own time and tag before the application's record; clicks with numbers as texts."""
    serving = (f"{at(n):%Y-%m-%dT%H:%M:%S+00:00}\tml.serving\t" + json.dumps({"request_id": 9_100_000 + 37 * n, "model": "m-3", "score": n / 8,
               "event_time": at(n).timestamp() + 0.25}) for n in range(ROWS))  # fmt: skip
    clicks = (f"{at(n):%Y-%m-%dT%H:%M:%S+00:00}\tweb.click\t" + json.dumps({"request_id": str(9_100_000 + 37 * n), "event_time": at(n, True).timestamp()})
              for n in range(0, ROWS, 2))  # fmt: skip
    return {"serving.20261120_0.log.gz": gzip.compress(lines(*serving)), "clicks.20261120.log": lines(*clicks)}


def logstash():
    """ECS, flat and nested names, the application's own under labels."""
    serving = ({"@timestamp": iso(at(n)), "@version": "1", "log.level": "INFO", "message": "served", "ecs": {"version": "1.12.0"},
                "service": {"name": "ranker"}, "trace": {"id": token(n)}, "labels": {"predictionId": token(n + 500), "score": n / 4}}
               for n in range(ROWS))  # fmt: skip
    clicks = ({"@timestamp": iso(at(n, True)), "@version": "1", "event": {"action": ("click", "hover")[n % 3 == 0], "id": token(n + 900)},
               "labels": {"prediction_id": token(n + 500)}, "host": {"name": "web-1"}} for n in range(0, ROWS, 2))  # fmt: skip
    return {
        "ranker-2026.11.20.log": lines(*map(json.dumps, serving)),
        "web-2026.11.20.log": lines(*map(json.dumps, clicks)),
    }


def containers():
    """Docker's json-file for the predictions, the kubelet's files for the clicks; other words between."""
    serving = [{"log": json.dumps({"ts": at(n).timestamp(), "req": token(n), "features": {"age": n, "country": "DE"}, "score": n / 4}) + "\n",
                "stream": "stdout", "time": iso(at(n), 9)} for n in range(ROWS)]  # fmt: skip
    clicks = [f'{iso(at(n, True), 9)} stdout F {json.dumps({"ts": at(n, True).isoformat(), "requestId": token(n)})}' for n in range(0, ROWS, 2)]  # fmt: skip
    return {"0a1b-json.log": lines(*map(json.dumps, serving)), "0.log": lines(*clicks)}


def fluentbit_kubernetes():
    """Fluent Bit's records of containers, with `log` as text and what its filter adds, against the same merged."""
    around = {"stream": "stdout", "logtag": "F", "kubernetes": {"pod_name": "ranker-7", "namespace_name": "ml", "labels": {"app.kubernetes.io/name": "ranker"}}}  # fmt: skip
    serving = ({"date": at(n).timestamp() + 0.001, "log": json.dumps({"requestId": token(n), "userId": n % 9, "score": n / 4, "at": iso(at(n))}), **around}
               for n in range(ROWS))  # fmt: skip
    clicks = (
        {"date": at(n, True).timestamp() + 0.002, **around, "requestId": token(n), "kind": "click"}
        for n in range(0, ROWS, 2)
    )
    return {"serving/kube.log": lines(*map(json.dumps, serving)), "clicks/kube.log": lines(*map(json.dumps, clicks))}


def google():
    """Routed LogEntries; whole numbers of jsonPayload are doubles."""

    def entry(n, clicked, payload):
        return {"insertId": token(n + 3000 + 1000 * clicked), "jsonPayload": payload, "logName": "projects/p/logs/app",
                "receiveTimestamp": iso(at(n + 1), 9), "resource": {"labels": {"pod_name": "a"}, "type": "k8s_container"}, "severity": "INFO",
                "timestamp": iso(at(n, clicked), 9)}  # fmt: skip

    serving = (entry(n, False, {"prediction_id": 5_000_000.0 + 91 * n, "score": n / 4}) for n in range(ROWS))
    clicks = (entry(n, True, {"predictionId": str(5_000_000 + 91 * n), "element": "buy"}) for n in range(0, ROWS, 2))
    return {
        "09:00:00_09:59:59_S0.json": lines(*map(json.dumps, serving)),
        "09_clicks_S0.json": lines(*map(json.dumps, clicks)),
    }


def cloudwatch():
    """Subscription objects without line ends between them, as Firehose leaves them."""

    def batches(clicked, messages):
        for first in range(0, len(messages), 7):
            events = [{"id": f"{n + 10**7 * clicked:056d}", "timestamp": round(at(n, clicked).timestamp() * 1000), "message": json.dumps(message)}
                      for n, message in messages[first : first + 7]]  # fmt: skip
            yield json.dumps({"messageType": "DATA_MESSAGE", "owner": "1", "logGroup": "/aws/ml", "logStream": "a", "subscriptionFilters": ["f"], "logEvents": events})  # fmt: skip

    serving = "".join(batches(False, [(n, {"inferenceId": token(n), "score": n / 4}) for n in range(ROWS)]))
    clicks = "".join(batches(True, [(n, {"inference_id": token(n), "type": "click"}) for n in range(0, ROWS, 2)]))
    return {
        "serving-1-2026-11-20-09": gzip.compress(serving.encode()),
        "clicks-1-2026-11-20-09": gzip.compress(clicks.encode()),
    }


def nginx():
    """JSON predictions; clicks are requests with the key in the query."""
    serving = ({"time": iso(at(n)), "impression_id": token(n), "slot": n % 4} for n in range(ROWS))
    clicks = (f'10.1.{n}.7 - - [{at(n, True):%d/%b/%Y:%H:%M:%S +0000}] "GET /c?{urllib.parse.urlencode({"imp": token(n), "to": "/shop/a b"})} HTTP/1.1" 302 0 '
              f'"https://example.org/" "Mozilla/5.0 (X11; Linux x86_64)"' for n in range(0, ROWS, 2))  # fmt: skip
    return {"serving.jsonl": lines(*map(json.dumps, serving)), "access.log": lines(*clicks)}


def elasticsearch():
    """elasticdump lines; the predictions' key is the document's id, which the clicks name."""
    serving = ({"_index": "predictions-2026.11", "_type": "_doc", "_id": token(n), "_score": 1,
                "_source": {"@timestamp": iso(at(n)), "user": {"id": f"u{n % 9}"}, "score": n / 4}} for n in range(ROWS))  # fmt: skip
    clicks = ({"_index": "clicks-2026.11", "_type": "_doc", "_id": token(n + 700), "_score": 1,
               "_source": {"@timestamp": iso(at(n, True)), "user": {"id": f"u{n % 9}"}, "prediction": {"id": token(n)}}} for n in range(0, ROWS, 2))  # fmt: skip
    return {"predictions.ndjson": lines(*map(json.dumps, serving)), "clicks.ndjson": lines(*map(json.dumps, clicks))}


def azure():
    """PT1H.json, with `properties` as JSON in a string."""

    def entry(n, clicked, properties):
        return {"time": iso(at(n, clicked), 7), "resourceId": "/SUBSCRIPTIONS/1/RESOURCEGROUPS/ML", "category": "AppServiceConsoleLogs",
                "operationName": "Microsoft.Web/sites/log", "level": "Informational", "properties": json.dumps(properties)}  # fmt: skip

    folder = "resourceId=/SUBSCRIPTIONS/1/y=2026/m=11/d=20/h=09/m=00/PT1H.json"
    serving = (entry(n, False, {"RequestId": token(n), "Score": n / 4}) for n in range(ROWS))
    clicks = (entry(n, True, {"RequestId": token(n), "Type": "click"}) for n in range(0, ROWS, 2))
    return {f"serving/{folder}": lines(*map(json.dumps, serving)), f"clicks/{folder}": lines(*map(json.dumps, clicks))}


def tables():
    """CSV out of a database: a header in odd case, a number for each row, a byte-order mark and CR LF."""
    serving = [
        "ID;Created At;Customer ID;Score",
        *(f"{n + 1};{at(n):%Y-%m-%d %H:%M:%S};{n % 9};{n / 4}" for n in range(ROWS)),
    ]
    clicks = ["ID;CREATED_AT;PredictionID;Kind", *(f"{n + 1};{at(n, True):%Y-%m-%d %H:%M:%S};{n + 1};click" for n in range(0, ROWS, 2))]  # fmt: skip
    return {
        "predictions.csv": "\ufeff".encode() + "\r\n".join(serving).encode(),
        "clicks.csv": "\r\n".join([*clicks, ""]).encode(),
    }


FLOWS = {
    fluentd: (("fluentd", "fluentd"), "request_id", "event_time"),
    logstash: (("logstash", "logstash"), "prediction_id", "timestamp"),
    containers: (("docker", "cri"), "request_id", "ts"),
    fluentbit_kubernetes: (("json", "json"), "request_id", "date"),
    google: (("gcp_logging", "gcp_logging"), "prediction_id", "timestamp"),
    cloudwatch: (("cloudwatch", "cloudwatch"), "inference_id", "timestamp"),
    nginx: (("json", "access_log"), "imp", "time"),
    elasticsearch: (("elasticsearch", "elasticsearch"), "prediction_id", "timestamp"),
    azure: (("azure_monitor", "azure_monitor"), "request_id", "time"),
    tables: (("csv", "csv"), "prediction_id", "created_at"),
}


@pytest.mark.parametrize("make", FLOWS, ids=lambda make: make.__name__)
def test_a_user_gets_from_logs_to_a_dataset(tmp_path, monkeypatch, make):
    monkeypatch.chdir(tmp_path)
    (serving, clicks), key, time = FLOWS[make]
    for path, text in (files := make()).items():
        (tmp_path / "logs" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "logs" / path).write_bytes(text)
    predicted, happened = (f"logs/{path}" for path in files)
    found = json.loads(run("init", "--predictions", predicted, "--outcomes", f"click={happened}", "--json"))
    sources = found["sources"]
    assert (sources["predictions"]["format"], sources["click"]["format"]) == (serving, clicks)
    assert (sources["click"]["key"], sources["click"]["time"]) == ([key], time)
    assert found["date"] == "2026-11-20"
    run("check", "retrolabel.yaml")
    run("build", "retrolabel.yaml", "--date", "2026-11-20", "--outcomes-complete-until", "2026-11-29T00:00:00Z")
    day = json.loads(run("show", "datasets/examples", "--json"))
    assert day["accounting"]["predictions"]["rejected"] == day["accounting"]["click"]["rejected"] == 0
    assert day["accounting"]["click"]["orphan"] == 0
    labels = [split["labels"]["click"]["values"] for split in day["splits"].values()]
    assert [sum(values.get(word, 0) for values in labels) for word in ("true", "false")] == [ROWS // 2, ROWS // 2]
