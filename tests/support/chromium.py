"""A headless Chromium, driven over a pipe by the DevTools protocol: what a page logs, asks of the network, and looks like."""

import base64
import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find() -> str | None:
    """Where the browser is; None if there is none. `CHROMIUM` names another."""
    return os.environ.get("CHROMIUM") or next((path for name in NAMES if (path := shutil.which(name))), None)


@dataclasses.dataclass
class Page:
    """An open tab, and everything that it did so far."""

    _send: int
    _receive: Any
    _session: str = ""
    _number: int = 0
    events: list[dict] = dataclasses.field(default_factory=list)

    def call(self, method: str, **parameters: object) -> dict:
        """Asks the browser, and waits for its answer."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._send, json.dumps(message).encode() + b"\0")
        while (answer := self._read()).get("id") != self._number:
            self.events.append(answer)
        assert "error" not in answer, answer["error"]
        return answer["result"]

    def wait_for(self, method: str) -> None:
        """Waits until an event has come."""
        while not any(event.get("method") == method for event in self.events):
            self.events.append(self._read())

    def open(self, path: pathlib.Path) -> None:
        """Opens a file and waits until it is loaded and painted."""
        self.events.clear()
        self.call("Page.navigate", url=path.absolute().as_uri())
        self.wait_for("Page.loadEventFired")
        self.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))")

    def run(self, script: str) -> Any:
        """The value of an expression in the page."""
        found = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def screen(self, width: int, height: int, scheme: str = "light", media: str = "", mobile: bool = False) -> None:
        """Sets the size of the window, and what the page is told of the reader's wishes."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)
        self.call(
            "Emulation.setEmulatedMedia", media=media, features=[{"name": "prefers-color-scheme", "value": scheme}]
        )

    def picture(self, path: pathlib.Path, whole: bool = True) -> None:
        """Stores a screenshot, by default of the whole page."""
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shot["data"]))

    @property
    def requests(self) -> list[str]:
        """Everything it asked for, the page itself apart."""
        sent = [event["params"] for event in self.events if event.get("method") == "Network.requestWillBeSent"]
        return [request["request"]["url"] for request in sent if request["type"] != "Document"]

    @property
    def complaints(self) -> list[str]:
        """Errors and warnings on the console, exceptions, breaches of the page's policy, and dialogs."""
        told = {"Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Page.javascriptDialogOpening"}
        return [json.dumps(event["params"]) for event in self.events if event.get("method") in told]

    def _read(self) -> dict:
        data = bytearray()
        while (byte := self._receive.read(1)) != b"\0":
            assert byte, "the browser has gone"
            data += byte
        return json.loads(data)


@contextlib.contextmanager
def browser(executable: str) -> Iterator[Page]:
    """A browser with one tab, closed at the end."""
    to_browser, ours_out = os.pipe()
    ours_in, from_browser = os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [executable, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                   "--disable-background-networking", "--disable-component-update", "--remote-debugging-pipe",
                   f"--user-data-dir={profile}", "about:blank"]  # fmt: skip
        shell = 'exec "$@" 3<&"$IN" 4>&"$OUT"'
        process = subprocess.Popen(
            ["bash", "-c", shell, "chromium", *command], pass_fds=(to_browser, from_browser), stderr=subprocess.DEVNULL,
            env={**os.environ, "IN": str(to_browser), "OUT": str(from_browser)},
        )  # fmt: skip
        os.close(to_browser)
        os.close(from_browser)
        with open(ours_in, "rb") as receive:
            page = Page(ours_out, receive)
            try:
                target = page.call("Target.createTarget", url="about:blank")["targetId"]
                page._session = page.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
                for domain in ("Page", "Runtime", "Log", "Network"):
                    page.call(f"{domain}.enable")
                yield page
            finally:
                process.kill()
                process.wait()
                os.close(ours_out)
