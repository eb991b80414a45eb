"""How many segments Twilio bills for a body: GSM-7 where every character fits it, else UCS-2."""

from functools import lru_cache

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED = frozenset("\f^{}\\[~]|€")
_GSM = _BASIC | _EXTENDED


@lru_cache(maxsize=4096)
def count_segments(body: str) -> int:
    if all(character in _GSM for character in body):
        return _pack([2 if character in _EXTENDED else 1 for character in body], 160, 153)
    return _pack([2 if ord(character) > 0xFFFF else 1 for character in body], 70, 67)


def _pack(widths: list[int], alone: int, joined: int) -> int:
    """A character of two units is never split over two segments."""
    if sum(widths) <= alone:
        return 1
    segments, room = 1, joined
    for width in widths:
        if width > room:
            segments, room = segments + 1, joined
        room -= width
    return segments
