"""Free text without the personal data that can be told by its form.

Patterns are RE2's, through Arrow: time grows with the text, whatever the text. What they find and miss is measured in
tests/unit/transforms/test_redact.py; names and postal addresses have no form and are not found.
"""

import re
from collections.abc import Callable

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
    (
        r"(?i)(\bbearer\s+|\b[a-z0-9_-]*(?:password|passwd|pwd|secret|token|api[_-]?key)[\"']?\s*[=:]\s*[\"']?)"
        r"[A-Za-z0-9._~+/!@#$%^&*-]{6,}=*"
    ),
    r"(?i)(\b[a-z]*s(?:ess(?:ion)?)?_?id[\"']?\s*[=:]\s*[\"']?|\bsession=)[A-Za-z0-9._-]{16,}",
)
_OF_URL = r"(://[^\s:/@]+:)[^\s:/@]+@"  # user and password, RFC 3986, 3.2.1
_EMAIL = r"[\pL\pN._%+'-]+@[\pL\pN](?:[\pL\pN-]*[\pL\pN])?(?:\.[\pL\pN](?:[\pL\pN-]*[\pL\pN])?)*\.\pL{2,}"
_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_GROUP = r"[0-9A-Fa-f]{1,4}"
_IP = (
    rf"(?:::[Ff]{{4}}:)?\b{_OCTET}(?:\.{_OCTET}){{3}}\b"
    rf"|\b{_GROUP}(?::{_GROUP}){{7}}\b"
    rf"|\b[0-9][0-9A-Fa-f]{{0,3}}(?::{_GROUP}){{0,5}}::(?:{_GROUP}(?::{_GROUP}){{0,5}}\b)?"
    rf"|\b[Ff][CcDdEe][0-9A-Fa-f]{{2}}(?::{_GROUP}){{0,5}}::(?:{_GROUP}(?::{_GROUP}){{0,5}}\b)?"
)
_PHONE = (
    r"(?:\+|\b00)[1-9][0-9]{0,2}[ ./-]?(?:\(0?[0-9]{0,4}\)[ ./-]?)?[0-9]{1,4}(?:[ ./-]?[0-9]{2,4}){1,4}\b"  # ITU-T E.123, international
    r"|(?:\(0[0-9]{1,4}\)|\b0[1-9][0-9]{0,3})[ /-][0-9]{2,4}(?:[ /-]?[0-9]{2,4}){1,4}\b"  # national, with a trunk prefix
    r"|\b0[1-9][0-9]{8,10}\b"
    r"|(?:\b1[-. ])?(?:\([2-9][0-9]{2}\) ?|\b[2-9][0-9]{2}[-. ])[2-9][0-9]{2}[-. ][0-9]{4}\b"  # North America
)
_CARD = r"\b[2-6](?:[ -]?[0-9]){13,18}\b"
_IBAN = r"\b[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b"


def redact(texts: pa.Array) -> pa.Array:
    """Replaces secrets, e-mail addresses, bank accounts, card numbers, IP addresses and phone numbers by `[SECRET]`, `[EMAIL]`, `[IBAN]`, `[CARD]`, `[IP]`, `[PHONE]`.

    >>> redact(pa.array(["write to ada@example.org"]))[0].as_py()
    'write to [EMAIL]'
    """
    for pattern in _SECRETS:
        texts = pc.replace_substring_regex(texts, pattern, "[SECRET]")
    for pattern in _NAMED:
        texts = pc.replace_substring_regex(texts, pattern, r"\1[SECRET]")
    texts = pc.replace_substring_regex(texts, _OF_URL, r"\1[SECRET]@")
    texts = pc.replace_substring_regex(texts, _EMAIL, "[EMAIL]")
    texts = _without_checked(texts, _IBAN, "[IBAN]", passes_mod_97)
    texts = _without_checked(texts, _CARD, "[CARD]", passes_luhn)
    texts = pc.replace_substring_regex(texts, _IP, "[IP]")
    return pc.replace_substring_regex(texts, _PHONE, "[PHONE]")


def _without_checked(texts: pa.Array, pattern: str, mark: str, passes: Callable[[str], bool]) -> pa.Array:
    """Few texts hold what looks like a number with check digits: those are looked at one by one, for these digits."""
    candidates = pc.fill_null(pc.match_substring_regex(texts, pattern), False).to_numpy(zero_copy_only=False)
    places = np.flatnonzero(candidates)
    if not len(places):
        return texts

    def judged(match: re.Match[str]) -> str:
        return mark if passes(re.sub(r"[ -]", "", match[0])) else match[0]

    found = [re.sub(pattern, judged, text) for text in texts.take(pa.array(places)).to_pylist()]
    return pc.replace_with_mask(texts, pa.array(candidates), pa.array(found, texts.type))


def passes_mod_97(account: str) -> bool:
    """Whether the check digits of an international bank account number fit (ISO 13616-1, ISO 7064 MOD 97-10).

    >>> passes_mod_97("DE89370400440532013000")
    True
    """
    return int("".join(str(int(letter, 36)) for letter in account[4:] + account[:4])) % 97 == 1


def passes_luhn(digits: str) -> bool:
    """Whether the check digit of a card number fits (ISO/IEC 7812-1, annex B).

    >>> passes_luhn("4111111111111111")
    True
    """
    doubled = [sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2]]
    return (sum(doubled) + sum(map(int, digits[-1::-2]))) % 10 == 0
