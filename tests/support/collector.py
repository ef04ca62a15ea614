"""`retrolabel collect` as a process, and what it wrote."""

import contextlib
import json
import pathlib
import re
import socket
import subprocess
import sys
from collections.abc import Iterator

import msgpack


@contextlib.contextmanager
def collecting(folder: pathlib.Path, *options: str, port: int = 0) -> Iterator[tuple[subprocess.Popen, int]]:
    """The process, and the port that it listens on."""
    command = [
        sys.executable,
        "-m",
        "retrolabel",
        "collect",
        "--forward",
        f"127.0.0.1:{port}",
        "--to",
        str(folder),
        *options,
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        told = (re.search(r"listening on 127.0.0.1:(\d+)", line) for line in process.stderr)
        listening = next(filter(None, told), None)
        assert listening, "it has ended"
        yield process, int(listening[1])
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def stop(process: subprocess.Popen) -> None:
    process.terminate()
    assert process.wait() == 0


def collected(folder: pathlib.Path) -> list[dict]:
    """The records of all complete files."""
    return [
        json.loads(line.split("\t", 2)[2])
        for path in sorted(folder.rglob("*.log"))
        for line in path.read_text().splitlines()
    ]


def acknowledgements(connection: socket.socket) -> Iterator[str]:
    stream = msgpack.Unpacker()
    while data := connection.recv(4096):
        stream.feed(data)
        yield from (found["ack"] for found in stream)
