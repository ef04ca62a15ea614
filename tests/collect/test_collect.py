"""`retrolabel collect` as a process: real clients, kills, and files that a build reads."""

import contextlib
import datetime
import hashlib
import itertools
import json
import os
import pathlib
import signal
import socket
import struct
import time

import msgpack
import pytest
from fluent import asyncsender, sender

from retrolabel.pipelines.collect_files import PART, Slices
from retrolabel.schemas.errors import ConfigError
from tests.end_to_end.test_versions import run
from tests.support.collector import acknowledgements, collected, collecting, stop
from tests.support.messy import TIMESTAMP

DAY = datetime.datetime(2026, 11, 20, tzinfo=datetime.UTC)
MOMENT = int(DAY.timestamp())


def chunk(number: int, size: int = 10) -> bytes:
    entries = b"".join(
        msgpack.packb([msgpack.ExtType(0, struct.pack(">II", MOMENT + number % 86_400, entry)), {"n": number * size + entry}])
        for entry in range(size)
    )  # fmt: skip
    return msgpack.packb(["ml.prediction", entries, {"chunk": f"c{number}"}])


class _Waits:
    """A client that, before it hangs up, waits until what it sent is on the disk: a connection is read in order."""

    def _close(self) -> None:
        if self.socket:
            self.socket.sendall(msgpack.packb(["end", MOMENT, {}, {"chunk": "end"}]))
            assert next(acknowledgements(self.socket)) == "end"
        super()._close()


class Sender(_Waits, sender.FluentSender):
    pass


class AsyncSender(_Waits, asyncsender.FluentSender):
    pass


def test_events_of_the_real_client_become_files_by_tag_day_and_hour(tmp_path):
    with collecting(tmp_path) as (process, port):
        client = Sender("ml", host="127.0.0.1", port=port, nanosecond_precision=True)
        assert client.emit_with_time("prediction", MOMENT + 3600.5, {"id": "p1", "text": "höhe\n"})
        assert client.emit_with_time("prediction", MOMENT + 7200, {"id": "p2"})
        assert client.emit_with_time("click", MOMENT, {"id": "p1"})
        client.close()
        buffered = AsyncSender("ml", host="127.0.0.1", port=port)
        for number in range(500):
            buffered.emit_with_time("many", MOMENT + number, {"n": number})
        buffered.close()
        stop(process)
    paths = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.log*"))
    assert paths == ["end/2026-11-20/00.0.log", "ml.click/2026-11-20/00.0.log", "ml.many/2026-11-20/00.0.log", "ml.prediction/2026-11-20/01.0.log",
                     "ml.prediction/2026-11-20/02.0.log"]  # fmt: skip
    first = (tmp_path / "ml.prediction/2026-11-20/01.0.log").read_text()
    assert first == '2026-11-20T01:00:00.500000+00:00\tml.prediction\t{"id":"p1","text":"höhe\\n"}\n'
    assert [record["n"] for record in collected(tmp_path / "ml.many")] == list(range(500))


@pytest.mark.parametrize("kill_after", [1, 7, 40])
def test_nothing_acknowledged_is_lost_on_kill_9(tmp_path, kill_after):
    acknowledged = []
    with (
        collecting(tmp_path) as (process, port),
        socket.create_connection(("127.0.0.1", port)) as connection,
        contextlib.suppress(OSError),
    ):
        connection.sendall(b"".join(chunk(number) for number in range(60)))
        acknowledged += itertools.islice(acknowledgements(connection), kill_after)
        process.send_signal(signal.SIGKILL)
        process.wait()
        acknowledged += acknowledgements(connection)
    assert len(acknowledged) >= kill_after
    with collecting(tmp_path) as (process, port):
        with socket.create_connection(
            ("127.0.0.1", port)
        ) as connection:  # as a sender does: what is not acknowledged is sent again
            missing = [number for number in range(60) if f"c{number}" not in acknowledged]
            connection.sendall(b"".join(map(chunk, missing)))
            again = list(itertools.islice(acknowledgements(connection), len(missing)))
        assert again == [f"c{number}" for number in missing]
        stop(process)
    assert not list(tmp_path.rglob(f"*{PART}"))
    found = collected(tmp_path)
    assert {record["n"] for record in found} == set(range(600)), "every event is there, some perhaps twice"


