"""`cri`: the files that containerd and CRI-O write for the kubelet, `time stream tag text` a line.

https://github.com/kubernetes/design-proposals-archive/blob/main/node/kubelet-cri-logging.md. Fields: `time`, `stream`, `logtag`, `log`. A line of
more than 16 KiB is cut; pieces that go on have the tag `P` and are joined where `unwrap: log` asks for the application's JSON.
"""

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from retrolabel.schemas.reject import Reason, Rejected
from retrolabel.transforms.formats.interface import Format, Unwrapped, given, share_of_lines
from retrolabel.transforms.kernels.columns import next_place, places, strings
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
    spaces, found = places(octets, " "), [starts - 1]
    for _ in range(3):
        found.append(np.minimum(next_place(spaces, np.minimum(found[-1] + 1, len(octets))), ends))
    bounds = {
        name: (before + 1, np.maximum(end, before + 1))
        for name, before, end in zip(("time", "stream", "logtag", "log"), found, [*found[1:], ends], strict=True)
    }
    columns = {name: strings(octets, *(np.minimum(bound, ends) for bound in pair)) for name, pair in bounds.items()}
    sure = pc.match_substring_regex(columns["time"], r"^\d{4}-\d\d-\d\dT")
    sure = pc.and_(sure, pc.is_in(columns["stream"], pa.array(["stdout", "stderr"])))
    sure = pc.and_(sure, pc.is_in(columns["logtag"], pa.array(["F", "P"]))).to_numpy(zero_copy_only=False)
    return Unwrapped(
        None, {name: given(column) for name, column in columns.items()}, np.flatnonzero(~(sure & (found[3] < ends)))
    )


FORMAT = Format(
    "cri",
    "Container logs of Kubernetes nodes: time, stream, tag, text.",
    record,
    lambda sample: share_of_lines(sample, lambda line: 0.95 if record(line) else 0.0),
    unwrap,
    untrimmed,
)
