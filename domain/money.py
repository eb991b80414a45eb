"""Amounts as whole micros of one currency; refuses floats and anything finer than a micro."""

import re
from dataclasses import dataclass

MICROS = 1_000_000
LARGEST_MICROS = 2**62
_DECIMAL = re.compile(r"(?P<sign>-?)(?P<whole>0|[1-9][0-9]{0,18})(\.(?P<decimals>[0-9]{1,18}))?")
_CURRENCY = re.compile(r"[A-Z]{3}")


class BadAmount(ValueError):
    """The text is not an amount that a wallet can hold; the message says why, for the caller to
    read.
    """


@dataclass(frozen=True, slots=True, order=True)
class Money:
    """`micros` millionths of one unit of `currency` (ISO 4217, three capitals)."""

    micros: int
    currency: str

    def __post_init__(self) -> None:
        if not _CURRENCY.fullmatch(self.currency):
            raise BadAmount(
                f"a currency is three capital letters (ISO 4217), not {self.currency!r}"
            )

    def __str__(self) -> str:
        return f"{to_decimal_string(self.micros)} {self.currency}"


def parse_micros(text: str) -> int:
    """Micros of a decimal string such as `"0.0079"`; a seventh decimal that is not zero is refused,
    never rounded.
    """
    if not isinstance(text, str):
        raise BadAmount('an amount is a decimal string, such as "12.50"')
    parts = _DECIMAL.fullmatch(text)
    if parts is None:
        raise BadAmount('an amount is a plain decimal string, such as "12.50"')
    sign, whole, decimals = parts["sign"], parts["whole"], parts["decimals"] or ""
    if decimals[6:].strip("0"):
        raise BadAmount("an amount has at most six decimals")
    # not by Decimal, which rounds to 28 digits
    micros = int(whole) * MICROS + int(decimals[:6].ljust(6, "0"))
    if micros > LARGEST_MICROS:
        raise BadAmount("the amount is larger than a wallet can hold")
    return -micros if sign else micros


def parse(text: str, currency: str) -> Money:
    return Money(parse_micros(text), currency)


def to_decimal_string(micros: int) -> str:
    """At least two decimals, at most six: `7900` is `"0.0079"`, `12_000_000` is `"12.00"`."""
    sign = "-" if micros < 0 else ""
    whole, fraction = divmod(abs(micros), MICROS)
    decimals = f"{fraction:06d}".rstrip("0").ljust(2, "0")
    return f"{sign}{whole}.{decimals}"
