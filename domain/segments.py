"""How many segments a text takes on the air: GSM-7 where every character allows it, else UCS-2.

Counting follows 3GPP TS 23.038: 160 septets in one segment or 153 in each of several, extension characters taking two;
70 UTF-16 units or 67 in each of several. No sign is split between two segments: neither an escape from its character
nor a surrogate from its pair, which the standard forbids, nor what a phone shows as one, such as a family joined of
four emoji. Twilio's own calculator counts so (TwilioDevEd/message-segment-calculator); whoever splits those, too, needs
no more segments, so that the customer's price never falls short of Twilio's.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENSION = frozenset("^{}\\[~]|€\f")
_JOINER = "\u200d"
_SKIN_TONES, _TAGS, _FLAG_LETTERS, _HANGUL_VOWELS_AND_FINALS = (
    frozenset(map(chr, range(first, last + 1)))
    for first, last in ((0x1F3FB, 0x1F3FF), (0xE0020, 0xE007F), (0x1F1E6, 0x1F1FF), (0x1160, 0x11FF))
)
_ATTACHED = _SKIN_TONES | _TAGS | _HANGUL_VOWELS_AND_FINALS | {_JOINER}


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
        return Segments(Encoding.GSM_7, _count([[1 + (one in _EXTENSION)] for one in body], 160, 153))
    return Segments(
        Encoding.UCS_2, _count([[1 + (ord(one) > 0xFFFF) for one in sign] for sign in _signs(body)], 70, 67)
    )


def _count(signs: Sequence[Sequence[int]], alone: int, joined: int) -> int:
    """Of the widths of each sign's characters."""
    if sum(map(sum, signs)) <= alone:
        return 1
    segments, room = 1, joined
    for sign in signs:
        whole = sum(sign)
        for width in [whole] if whole <= joined else sign:  # one that no segment holds is split after all
            if width > room:
                segments, room = segments + 1, joined
            room -= width
    return segments


def _signs(body: str) -> list[str]:
    """What a phone shows as one, nearly as Unicode's annex 29 has it: without scripts' rules that SMS hardly sees."""
    signs: list[str] = []
    for character in body:
        if signs and _belongs(character, signs[-1]):
            signs[-1] += character
        else:
            signs.append(character)
    return signs


def _belongs(character: str, before: str) -> bool:
    if before in {"\r", "\n"}:
        return False
    if character in _FLAG_LETTERS:
        return before in _FLAG_LETTERS  # two make a flag, a third begins another
    category = unicodedata.category(character)
    return category[0] == "M" or character in _ATTACHED or (before[-1] == _JOINER and category == "So")
