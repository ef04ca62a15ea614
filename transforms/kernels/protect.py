"""The personal data of a block, treated as its contract says, before anything of it is written anywhere."""

import base64
import binascii
import functools
import hmac
import ipaddress
import itertools
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from retrolabel.schemas.contract import Contract, Field
from retrolabel.schemas.errors import InputError
from retrolabel.schemas.personal import Generalization
from retrolabel.transforms.kernels.redact import redact

_MARK = "tok_"
"""Begins every token."""


def protect(table: pa.Table, contract: Contract, key: bytes) -> pa.Table:
    """Treats the personal data in parsed rows.

    Args:
        table: in the contract's Arrow schema.
        contract: of the source, as its lines hold it.
        key: of hashes and tokens; empty if the contract has none.

    Returns:
        The same rows in the Arrow schema of `contract.published`.
    """
    if not contract.personal:
        return table
    columns = [
        _treat(table.column(field.name).combine_chunks(), field, key) if field.pii else table.column(field.name)
        for field in contract.fields
        if field.published
    ]
    return pa.Table.from_arrays(columns, schema=contract.published.arrow_schema)


def pseudonym(text: str, key: bytes) -> str:
    """The first 128 bits of the HMAC-SHA-256 of a value's text, as hexadecimal digits (RFC 2104, FIPS 180-4).

    Whole numbers are their decimal digits, timestamps those of their microseconds of UTC: 7 and "7" have one pseudonym.
    """
    return hmac.digest(key, text.encode(), "sha256")[:16].hex()


def token(text: str, key: bytes) -> str:
    """A value's text, encrypted and authenticated (AES-SIV, RFC 5297), as base64url: equal values have equal tokens."""
    sealed = _cipher(key).encrypt(text.encode() or b"\0", None)
    return _MARK + base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()


def reveal(found: str, key: bytes) -> str:
    """The text that `token` made a token of.

    Raises:
        InputError: it is no token of this key.
    """
    try:
        sealed = base64.urlsafe_b64decode(found.removeprefix(_MARK) + "==")
        text = _cipher(key).decrypt(sealed, None).decode()
    except (binascii.Error, InvalidTag, ValueError):
        raise InputError("not a token of this key") from None
    return "" if text == "\0" else text


def key_id(key: bytes) -> str:
    """What a key is called in manifests: it tells keys apart, and nothing about them."""
    return hmac.digest(key, b"retrolabel key id", "sha256")[:4].hex()


@functools.lru_cache(maxsize=8)
def _cipher(key: bytes) -> AESSIV:
    halves = [hmac.digest(key, b"retrolabel token %d" % number, "sha256") for number in (1, 2)]
    return AESSIV(b"".join(halves))


def _treat(column: pa.Array, field: Field, key: bytes) -> pa.Array:
    if field.pii == "generalize" and field.generalize:
        return generalized(column, field.generalize)
    if field.repeated:
        items = _treat_texts(column.flatten(), field, key)
        lengths = pc.fill_null(pc.list_value_length(column), 0)
        offsets = pa.concat_arrays([pa.array([0], pa.int32()), pc.cumulative_sum(lengths).cast(pa.int32())])
        return pa.ListArray.from_arrays(offsets, items, mask=pc.is_null(column))
    return _treat_texts(column, field, key)


def _treat_texts(column: pa.Array, field: Field, key: bytes) -> pa.Array:
    if field.pii == "redact":
        return redact(column)
    texts = column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column
    made = pseudonym if field.pii == "hash" else token
    return _each_once(texts.cast(pa.string()), lambda text: made(text, key))


def _each_once(texts: pa.Array, change: Callable[[str], str | None]) -> pa.Array:
    """Changes each distinct text of a column once."""
    coded = texts.dictionary_encode()
    changed = pa.array([change(text) for text in coded.dictionary.to_pylist()], pa.string())
    return changed.take(coded.indices)


def generalized(column: pa.Array, rule: Generalization) -> pa.Array:
    """Coarser values in place of a column's own."""
    if rule.way == "bin":
        return _binned(column, rule.by)
    if rule.way == "edges":
        return _between(column, rule.by)
    if rule.way == "truncate":
        return pc.floor_temporal(column, unit=rule.by, week_starts_monday=True)
    if rule.way == "prefix":
        return pc.utf8_slice_codeunits(column, 0, rule.by)
    if rule.way == "ip":
        return _each_once(column, lambda text: _network(text, *rule.by))
    known = dict(rule.by)
    return _each_once(column, lambda text: known.get(text, rule.other))


def _binned(column: pa.Array, width: float) -> pa.Array:
    """The lower bounds of the bins; the lowest bin begins with the lowest number of the type."""
    numbers = pc.fill_null(column, 0).to_numpy(zero_copy_only=False)
    wide = np.float64 if pa.types.is_floating(column.type) else np.int64
    binned = numbers.astype(wide) // width * width
    if wide is np.int64:
        lowest = np.iinfo(numbers.dtype).min
        binned = np.where(numbers < lowest + width, lowest, binned)
    return pa.array(binned.astype(numbers.dtype), column.type, mask=pc.is_null(column).to_numpy(zero_copy_only=False))


def _between(column: pa.Array, edges: tuple[float, ...]) -> pa.Array:
    """Between which of the edges a number lies, as `18-30`: from the first on, below the second."""
    names = [
        f"<{edges[0]:g}",
        *(f"{low:g}-{high:g}" for low, high in itertools.pairwise(edges)),
        f">={edges[-1]:g}",
    ]
    place = pa.array([0] * len(column), pa.int64())
    for edge in edges:
        place = pc.add(place, pc.greater_equal(column, pa.scalar(edge, pa.float64())).cast(pa.int64()))
    return pa.array(names).take(place)


def _network(text: str, bits_4: int, bits_6: int) -> str | None:
    """The network of an address; null for a text that is none."""
    try:
        address = ipaddress.ip_address(text.strip())
    except ValueError:
        return None
    return str(ipaddress.ip_network((address, bits_4 if address.version == 4 else bits_6), strict=False))