def test_a_message_that_was_cut_off_is_not_acknowledged_and_not_written(tmp_path):
    with collecting(tmp_path) as (process, port):
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(chunk(0) + chunk(1)[:-3])
            assert next(acknowledgements(connection)) == "c0"
        stop(process)
    assert [record["n"] for record in collected(tmp_path)] == list(range(10))


def test_who_sends_something_else_is_hung_up_on_and_others_are_served(tmp_path):
    with collecting(tmp_path) as (process, port):
        with socket.create_connection(("127.0.0.1", port)) as stranger:
            stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert stranger.recv(1) == b""
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(chunk(0))
            assert next(acknowledgements(connection)) == "c0"
        stop(process)
        assert "hung up on ('127.0.0.1'" in process.stderr.read()


def test_heartbeats_are_answered(tmp_path):
    with collecting(tmp_path) as (_, port):
        socket.create_connection(("127.0.0.1", port)).close()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as heart:
            heart.settimeout(30)
            heart.sendto(b"\0", ("127.0.0.1", port))
            assert heart.recv(16) == b"\0"


def test_only_who_knows_the_shared_key_is_let_in(tmp_path):
    (tmp_path / "key").write_text("secret\n")
    with collecting(tmp_path / "logs", "--shared-key-file", str(tmp_path / "key")) as (process, port):
        for key, let_in in ((b"guess", False), (b"secret", True)):
            with socket.create_connection(("127.0.0.1", port)) as connection:
                stream = msgpack.Unpacker()
                stream.feed(connection.recv(4096))
                nonce = stream.unpack()[1]["nonce"]
                digest = hashlib.sha512(b"salt" + b"me" + nonce + key).hexdigest()
                connection.sendall(msgpack.packb(["PING", "me", b"salt", digest, "", ""]))
                stream.feed(connection.recv(4096))
                assert stream.unpack()[:2] == ["PONG", let_in]
                if let_in:
                    connection.sendall(chunk(3))
                    assert next(acknowledgements(connection)) == "c3"
                else:
                    assert connection.recv(1) == b""
        stop(process)
    assert len(collected(tmp_path / "logs")) == 10


def test_two_collectors_of_one_folder_are_a_mistake(tmp_path):
    with collecting(tmp_path) as (process, _):
        told = run("collect", "--forward", "127.0.0.1:0", "--to", str(tmp_path), code=2)
        assert f"another process collects into {str(tmp_path)!r} already" in told
        stop(process)


