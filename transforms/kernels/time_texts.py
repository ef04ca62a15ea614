"""Times as servers and languages write them, rewritten as ISO 8601: once for whole columns, once for single texts.

    2026/11/20 10:00:00            Go's log, Nginx's error log
    2026-11-20 10:00:00 +0000 UTC  Go, Ruby, BigQuery (`UTC` alone)
    20261120T100000Z               ISO 8601 without separators
    [20/Nov/2026:10:00:00 +0000]   Apache's %t, Nginx's $time_local
    Fri, 20 Nov 2026 10:00:00 GMT  RFC 1123, RFC 5322, HTTP
    Fri Nov 20 10:00:00 2026       C's ctime, Apache's error log, Java's Date with `UTC` before the year

Months that stand as numbers between day and year are not read: whether the day comes first, nobody can tell.
"""

import re

import pyarrow as pa
import pyarrow.compute as pc

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
        rf"^\[?(?P<day>[0-9]{{2}})/{_MONTH}/{_YEAR}:{_CLOCK} (?P<zone>{_OFFSET})\]?$",
        rf"^(?:{_DAY}, )?(?P<day>[0-9]{{1,2}}) {_MONTH} {_YEAR} {_CLOCK} (?P<zone>Z|UTC|GMT|{_OFFSET})$",
        rf"^{_DAY} {_MONTH} (?P<day>[ 0-9][0-9]) {_CLOCK} (?:(?P<zone>UTC|GMT) )?{_YEAR}$",
    )
)
"""For Python's `re` and for RE2 alike."""

_SQUEEZED = "^([0-9]{2})([0-9]{2})([0-9]{2})"


def as_iso(text: str) -> str | None:
    """The time in ISO 8601; None if it is written in no way that is known here."""
    if "\n" in text:
        return None
    match = next(filter(None, (pattern.match(text) for _, pattern in _SHAPES)), None)
    if match is None:
        return None
    month, zone = match["month"], match["zone"] or ""
    month = _NUMBERS[MONTHS.index(month)] if month in MONTHS else month
    day = match["day"].strip().rjust(2, "0")
    clock = re.sub(_SQUEEZED, r"\1:\2:\3", match["clock"])
    return f"{match['year']}-{month}-{day}T{clock}{'Z' if zone in ('UTC', 'GMT') else zone}"


def columns_as_iso(texts: pa.Array) -> pa.Array:
    """The same for a column of strings."""
    iso = pa.nulls(len(texts), pa.string())
    for shape, _ in _SHAPES:
        left = pc.if_else(pc.is_valid(iso), None, texts)
        if left.null_count == len(left):
            break
        found = pc.extract_regex(left, shape)
        if found.null_count < len(found):
            iso = pc.coalesce(iso, _joined(found))
    return iso


def _joined(found: pa.StructArray) -> pa.Array:
    year, month, day, clock, zone = (pc.struct_field(found, name) for name in ("year", "month", "day", "clock", "zone"))
    numbers = pa.array(_NUMBERS).take(pc.index_in(month, pa.array(MONTHS)))
    day = pc.utf8_lpad(pc.utf8_trim_whitespace(day), 2, "0")
    clock = pc.replace_substring_regex(clock, _SQUEEZED, r"\1:\2:\3")
    zone = pc.if_else(pc.is_in(zone, pa.array(["UTC", "GMT"])), "Z", pc.fill_null(zone, ""))
    date = pc.binary_join_element_wise(year, pc.coalesce(numbers, month), day, "-")
    return pc.binary_join_element_wise(date, "T", clock, zone, "")
