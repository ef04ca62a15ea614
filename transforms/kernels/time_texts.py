"""Times as servers and languages write them, rewritten as ISO 8601: once for whole columns, once for single texts.

    2026/11/20 10:00:00            Go's log, Nginx's error log
    2026-11-20 10:00:00 +0000 UTC  Go, Ruby, BigQuery (`UTC` alone)
    20261120T100000Z               ISO 8601 without separators
    [20/Nov/2026:10:00:00 +0000]   Apache's %t, Nginx's $time_local
    Fri, 20 Nov 2026 10:00:00 GMT  RFC 1123, RFC 5322, HTTP
    20/Nov/2026:10:00:00.123       HAProxy
    Fri Nov 20 2026 10:00:00 GMT+0000 (Coordinated Universal Time)
                                   JavaScript's toString
    2026/11/20 9:05:00             its toLocaleString in Japanese and Chinese, `2026-11-20, 9:05:00 a.m.` in Canadian English
    Fri Nov 20 10:00:00 2026       C's ctime, Apache's error log, Java's Date with `UTC` before the year

A month in numbers beside the day is read only in the order that the contract says (`date_order`), for nobody can tell from a text which is which:

    11/20/2026, 10:00:00.123 AM    JavaScript's toLocaleString in American English, as the Azure portal exports
    20.11.2026, 10:00:00           the same in German
"""

import re
from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from retrolabel.schemas.contract import DateOrder

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_NUMBERS = ("01", "02", "03", "04", "05", "06", "07", "08", "09", "10", "11", "12")
_MONTH = f"(?P<month>{'|'.join(MONTHS)})"
_DAY = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_CLOCK = r"(?P<clock>[0-9]{2}:[0-9]{2}:[0-9]{2}(?:[.,][0-9]{1,9})?)"
_OFFSET = "[+-][0-9]{2}:?[0-9]{2}"
_YEAR = "(?P<year>[0-9]{4})"
_SHAPES = tuple(
    (shape, re.compile(shape, re.ASCII))
    for shape in (
        rf"^{_YEAR}[/-](?P<month>[0-9]{{2}})[/-](?P<day>[0-9]{{2}})[T ]{_CLOCK} ?(?P<zone>Z|UTC|GMT|{_OFFSET})?(?: UTC| GMT)?$",
        rf"^{_YEAR}(?P<month>[0-9]{{2}})(?P<day>[0-9]{{2}})T(?P<clock>[0-9]{{6}}(?:[.,][0-9]{{1,9}})?)(?P<zone>Z|{_OFFSET})?$",
        rf"^\[?(?P<day>[0-9]{{2}})/{_MONTH}/{_YEAR}:{_CLOCK}(?: (?P<zone>{_OFFSET}))?\]?$",
        rf"^{_DAY} {_MONTH} (?P<day>[0-9]{{2}}) {_YEAR} {_CLOCK} GMT(?P<zone>{_OFFSET})(?: [(][^()]*[)])?$",
        rf"^(?:{_DAY}, )?(?P<day>[0-9]{{1,2}}) {_MONTH} {_YEAR} {_CLOCK} (?P<zone>Z|UTC|GMT|{_OFFSET})$",
        rf"^{_DAY} {_MONTH} (?P<day>[ 0-9][0-9]) {_CLOCK} (?:(?P<zone>UTC|GMT) )?{_YEAR}$",
    )
)
"""For Python's `re` and for RE2 alike."""

_BLANKS = " \u00a0\u202f"
"""Browsers put one of these before AM and PM."""

_MONTH_NUMBER, _DAY_NUMBER = "(?P<month>[0-9]{1,2})", "(?P<day>[0-9]{1,2})"
_REST = (
    rf",? (?P<hour>[0-9]{{1,2}})(?P<minute>:[0-9]{{2}})(?P<second>:[0-9]{{2}}(?:[.,][0-9]{{1,9}})?)?"
    rf"(?:[{_BLANKS}]?(?P<half>[aApP])[.]?[mM][.]?)?(?: ?(?P<zone>Z|UTC|GMT|{_OFFSET}))?$"
)
_NUMBERED: Mapping[str, str] = {
    "mdy": f"^{_MONTH_NUMBER}[/.-]{_DAY_NUMBER}[/.-]{_YEAR}{_REST}",
    "dmy": f"^{_DAY_NUMBER}[/.-]{_MONTH_NUMBER}[/.-]{_YEAR}{_REST}",
    "ymd": f"^{_YEAR}[/.-]{_MONTH_NUMBER}[/.-]{_DAY_NUMBER}{_REST}",
}

