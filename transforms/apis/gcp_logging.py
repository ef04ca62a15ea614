"""`gcp_logging` from the API: entries of Google Cloud Logging, page by page.

https://cloud.google.com/logging/docs/reference/v2/rest/v2/entries/list: entries come by `timestamp`, those of equal timestamps by `insertId`,
1000 a page at most; reads are metered by the minute (https://cloud.google.com/logging/quotas). A line is the `LogEntry` as JSON, as sinks
export it. The credentials are Google's application default ones. `LOGGING_EMULATOR_HOST` names another server, asked without any.
"""

import functools
import math
import os
import re
from collections.abc import Iterator
from typing import Any

import msgspec

from retrolabel.schemas.errors import InputError
from retrolabel.transforms.apis.interface import Api, NotThereError, Query, Slice, rfc3339
from retrolabel.transforms.apis.retry import Gate, Transient, patiently

SLICE_BYTES = 8 * 2**20
"""Text of one slice: that of a block."""

_PAGE = 1000
_TIMEOUT = 120.0
_PROBES = 24
"""Requests, at most, that look how many entries a stretch of time holds."""

_RESOURCE = re.compile(
    r"(?:projects|organizations|folders|billingAccounts)/[^/*?\[]+(?:/locations/[^/]+/buckets/[^/]+/views/[^/]+)?"
)

_gate = Gate()


def answers(path: str) -> bool:
    """Whether a path is the name of a project, an organization, a folder, a billing account, or of a view of a log bucket."""
    return _RESOURCE.fullmatch(path) is not None