def test_an_address_that_is_taken_or_wrong_is_told(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"cannot listen on 127.0.0.1:{port}" in run(
            "collect", "--forward", f"127.0.0.1:{port}", "--to", str(tmp_path), code=2
        )
    assert "expected HOST:PORT" in run("collect", "--forward", "24224", "--to", str(tmp_path), code=2)


def test_a_build_reads_what_was_collected(tmp_path):
    with collecting(tmp_path / "logs") as (process, port):
        client = Sender("shop", host="127.0.0.1", port=port, nanosecond_precision=True)
        for number in range(100):
            client.emit_with_time("prediction", MOMENT + number * 600 + 0.25, {"id": f"p{number}"})
        client.emit_with_time("click", MOMENT + 60, {"id": "p0"})
        client.emit_with_time("click", MOMENT + 90_000, {"id": "none"})
        client.close()
        stop(process)
    fields = [{"name": "at", "type": TIMESTAMP, "path": "time"}, {"name": "id", "type": "string"}]
    (tmp_path / "event.avsc").write_text(json.dumps({"type": "record", "name": "Event", "fields": fields}))
    (tmp_path / "shoes.yaml").write_text("""\
dataset: shoes
predictions: {format: fluentd, path: "logs/shop.prediction/{date:%Y-%m-%d}/*.log", schema: event.avsc, key: id, time: at}
outcomes:
  click: {format: fluentd, path: "logs/shop.click/{date:%Y-%m-%d}/*.log", schema: event.avsc, key: id, time: at}
labels:
  clicked: {outcome: click, window: 1h, value: any}
""")
    told = json.loads(run("build", str(tmp_path / "shoes.yaml"), "--date", "2026-11-20", "--json"))
    assert told["accounting"]["predictions"]["examples"] == 100
    assert told["splits"]["all"]["labels"]["clicked"]["values"] == {"false": 99, "true": 1}


# Files


def event(hour: float, text: str = "x") -> tuple[int, bytes]:
    return int((MOMENT + hour * 3600) * 10**9), text.encode() + b"\n"


def names(folder: pathlib.Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.log*") if path.is_file())


def test_an_hour_is_complete_when_it_is_over_and_late_events_make_another_file(tmp_path):
    slices, before = Slices(str(tmp_path)), time.time()
    slices.append("t", [event(0), event(0.5), event(1)])
    slices.sync()
    assert names(tmp_path) == ["t/2026-11-20/00.0.log.part", "t/2026-11-20/01.0.log.part"]
    slices.complete_old(before + 59)  # the hours are over, but events came less than a minute ago
    assert len(list(tmp_path.rglob(f"*{PART}"))) == 2
    slices.complete_old(time.time() + 61)
    assert names(tmp_path) == ["t/2026-11-20/00.0.log", "t/2026-11-20/01.0.log"]
    slices.append("t", [event(0.9, "late")])
    slices.close()
    assert (tmp_path / "t/2026-11-20/00.0.log").read_text() == "x\nx\n"
    assert (tmp_path / "t/2026-11-20/00.1.log").read_text() == "late\n"


def test_what_a_killed_process_left_is_completed_without_its_torn_line(tmp_path):
    folder = tmp_path / "t/2026-11-20"
    folder.mkdir(parents=True)
    (folder / "00.0.log.part").write_bytes(b"whole\n" * 20_000 + b"torn")
    (folder / "01.0.log.part").write_bytes(b"torn" * 50_000)
    Slices(str(tmp_path)).close()
    assert names(tmp_path) == ["t/2026-11-20/00.0.log"]
    assert (folder / "00.0.log").read_bytes() == b"whole\n" * 20_000


@pytest.mark.parametrize(
    ("tag", "folder"),
    [("../../etc", "%2E%2E%2F..%2Fetc"), ("/a b", "%2Fa%20b"), ("", "%"), ("höhe", "h%C3%B6he"), ("kube.var.log", "kube.var.log")],
)  # fmt: skip
def test_a_tag_stays_below_the_folder(tmp_path, tag, folder):
    slices = Slices(str(tmp_path / "logs"))
    slices.append(tag, [event(0)])
    slices.close()
    assert os.listdir(tmp_path) == ["logs"]
    assert names(tmp_path / "logs") == [f"{folder}/2026-11-20/00.0.log"]


def test_many_tags_do_not_hold_many_files_open(tmp_path):
    slices = Slices(str(tmp_path))
    for number in range(100):
        slices.append(f"t{number}", [event(0)])
    slices.sync()
    assert len(list(tmp_path.rglob(f"*{PART}"))) == 64
    slices.close()
    assert len(names(tmp_path)) == 100


def test_the_folder_is_let_go_when_it_is_closed(tmp_path):
    first = Slices(str(tmp_path))
    with pytest.raises(ConfigError, match="another process collects into"):
        Slices(str(tmp_path))
    first.close()
    Slices(str(tmp_path)).close()
