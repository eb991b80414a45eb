"""The number of segments of a text, at every boundary of 3GPP TS 23.038."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.campaigns.rate_card import price
from domain.campaigns.segments import Encoding, Segments, count_segments
from domain.money import Money

LETTERS = {"Ll", "Lu", "Nd", "Po", "So"}
GSM, UCS = Encoding.GSM_7, Encoding.UCS_2
FAMILY = "👨‍👩‍👧‍👦"  # four surrogate pairs and three joiners: eleven UTF-16 units


@pytest.mark.parametrize(
    ("body", "encoding", "count"),
    [
        ("", GSM, 1),
        ("a" * 160, GSM, 1),
        ("a" * 161, GSM, 2),
        ("a" * 306, GSM, 2),
        ("a" * 307, GSM, 3),
        ("a" * 459, GSM, 3),
        ("a" * 460, GSM, 4),
        ("@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ", GSM, 1),
        ("€" * 80, GSM, 1),
        ("€" * 81, GSM, 2),
        ("a" * 158 + "€", GSM, 1),
        ("a" * 159 + "€", GSM, 2),
        ("a" * 152 + "€" + "a" * 152, GSM, 3),  # the escape would be the 153rd septet: the whole pair moves on
        ("a" * 151 + "€" + "a" * 153, GSM, 2),
        ("€" * 152, GSM, 2),  # 76 to a segment of 153, not 76 and a half
        ("€" * 153, GSM, 3),
        ("[]{}~|^\\€\f", GSM, 1),
        ("ç", UCS, 1),
        ("`", UCS, 1),
        ("я" * 70, UCS, 1),
        ("я" * 71, UCS, 2),
        ("я" * 134, UCS, 2),
        ("я" * 135, UCS, 3),
        ("a" * 69 + "я", UCS, 1),
        ("a" * 70 + "я", UCS, 2),
        ("😀" * 35, UCS, 1),
        ("😀" * 36, UCS, 2),
        ("😀" * 66, UCS, 2),  # 33 to a segment: a surrogate pair is not split, the 67th unit stays free
        ("😀" * 67, UCS, 3),
        ("я" * 66 + "😀" + "я" * 66, UCS, 3),
        ("я" * 65 + "😀" + "я" * 67, UCS, 2),
        (FAMILY * 6, UCS, 1),
        (FAMILY * 6 + "abcd", UCS, 1),
        (FAMILY * 6 + "abcde", UCS, 2),
        (FAMILY * 12, UCS, 2),  # 6 to a segment of 67, whose last unit stays free
        (FAMILY * 13, UCS, 3),
        ("я" * 57 + FAMILY + "я" * 66, UCS, 3),  # if split, it would fit into two
        ("я" * 56 + FAMILY + "я" * 67, UCS, 2),
        ("я" * 66 + "e\u0301" + "я" * 66, UCS, 3),  # an accent stays with its letter
        ("я" * 64 + "👍🏽" + "я" * 66, UCS, 3),  # a skin tone with its hand
        ("я" * 65 + "🇩🇪" + "я" * 65, UCS, 3),  # a flag's two letters together
        ("я" * 63 + "🇩🇪🇫🇷" + "я" * 63, UCS, 2),  # but not two flags
        ("я" * 65 + "❤️‍🔥" + "я" * 64, UCS, 3),  # a heart, a selector and a joiner are one, the fire is another
        ("я" * 64 + "❤️‍🔥" + "я" * 65, UCS, 2),
        ("я" * 63 + "☝️🏽" + "я" * 67, UCS, 2),
        ("я" * 66 + "각" + "я" * 67, UCS, 2),
        ("я" * 65 + "\u1100\u1161\u11a8" + "я" * 65, UCS, 3),  # a syllable of three letters
        ("я" + "\u0301" * 200, UCS, 3),  # no segment holds it: it is split
        ("я" + "\u0301" * 70 + "я", UCS, 3),  # and shares none, as in Twilio's calculator
        ("a" * 158 + "\r\n", GSM, 1),
        ("a" * 159 + "\r\n", GSM, 2),
        ("a" * 152 + "\r\n" + "a" * 152, GSM, 2),  # a line end's two characters are two signs
        ("я" * 66 + "\r\n" + "я" * 66, UCS, 2),
    ],
)  # fmt: skip
def test_segments_at_the_edges(body: str, encoding: Encoding, count: int) -> None:
    assert count_segments(body) == Segments(encoding, count)


@given(st.text(min_size=1, max_size=400))
def test_segments_are_enough_and_never_more_than_splitting_forces(body: str) -> None:
    counted = count_segments(body)
    units = len(body.encode("utf-16-be", "surrogatepass")) // 2

    if counted.encoding is UCS:
        least = 1 if units <= 70 else -(-units // 67)
        assert least <= counted.count
        if all(unicodedata.category(character) in LETTERS for character in body):
            assert counted.count <= max(1, -(-units // 66))
    else:
        assert all(ord(character) < 0x2100 for character in body)


@given(st.text(max_size=300), st.text(min_size=1, max_size=5))
def test_a_longer_text_never_takes_fewer(body: str, more: str) -> None:
    assert count_segments(body + more).count >= count_segments(body).count


def test_a_message_costs_its_segments() -> None:
    assert price(Money(7_900, "USD"), count_segments("a" * 161).count) == Money(15_800, "USD")
