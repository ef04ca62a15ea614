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
    r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"  # JSON Web Token, RFC 7519: '{"' in base64url
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bLTAI[A-Za-z0-9]{20}\b"  # access key ids of AWS, of Alibaba
    r"|\bgh[pousr]_[A-Za-z0-9]{36,}\b|\bgithub_pat_[A-Za-z0-9_]{22,}\b"
    r"|\bgl(?:pat|ptt|dt|rt|cbt|oas|soat|ft|imt|agent)-[A-Za-z0-9_.-]{20,}"  # GitLab
    r"|\bxox[abeprs]-[A-Za-z0-9-]{10,}|\bxapp-[0-9]-[A-Za-z0-9-]{20,}"  # Slack, and its addresses that take messages from anybody
    r"|https://hooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9+/_-]{20,}"
    r"|https://(?:ptb\.|canary\.)?discord(?:app)?\.com/api/webhooks/[0-9]+/[A-Za-z0-9_-]{40,}"
    r"|\b[prs]k_(?:live|test)_[A-Za-z0-9]{16,}\b|\bwhsec_[A-Za-z0-9+/]{24,}"  # Stripe
    r"|\bAIza[A-Za-z0-9_-]{35}|\bya29\.[A-Za-z0-9_-]{20,}|\bGOCSPX-[A-Za-z0-9_-]{20,}|\b1//0[A-Za-z0-9_-]{20,}"  # Google
    r"|\bsk-(?:ant|proj|svcacct|admin|or)-[A-Za-z0-9_-]{20,}|\bsk-[A-Za-z0-9]{32,}\b|\bhf_[A-Za-z0-9]{30,}\b"  # language models
    r"|\bnpm_[A-Za-z0-9]{36}\b|\bpypi-AgE[A-Za-z0-9_-]{20,}|\brubygems_[a-f0-9]{48}\b|\bdckr_pat_[A-Za-z0-9_-]{20,}"
    r"|\bdo[opr]_v1_[a-f0-9]{64}\b|\bdapi[a-f0-9]{32}\b|\bhv[sbr]\.[A-Za-z0-9_-]{24,}|\bglsa_[A-Za-z0-9_]{32,}"  # clouds
    r"|\bshp(?:at|ca|pa|ss)_[A-Fa-f0-9]{32}\b|\bsq0[a-z]{3}-[A-Za-z0-9_-]{22,}"  # Shopify, Square
    r"|\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}|\b(?:SK|AC)[a-f0-9]{32}\b|\b[a-f0-9]{32}-us[0-9]{1,2}\b"  # SendGrid, Twilio, Mailchimp
    r"|\b[0-9]{8,10}:AA[A-Za-z0-9_-]{33}"  # Telegram
    r"|\bAGE-SECRET-KEY-1[A-Z0-9]{58}\b"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----(?:[^-]*-----END [A-Z ]*PRIVATE KEY-----)?"
)
_NAMED = (
    (
        r"(?i)(\bbearer\s+|\bauthorization[\"']?\s*[=:]\s*[\"']?(?:basic|digest|token)\s+"
        r"|\b[a-z0-9_-]*(?:password|passwd|pwd|secret|token|api[_-]?key|(?:secret|access|account|private|signing|encryption)[_-]?(?:access[_-]?)?key)"
        r"[\"']?\s*[=:]\s*[\"']?)[A-Za-z0-9._~+/!@#$%^&*-]{6,}=*"
    ),
    r"(?i)(\b[a-z]*s(?:ess(?:ion)?)?_?id[\"']?\s*[=:]\s*[\"']?|\bsession=|\b(?:sig|x-amz-signature|x-goog-signature)=)[A-Za-z0-9._%+/-]{16,}=*",
)
_OF_URL = r"(://[^\s:/@]+:)[^\s:/@]+@"  # user and password, RFC 3986, 3.2.1
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_LOCAL = r"[A-Za-z0-9._+-]+"
_EMAIL = (  # the rarer forms in ASCII alone: Unicode's classes take long to be compiled
    r"[\pL\pN._%+'-]+@(?:(?:\pL|[0-9][0-9A-WYZa-wyz-])[\pL\pN.-]*|[0-9])\.\pL{2,}"  # not `logo@2x.png`
    rf"|{_LOCAL}%40{_LABEL}(?:\.{_LABEL})*\.[A-Za-z]{{2,}}"  # in a URL
    rf"|{_LOCAL} ?[(\[{{](?i:at)[)\]}}] ?{_LABEL}(?: ?(?:[(\[{{](?i:dot)[)\]}}]|\.) ?{_LABEL})+"  # for people alone
    rf"|{_LOCAL} AT {_LABEL}(?:(?:\.| DOT ){_LABEL})*(?:\.| DOT )[A-Za-z]{{2,}}"
    rf"|{_LOCAL} at {_LABEL}(?: dot {_LABEL})* dot (?:com|org|net|edu|gov|info|io|co|de|fr|es|it|nl|uk|eu|ch|at|pl|in|jp|br)\b"
)
_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4 = rf"{_OCTET}(?:\.{_OCTET}){{3}}\b"
_GROUP = r"[0-9A-Fa-f]{1,4}"
_IP = (
    rf"(?:\b{_GROUP}(?::{_GROUP}){{0,5}})?::(?:{_GROUP}:){{0,5}}{_IPV4}"
    rf"|\b{_IPV4}"
    rf"|\b{_GROUP}(?::{_GROUP}){{7}}\b"
    rf"|\b[0-9][0-9A-Fa-f]{{0,3}}(?::{_GROUP}){{0,5}}::(?:{_GROUP}(?::{_GROUP}){{0,5}}\b)?"
    rf"|\b[Ff][CcDdEe][0-9A-Fa-f]{{2}}(?::{_GROUP}){{0,5}}::(?:{_GROUP}(?::{_GROUP}){{0,5}}\b)?"
    rf"|\b[A-Fa-f][0-9A-Fa-f]{{0,3}}(?::{_GROUP}){{1,5}}::(?:{_GROUP}(?::{_GROUP}){{0,5}}\b)?"
    rf"|\B::[0-9][0-9A-Fa-f]{{0,3}}(?::{_GROUP}){{0,6}}\b"
)
_PHONE_NAMED = (  # what is called a phone number needs no form
    r"(?i)(\b(?:tel|telephone|telefon[eo]?|t[ée]l[ée]phone|phone|mobile|mobil|m[óo]vil|cell|handy|fax|whatsapp|(?:my|our|new|his|her) number)"
    r"(?:\s+(?:no|nr|num|number|nummer|is|at|on|me|us|under|to))*\s?[.:=#]*\s?)\(?[0-9](?:[ ./()-]{0,2}[0-9]){6,14}\b"
    r"|(\b(?:call|ring|dial|sms to|text me at)(?: (?:me|us|him|her|at|on|under|to))* )\(?[0-9]{2,3}\)?(?: [0-9]{2,4}){2,4}\b"
)
_PHONE = (
    r"(?:\(\+[1-9][0-9]{0,2}\)|(?:\B\+|%2B|\b00)[1-9])(?:[ ./()-]{0,2}[0-9]){6,14}(?:\b|x[0-9]{1,6}\b)"  # ITU-T E.164, international
    r"|(?:\(0[0-9]{1,4}\)[ /-]{0,2}|\b0[1-9][0-9]{1,3}[ /-])(?:[0-9]{3,4}[ /-]?[0-9]{2,4}|[0-9]{2}[ /-]?[0-9]{2}[ /-]?[0-9]{2})(?:[ /-]?[0-9]{2,4}){0,3}\b"  # national, with a trunk prefix
    r"|\b0[1-9](?:(?:[ .-][0-9]{2}){4}|[ -][0-9]{3,4}[ -]?[0-9]{4}|-[0-9]{2,3} [0-9]{2,3} [0-9]{2})\b"  # of one digit, other than in 08/11/2026
    r"|\b0[1-9][0-9]{8,9}\b"
    r"|(?:\b1[-. ])?(?:\([2-9][0-9]{2}\)[-. ]?|\b[2-9][0-9]{2}[-. ][2-9])[0-9]{2,3}[-. ][0-9]{4}(?:\b| ?(?:x|ext\.? ?)[0-9]{1,6}\b)"  # North America
    r"|\b[2-9][0-9]{2} [0-9]{2,3} [0-9]{2} [0-9]{2}\b|\b[1-9][0-9] [0-9]{3} [0-9]{2} [0-9]{2}\b"  # as in Spain, Poland
    r"|\b[1-9][0-9] 9?[0-9]{4}-[0-9]{4}\b"  # Brazil
)
_CARD = r"\b(?:2[2-7]|3[04-9]|[4-6][0-9])(?:[ .-]{0,2}[0-9]){12,17}\b"
_PRINTED = re.compile(
    r"(?<![0-9])(?:[2-6][0-9]{3}(?:[ .-]{1,2}[0-9]{4}){3}|3[0-9]{3}[ .-]{1,2}[0-9]{6}[ .-]{1,2}[0-9]{4,5})(?![0-9])"
)
"""The groups in which cards show their numbers, among other digits."""
_IBAN = r"\b[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b"


