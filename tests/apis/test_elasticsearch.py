"""Elasticsearch and its kin: every document once, by whichever way the server knows, whatever the network does."""

import datetime
import itertools
import json

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from retrolabel.configs.model import Auth, Secret
from retrolabel.schemas.errors import InputError
from retrolabel.transforms.apis import elasticsearch
from retrolabel.transforms.apis.elasticsearch import lines, reaches, slices
from retrolabel.transforms.apis.interface import NotThereError, Query
from tests.support.network import cutting
from tests.support.search_server import Store, basic, complaint, serving

DAY = datetime.datetime(2026, 11, 20, tzinfo=datetime.UTC)
BEGIN = round(DAY.timestamp() * 1e6)
END = BEGIN + 86_400_000_000
KINDS = ["elasticsearch", "opensearch", "old"]


@pytest.fixture(params=KINDS)
def store(request):
    return a_store(request.param)


def a_store(kind) -> Store:
    """2500 documents of the day, 1000 of them in one millisecond, and one before and after."""
    documents = {}
    for number in range(2500):
        moment = DAY + datetime.timedelta(seconds=0 if number % 5 < 2 else number * 30)
        documents[f"d{number}"] = {
            "@timestamp": moment.isoformat(),
            "n": number,
            "kind": "click" if number % 2 else "view",
        }
    for number, moment in enumerate([DAY - datetime.timedelta(milliseconds=1), DAY + datetime.timedelta(days=1)]):
        documents[f"outside{number}"] = {"@timestamp": moment.isoformat(), "n": -1, "kind": "view"}
    return Store(kind, {"clicks-2026.11.20": documents})


@pytest.fixture
def port(store):
    with serving(store) as port:
        yield port


def query(
    port: int, text: str = "", index: str = "clicks-*", auth: Auth | None = None, patience: float = 600.0
) -> Query:
    return Query("elasticsearch", f"http://127.0.0.1:{port}/{index}", text, ("@timestamp",), auth, patience)


def read(asked: Query) -> list[dict]:
    return [json.loads(line) for piece in lines(asked, BEGIN, END) for line in piece.splitlines()]


def numbers(found: list[dict]) -> list[int]:
    return sorted(document["_source"]["n"] for document in found)


def test_all_documents_of_the_time_come_once_by_every_kind_of_server(store, port):
    found = read(query(port))
    assert numbers(found) == list(range(2500))
    assert found[0].keys() == {"_index", "_id", "_source"}
    assert store.open == {}, "points in time and scrolls are closed"
    used = {path for path in store.paths() if path.startswith("POST")}
    assert ("POST /_search/scroll" in used) == (store.kind == "old")


def test_a_slice_has_the_same_bytes_however_often_it_is_read(store, port):
    assert b"".join(lines(query(port), BEGIN, END)) == b"".join(lines(query(port), BEGIN, END))


def test_filters_are_a_query_string_or_json(store, port):
    assert numbers(read(query(port, "kind:click"))) == list(range(1, 2500, 2))
    assert numbers(read(query(port, '{"term": {"n": 7}}'))) == [7]


def test_slices_cover_the_time_without_gaps_and_are_of_a_block_each(store, port, monkeypatch):
    monkeypatch.setattr(elasticsearch, "SLICE_BYTES", 20_000)
    cut = list(slices(query(port), BEGIN, END))
    assert len(cut) > 5
    assert (cut[0].begin, cut[-1].end) == (BEGIN, END)
    assert all(one.end == other.begin for one, other in itertools.pairwise(cut))
    found = [b"".join(lines(query(port), part.begin, part.end)) for part in cut]
    assert sum(text.count(b"\n") for text in found) == 2500
    assert sum(len(text) > 30_000 for text in found) == 1, "a thousand documents of one moment stay together"


def test_a_connection_cut_in_the_middle_of_a_page_costs_no_document_and_doubles_none(store, port):
    # Behind the proxy each request that follows a cut is a new connection.
    with cutting(port, 60_000, 30_000, 200) as proxy:
        found = read(query(proxy.port))
    assert proxy.cut == 3
    assert numbers(found) == list(range(2500))


def test_a_server_that_forgets_its_context_is_asked_from_the_beginning(store, port):
    store.forgets = 1
    assert numbers(read(query(port))) == list(range(2500))


@pytest.mark.parametrize("status", [429, 502, 503])
def test_what_heals_is_asked_again(store, port, status):
    store.failures = [("_search", status, {}), ("scroll" if store.kind == "old" else "_search", status, {})]
    assert numbers(read(query(port))) == list(range(2500))
    assert not store.failures


def test_shards_that_did_not_answer_are_asked_again(store, port):
    partial = {"timed_out": False, "_shards": {"total": 3, "failed": 1}, "hits": {"total": {"value": 0}, "hits": []}}
    store.failures = [("_search", 200, partial)]
    assert numbers(read(query(port))) == list(range(2500))


