"""`cloudwatch`: what AWS CloudWatch Logs leaves on S3.

- exports: `timestamp message` a line, gzip
  (https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/S3Export.html). A message with line ends goes on in lines without a timestamp, which are
  rejected.
- what subscriptions deliver through Firehose: objects with `logEvents`, one after another without a line end
  (https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/SubscriptionFilters.html). Each event is a record, with `owner`, `logGroup` and `logStream` of
  its object; `timestamp` is in milliseconds, `id` tells deliveries of one event. Control messages hold none.

The application's JSON is read with `unwrap: message`.
"""

import re

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from retrolabel.schemas.reject import Reason, Rejected
from retrolabel.transforms.formats.interface import Format, Unwrapped, given, share_of_lines
from retrolabel.transforms.kernels.columns import blanked, groups
from retrolabel.transforms.kernels.json_line import JsonObject, loads
from retrolabel.transforms.kernels.json_text import spans, strays, whole_end
from retrolabel.transforms.kernels.lines import Lines, Positions, untrimmed

_PATTERN = r"^(?P<timestamp>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z) (?P<message>.*)$"
_LINE = re.compile(_PATTERN, re.ASCII)


class _Around(msgspec.Struct, rename="camel", omit_defaults=True):
    message_type: str | None = None
    owner: str | None = None
    log_group: str | None = None
    log_stream: str | None = None


_decoder = msgspec.json.Decoder(_Around)


class _Events(Lines):
    """The events of a block, and the objects around them."""

    def __init__(
        self,
        data: bytes,
        bounds: tuple[Positions, Positions],
        parents: Positions,
        around: list[_Around | None],
        blank: int,
    ) -> None:
        super().__init__(data, bounds, blank, text=self._with_parent)
        self.parents, self.around = parents, around

    def only(self, positions: Positions) -> "_Events":
        """A block of some of the events."""
        bounds = self.starts[positions], self.ends[positions]
        return (
            self if len(positions) == len(self) else _Events(self.data, bounds, self.parents[positions], self.around, 0)
        )

    def _with_parent(self, position: int) -> bytes:
        text = bytes(self.data[self.starts[position] : self.ends[position]])
        around = self.around[self.parents[position]] if self.parents[position] >= 0 else None
        if around is None:
            return text
        said = {"owner": around.owner, "logGroup": around.log_group, "logStream": around.log_stream}
        return text[:-1] + b"," + msgspec.json.encode(said)[1:]


def record(text: bytes) -> JsonObject:
    """Reads a line of an export, or an event with what its object says."""
    if text[:1] == b"{":
        found = loads(text)
        if "logEvents" in found:
            raise Rejected(Reason.WRAPPER, "an object of logEvents that cannot be read")
        return found
    try:
        match = _LINE.fullmatch(text.decode())
    except UnicodeDecodeError as error:
        raise Rejected(Reason.UTF8, f"not valid UTF-8 at byte {error.start} of the line") from None
    if match is None:
        raise Rejected(Reason.WRAPPER, "expected timestamp message; a message with a line end goes on in lines without")
    return JsonObject(match.groupdict())


def lines_of(data: bytes) -> Lines:
    """The lines of an export, or the events of objects; an object without events is a record itself, a control message is blank."""
    if data.lstrip()[:1] != b"{":
        return untrimmed(data)
    octets = np.frombuffer(data, dtype=np.uint8)
    (begins, ends), (firsts, lasts) = spans(octets, 0, 2)
    ends = np.append(ends, len(data)) if len(ends) < len(begins) else ends
    firsts = firsts[: len(lasts)]
    parents = np.searchsorted(begins, firsts, side="right") - 1
    around = [_around(data[begin:end]) for begin, end in zip(begins.tolist(), ends.tolist(), strict=True)]
    kinds = np.array([one.message_type if one else None for one in around], dtype=object)
    counted = (kinds == "DATA_MESSAGE") & (np.bincount(parents, minlength=len(around)) > 0)
    alone, events = np.flatnonzero(~counted & (kinds != "CONTROL_MESSAGE")), counted[parents]
    stray, stray_ends = strays(octets, begins, ends)
    starts = np.concatenate([firsts[events], begins[alone], stray])
    stops = np.concatenate([lasts[events], ends[alone], stray_ends])
    of = np.concatenate([parents[events], np.full(len(alone) + len(stray), -1)])
    order = np.argsort(starts, kind="stable")
    blank = int((kinds == "CONTROL_MESSAGE").sum())
    return _Events(data, (starts[order], stops[order]), of[order], around, blank)


def _around(text: bytes) -> _Around | None:
    try:
        return _decoder.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def cut(data: bytes) -> int:
    """Up to the last line end, or to the end of the last whole object."""
    if data.lstrip()[:1] != b"{":
        return data.rfind(b"\n") + 1
    return whole_end(data)


def unwrap(lines: Lines) -> Unwrapped:
    """Matches the lines of an export at once, or blanks what stands between the events."""
    if not isinstance(lines, _Events):
        found, doubtful = groups(lines, _PATTERN)
        return Unwrapped(
            None, {name: given(pc.struct_field(found, name)) for name in ("timestamp", "message")}, doubtful
        )
    parents = pa.array(lines.parents, mask=lines.parents < 0)
    fields = {
        name: given(pa.array([getattr(one, attribute, None) for one in lines.around], pa.string()).take(parents))
        for name, attribute in (("owner", "owner"), ("logGroup", "log_group"), ("logStream", "log_stream"))
    }
    gaps = np.concatenate([[0], lines.ends]), np.append(lines.starts, len(lines.data))
    return Unwrapped(blanked(lines.data, *gaps), fields, np.flatnonzero(lines.parents < 0))


def sniff(sample: bytes) -> float:
    """The share of lines with a timestamp, or of objects with events."""
    lines = lines_of(sample[: cut(sample)] or sample)
    if isinstance(lines, _Events):
        return 0.97 * float(np.mean(lines.parents >= 0)) if len(lines) else 0.0
    return share_of_lines(sample, lambda line: 0.8 if record(line) else 0.0)


FORMAT = Format(
    "cloudwatch",
    "AWS CloudWatch Logs on S3: exports, and what subscriptions deliver.",
    record,
    sniff,
    unwrap,
    lines_of,
    cut,
)
