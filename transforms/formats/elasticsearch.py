"""`elasticsearch`: documents of Elasticsearch and OpenSearch, one a line.

- with `_index`, `_id` and `_source`, as elasticdump writes them and the API source gives them
  (https://github.com/elasticsearch-dump/elasticsearch-dump); the keys of `_source` stand beside `_id` and `_index`
- the bodies of bulk requests, as Fluent Bit's and Fluentd's outputs send them: a line with the action, a line with the document
  (https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-bulk). Both are one record.
"""

import re

import numpy as np

from retrolabel.transforms.formats.interface import Format, Unwrapped, share_of_lines
from retrolabel.transforms.kernels.json_line import loads
from retrolabel.transforms.kernels.lines import Lines

_ACTION = re.compile(rb'^\{ *"(?:index|create)" *: *\{([^{}\n]+)\} *\}\r?\n(\{.*\})\r?$', re.MULTILINE)
_BEGINS = re.compile(rb'\s*\{ *"(?:index|create)" *: *\{')


def lines_of(data: bytes) -> Lines:
    """The lines; an action and its document make one."""
    if not _BEGINS.match(data):
        return Lines(data)
    lines, text = Lines(data), _ACTION.sub(rb'{"_source":\2,\1}', data)
    actions = [match.start() for match in _ACTION.finditer(data)]
    documents = np.searchsorted(lines.starts, np.array(actions, dtype=np.int64)) + 1
    whole = Lines(text)
    offsets = np.delete(lines.starts, documents)
    return Lines(text, (whole.starts, whole.ends), whole.blank, offsets)


def cut(data: bytes) -> int:
    """Up to the last line end that does not follow an action."""
    end = data.rfind(b"\n") + 1
    last = data.rfind(b"\n", 0, max(end - 1, 0)) + 1
    return last if _BEGINS.match(data[last:end]) else end


def unwrap(lines: Lines) -> Unwrapped:
    """The lines are bare."""
    return Unwrapped(lines.data)


def sniff(sample: bytes) -> float:
    """The share of lines with an index and a document."""
    lines = lines_of(sample[: cut(sample)] or sample)
    text = b"\n".join(lines.line(position) for position in range(min(len(lines), 200)))
    return share_of_lines(text, lambda line: 0.97 if {"_index", "_source"} <= loads(line).keys() else 0.0)


FORMAT = Format(
    "elasticsearch",
    "Elasticsearch and OpenSearch: documents with _index, _id and _source, and bulk requests.",
    loads,
    sniff,
    unwrap,
    lines_of,
    cut,
    lifted=(("_source",),),
)
