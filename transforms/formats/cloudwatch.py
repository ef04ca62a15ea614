"""`cloudwatch`: what AWS CloudWatch Logs leaves on S3.

- exports: `timestamp message` a line, gzip
  (https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/S3Export.html). A message with line ends goes on in lines without a timestamp, which are
  rejected.
- what subscriptions deliver through Firehose: objects with `logEvents`, one after another without a line end
  (https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/SubscriptionFilters.html). Each event is a record, with `owner`, `logGroup` and `logStream` of
  its object; `timestamp` is in milliseconds, `id` tells deliveries of one event. Control messages hold none.
- what `aws logs filter-log-events` and `get-log-events` print: objects with `events`
  (https://docs.aws.amazon.com/cli/latest/reference/logs/filter-log-events.html), each a record.

Lines that Lambda writes of itself count as blank: `START`, `END` and `REPORT RequestId: …`, `INIT_START …`, and the `platform.…` events of its JSON format
(https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-logformat.html). The application's JSON is read with `unwrap: message`.
"""

import functools
import re
from collections.abc import Sequence
from typing import Annotated

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from retrolabel.schemas.reject import Reason, Rejected
from retrolabel.transforms.formats.interface import Format, Unwrapped, given, made, share_of_lines
from retrolabel.transforms.kernels.coerce import Column
from retrolabel.transforms.kernels.columns import Mask, Octets, begins_with, groups, has_shape, stretches
from retrolabel.transforms.kernels.json_line import JsonObject, loads
from retrolabel.transforms.kernels.json_text import spans, strays, whole_end
from retrolabel.transforms.kernels.lines import Lines, Positions, untrimmed

_PATTERN = r"^(?P<timestamp>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z) (?P<message>.*)$"
_LINE = re.compile(_PATTERN, re.ASCII)
_USUAL = re.compile(rb"[\dT:-]+\.\d{3}Z (?:\{|\[|(?:START|END|REPORT) RequestId: |INIT_START )")


_OF_LAMBDA = (
    b"START RequestId: ",
    b"END RequestId: ",
    b"REPORT RequestId: ",
    b"RESTORE_REPORT RequestId: ",
    b"INIT_START Runtime Version: ",
    b"RESTORE_START Runtime Version: ",
)
_TIME = "0000-00-00A00:00:00.000A"
_EVENT, _LINE_START = '{"id":"' + "0" * 56 + '","timestamp":' + "0" * 13 + ',"message":"', f"{_TIME} "
"""What AWS writes before a message: always as long."""

_WHITE = np.isin(np.arange(256), list(b" \t\r\n"))


Name = Annotated[str, msgspec.Meta(max_length=512)]
"""The longest that AWS takes; each event of an object gets the object's names."""

_LARGEST = 2**30
"""Bytes of a column of names; where it would be more, events are judged one by one."""


class _Around(msgspec.Struct, rename="camel", omit_defaults=True):
    message_type: Name | None = None
    owner: Name | None = None
    log_group: Name | None = None
    log_stream: Name | None = None
    searched_log_streams: list[object] | None = None
    next_forward_token: str | None = None

    @property
    def holds_events(self) -> bool:
        """Whether it is of a subscription, or printed by the command line."""
        printed = self.searched_log_streams is not None or self.next_forward_token is not None
        return self.message_type == "DATA_MESSAGE" or printed


_decoder = msgspec.json.Decoder(_Around)


class _Events(Lines):
    """The events of a block, and the objects around them."""

    def __init__(
        self,
        data: bytes,
        bounds: tuple[Positions, Positions],
        around: Positions,
        kinds: Sequence[_Around | None],
        blank: int,
    ) -> None:
        super().__init__(data, bounds, blank, text=self._with_parent)
        self.around, self.kinds = around, kinds

    def only(self, positions: Positions) -> "_Events":
        """A block of some of the events."""
        bounds = self.starts[positions], self.ends[positions]
        return (
            self if len(positions) == len(self) else _Events(self.data, bounds, self.around[positions], self.kinds, 0)
        )

    def _with_parent(self, position: int) -> bytes:
        text = bytes(self.data[self.starts[position] : self.ends[position]])
        around = self.kinds[self.around[position]] if self.around[position] >= 0 else None
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
        lines = untrimmed(data)
        others = ~_of_lambda(lines.octets, lines.starts, _LINE_START)
        return Lines(data, (lines.starts[others], lines.ends[others]), lines.blank + int((~others).sum()))
    octets = np.frombuffer(data, dtype=np.uint8)
    (begins, ends), (firsts, lasts) = spans(octets, 0, 2)
    ends = np.append(ends, len(data)) if len(ends) < len(begins) else ends
    firsts = firsts[: len(lasts)]
    parents = np.searchsorted(begins, firsts, side="right") - 1
    around, kinds = _around(data, begins, ends, firsts, lasts, parents)
    around[parents[_ill_parted(octets, firsts, lasts, parents)]] = 0
    control = np.array([one is not None and one.message_type == "CONTROL_MESSAGE" for one in kinds])[around]
    holds_events = np.array([one is not None and one.holds_events for one in kinds])[around]
    counted = holds_events & (np.bincount(parents, minlength=len(begins)) > 0)
    alone, events = np.flatnonzero(~counted & ~control), counted[parents]
    stray, stray_ends = strays(octets, begins, ends)
    starts = np.concatenate([firsts[events], begins[alone], stray])
    stops = np.concatenate([lasts[events], ends[alone], stray_ends])
    around = np.concatenate([around[parents[events]], np.full(len(alone) + len(stray), -1)])
    order = np.argsort(starts, kind="stable")
    order = order[~_of_lambda(octets, starts[order], _EVENT)]
    blank = int(control.sum()) + len(starts) - len(order)
    return _Events(data, (starts[order], stops[order]), around[order], kinds, blank)


