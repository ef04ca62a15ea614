"""`gcp_logging`: one `LogEntry` of Google Cloud Logging a line, as its sinks export them and its API gives them.

https://cloud.google.com/logging/docs/reference/v2/rest/v2/LogEntry
"""

from retrolabel.transforms.formats.interface import Format, share_of_lines
from retrolabel.transforms.formats.json_lines import unwrap
from retrolabel.transforms.kernels.json_line import loads


def sniff(sample: bytes) -> float:
    """The share of lines with a log's name and an id."""
    return share_of_lines(sample, lambda line: 0.95 * ({"logName", "insertId"} <= loads(line).keys()))


FORMAT = Format("gcp_logging", "Google Cloud Logging: a LogEntry a line.", loads, sniff, unwrap)
