"""Telling others that a version was published: a file, a program, an HTTP request."""

import base64
import binascii
import datetime
import hashlib
import hmac
import json
import os
import subprocess
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Mapping
from typing import Any

from retrolabel.configs.load import Project
from retrolabel.pipelines.monitored import alerts_of
from retrolabel.schemas.errors import HookError
from retrolabel.schemas.manifest import DayManifest, VersionRecord
from retrolabel.transforms import storage

_NAMES = uuid.UUID("7c0e2e0b-5f0e-5c0a-9f53-0f1f6a6d3c11")  # of our own: any fixed one makes stable identities
_SECONDS = 30.0
_PROGRAM_SECONDS = 600.0


def identity_of(record: VersionRecord, manifest: DayManifest) -> str:
    """A UUID that is the same whenever, and however often, a version is told."""
    return str(uuid.uuid5(_NAMES, f"{record.dataset}\n{record.version}\n{manifest.digest}"))


def message_of(project: Project, record: VersionRecord, manifest: DayManifest) -> dict[str, Any]:
    """What receivers are told of a version: numbers and names, no rows."""
    counts, monitor = manifest.accounting["predictions"], project.config.monitor
    return {
        "type": "retrolabel.version.published", "id": identity_of(record, manifest), "dataset": record.dataset,
        "version": record.version, "parent": record.parent, "date": record.date, "path": project.root,
        "manifest": record.days[record.date], "days": len(record.days), "examples": counts.examples, "immature": counts.immature,
        "splits": {name: split["rows"] for name, split in manifest.splits.items()}, "changes": record.changes,
        "alerts": alerts_of(project.root, record.version, record.date, monitor) if monitor else [],
    }  # fmt: skip


def write_message(project: Project, record: VersionRecord, manifest: DayManifest) -> None:
    """Puts the message into a file, in one step."""
    path = project.resolve(str(project.config.on_publish.file))
    storage.write_once(path, _encoded(message_of(project, record, manifest)))


def run_program(project: Project, record: VersionRecord, manifest: DayManifest) -> None:
    """Runs a program, without a shell, with the message on its standard input.

    Raises:
        HookError: it is not there, fails, or takes longer than ten minutes.
    """
    command = list(project.config.on_publish.command or ())
    try:
        done = subprocess.run(  # noqa: S603 - the program that the config names, without a shell
            command, input=_encoded(message_of(project, record, manifest)), cwd=project.directory, capture_output=True,
            timeout=_PROGRAM_SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise HookError(f"{command[0]!r} took longer than {_PROGRAM_SECONDS:.0f} s") from None
    except OSError as error:
        raise HookError(f"cannot run {command[0]!r}: {error.strerror}") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()[-300:]
        raise HookError(f"{command[0]!r} ended with {done.returncode}" + (f": {said}" if said else ""))


def send_webhook(project: Project, record: VersionRecord, manifest: DayManifest) -> None:
    """Sends the message, signed.

    Raises:
        HookError: the receiver does not take it, or the secret is not in the environment.
    """
    webhook = project.config.on_publish.webhook
    assert webhook is not None
    body = _encoded(message_of(project, record, manifest))
    headers = {"webhook-id": identity_of(record, manifest)}
    if webhook.secret_env:
        moment = round(datetime.datetime.now(datetime.UTC).timestamp())
        headers |= signature(from_environment(webhook.secret_env), headers["webhook-id"], moment, body)
    post(webhook.url, body, headers)


def signature(secret: str, identity: str, moment: int, body: bytes) -> dict[str, str]:
    """The headers of the Standard Webhooks specification: HMAC-SHA256 over id, time and body.

    See https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
    """
    try:
        key = (
            base64.b64decode(secret.removeprefix("whsec_"), validate=True)
            if secret.startswith("whsec_")
            else secret.encode()
        )
    except binascii.Error:
        raise HookError("the webhook's secret begins with 'whsec_', but no base64 follows") from None
    signed = hmac.new(key, f"{identity}.{moment}.".encode() + body, hashlib.sha256).digest()
    return {"webhook-timestamp": str(moment), "webhook-signature": f"v1,{base64.b64encode(signed).decode()}"}


def post(url: str, body: bytes, headers: Mapping[str, str]) -> None:
    """Sends JSON.

    Raises:
        HookError: the receiver cannot be reached, or answers with something else than success. Of the URL only the host is told: the rest
            may be a secret.
    """
    request = urllib.request.Request(url, body, {"Content-Type": "application/json", **headers})  # noqa: S310 - the config allows http and https alone
    host = urllib.parse.urlsplit(url).hostname
    try:
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=_SECONDS):
            return
    except urllib.error.HTTPError as error:
        raise HookError(f"{host} answered {error.code} {error.reason}") from None
    except (urllib.error.URLError, OSError) as error:
        raise HookError(f"cannot reach {host}: {getattr(error, 'reason', error)}") from None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A receiver that moved is an error: following would turn the POST into a GET, or carry the message somewhere else."""

    def redirect_request(self, *_: Any) -> None:
        return None


def from_environment(name: str) -> str:
    """A secret, by the name of its variable.

    Raises:
        HookError: there is none.
    """
    if not os.environ.get(name):
        raise HookError(f"the environment has no variable {name!r}, which should hold the secret")
    return os.environ[name]


def _encoded(message: Mapping[str, Any]) -> bytes:
    return (json.dumps(message, sort_keys=True) + "\n").encode()
