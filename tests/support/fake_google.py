"""Google's storage and Dataflow services as far as a build talks to them, in memory, on this machine.

Objects have generations and conditional creation; a Dataflow job is kept as it was sent, and is done at once: nobody runs it.
"""

import base64
import dataclasses
import hashlib
import itertools
import json
import re
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import google_crc32c
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa


@dataclasses.dataclass
class FakeGoogle:
    """What the services hold."""

    url: str = ""
    objects: dict[tuple[str, str], tuple[bytes, int]] = dataclasses.field(default_factory=dict)
    """(bucket, name) to (content, generation)."""
    jobs: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    """Dataflow jobs, as they were sent."""
    uploads: dict[str, tuple[str, str, bytes, str | None]] = dataclasses.field(default_factory=dict)
    numbers: Iterator[int] = dataclasses.field(default_factory=lambda: itertools.count(1_700_000_000_000_001))

    def credentials(self) -> dict[str, str]:
        """A service account that asks this server for its tokens."""
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return {"type": "service_account", "client_email": "build@shop.iam.gserviceaccount.com", "private_key": pem.decode(),
                "private_key_id": "1", "project_id": "shop-project", "token_uri": f"{self.url}/token"}  # fmt: skip

    def environment(self, credentials: str) -> dict[str, str]:
        """What points Google's clients here."""
        return {"STORAGE_EMULATOR_HOST": self.url, "GOOGLE_APPLICATION_CREDENTIALS": credentials, "NO_GCE_CHECK": "true",
                "GOOGLE_CLOUD_PROJECT": "shop-project"}  # fmt: skip

    def content(self, bucket: str, prefix: str) -> dict[str, bytes]:
        """The objects of a bucket below a prefix, by name."""
        return {
            name: data for (of, name), (data, _) in self.objects.items() if of == bucket and name.startswith(prefix)
        }

    def store(self, bucket: str, name: str, data: bytes, generation: str | None = None) -> bool:
        """Creates or replaces an object; with `generation` 0 only if there is none."""
        if generation == "0" and (bucket, name) in self.objects:
            return False
        self.objects[bucket, name] = data, next(self.numbers)
        return True

    def described(self, bucket: str, name: str) -> dict[str, str]:
        """An object's resource."""
        data, generation = self.objects[bucket, name]
        return {"kind": "storage#object", "bucket": bucket, "name": name, "size": str(len(data)), "generation": str(generation),
                "metageneration": "1", "etag": str(generation), "md5Hash": base64.b64encode(hashlib.md5(data).digest()).decode(),
                "crc32c": base64.b64encode(google_crc32c.Checksum(data).digest()).decode(),
                "updated": "2026-11-22T00:00:00.000Z", "timeCreated": "2026-11-22T00:00:00.000Z"}  # fmt: skip


