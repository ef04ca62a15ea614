"""`cri`: the files that containerd and CRI-O write for the kubelet, `time stream tag text` a line.

https://github.com/kubernetes/design-proposals-archive/blob/main/node/kubelet-cri-logging.md. Fields: `time`, `stream`, `logtag`, `log`. A line of
more than 16 KiB is cut; pieces that go on have the tag `P` and are joined where `unwrap: log` asks for the application's JSON.
"""

import re

import numpy as np

from retrolabel.schemas.reject import Reason, Rejected
from retrolabel.transforms.formats.interface import Format, Unwrapped, share_of_lines, stretch
from retrolabel.transforms.kernels.columns import begins_with, has_shape, next_place
from retrolabel.transforms.kernels.json_line import JsonObject
from retrolabel.transforms.kernels.lines import Lines, untrimmed

_LINE = re.compile(
    r"(?P<time>\d{4}-\d\d-\d\dT[^ ]+) (?P<stream>stdout|stderr) (?P<logtag>[FP])(?::[^ ]*)? (?P<log>.*)", re.ASCII
)


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
    """Finds the first spaces of all lines at once."""
    octets, starts, ends = lines.octets, lines.starts, lines.ends
    found = [starts - 1]
    for _ in range(3):
        found.append(np.minimum(next_place(octets, " ", np.minimum(found[-1] + 1, len(octets))), ends))
    bounds = {
        name: (np.minimum(before + 1, ends), np.minimum(np.maximum(end, before + 1), ends))
        for name, before, end in zip(("time", "stream", "logtag", "log"), found, [*found[1:], ends], strict=True)
    }
    sure = (found[3] < ends) & (found[1] > starts + 11) & has_shape(octets, starts, "0000-00-00T")
    stream, tag = found[1] + 1, found[2] + 1
    sure &= (found[2] == stream + 6) & (found[3] == tag + 1)
    sure &= begins_with(octets, stream, b"stdout") | begins_with(octets, stream, b"stderr")
    sure &= begins_with(octets, tag, b"F") | begins_with(octets, tag, b"P")
    return Unwrapped(
        None,
        {name: stretch(octets, *pair) for name, pair in bounds.items()},
        np.flatnonzero(~sure),
        texts={"log": (octets, *bounds["log"], sure)},
    )


FORMAT = Format(
    "cri",
    "Container logs of Kubernetes nodes: time, stream, tag, text.",
    record,
    lambda sample: share_of_lines(sample, lambda line: 0.95 if record(line) else 0.0),
    unwrap,
    untrimmed,
)
