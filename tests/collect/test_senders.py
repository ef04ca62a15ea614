"""Senders that others wrote, with acknowledgements, while the collector is killed under them and comes back."""

import collections
import contextlib
import dataclasses
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tests.support.collector import collected, collecting, stop

pytestmark = pytest.mark.integrations

HERE = Path(__file__).parent / "senders"
BUILD = Path(__file__).parents[2] / "build/senders"


@dataclasses.dataclass(frozen=True)
class Sender:
    """A program that sends as many events as it is told to a port."""

    command: list[str]
    needs: list[Path]
    in_flight: int
    """How many events it may have sent that are not acknowledged, which it then sends again."""


def node(mode: str) -> Sender:
    return Sender(["node", str(HERE / "sender.js"), mode], [BUILD / "node_modules/@fluent-org/logger"], 20)


SENDERS = {
    "fluent-logger-golang": Sender([str(BUILD / "go")], [BUILD / "go"], 1),
    "Fluency": Sender(["java", "-cp", str(BUILD / "java/*"), str(HERE / "Sender.java")], [BUILD / "java"], 100),
    **{
        f"@fluent-org/logger {mode}": node(mode)
        for mode in ("Message", "Forward", "PackedForward", "CompressedPackedForward")
    },
}
COUNT = 400


@pytest.mark.parametrize("name", SENDERS)
def test_of_a_real_sender_every_event_is_there_after_kill_9(tmp_path, name, monkeypatch):
    sender = SENDERS[name]
    if shutil.which(sender.command[0]) is None or not all(need.exists() for need in sender.needs):
        pytest.skip("it is not there: `make senders` brings it, with npm, Go and Maven")
    monkeypatch.setenv("NODE_PATH", str(BUILD / "node_modules"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with contextlib.ExitStack() as ends:
        with collecting(tmp_path, port=port) as (process, _):
            sending = ends.enter_context(
                subprocess.Popen([*sender.command, str(port), str(COUNT)], stdout=subprocess.PIPE, text=True)
            )
            acknowledged = [int(sending.stdout.readline()) for _ in range(COUNT // 4)]
            process.send_signal(signal.SIGKILL)
            process.wait()
        with collecting(tmp_path, port=port) as (process, _):
            acknowledged += map(int, sending.stdout)
            stop(process)
    assert sending.returncode == 0
    found = collections.Counter(record["n"] for record in collected(tmp_path))
    assert sorted(acknowledged) == sorted(found) == list(range(COUNT))
    assert found.total() - COUNT <= sender.in_flight, "only what was not acknowledged comes twice"
