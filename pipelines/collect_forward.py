"""Messages of Fluentd's forward protocol, version 1: what each holds, as lines of a log.

https://github.com/fluent/fluentd/wiki/Forward-Protocol-Specification-v1: a message is a MessagePack array `[tag, time, record, option]`
(Message), `[tag, [[time, record], …], option]` (Forward) or `[tag, bytes, option]` (PackedForward; gzip if the option `compressed` says so).
A time is an integer of seconds, or the extension type 0: seconds and nanoseconds, 32 bits each.
"""

import dataclasses
import datetime
import functools
import hashlib
import hmac
import io
import json
import math
import os
import re
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import msgpack
import msgspec

LARGEST_MESSAGE = 128 * 2**20
"""Bytes of one message; who sends more is hung up on."""

LARGEST_CHUNK = 256 * 2**20
"""Bytes of one message when it is decompressed, and of the lines that are made of it."""

LARGEST_RECORD = 10 * 2**20
"""Bytes of one record; a build would reject its line. Objects take up to eighty times as much memory as their bytes: none is made of more."""

EVENT_BYTES = 200
"""What an event takes in memory beside its line."""

_LARGEST_ARRAY = 2**20
"""Items of an array or a map: room for them is taken before they are seen."""

_MEMBERS = 100_000
"""Of one gzip chunk; Fluentd appends one for each batch of events."""

_WINDOW = 2**14
"""Bytes of gzip that are handed over at a time: what a member leaves of them is copied."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

Event = tuple[int, bytes]
"""The time in nanoseconds since the epoch, and the line `time<TAB>tag<TAB>record` with its end."""


class ForwardError(Exception):
    """What came is not the forward protocol."""


@dataclasses.dataclass(frozen=True)
class Message:
    """One message: acknowledged whole."""

    tag: str
    events: list[Event]
    chunk: str | None
    """What an acknowledgement has to name; None if none is asked for."""
    size: int
    """About how many bytes of memory it takes."""


class Messages:
    """Finds the messages in a stream. Until a message is whole it is kept as it was sent: objects take more memory."""

    def __init__(self) -> None:
        self._ends = msgpack.Unpacker(max_buffer_size=LARGEST_MESSAGE)
        self._packed = bytearray()
        self._begun = 0

    @property
    def held(self) -> int:
        """Bytes of the message that is not whole yet."""
        return len(self._packed)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Takes what came next; gives each message that is whole with it, packed.

        Raises:
            ForwardError: what came is no MessagePack, or a message is too large.
        """
        try:
            self._ends.feed(data)
            self._packed += data
            while True:
                self._ends.skip()
                end = self._ends.tell() - self._begun
                message = bytes(self._packed[:end])
                del self._packed[:end]
                self._begun += end
                yield message
        except msgpack.OutOfData:
            if self.held > LARGEST_MESSAGE:
                raise ForwardError(f"a message of more than {LARGEST_MESSAGE:,} bytes") from None
        except (ValueError, msgpack.UnpackException) as error:
            raise ForwardError(f"no MessagePack, or too much of it ({type(error).__name__})") from None


def unpacked(packed: bytes) -> Any:
    """Unpacks one object.

    Raises:
        ForwardError: it is damaged, too large, or has a key that is no scalar.
    """
    if len(packed) > LARGEST_RECORD and packed[0] not in _TEXTS:
        raise ForwardError(f"a record of more than {LARGEST_RECORD:,} bytes")
    try:
        return msgpack.unpackb(packed, **_OPTIONS)
    except (ValueError, TypeError, RecursionError, msgpack.UnpackException) as error:
        raise ForwardError(f"damaged MessagePack ({type(error).__name__})") from None


