"""Where octets and objects stand in a text: the compiled way finds what numpy's finds."""

import itertools
import json
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from retrolabel.transforms.kernels import compiled
from retrolabel.transforms.kernels.json_text import spans_and_commas

scan = pytest.importorskip("retrolabel.transforms.kernels._scan", reason="it was not compiled here")


@given(st.text("ab\n", max_size=60), st.lists(st.integers(0, 60), max_size=12), st.booleans())
@example("bbbb", [3, 0, 4, 1], False)
@example("abbabb", [4, 1, 5, 2, 0], False)
def test_the_next_place_of_an_octet_is_found_from_positions_in_any_order(text, positions, ordered):
    positions = [min(position, len(text)) for position in (sorted(positions) if ordered else positions)]
    found = np.frombuffer(scan.next_places(text.encode(), ord("a"), np.array(positions, dtype=np.int64)), np.int64)
    assert found.tolist() == [(text + "a").index("a", position) for position in positions]


def test_a_position_outside_of_the_text_is_refused():
    for position in (-1, 3):
        with pytest.raises(ValueError, match="outside of the text"):
            scan.next_places(b"ab", ord("a"), np.array([0, position]))


TEXTS = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=5
)  # those with zeros are in doubt
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.lists(st.dictionaries(TEXTS, VALUES, max_size=3), max_size=5)


Spans = tuple[list[tuple[list[int], list[int]]], list[int], list[int]]
LEVELS = (0, 1, 2, 3)


def found(text: bytes, within: int) -> Spans | None:
    spans = scan.spans(text, LEVELS, within)
    return spans and ([(listed(begins), listed(ends)) for begins, ends in spans[0]], listed(spans[1]), listed(spans[2]))


def listed(octets: bytes) -> list[int]:
    return np.frombuffer(octets, np.int64).tolist()


def by_numpy(text: bytes, within: int) -> Spans:
    with patch.object(compiled, "scan", None):
        spans, (commas, numbers) = spans_and_commas(np.frombuffer(text, np.uint8), LEVELS, within)
    return [(begins.tolist(), ends.tolist()) for begins, ends in spans], commas.tolist(), numbers.tolist()


@given(
    OBJECTS, st.sampled_from(["", ",", "\n", " ,\r\n", "]\n"]), st.sampled_from([None, 1]), st.sampled_from([0, 1, 2])
)
def test_objects_one_after_another_are_found(objects, between, indent, within):
    texts = [json.dumps(one, indent=indent).encode() for one in objects]
    whole = between.encode().join(texts)
    spans = found(whole, within)
    begins, ends = spans[0][0]
    assert [whole[begin:end] for begin, end in zip(begins, ends, strict=True)] == texts
    assert spans == by_numpy(whole, within)


@given(
    OBJECTS,
    st.sampled_from([None, 1]),
    st.integers(0, 400),
    st.sampled_from([b"", b"}", b"]", b'"', b"\n{", b"x", b"\\"]),
    st.booleans(),
)
@example([{"a": {"b": 1}}], None, 9, b"\n{", False)
def test_of_cut_and_damaged_texts_the_same_is_found_or_nothing(objects, indent, cut, damage, wrapped):
    whole = b"\n".join(json.dumps(one, indent=indent).encode() for one in ([objects, objects] if wrapped else objects))
    cut = min(cut, len(whole))
    for text in (whole[:cut], whole[:cut] + damage, whole[:cut] + damage + whole[cut:]):
        assert found(text, 1) in (None, by_numpy(text, 1))


def test_an_object_that_goes_on_behind_the_text_has_no_end():
    assert found(b'{"a":1}\n{"b":[1,', 1) == ([([0, 8], [7]), ([13], []), ([], []), ([], [])], [15], [0])
    assert found(b"", 0) == ([([], [])] * 4, [], [])
    assert found(b'{"a":1} x', 0) is None
    with pytest.raises(ValueError, match="too deep"):
        scan.spans(b"", (64,), 0)


@given(st.lists(st.lists(VALUES, max_size=3) | VALUES, max_size=5), st.booleans())
def test_arrays_as_long_as_there_are_names_become_objects(rows, spaced):
    texts = [
        json.dumps(row, separators=None if spaced else (",", ":"), indent=1 if spaced else None).encode()
        for row in rows
    ]
    text, ends = b" ".join(texts), np.cumsum([len(one) + 1 for one in texts], dtype=np.int64) - 1
    starts = ends - np.array([len(one) for one in texts], dtype=np.int64)
    out, bounds = scan.named(text, starts, ends, (b'"a":', b'"b":'))
    bounds = listed(bounds)
    named = [out[begin:end] for begin, end in itertools.pairwise(bounds)]
    assert bounds[-1] == len(out)
    for row, before, after in zip(rows, texts, named, strict=True):
        if isinstance(row, list) and len(row) == 2:
            assert json.loads(after) == dict(zip("ab", row, strict=True))
        else:
            assert after == before


def test_arrays_that_are_damaged_stay_what_they_are():
    texts = [b"[1,2]", b"[1,2]]", b"[1,2] x", b"[1,2", b"[1,,2]", b'[1,"', b"[[1],{}]", b"1,2", b"", b"[ 1 , 2 ]"]
    ends = np.cumsum([len(one) for one in texts], dtype=np.int64)
    starts = ends - np.array([len(one) for one in texts], dtype=np.int64)
    out, bounds = scan.named(b"".join(texts), starts, ends, (b'"a":', b'"b":'))
    named = [out[begin:end] for begin, end in itertools.pairwise(listed(bounds))]
    assert named == [b'{"a":1,"b":2}', *texts[1:6], b'{"a":[1],"b":{}}', *texts[7:9], b'{"a": 1 ,"b": 2 }']


def test_names_and_places_that_do_not_fit_are_refused():
    one = np.array([0])
    for arguments in ((one, one + 3, (b'"a":',)), (one, np.array([1, 2]), (b'"a":',)), (one, one, ())):
        with pytest.raises(ValueError, match="needs names"):
            scan.named(b"[]", *arguments)
    with pytest.raises(TypeError):
        scan.named(b"[]", one, one, ("a",))
