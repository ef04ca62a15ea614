"""`elasticsearch`: documents of Elasticsearch and OpenSearch.

- with `_index`, `_id` and `_source`, a line each, as elasticdump writes them and the API source gives them
  (https://github.com/elasticsearch-dump/elasticsearch-dump); the keys of `_source` stand beside `_id` and `_index`
- what a search or a scroll answers, one such answer or many (https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-search): each of its `hits` is a record
- the bodies of bulk requests, as Fluent Bit's and Fluentd's outputs send them: a line with the action, a line with the document
  (https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-bulk). Both are one record.
"""

import re

import numpy as np

from retrolabel.transforms.formats import json_documents
from retrolabel.transforms.formats.interface import Format, share_of_lines
from retrolabel.transforms.formats.json_documents import objects_of, unwrap
from retrolabel.transforms.kernels.columns import Mask, blanked
from retrolabel.transforms.kernels.json_line import loads
from retrolabel.transforms.kernels.json_text import spans, whole_end
from retrolabel.transforms.kernels.lines import Lines, Positions

_ACTION = re.compile(rb'^\{ *"(?:index|create)" *: *\{([^{}\n]+)\} *\}\r?\n(\{.*\})\r?$', re.MULTILINE)
_BEGINS = re.compile(rb'\s*\{ *"(?:index|create)" *: *\{')
_FRONT = re.compile(
    rb'\{\s*"(?:_scroll_id|pit_id|took|timed_out|_shards|hits)"\s*:(?:[^\["]|"(?:[^"\\]|\\.)*")*?"hits"\s*:\s*\['
)
"""An answer up to its documents."""


def head(data: bytes) -> int:
    """The beginning of an answer, if there is one."""
    match = _FRONT.match(data, len(data) - len(data.lstrip()))
    return match.end() if match else 0


def lines_of(data: bytes) -> Lines:
    """The documents; an action and its document make one."""
    if not _BEGINS.match(data):
        lines = Lines(data)
        if lines.bare_objects and _one_a_line(data) and _of_index(lines).all():
            return lines
        lines = json_documents.lines_of(data)
        fronts = _fronts(data, lines.starts, lines.ends)
        if not len(fronts):
            return lines
        # Without their beginnings they end what was begun before, as the rest of a file does whose head has one.
        inner = objects_of(bytes(blanked(data, fronts[:, 0], fronts[:, 1])))
        return Lines(data, (inner.starts, inner.ends), inner.blank)
    lines, text = Lines(data), _ACTION.sub(rb'{"_source":\2,\1}', data)
    actions = [match.start() for match in _ACTION.finditer(data)]
    documents = np.searchsorted(lines.starts, np.array(actions, dtype=np.int64)) + 1
    whole = Lines(text)
    offsets = np.delete(lines.starts, documents)
    return Lines(text, (whole.starts, whole.ends), whole.blank, offsets)


def _one_a_line(data: bytes) -> bool:
    """Whether the first line is a document and nothing else."""
    line = data[: data.find(b"\n") + 1 or len(data)].rstrip()
    ((_, ends),) = spans(np.frombuffer(line, dtype=np.uint8), 0)
    return line.startswith(b'{"_i') and len(ends) == 1 and int(ends[0]) == len(line)


def _of_index(lines: Lines) -> Mask:
    return np.asarray((lines.octets[lines.starts + 2] == ord("_")) & (lines.octets[lines.starts + 3] == ord("i")))


def _fronts(data: bytes, starts: Positions, ends: Positions) -> Positions:
    """Where the answers among objects begin, and where their documents do; a row each."""
    if not len(starts):
        return np.empty((0, 2), dtype=np.int64)
    octets = np.frombuffer(data, dtype=np.uint8)
    key, other = (octets[np.minimum(starts + place, len(octets) - 1)] for place in (2, 3))
    likely = np.isin(key, list(b' \t\r\n"pth')) | ((key == ord("_")) & (other == ord("s")))
    bounds = zip(starts[likely].tolist(), ends[likely].tolist(), strict=True)
    found = [match.span() for start, end in bounds if (match := _FRONT.match(data, start, end))]
    return np.array(found, dtype=np.int64).reshape(-1, 2)


def cut(data: bytes) -> int:
    """Up to the last line end that does not follow an action, or up to the end of the last whole document."""
    if not _BEGINS.match(data):
        return _cut_documents(data)
    end = data.rfind(b"\n") + 1
    last = data.rfind(b"\n", 0, max(end - 1, 0)) + 1
    return last if _BEGINS.match(data[last:end]) else end


def _cut_documents(data: bytes) -> int:
    if b"\n" in data and _one_a_line(data):
        return data.rfind(b"\n") + 1
    ((begins, ends),) = spans(np.frombuffer(data, dtype=np.uint8), 0)
    fronts = _fronts(data, begins, np.append(ends, len(data))[: len(begins)])
    return whole_end(bytes(blanked(data, fronts[:, 0], fronts[:, 1]))) if len(fronts) else json_documents.cut(data)


def sniff(sample: bytes) -> float:
    """The share of lines with an index and a document."""
    text = sample[head(sample) :]
    lines = lines_of(text[: cut(text)] or text)
    text = b"\n".join(
        lines.line(position).replace(b"\n", b" ").replace(b"\r", b" ") for position in range(min(len(lines), 200))
    )
    return share_of_lines(text, lambda line: 0.97 if {"_index", "_source"} <= loads(line).keys() else 0.0)


FORMAT = Format(
    "elasticsearch",
    "Elasticsearch and OpenSearch: documents with _index, _id and _source, answers to searches, and bulk requests.",
    loads,
    sniff,
    unwrap,
    lines_of,
    cut,
    head,
    lifted=(("_source",),),
)
