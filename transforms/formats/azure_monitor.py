"""`azure_monitor`: the blobs of Azure Monitor's diagnostic settings and data exports.

`PT1H.json` holds one JSON object a line since November 2018, before that one object `{"records": […]}`
(https://learn.microsoft.com/azure/azure-monitor/essentials/resource-logs-blob-format). Data export rules of a Log Analytics workspace write one
object a line (https://learn.microsoft.com/azure/azure-monitor/logs/logs-data-export).
"""

import re

import numpy as np

from retrolabel.transforms.formats import json_documents
from retrolabel.transforms.formats.interface import Format, share_of_lines
from retrolabel.transforms.formats.json_documents import cut, objects_of, unwrap
from retrolabel.transforms.kernels.columns import begins_with, blanked
from retrolabel.transforms.kernels.json_line import loads
from retrolabel.transforms.kernels.lines import Lines

_RECORDS = re.compile(rb'\s*\{\s*"records"\s*:\s*\[')
_WRAPPING = re.compile(rb'\{\s*"records"\s*:\s*\[')
_KEYS = (
    {"time", "resourceId"},
    {"timeStamp", "resourceId"},
    {"time", "category", "properties"},
    {"TimeGenerated", "Type"},
    {"TimeGenerated", "TenantId"},
)


def head(data: bytes) -> int:
    """The beginning of the wrapping object, if there is one."""
    match = _RECORDS.match(data)
    return match.end() if match else 0


def lines_of(data: bytes) -> Lines:
    """The objects, those in `records` of others too: of blobs that were put together, and of messages of an Event Hub."""
    lines = json_documents.lines_of(data)
    octets, second = lines.octets, np.minimum(lines.starts + 1, max(len(data) - 1, 0))
    if not (begins_with(octets, lines.starts, b'{"records"') | (octets[second] <= ord(" "))).any():
        return lines
    fronts = np.array([match.span() for match in _WRAPPING.finditer(data)], dtype=np.int64).reshape(-1, 2)
    fronts = fronts[np.isin(fronts[:, 0], lines.starts)]
    if not len(fronts):
        return lines
    # Without their beginnings they end what was begun before, as the rest of a file does whose head has one.
    inner = objects_of(bytes(blanked(data, fronts[:, 0], fronts[:, 1])))
    return Lines(data, (inner.starts, inner.ends), inner.blank)


def sniff(sample: bytes) -> float:
    """The share of records with the keys that all of Azure's logs have."""
    text = sample[head(sample) :]
    lines = lines_of(text[: cut(text)] or text)
    joined = b"\n".join(
        lines.line(position).replace(b"\n", b" ").replace(b"\r", b" ") for position in range(min(len(lines), 200))
    )
    return share_of_lines(joined, lambda line: 0.96 if any(keys <= loads(line).keys() for keys in _KEYS) else 0.0)


FORMAT = Format(
    "azure_monitor",
    "Azure Monitor: PT1H.json, a line each or in `records`, and data exports.",
    loads,
    sniff,
    unwrap,
    lines_of,
    cut,
    head,
)
