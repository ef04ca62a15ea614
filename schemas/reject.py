"""Why a line was rejected."""

import enum

import pyarrow as pa


class Reason(enum.StrEnum):
    """A stable code, for counting, alerting and tests."""

    MALFORMED = "malformed"
    """Not one JSON object: cut off, followed by more, or not JSON at all."""
    UTF8 = "invalid_utf8"
    TOO_LONG = "line_too_long"
    WRAPPER = "not_in_format"
    """The line lacks what its format puts around the record."""
    FAILURE_TAG = "failure_tag"
    """The log shipper itself tagged the line as one it could not read."""
    DUPLICATE_KEY = "duplicate_key"
    """A key that the contract reads stands twice in the line."""
    MISSING = "missing_field"
    """A field that the contract requires is absent, null or one of its `missing` values."""
    TYPE = "wrong_type"
    """A value cannot be read as the contract's type without loss."""
    RANGE = "out_of_type_range"
    """A number that does not fit the contract's type, or is not finite."""
    TIME = "bad_timestamp"
    SYMBOL = "unknown_symbol"
    """A value outside the contract's enum."""


class Rejected(Exception):  # noqa: N818 - not an error of the program but a verdict on a line
    """A line that cannot become a row."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


REJECTS = pa.schema(
    [
        pa.field("source", pa.string(), nullable=False),
        pa.field("path", pa.string(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("detail", pa.string(), nullable=False),
        pa.field("line", pa.binary()),
    ]
)
"""A rejected line: where it stands (`offset` in bytes of the decompressed file), why, and its first bytes (null if dropped)."""

KEPT_BYTES = 64 * 1024
"""How much of a rejected line is kept."""
