"""`elasticsearch`: one document a line with `_index`, `_id` and `_source`, as elasticdump writes them and the API source gives them.

https://github.com/elasticsearch-dump/elasticsearch-dump
"""

from retrolabel.transforms.formats.interface import Format, share_of_lines
from retrolabel.transforms.formats.json_lines import unwrap
from retrolabel.transforms.kernels.json_line import loads


def sniff(sample: bytes) -> float:
    """The share of lines with an index, an id and a source."""
    return share_of_lines(sample, lambda line: 0.95 * ({"_index", "_id", "_source"} <= loads(line).keys()))


FORMAT = Format(
    "elasticsearch", "Elasticsearch and OpenSearch: documents with _index, _id and _source.", loads, sniff, unwrap
)
