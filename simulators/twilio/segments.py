"""How many segments Twilio bills for a body: GSM-7 where every character fits it, else UCS-2.

As its calculator does, graphemes stay whole (TwilioDevEd/message-segment-calculator).
"""

import re
import unicodedata
from functools import lru_cache

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED = frozenset("\f^{}\\[~]|€")
_GSM = _BASIC | _EXTENDED


_LETTER = re.compile("[\U0001f1e6-\U0001f1ff]")
_FLAG = re.compile(f"{_LETTER.pattern}{{2}}")
_STICKS = re.compile("[\u200d\u1160-\u11ff\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]")


@lru_cache(maxsize=4096)
def count_segments(body: str) -> int:
    if all(character in _GSM for character in body):
        return _pack([2 if character in _EXTENDED else 1 for character in body], 160, 153)
    return _pack(_grapheme_widths(body), 70, 67)


def _grapheme_widths(body: str) -> list[int]:
    widths: list[int] = []
    at, open_ = 0, False
    while at < len(body):
        flag = _FLAG.match(body, at)
        text = flag[0] if flag else body[at]
        joined = open_ and not flag and _sticks(text, body[at - 1])
        width = len(text.encode("utf-16-be", "surrogatepass")) // 2
        if joined:
            widths[-1] += width
        else:
            widths.append(width)
        open_ = text not in "\r\n"
        at += len(text)
    return widths


def _sticks(character: str, before: str) -> bool:
    category = "" if _LETTER.match(character) else unicodedata.category(character)
    return category.startswith("M") or _STICKS.match(character) is not None or (before == "\u200d" and category == "So")


def _pack(widths: list[int], alone: int, joined: int) -> int:
    """A grapheme is not split over two segments, if one holds it."""
    if sum(widths) <= alone:
        return 1
    segments, room = 1, joined
    for whole in widths:
        for width in [whole] if whole <= joined else [1] * whole:
            if width > room:
                segments, room = segments + 1, joined
            room -= width
    return segments
