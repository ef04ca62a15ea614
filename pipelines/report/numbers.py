"""Numbers as people read them."""

NOTHING = "\u2013"
"""Stands where there is no number: an en dash."""


def count(number: float) -> str:
    """A whole number with its thousands apart."""
    return f"{number:,.0f}"


def number(value: float | None) -> str:
    """Four significant digits; large numbers with their thousands apart.

    >>> number(1234567.8), number(0.00012345), number(3.0)
    ('1,234,568', '0.0001234', '3')
    """
    if value is None:
        return NOTHING
    if value and (abs(value) >= 1e15 or abs(value) < 1e-5):
        return f"{value:.3g}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def share(value: float | None) -> str:
    """A share in percent: as many digits as tell it apart from 0 and 1.

    >>> share(0.1234), share(0.00123), share(0.0000123), share(0.99999), share(0)
    ('12.3%', '0.12%', '0.0012%', '99.999%', '0%')
    """
    if value is None:
        return NOTHING
    if value in (0, 1):
        return f"{value:.0%}"
    edge = min(value, 1 - value)
    digits = 1 if edge >= 0.01 else 2 if edge >= 0.001 else 3 if edge >= 0.00009 else 4
    return f"{value:.{digits}%}"


def part_of(part: float, whole: float) -> str:
    """A share of a whole that may be empty."""
    return share(part / whole if whole else None)


def duration(seconds: float | None) -> str:
    """A time in one unit or two.

    >>> duration(0.5), duration(90), duration(3 * 3600 + 1260), duration(8 * 86400)
    ('0.5 s', '1 min 30 s', '3 h 21 min', '8 d')
    """
    if seconds is None:
        return NOTHING
    if seconds < 60:
        return f"{seconds:.3g} s"
    for unit, size, smaller, part in (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if seconds >= size:
            whole, rest = divmod(round(seconds / part), size // part)
            return f"{whole} {unit}" + (f" {rest} {smaller}" if rest and whole < 10 else "")
    return f"{seconds:.3g} s"


def words(count_: int, one: str, many: str | None = None) -> str:
    """A number with its noun.

    >>> words(1, "day"), words(2000, "day")
    ('1 day', '2,000 days')
    """
    return f"{count_:,} {one if count_ == 1 else many or one + 's'}"
