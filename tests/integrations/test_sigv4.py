"""Requests to Amazon OpenSearch carry the signatures that the signer of AWS's SDK for JavaScript makes of them."""

import datetime
import json
import os
import shutil
import subprocess
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from retrolabel.configs.model import Auth
from retrolabel.transforms.apis.elasticsearch import _aws

pytestmark = pytest.mark.integrations

MODULES = Path(__file__).parents[2] / "build/senders/node_modules"
KEY, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"


@pytest.fixture(scope="module")
def signer():
    """Asks for the signature of one request at a time."""
    if shutil.which("node") is None or not (MODULES / "@smithy/signature-v4").exists():
        pytest.skip("AWS's signer is not there: `make senders` brings it, with npm")
    with subprocess.Popen(
        ["node", str(Path(__file__).parent / "sign.js")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "NODE_PATH": str(MODULES)},
    ) as process:  # fmt: skip

        def sign(request: dict) -> str:
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            return process.stdout.readline().strip()

        yield sign
        process.stdin.close()


NAMES = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/?#"), min_size=1, max_size=12
).filter(lambda name: name not in (".", ".."))


@settings(max_examples=400, deadline=None)
@given(
    service=st.sampled_from(["es", "aoss"]),
    region=st.sampled_from(["eu-west-1", "us-gov-west-1"]),
    method=st.sampled_from(["GET", "POST", "DELETE"]),
    names=st.lists(NAMES, max_size=4),
    query=st.dictionaries(NAMES, st.text(st.characters(exclude_categories=["Cs"]), max_size=12), max_size=4),
    body=st.none() | st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=80),
)
def test_the_signature_of_any_request_is_that_of_awss_own_signer(signer, service, region, method, names, query, body):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", KEY)
        patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        sign = _aws(Auth(aws_region=region, aws_service=service))
    url = "https://search-shop.eu-west-1.es.amazonaws.com/" + "/".join(names)
    request = sign(requests.Request(method, url, params=query, data=body and body.encode()).prepare())
    headers = {name.lower(): value for name, value in request.headers.items()}
    told = headers.pop("authorization")
    signed = told.partition("SignedHeaders=")[2].partition(",")[0].split(";")
    sent = urlsplit(request.url)
    moment = datetime.datetime.strptime(headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.UTC)
    theirs = signer(
        {
            "service": service, "region": region, "key": KEY, "secret": SECRET, "moment": moment.isoformat(), "method": method,
            "hostname": sent.netloc, "path": sent.path, "query": dict(parse_qsl(sent.query, keep_blank_values=True)),
            "headers": {name: headers.get(name, sent.netloc) for name in signed if name != "x-amz-date"},
            "body": body or "",
        }
    )  # fmt: skip
    assert told == theirs
