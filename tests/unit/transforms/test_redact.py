"""Personal data in free text: what is found of a labelled sample, and what is taken for it wrongly."""

import json
import re
from pathlib import Path

import pyarrow as pa
import pytest

from retrolabel.transforms.kernels.redact import passes_luhn, redact

MARK = re.compile(r"\[(?:SECRET|EMAIL|IBAN|CARD|IP|PHONE)\]")


def removed(text: str) -> list[str]:
    """What redaction took out of a text, found by aligning what it left."""
    left = MARK.split(redact(pa.array([text]))[0].as_py())
    taken, place = [], len(left[0])
    for number, piece in enumerate(left[1:], 1):
        last = number == len(left) - 1
        end = len(text) - len(piece) if last else text.index(piece, place)
        taken.append(text[place:end])
        place = end + len(piece)
    return taken


def measured(sample: str) -> tuple[int, int, int]:
    """Found rightly, found wrongly, missed."""
    right = wrong = missed = 0
    for line in Path("tests/golden", sample).read_text("utf-8").splitlines():
        entry = json.loads(line)
        taken = removed(entry["text"])
        hits = [one for one in taken if one in entry["found"]]
        right, wrong, missed = (
            right + len(hits),
            wrong + len(taken) - len(hits),
            missed + len(entry["found"]) - len(hits),
        )
    return right, wrong, missed


@pytest.mark.parametrize(
    ("sample", "precision", "recall"),
    [("redact.jsonl", 0.95, 0.95), ("redact_forms.jsonl", 0.95, 0.95), ("redact_unseen.jsonl", 0.95, 0.8)],
)
def test_precision_and_recall_are_those_of_the_docs(sample, precision, recall):
    right, wrong, missed = measured(sample)
    told = f"{right} of {right + missed} are found whole, and {wrong} of {right + wrong} finds"
    assert told in " ".join(Path("docs/privacy.md").read_text("utf-8").split())
    assert right / (right + wrong) >= precision
    assert right / (right + missed) >= recall


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("a@b.example, c@d.example", "[EMAIL], [EMAIL]"),
        ("password=correct-horse-battery", "password=[SECRET]"),
        ("card 4111-1111-1111-1111.", "card [CARD]."),
        ("4111111111111112", "4111111111111112"),
        ("to GB82 WEST 1234 5698 7654 32 today", "to [IBAN] today"),
        ("FR1420041010050500013M02606", "[IBAN]"),
        ("to GB83 WEST 1234 5698 7654 32 today", "to GB83 WEST 1234 5698 7654 32 today"),
        ("card 4111 1111 1111 1111 09/29 123", "card [CARD] 09/29 123"),
        ("4111.1111.1111.1111", "[CARD]"),
        ("EAN 5901234123457", "EAN 5901234123457"),
        ("ann%40example.org and joe [at] example [dot] com", "[EMAIL] and [EMAIL]"),
        ("the file logo@2x.png is large", "the file logo@2x.png is large"),
        ("born 08/11/2026, not 05-11-2026", "born 08/11/2026, not 05-11-2026"),
        ("+12 300 points, 1+1234567", "+12 300 points, 1+1234567"),
        ("dial (+57) 327 332 24 45", "dial [PHONE]"),
        ("phone: 5550132", "phone: [PHONE]"),
        ("hop a001:0:53aa:64c::1, css a::before", "hop [IP], css a::before"),
        ("Authorization: Basic dXNlcjpwYXNzd29yZDEyMw==", "Authorization: Basic [SECRET]"),
        ("basic knowledge of the token ring", "basic knowledge of the token ring"),
        ("glpat-Zx9_wQ3rT7yU1iO5pA2s", "[SECRET]"),
        ("", ""),
        (None, None),
    ],
)
def test_only_what_is_personal_is_replaced(text, left):
    assert redact(pa.array([text], pa.string())).to_pylist() == [left]


@pytest.mark.parametrize(
    ("digits", "passes"), [("4111111111111111", True), ("378282246310005", True), ("4111111111111112", False)]
)
def test_the_check_digit_of_cards(digits, passes):
    assert passes_luhn(digits) is passes


def test_a_long_hostile_text_takes_no_longer_than_its_length_asks():
    # With backtracking these would not end.
    hostile = [
        "a@" + "a." * 200_000,
        "1 " * 200_000,
        "::" * 100_000 + "0",
        "+1" * 200_000,
        "eyJ" * 200_000,
        "DE89 " + "AB12 " * 200_000,
    ]
    assert len(redact(pa.array(hostile))) == len(hostile)
