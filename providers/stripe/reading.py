"""Reads Stripe's formats: times in Unix seconds, amounts in a currency's smallest unit.

Source: Stripe's currencies page. Three-decimal currencies are charged in tens of their smallest
unit. Icelandic krónur and Ugandan shillings are written with two decimals, which must be zero.
Forints and Taiwan dollars are special in payouts only.
"""

from datetime import UTC, datetime

from domain.money import LARGEST_MICROS, BadAmount, Money
from providers.reading import Json, part, text

ORGANIZATION = "organization_id"
"""The metadata key that holds the organization id of a subscription or payment."""
_ZERO_DECIMALS = frozenset(
    {
        "BIF",
        "CLP",
        "DJF",
        "GNF",
        "JPY",
        "KMF",
        "KRW",
        "MGA",
        "PYG",
        "RWF",
        "VND",
        "VUV",
        "XAF",
        "XOF",
        "XPF",
    }
)
_THREE_DECIMALS = frozenset({"BHD", "JOD", "KWD", "OMR", "TND"})
_WHOLE = _ZERO_DECIMALS | {"ISK", "UGX"}


def time(parent: Json, name: str) -> datetime | None:
    value = parent.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    try:
        return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def amount(parent: Json, name: str) -> Money | None:
    """Never negative."""
    value, currency = parent.get(name), text(parent, "currency")
    if not isinstance(value, int) or isinstance(value, bool) or currency is None:
        return None
    code = currency.upper()
    micros = abs(value) * smallest(code)
    try:
        return Money(micros, code) if micros <= LARGEST_MICROS else None
    except BadAmount:
        return None


def id_of(parent: Json, name: str) -> str | None:
    """The id of an object that may be expanded."""
    return text(parent, name) or text(part(parent, name), "id")


def organization(parent: Json) -> str | None:
    return text(part(parent, "metadata"), ORGANIZATION)


def smallest(currency: str) -> int:
    """The micros of a currency's smallest unit."""
    if currency in _ZERO_DECIMALS:
        return 1_000_000
    return 1_000 if currency in _THREE_DECIMALS else 10_000


def finest(currency: str) -> int:
    """The micros of the smallest amount by which charges can differ."""
    return 1_000_000 if currency in _WHOLE else 10_000
