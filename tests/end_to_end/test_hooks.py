"""What follows a publication: everybody is told, in order, at least once; nobody's failure takes anything back."""

import base64
import contextlib
import hashlib
import hmac
import http.server
import json
import os
import threading

import pytest
from click.testing import CliRunner

from retrolabel.pipelines import hooks
from retrolabel.pipelines.check_command import check_project
from retrolabel.pipelines.cli import commands
from tests.support.daily import click, make_shop, midnight, serve

DATES = ("2026-11-20", "2026-11-21", "2026-11-22")


class Receiver:
    """A server that keeps what it is sent, and answers as it is told to."""

    def __init__(self) -> None:
        self.status = 200
        self.requests: list[tuple[dict[str, str], bytes]] = []

    @contextlib.contextmanager
    def serving(self):
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.requests.append(({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(receiver.status)
                self.send_header("Location", "/elsewhere")
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


@pytest.fixture
def receiver():
    return Receiver()


@pytest.fixture
def url(receiver):
    with receiver.serving() as address:
        yield address


def shop(folder, sections: str):
    make_shop(folder / "shop", sections)
    for date in DATES:
        serve(folder / "shop", date)
        click(folder / "shop", date)
    return folder / "shop"


def run(shop, *arguments: str, code: int = 0):
    now = "2026-11-23T12:00:00Z"
    result = CliRunner().invoke(commands, ["run", str(shop / "shop.yaml"), "--now", now, "--json", *arguments])
    assert result.exit_code == code, result.output + str(result.exception)
    return result


def test_a_webhook_is_told_of_each_version_signed_by_the_standard(tmp_path, receiver, url, monkeypatch):
    key = bytes(range(24))
    monkeypatch.setenv("SHOP_SECRET", "whsec_" + base64.b64encode(key).decode())
    folder = shop(tmp_path, f"on_publish: {{webhook: {{url: {url}/hook, secret_env: SHOP_SECRET}}}}\n")
    run(folder)
    messages = [json.loads(body) for _, body in receiver.requests]
    assert [(message["version"], message["date"], message["examples"]) for message in messages] == [
        (1, "2026-11-20", 24), (2, "2026-11-21", 24), (3, "2026-11-22", 0),
    ]  # fmt: skip
    assert messages[0]["splits"] == {"all": 24}
    assert messages[0]["type"] == "retrolabel.version.published"
    for headers, body in receiver.requests:
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        assert headers["webhook-signature"] == f"v1,{expected}"
    run(folder, code=8)
    assert len(receiver.requests) == 3


@pytest.mark.parametrize("status", [500, 302])
def test_a_receiver_that_fails_takes_nothing_back_and_is_told_again_with_the_same_identity(
    tmp_path, receiver, url, status
):
    folder = shop(tmp_path, f"on_publish: {{webhook: {{url: {url}/secret-path}}}}\n")
    receiver.status = status
    result = run(folder, "--date", "2026-11-20", code=10)
    assert json.loads(result.stdout.splitlines()[0])["outcome"] == "published"
    assert f"version 1 is published, but on_publish.webhook failed: 127.0.0.1 answered {status}" in result.stderr
    assert "secret-path" not in result.stderr
    receiver.status = 200
    run(folder, "--date", "2026-11-21")
    tellings = [json.loads(body)["version"] for _, body in receiver.requests]
    assert tellings == [1, 1, 2]
    assert receiver.requests[0][0]["webhook-id"] == receiver.requests[1][0]["webhook-id"]
    assert receiver.requests[0][1] == receiver.requests[1][1]


def test_a_receiver_that_is_not_there_is_told_by_the_run_that_finds_it(tmp_path, receiver):
    with receiver.serving() as address:
        pass
    folder = shop(tmp_path, f"on_publish: {{webhook: {{url: {address}}}, file: newest.json}}\n")
    assert "cannot reach 127.0.0.1" in run(folder, code=10).stderr
    assert json.loads((folder / "newest.json").read_text())["version"] == 3  # one hook's failure is not another's
    assert "on_publish.webhook failed" in run(folder, code=10).stderr


def test_a_run_that_begins_while_another_has_published_and_not_told_yet_keeps_nothing_from_being_told(
    tmp_path, receiver, url, monkeypatch
):
    folder = shop(tmp_path, f"on_publish: {{webhook: {{url: {url}}}}}\n")
    project = check_project(str(folder / "shop.yaml"))
    listing = hooks.version_numbers

    def other_run_then_list(root: str) -> list[int]:
        monkeypatch.setattr(hooks, "version_numbers", listing)
        hooks.begin_hooks(project)
        CliRunner().invoke(commands, ["build", str(folder / "shop.yaml"), "--date", "2026-11-20"])
        return listing(root)

    monkeypatch.setattr(hooks, "version_numbers", other_run_then_list)
    hooks.begin_hooks(project)
    assert list(hooks.run_hooks(project)) == []
    assert [json.loads(body)["version"] for _, body in receiver.requests] == [1]


def test_a_version_that_retention_of_another_run_removes_meanwhile_is_no_failure(tmp_path, receiver, url, monkeypatch):
    folder = shop(tmp_path, f"on_publish: {{webhook: {{url: {url}}}}}\n")
    receiver.status = 500
    run(folder, code=10)
    receiver.status, before = 200, len(receiver.requests)
    project = check_project(str(folder / "shop.yaml"))
    listing = hooks.version_numbers

    def list_then_expire(root: str) -> list[int]:
        numbers = listing(root)
        (folder / "datasets/shop/_versions/00000001.json").unlink()
        return numbers

    monkeypatch.setattr(hooks, "version_numbers", list_then_expire)
    assert list(hooks.run_hooks(project)) == []
    assert [json.loads(body)["version"] for _, body in receiver.requests[before:]] == [2, 3]


def test_what_was_published_by_hand_is_told_by_the_next_run_and_what_came_before_the_hook_is_not(tmp_path):
    folder = shop(tmp_path, "")
    run(folder, "--date", "2026-11-20")
    with open(folder / "shop.yaml", "a") as config:
        config.write("on_publish: {openlineage: {file: events.ndjson}}\n")
    run(folder, "--date", "2026-11-20", code=8)
    built = CliRunner().invoke(commands, ["build", str(folder / "shop.yaml"), "--date", "2026-11-21"])
    assert built.exit_code == 0
    run(folder, "--date", "2026-11-20", code=8)
    (event,) = [json.loads(line) for line in (folder / "events.ndjson").read_text().splitlines()]
    assert event["outputs"][0]["facets"]["version"]["datasetVersion"] == "2"


def test_a_program_gets_the_message_without_a_shell_and_says_why_it_failed(tmp_path):
    program = tmp_path / "tell.sh"
    program.write_text('#!/bin/sh\ncat >"$1"\n[ -z "$2" ] || { echo "no $2 today" >&2; exit 3; }\n')
    program.chmod(0o755)
    folder = shop(tmp_path, f'on_publish: {{command: [{program}, "told;x.json"]}}\n')
    run(folder, "--date", "2026-11-20")
    assert json.loads((folder / "told;x.json").read_text())["version"] == 1
    config = folder / "shop.yaml"
    config.write_text(config.read_text().replace('"told;x.json"', "told.json, luck"))
    assert "ended with 3: no luck today" in run(folder, "--date", "2026-11-21", code=10).stderr
    config.write_text(config.read_text().replace(str(program), "/nowhere/tell.sh"))
    assert "cannot run '/nowhere/tell.sh'" in run(folder, "--date", "2026-11-21", code=10).stderr


def test_a_secret_that_is_not_there_is_told_by_its_name(tmp_path, url, receiver, monkeypatch):
    monkeypatch.delenv("NO_SUCH_SECRET", raising=False)
    folder = shop(tmp_path, f"on_publish: {{webhook: {{url: {url}, secret_env: NO_SUCH_SECRET}}}}\n")
    assert "no variable 'NO_SUCH_SECRET'" in run(folder, "--date", "2026-11-20", code=10).stderr
    assert receiver.requests == []


def test_spans_for_tfx_hold_the_published_files_of_each_version(tmp_path):
    folder = shop(tmp_path, "output: {format: tfrecord}\non_publish: {tfx: spans}\nretention: {versions: 3}\n")
    run(folder, "--to", "2026-11-21")
    serve(folder, "2026-11-20", range(3), name="served-late")
    late = folder / "logs/2026/11/20/served-late.json"
    late.write_text(late.read_text().replace('"2026-11-20/', '"late/'))
    run(folder, "--to", "2026-11-21")
    spans = {
        str(path.relative_to(folder / "spans")).rpartition("/")[0] for path in (folder / "spans").rglob("*.tfrecord")
    }
    assert spans == {"2026-11-20/version-1/all", "2026-11-20/version-3/all", "2026-11-21/version-2/all"}
    (linked,) = (folder / "spans/2026-11-20/version-3/all").iterdir()
    (published,) = list((folder / "datasets/shop").rglob(linked.name))
    assert linked.samefile(published)
    for path in (folder / "datasets/shop").rglob("*"):
        os.utime(path, (midnight("2026-11-20").timestamp(),) * 2)
    with open(folder / "logs/2026/11/20/served-later.json", "w") as later:
        later.write(late.read_text().replace('"late/', '"later/'))
    run(folder, "--to", "2026-11-21")  # version 4, after which retention removes the first
    serve(folder, "2026-11-20", range(3), name="served-latest")
    run(folder, "--to", "2026-11-21")
    left = sorted(path.name for path in (folder / "spans/2026-11-20").iterdir())
    assert left == ["version-3", "version-4", "version-5"]


def test_hooks_are_no_part_of_what_is_published(tmp_path):
    one = shop(tmp_path / "a", "")
    other = shop(tmp_path / "b", "on_publish: {file: newest.json}\n")
    for folder in (one, other):
        run(folder, "--date", "2026-11-20")
    paths = [next((folder / "datasets/shop/2026-11-20").glob("*/manifest-*.json")) for folder in (one, other)]
    assert os.path.relpath(paths[0], one) == os.path.relpath(paths[1], other)


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ("on_publish: {webhook: {url: 'file:///etc/passwd'}}\n", "on_publish.webhook.url"),
        ("on_publish: {openlineage: {namespace: x}}\n", "give either 'url' or 'file'"),
        ("on_publish: {iceberg: {table: shoes}}\n", "on_publish.iceberg.table"),
        ("on_publish: {iceberg: {table: ml.shoes}}\noutput: {format: avro}\n", "needs 'output: {format: parquet}'"),
        ("on_publish: {webhok: {url: 'http://a'}}\n", "Did you mean 'webhook'?"),
    ],
)
def test_a_wrong_hook_is_told_with_its_place(tmp_path, sections, said):
    config = make_shop(tmp_path / "shop", sections)
    result = CliRunner().invoke(commands, ["check", config])
    assert result.exit_code == 2
    assert said in result.output
