"""Cloud Logging, asked through Google's own client: every entry once, whatever the network and the quota do."""

import datetime
import itertools
import json

import grpc
import pytest
from google.cloud.logging_v2.types import LogEntry

from retrolabel.schemas.errors import InputError
from retrolabel.transforms.apis import gcp_logging
from retrolabel.transforms.apis.gcp_logging import answers, lines, reaches, slices
from retrolabel.transforms.apis.interface import NotThereError, Query
from tests.support.cloud_logging import Service, serve
from tests.support.network import cutting

DAY = datetime.datetime(2026, 11, 20, tzinfo=datetime.UTC)
BEGIN = round(DAY.timestamp() * 1e6)
END = BEGIN + 86_400_000_000


@pytest.fixture
def service():
    service = Service()
    for number in range(2500):
        moment = DAY + datetime.timedelta(seconds=number // 5 * 100, microseconds=7 * (number % 2))
        service.entries.append(
            LogEntry(
                log_name="projects/shop-prod/logs/serving",
                insert_id=f"i{number * 7919 % 2500:05d}",
                timestamp=moment,
                json_payload={"id": str(number), "kind": "click" if number % 2 else "view", "score": 0.5},
                resource={"type": "k8s_container", "labels": {"pod_name": "serving-1"}},
            )
        )
    return service


@pytest.fixture
def port(service, monkeypatch):
    server, port = serve(service)
    use(monkeypatch, port)
    yield port
    server.stop(None).wait()


def use(monkeypatch, port: int) -> None:
    monkeypatch.setenv("LOGGING_EMULATOR_HOST", f"127.0.0.1:{port}")
    gcp_logging._client.cache_clear()


def query(text: str = "", resource: str = "projects/shop-prod", patience: float = 600.0) -> Query:
    return Query("gcp_logging", resource, text, ("jsonPayload", "at"), None, patience)


def read(asked: Query, begin: int = BEGIN, end: int = END) -> list[dict]:
    return [json.loads(line) for piece in lines(asked, begin, end) for line in piece.splitlines()]


def test_all_entries_come_once_page_by_page_in_the_order_of_the_service(service, port):
    found = read(query())
    order = [(datetime.datetime.fromisoformat(entry["timestamp"]), entry["insertId"]) for entry in found]
    assert order == sorted(order)
    assert sorted(int(entry["jsonPayload"]["id"]) for entry in found) == list(range(2500))
    assert len(service.requests) == 3
    assert found[0]["resource"] == {"type": "k8s_container", "labels": {"pod_name": "serving-1"}}


def test_the_filter_and_the_time_range_are_the_services_work(service, port):
    found = read(query('jsonPayload.kind="click" -- only those'), BEGIN, BEGIN + 3_600_000_000)
    assert {entry["jsonPayload"]["kind"] for entry in found} == {"click"}
    assert service.requests[0].filter == (
        '(\njsonPayload.kind="click" -- only those\n) AND timestamp >= "2026-11-20T00:00:00Z" AND timestamp < "2026-11-20T01:00:00Z"'
    )


def test_slices_cover_the_time_without_gaps_and_are_of_a_block_each(service, port, monkeypatch):
    monkeypatch.setattr(gcp_logging, "SLICE_BYTES", 40_000)
    cut = list(slices(query(), BEGIN, END))
    assert len(cut) > 10
    assert (cut[0].begin, cut[-1].end) == (BEGIN, END)
    assert all(one.end == other.begin for one, other in itertools.pairwise(cut))
    sizes = [sum(map(len, lines(query(), part.begin, part.end))) for part in cut]
    assert max(sizes) < 2 * 40_000
    assert sum(sizes) == sum(map(len, lines(query(), BEGIN, END)))
    assert list(slices(query(), BEGIN, END)) == cut


def test_little_is_one_slice_and_one_request(service, port):
    (part,) = slices(query(), BEGIN, BEGIN + 3_600_000_000)
    assert (part.begin, part.end, len(service.requests)) == (BEGIN, BEGIN + 3_600_000_000, 1)
    assert part.size > 1000


def test_a_page_without_entries_is_not_the_end(service, port):
    service.empty_pages = 2
    assert len(read(query())) == 2500


def test_a_connection_cut_in_the_middle_of_a_page_costs_no_entry_and_doubles_none(service, port, monkeypatch):
    with cutting(port, 5_000, 120_000) as proxy:
        use(monkeypatch, proxy.port)
        found = read(query())
    assert proxy.cut == 2
    assert sorted(int(entry["jsonPayload"]["id"]) for entry in found) == list(range(2500))


@pytest.mark.parametrize(
    "code", [grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL]
)
def test_what_heals_is_asked_again(service, port, code):
    service.failures = [(code, "try again")] * 2
    assert len(read(query())) == 2500
    assert len(service.requests) == 5


def test_a_quota_that_stays_used_up_is_told(service, port):
    service.failures = [(grpc.StatusCode.RESOURCE_EXHAUSTED, "Quota exceeded for 'Read requests'")] * 100
    with pytest.raises(
        InputError, match=r"the read quota of Cloud Logging is used up \(Quota exceeded.*asked again for 1 s in vain"
    ):
        read(query(patience=1.0))


@pytest.mark.parametrize(
    ("code", "kind", "told"),
    [
        (grpc.StatusCode.PERMISSION_DENIED, InputError, "refuses the credentials .*roles/logging.viewer"),
        (grpc.StatusCode.UNAUTHENTICATED, InputError, "refuses the credentials"),
        (grpc.StatusCode.INVALID_ARGUMENT, InputError, "does not understand the request, perhaps the 'filter'"),
    ],
)
def test_what_does_not_heal_is_told_at_once(service, port, code, kind, told):
    service.failures = [(code, "no")]
    with pytest.raises(kind, match=told):
        read(query())
    assert len(service.requests) == 1


def test_a_project_that_does_not_exist_is_told(service, port):
    with pytest.raises(NotThereError, match="projects/nothing: Cloud Logging does not know it"):
        list(slices(query(resource="projects/nothing"), BEGIN, END))


def test_without_credentials_the_way_to_them_is_told(monkeypatch):
    monkeypatch.delenv("LOGGING_EMULATOR_HOST", raising=False)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere/key.json")
    gcp_logging._client.cache_clear()
    with pytest.raises(InputError, match=r"no credentials for Google Cloud .*gcloud auth application-default login"):
        read(query())


def test_a_payload_of_an_unknown_type_is_kept_as_it_is(service, port):
    entry = LogEntry(log_name="projects/shop-prod/logs/audit", insert_id="a", timestamp=DAY)
    LogEntry.pb(entry).proto_payload.type_url = "type.googleapis.com/shop.Unknown"
    LogEntry.pb(entry).proto_payload.value = b"\x08\x01"
    service.entries = [entry]
    (found,) = read(query())
    assert found["protoPayload"] == {"@type": "type.googleapis.com/shop.Unknown", "value": "CAE="}
    assert found["insertId"] == "a"


@pytest.mark.parametrize(
    ("path", "is_resource"),
    [
        ("projects/shop-prod", True),
        ("organizations/123", True),
        ("projects/p/locations/global/buckets/b/views/_AllLogs", True),
        ("projects/p/logs/2026.json", False),
        ("gs://bucket/serving/*.json", False),
        ("logs/*.json", False),
    ],
)
def test_names_of_projects_are_told_from_files(path, is_resource):
    assert answers(path) == is_resource


def test_whether_a_log_goes_on_is_told(service, port):
    service.empty_pages = 1
    assert reaches(query(), BEGIN + 3_600_000_000)
    assert not reaches(query(), END)
