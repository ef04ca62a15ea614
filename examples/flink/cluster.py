"""`make flink`: starts a Flink cluster here, builds a day of the example on it, and compares the dataset with one built in process.

A job manager, a task manager, Beam's job server and a pool of Python workers: four processes, as on many machines, but all of them on this one
(docs/flink.md). Everything is stopped at the end.
"""

import contextlib
import dataclasses
import filecmp
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

ROOT = pathlib.Path(__file__).parents[2]
JARS = ROOT / "build" / "engines" / "flink"
DATE = "2019-11-28"

# Flink reads classes of Java itself by reflection.
OPENED = ("java.lang", "java.lang.reflect", "java.io", "java.net", "java.nio", "java.text", "java.time", "java.util",
          "java.util.concurrent", "java.util.concurrent.atomic", "java.util.concurrent.locks")  # fmt: skip

# Every step between two shuffles needs buffers of its own in each slot: 64 MB are too few for a build.
CONFIG = """
jobmanager.rpc.address: localhost
jobmanager.rpc.port: {rpc}
jobmanager.bind-host: localhost
rest.address: localhost
rest.bind-address: localhost
rest.port: {rest}
taskmanager.host: localhost
taskmanager.bind-host: localhost
taskmanager.numberOfTaskSlots: 2
taskmanager.cpu.cores: 2
taskmanager.memory.framework.heap.size: 128m
taskmanager.memory.framework.off-heap.size: 128m
taskmanager.memory.task.heap.size: 384m
taskmanager.memory.task.off-heap.size: 0
taskmanager.memory.managed.size: 256m
taskmanager.memory.network.min: 256m
taskmanager.memory.network.max: 256m
taskmanager.network.sort-shuffle.min-buffers: 64
taskmanager.memory.jvm-metaspace.size: 256m
taskmanager.memory.jvm-overhead.min: 192m
taskmanager.memory.jvm-overhead.max: 192m
parallelism.default: 2
classloader.resolve-order: parent-first
blob.storage.directory: {folder}
io.tmp.dirs: {folder}
"""


class CannotStartError(Exception):
    """This machine lacks something that the cluster needs; the text says what."""


def fetch_jars() -> pathlib.Path:
    """Brings Flink and Beam's job server, 150 MB, unless they are here."""
    if not (JARS / "complete").exists():
        for program in ("java", "mvn"):
            if shutil.which(program) is None:
                raise CannotStartError(f"{program} is not installed")
        command = ["mvn", "-B", "-q", "-f", str(pathlib.Path(__file__).with_name("pom.xml")), "dependency:copy-dependencies",
                   f"-DoutputDirectory={JARS}"]  # fmt: skip
        brought = subprocess.run(command, capture_output=True, text=True, check=False)
        if brought.returncode:
            said = (brought.stdout + brought.stderr).strip().splitlines()
            raise CannotStartError(
                f"Maven cannot bring beam-runners-flink: {said[0][:300] if said else 'it does not say why'}"
            )
        (JARS / "complete").touch()
    return JARS


@dataclasses.dataclass
class Cluster:
    """A running cluster."""

    job_server: int
    rest: int
    workers: int
    pool: subprocess.Popen[bytes]

    @property
    def options(self) -> list[str]:
        """What follows the `--` of `retrolabel build`. The cache keeps a worker from one step to the next."""
        return ["--runner", "PortableRunner", "--job_endpoint", f"localhost:{self.job_server}", "--parallelism", "2",
                "--environment_type", "EXTERNAL", "--environment_config", f"localhost:{self.workers}",
                "--environment_cache_millis", "30000"]  # fmt: skip

    def ask(self, path: str) -> Any:
        """Flink's answer to a GET request."""
        with urllib.request.urlopen(f"http://localhost:{self.rest}{path}", timeout=10) as answer:
            return json.load(answer)

    def worker_processes(self) -> list[int]:
        """The processes that run Python steps now: children of the pool's threads."""
        threads = pathlib.Path(f"/proc/{self.pool.pid}/task").glob("*/children")
        return [int(pid) for thread in threads for pid in thread.read_text().split()]


