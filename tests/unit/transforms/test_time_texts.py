"""Times as servers and languages write them are read as those of ISO 8601 are, in columns and alone."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrolabel.schemas.contract import Field
from retrolabel.schemas.reject import Rejected
from retrolabel.transforms.kernels.coerce import coerce_column, coerce_value

FIELD = Field("t", "timestamp", ("t",), nullable=True)
TIMES = {
    "2026/11/20 10:00:00": "2026-11-20T10:00:00Z", "2026/11/20 10:00:00.25": "2026-11-20T10:00:00.25Z",
    "2026-11-20 10:00:00 +0000 UTC": "2026-11-20T10:00:00Z", "2026-11-20 10:00:00.123456789 +0000 UTC": "2026-11-20T10:00:00.123456Z",
    "2026-11-20 10:00:00 UTC": "2026-11-20T10:00:00Z", "2026-11-20 10:00:00.5 UTC": "2026-11-20T10:00:00.5Z", "2026-11-20 10:00:00 +0100": "2026-11-20T09:00:00Z",
    "20261120T100000Z": "2026-11-20T10:00:00Z", "20261120T100000.5+0100": "2026-11-20T09:00:00.5Z", "20261120T100000": "2026-11-20T10:00:00Z",
    "20/Nov/2026:10:00:00 +0100": "2026-11-20T09:00:00Z", "[20/Nov/2026:10:00:00 -0030]": "2026-11-20T10:30:00Z",
    "Fri, 20 Nov 2026 10:00:00 GMT": "2026-11-20T10:00:00Z", "5 Nov 2026 10:00:00 +0100": "2026-11-05T09:00:00Z",
    "Fri Nov 20 10:00:00 2026": "2026-11-20T10:00:00Z", "Thu Nov  5 10:00:00.123456 2026": "2026-11-05T10:00:00.123456Z", "Fri Nov 20 10:00:00 UTC 2026": "2026-11-20T10:00:00Z",
}  # fmt: skip
NONE = ["11/20/2026 10:00:00", "20/11/2026 10:00:00", "Nov 20 10:00:00", "31/Feb/2026:10:00:00 +0000", "Fri, 20 Nov 2026 10:00:00 CET",
        "20/nov/2026:10:00:00 +0000", "Fri, 20 Nov 2026 10:00:00 GMT\n", "2026/11/20", "2026/11/20 25:00:00"]  # fmt: skip


def read_column(texts, zone="UTC"):
    values, doubtful = coerce_column(pa.array(texts, pa.string()), FIELD, zone)
    return values.cast(pa.int64()).to_pylist(), [False] * len(texts) if doubtful is None else doubtful.to_pylist()


@pytest.mark.parametrize("text", TIMES)
def test_a_time_is_read(text):
    expected = coerce_value(TIMES[text], FIELD, "UTC")
    assert coerce_value(text, FIELD, "UTC") == expected
    assert read_column([text, text]) == ([expected, expected], [False, False])


@pytest.mark.parametrize("text", NONE)
def test_what_might_be_another_time_is_refused(text):
    with pytest.raises(Rejected):
        coerce_value(text, FIELD, "UTC")
    assert read_column([text])[1] == [True]


def test_times_without_a_zone_are_in_that_of_the_source():
    assert coerce_value("2026/07/20 10:00:00", FIELD, "Europe/Paris") == coerce_value(
        "2026-07-20T08:00:00Z", FIELD, "UTC"
    )


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(st.sampled_from([*TIMES, *NONE, *TIMES.values(), "1795460771.5", "1795460771"]), st.none()), max_size=6),
       st.lists(st.tuples(st.integers(0, 5), st.integers(0, 30), st.sampled_from(["", "0", "9", " ", "-", "Z", ":", "é", "\n"])), max_size=2),
       st.sampled_from(["UTC", "Europe/Paris"]))  # fmt: skip
def test_columns_are_read_as_single_texts_are(texts, edits, zone):
    for row, place, put in edits:
        if row < len(texts) and texts[row]:
            texts[row] = texts[row][:place] + put + texts[row][place + 1 :]
    values, doubtful = read_column(texts, zone)
    for text, value, doubt in zip(texts, values, doubtful, strict=True):
        try:
            alone = coerce_value(text, FIELD, zone)
        except Rejected:
            assert doubt, text
        else:
            assert doubt or value == alone, text
