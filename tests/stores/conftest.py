"""Stores on loopback: moto for S3, an emulator and a server of ours for Google Cloud Storage, Azurite for Azure, a cluster of HDFS."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fake_google import fake_google

ROOT = Path(__file__).parents[2]
AZURITE = ROOT / "build/npm/node_modules/.bin/azurite-blob"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
AZURE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""Azurite's own, which everybody knows."""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


@contextlib.contextmanager
def listening(command: list[str], port: int, **environment: str) -> Iterator[None]:
    """A server, once it listens."""
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, **environment}
    )
    try:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
            except OSError:
                assert process.poll() is None, f"{command[0]} has ended"
                time.sleep(0.05)
            else:
                break
        yield
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def s3(folder: Path) -> Iterator[dict[str, str]]:
    port = free_port()
    code = f"from moto.server import main; main(['-H', '127.0.0.1', '-p', '{port}'])"
    with listening([sys.executable, "-c", code], port, MOTO_S3_DEFAULT_MAX_KEYS="5"):
        yield {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", **CREDENTIALS}


@contextlib.contextmanager
def gs(folder: Path) -> Iterator[dict[str, str]]:
    port = free_port()
    code = f"from gcp_storage_emulator.server import create_server; create_server('127.0.0.1', {port}, in_memory=True).run()"
    with listening([sys.executable, "-c", code], port):
        yield {"STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{port}", "GOOGLE_CLOUD_PROJECT": "test"}


@contextlib.contextmanager
def conditional_gs(folder: Path) -> Iterator[dict[str, str]]:
    """It keeps to `ifGenerationMatch` and lists in pages, as the emulator does not."""
    with fake_google() as google:
        yield {"STORAGE_EMULATOR_HOST": google.url, "GOOGLE_CLOUD_PROJECT": "test"}


@contextlib.contextmanager
def azfs(folder: Path) -> Iterator[dict[str, str]]:
    if not AZURITE.exists():
        pytest.skip("Azurite is not there: `make emulators` brings it, with npm")
    port = free_port()
    command = [str(AZURITE), "--blobPort", str(port), "--location", str(folder), "--silent", "--skipApiVersionCheck"]
    with listening(command, port):
        yield {
            "AZURE_STORAGE_CONNECTION_STRING": f"DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey={AZURE_KEY};"
            f"BlobEndpoint=http://127.0.0.1:{port}/devstoreaccount1;"
        }


@contextlib.contextmanager
def hdfs(folder: Path) -> Iterator[dict[str, str]]:
    with java("hadoop", "MiniHdfs", folder) as address:
        yield {"HDFS": address.replace("http://", "hdfs://")}


@contextlib.contextmanager
def java(jars: str, program: str, folder: Path) -> Iterator[str]:
    """A server that runs on jars of Maven; the address that it says when it is ready."""
    if shutil.which("java") is None or not (ROOT / "build" / jars).is_dir():
        pytest.skip(f"{jars} is not there: `make emulators` brings it, with Maven and a JDK")
    command = ["java", "--add-opens=java.base/java.lang=ALL-UNNAMED", "-Xmx600m", "-cp", str(ROOT / "build" / jars / "*"),
               str(Path(__file__).parent / f"servers/{program}.java"), str(folder)]  # fmt: skip
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        told = iter(process.stdout.readline, "")  # a logger may say something first
        address = next((line.strip() for line in told if line.startswith("http://")), None)
        assert address, f"{program} did not start"
        yield address
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def servers(tmp_path_factory):
    """Starts each server when it is first asked for; the environment that leads to it."""
    kinds = {"s3": s3, "gs": gs, "conditional gs": conditional_gs, "azfs": azfs, "hdfs": hdfs}
    environments: dict[str, dict[str, str]] = {}
    with contextlib.ExitStack() as running:

        def serve(kind: str) -> dict[str, str]:
            if kind not in environments:
                environments[kind] = running.enter_context(kinds[kind](tmp_path_factory.mktemp("store")))
            return environments[kind]

        yield serve


@pytest.fixture(params=["s3", "gs", "azfs", "hdfs"])
def store(request, servers, monkeypatch):
    """The URL of an empty bucket, container or folder."""
    for name, value in servers(request.param).items():
        monkeypatch.setenv(name, value)
    name = f"shop-{uuid.uuid4().hex[:12]}"
    if request.param == "s3":
        import boto3

        boto3.client("s3").create_bucket(Bucket=name)
        return f"s3://{name}"
    if request.param == "gs":
        import google.cloud.storage

        google.cloud.storage.Client().create_bucket(name)
    if request.param == "azfs":
        from azure.storage.blob import BlobServiceClient

        with BlobServiceClient.from_connection_string(os.environ["AZURE_STORAGE_CONNECTION_STRING"]) as client:
            client.create_container(name)
        return f"azfs://devstoreaccount1/{name}"
    return f"{os.environ['HDFS']}/{name}" if request.param == "hdfs" else f"gs://{name}"
