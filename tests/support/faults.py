"""Commands that meet trouble with files: killed, refused, cut short or held up at a chosen call of the system.

A workshop is a process that has imported everything and forks for each command, so that hundreds can be killed in minutes. The calls
are met in the C library (faults.c), not in Python: those of Arrow's own code count too.
"""

import ctypes
import dataclasses
import enum
import json
import mmap
import os
import pathlib
import shutil
import struct
import subprocess
import sys
from typing import Any

import pytest

KEY = "RETROLABEL_TEST_KEY"
"""The variable of the environment that holds a key of pseudonyms for the commands."""


class Kind(enum.IntFlag):
    """What a call does to files below the folder; as in faults.c."""

    MKDIR = 1
    CREATE = 2
    WRITE = 4
    SYNC = 8
    CLOSE = 16
    RENAME = 32
    LINK = 64
    REMOVE = 128
    TOUCH = 256
    OPEN = 512
    READ = 1024
    LIST = 2048
    LOCK = 4096


CHANGES = Kind.MKDIR | Kind.CREATE | Kind.WRITE | Kind.SYNC | Kind.CLOSE | Kind.RENAME | Kind.LINK | Kind.REMOVE | Kind.TOUCH  # fmt: skip
READS = Kind.OPEN | Kind.READ | Kind.LIST
NEEDS_SPACE = Kind.MKDIR | Kind.CREATE | Kind.WRITE | Kind.RENAME | Kind.LINK


class What(enum.IntEnum):
    """What happens to a call; as in faults.c."""

    NOTHING = 0
    KILL = 1
    """The process is killed before it."""
    TEAR = 2
    """Half of it is written, then the process is killed."""
    FAIL = 3
    SHORT = 4
    """Half of it is read or written."""
    END = 5
    """The file seems to end."""
    AFTER = 6
    """It is done, and an error is told all the same."""
    DELAY = 7
    """Two milliseconds pass first."""


@dataclasses.dataclass(frozen=True)
class Fault:
    """What happens, to which calls, on which files."""

    below: pathlib.Path
    kinds: Kind
    what: What = What.NOTHING
    turn: int = 0
    """Which of the calls is met, counted from 0."""
    lasting: bool = False
    """Whether all calls after it are met too."""
    error: int = 0
    """The number that is told, as in `errno`."""


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    """Its exit code; if a signal killed it, the signal's number, negative."""
    output: str
    calls: int
    """How many calls of the fault's kinds it made."""


class Workshop:
    """Runs `retrolabel` commands in forks of one process."""

    def __init__(self, folder: pathlib.Path) -> None:
        if shutil.which("cc") is None:
            pytest.skip("needs a C compiler, to stand between a build and its files")
        library = folder / "faults.so"
        source = pathlib.Path(__file__).with_name("faults.c")
        subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"], check=True)
        self._process = subprocess.Popen(
            [sys.executable, str(pathlib.Path(__file__)), str(library)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, env=os.environ | {"LD_PRELOAD": str(library), KEY: "0123456789abcdef" * 4},
        )  # fmt: skip
        self._folder = folder
        self._outputs: dict[int, pathlib.Path] = {}

    def start(self, *arguments: str, fault: Fault | None = None) -> int:
        """Starts a command; gives the number of its process."""
        told = {}
        if fault:
            told = {
                **dataclasses.asdict(fault),
                "below": str(fault.below),
                "kinds": int(fault.kinds),
                "what": int(fault.what),
            }
        output = self._folder / f"output-{len(self._outputs)}"
        (process,) = self._ask({"start": arguments, "fault": told, "output": str(output)})
        self._outputs[process] = output
        return process

    def has_ended(self, process: int) -> bool:
        """Whether a command has come to its end; it is not waited for."""
        return bool(self._ask({"look": process})[0])

    def end(self, process: int) -> Ended:
        """Waits for a command."""
        status, calls = self._ask({"end": process})
        return Ended(os.waitstatus_to_exitcode(status), self._outputs[process].read_text(errors="replace"), calls)

    def run(self, *arguments: str, fault: Fault | None = None) -> Ended:
        """Runs a command to its end."""
        return self.end(self.start(*arguments, fault=fault))

    def close(self) -> None:
        """Ends the workshop."""
        self._process.communicate()

    def _ask(self, question: dict[str, Any]) -> list[int]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(question), file=self._process.stdin, flush=True)
        answer: list[int] = json.loads(self._process.stdout.readline())
        return answer


def _work(library: str) -> None:
    """The workshop's own process: a line of JSON a question, a line an answer."""
    for module in ("build_command", "run_command", "gc_command", "forget_command"):
        __import__(f"retrolabel.pipelines.{module}")
    from retrolabel.pipelines.cli import main

    arm, counter = ctypes.CDLL(library).faults_arm, mmap.mmap(-1, 8)
    place = ctypes.addressof(ctypes.c_long.from_buffer(counter))
    for line in sys.stdin:
        question = json.loads(line)
        if "end" in question:
            _, status = os.waitpid(question["end"], 0)
            print(json.dumps([status, struct.unpack("q", counter[:8])[0]]), flush=True)
            continue
        if "look" in question:
            found = os.waitid(os.P_PID, question["look"], os.WEXITED | os.WNOHANG | os.WNOWAIT)
            print(json.dumps([found is not None]), flush=True)
            continue
        counter[:8] = bytes(8)
        if child := os.fork():
            print(json.dumps([child]), flush=True)
            continue
        for stream, flags in ((0, os.O_RDONLY), (1, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)):
            os.dup2(os.open(question["output"] if stream else os.devnull, flags, 0o600), stream)
        os.dup2(1, 2)
        if fault := question["fault"]:
            arm(fault["below"].encode(), fault["kinds"], fault["what"], ctypes.c_long(fault["turn"]), int(fault["lasting"]),
                fault["error"], ctypes.c_void_p(place))  # fmt: skip
        sys.argv = ["retrolabel", *question["start"]]
        main()


if __name__ == "__main__":
    _work(sys.argv[1])
