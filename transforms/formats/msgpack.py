"""`msgpack`: MessagePack objects one after another, as Fluentd's msgpack formatter and Fluent Bit's `out_file` write them.

A record is a map, or `[time, map]` or `[tag, time, map]` as in Fluentd's buffer chunks
(https://github.com/fluent/fluentd/wiki/Forward-Protocol-Specification-v1), of which `time` and `tag` then are fields. Fluentd's EventTime
(extension type 0, seconds and nanoseconds) and the timestamps of MessagePack itself (type -1) are read as nanoseconds. Binary values are
text where they are UTF-8: Fluentd writes so what came in without an encoding. Nothing can be read behind a damaged object.
"""

import collections
import functools
import re
import struct
from typing import Any

import msgpack
import msgspec
import numpy as np

from retrolabel.schemas.reject import Reason, Rejected
from retrolabel.transforms.formats.interface import Format, Unwrapped
from retrolabel.transforms.kernels.json_line import JsonObject, loads
from retrolabel.transforms.kernels.lines import Lines, Positions

LARGEST_ARRAY = 2**20
"""Items of an array or a map; an object with a larger one counts as damaged."""

_BINARY = re.compile(rb"[\xc4\xc5\xc6]")
_DAMAGE: Any = (msgpack.exceptions.UnpackException, ValueError, TypeError, OverflowError, RecursionError)
_encoder = msgspec.json.Encoder()


def record(text: bytes) -> JsonObject:
    """Reads the JSON of one object (see `lines_of`)."""
    if text[:1] != b"{":  # what stands for an object that is none
        raise Rejected(
            Reason.MALFORMED, "no MessagePack map with text in UTF-8; nothing behind a damaged object can be read"
        )
    return loads(text)


def lines_of(data: bytes) -> Lines:
    """Unpacks all objects of a block into lines of JSON."""
    unpacker = _unpacker(data)
    try:
        objects = list(unpacker)
        if _BINARY.search(data) or set(map(type, objects)) - {dict}:
            objects = list(map(_plain, objects))
        text = _encoder.encode_lines(objects)
    except _DAMAGE:
        return _each(data)
    if not _is_at_end(unpacker):
        return _each(data)
    stops = np.flatnonzero(np.frombuffer(text, np.uint8) == ord("\n"))
    return _Unpacked(text, data, np.concatenate([np.zeros(min(1, len(stops)), np.int64), stops[:-1] + 1]), stops)


class _Unpacked(Lines):
    """Lines of JSON that find out where their objects stand once somebody asks."""

    def __init__(self, text: bytes, packed: bytes, starts: Positions, ends: Positions) -> None:
        super().__init__(text, (starts, ends))
        self._packed = packed

    @functools.cached_property
    def offsets(self) -> Positions:
        """Where each object begins."""
        return np.array([0, *_ends_of(self._packed, len(self))][:-1], dtype=np.int64)


def _unpacker(data: bytes) -> Any:
    most = min(len(data), LARGEST_ARRAY)  # the room for an array is taken before its items are seen
    unpacker = msgpack.Unpacker(
        strict_map_key=False, unicode_errors="surrogateescape", ext_hook=_extension, timestamp=2, max_buffer_size=0,
        max_array_len=most, max_map_len=most,
    )  # fmt: skip
    unpacker.feed(data)
    return unpacker


def _is_at_end(unpacker: Any) -> bool:
    """Whether an unpacker that has no more objects is not in the middle of one."""
    try:
        unpacker.read_bytes(0)
    except ValueError:
        return False
    return True


def _ends_of(data: bytes, count: int) -> list[int]:
    """Where each of so many objects ends."""
    unpacker, found = _unpacker(data), []
    for _ in range(count):
        unpacker.skip()
        found.append(unpacker.tell())
    return found


def _extension(code: int, data: bytes) -> int | str:
    if code == 0 and len(data) == 8:
        seconds, nanoseconds = struct.unpack(">II", data)
        return int(seconds * 1_000_000_000 + nanoseconds)
    return data.hex()


def _plain(found: Any) -> Any:
    """An object as JSON has it: text for binary values, `time` and `tag` inside."""
    if isinstance(found, list) and len(found) in (2, 3) and isinstance(found[-1], dict):
        *tag, time, inner = found
        around = {"time": time[0] if time and isinstance(time, list) else time} | ({"tag": tag[0]} if tag else {})
        return _text(inner | around)
    return _text(found)


def _text(found: Any) -> Any:
    if isinstance(found, bytes):
        return found.decode()
    if isinstance(found, dict):
        return {_text(key): _text(value) for key, value in found.items()}
    return [_text(item) for item in found] if isinstance(found, list) else found


def _each(data: bytes) -> Lines:
    """The same one by one; what cannot be read stands there as nothing that could be JSON."""
    unpacker, texts, starts = _unpacker(data), [], []
    while (begin := unpacker.tell()) < len(data):
        starts.append(begin)
        try:
            found = unpacker.unpack()
        except _DAMAGE:
            texts.append(b"?")
            break
        try:
            texts.append(_encoder.encode(_plain(found)))
        except _DAMAGE:
            texts.append(b"?")
    ends = np.cumsum([len(text) + 1 for text in texts], dtype=np.int64) - 1
    begins = ends - np.array([len(text) for text in texts], dtype=np.int64)
    return Lines(b"\n".join(texts), (begins, ends), 0, np.array(starts, dtype=np.int64))


def cut(data: bytes) -> int:
    """Up to the last whole object, or to a damaged one."""
    unpacker = _unpacker(data)
    try:
        whole = len(collections.deque(map(type, unpacker)))
    except _DAMAGE:
        return int(_each(data).offsets[-1])
    return len(data) if _is_at_end(unpacker) else [0, *_ends_of(data, whole)][-1]


def unwrap(lines: Lines) -> Unwrapped:
    """The objects are JSON already."""
    return Unwrapped(lines.data, {}, np.flatnonzero(lines.octets[lines.starts] != ord("{")))


def sniff(sample: bytes) -> float:
    """Whether the first bytes are maps, or times with maps."""
    if sample[:1] in (b"", b"{", b'"') or not sample[0] & 0x80:
        return 0.0
    lines = lines_of(sample[: cut(sample)])
    return 0.98 * float(np.mean(lines.octets[lines.starts] == ord("{"))) if len(lines) else 0.0


FORMAT = Format("msgpack", "MessagePack of Fluentd and Fluent Bit.", record, sniff, unwrap, lines_of, cut)