@contextmanager
def fake_google() -> Iterator[FakeGoogle]:
    """Serves on a free port of this machine."""
    google = FakeGoogle()
    server = ThreadingHTTPServer(("localhost", 0), type("Handler", (_Handler,), {"google": google}))
    google.url = f"http://localhost:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield google
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    """Routes requests by method and path."""

    google: FakeGoogle
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def answer(self, content: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header(
            "Content-Type", "application/octet-stream" if isinstance(content, bytes) else "application/json"
        )
        for name, value in {**(headers or {}), "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def refuse(self, status: int, message: str) -> None:
        self.answer({"error": {"code": status, "message": message}}, status)

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        pieces = []
        while length := int(self.rfile.readline().split(b";")[0], 16):
            pieces.append(self.rfile.read(length))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):  # the one method for every verb
            return self.route
        raise AttributeError(name)

    def route(self) -> None:
        url, body = urllib.parse.urlsplit(self.path), self.body()
        query = dict(urllib.parse.parse_qsl(url.query))
        for pattern, handler in _ROUTES.items():
            if found := re.fullmatch(pattern, f"{self.command} {url.path}"):
                handler(self, query, body, *map(urllib.parse.unquote, found.groups()))
                return
        self.refuse(404, f"nothing here answers {self.command} {self.path}")

    # Storage

    def bucket(self, query: dict[str, str], body: bytes, bucket: str) -> None:
        self.answer({"kind": "storage#bucket", "name": bucket, "id": bucket, "location": "EU",
                     "softDeletePolicy": {"retentionDurationSeconds": "0"}})  # fmt: skip

    def listing(self, query: dict[str, str], body: bytes, bucket: str) -> None:
        """In pages of three, so that a client that reads the first page alone is found out."""
        names = sorted(self.google.content(bucket, query.get("prefix", "")))
        start = int(query.get("pageToken", 0))
        page: dict[str, Any] = {
            "kind": "storage#objects",
            "items": [self.google.described(bucket, name) for name in names[start : start + 3]],
        }
        self.answer(page | ({"nextPageToken": str(start + 3)} if start + 3 < len(names) else {}))

    def read(self, query: dict[str, str], body: bytes, bucket: str, name: str) -> None:
        if (bucket, name) not in self.google.objects:
            self.refuse(404, f"no such object: {bucket}/{name}")
        elif query.get("alt") != "media":
            self.answer(self.google.described(bucket, name))
        else:
            data, generation = self.google.objects[bucket, name]
            headers = {"X-Goog-Generation": str(generation)}
            if wanted := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
                start, stop = int(wanted[1]), min(int(wanted[2] or len(data)), len(data) - 1) + 1
                self.answer(data[start:stop], 206, headers | {"Content-Range": f"bytes {start}-{stop - 1}/{len(data)}"})
            else:
                self.answer(data, headers=headers)

    def remove(self, query: dict[str, str], body: bytes, bucket: str, name: str) -> None:
        self.google.objects.pop((bucket, name), None)
        self.answer(b"", 204)

    def upload(self, query: dict[str, str], body: bytes, bucket: str) -> None:
        if query["uploadType"] == "resumable":
            number = str(next(self.google.numbers))
            name = query.get("name") or json.loads(body)["name"]
            self.google.uploads[number] = bucket, name, b"", query.get("ifGenerationMatch")
            self.answer(
                {},
                headers={
                    "Location": f"{self.google.url}/upload/storage/v1/b/{bucket}/o?uploadType=resumable&upload_id={number}"
                },
            )
            return
        found = re.search(r'boundary="?([^";]+)', self.headers["Content-Type"])
        assert found is not None
        _, about, content, _ = body.split(b"--" + found[1].encode())
        described = json.loads(about.split(b"\r\n\r\n", 1)[1])
        self.stored(
            bucket,
            described["name"],
            content.split(b"\r\n\r\n", 1)[1].removesuffix(b"\r\n"),
            query.get("ifGenerationMatch"),
        )

    def proceed(self, query: dict[str, str], body: bytes, bucket: str) -> None:
        bucket, name, before, generation = self.google.uploads[query["upload_id"]]
        data = before + body
        if self.headers.get("Content-Range", "").endswith("/*"):
            self.google.uploads[query["upload_id"]] = bucket, name, data, generation
            self.answer(b"", 308, {"Range": f"bytes=0-{len(data) - 1}"})
        else:
            self.stored(bucket, name, data, generation)

    def stored(self, bucket: str, name: str, data: bytes, generation: str | None) -> None:
        if self.google.store(bucket, name, data, generation):
            self.answer(self.google.described(bucket, name))
        else:
            self.refuse(412, "the object exists")

    # Tokens and Dataflow

    def token(self, query: dict[str, str], body: bytes) -> None:
        self.answer({"access_token": "fake", "expires_in": 3600, "token_type": "Bearer"})

    def create_job(self, query: dict[str, str], body: bytes, project: str, region: str) -> None:
        job = json.loads(body) | {"id": f"job-{len(self.google.jobs)}", "projectId": project, "location": region,
                                  "currentState": "JOB_STATE_DONE"}  # fmt: skip
        self.google.jobs.append(job)
        self.answer(job)

    def job(self, query: dict[str, str], body: bytes, number: str, part: str) -> None:
        self.answer(
            {"/messages": {"jobMessages": []}, "/metrics": {"metrics": []}}.get(part, self.google.jobs[int(number)])
        )


_ROUTES = {
    r"GET /storage/v1/b/([^/]+)": _Handler.bucket,
    r"GET /storage/v1/b/([^/]+)/o": _Handler.listing,
    r"GET /(?:download/)?storage/v1/b/([^/]+)/o/([^/]+)": _Handler.read,
    r"DELETE /storage/v1/b/([^/]+)/o/([^/]+)": _Handler.remove,
    r"POST /(?:resumable/)?upload/storage/v1/b/([^/]+)/o": _Handler.upload,
    r"PUT /(?:resumable/)?upload/storage/v1/b/([^/]+)/o": _Handler.proceed,
    r"POST /token": _Handler.token,
    r"POST /v1b3/projects/([^/]+)/locations/([^/]+)/jobs": _Handler.create_job,
    r"GET /v1b3/projects/[^/]+/locations/[^/]+/jobs/job-(\d+)(/messages|/metrics)?": _Handler.job,
}
