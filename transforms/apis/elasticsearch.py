"""`elasticsearch` from the API: documents of Elasticsearch, OpenSearch and Amazon's services.

A slice is read from a point in time with `search_after`, page after page
(https://www.elastic.co/guide/en/elasticsearch/reference/current/paginate-search-results.html,
https://docs.opensearch.org/latest/search-plugins/searching-data/point-in-time/); by scroll where a server has no points in time. Slices are
stretches of time, cut by a `date_histogram`, and not the slices that a point in time can be cut into: those hold other documents each time.
A line is the document as `elasticdump` writes it: `_index`, `_id` and `_source`. What comes back is held until the slice is complete, checked
against the server's own count, and sorted, so that a slice has the same bytes however often it is read.
"""

import functools
import json
import math
import threading
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import msgspec
import requests

from retrolabel.configs.model import Auth
from retrolabel.schemas.errors import InputError
from retrolabel.transforms.apis.interface import Api, NotThereError, Query, Slice, rfc3339, secret_of
from retrolabel.transforms.apis.retry import Gate, Transient, patiently

SLICE_BYTES = 8 * 2**20
"""Text of one slice: that of a block."""

_BUCKETS = 2000
_INTERVALS = (1, 10, 60, 600, 3600, 86400)
"""Seconds of a bucket of the histogram: the first of which a stretch of time has not more than `_BUCKETS`."""

_MOST_PARTS = 10_000
"""Slices of one bucket, whatever the server counts in it."""

_KEEP = "5m"
"""How long the server keeps a point in time, or a scroll, between two requests."""

PAGE = 1000
"""Documents a request."""

_TIMEOUT = (10.0, 120.0)
_MILLI = 1000

_gate = Gate()


class _Hit(msgspec.Struct, rename={"index": "_index", "id": "_id", "source": "_source"}):
    index: str
    id: str
    source: msgspec.Raw = msgspec.Raw(b"{}")
    sort: list[Any] = []


class _Total(msgspec.Struct):
    value: int


class _Hits(msgspec.Struct):
    hits: list[_Hit]
    total: _Total | int | None = None


class _Shards(msgspec.Struct, frozen=True):
    total: int = 0
    failed: int = 0


class _Bucket(msgspec.Struct):
    key: int | float
    doc_count: Annotated[int, msgspec.Meta(ge=0)]


class _Buckets(msgspec.Struct):
    buckets: list[_Bucket]


class _Answer(msgspec.Struct, rename={"shards": "_shards", "scroll": "_scroll_id"}):
    hits: _Hits
    shards: _Shards = _Shards()
    timed_out: bool = False
    scroll: str | None = None
    pit_id: str | None = None
    aggregations: dict[str, _Buckets] = {}


def answers(path: str) -> bool:
    """Whether a path is a URL: `https://HOST:PORT/INDEX`, with wildcards in INDEX as the server knows them."""
    return path.startswith(("https://", "http://"))


