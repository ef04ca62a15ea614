"""Object stores on loopback: moto for S3, an emulator for Google Cloud Storage, Azurite for Azure."""

import os
import shutil
import socket
import subprocess
import sys
import time
import uuid

import pytest


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


def start(command: list[str], port: int) -> subprocess.Popen:
    """A server, once it listens."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return process
    process.kill()
    pytest.fail(f"{command[0]} does not listen")


@pytest.fixture(scope="session")
def servers(tmp_path_factory):
    """Starts each server when it is first asked for; the environment that leads to it."""
    running, environments = [], {}

    def serve(store: str) -> dict[str, str]:
        if store in environments:
            return environments[store]
        port = free_port()
        if store == "s3":
            code = f"from moto.server import main; main(['-H', '127.0.0.1', '-p', '{port}'])"
            running.append(start([sys.executable, "-c", code], port))
            keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
            environments[store] = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", **keys}
        elif store == "gs":
            code = f"from gcp_storage_emulator.server import create_server; create_server('127.0.0.1', {port}, in_memory=True).run()"
            running.append(start([sys.executable, "-c", code], port))
            environments[store] = {"STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{port}", "GOOGLE_CLOUD_PROJECT": "test"}
        else:
            azurite = os.environ.get("AZURITE") or shutil.which("azurite-blob")
            if azurite is None:
                pytest.skip("Azurite is not installed: npm install -g azurite, or AZURITE=/path/to/azurite-blob")
            folder = str(tmp_path_factory.mktemp("azurite"))
            command = [azurite, "--blobPort", str(port), "--location", folder, "--silent", "--skipApiVersionCheck"]
            running.append(start(command, port))
            key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
            environments[store] = {
                "AZURE_STORAGE_CONNECTION_STRING": f"DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey={key};"
                f"BlobEndpoint=http://127.0.0.1:{port}/devstoreaccount1;"
            }
        return environments[store]

    yield serve
    for process in running:
        process.kill()
        process.wait()


@pytest.fixture(params=["s3", "gs", "azfs"])
def store(request, servers, monkeypatch):
    """The URL of an empty bucket or container."""
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
        return f"gs://{name}"
    from azure.storage.blob import BlobServiceClient

    with BlobServiceClient.from_connection_string(os.environ["AZURE_STORAGE_CONNECTION_STRING"]) as client:
        client.create_container(name)
    return f"azfs://devstoreaccount1/{name}"
