"""What stands in a log cannot become markup of a report, nor hide in it."""

import re

from hypothesis import given
from hypothesis import strategies as st

from retrolabel.pipelines.report.html import element, join, shown
from retrolabel.pipelines.report.numbers import duration, number, share, words


@given(st.text(max_size=50))
def test_text_stays_text(text):
    made = element("p", text, title=text)
    inside = re.fullmatch(r'<p title="([^"<>]*)">([^<>]*)</p>', made)
    assert inside, made
    assert all(character.isprintable() for character in made)


def test_attacks_are_spelled_out():
    made = element("b", '</script><img src=x onerror="alert(1)">\u202egnp.exe\x1b[31m\0', "&amp;")
    assert made == (
        "<b>&lt;/script&gt;&lt;img src=x onerror=&quot;alert(1)&quot;&gt;\\u202egnp.exe\\x1b[31m\\x00&amp;amp;</b>"
    )


def test_long_text_says_how_long_it_is():
    assert shown("x" * 1_000_000, 5) == "xxxxx… (1,000,000 characters)"
    assert len(element("p", "<" * 1_000_000)) < 5000


def test_only_elements_are_markup():
    assert join(element("i", "a"), "<i>", ["b", None, element("br")], 3) == "<i>a</i>&lt;i&gt;b<br>3"
    assert element("input", hidden=True, value=None, class_="a b", aria_label='"') == (
        '<input hidden class="a b" aria-label="&quot;">'
    )


def test_numbers_are_written_for_people():
    assert [number(value) for value in (1234567.8, 0.00012345, 3.0, 1e-9, -2.5, None)] == [
        "1,234,568",
        "0.0001234",
        "3",
        "1e-09",
        "-2.5",
        "\u2013",
    ]
    assert [share(value) for value in (0.1234, 0.00123, 0.0000123, 0.9999, 0, 1)] == [
        "12.3%",
        "0.12%",
        "0.0012%",
        "99.990%",
        "0%",
        "100%",
    ]
    assert [duration(value) for value in (0, 0.5, 90, 12060, 8 * 86400, 59.99)] == [
        "0 s",
        "0.5 s",
        "1 min 30 s",
        "3 h 21 min",
        "8 d",
        "60 s",
    ]
    assert (words(1, "day"), words(2000, "day")) == ("1 day", "2,000 days")
