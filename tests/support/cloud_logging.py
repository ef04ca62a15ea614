"""A server of LoggingServiceV2 on loopback, of the client's own protos: it filters, orders, pages and meters as the service documents it."""

import base64
import dataclasses
import datetime
import functools
import re
from collections.abc import Iterator
from concurrent import futures

import grpc
from google.cloud.logging_v2.types import ListLogEntriesRequest, ListLogEntriesResponse, LogEntry

_TIME = re.compile(r'timestamp (>=|<) "([^"]+)"')
_EVER = datetime.datetime.max.replace(tzinfo=datetime.UTC)
_FIELD = re.compile(r'jsonPayload\.(\w+)="([^"]*)"')


@dataclasses.dataclass
class Service:
    """The entries, and what goes wrong: each failure is given to one request."""

    project: str = "shop-prod"
    entries: list[LogEntry] = dataclasses.field(default_factory=list)
    failures: list[tuple[grpc.StatusCode, str]] = dataclasses.field(default_factory=list)
    requests: list[ListLogEntriesRequest] = dataclasses.field(default_factory=list)
    empty_pages: int = 0
    """How many pages come without entries although more follow, as those of slow searches do."""

    def answer(self, request: ListLogEntriesRequest, context: grpc.ServicerContext) -> ListLogEntriesResponse:
        self.requests.append(request)
        if self.failures:
            context.abort(*self.failures.pop(0))
        if list(request.resource_names) != [f"projects/{self.project}"]:
            context.abort(grpc.StatusCode.NOT_FOUND, "Project does not exist")
        if not 0 < request.page_size <= 1000:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "page_size")
        if request.order_by != "timestamp asc" or request.filter.count("(") != request.filter.count(")"):
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "Unknown filter: syntax error at line 1")
        first = int(base64.b64decode(request.page_token)) if request.page_token else 0
        if self.empty_pages:
            self.empty_pages -= 1
            return ListLogEntriesResponse(next_page_token=base64.b64encode(b"%d" % first).decode())
        found = list(self._found(request.filter))
        page = found[first : first + request.page_size]
        more = first + len(page) < len(found)
        token = base64.b64encode(b"%d" % (first + len(page))).decode() if more else ""
        return ListLogEntriesResponse(entries=page, next_page_token=token)

    @functools.cached_property
    def _ordered(self) -> list[tuple[datetime.datetime, str, dict, LogEntry]]:
        found = [
            (entry.timestamp, entry.insert_id, dict(entry.json_payload or {}), LogEntry.pb(entry))
            for entry in self.entries
        ]
        return sorted(found, key=lambda entry: entry[:2])

    def _found(self, text: str) -> Iterator[LogEntry]:
        bounds = {sign: datetime.datetime.fromisoformat(moment) for sign, moment in _TIME.findall(text)}
        wanted = _FIELD.findall(text)
        for moment, _, fields, entry in self._ordered:
            if bounds[">="] <= moment < bounds.get("<", _EVER) and all(
                fields.get(name) == value for name, value in wanted
            ):
                yield entry


def serve(service: Service) -> tuple[grpc.Server, int]:
    """Starts the server; the port that it listens on."""
    server = grpc.server(futures.ThreadPoolExecutor(8))
    handler = grpc.unary_unary_rpc_method_handler(
        service.answer, ListLogEntriesRequest.deserialize, ListLogEntriesResponse.serialize
    )
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("google.logging.v2.LoggingServiceV2", {"ListLogEntries": handler}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, port
