"""A small server on loopback that answers as Elasticsearch, OpenSearch or an old server without points in time does.

What it does was taken from the reference of both, and compared by hand with OpenSearch 2.19 and Elasticsearch 7.10.
"""

import base64
import contextlib
import dataclasses
import datetime
import fnmatch
import itertools
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, NamedTuple
from urllib.parse import parse_qs, urlsplit


class Asked(NamedTuple):
    """A request that came."""

    method: str
    url: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclasses.dataclass
class Store:
    """Indices of documents, who may read them, and what goes wrong: each failure is given to one request to a path that ends so."""

    kind: Literal["elasticsearch", "opensearch", "old"] = "elasticsearch"
    indices: dict[str, dict[str, dict]] = dataclasses.field(default_factory=dict)
    authorization: str | None = None
    failures: list[tuple[str, int, dict]] = dataclasses.field(default_factory=list)
    requests: list["Asked"] = dataclasses.field(default_factory=list)
    open: dict[str, Any] = dataclasses.field(default_factory=dict)
    """The points in time and scrolls that nobody closed."""
    numbers: Iterator[int] = dataclasses.field(default_factory=itertools.count)
    forgets: int = 0
    """How many contexts are forgotten after their first page."""

    def paths(self) -> list[str]:
        return [f"{asked.method} {asked.path}" for asked in self.requests]

    def answer(self, method: str, path: str, parameters: dict[str, str], body: dict) -> tuple[int, dict]:
        for number, (end, status, told) in enumerate(self.failures):
            if path.endswith(end):
                del self.failures[number]
                return status, told
        index, _, action = path.strip("/").rpartition("/")
        if path == "/_search" and "pit" in body:
            return self._page(body)
        if path == "/_search/scroll":
            return self._scroll(body) if method == "POST" else self._close(body["scroll_id"])
        if method == "DELETE" and path in ("/_pit", "/_search/point_in_time"):
            return self._close(body["id"] if path == "/_pit" else body["pit_id"])
        if method == "POST" and action == "_pit" and self.kind == "elasticsearch":
            return self._open(index, "id")
        if method == "POST" and path.endswith("/_search/point_in_time") and self.kind == "opensearch":
            return self._open(index.removesuffix("/_search"), "pit_id")
        if method == "POST" and action == "_search":
            return self._search(index, parameters, body)
        return 400, complaint("illegal_argument_exception", f"no handler found for uri [{path}] and method [{method}]")

    def _documents(self, pattern: str) -> list[tuple[str, str, dict]] | None:
        names = [name for name in self.indices if any(fnmatch.fnmatch(name, part) for part in pattern.split(","))]
        if not names and "*" not in pattern:
            return None
        return [(name, id_, source) for name in names for id_, source in self.indices[name].items()]

    def _open(self, index: str, key: str) -> tuple[int, dict]:
        documents = self._documents(index)
        if documents is None:
            return 404, complaint("index_not_found_exception", f"no such index [{index}]")
        name = f"pit{next(self.numbers)}"
        self.open[name] = documents
        return 200, {key: name}

    def _close(self, names: str | list[str]) -> tuple[int, dict]:
        for name in [names] if isinstance(names, str) else names:
            self.open.pop(name, None)
        return 200, {"succeeded": True}

    def _page(self, body: dict) -> tuple[int, dict]:
        documents = self.open.get(body["pit"]["id"])
        if documents is None:
            return 404, complaint("search_context_missing_exception", "No search context found for id [1]")
        ties = [name for entry in body["sort"][1:] for name in entry]
        if ties == ["_shard_doc"] and self.kind != "elasticsearch":
            return 400, complaint("query_shard_exception", "No mapping found for [_shard_doc] in order to sort on")
        (field,) = body["sort"][0]
        found = [
            ([millis(source[field]), number if ties == ["_shard_doc"] else id_], (index, id_, source))
            for number, (index, id_, source) in enumerate(documents)
            if matches(source, body["query"])
        ]
        found.sort(key=lambda hit: hit[0])
        page = [hit for hit in found if hit[0] > body.get("search_after", [-1, ""][:1])][: body["size"]]
        renewed = f"{body['pit']['id']}+"
        self.open[renewed] = self.open.pop(body["pit"]["id"])
        if self.forgets:
            self.forgets -= 1
            self.open.clear()
        return 200, result(found, page, sort=True) | {"pit_id": renewed}

    def _search(self, index: str, parameters: dict[str, str], body: dict) -> tuple[int, dict]:
        documents = self._documents(index)
        if documents is None:
            return 404, complaint("index_not_found_exception", f"no such index [{index}]")
        text = json.dumps(body["query"])
        if '"query": "kind:("' in text:
            return 400, complaint("query_shard_exception", "Failed to parse query [kind:(]")
        found = [([], hit) for hit in documents if matches(hit[2], body["query"])]
        answer = result(found, found[: body["size"]], shards=len(documents) and 1)
        for name, wanted in body.get("aggs", {}).items():
            histogram = wanted["date_histogram"]
            width = int(histogram["fixed_interval"].removesuffix("s")) * 1000
            keys = [millis(hit[2][histogram["field"]]) // width * width for _, hit in found]
            buckets = [{"key": key, "doc_count": len(list(same))} for key, same in itertools.groupby(sorted(keys))]
            answer["aggregations"] = {name: {"buckets": buckets}}
        if "scroll" in parameters:
            name = f"scroll{next(self.numbers)}"
            self.open[name] = (found, body["size"])
            answer["_scroll_id"] = name
        return 200, answer

    def _scroll(self, body: dict) -> tuple[int, dict]:
        name = body["scroll_id"]
        if name not in self.open:
            return 404, complaint("search_context_missing_exception", "No search context found for id [1]")
        found, size = self.open[name]
        self.open[name] = found[size:], size  # whether or not the answer arrives, the scroll has moved on
        if self.forgets:
            self.forgets -= 1
            self.open.clear()
        return 200, result(found, found[size : 2 * size]) | {"_scroll_id": name}


def complaint(kind: str, reason: str) -> dict:
    return {"error": {"root_cause": [{"type": kind, "reason": reason}], "type": kind, "reason": reason}}


def result(found: list, page: list, shards: int = 1, *, sort: bool = False) -> dict:
    hits = [
        {"_index": index, "_id": id_, "_score": None, "_source": source} | ({"sort": keys} if sort else {})
        for keys, (index, id_, source) in page
    ]
    return {"timed_out": False, "_shards": {"total": shards, "successful": shards, "failed": 0},
            "hits": {"total": {"value": len(found), "relation": "eq"}, "hits": hits}}  # fmt: skip


def millis(text: str) -> int:
    return int(datetime.datetime.fromisoformat(text).timestamp() * 1000)


def matches(source: dict, query: dict) -> bool:
    (kind,) = query
    inner = query[kind]
    if kind == "bool":
        return all(matches(source, clause) for clause in inner["filter"])
    if kind == "range":
        ((field, bounds),) = inner.items()
        moment = millis(source[field])
        return millis(bounds["gte"]) <= moment and ("lt" not in bounds or moment < millis(bounds["lt"]))
    if kind == "query_string":
        field, _, value = inner["query"].partition(":")
        return source.get(field) == value
    ((field, value),) = inner.items()
    return source.get(field) == value


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@contextlib.contextmanager
def serving(store: Store) -> Iterator[int]:
    """Serves a store; gives the port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # an answer in one piece: small pieces wait for each other

        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            url = urlsplit(self.path)
            store.requests.append(Asked(self.command, self.path, url.path, dict(self.headers), body))
            parameters = {key: values[0] for key, values in parse_qs(url.query).items()}
            if store.authorization not in (None, self.headers.get("Authorization")):
                status, told = 401, complaint("security_exception", "unable to authenticate with provided credentials")
            else:
                status, told = store.answer(self.command, url.path, parameters, json.loads(body or b"{}"))
            text = json.dumps(told).encode()
            self.send_response(status)
            for name, value in (("Content-Type", "application/json"), ("Content-Length", str(len(text)))):
                self.send_header(name, value)
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(text)

        do_POST = do_DELETE = do_GET = _handle  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