def read_message(packed: bytes) -> Message:
    """Reads one message.

    Raises:
        ForwardError: it is none.
    """
    found = unpacked(packed) if len(packed) <= LARGEST_RECORD else list(_parts_of_large(packed))
    if not isinstance(found, list | tuple) or len(found) < 2 or not isinstance(found[0], str):
        raise ForwardError("expected an array that begins with a tag")
    tag, content = found[0], found[1]
    if isinstance(content, list | tuple | Iterator):
        entries, option = iter(content), found[2] if len(found) > 2 else None
    elif isinstance(content, bytes | str):
        option = found[2] if len(found) > 2 else None
        inside = content if isinstance(content, bytes) else content.encode("utf-8", "surrogateescape")
        entries = _entries(inside, option.get("compressed") if isinstance(option, dict) else None)
    elif len(found) >= 3:
        entries, option = iter([(content, found[2])]), found[3] if len(found) > 3 else None
    else:
        raise ForwardError("expected a record, a list of entries, or packed entries")
    chunk = option.get("chunk") if isinstance(option, dict) else None
    tag = tag.encode("utf-8", "replace").decode()
    events: list[Event] = []
    size = 0
    for entry in entries:
        events.append(event := _event(tag, entry))
        size += len(event[1]) + EVENT_BYTES
        if size > LARGEST_CHUNK:
            raise ForwardError(f"a message whose lines take more than {LARGEST_CHUNK:,} bytes")
    return Message(tag, events, str(chunk) if isinstance(chunk, str | int) else None, size)


def _parts_of_large(message: bytes) -> Iterator[Any]:
    """The tag, the entries and so on of a large message; entries in a list are unpacked when they are asked for."""
    if message[0] not in _ARRAYS:
        raise ForwardError("expected an array that begins with a tag")
    for number, part in enumerate(_one_by_one(message, inside=True)):
        listed = number == 1 and part[0] in _ARRAYS
        yield map(unpacked, _one_by_one(part, inside=True)) if listed else unpacked(part)


def _one_by_one(packed: bytes, *, inside: bool) -> Iterator[bytes]:
    """The objects that stand one behind the other, packed; with `inside`, those in an array."""
    stream = msgpack.Unpacker(max_buffer_size=LARGEST_CHUNK)
    stream.feed(packed)
    try:
        if inside:
            stream.read_array_header()
        while (begin := stream.tell()) < len(packed):
            stream.skip()
            yield packed[begin : stream.tell()]
    except (ValueError, msgpack.UnpackException) as error:
        raise ForwardError(f"damaged MessagePack ({type(error).__name__})") from None


def _entries(packed: bytes, compressed: Any) -> Iterator[Any]:
    if compressed == "gzip":
        packed = _decompressed(packed)
    elif compressed not in (None, "text"):
        raise ForwardError("compressed in another way than gzip")
    if len(packed) > LARGEST_RECORD:
        yield from map(unpacked, _one_by_one(packed, inside=False))
        return
    stream, end = msgpack.Unpacker(**_OPTIONS), 0
    stream.feed(packed)
    try:
        for entry in stream:
            end = stream.tell()
            yield entry
    except (ValueError, TypeError, RecursionError, msgpack.UnpackException) as error:
        raise ForwardError(f"damaged MessagePack ({type(error).__name__})") from None
    if end != len(packed):
        raise ForwardError("packed entries end in the middle of one")


def _decompressed(packed: bytes) -> bytes:
    """Member after member, as Fluentd appends them."""
    pieces, length, place = io.BytesIO(), 0, 0
    for _ in range(_MEMBERS):
        member = zlib.decompressobj(wbits=31)
        while not member.eof:
            window = packed[place : place + _WINDOW]
            try:
                length += pieces.write(member.decompress(member.unconsumed_tail + window, LARGEST_CHUNK - length + 1))
            except zlib.error as error:
                raise ForwardError(f"no gzip: {error}") from None
            if length > LARGEST_CHUNK or not (window or member.eof):
                raise ForwardError("gzip that is cut off, or too large when it is decompressed")
            place += len(window)
        place -= len(member.unused_data)
        if place == len(packed):
            return pieces.getvalue()
    raise ForwardError(f"gzip of more than {_MEMBERS:,} members")


def _event(tag: str, entry: Any) -> Event:
    if not isinstance(entry, list | tuple) or len(entry) < 2 or not isinstance(entry[1], dict):
        raise ForwardError("expected entries of a time and a record")
    moment = (
        entry[0][0] if isinstance(entry[0], list | tuple) and entry[0] else entry[0]
    )  # Fluent Bit 2: [time, metadata]
    if isinstance(moment, EventTime):
        nanos = moment.nanos
    elif isinstance(moment, int | float) and not isinstance(moment, bool) and math.isfinite(moment):
        nanos = round(moment * 1_000_000) * 1000  # a double has no more digits
    else:
        raise ForwardError("expected a time in seconds, or an event time")
    if not 0 <= nanos < 2**63:
        raise ForwardError("a time before 1970, or after 2262")
    return nanos, b"%b\t%b\t%b\n" % (_iso(nanos).encode(), _CONTROL.sub(" ", tag).encode(), _json(entry[1]))