@contextlib.contextmanager
def flink_cluster(folder: pathlib.Path) -> Iterator[Cluster]:
    """A cluster of two slots, which is stopped afterwards; its logs are in `folder`.

    Raises:
        CannotStartError: Java or the jars cannot be had, or a process ended at once.
    """
    jars = fetch_jars()
    rpc, rest, job_server, artifacts, workers = free_ports(5)
    (folder / "config.yaml").write_text(CONFIG.format(rpc=rpc, rest=rest, folder=folder))
    java = [
        "java",
        *(f"--add-opens=java.base/{name}=ALL-UNNAMED" for name in (*OPENED, "sun.nio.ch")),
        "-Xmx512m",
        "-cp",
        f"{jars}/*",
    ]
    runtime = "org.apache.flink.runtime"
    commands = {
        "job-manager": [*java, f"{runtime}.entrypoint.StandaloneSessionClusterEntrypoint", "--configDir", str(folder)],
        "task-manager": [*java, f"{runtime}.taskexecutor.TaskManagerRunner", "--configDir", str(folder)],
        "job-server": [*java, "org.apache.beam.runners.flink.FlinkJobServerDriver", f"--flink-master=localhost:{rest}",
                       f"--flink-conf-dir={folder}", f"--job-port={job_server}", f"--artifact-port={artifacts}", "--expansion-port=0",
                       f"--artifacts-dir={folder / 'artifacts'}"],
        "worker-pool": [sys.executable, "-m", "apache_beam.runners.worker.worker_pool_main", f"--service_port={workers}"],
    }  # fmt: skip
    # The pool starts `python`, which must be the one that has retrolabel.
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(pathlib.Path(sys.executable).parent), os.environ["PATH"]]),
    }
    processes: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for name, command in commands.items():
            with (folder / f"{name}.log").open("wb") as log:
                processes[name] = subprocess.Popen(
                    command, stdout=log, stderr=log, env=environment, start_new_session=True
                )
        cluster = Cluster(job_server, rest, workers, processes["worker-pool"])

        def ready() -> bool:
            for name, process in processes.items():
                if process.poll() is not None:
                    raise CannotStartError(f"{name} ended: {(folder / f'{name}.log').read_text()[-500:]}")
            with contextlib.suppress(OSError):  # also while the job manager answers that it is not ready
                return answers(job_server) and answers(workers) and cluster.ask("/overview")["slots-available"] == 2
            return False

        wait_until(ready, seconds=120)
        yield cluster
    finally:
        for process in processes.values():  # with the workers that the pool started
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("localhost", 0))
        return [each.getsockname()[1] for each in sockets]


def answers(port: int) -> bool:
    """Whether somebody listens."""
    with contextlib.suppress(OSError), socket.create_connection(("localhost", port), timeout=1):
        return True
    return False


def wait_until(happens: Callable[[], bool], seconds: float) -> None:
    """Asks again and again.

    Raises:
        CannotStartError: it did not happen in time.
    """
    end = time.monotonic() + seconds
    while not happens():
        if time.monotonic() > end:
            raise CannotStartError(f"the cluster was not ready after {seconds:.0f} s")
        time.sleep(0.1)


def same_files(one: pathlib.Path, other: pathlib.Path) -> int:
    """How many files two datasets have, which must be the same bytes; reports, which are views, are left out.

    Raises:
        ValueError: a file differs, or is in one of them only.
    """
    found = [
        {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file() and "_reports" not in path.parts}
        for root in (one, other)
    ]
    if found[0] != found[1]:
        raise ValueError(f"only in one of them: {', '.join(sorted(found[0] ^ found[1]))}")
    _, different, unread = filecmp.cmpfiles(one, other, sorted(found[0]), shallow=False)
    if different or unread:
        raise ValueError(f"not the same bytes: {', '.join(different + unread)}")
    return len(found[0])


def main() -> int:
    """Builds the example twice and compares; returns an exit code."""
    sys.path.insert(0, str(ROOT / "examples" / "open_bandit"))
    import fetch

    print(fetch.main())
    with tempfile.TemporaryDirectory() as scratch:
        here, there, logs = (pathlib.Path(scratch) / name for name in ("in-process", "on-flink", "flink"))
        logs.mkdir()
        for folder in (here, there):
            shutil.copytree(
                ROOT / "examples" / "open_bandit", folder, ignore=shutil.ignore_patterns("datasets", "download")
            )
        build(here, [])
        try:
            with flink_cluster(logs) as cluster:
                print(
                    f"Flink {cluster.ask('/config')['flink-version']}: {cluster.ask('/overview')['slots-total']} slots"
                )
                build(there, ["--", *cluster.options])
        except CannotStartError as reason:
            print(f"skipped: {reason}")
            return 0
        print(f"the same bytes: {same_files(here / 'datasets', there / 'datasets')} files")
    return 0


def build(folder: pathlib.Path, options: list[str]) -> None:
    """One day of the example."""
    command = [sys.executable, "-m", "retrolabel", "build", "open_bandit.yaml", "--date", DATE, *options]
    print("$ retrolabel", " ".join(command[3:]), flush=True)
    said = subprocess.run(command, cwd=folder, check=True, stdout=subprocess.PIPE, text=True).stdout
    print("\n".join(line for line in said.splitlines() if "published" in line or (" in " in line and "@" in line)))


if __name__ == "__main__":
    raise SystemExit(main())
