"""`cri`: the files that containerd and CRI-O write for the kubelet, `time stream tag text` a line.

https://github.com/kubernetes/design-proposals-archive/blob/main/node/kubelet-cri-logging.md. Fields: `time`, `stream`, `logtag`, `log`. A line of
more than 16 KiB is cut; pieces that go on have the tag `P` and are joined where `unwrap: log` asks for the application's JSON.
"""

import re

from retrolabel.schemas.reject import Reason, Rejected
from retrolabel.transforms.formats.interface import Format, Unwrapped, given, share_of_lines
from retrolabel.transforms.kernels.columns import groups
from retrolabel.transforms.kernels.json_line import JsonObject
from retrolabel.transforms.kernels.lines import Lines, untrimmed

_PATTERN = r"^(?P<time>\d{4}-\d\d-\d\dT[^ ]+) (?P<stream>stdout|stderr) (?P<logtag>[FP])(?::[^ ]*)? (?P<log>.*)$"
_LINE = re.compile(_PATTERN, re.ASCII)


def record(line: bytes) -> JsonObject:
    """Reads one line."""
    try:
        match = _LINE.fullmatch(line.decode())
    except UnicodeDecodeError as error:
        raise Rejected(Reason.UTF8, f"not valid UTF-8 at byte {error.start} of the line") from None
    if match is None:
        raise Rejected(Reason.WRAPPER, "expected time stdout|stderr F|P text")
    return JsonObject(match.groupdict())


def unwrap(lines: Lines) -> Unwrapped:
    """Matches all lines at once."""
    found, doubtful = groups(lines, _PATTERN)
    return Unwrapped(None, {field.name: given(column) for field, column in zip(found.type, found.flatten(), strict=True)}, doubtful)


FORMAT = Format(
    "cri",
    "Container logs of Kubernetes nodes: time, stream, tag, text.",
    record,
    lambda sample: share_of_lines(sample, lambda line: 0.95 if record(line) else 0.0),
    unwrap,
    untrimmed,
)
