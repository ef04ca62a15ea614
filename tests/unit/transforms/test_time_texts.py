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
    "20/Nov/2026:10:00:00.123": "2026-11-20T10:00:00.123Z", "Fri Nov 20 2026 10:00:00 GMT+0100 (Central European Standard Time)": "2026-11-20T09:00:00Z",
    "Fri Nov 20 2026 10:00:00 GMT-0030": "2026-11-20T10:30:00Z", "2026/11/20 9:05:00": "2026-11-20T09:05:00Z", "2026-11-20, 10:00:00.123": "2026-11-20T10:00:00.123Z",
    "2026-11-2, 1:05:00 p.m.": "2026-11-02T13:05:00Z", "2026/1/5 00:00": "2026-01-05T00:00:00Z",
    "Fri Nov 20 10:00:00 2026": "2026-11-20T10:00:00Z", "Thu Nov  5 10:00:00.123456 2026": "2026-11-05T10:00:00.123456Z", "Fri Nov 20 10:00:00 UTC 2026": "2026-11-20T10:00:00Z",
}  # fmt: skip
NONE = ["11/20/2026 10:00:00", "20/11/2026 10:00:00", "Nov 20 10:00:00", "31/Feb/2026:10:00:00 +0000", "Fri, 20 Nov 2026 10:00:00 CET",
        "20/nov/2026:10:00:00 +0000", "Fri, 20 Nov 2026 10:00:00 GMT\n", "2026/11/20", "2026/11/20 25:00:00", "2026/13/20 10:00:00", "2026-11-20, 13:00:00 PM", "Fri Nov 20 2026 10:00:00"]  # fmt: skip
MDY, DMY = (Field("t", "timestamp", ("t",), nullable=True, date_order=order) for order in ("mdy", "dmy"))
NUMBERED = {
    "11/20/2026, 10:00:00.123 AM": ("2026-11-20T10:00:00.123Z", None), "11/9/2026, 12:00:00.000 AM": ("2026-11-09T00:00:00Z", "2026-09-11T00:00:00Z"),
    "9/11/2026, 12:30:00 PM": ("2026-09-11T12:30:00Z", "2026-11-09T12:30:00Z"), "11/20/2026, 1:05:09\u202fpm": ("2026-11-20T13:05:09Z", None),
    "20/11/2026, 10:00:00.123": (None, "2026-11-20T10:00:00.123Z"), "20.11.2026, 00:00:00.1234567": (None, "2026-11-20T00:00:00.123456Z"),
    "20-11-2026 9:00": (None, "2026-11-20T09:00:00Z"), "11/20/2026 22:00:00 +01:00": ("2026-11-20T21:00:00Z", None), "11/20/2026 10:00:00 p.m. UTC": ("2026-11-20T22:00:00Z", None),
    "2026-11-20T10:00:00Z": ("2026-11-20T10:00:00Z",) * 2, "11/20/2026, 13:00:00 AM": (None, None), "11/20/2026, 0:00:00 AM": (None, None),
    "31/2/2026, 10:00:00": (None, None), "11/20/26, 10:00:00 AM": (None, None), "11/20/2026": (None, None), "1/1/2026, 24:00:00": (None, None),
}  # fmt: skip


def read_column(texts, zone="UTC", field=FIELD):
    values, doubtful = coerce_column(pa.array(texts, pa.string()), field, zone)
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


@pytest.mark.parametrize("text", NUMBERED)
def test_a_month_in_numbers_is_read_in_the_order_that_the_contract_says(text):
    for field, expected in zip((MDY, DMY), NUMBERED[text], strict=True):
        if expected is None:
            with pytest.raises(Rejected):
                coerce_value(text, field, "UTC")
            assert read_column([text], field=field)[1] == [True]
        else:
            moment = coerce_value(expected, FIELD, "UTC")
            assert coerce_value(text, field, "UTC") == moment
            assert read_column([text, None, text], field=field) == ([moment, None, moment], [False] * 3)


@pytest.mark.parametrize(
    ("field", "text", "told"),
    [
        (FIELD, "11/20/2026, 10:00:00.123 AM", 'which number is the month, \'date_order\' says: "mdy" or "dmy"'),
        (MDY, "20/11/2026, 10:00:00", "not a date and time that exists, if its order is mdy as 'date_order' says"),
        (DMY, "11/20/2026, 10:00:00", "not a date and time that exists, if its order is dmy as 'date_order' says"),
    ],
)
def test_a_month_in_numbers_that_cannot_be_is_told(field, text, told):
    with pytest.raises(Rejected) as rejected:
        coerce_value(text, field, "UTC")
    assert told in rejected.value.detail


def test_times_without_a_zone_are_in_that_of_the_source():
    assert coerce_value("2026/07/20 10:00:00", FIELD, "Europe/Paris") == coerce_value(
        "2026-07-20T08:00:00Z", FIELD, "UTC"
    )


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(st.sampled_from([*TIMES, *NONE, *NUMBERED, *TIMES.values(), "1795460771.5", "1795460771"]), st.none()), max_size=6),
       st.lists(st.tuples(st.integers(0, 5), st.integers(0, 30), st.sampled_from(["", "0", "9", " ", "-", "Z", ":", "é", "\n", ",", "/", "p"])), max_size=2),
       st.sampled_from(["UTC", "Europe/Paris"]), st.sampled_from([FIELD, MDY, DMY]))  # fmt: skip
def test_columns_are_read_as_single_texts_are(texts, edits, zone, field):
    for row, place, put in edits:
        if row < len(texts) and texts[row]:
            texts[row] = texts[row][:place] + put + texts[row][place + 1 :]
    values, doubtful = read_column(texts, zone, field)
    for text, value, doubt in zip(texts, values, doubtful, strict=True):
        try:
            alone = coerce_value(text, field, zone)
        except Rejected:
            assert doubt, text
        else:
            assert doubt or value == alone, text