def _of_lambda(octets: Octets, starts: Positions, front: str) -> Mask:
    """Which records are of Lambda itself; their messages stand behind a front of that shape."""
    found = np.zeros(len(starts), dtype=bool)
    messages = starts + len(front)
    first = (
        np.where(messages < len(octets), octets[np.minimum(messages, len(octets) - 1)], 0) if len(starts) else starts
    )
    likely = np.flatnonzero(np.isin(first, list(b"SERI")))
    for text in _OF_LAMBDA:
        found[likely] |= begins_with(octets, messages[likely], text)
    quote = '\\"' if front == _EVENT else '"'
    objects = np.flatnonzero(first == ord("{"))
    objects = objects[begins_with(octets, messages[objects], f"{{{quote}time{quote}".encode())]
    platform = f"{{'time':'{_TIME}','type':'platform.".replace("'", quote)
    found[objects] = has_shape(octets, messages[objects], platform)
    found[found] = has_shape(octets, starts[found], front)
    return found


def _around(
    data: bytes, begins: Positions, ends: Positions, firsts: Positions, lasts: Positions, parents: Positions
) -> tuple[Positions, list[_Around | None]]:
    """What each object says beside its events, as a number of the second list, whose first entry is that of what cannot be read."""
    numbers: dict[bytes, int] = {b"": 0}
    first, last = (np.searchsorted(parents, np.arange(len(begins)), side=side) for side in ("left", "right"))
    some = last > first
    cuts = np.where(some, np.append(firsts, 0)[first], ends), np.where(some, lasts[last - 1] if len(lasts) else 0, ends)
    around = [
        numbers.setdefault(data[begin:cut] + data[goes_on:end], len(numbers))
        for begin, cut, goes_on, end in zip(*map(np.ndarray.tolist, (begins, *cuts, ends)), strict=True)
    ]
    return np.array(around, dtype=np.int64), [_decoded(text) for text in numbers]


def _decoded(text: bytes) -> _Around | None:
    try:
        return _decoder.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _ill_parted(octets: Octets, firsts: Positions, lasts: Positions, parents: Positions) -> Positions:
    """The events behind which stands something else than a comma before the next one of the same object."""
    follows = np.flatnonzero(parents[1:] == parents[:-1])
    between = stretches(lasts[follows], firsts[follows + 1])
    between = between[~_WHITE[octets[between]]]
    rows, commas = np.searchsorted(lasts[follows], between, side="right") - 1, octets[between] == ord(",")
    counts = (np.bincount(rows[which], minlength=len(follows)) for which in (commas, ~commas))
    return np.asarray(follows[(next(counts) != 1) | (next(counts) > 0)])


def cut(data: bytes) -> int:
    """Up to the last line end, or to the end of the last whole object."""
    if data.lstrip()[:1] != b"{":
        return data.rfind(b"\n") + 1
    return whole_end(data)


def unwrap(lines: Lines) -> Unwrapped:
    """Matches the lines of an export at once; events are bare."""
    if not isinstance(lines, _Events):
        found, doubtful = groups(lines, _PATTERN)
        return Unwrapped(
            None, {name: given(pc.struct_field(found, name)) for name in ("timestamp", "message")}, doubtful
        )
    around = pa.array(lines.around, mask=lines.around < 0)
    fields = {
        name: made(functools.partial(_said, [getattr(one, attribute, None) for one in lines.kinds], around))
        for name, attribute in (("owner", "owner"), ("logGroup", "log_group"), ("logStream", "log_stream"))
    }
    return Unwrapped(lines.data, fields, np.flatnonzero(lines.around < 0))


def _said(said: Sequence[str | None], around: pa.Array) -> Column:
    names = pa.array(said, pa.string())
    if (pc.sum(pc.binary_length(names).cast(pa.int64()).take(around)).as_py() or 0) > _LARGEST:
        return pa.nulls(len(around), pa.string()), pa.array(np.ones(len(around), dtype=bool))
    return names.take(around), None


def sniff(sample: bytes) -> float:
    """The share of lines with a timestamp, or of objects with events."""
    lines = lines_of(sample[: cut(sample)] or sample)
    if isinstance(lines, _Events):
        return 0.97 * float(np.mean(lines.around >= 0)) if len(lines) else 0.0
    return share_of_lines(sample, _fits)


def _fits(line: bytes) -> float:
    """More for messages that Lambda writes, and for JSON, than for such as a syslog daemon might."""
    record(line)
    return 0.92 if _USUAL.match(line) else 0.8


FORMAT = Format(
    "cloudwatch",
    "AWS CloudWatch Logs on S3: exports, and what subscriptions deliver.",
    record,
    sniff,
    unwrap,
    lines_of,
    cut,
)