class EventTime:
    """The extension type 0, wherever it stands; in a record it is written as text."""

    def __init__(self, nanos: int) -> None:
        self.nanos = nanos

    def __str__(self) -> str:
        return _iso(self.nanos)


def _extension(code: int, data: bytes) -> Any:
    if code == 0 and len(data) == 8:
        seconds, nanos = struct.unpack(">II", data)
        return EventTime(seconds * 1_000_000_000 + nanos)
    return msgpack.ExtType(code, data)


def _texts(found: dict[Any, Any]) -> dict[Any, Any]:
    """Byte strings are texts too: Ruby sends what it does not know the encoding of so."""
    if all(type(key) is str and type(value) is not bytes for key, value in found.items()):
        return found
    return {_text(key) if isinstance(key, bytes) else str(key): _text(value) for key, value in found.items()}


def _text(value: Any) -> Any:
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value


_OPTIONS: dict[str, Any] = {
    "raw": False, "strict_map_key": False, "unicode_errors": "surrogateescape", "ext_hook": _extension, "object_hook": _texts,
    "max_array_len": _LARGEST_ARRAY, "max_map_len": _LARGEST_ARRAY,
}  # fmt: skip
_ARRAYS = frozenset([*range(0x90, 0xA0), 0xDC, 0xDD])
_TEXTS = frozenset([*range(0xA0, 0xC0), 0xC4, 0xC5, 0xC6, 0xD9, 0xDA, 0xDB])
"""The first bytes of arrays, and of texts and binary values (https://github.com/msgpack/msgpack/blob/master/spec.md)."""


def _json(record: dict[Any, Any]) -> bytes:
    try:
        try:
            return msgspec.json.encode(record, enc_hook=str)
        except UnicodeEncodeError:  # bytes that are no UTF-8: escaped, so that the build rejects them with that reason
            return json.dumps(record, default=str).encode()
    except RecursionError:
        raise ForwardError("a record that is nested too deeply") from None


def _iso(nanos: int) -> str:
    """RFC 3339 in UTC, with as many digits as the time has."""
    seconds, rest = divmod(nanos, 1_000_000_000)
    fraction = "" if not rest else f".{rest // 1000:06d}" if rest % 1000 == 0 else f".{rest:09d}"
    return f"{_date(seconds // 86400)}T{seconds // 3600 % 24:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{fraction}+00:00"


@functools.lru_cache(maxsize=1024)
def _date(days: int) -> str:
    return (datetime.date(1970, 1, 1) + datetime.timedelta(days=days)).isoformat()


# Who may send


class Handshake:
    """How each side shows the other that it knows the shared key, without saying it."""

    def __init__(self, key: bytes, host: str) -> None:
        self._key, self._host = key, host
        self._nonce = os.urandom(16)

    @property
    def hello(self) -> bytes:
        """What the server says first."""
        return _packed(["HELO", {"nonce": self._nonce, "auth": b"", "keepalive": True}])

    def answer(self, message: bytes) -> tuple[bool, bytes]:
        """Whether who sent the ping knows the key, and what to answer."""
        ping = unpacked(message)
        fields = [_bytes(field) for field in ping] if isinstance(ping, list | tuple) else []
        if len(fields) < 4 or fields[0] != b"PING":
            return False, _packed(["PONG", False, "expected PING", self._host, ""])
        _, host, salt, digest, *_ = fields
        known = hmac.compare_digest(digest, self._digest(salt, host).encode())
        if not known:
            return False, _packed(["PONG", False, "shared_key mismatch", self._host, ""])
        return True, _packed(["PONG", True, "", self._host, self._digest(salt, self._host.encode())])

    def _digest(self, salt: bytes, host: bytes) -> str:
        return hashlib.sha512(salt + host + self._nonce + self._key).hexdigest()


def _packed(message: Any) -> bytes:
    packed: bytes = msgpack.packb(message)
    return packed


def _bytes(field: Any) -> bytes:
    return (
        field
        if isinstance(field, bytes)
        else field.encode("utf-8", "surrogateescape")
        if isinstance(field, str)
        else b""
    )