def redact(texts: pa.Array) -> pa.Array:
    """Replaces secrets, e-mail addresses, bank accounts, card numbers, IP addresses and phone numbers by `[SECRET]`, `[EMAIL]`, `[IBAN]`, `[CARD]`, `[IP]`, `[PHONE]`.

    >>> redact(pa.array(["write to ada@example.org"]))[0].as_py()
    'write to [EMAIL]'
    """
    texts = pc.replace_substring_regex(texts, _SECRETS, "[SECRET]")
    for pattern in _NAMED:
        texts = pc.replace_substring_regex(texts, pattern, r"\1[SECRET]")
    texts = pc.replace_substring_regex(texts, _OF_URL, r"\1[SECRET]@")
    texts = pc.replace_substring_regex(texts, _EMAIL, "[EMAIL]")
    texts = _where_found(texts, _IBAN, _without_account)
    texts = _where_found(texts, _CARD, _without_card)
    texts = pc.replace_substring_regex(texts, _IP, "[IP]")
    texts = pc.replace_substring_regex(texts, _PHONE_NAMED, r"\1\2[PHONE]")
    return pc.replace_substring_regex(texts, _PHONE, "[PHONE]")


def _where_found(texts: pa.Array, pattern: str, without: Callable[[str], str]) -> pa.Array:
    """Few texts hold what looks like a number with check digits: those are looked at one by one, for these digits."""
    candidates = pc.fill_null(pc.match_substring_regex(texts, pattern), False).to_numpy(zero_copy_only=False)
    places = np.flatnonzero(candidates)
    if not len(places):
        return texts
    found = [
        re.sub(pattern, lambda match: without(match[0]), text) for text in texts.take(pa.array(places)).to_pylist()
    ]
    return pc.replace_with_mask(texts, pa.array(candidates), pa.array(found, texts.type))


def _without_account(found: str) -> str:
    return "[IBAN]" if passes_mod_97(found.replace(" ", "")) else found


def _without_card(found: str) -> str:
    if passes_luhn(re.sub("[ .-]", "", found)):
        return "[CARD]"
    return _PRINTED.sub(lambda match: "[CARD]" if passes_luhn(re.sub("[ .-]", "", match[0])) else match[0], found)


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
