"""Text from outside: which characters it may not contain, and how forbidden ones are displayed.

A control character moves the cursor, clears the screen or sets a terminal's title; a direction
override makes a line read differently than it is stored.
"""

import re

_LINES = "\t\n\r"
_CONTROL = "\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff"
_ANY = re.compile(f"[{_CONTROL}]")
_BUT_LINES = re.compile(f"(?![{_LINES}])[{_CONTROL}]")
_UNPRINTABLE = re.compile("(?![\t\n\r\f])[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def is_plain(text: str) -> bool:
    """Whether a name, a note or an id contains only characters that one line can display."""
    return _ANY.search(text) is None


def is_message(text: str) -> bool:
    """Whether a phone can display it: it may contain line ends, a form feed (part of GSM-7) and
    direction marks.
    """
    return _UNPRINTABLE.search(text) is None


def is_printable(text: str) -> bool:
    """Whether a reference of the host application contains only characters that are displayed."""
    return text.isprintable()


def is_printable_ascii(text: str) -> bool:
    return text.isascii() and text.isprintable()


def is_token(text: str) -> bool:
    """Whether a provider's id or key contains only characters that a header or a URL can carry."""
    return is_printable_ascii(text) and " " not in text


def one_line(text: str) -> str:
    r"""The text with each control character escaped as in Python, such as `\x1b`."""
    return _ANY.sub(_written, text)


def visible(text: str) -> str:
    """The same, but tabs and line ends are kept."""
    return _BUT_LINES.sub(_written, text)


def _written(match: re.Match[str]) -> str:
    return ascii(match[0])[1:-1]
