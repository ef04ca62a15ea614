"""`ltsv`: labelled values between tabs.

`label:value<TAB>label:value` (http://ltsv.org), as Fluentd's formatter writes it, which blanks tabs in values but not line ends, and Ruby's
text of nested objects (https://docs.fluentd.org/formatter/ltsv). Fluent Bit's `out_file` writes JSON there: `"label":value<TAB>"label":value`
(https://docs.fluentbit.io/manual/data-pipeline/outputs/file).
"""

import numpy as np
import pyarrow as pa

from retrolabel.schemas.reject import Reason, Rejected
from retrolabel.transforms.formats.interface import Below, Format, Path, Unwrapped, share_of_lines
from retrolabel.transforms.kernels.coerce import Column
from retrolabel.transforms.kernels.columns import begins_with, next_place, placed, strings
from retrolabel.transforms.kernels.json_line import JsonObject, loads
from retrolabel.transforms.kernels.lines import Lines, Positions, slices


def record(line: bytes) -> JsonObject:
    """Reads one line of either dialect."""
    if line[:1] == b'"':
        return loads(b"{" + line.replace(b"\t", b",") + b"}")
    found, repeated = JsonObject(), set()
    try:
        parts = line.decode().split("\t")
    except UnicodeDecodeError as error:
        raise Rejected(Reason.UTF8, f"not valid UTF-8 at byte {error.start} of the line") from None
    for part in parts:
        label, colon, value = part.partition(":")
        if not colon:
            raise Rejected(
                Reason.WRAPPER, "expected label:value between tabs; a value with a line end ends its line too early"
            )
        if label in found:
            repeated.add(label)
        found[label] = value
    found.repeated = frozenset(repeated)
    return found


def unwrap(lines: Lines) -> Unwrapped:
    """Makes objects of the lines of JSON values, or finds all labels at once; the dialect is that of the first line."""
    octets, starts, ends = lines.octets, lines.starts, lines.ends
    quoted = octets[starts] == ord('"')
    if len(quoted) and quoted[0]:
        text, (begins, stops) = slices(lines.data.replace(b"\t", b","), starts, ends)
        shift = 3 * np.arange(len(lines)) - np.arange(len(lines))
        bounds = begins + shift, stops + shift + 2
        return Unwrapped(b"{" + text.replace(b"\n", b"}\n{") + b"}", {}, np.flatnonzero(~quoted), bounds)
    tabs = np.flatnonzero(octets == ord("\t"))
    rows = np.searchsorted(starts, tabs, side="right") - 1
    tabs = tabs[(rows >= 0) & (tabs < ends[rows])]
    firsts = np.sort(np.concatenate([starts, tabs + 1]), kind="stable")
    lasts = np.sort(np.concatenate([tabs, ends]), kind="stable")
    rows = np.searchsorted(starts, firsts, side="right") - 1
    colons = next_place(octets, ":", firsts)
    return Unwrapped(
        None, _Labels(lines, rows, firsts, colons, lasts), np.union1d(rows[colons >= lasts], np.flatnonzero(quoted))
    )


class _Labels(dict[str, Below]):
    """The columns of labels, found when they are asked for."""

    def __init__(self, lines: Lines, rows: Positions, firsts: Positions, colons: Positions, lasts: Positions) -> None:
        self._lines, self._rows, self._firsts, self._colons, self._lasts = lines, rows, firsts, colons, lasts

    def __contains__(self, label: object) -> bool:
        return True

    def __getitem__(self, label: str) -> Below:
        def below(path: Path) -> Column:
            octets, name = self._lines.octets, label.encode()
            likely = np.flatnonzero(self._colons - self._firsts == len(name))
            found = likely[begins_with(octets, self._firsts[likely], name)]
            begins, ends, valid, twice = placed(
                self._rows[found],
                np.minimum(self._colons[found] + 1, self._lasts[found]),
                self._lasts[found],
                self._lines.starts,
            )
            if path:
                return pa.nulls(len(valid), pa.string()), pa.array(valid)
            return strings(octets, begins, ends, valid), pa.array(twice) if twice.any() else None

        return below


def _fits(line: bytes) -> float:
    found = record(line)
    return (
        0.85
        if found and all(label and " " not in label and '"' not in label for label in found) and b"\t" in line
        else 0.0
    )


FORMAT = Format(
    "ltsv",
    "LTSV of Fluentd and of web servers, and Fluent Bit's with JSON values.",
    record,
    lambda sample: share_of_lines(sample, _fits),
    unwrap,
    typed=False,
)
