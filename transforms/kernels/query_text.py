"""Parameters of query strings in a text: of a URL, the request line of an access log, or a query string alone.

    https://shop.example/click?pid=p-1&value=2.5#top    GET /click?pid=p-1&value=2.5 HTTP/1.1    pid=p-1&value=2.5

The query string begins behind the first `?`, or with the text if there is none, and ends before a space or a `#`. Percent-encoding is undone, and `+` is
a space. The two forms give the same values (tests/unit/transforms/test_query_text.py).
"""

import re
import urllib.parse
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from retrolabel.schemas.contract import Field
from retrolabel.schemas.reject import Reason, Rejected
from retrolabel.transforms.kernels.coerce import Column, either
from retrolabel.transforms.kernels.columns import percent_decoded
from retrolabel.transforms.kernels.json_line import at_path

_QUERY = r"^(?:[^?]*[?])?(?P<query>[^ #]*)"
_ENCODED_NAME = "&[^=&]*[%+]"


def parameters(text: str) -> list[tuple[str, str]]:
    """Names and values in their order."""
    _, mark, query = text.partition("?")
    return urllib.parse.parse_qsl(re.split("[ #]", query if mark else text, maxsplit=1)[0], keep_blank_values=True)


def value_of(record: Any, field: Field) -> Any:
    """What a record has for a field: what stands at its path, or a parameter of the query string there; None if there is none.

    Raises:
        Rejected: as `at_path`; or the parameter stands twice, or what stands at the path is no text.
    """
    value = at_path(record, field.path)
    if field.query is None or value is None:
        return value
    if not isinstance(value, str):
        raise Rejected(Reason.TYPE, f"field {field.name!r}: expected a text with a query string")
    found = [value for name, value in parameters(value) if name == field.query]
    if len(found) > 1:
        raise Rejected(Reason.DUPLICATE_KEY, f"the parameter {field.query!r} at {'.'.join(field.path)!r} stands twice")
    return found[0] if found else None


def parameter_column(column: Column, name: str) -> Column:
    """The parameter of that name in each of a column of texts."""
    texts, doubtful = column
    if not pa.types.is_string(texts.type):
        return pa.nulls(len(texts), pa.string()), either(doubtful, pc.is_valid(texts))
    query = pc.struct_field(pc.extract_regex(texts, _QUERY), "query")
    query = pc.binary_join_element_wise("", query, "&")  # each parameter with a `&` before it
    escaped = re.escape(name)
    raw = pc.struct_field(pc.extract_regex(query, f"&{escaped}=(?P<value>[^&]*)"), "value")
    value = percent_decoded(raw)
    twice = pc.greater(pc.count_substring(query, f"&{name}="), 1)
    rare = pc.match_substring_regex(query, f"&{escaped}(?:&|$)|{_ENCODED_NAME}")
    wrong = pc.and_(pc.is_valid(raw), pc.is_null(value))
    for doubt in (twice, rare, wrong):
        doubtful = either(doubtful, doubt)
    return value, doubtful
