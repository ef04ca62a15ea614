"""Small charts. They are drawn narrow enough for a phone, and in the colours of the page's style."""

import math
from collections.abc import Sequence

from retrolabel.pipelines.report.html import Html, element
from retrolabel.pipelines.report.numbers import duration, share


def drawing(width: float, height: float, *content: Html, label: str, class_: str | None = None) -> Html:
    """A picture with a text for those who do not see it."""
    return element("svg", *content, viewBox=f"0 0 {width:g} {height:g}", width=width, height=height, role="img",
                   aria_label=label, class_=class_)  # fmt: skip


def bars(
    now: Sequence[float], before: Sequence[float] | None, label: str, width: float = 220, height: float = 40
) -> Html:
    """Shares of bins as bars, and those of before as an outline over them."""
    top = max([*now, *(before or ()), 1e-12])
    step = width / max(len(now), 1)
    drawn = [
        element("rect", x=number * step + 0.5, y=height - height * value / top, width=step - 1, height=height * value / top, class_="now")
        for number, value in enumerate(now) if value > 0
    ]  # fmt: skip
    if before:
        corners = "".join(
            f"{'M' if number == 0 else 'L'}{number * step:.1f} {height - height * value / top:.1f}H{(number + 1) * step:.1f}"
            for number, value in enumerate(before)
        )
        drawn.append(element("path", d=corners, class_="before"))
    return drawing(width, height, *drawn, label=label, class_="bars")


def line(
    values: Sequence[float | None], label: str, marks: Sequence[int] = (), width: float = 160, height: float = 30
) -> Html:
    """A number over days; days on which it changed are marked, and the last is dotted."""
    known = [value for value in values if value is not None]
    if not known:
        return drawing(width, height, label=label)
    low, high = min(known), max(known)
    room = (high - low) or 1.0
    step = (width - 8) / max(len(values) - 1, 1)

    def at(number: int, value: float) -> tuple[float, float]:
        return 4 + number * step, height - 4 - (height - 8) * ((value - low) / room if high > low else 0.5)

    pieces, pen = [], "M"
    for number, value in enumerate(values):
        if value is None:
            pen = "M"
            continue
        x, y = at(number, value)
        pieces.append(f"{pen}{x:.1f} {y:.1f}")
        pen = "L"
    drawn = [
        element("path", d=f"M{at(mark, low)[0] - step / 2:.1f} 1V{height - 1:.0f}", class_="mark") for mark in marks
    ]
    drawn.append(element("path", d="".join(pieces), class_="line"))
    if values[-1] is not None:
        x, y = at(len(values) - 1, values[-1])
        drawn.append(element("circle", cx=x, cy=y, r=2.5, class_="dot"))
    return drawing(width, height, *drawn, label=label, class_="spark")


def arrivals(
    now: Sequence[tuple[float, float, float]], before: Sequence[tuple[float, float, float]], window: float, label: str
) -> Html:
    """Which share of predictions has had an outcome, over the logarithm of the time since; with a band of 95 %.

    Args:
        now: seconds, share, and standard error of it.
        before: the same of what the day is compared with.
        window: the end of the label's window in seconds.
        label: the text of the picture.
    """
    width, height, left, bottom = 340.0, 170.0, 44.0, 22.0
    first = min([point[0] for point in (*now, *before) if point[0] > 0] or [1.0])
    first = min(first, window / 100)
    top = max([point[1] + 1.96 * point[2] for point in now] + [point[1] for point in before] + [1e-9]) * 1.05

    def x(seconds: float) -> float:
        return left + (width - left - 6) * max(0.0, math.log(max(seconds, first) / first)) / math.log(window / first)

    def y(value: float) -> float:
        return 6 + (height - bottom - 6) * (1 - min(max(value, 0.0), top) / top)

    def steps(points: Sequence[tuple[float, float]]) -> str:
        path, level = f"M{x(first):.1f} {y(0):.1f}", 0.0
        for seconds, value in points:
            path += f"H{x(seconds):.1f}V{y(value):.1f}"
            level = value
        return path + (f"H{x(window):.1f}" if level else "")

    drawn = []
    for value in _ticks(top):
        drawn.append(element("path", d=f"M{left:.1f} {y(value):.1f}H{width - 6:.1f}", class_="grid"))
        drawn.append(element("text", share(value), x=left - 6, y=y(value) + 4, class_="tick end"))
    drawn += [
        element("text", duration(seconds), x=x(seconds), y=height - 6, class_="tick middle")
        for seconds in (1.0, 10.0, 60.0, 600.0, 3600.0, 6 * 3600.0, 86400.0, 7 * 86400.0, 30 * 86400.0)
        if first <= seconds <= window and x(window) - x(seconds) > 34
    ]
    drawn.append(element("text", duration(window), x=width - 6, y=height - 6, class_="tick end"))
    if now:
        upper = steps([(seconds, value + 1.96 * error) for seconds, value, error in now])
        lower = "".join(
            f"L{x(seconds):.1f} {y(value - 1.96 * error):.1f}"
            for seconds, value, error in [(window, *now[-1][1:]), *reversed(now)]
        )
        drawn.append(element("path", d=f"{upper}{lower}Z", class_="band"))
    if before:
        drawn.append(element("path", d=steps([(seconds, value) for seconds, value, _ in before]), class_="before"))
    drawn.append(element("path", d=steps([(seconds, value) for seconds, value, _ in now]), class_="line"))
    return drawing(width, height, *drawn, label=label, class_="wide")


def _ticks(top: float) -> list[float]:
    """Three or so round numbers from zero."""
    power = 10.0 ** math.floor(math.log10(top / 3))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor * 3.9 >= top)
    return [step * number for number in range(int(top / step) + 1)]
