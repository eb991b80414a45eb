"""Money is parsed exactly or refused: no float, no seventh decimal, no rounding."""

from decimal import Decimal, localcontext
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.money import LARGEST_MICROS, BadAmount, Money, parse, parse_micros, to_decimal_string


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("0", 0),
        ("-0", 0),
        ("12.50", 12_500_000),
        ("0.0079", 7_900),
        ("0.000001", 1),
        ("-0.000001", -1),
        ("1.000000000", 1_000_000),
        ("4611686018427.387904", LARGEST_MICROS),
    ],
)
def test_a_decimal_string_is_read_exactly(text: str, micros: int) -> None:
    assert parse_micros(text) == micros


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "1 ", " 1", "1\n", "+1", "--1", "1,5", "1.", ".5", "01", "1e3", "0x1", "1_000", "NaN", "Infinity",
        "\u0661", "1.5.0", "$1",
    ],
)  # fmt: skip
def test_anything_but_a_plain_decimal_is_refused(text: str) -> None:
    with pytest.raises(BadAmount):
        parse_micros(text)


@pytest.mark.parametrize("value", [1.5, 1, Decimal("1.5"), None, True, b"1.50"])
def test_a_float_or_any_other_type_is_refused(value: object) -> None:
    with pytest.raises(BadAmount, match="decimal string"):
        parse_micros(cast("str", value))


@pytest.mark.parametrize("text", ["0.0000001", "1.9999999", "12345678901.000000000000000001"])
def test_a_seventh_decimal_is_refused_not_rounded(text: str) -> None:
    with pytest.raises(BadAmount, match="six decimals"):
        parse_micros(text)


@given(st.integers(0, 10**13 - 1), st.integers(1, 10**12 - 1))
def test_whatever_is_finer_than_a_micro_is_refused(whole: int, finer: int) -> None:
    with pytest.raises(BadAmount, match="six decimals"):
        parse_micros(f"{whole}.000001{finer:012d}")


@pytest.mark.parametrize(
    "text", ["4611686018427.387905", "-4611686018427.387905", "9999999999999999999"]
)
def test_more_than_a_wallet_can_hold_is_refused(text: str) -> None:
    with pytest.raises(BadAmount, match="larger"):
        parse_micros(text)


@given(st.integers(-LARGEST_MICROS, LARGEST_MICROS))
def test_what_is_written_is_read_back(micros: int) -> None:
    assert parse_micros(to_decimal_string(micros)) == micros


@given(st.integers(-LARGEST_MICROS, LARGEST_MICROS))
def test_what_is_written_is_the_exact_amount_with_two_to_six_decimals(micros: int) -> None:
    text = to_decimal_string(micros)

    with localcontext(prec=40):
        assert Decimal(text) * 1_000_000 == micros
    assert 2 <= len(text.partition(".")[2]) <= 6


def test_reading_does_not_depend_on_the_decimal_context() -> None:
    with localcontext(prec=3):
        assert parse_micros("12345.678901") == 12_345_678_901


@pytest.mark.parametrize("currency", ["", "usd", "US", "USDX", "US1", "USD\n", "ÜSD"])
def test_a_currency_is_three_capitals(currency: str) -> None:
    with pytest.raises(BadAmount):
        Money(1, currency)


def test_money_is_shown_with_its_currency() -> None:
    assert str(parse("12.5", "EUR")) == "12.50 EUR"