def test_whether_a_log_goes_on_is_told(store, port):
    assert reaches(query(port), END)
    assert not reaches(query(port), END + 1_000)


@pytest.mark.parametrize("kind", ["elasticsearch"])
def test_a_server_that_stays_too_busy_is_told(kind):
    store = a_store(kind)
    store.failures = [("_pit", 429, complaint("es_rejected_execution_exception", "queue is full"))] * 1000
    with (
        serving(store) as port,
        pytest.raises(InputError, match=r"too much to do \(429 es_rejected.*asked again for 1 s in vain"),
    ):
        read(query(port, patience=1.0))


def test_an_answer_with_fewer_documents_than_counted_is_no_answer():
    store = a_store("old")
    empty = {"hits": {"total": {"value": 2500}, "hits": []}, "_scroll_id": "x"}
    store.failures = [("/_search/scroll", 200, empty)]
    with serving(store) as port:
        assert numbers(read(query(port))) == list(range(2500))


@pytest.mark.parametrize("index", ["nothing", "no-*"])
def test_a_missing_index_is_told(store, port, index):
    with pytest.raises(NotThereError, match=f"127.0.0.1:{port}/{index.replace('*', '[*]')}: no index of that name"):
        list(slices(query(port, index=index), BEGIN, END))


def test_a_filter_that_the_server_cannot_read_is_told(store, port):
    with pytest.raises(
        InputError, match=r"does not understand the request \(400 query_shard_exception: Failed to parse query"
    ):
        list(slices(query(port, "kind:("), BEGIN, END))


def test_a_server_that_is_not_there_is_told():
    with pytest.raises(InputError, match=r"http://127[.]0[.]0[.]1:9/clicks-.*: no complete answer .*asked again"):
        read(query(9, patience=0.3))


@pytest.fixture
def guarded():
    store = a_store("elasticsearch")
    with serving(store) as port:
        yield store, port


def test_a_password_from_the_environment_and_a_key_from_a_file(guarded, monkeypatch, tmp_path):
    store, port = guarded
    store.authorization = basic("reader", "pässword")
    monkeypatch.setenv("ES_PASSWORD", "pässword")
    assert len(read(query(port, auth=Auth(user="reader", password=Secret(env="ES_PASSWORD"))))) == 2500
    store.authorization = "ApiKey c2VjcmV0"
    (tmp_path / "key").write_text("c2VjcmV0\n")
    assert len(read(query(port, auth=Auth(api_key=Secret(file=str(tmp_path / "key")))))) == 2500


def test_refused_credentials_are_told_without_them(guarded, monkeypatch):
    store, port = guarded
    store.authorization = basic("reader", "right")
    monkeypatch.setenv("WRONG_PASSWORD", "hunter2")
    with pytest.raises(
        InputError, match=r"the server refuses the credentials \(401 security_exception\); see 'auth'"
    ) as told:
        read(query(port, auth=Auth(user="reader", password=Secret(env="WRONG_PASSWORD"))))
    assert "hunter2" not in str(told.value)
    assert len(store.requests) == 1


def test_a_secret_that_is_not_there_is_told(guarded, tmp_path):
    with pytest.raises(InputError, match=r"the environment has no variable 'NO_SUCH_VARIABLE'"):
        read(query(guarded[1], auth=Auth(api_key=Secret(env="NO_SUCH_VARIABLE"))))
    with pytest.raises(
        InputError, match=r"cannot read the secret in '.*/nothing', which 'auth' names: FileNotFoundError"
    ):
        read(query(guarded[1], auth=Auth(api_key=Secret(file=str(tmp_path / "nothing")))))


def test_the_machines_netrc_signs_nothing(guarded, monkeypatch, tmp_path):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login someone password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    read(query(guarded[1], patience=1.5))
    assert guarded[0].requests
    assert not any("Authorization" in asked.headers for asked in guarded[0].requests)


@pytest.mark.parametrize("service", ["es", "aoss"])
def test_requests_to_aws_are_signed_as_aws_checks_them(guarded, monkeypatch, service):
    store, port = guarded
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI")
    assert len(read(query(port, auth=Auth(aws_region="eu-west-1", aws_service=service)))) == 2500
    for asked in store.requests:
        headers = {name.lower(): value for name, value in asked.headers.items()}
        signed = headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
        assert {"host", "x-amz-date"} <= set(signed)
        assert ("x-amz-content-sha256" in signed) == (service == "aoss")
        request = AWSRequest(
            asked.method, f"http://127.0.0.1:{port}{asked.url}", {name: headers[name] for name in signed}, asked.body
        )
        request.context["timestamp"] = headers["x-amz-date"]
        signer = SigV4Auth(Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI"), service, "eu-west-1")
        wanted = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
        assert headers["authorization"].endswith(f"Signature={wanted}")
        assert "wJalrXUtnFEMI" not in str(headers)
