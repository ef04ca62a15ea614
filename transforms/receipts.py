"""The receipts of people who were forgotten, and what they ask of a build."""

import hashlib
import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from retrolabel.schemas.errors import ConfigError, IntegrityError
from retrolabel.schemas.receipt import Receipt
from retrolabel.transforms import storage
from retrolabel.transforms.kernels.forgotten import Sought
from retrolabel.transforms.keys import KeyPlace
from retrolabel.transforms.plan import PREDICTIONS

RECEIPTS = "_receipts"
_NAME = re.compile(r"([0-9a-f]{16})\.json")

Joins = Mapping[str, Sequence[tuple[str, str]]]
"""Of each other source the fields that it is joined by, each with the predictions' field that it equals."""


def receipt_ids(root: str) -> tuple[str, ...]:
    """The receipts of a dataset, in their order. A receipt is written before anything is erased, and never goes."""
    names = storage.list_files(storage.join(root, RECEIPTS))
    return tuple(sorted(match[1] for name in names if (match := _NAME.fullmatch(name))))


def receipt_path(receipt: str) -> str:
    """Where a receipt stands, relative to the dataset's folder."""
    return f"{RECEIPTS}/{receipt}.json"


def read_receipts(root: str, ids: Sequence[str]) -> list[Receipt]:
    """The receipts themselves.

    Raises:
        IntegrityError: one is damaged, or not what it was when it was written.
    """
    found = []
    for one in ids:
        path = storage.join(root, receipt_path(one))
        receipt = Receipt.from_json(storage.read_bytes(path), path)
        if receipt.id != one:
            raise IntegrityError(f"{path!r} is not what it was when it was written: its digest differs from its name")
        found.append(receipt)
    return found


def suffix_of(ids: Sequence[str]) -> str:
    """Ends the names of the folders in which a build that knows these receipts writes; empty without any.

    By it what was written in ignorance of a receipt can be told from what was not: it can no longer become part of a version.
    """
    return "-" + hashlib.sha256("\n".join(ids).encode()).hexdigest()[:8] if ids else ""


def columns_of(field: str, fields: Mapping[str, Collection[str]], joins: Joins) -> dict[str, list[str]]:
    """The columns that hold what a field holds: those of its name, and those that are joined with them.

    Args:
        field: its name, in any source.
        fields: of each source, the names of its columns.
        joins: of the other sources with the predictions.

    Returns:
        Of each source its columns, none for most fields.
    """
    same = {field} & set(fields[PREDICTIONS])
    same |= {theirs for pairs in joins.values() for mine, theirs in pairs if mine == field}
    found = {PREDICTIONS: sorted(same)}
    for name, pairs in joins.items():
        own = {field} & set(fields[name])
        found[name] = sorted(own | {mine for mine, theirs in pairs if theirs in same})
    return found


def sought_of(
    receipts: Sequence[Receipt], fields: Mapping[str, Collection[str]], joins: Joins, keys: Mapping[str, KeyPlace]
) -> dict[str, tuple[tuple[KeyPlace, tuple[Sought, ...]], ...]]:
    """What is looked for in each source, by the key that made its marks.

    Raises:
        ConfigError: a receipt's key is not there, or no source has any of its fields: then people would come back unnoticed.
    """
    marks: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for receipt in receipts:
        if receipt.key_id not in keys:
            told = f"of the key {receipt.key_id}; the config has {', '.join(keys) or 'none'}"
            raise ConfigError(f"people were forgotten, and who they are can be told by the key alone that their receipt {receipt.id} is {told}. "
                              "Hint: name that key under 'privacy: key', or, if another has taken its place, under 'privacy: former_keys'")  # fmt: skip
        wanted = {subject.field for subject in receipt.subjects}
        if not any(columns for field in wanted for columns in columns_of(field, fields, joins).values()):
            raise ConfigError(f"people were forgotten by {', '.join(sorted(wanted))} (receipt {receipt.id}), and no contract has such a field: "
                              'they would come back. Hint: keep the field in its contract, with "pii": "drop" if it shall not be published')  # fmt: skip
        for subject in receipt.subjects:
            marks[receipt.key_id][subject.field].add(subject.mark)
    found: dict[str, tuple[tuple[KeyPlace, tuple[Sought, ...]], ...]] = {}
    for source in fields:
        found[source] = tuple(
            (keys[key], sought)
            for key, by_field in sorted(marks.items())
            if (
                sought := tuple(
                    Sought(column, field, frozenset(values))
                    for field, values in sorted(by_field.items())
                    for column in columns_of(field, fields, joins)[source]
                )
            )
        )
    return found
