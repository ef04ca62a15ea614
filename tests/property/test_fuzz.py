"""Nothing that reads what others wrote crashes, hangs or loses a record, on inputs made of real ones; `make fuzz` goes further.

tests/fuzz says what is promised of each target. What a run of the fuzzer found is kept in tests/data/fuzz and tried here for ever.
"""

import pathlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import TARGETS

KEPT = pathlib.Path(__file__).parents[1] / "data" / "fuzz"
FOUND = sorted(path.relative_to(KEPT) for path in KEPT.glob("*/*"))
SLOW = {"dataset", "init", "sql", "config"}
"""Targets of which an input takes ten milliseconds and more."""

PIECES = st.sampled_from([
    b"", b"\n", b'"', b"{", b"}", b"[", b"]", b"\\", b",", b":", b"\t", b" ", b"\xff", b"\xc3", b"\0", b"\x1b[31m", b"null", b"-0", b"1e999",
    b'"\\ud800"', b"\xef\xbb\xbf", b"9" * 40, b"[" * 60, b"\xdd\x7f\xff\xff\xff", b"\x92\xc4\xff", b"P", b"%ff", b"&", b"=", b"\r\n", b"\xe2\x80\xae",
])  # fmt: skip
EDITS = st.lists(
    st.tuples(st.integers(0, 2**16), st.integers(0, 30), st.one_of(PIECES, st.binary(max_size=8))), max_size=6
)


def edited(data: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    for place, length, text in edits:
        place %= len(data) + 1
        data = data[:place] + text + data[place + length :]
    return data


def test_there_is_something_kept_of_what_was_found():
    assert {path.parts[0] for path in FOUND} <= set(TARGETS)
    assert len(FOUND) >= 10


@pytest.mark.parametrize("path", FOUND, ids=str)
def test_what_the_fuzzer_found_stays_mended(path):
    TARGETS[path.parts[0]].check((KEPT / path).read_bytes())


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_inputs_like_real_ones_are_read_or_refused(name):
    _fuzz(name, 2 if name in SLOW else 6)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(TARGETS))
def test_thousands_of_inputs_like_real_ones_are_read_or_refused(name):
    _fuzz(name, 300 if name in SLOW else 3000)


def _fuzz(name: str, examples: int) -> None:
    target = TARGETS[name]
    seeds = target.seeds()

    @settings(max_examples=examples, deadline=None, database=None)
    @given(seed=st.integers(0, len(seeds) - 1), edits=EDITS)
    def once(seed: int, edits: list[tuple[int, int, bytes]]) -> None:
        target.check(edited(seeds[seed], edits))

    once()
