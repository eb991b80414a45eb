# ruff: noqa: RUF001 - these characters are the point
"""Smart encoding: a Messaging Service replaces characters of a text so that it fits GSM-7 (Twilio's
list of replacements).
"""

_REPLACED = str.maketrans(
    {
        **dict.fromkeys("«»“”„‟〝〞＂", '"'),
        **dict.fromkeys("‘’‚‛´`＇", "'"),
        **dict.fromkeys("‐‑‒–—―−", "-"),
        **dict.fromkeys("\u00a0\u2002\u2003\u2009\u202f\u3000", " "),
        **dict.fromkeys("\u200b\ufeff", ""),
        "…": "...",
        "•": "*",
        "⁄": "/",
    }
)


def encode_smartly(body: str) -> str:
    """Some of "List of characters replaced by Smart Encoding"."""
    return body.translate(_REPLACED)
