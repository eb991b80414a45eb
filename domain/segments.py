"""How many segments a text takes on the air: GSM-7 where every character allows it, else UCS-2.

Counting follows 3GPP TS 23.038: 160 septets in one segment or 153 in each of several, extension characters taking two;
70 UTF-16 units or 67 in each of several. No character is split between two segments.
"""

from dataclasses import dataclass
from enum import StrEnum

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
    """Segments of a non-empty body; an empty one counts as one, since Twilio would refuse it anyway."""
    if all(character in _BASIC or character in _EXTENSION for character in body):
        return Segments(Encoding.GSM_7, _count([1 + (character in _EXTENSION) for character in body], 160, 153))
    return Segments(Encoding.UCS_2, _count([1 + (ord(character) > 0xFFFF) for character in body], 70, 67))


def _count(widths: list[int], alone: int, joined: int) -> int:
    if sum(widths) <= alone:
        return 1
    segments, room = 1, joined
    for width in widths:
        if width > room:
            segments, room = segments + 1, joined
        room -= width
    return segments
