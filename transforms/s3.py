"""Amazon S3: Beam's filesystem makes a session of boto3 for each file, and each session reads the models of AWS anew.

That took 0.09 s of processor time, more than it takes to parse a block of logs. Here all of a process use one session.
"""

import threading
import types
from typing import Any

import boto3
from apache_beam.io.aws.clients.s3 import boto3_client

_session = boto3.session.Session()
_one_by_one = threading.Lock()


def client(*arguments: Any, **named: Any) -> Any:
    """A client of boto3: those may be used by many threads, but not be made by many at once."""
    with _one_by_one:
        return _session.client(*arguments, **named)


_shared = types.SimpleNamespace(client=client)
boto3_client.boto3 = types.SimpleNamespace(session=types.SimpleNamespace(Session=lambda: _shared))