def slices(query: Query, begin: int, end: int) -> Iterator[Slice]:
    """Packs the buckets of a histogram of the documents' times into slices."""
    begin, end = begin // _MILLI * _MILLI, math.ceil(end / _MILLI) * _MILLI
    interval = next(size for size in _INTERVALS if (end - begin) / 1e6 / size <= _BUCKETS or size == _INTERVALS[-1])
    histogram = {"field": _field(query), "fixed_interval": f"{interval}s", "min_doc_count": 1}
    answer = _Store(query).search(
        {"size": 20, "query": _wanted(query, begin, end), "aggs": {"t": {"date_histogram": histogram}}}
    )
    if not answer.shards.total:
        raise NotThereError(f"{query.resource}: no index of that name")
    width = sum(len(_line(hit)) for hit in answer.hits.hits) / max(len(answer.hits.hits), 1)
    start, size = begin, 0.0
    if "t" not in answer.aggregations:
        raise _nothing_known(query.resource)
    for bucket in answer.aggregations["t"].buckets:
        bucket_begin = min(max(int(bucket.key) * _MILLI, start), end)
        bucket_end = min(max(int(bucket.key) * _MILLI + interval * 1_000_000, bucket_begin), end)
        reckoned = bucket.doc_count * width
        if size and size + reckoned > SLICE_BYTES:
            yield Slice(start, bucket_begin, round(size))
            start, size = bucket_begin, 0.0
        parts = min(max(1, round(reckoned / SLICE_BYTES)), _MOST_PARTS)
        for part in range(1, parts):
            cut = (bucket_begin + (bucket_end - bucket_begin) * part // parts) // _MILLI * _MILLI
            if cut > start:
                yield Slice(start, cut, round(reckoned / parts))
                start = cut
        size += reckoned / parts
    yield Slice(start, end, round(size))


def lines(query: Query, begin: int, end: int) -> Iterator[bytes]:
    """Reads a whole slice: again from its beginning if the server lost its point in time, or a page of a scroll."""
    store = _Store(query)
    found = patiently(lambda: store.read(begin, end), query.patience, _gate)
    yield b"".join(sorted(found))


def reaches(query: Query, moment: int) -> bool:
    """Asks for one document from that moment on."""
    answer = _Store(query).search({"size": 1, "query": _wanted(query, moment, None)})
    return bool(answer.hits.hits)


def _field(query: Query) -> str:
    path = query.time[1:] if query.time[:1] == ("_source",) else query.time
    return ".".join(path)


def _wanted(query: Query, begin: int, end: int | None) -> dict[str, Any]:
    bounds = {"gte": rfc3339(begin), "format": "strict_date_optional_time"} | (
        {"lt": rfc3339(end)} if end is not None else {}
    )
    clauses: list[Any] = [{"range": {_field(query): bounds}}]
    if query.filter:
        own = query.filter.lstrip().startswith("{")
        clauses.append(json.loads(query.filter) if own else {"query_string": {"query": query.filter}})
    return {"bool": {"filter": clauses}}


def _line(hit: _Hit) -> bytes:
    name = b'{"_index":%b,"_id":%b,"_source":' % (msgspec.json.encode(hit.index), msgspec.json.encode(hit.id))
    source = bytes(hit.source).replace(b"\n", b" ").replace(b"\r", b" ")  # a string of JSON holds neither
    return name + source + b"}\n"


def _nothing_known(resource: str) -> InputError:
    return InputError(f"{resource}: what answers is no Elasticsearch, nor OpenSearch")


class _Lost(Exception):  # noqa: N818 - a state of the server
    """The server has forgotten the point in time or the scroll, or cannot have one of this kind."""


class _Store:
    """The index of a query on its server."""

    def __init__(self, query: Query) -> None:
        host, _, index = query.resource.partition("://")[2].partition("/")
        self._base = f"{query.resource.partition('://')[0]}://{host}"
        self._index = index.strip("/") or "*"
        self._query = query

    def search(self, body: dict[str, Any]) -> _Answer:
        """One search of the index, tried again if need be."""
        ask = functools.partial(
            self._search, f"/{self._index}/_search", body, {"allow_partial_search_results": "false"}
        )
        try:
            return patiently(ask, self._query.patience, _gate)
        except _Lost:  # there was nothing to lose
            raise _nothing_known(self._query.resource) from None

    def read(self, begin: int, end: int) -> list[bytes]:
        """All lines of a slice, each once, in any order.

        Raises:
            Transient: it is worth beginning again.
            InputError: it is not.
        """
        for way in (self._by_point_in_time, self._by_open_point_in_time, self._by_scroll):
            try:
                found, total = way(begin, end)
            except _Lost:
                continue
            if len(found) != total:
                raise Transient(
                    f"{self._query.resource}: {len(found):,} documents came of {total:,} that the server counted"
                )
            return found
        raise Transient(f"{self._query.resource}: the server forgot its point in time and its scroll")

    def _by_point_in_time(self, begin: int, end: int) -> tuple[list[bytes], int]:
        """As Elasticsearch has it since 7.10."""
        opened = self._open(f"/{self._index}/_pit", "id")
        return self._after(opened, begin, end, "_shard_doc", lambda latest: self._close("/_pit", {"id": latest}))

    def _by_open_point_in_time(self, begin: int, end: int) -> tuple[list[bytes], int]:
        """As OpenSearch has it since 2.4."""
        opened = self._open(f"/{self._index}/_search/point_in_time", "pit_id")
        return self._after(
            opened, begin, end, "_id", lambda latest: self._close("/_search/point_in_time", {"pit_id": [latest]})
        )

    def _by_scroll(self, begin: int, end: int) -> tuple[list[bytes], int]:
        """As all have it. A page that was cut off is lost, for the scroll has moved on: then the slice is read again."""
        body = {"size": PAGE, "query": _wanted(self._query, begin, end), "sort": ["_doc"], "track_total_hits": True}
        answer = self._search(
            f"/{self._index}/_search", body, {"scroll": _KEEP, "allow_partial_search_results": "false"}
        )
        found: list[bytes] = []
        total = _total(answer)
        try:
            while answer.hits.hits:
                found += map(_line, answer.hits.hits)
                answer = self._search("/_search/scroll", {"scroll": _KEEP, "scroll_id": answer.scroll})
        except _Lost:
            raise Transient(f"{self._query.resource}: the server forgot its scroll") from None
        finally:
            self._close("/_search/scroll", {"scroll_id": [answer.scroll]})
        return found, total

    def _after(
        self, opened: str, begin: int, end: int, tie: str, close: Callable[[str], None]
    ) -> tuple[list[bytes], int]:
        """Page after page; a page that was cut off is asked for again."""
        sort = [{_field(self._query): "asc"}, {tie: "asc"}]
        body: dict[str, Any] = {
            "size": PAGE,
            "query": _wanted(self._query, begin, end),
            "sort": sort,
            "track_total_hits": True,
        }
        found: list[bytes] = []
        total = 0
        try:
            while True:
                body["pit"] = {"id": opened, "keep_alive": _KEEP}
                ask = functools.partial(self._search, "/_search", body, {"allow_partial_search_results": "false"})
                answer = patiently(ask, self._query.patience, _gate)
                if not found:
                    total = _total(answer)
                found += map(_line, answer.hits.hits)
                opened = answer.pit_id or opened
                if len(answer.hits.hits) < PAGE:
                    return found, total
                body["search_after"] = answer.hits.hits[-1].sort
        finally:
            close(opened)

    def _open(self, path: str, key: str) -> str:
        ask = functools.partial(self._request, "POST", path, None, {"keep_alive": _KEEP})
        answer = patiently(ask, self._query.patience, _gate)
        try:
            return str(json.loads(answer)[key])
        except (ValueError, LookupError, TypeError, RecursionError):
            raise _nothing_known(self._query.resource) from None

    def _close(self, path: str, body: dict[str, Any]) -> None:
        """Tells the server that it may forget; if it does not hear, it forgets by itself."""
        try:
            self._request("DELETE", path, body, {})
        except (Transient, InputError, _Lost):
            return

    def _search(self, path: str, body: dict[str, Any], parameters: dict[str, str] | None = None) -> _Answer:
        try:
            answer = msgspec.json.decode(self._request("POST", path, body, parameters or {}), type=_Answer)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Transient(f"{self._query.resource}: what answers is no Elasticsearch ({error})") from None
        if answer.timed_out or answer.shards.failed:
            raise Transient(
                f"{self._query.resource}: {answer.shards.failed} of {answer.shards.total} shards did not answer"
            )
        return answer

    def _request(self, method: str, path: str, body: Any, parameters: dict[str, str]) -> bytes:
        """One request; what can go wrong becomes `Transient`, `_Lost` or an `InputError` without any secret."""
        resource = self._query.resource
        data = None if body is None else msgspec.json.encode(body)
        headers = {"Content-Type": "application/json"} if data else {}
        try:
            answer = _session(self._query.auth).request(method, self._base + path, params=parameters, data=data, headers=headers,
                                                        timeout=_TIMEOUT, allow_redirects=False)  # fmt: skip
        except requests.exceptions.SSLError:
            raise InputError(
                f"{resource}: its certificate is not trusted; name its authority's file in REQUESTS_CA_BUNDLE"
            ) from None
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
            raise Transient(f"{resource}: no complete answer ({type(error).__name__})") from None
        if answer.status_code == 200:
            return answer.content
        kind, why = _complaint(answer.content)
        told = f"{answer.status_code} {kind}".strip()
        if answer.status_code in (401, 403):
            raise InputError(f"{resource}: the server refuses the credentials ({told}); see 'auth'")
        if answer.status_code == 429:
            raise Transient(
                f"{resource}: the server has too much to do ({told})",
                _seconds(answer.headers.get("Retry-After")),
                quota=True,
            )
        if answer.status_code in (500, 502, 503, 504):
            raise Transient(f"{resource}: the server does not answer ({told})")
        if kind == "index_not_found_exception":
            raise NotThereError(f"{resource}: no index of that name")
        if (
            path.endswith(("/_pit", "/point_in_time"))
            or "search_context" in kind
            or "_shard_doc" in why
            or "_id" in why
        ):
            raise _Lost
        raise InputError(f"{resource}: the server does not understand the request ({told}: {why[:300]})")


def _total(answer: _Answer) -> int:
    total = answer.hits.total
    return total.value if isinstance(total, _Total) else total or 0


def _seconds(text: str | None) -> float:
    return float(text) if text and text.isdigit() else 0.0


def _complaint(content: bytes) -> tuple[str, str]:
    """The type and the reason of an error, as servers tell them."""
    try:
        error = json.loads(content)["error"]
        cause = (error.get("root_cause") or [error])[0]
        return str(cause.get("type", error["type"])), str(cause.get("reason", ""))
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        return "", ""


_sessions = threading.local()


def _session(auth: Auth | None) -> requests.Session:
    """A connection of this thread's own, which signs its requests."""
    sessions: dict[Auth | None, requests.Session] = _sessions.__dict__.setdefault("by_auth", {})
    if auth not in sessions:
        session = sessions[auth] = requests.Session()
        session.auth = _signing(auth)
    return sessions[auth]


def _signing(auth: Auth | None) -> Callable[[requests.PreparedRequest], requests.PreparedRequest]:
    """What signs a request. Something always does: else the machine's .netrc would."""
    if auth is None:
        return lambda request: request
    if auth.api_key is not None:
        key = secret_of(auth.api_key)

        def with_key(request: requests.PreparedRequest) -> requests.PreparedRequest:
            request.headers["Authorization"] = f"ApiKey {key}"
            return request

        return with_key
    if auth.password is not None:
        return requests.auth.HTTPBasicAuth((auth.user or "").encode(), secret_of(auth.password).encode())
    return _aws(auth)


def _aws(auth: Auth) -> Callable[[requests.PreparedRequest], requests.PreparedRequest]:
    """Signature Version 4, with the credentials that AWS's tools find in environment, files or the machine's role."""
    try:
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.session import Session
    except ImportError:
        raise InputError("signing requests for AWS needs botocore: pip install 'retrolabel[aws]'") from None
    credentials = Session().get_credentials()
    if credentials is None:
        raise InputError(
            "no credentials for AWS: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or a role"
        )

    def signed(request: requests.PreparedRequest) -> requests.PreparedRequest:
        path, mark, query = (request.url or "").partition("?")
        request.url = path + mark + query.replace("+", "%20")  # a space, which AWS signs so
        wanted = AWSRequest(
            request.method, request.url, {"Content-Type": "application/json"} if request.body else {}, request.body
        )
        if auth.aws_service == "aoss":
            wanted.headers["X-Amz-Content-SHA256"] = SigV4Auth(credentials, auth.aws_service, auth.aws_region).payload(
                wanted
            )
        SigV4Auth(credentials, auth.aws_service, auth.aws_region).add_auth(wanted)
        request.headers.update(dict(wanted.headers.items()))
        return request

    return signed


API = Api("elasticsearch", answers, slices, lines, reaches)
