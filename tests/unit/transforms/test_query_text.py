"""Parameters in texts are read alike in columns and alone."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrolabel.schemas.contract import Field
from retrolabel.schemas.reject import Rejected
from retrolabel.transforms.kernels.query_text import parameter_column, value_of

FIELD = Field("pid", "string", ("url",), nullable=True, query="pid")
READ = {
    "GET /click?pid=p-1&x=1 HTTP/1.1": "p-1", "/click?x=1&pid=p-1": "p-1", "https://a.example/c?pid=p-1#top": "p-1", "pid=p-1&x=1": "p-1", "x=1&pid=p-1": "p-1",
    "/c?pid=p%2D1%20%26+%C3%A9": "p-1 & é", "/c?pid=": "", "/c?pid=a=b?c": "a=b?c", "/c?pid2=1&xpid=2": None, "/c": None, "": None, "-": None, "GET /pid=1 HTTP/1.1": None,
    "/c?Pid=1": None, "/c?a=pid=2": None,
}  # fmt: skip


@pytest.mark.parametrize("text", READ)
def test_a_parameter_is_read(text):
    assert value_of({"url": text}, FIELD) == READ[text]
    column, doubtful = parameter_column((pa.array([text, None, text]), None), "pid")
    assert column.to_pylist() == [READ[text], None, READ[text]]
    assert doubtful is None


@pytest.mark.parametrize(
    ("value", "told"), [("/c?pid=1&pid=2", "the parameter 'pid' at 'url' stands twice"), ("/c?pid=1&%70id=2", "stands twice"), (7, "expected a text with a query string")]
)  # fmt: skip
def test_what_is_no_one_parameter_is_rejected(value, told):
    with pytest.raises(Rejected, match=told):
        value_of({"url": value}, FIELD)
    assert parameter_column((pa.array([value]), None), "pid")[1].to_pylist() == [True]


@settings(max_examples=400, deadline=None)
@given(
    st.lists(st.one_of(st.none(), st.text("pidx=&?#%+ 20C3é\n", max_size=14), st.lists(st.sampled_from(["pid=", "pid", "%70id=", "&", "?", "=", "1", "%", "%C3", "+", "#", " "]), max_size=8).map("".join)), max_size=5)
)  # fmt: skip
def test_columns_are_read_as_single_texts_are(texts):
    column, doubtful = parameter_column((pa.array(texts, pa.string()), None), "pid")
    doubts = [False] * len(texts) if doubtful is None else doubtful.to_pylist()
    for text, value, doubt in zip(texts, column.to_pylist(), doubts, strict=True):
        try:
            alone = value_of({"url": text}, FIELD)
        except Rejected:
            assert doubt, text
        else:
            assert doubt or value == alone, text
