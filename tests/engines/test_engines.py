"""A build on other engines gives the bytes of a build in process.

Run with `make test-engines`. Prism is built from its Go module; Flink, with Beam's job server before it, comes from Maven Central
(examples/flink). What a machine cannot get is skipped, with the reason.
"""

import contextlib
import hashlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import apache_beam as beam
import grpc
import pytest

from examples.flink import cluster
from tests.support.messy import DAY, write_logs

pytestmark = pytest.mark.engines

TOOLS = pathlib.Path(__file__).parents[2] / "build" / "engines"


def fetched(command: list[str], result: pathlib.Path) -> pathlib.Path:
    """Runs a command that brings a tool, unless it is here already; skips the test if it cannot be had."""
    if not result.exists():
        if shutil.which(command[0]) is None:
            pytest.skip(f"{result.name} cannot be had: {command[0]} is not installed")
        TOOLS.mkdir(parents=True, exist_ok=True)
        brought = subprocess.run(
            command, capture_output=True, text=True, check=False, env={**os.environ, "GOBIN": str(TOOLS)}
        )
        if brought.returncode:
            said = (brought.stdout + brought.stderr).strip().splitlines()[0]
            pytest.skip(f"{result.name} cannot be had: {said[:300]}")
    return result


@pytest.fixture(scope="module")
def prism() -> list[str]:
    """Beam's Prism, built with the Go toolchain, in the version of the Python SDK."""
    module = f"github.com/apache/beam/sdks/v2/go/cmd/prism@v{beam.__version__}"
    binary = fetched(["go", "install", module], TOOLS / "prism")
    return ["--runner", "PrismRunner", "--prism_location", str(binary)]


@pytest.fixture(scope="module")
def flink_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[cluster.Cluster]:
    """A job manager, a task manager, a job server and a pool of workers, as processes."""
    try:
        with cluster.flink_cluster(tmp_path_factory.mktemp("flink")) as started:
            yield started
    except cluster.CannotStartError as reason:
        pytest.skip(f"no Flink: {reason}")


@pytest.fixture(scope="module")
def flink(flink_cluster: cluster.Cluster) -> list[str]:
    return flink_cluster.options


@pytest.fixture(scope="module")
def portable() -> Iterator[list[str]]:
    """Beam's portable job service, in a process of its own, which calls back for the work."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    service = subprocess.Popen(
        [sys.executable, "-m", "apache_beam.runners.portability.local_job_service_main", "--port", str(port)],
        stderr=subprocess.DEVNULL,
    )
    ready = grpc.channel_ready_future(grpc.insecure_channel(f"localhost:{port}"))
    while not ready.done():
        assert service.poll() is None, "the job service has ended"
        with contextlib.suppress(grpc.FutureTimeoutError):
            ready.result(timeout=1)
    yield ["--runner", "PortableRunner", "--job_endpoint", f"localhost:{port}", "--environment_type", "LOOPBACK"]
    service.kill()
    service.wait()


def start(shop: pathlib.Path, options: list[str]) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-m",
        "retrolabel",
        "build",
        str(shop / "shoes.yaml"),
        "--date",
        str(DAY.date()),
        "--",
        *options,
    ]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )


def build(shop: pathlib.Path, options: list[str]) -> dict[str, str]:
    """Builds the messy day; returns the digest of every published file."""
    process = start(shop, options)
    said, _ = process.communicate(timeout=600)
    assert process.returncode == 0, said
    return digests(shop)


def digests(shop: pathlib.Path) -> dict[str, str]:
    """The digest of every file of the dataset but reports and spilled rows."""
    dataset = shop / "datasets" / "shoes"
    return {
        str(path.relative_to(dataset)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in dataset.rglob("*")
        if path.is_file() and not {"_tmp", "_reports"} & set(path.relative_to(dataset).parts)
    }


@pytest.fixture(scope="module")
def expected(tmp_path_factory) -> dict[str, str]:
    shop = tmp_path_factory.mktemp("in-process")
    write_logs(shop, seed=11, predictions=400)
    return build(shop, [])


@pytest.mark.parametrize("engine", ["portable", "prism", "flink"])
def test_an_engine_gives_the_bytes_of_a_build_in_process(tmp_path, expected, engine, request):
    options = request.getfixturevalue(engine)
    write_logs(tmp_path, seed=11, predictions=400)
    assert build(tmp_path, options) == expected
    assert sum(name.endswith(".parquet") for name in expected) > 3


def test_a_build_that_is_killed_on_an_engine_publishes_nothing_and_the_next_heals_it(tmp_path, expected, prism):
    write_logs(tmp_path, seed=11, predictions=400)
    process = start(tmp_path, prism)
    assert process.stdout is not None
    for line in process.stdout:  # up to the moment when the job has begun
        if "PrismRunner" in line:
            break
    os.killpg(process.pid, signal.SIGKILL)  # the build, and the engine that it started
    process.communicate()
    assert not list(tmp_path.glob("datasets/shoes/_versions/*.json"))
    healed = build(tmp_path, prism)
    assert {name: digest for name, digest in healed.items() if name in expected} == expected
    assert {name for name in healed if name.endswith(".json")} == {name for name in expected if name.endswith(".json")}


def test_a_worker_of_flink_that_dies_publishes_nothing_and_the_next_run_heals_it(tmp_path, expected, flink_cluster):
    write_logs(tmp_path, seed=11, predictions=400)
    process = start(tmp_path, flink_cluster.options)

    def half_done() -> bool:
        with contextlib.suppress(OSError):  # a busy machine's cluster may leave a question unanswered
            jobs = [job for job in flink_cluster.ask("/jobs/overview")["jobs"] if job["state"] == "RUNNING"]
            return bool(jobs) and jobs[0]["tasks"]["finished"] > 10
        return False

    cluster.wait_until(half_done, seconds=300)
    for worker in flink_cluster.worker_processes():
        os.kill(worker, signal.SIGKILL)
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 1
    assert "error: the job on PortableRunner failed: " in said
    assert not list(tmp_path.glob("datasets/shoes/_versions/*.json"))
    healed = build(tmp_path, flink_cluster.options)
    assert {name: digest for name, digest in healed.items() if name in expected} == expected


@pytest.mark.parametrize("engine", ["portable", "prism", "flink"])
def test_an_engine_ends_with_the_exit_code_of_a_build_in_process(tmp_path, engine, request):
    options = request.getfixturevalue(engine)
    write_logs(tmp_path, seed=11, predictions=40)
    config = tmp_path / "shoes.yaml"
    config.write_text(config.read_text().replace("max_rejected: 0.2", "max_rejected: 0.001"))
    refused = start(tmp_path, [])
    told, _ = refused.communicate()
    assert refused.returncode == 3
    on_engine = start(tmp_path, options)
    said, _ = on_engine.communicate()
    assert on_engine.returncode == 3, said
    assert told[told.index("error: ") :] in said
    if engine == "flink":  # the others' workers are in the process that waits, and Beam prints what they raise
        assert "Traceback" not in said


def test_no_engine_is_left_running_after_a_build(tmp_path, prism):
    write_logs(tmp_path, seed=11, predictions=40)
    build(tmp_path, prism)
    assert [process for process in pathlib.Path("/proc").glob("[0-9]*") if runs(process, prism[-1])] == []


def runs(process: pathlib.Path, binary: str) -> bool:
    try:
        return binary.encode() in (process / "cmdline").read_bytes()
    except OSError:
        return False
