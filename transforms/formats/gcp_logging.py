"""`gcp_logging`: one `LogEntry` of Google Cloud Logging a line, as its sinks export them and its API gives them.

https://cloud.google.com/logging/docs/reference/v2/rest/v2/LogEntry. What the application logged stands in `jsonPayload`, `textPayload` or
`protoPayload`, its time in `timestamp`, and when Cloud Logging got it in `receiveTimestamp`. Entries of equal `insertId` (and log and timestamp) are
deliveries of one entry: name it under `id`.
"""

from retrolabel.transforms.formats.interface import Format, share_of_lines
from retrolabel.transforms.formats.json_lines import unwrap
from retrolabel.transforms.kernels.json_line import loads


def _fits(line: bytes) -> float:
    return 0.97 if {"logName", "insertId"} <= loads(line).keys() else 0.0


FORMAT = Format(
    "gcp_logging",
    "Google Cloud Logging: a LogEntry a line.",
    loads,
    lambda sample: share_of_lines(sample, _fits),
    unwrap,
)
