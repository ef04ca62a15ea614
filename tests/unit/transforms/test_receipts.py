"""Receipts keep forgotten people out: their marks find rows, and what was built in ignorance of one is neither published nor kept."""

import pyarrow as pa
import pytest

from retrolabel.configs.model import Secret
from retrolabel.schemas.errors import ConfigError, ForgottenError, IntegrityError
from retrolabel.schemas.receipt import ForgottenSubject, Receipt
from retrolabel.transforms.dataset import version_numbers
from retrolabel.transforms.kernels.forgotten import Sought, forgotten_rows, mark_of
from retrolabel.transforms.kernels.protect import key_id, pseudonym
from retrolabel.transforms.keys import KeyPlace
from retrolabel.transforms.publish import publish
from retrolabel.transforms.receipts import columns_of, read_receipts, receipt_ids, receipt_path, sought_of, suffix_of
from retrolabel.transforms.storage import write_once
from retrolabel.transforms.sweep import unlisted
from tests.support.at_rest import examples, publish_day, store

KEY = b"k" * 32


def receipt_of(*subjects: tuple[str, str], key: bytes = KEY) -> Receipt:
    marks = [ForgottenSubject(field=field, mark=mark_of(field, text, key)) for field, text in subjects]
    return Receipt(dataset="shoes", key_id=key_id(key), subjects=marks)


def leave(root, receipt: Receipt) -> str:
    write_once(f"{root}/{receipt_path(receipt.id)}", receipt.to_json().encode())
    return receipt.id


def test_texts_numbers_and_lists_are_found_by_their_marks_and_null_is_nobody():
    table = pa.table(
        {"user": ["u1", "u2", None, "u1"], "account": [7, 8, None, 9], "friends": [["u1", "u9"], [], None, ["u2"]]},
        schema=pa.schema({"user": pa.string(), "account": pa.int64(), "friends": pa.list_(pa.string())}),
    )

    def found(column: str, text: str) -> list[bool]:
        sought = Sought(column, "user", frozenset([mark_of("user", text, KEY)]))
        return forgotten_rows(table, [sought], KEY).tolist()

    assert found("user", "u1") == [True, False, False, True]
    assert found("account", "8") == [False, True, False, False]
    assert found("friends", "u1") == [True, False, False, False]
    assert found("friends", "u2") == [False, False, False, True]
    assert found("user", "nobody") == [False] * 4


def test_marks_depend_on_field_value_and_key_and_are_not_the_pseudonym():
    marks = {
        mark_of("user", "u1", KEY),
        mark_of("user", "u2", KEY),
        mark_of("person", "u1", KEY),
        mark_of("user", "u1", b"j" * 32),
        pseudonym("u1", KEY),
    }
    assert len(marks) == 5


def test_joined_fields_hold_the_same_people():
    fields = {"predictions": ["user", "item"], "click": ["person", "item"], "sale": ["user", "buyer"]}
    joins = {"click": [("person", "user"), ("item", "item")], "sale": [("buyer", "user")]}
    assert columns_of("user", fields, joins) == {
        "predictions": ["user"],
        "click": ["person"],
        "sale": ["buyer", "user"],
    }
    assert columns_of("person", fields, joins)["predictions"] == ["user"]
    assert columns_of("stranger", fields, joins) == {"predictions": [], "click": [], "sale": []}


def test_a_receipt_whose_key_or_field_is_not_there_stops_the_build():
    fields, keys = {"predictions": ["user"]}, {key_id(KEY): KeyPlace(Secret(env="KEY"), key_id(KEY))}
    found = sought_of([receipt_of(("user", "u1"), ("old_name", "u1"))], fields, {}, keys)
    assert [one.column for _, sought in found["predictions"] for one in sought] == ["user"]
    with pytest.raises(ConfigError, match="former_keys"):
        sought_of([receipt_of(("user", "u1"), key=b"j" * 32)], fields, {}, keys)
    with pytest.raises(ConfigError, match="no contract has such a field"):
        sought_of([receipt_of(("gone", "u1"))], fields, {}, keys)


def test_a_receipt_that_was_changed_is_told(tmp_path):
    receipt = receipt_of(("user", "u1"))
    other = receipt_of(("user", "u2"))
    write_once(f"{tmp_path}/{receipt_path(receipt.id)}", other.to_json().encode())
    with pytest.raises(IntegrityError, match="its digest differs"):
        read_receipts(str(tmp_path), [receipt.id])


def test_a_build_that_does_not_know_a_receipt_is_not_published(tmp_path):
    publish_day(tmp_path, examples({"a": True}))
    known = (leave(tmp_path, receipt_of(("user", "u1"))),)
    manifest, folder = store(tmp_path, examples({"a": False}), build="b" * 16)
    with pytest.raises(ForgottenError, match="somebody was forgotten"):
        publish(str(tmp_path), manifest, folder)
    assert publish(str(tmp_path), manifest, folder, receipts=known).version == 2
    leave(tmp_path, receipt_of(("user", "u2")))
    with pytest.raises(ForgottenError):
        publish(str(tmp_path), manifest, folder, receipts=known)
    assert version_numbers(str(tmp_path)) == [1, 2]


def test_only_what_was_written_in_ignorance_is_swept_while_it_is_young(tmp_path):
    publish_day(tmp_path, examples({"a": True}))
    store(tmp_path, examples({"z": True}), build="c" * 16)
    assert unlisted(str(tmp_path), older_than=3600) == {}
    receipt = leave(tmp_path, receipt_of(("user", "u1")))
    knowing = suffix_of(receipt_ids(str(tmp_path)))
    store(tmp_path, examples({"z": True}), build="d" * 16 + knowing)
    for run in (f"run1{knowing}", "run2", "run3-00000000"):
        (tmp_path / "_tmp" / run).mkdir(parents=True)
        (tmp_path / "_tmp" / run / "seg-0").write_bytes(b"1")
    assert receipt_ids(str(tmp_path)) == (receipt,)
    assert {path.split("/")[1] for path in unlisted(str(tmp_path), older_than=3600)} == {
        "c" * 16,
        "run2",
        "run3-00000000",
    }