def slices(query: Query, begin: int, end: int) -> Iterator[Slice]:
    """Looks at the first page; if there is more, at the first page of each hour of a day, and reckons with what comes between."""
    page = _page(query, begin, end, "")
    if not page.more:
        yield Slice(begin, end, len(page.text))
        return
    width = math.ceil((end - begin) / _PROBES)
    start, size = begin, 0
    for section in range(begin, end, width):
        stop = min(section + width, end)
        reckoned = _reckoned(_page(query, section, stop, ""), section, stop)
        if size and size + reckoned > SLICE_BYTES:
            yield Slice(start, section, size)
            start, size = section, 0
        parts = max(1, round(reckoned / SLICE_BYTES))
        for part in range(1, parts):
            cut = section + (stop - section) * part // parts
            yield Slice(start, cut, reckoned // parts)
            start = cut
        size += reckoned // parts
    yield Slice(start, end, size)


def lines(query: Query, begin: int, end: int) -> Iterator[bytes]:
    """Reads page after page; one that was cut off is asked for again."""
    token = ""
    while True:
        page = _page(query, begin, end, token)
        if page.text:
            yield page.text
        if not (token := page.more):
            return


def reaches(query: Query, moment: int) -> bool:
    """Asks for entries from that moment on."""
    page = _page(query, moment, None, "", size=1)
    while not page.text and page.more:
        page = _page(query, moment, None, page.more, size=1)
    return bool(page.text)


class _Page(msgspec.Struct, frozen=True):
    text: bytes
    last: int
    """The timestamp of the last entry, in microseconds of UTC."""
    more: str
    """The token of the next page; empty if there is none. A page may be empty and yet not be the last."""


def _reckoned(page: _Page, begin: int, end: int) -> int:
    """How many bytes of text a stretch of time holds, by its first page."""
    if not page.more or not page.text:
        return len(page.text)
    return len(page.text) * (end - begin) // max(page.last - begin, 1)


def _page(query: Query, begin: int, end: int | None, token: str, size: int = _PAGE) -> _Page:
    wanted = f'timestamp >= "{rfc3339(begin)}"' + (f' AND timestamp < "{rfc3339(end)}"' if end is not None else "")
    request = {
        "resource_names": [query.resource],
        "filter": f"(\n{query.filter}\n) AND {wanted}"
        if query.filter
        else wanted,  # a comment in the filter ends with its line
        "order_by": "timestamp asc",
        "page_size": size,
        "page_token": token,
    }
    return patiently(lambda: _ask(request), query.patience, _gate)


def _ask(request: dict[str, Any]) -> _Page:
    from google.api_core import exceptions
    from google.auth.exceptions import GoogleAuthError

    (resource,) = request["resource_names"]
    try:
        answer = _client().list_log_entries(request, retry=None, timeout=_TIMEOUT)
        entries = [type(entry).pb(entry) for entry in answer.entries]
        last = entries[-1].timestamp.ToMicroseconds() if entries else 0
        return _Page(b"".join(map(_line, entries)), last, answer.next_page_token)
    except exceptions.ResourceExhausted as error:
        raise Transient(
            f"{resource}: the read quota of Cloud Logging is used up ({error.message})", quota=True
        ) from None
    except (exceptions.Unauthenticated, exceptions.PermissionDenied) as error:
        raise InputError(f"{resource}: Cloud Logging refuses the credentials ({error.message}); reading needs the role "
                         "roles/logging.viewer, and roles/logging.privateLogViewer for private logs") from None  # fmt: skip
    except GoogleAuthError as error:
        raise InputError(f"{resource}: no credentials for Google Cloud ({type(error).__name__}); run `gcloud auth application-default "
                         "login`, or set GOOGLE_APPLICATION_CREDENTIALS to a key file") from None  # fmt: skip
    except exceptions.NotFound as error:
        raise NotThereError(f"{resource}: Cloud Logging does not know it ({error.message})") from None
    except exceptions.InvalidArgument as error:
        raise InputError(
            f"{resource}: Cloud Logging does not understand the request, perhaps the 'filter' ({error.message})"
        ) from None
    except (exceptions.ServerError, exceptions.Aborted, exceptions.Cancelled) as error:
        raise Transient(f"{resource}: Cloud Logging does not answer ({error.message})") from None
    except exceptions.GoogleAPICallError as error:
        raise InputError(f"{resource}: Cloud Logging refuses ({error.message})") from None


@functools.cache
def _client() -> Any:
    try:
        import grpc
        from google.cloud.logging_v2.services.logging_service_v2 import LoggingServiceV2Client
        from google.cloud.logging_v2.services.logging_service_v2.transports import LoggingServiceV2GrpcTransport
    except ImportError:
        raise InputError(
            "reading from Cloud Logging needs google-cloud-logging: pip install 'retrolabel[gcp]'"
        ) from None
    emulator = os.environ.get("LOGGING_EMULATOR_HOST")
    if emulator:
        return LoggingServiceV2Client(transport=LoggingServiceV2GrpcTransport(channel=grpc.insecure_channel(emulator)))
    return LoggingServiceV2Client()


def _line(entry: Any) -> bytes:
    from google.protobuf.json_format import MessageToDict, SerializeToJsonError

    try:
        found = MessageToDict(entry)
    except (TypeError, SerializeToJsonError):
        for value in entry.json_payload.fields.values():
            _spell(value)
        payload = {}
        if entry.WhichOneof("payload") == "proto_payload":  # of a type that is not known here
            payload["protoPayload"] = {"@type": entry.proto_payload.type_url, "value": entry.proto_payload.value}
            entry.ClearField("proto_payload")
        found = MessageToDict(entry) | payload
    return msgspec.json.encode(found) + b"\n"


def _spell(value: Any) -> None:
    """Writes numbers that JSON has no numbers for as texts, as the JSON of Protocol Buffers does elsewhere."""
    if value.HasField("number_value") and not math.isfinite(value.number_value):
        value.string_value = _SPELLED.get(value.number_value, "NaN")
    for below in (*value.struct_value.fields.values(), *value.list_value.values):
        _spell(below)


_SPELLED = {math.inf: "Infinity", -math.inf: "-Infinity"}


API = Api("gcp_logging", answers, slices, lines, reaches)
