"""The number of segments that Twilio bills for a body: GSM-7 if every character fits it, otherwise
UCS-2.

Its published calculator keeps graphemes whole (TwilioDevEd/message-segment-calculator, by way of
grapheme-splitter 1.0.4). The pattern below says which classes of Unicode 10 stay together there.
Flags and skin tones deviate from Unicode's own rules: at most one mark follows a flag's two
letters, and a skin tone after a mark stays only if its emoji comes directly before that mark.
"""

import re
from functools import lru_cache
from pathlib import Path

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED = frozenset("\f^{}\\[~]|€")
_GSM = _BASIC | _EXTENDED
_LETTERS = {
    "Control": "C",
    "Prepend": "P",
    "Extend": "x",
    "ZWJ": "z",
    "SpacingMark": "s",
    "Regional_Indicator": "R",
    "E_Base": "B",
    "E_Base_GAZ": "G",
    "Glue_After_Zwj": "A",
    "E_Modifier": "M",
    "L": "L",
    "V": "V",
    "T": "T",
}
"""A letter for each class; `H` is a Hangul syllable without a final consonant, `F` one with it, `-`
any other character.
"""
_GRAPHEME = re.compile(
    r"""
    C                                               # a control character stands alone
    | RR [xzs]?                                     # a flag
    | PR [xzs]?
    | P*
      (?: L*(?:V+|HV*|F)T* | L+ | T+ | R | [-BGAMzs] )?
      (?: [zs] | (?<=z)[AG] | (?<=[BG])M )*
      (?: x (?:(?<=[BG]x)M)? (?: [zs] | (?<=z)[AG] )* )*
    """,
    re.VERBOSE,
)


def _by_code() -> dict[int, str]:
    table = {}
    for line in (Path(__file__).parent / "grapheme_breaks.txt").read_text().splitlines():
        name, *ranges = line.split()
        for spec in ranges if name in _LETTERS else ():
            first, _, last = spec.partition("..")
            table.update(
                dict.fromkeys(range(int(first, 16), int(last or first, 16) + 1), _LETTERS[name])
            )
    table.update(dict.fromkeys(range(0xAC00, 0xD7A4), "F"))
    table.update(dict.fromkeys(range(0xAC00, 0xD7A4, 28), "H"))
    return table


_LETTER_OF = _by_code()


@lru_cache(maxsize=4096)
def count_segments(body: str) -> int:
    if all(character in _GSM for character in body):
        return _pack([2 if character in _EXTENDED else 1 for character in body], 160, 153)
    return _pack(_grapheme_widths(body), 70, 67)


def _grapheme_widths(body: str) -> list[int]:
    letters = "".join(_LETTER_OF.get(ord(character), "-") for character in body)
    widths, at = [], 0
    while at < len(body):
        end = _GRAPHEME.match(letters, at).end()  # type: ignore[union-attr]  # it matches any one letter
        widths.append(len(body[at:end].encode("utf-16-be", "surrogatepass")) // 2)
        at = end
    return widths


def _pack(widths: list[int], alone: int, joined: int) -> int:
    """A grapheme is not split across two segments. One that is larger than a segment does not share
    its segments.
    """
    if sum(widths) <= alone:
        return 1
    segments, room = 1, joined
    for whole in widths:
        if whole > room != joined:
            segments, room = segments + 1, joined
        segments += max(0, whole - 1) // joined
        room = max(0, room - whole)
    return segments
