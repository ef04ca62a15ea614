"""Keys as logs really write them: numbers in several spellings, texts that look alike, and what is no key."""

import collections
import json

import pytest

import retrolabel
from tests.end_to_end.test_versions import run
from tests.support.messy import TIMESTAMP

CONFIG = """\
dataset: shop
predictions: {format: json, path: served.json, schema: served.avsc, key: id, time: at, max_rejected: 1}
outcomes:
  click: {format: json, path: click.json, schema: served.avsc, key: id, id: event, time: at, max_rejected: 1}
labels:
  clicks: {outcome: click, window: 24h, value: count}
"""
SPELLINGS = {
    "long": {
        1: ["1", "1.0", '"1"', "1e0", "10e-1"], 0: ["0", "-0", "-0.0"], 2**53: ["9007199254740992", "9007199254740992.0"],
        2**53 + 1: ["9007199254740993", '"9007199254740993"'], 2**63 - 1: ["9223372036854775807"],
        "wrong_type": ['"01"', '" 1"', '"1e0"', '"1.0"', '""', '"+1"', '"\u0661"', "true", "1.5", "NaN", "{}", "[1]"],
        "out_of_type_range": ["9223372036854775808", "1e30"], "missing_field": ["null"], "malformed": ["+1", "01", "0x1", "\u0661"],
    },
    "string": {
        "1": ["1", '"1"', '"\\u0031"'], "01": ['"01"'], "1.0": ['"1.0"'], "1 ": ['"1 "'], "": ['""'], "null": ['"null"'], "9007199254740993": ["9007199254740993"],
        "a": ['"a"'], "A": ['"A"'], "a/b": ['"a/b"', '"a\\/b"'], "\u00e9": ['"\u00e9"', '"\\u00e9"'], "e\u0301": ['"e\u0301"'],
        "a\0": ['"a\\u0000"'], "\U0001f600": ['"\U0001f600"', '"\\ud83d\\ude00"'], "\u200b": ['"\u200b"'],
        "wrong_type": ["1.0", "1e0", "-0", "true", "{}", "[1]"], "invalid_utf8": ['"\\ud800"'], "missing_field": ["null"],
    },
}  # fmt: skip
"""Of each kind of key: what a key is, or why there is none, and how it may be written."""
REASONS = ("wrong_type", "out_of_type_range", "missing_field", "malformed", "invalid_utf8")


@pytest.mark.parametrize("kind", SPELLINGS)
def test_a_key_is_its_value_however_it_is_written_and_nothing_else(tmp_path, kind):
    fields = [
        {"name": "at", "type": TIMESTAMP},
        {"name": "id", "type": kind},
        {"name": "event", "type": ["null", "string"]},
    ]
    (tmp_path / "served.avsc").write_text(json.dumps({"type": "record", "name": "Served", "fields": fields}))
    (tmp_path / "shop.yaml").write_text(CONFIG)
    written = [text for texts in SPELLINGS[kind].values() for text in texts]
    (tmp_path / "served.json").write_text(
        "".join(f'{{"at": "2026-11-20T01:00:00Z", "id": {text}}}\n' for text in written)
    )
    clicks = [f'{{"at": "2026-11-20T02:00:00Z", "id": {text}, "event": "{n}"}}\n' for n, text in enumerate(written)]
    (tmp_path / "click.json").write_text("".join(clicks) + '{"at": "2026-12-20T00:00:00Z", "id": "77"}\n')
    built = json.loads(run("build", str(tmp_path / "shop.yaml"), "--date", "2026-11-20", "--json"))
    rows = retrolabel.load(str(tmp_path / "datasets/shop")).to_table().to_pylist()
    expected = {key: len(texts) for key, texts in SPELLINGS[kind].items() if key not in REASONS}
    assert {row["id"]: row["clicks"] for row in rows} == expected
    assert built["accounting"]["predictions"]["duplicate"] == sum(expected.values()) - len(expected)
    assert built["accounting"]["predictions"]["reasons"] == {
        reason: len(SPELLINGS[kind][reason]) for reason in sorted(REASONS) if reason in SPELLINGS[kind]
    }
    told = run("rejects", str(tmp_path / "datasets/shop"), "--source", "predictions", "--reason", "wrong_type")
    got = collections.Counter(line.rpartition(", got ")[2] for line in told.splitlines() if ", got " in line)
    assert got["object"] == got["array"] == got["boolean"] == 1


@pytest.mark.parametrize(
    ("served", "clicked", "said"),
    [
        ("long", "string", "'id' is a string, but the predictions' 'id' is a long; they can never be equal"),
        ("double", "double", "'id' is a double; a key is"), (["null", "string"], "string", "'id' may be null by its contract"),
        ({"type": "array", "items": "long"}, "long", "'id' is an array of long; a key is"),
    ],
    ids=["other kinds", "doubles", "null", "arrays"],
)  # fmt: skip
def test_what_can_be_no_key_is_told_before_a_build(tmp_path, served, clicked, said):
    (tmp_path / "shop.yaml").write_text(
        CONFIG.replace("click.json, schema: served.avsc", "click.json, schema: click.avsc")
    )
    for name, kind in (("served", served), ("click", clicked)):
        fields = [{"name": "at", "type": TIMESTAMP}, {"name": "id", "type": kind}, {"name": "event", "type": "string"}]
        (tmp_path / f"{name}.avsc").write_text(json.dumps({"type": "record", "name": name, "fields": fields}))
    assert said in run("check", str(tmp_path / "shop.yaml"), code=2)
