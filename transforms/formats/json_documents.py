"""`json_documents`: JSON objects one after another, with or without line ends between and in them, or in arrays.

So write Logstash's file output with `codec => json` (https://www.elastic.co/guide/en/logstash/current/plugins-codecs-json.html), Fluent
Bit's http output with `json_stream` or `json` (https://docs.fluentbit.io/manual/data-pipeline/outputs/http), and every tool that pretty-prints. Of an object that was torn, as by a crash, what follows is read from the next line on that begins with `{` where no
value can stand.
"""

import re

import numpy as np

from retrolabel.transforms.formats.interface import Format, Unwrapped
from retrolabel.transforms.kernels.columns import Octets, blanked
from retrolabel.transforms.kernels.json_line import loads
from retrolabel.transforms.kernels.json_text import spans, strays, whole_end
from retrolabel.transforms.kernels.lines import Lines

_ARRAY = re.compile(rb"\s*\[")
_OF_OBJECTS = re.compile(rb"\[\s*\{")
_GLANCE = 2**16
"""Bytes of a line in which there are mostly several objects, if there are."""


def lines_of(data: bytes) -> Lines:
    """Each object is a record, and so is what is none."""
    return Lines(data) if _by_line(data) else objects_of(data)


def objects_of(data: bytes) -> Lines:
    """The same, wherever line ends stand."""
    octets = np.frombuffer(data, dtype=np.uint8)
    ((begins, ends),) = spans(octets, 0)
    arrays = [begin for begin in begins[octets[begins] == ord("[")].tolist() if _OF_OBJECTS.match(data, begin)]
    if arrays:
        # Without their beginnings they end what was begun before, as the rest of a file does whose head has one.
        octets = np.frombuffer(blanked(data, np.array(arrays), np.array(arrays) + 1), dtype=np.uint8)
        ((begins, ends),) = spans(octets, 0)
    if len(ends) < len(begins):
        ends = np.append(ends, len(data))
    stray, stray_ends = strays(octets, begins, ends)
    order = np.argsort(np.concatenate([begins, stray]), kind="stable")
    return Lines(data, (np.concatenate([begins, stray])[order], np.concatenate([ends, stray_ends])[order]))


def cut(data: bytes) -> int:
    """Up to the end of the last whole object."""
    if _by_line(data):
        return data.rfind(b"\n") + 1
    return whole_end(data)


def _by_line(data: bytes) -> bool:
    """Whether nearly all lines are objects: a broken one then costs no other."""
    lines = Lines(data)
    bare = (lines.octets[lines.starts] == ord("{")) & (lines.octets[lines.ends - 1] == ord("}"))
    if np.count_nonzero(bare) <= 0.9 * len(lines):
        return False
    first = np.frombuffer(lines.line(0), np.uint8)
    if len(spans(first[:_GLANCE], 0)[0][0]) > 1 or b"}{" in data:
        return False
    return len(spans(first, 0)[0][0]) == 1 and not any(
        _ends_more(np.frombuffer(lines.line(position), np.uint8)) for position in (0, len(lines) - 1)
    )


def _ends_more(line: Octets) -> bool:
    """Whether a line ends its object before its end, and then what was begun before it."""
    ((_, ends),) = spans(line, 0)
    return bool(len(ends)) and int(ends[-1]) < len(line)


def head(data: bytes) -> int:
    """The bracket of an array."""
    match = _ARRAY.match(data)
    return match.end() if match else 0


def unwrap(lines: Lines) -> Unwrapped:
    """The objects are bare, whatever stands between them."""
    return Unwrapped(lines.data, {}, np.flatnonzero(lines.octets[lines.starts] != ord("{")))


def sniff(sample: bytes) -> float:
    """Less than for one object a line."""
    if head(sample) == 0 and sample.lstrip()[:1] != b"{":
        return 0.0
    text = sample[head(sample) :]
    if _by_line(text):
        return 0.1
    lines = lines_of(text[: cut(text)])
    good = sum(lines.line(position)[:1] == b"{" for position in range(min(len(lines), 100)))
    return 0.45 * good / min(len(lines), 100) if len(lines) else 0.0


FORMAT = Format(
    "json_documents",
    "JSON objects with anything or nothing between them, over several lines, or in arrays.",
    loads,
    sniff,
    unwrap,
    lines_of,
    cut,
    head,
)
