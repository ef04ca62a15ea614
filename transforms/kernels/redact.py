"""Free text without the personal data that can be told by its form.

Patterns are RE2's, through Arrow: time grows with the text, whatever the text. What they find and miss is measured in
tests/unit/transforms/test_redact.py; names and postal addresses have no form and are not found.
"""

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_SECRETS = (
    r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*",  # JSON Web Token, RFC 7519: '{"' in base64url
    r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",  # AWS access key id
    r"\bgh[pousr]_[A-Za-z0-9]{36,}\b|\bgithub_pat_[A-Za-z0-9_]{22,}\b",
    r"\bxox[abeprs]-[A-Za-z0-9-]{10,}",  # Slack
    r"\b[prs]k_(?:live|test)_[A-Za-z0-9]{16,}\b",  # Stripe
    r"\bAIza[A-Za-z0-9_-]{35}",  # Google API key
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----(?:[^-]*-----END [A-Z ]*PRIVATE KEY-----)?",
)
_NAMED = (
    r"(?i)(\bbearer\s+|\b(?:password|passwd|pwd|secret|access_token|auth_token|token|api[_-]?key)\s*[=:]\s*)"
    r"[A-Za-z0-9._~+/!@#$%^&*-]{6,}=*"
)
_EMAIL = r"[\pL\pN._%+'-]+@[\pL\pN](?:[\pL\pN-]*[\pL\pN])?(?:\.[\pL\pN](?:[\pL\pN-]*[\pL\pN])?)*\.\pL{2,}"
_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_GROUP = r"[0-9A-Fa-f]{1,4}"
_IP = (
    rf"\b{_OCTET}(?:\.{_OCTET}){{3}}\b"
    rf"|\b{_GROUP}(?::{_GROUP}){{7}}\b"
    rf"|\b[0-9][0-9A-Fa-f]{{0,3}}(?::{_GROUP}){{0,5}}::(?:{_GROUP}(?::{_GROUP}){{0,5}}\b)?"
    rf"|\b[Ff][CcDdEe][0-9A-Fa-f]{{2}}(?::{_GROUP}){{0,5}}::(?:{_GROUP}(?::{_GROUP}){{0,5}}\b)?"
)
_PHONE = (
    r"(?:\+|\b00)[1-9][0-9]{0,2}[ ./-]?(?:\(0?[0-9]{0,4}\)[ ./-]?)?[0-9]{1,4}(?:[ ./-]?[0-9]{2,4}){1,4}\b"  # ITU-T E.123, international
    r"|(?:\(0[0-9]{1,4}\)|\b0[1-9][0-9]{0,3})[ /-][0-9]{2,4}(?:[ /-]?[0-9]{2,4}){1,4}\b"  # national, with a trunk prefix
    r"|\b0[1-9][0-9]{8,10}\b"
    r"|(?:\([2-9][0-9]{2}\) ?|\b[2-9][0-9]{2}[-. ])[2-9][0-9]{2}[-. ][0-9]{4}\b"  # North America
)
_DIGITS = r"\b[2-6](?:[ -]?[0-9]){13,18}\b"
_CARD = re.compile(_DIGITS)


def redact(texts: pa.Array) -> pa.Array:
    """Replaces secrets, e-mail addresses, card numbers, IP addresses and phone numbers by `[SECRET]`, `[EMAIL]`, `[CARD]`, `[IP]`, `[PHONE]`.

    >>> redact(pa.array(["write to ada@example.org"]))[0].as_py()
    'write to [EMAIL]'
    """
    for pattern in _SECRETS:
        texts = pc.replace_substring_regex(texts, pattern, "[SECRET]")
    texts = pc.replace_substring_regex(texts, _NAMED, r"\1[SECRET]")
    texts = pc.replace_substring_regex(texts, _EMAIL, "[EMAIL]")
    texts = _without_cards(texts)
    texts = pc.replace_substring_regex(texts, _IP, "[IP]")
    return pc.replace_substring_regex(texts, _PHONE, "[PHONE]")


def _without_cards(texts: pa.Array) -> pa.Array:
    """Few texts hold so many digits: those are looked at one by one, for their checksum."""
    candidates = pc.fill_null(pc.match_substring_regex(texts, _DIGITS), False).to_numpy(zero_copy_only=False)
    places = np.flatnonzero(candidates)
    if not len(places):
        return texts
    found = [_CARD.sub(_card, text) for text in texts.take(pa.array(places)).to_pylist()]
    return pc.replace_with_mask(texts, pa.array(candidates), pa.array(found, texts.type))


def _card(match: re.Match[str]) -> str:
    return "[CARD]" if passes_luhn(re.sub(r"[ -]", "", match[0])) else match[0]


def passes_luhn(digits: str) -> bool:
    """Whether the check digit of a card number fits (ISO/IEC 7812-1, annex B).

    >>> passes_luhn("4111111111111111")
    True
    """
    doubled = [sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2]]
    return (sum(doubled) + sum(map(int, digits[-1::-2]))) % 10 == 0
