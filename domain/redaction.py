"""Redacts text that others may see: removes secrets and full phone numbers. Pure."""

import re

REDACTED = "***"
_SECRET_TEXTS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{6,}", re.IGNORECASE), rf"\1 {REDACTED}"),
    (re.compile(r"(://[^\s:/@]*):[^\s/@]+@"), rf"\1:{REDACTED}@"),
    (re.compile(r"\b(auth_?token|client_secret|access_token|api_key|password)(['\"]?\s*[=:]\s*['\"]?)[^\s&'\",}]+",
                re.IGNORECASE), rf"\1\2{REDACTED}"),
)  # fmt: skip
_TELLTALE = re.compile(r"[+%=:;\\\s]")
"""Every pattern needs one of these characters; most texts contain none."""
_PLUS = r"(?:(?<![\w+])\+|%(?:25)*2B|\\u002b|&#43;|&plus;)"
"""A plus sign in text, in a URL, in a URL within a URL, in JSON and in HTML."""
_NAMED = (
    r"\b((?:to|from|phone|number|recipient)\w*\\*['\"]?\s*(?:[=:]|%(?:25)*3[AD])\s*(?:b?\\*['\"])?)"
)
_PHONES: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(rf"({_PLUS})([1-9]\d{{3}})\d{{1,9}}(\d{{2}})(?!\d)", re.IGNORECASE),
        rf"\1\2{REDACTED}\3",
    ),
    (
        re.compile(rf"{_NAMED}(\d{{4}})\d{{1,9}}(\d{{2}})(?!\d)", re.IGNORECASE),
        rf"\1\2{REDACTED}\3",
    ),
)
"""E.164 numbers anywhere; without the plus, only after a name that announces a phone number."""


def redact_text(text: str) -> str:
    """Redact secrets: `+15550001142` becomes `+1555***42`; a bearer token or a password in a URL or
    a form becomes stars.
    """
    if _TELLTALE.search(text) is None:
        return text
    for pattern, replacement in (*_SECRET_TEXTS, *_PHONES):
        text = pattern.sub(replacement, text)
    return text