_HOURS = tuple(f"{hour:02}" for hour in range(24))
_OF_HALVES = tuple(f"{hour or 12:02}{half}" for half in "ap" for hour in range(12))
"""The hours of a day as clocks of twelve hours have them."""

_SQUEEZED = "^([0-9]{2})([0-9]{2})([0-9]{2})"


def as_iso(text: str, order: DateOrder | None = None) -> str | None:
    """The time in ISO 8601; None if it is written in no way that is known here."""
    if "\n" in text:
        return None
    for numbers in _orders(order):
        if numbered := re.match(_NUMBERED[numbers], text, re.ASCII):
            return _of_numbers(numbered)
    match = next(filter(None, (pattern.match(text) for _, pattern in _SHAPES)), None)
    if match is None:
        return None
    month, zone = match["month"], match["zone"] or ""
    month = _NUMBERS[MONTHS.index(month)] if month in MONTHS else month
    day = match["day"].strip().rjust(2, "0")
    clock = re.sub(_SQUEEZED, r"\1:\2:\3", match["clock"])
    return f"{match['year']}-{month}-{day}T{clock}{'Z' if zone in ('UTC', 'GMT') else zone}"


def _orders(order: DateOrder | None) -> list[str]:
    return [order, "ymd"] if order else ["ymd"]


def is_numbered(text: str) -> bool:
    """Whether it is a time whose month stands in numbers beside the day."""
    return "\n" not in text and re.match(_NUMBERED["mdy"], text, re.ASCII) is not None


def _of_numbers(match: re.Match[str]) -> str | None:
    month, day, hour = (match[name].rjust(2, "0") for name in ("month", "day", "hour"))
    if match["half"]:
        of_half = hour + match["half"].lower()
        if of_half not in _OF_HALVES:
            return None
        hour = _HOURS[_OF_HALVES.index(of_half)]
    zone = match["zone"] or ""
    clock = f"{hour}{match['minute']}{match['second'] or ':00'}{'Z' if zone in ('UTC', 'GMT') else zone}"
    return f"{match['year']}-{month}-{day}T{clock}"


def columns_as_iso(texts: pa.Array, order: DateOrder | None = None) -> pa.Array:
    """The same for a column of strings."""
    iso = pa.nulls(len(texts), pa.string())
    for numbers in _orders(order):
        found = pc.extract_regex(texts, _NUMBERED[numbers])
        iso = pc.coalesce(iso, _joined_numbers(found)) if found.null_count < len(found) else iso
    for shape, _ in _SHAPES:
        left = pc.if_else(pc.is_valid(iso), None, texts)
        if left.null_count == len(left):
            break
        found = pc.extract_regex(left, shape)
        if found.null_count < len(found):
            iso = pc.coalesce(iso, _joined(found))
    return iso


def _joined_numbers(found: pa.StructArray) -> pa.Array:
    year, month, day, hour, minute, second, half, zone = (
        pc.struct_field(found, name) for name in ("year", "month", "day", "hour", "minute", "second", "half", "zone")
    )
    month, day, hour = (pc.utf8_lpad(number, 2, "0") for number in (month, day, hour))
    of_half = pc.binary_join_element_wise(hour, pc.ascii_lower(half), "")
    hour = pc.if_else(pc.equal(half, ""), hour, pa.array(_HOURS).take(pc.index_in(of_half, pa.array(_OF_HALVES))))
    second = pc.if_else(pc.equal(second, ""), ":00", second)
    zone = pc.if_else(pc.is_in(zone, pa.array(["UTC", "GMT"])), "Z", zone)
    date = pc.binary_join_element_wise(year, month, day, "-")
    return pc.binary_join_element_wise(date, "T", hour, minute, second, zone, "")


def _joined(found: pa.StructArray) -> pa.Array:
    year, month, day, clock, zone = (pc.struct_field(found, name) for name in ("year", "month", "day", "clock", "zone"))
    numbers = pa.array(_NUMBERS).take(pc.index_in(month, pa.array(MONTHS)))
    day = pc.utf8_lpad(pc.utf8_trim_whitespace(day), 2, "0")
    clock = pc.replace_substring_regex(clock, _SQUEEZED, r"\1:\2:\3")
    zone = pc.if_else(pc.is_in(zone, pa.array(["UTC", "GMT"])), "Z", pc.fill_null(zone, ""))
    date = pc.binary_join_element_wise(year, pc.coalesce(numbers, month), day, "-")
    return pc.binary_join_element_wise(date, "T", clock, zone, "")
