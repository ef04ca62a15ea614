"""The few operations of WebHDFS that writing a file needs, on a server of this process.

It notes what each name holds after every request, so that a moment in which a file is not there is seen. As HttpFS it does not know the
option of a rename that replaces what is there: https://hadoop.apache.org/docs/stable/hadoop-hdfs-httpfs/
"""

import contextlib
import http.server
import json
import threading
import time
from collections.abc import Iterator
from urllib.parse import parse_qs, unquote, urlsplit

PREFIX = "/webhdfs/v1"


class FakeWebHdfs:
    """Files by their path."""

    def __init__(self, is_httpfs: bool = False) -> None:
        self.is_httpfs = is_httpfs
        self.files: dict[str, bytes] = {}
        self.seen: list[dict[str, bytes]] = []
        """What was there after each request."""

    @contextlib.contextmanager
    def serving(self) -> Iterator[str]:
        """The URL of its root."""
        store = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self) -> None:
                asked = urlsplit(self.path)
                path = unquote(asked.path.removeprefix(PREFIX))
                options = {name.lower(): values[0] for name, values in parse_qs(asked.query).items()}
                data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, body, location = store.ask(self.headers["Host"], path, options, data)
                store.seen.append(dict(store.files))
                self.send_response(status)
                if location:
                    self.send_header("Location", location)
                self.send_header("Content-Type", "application/json" if body[:1] == b"{" else "application/octet-stream")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_PUT = do_DELETE = answer  # noqa: N815

            def log_message(self, *_: object) -> None: ...

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"hdfs://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    def ask(self, host: str, path: str, options: dict[str, str], data: bytes) -> tuple[int, bytes, str | None]:
        """The status, body and place of redirection that a request is answered with."""
        match options.pop("op"):
            case "GETFILESTATUS" if path in self.files:
                found = {"type": "FILE", "length": len(self.files[path]), "modificationTime": round(time.time() * 1000)}
                return 200, json.dumps({"FileStatus": found}).encode(), None
            case "OPEN" if path in self.files:
                return 200, self.files[path], None
            case "CREATE" if "sent" not in options:
                return 307, b"", f"http://{host}{PREFIX}{path}?op=CREATE&sent=true"
            case "CREATE":
                self.files[path] = data
                return 201, b"", None
            case "DELETE":
                return 200, told(self.files.pop(path, None) is not None), None
            case "SETTIMES":
                return 200, b"", None
            case "RENAME" if options.get("renameoptions") == "OVERWRITE" and not self.is_httpfs:
                self.files[options["destination"]] = self.files.pop(path)
                return 200, b"", None
            case "RENAME":
                is_free = options["destination"] not in self.files
                if is_free:
                    self.files[options["destination"]] = self.files.pop(path)
                return 200, told(is_free), None
        missing = {"exception": "FileNotFoundException", "message": f"File does not exist: {path}"}
        return 404, json.dumps({"RemoteException": missing}).encode(), None


def told(answer: bool) -> bytes:
    """As WebHDFS tells whether something was done."""
    return json.dumps({"boolean": answer}).encode()
