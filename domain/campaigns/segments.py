"""Counts the segments of a text: GSM-7 if every character allows it, otherwise UCS-2.

Counting follows 3GPP TS 23.038: 160 septets in one segment or 153 in each of several, extension
characters taking two; 70 UTF-16 units or 67 in each of several. No grapheme is split between two
segments: an escape stays with its character, a surrogate with its pair, and an accent with its
letter. The count is that of Twilio's own calculator (npm sms-segments-calculator), which a test
compares; only for a grapheme that no segment can hold it is higher, since the calculator puts it
into one. Splitting graphemes would not need more segments, so the customer's price is never below
Twilio's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from domain.campaigns.graphemes import graphemes

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENSION = frozenset("^{}\\[~]|€\f")


class Encoding(StrEnum):
    GSM_7 = "GSM-7"
    UCS_2 = "UCS-2"


@dataclass(frozen=True, slots=True)
class Segments:
    encoding: Encoding
    count: int


def count_segments(body: str) -> Segments:
    """The segments of a body; an empty body counts as one, because Twilio refuses it anyway."""
    if all(character in _BASIC or character in _EXTENSION for character in body):
        return Segments(
            Encoding.GSM_7, _count([1 + (character in _EXTENSION) for character in body], 160, 153)
        )
    widths = [
        sum(1 + (ord(character) > 0xFFFF) for character in grapheme) for grapheme in graphemes(body)
    ]
    return Segments(Encoding.UCS_2, _count(widths, 70, 67))


def _count(widths: Sequence[int], alone: int, joined: int) -> int:
    """Count segments from the widths of the units that must not be split."""
    if sum(widths) <= alone:
        return 1
    segments, room = 1, joined
    for width in widths:
        if room < min(width, joined):
            segments, room = segments + 1, joined
        if width > joined:  # larger than a segment: it fills as many as it needs and shares none
            segments, room = segments + (width - 1) // joined, 0
        else:
            room -= width
    return segments
