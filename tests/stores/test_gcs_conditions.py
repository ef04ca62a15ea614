"""The commit on Google Cloud Storage: its client, against a server that keeps to `ifGenerationMatch` as the service documents it.

https://cloud.google.com/storage/docs/request-preconditions
"""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from retrolabel.transforms import storage

pytestmark = pytest.mark.stores


@pytest.fixture
def objects(monkeypatch):
    """What is stored, by name."""
    stored: dict[str, bytes] = {}
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            parameters = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
            _, described, content, _ = body.split(
                b"--" + self.headers["Content-Type"].partition("boundary=")[2].strip('"').encode()
            )[:4]
            name = json.loads(described.partition(b"\r\n\r\n")[2])["name"]
            with lock:
                refused = parameters.get("ifGenerationMatch") == "0" and name in stored
                if not refused:
                    stored[name] = content.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n")
            told = (
                {"error": {"message": "conditionNotMet", "code": 412}}
                if refused
                else {"name": name, "bucket": "b", "generation": "1"}
            )
            text = json.dumps(told).encode()
            self.send_response(412 if refused else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "test")
    yield stored
    server.shutdown()
    server.server_close()


def test_of_many_creators_of_one_record_exactly_one_wins(objects):
    together = threading.Barrier(8)

    def create(number: int) -> bool:
        together.wait()
        return storage.create_if_absent("gs://b/shoes/_versions/00000001.json", b"%d" % number * 100)

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(create, range(8)))
    assert won.count(True) == 1
    assert objects == {"shoes/_versions/00000001.json": b"%d" % won.index(True) * 100}
