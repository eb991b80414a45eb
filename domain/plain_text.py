"""Text from strangers: which characters it may not bring, and how it is shown if it has them
nevertheless.

A control character moves the cursor, clears the screen or sets a terminal's title; one that
overrides the direction of writing makes a line read otherwise than it stands.
"""

import re

_LINES = "\t\n\r"
_CONTROL = "\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff"
_ANY = re.compile(f"[{_CONTROL}]")
_BUT_LINES = re.compile(f"(?![{_LINES}])[{_CONTROL}]")
_UNPRINTABLE = re.compile("(?![\t\n\r\f])[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def is_plain(text: str) -> bool:
    """Whether a name, a note or an id has nothing but what one line shows."""
    return _ANY.search(text) is None


def is_message(text: str) -> bool:
    """Whether a phone can show it: it may have lines, a form feed (which GSM-7 has) and marks of
    direction.
    """
    return _UNPRINTABLE.search(text) is None


def one_line(text: str) -> str:
    r"""The text with each control character as Python writes it, such as `\x1b`."""
    return _ANY.sub(_written, text)


def visible(text: str) -> str:
    """The same, but tabs and line ends stay."""
    return _BUT_LINES.sub(_written, text)


def _written(match: re.Match[str]) -> str:
    return ascii(match[0])[1:-1]
