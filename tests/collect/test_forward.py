"""Messages of the forward protocol become lines, or are refused."""

import gzip
import hashlib
import json
import struct

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrolabel.pipelines.collect_forward import EventTime, ForwardError, Handshake, read_message

MOMENT = 1_763_640_000  # 2025-11-20T12:00:00Z


def event_time(seconds: int, nanos: int) -> msgpack.ExtType:
    return msgpack.ExtType(0, struct.pack(">II", seconds, nanos))


def sent(*message):
    """A message as it arrives."""
    return read_message(msgpack.packb(message))


def entries(*records: dict) -> bytes:
    return b"".join(msgpack.packb([event_time(MOMENT, number), record]) for number, record in enumerate(records))


def lines(message) -> list[str]:
    return [line.decode() for _, line in message.events]


def test_a_message_is_one_event():
    message = sent("ml.prediction", MOMENT, {"id": "p1", "score": 0.5})
    assert lines(message) == ['2025-11-20T12:00:00+00:00\tml.prediction\t{"id":"p1","score":0.5}\n']
    assert (message.events[0][0], message.chunk) == (MOMENT * 10**9, None)


@pytest.mark.parametrize("option", [{"chunk": "abc"}, {"chunk": "abc", "size": 2}])
def test_each_mode_holds_the_same_events_and_names_its_chunk(option):
    records = [{"id": "a"}, {"id": "b"}]
    packed = entries(*records)
    forward = sent("t", [[event_time(MOMENT, number), record] for number, record in enumerate(records)], option)
    modes = [
        forward,
        sent("t", packed, option),
        sent("t", gzip.compress(packed), option | {"compressed": "gzip"}),
        sent("t", gzip.compress(packed[:20]) + gzip.compress(packed[20:]), option | {"compressed": "gzip"}),
    ]
    assert all(mode == forward for mode in modes)
    assert lines(forward) == [
        '2025-11-20T12:00:00+00:00\tt\t{"id":"a"}\n',
        '2025-11-20T12:00:00.000000001+00:00\tt\t{"id":"b"}\n',
    ]
    assert forward.chunk == "abc"


def test_packed_entries_may_come_as_text_of_old_senders():
    packed = entries({"id": "a"})
    old = msgpack.packb(["t", packed, {"chunk": "c"}], use_bin_type=False)
    assert lines(read_message(old)) == ['2025-11-20T12:00:00+00:00\tt\t{"id":"a"}\n']


def test_times_are_seconds_event_times_or_those_of_fluent_bit_with_metadata():
    times = [MOMENT, MOMENT + 0.25, event_time(MOMENT, 250_000_000), [event_time(MOMENT, 1_000), {"metadata": 1}]]
    message = sent("t", [[time, {}] for time in times])
    assert [line.partition("\t")[0] for line in lines(message)] == [
        "2025-11-20T12:00:00+00:00", "2025-11-20T12:00:00.250000+00:00", "2025-11-20T12:00:00.250000+00:00", "2025-11-20T12:00:00.000001+00:00",
    ]  # fmt: skip


def test_what_json_does_not_know_is_written_as_text_and_bad_utf8_stays_bad():
    record = {"bytes": b"abc", 7: "seven", "at": event_time(MOMENT, 0), "list": [1, None], b"key": True}
    (line,) = lines(sent("t", MOMENT, record))
    assert json.loads(line.split("\t")[2]) == {
        "bytes": "abc", "7": "seven", "at": "2025-11-20T12:00:00+00:00", "list": [1, None], "key": True,
    }  # fmt: skip
    (line,) = lines(sent("t", MOMENT, {"bad": b"\xff"}))
    assert line.endswith('{"bad": "\\udcff"}\n'), "half of a surrogate pair: rejected by the build as invalid_utf8"


def test_a_tag_cannot_break_a_line():
    (line,) = lines(sent("a\tb\nc", MOMENT, {"text": "x\ty\nz"}))
    assert line == '2025-11-20T12:00:00+00:00\ta b c\t{"text":"x\\ty\\nz"}\n'


@pytest.mark.parametrize(
    "message",
    [
        ["t"], [1, 2, 3], {"a": 1}, ["t", MOMENT], ["t", True, {}], ["t", MOMENT, "text"], ["t", -1, {}], ["t", [[MOMENT]]],
        ["t", b"\x92\x01"], ["t", entries({"id": "a"})[:-1]], ["t", b"not gzip", {"compressed": "gzip"}],
        ["t", gzip.compress(entries({"id": "a"}))[:-9], {"compressed": "gzip"}], ["t", b"", {"compressed": "zstd"}], "text", None,
    ],
)  # fmt: skip
def test_what_is_no_message_is_refused(message):
    with pytest.raises(ForwardError):
        read_message(msgpack.packb(message))


def test_a_bomb_of_gzip_is_refused(monkeypatch):
    monkeypatch.setattr("retrolabel.pipelines.collect_forward.LARGEST_CHUNK", 1_000_000)
    with pytest.raises(ForwardError, match="too large"):
        sent("t", gzip.compress(b"\xc0" * 2_000_000), {"compressed": "gzip"})


@given(
    records=st.lists(st.dictionaries(st.text(), st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text()), max_size=5),
    nanos=st.integers(0, 2**62),
)  # fmt: skip
def test_every_record_is_read_back_from_its_line(records, nanos):
    records = [{key: value for key, value in record.items() if not key.startswith("\ud800")} for record in records]
    time = event_time(nanos // 10**9 % 2**32, nanos % 10**9)
    message = sent("t", b"".join(msgpack.packb([time, record]) for record in records))
    assert [json.loads(line.split("\t", 2)[2]) for line in lines(message)] == records
    assert all(line.count("\n") == 1 for line in lines(message))
    assert all(moment == nanos // 10**9 % 2**32 * 10**9 + nanos % 10**9 for moment, _ in message.events)


def test_who_knows_the_key_is_let_in_and_who_does_not_is_not():
    handshake = Handshake(b"secret", "server")
    kind, options = msgpack.unpackb(handshake.hello)
    assert (kind, options["auth"]) == ("HELO", b"")
    nonce, salt = options["nonce"], b"\xff salt"

    def ping(key: bytes) -> bytes:
        digest = hashlib.sha512(salt + b"client" + nonce + key).hexdigest()
        return msgpack.packb(["PING", "client", salt, digest, "", ""])

    known, answer = handshake.answer(ping(b"secret"))
    assert known
    expected = hashlib.sha512(salt + b"server" + nonce + b"secret").hexdigest()
    assert msgpack.unpackb(answer) == ["PONG", True, "", "server", expected]
    for stranger in (ping(b"guess"), *map(msgpack.packb, (["PING"], "PING", ["MESSAGE", 1, 2, 3]))):
        known, answer = handshake.answer(stranger)
        assert not known
        assert msgpack.unpackb(answer)[:2] == ["PONG", False]


def test_event_times_read_as_text():
    assert str(EventTime(1)) == "1970-01-01T00:00:00.000000001+00:00"
