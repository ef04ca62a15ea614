"""`logstash`: the events of Logstash's json_lines codec, one a line, with `@timestamp`.

When a filter fails, Logstash keeps the event and adds a tag such as `_jsonparsefailure`, `_grokparsefailure` or
`_dateparsefailure` (https://www.elastic.co/guide/en/logstash/current/plugins-filters-json.html, `tag_on_failure`): what such an event
holds is not what it seems, so the line is rejected with the tag as the detail, unless `options: {failure_tags: accept}`.
"""

import re
from typing import Literal

import numpy as np

from retrolabel.schemas.reject import Reason, Rejected
from retrolabel.transforms.formats.interface import Format, Unwrapped, share_of_lines
from retrolabel.transforms.kernels.json_line import JsonObject, loads
from retrolabel.transforms.kernels.lines import Lines

_FAILURE = re.compile(r"_\w*(?:failure|exception|error|timeout)")
_MAYBE_FAILURE = re.compile(rb'"_\w*(?:failure|exception|error|timeout)"')


def record(line: bytes) -> JsonObject:
    """Reads one event; refuses those that Logstash tagged as failures."""
    found = loads(line)
    tags = found.get("tags")
    for tag in tags if isinstance(tags, list) else [tags]:
        if isinstance(tag, str) and _FAILURE.fullmatch(tag):
            raise Rejected(Reason.FAILURE_TAG, tag)
    return found


def unwrap(lines: Lines) -> Unwrapped:
    """The events are bare; those that may carry a failure tag are looked at one by one."""
    below = np.flatnonzero(lines.octets == ord("_"))  # these are rare
    if not np.any(lines.octets[below - 1] == ord('"')):
        return Unwrapped(lines.data)
    places = [match.start() for match in _MAYBE_FAILURE.finditer(lines.data)]
    if not places:
        return Unwrapped(lines.data)
    return Unwrapped(lines.data, doubtful=np.unique(np.searchsorted(lines.starts, places, side="right") - 1))


def configure(failure_tags: Literal["reject", "accept"] = "reject") -> Format:
    """The format; `accept` takes events with a failure tag like others."""
    if failure_tags == "reject":
        return FORMAT
    return Format(FORMAT.name, FORMAT.summary, loads, FORMAT.sniff, lambda lines: Unwrapped(lines.data))


def _fits(line: bytes) -> float:
    found = loads(line)
    return (0.95 if "@version" in found else 0.8) if "@timestamp" in found else 0.0


FORMAT = Format(
    "logstash",
    "Logstash: JSON lines with @timestamp; lines with a failure tag are rejected.",
    record,
    lambda sample: share_of_lines(sample, _fits),
    unwrap,
    configure=configure,
)
