"""The rate card: the price of a segment to each country for one organization."""

from collections.abc import Mapping
from dataclasses import dataclass

from domain.money import MICROS, Money

LARGEST_PRICE_MICROS = 1_000_000 * MICROS
"""Per segment, in any currency. The longest message and the batches of the largest campaign then
fit into 63 bits.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RateCard:
    """`by_country` prefers the organization's own rates; `default` covers all other countries.

    Without a default only countries with a rate are served: an unpriced destination would not be
    paid for. `least` is what any message costs at least, since it may leave as an RCS message.
    """

    currency: str
    by_country: Mapping[str, int]
    default: int | None
    least: int = 0

    def per_segment(self, country: str | None) -> Money | None:
        """The price to a country; None: it is not served. An unknown `country` (None) has the
        default price only.
        """
        micros = self.default if country is None else self.by_country.get(country, self.default)
        return None if micros is None else Money(micros, self.currency)

    def price(self, country: str | None, segments: int) -> Money | None:
        """What a message of so many segments costs; None: the country is not served."""
        rate = self.per_segment(country)
        if rate is None:
            return None
        return max(price(rate, segments), Money(self.least, self.currency), key=_micros)

    @property
    def cheapest(self) -> Money | None:
        """The least that the wallet must hold to send anything; None if nothing can be sent."""
        rates = [*self.by_country.values(), *([] if self.default is None else [self.default])]
        return Money(max(min(rates), self.least), self.currency) if rates else None


def _micros(money: Money) -> int:
    return money.micros


def price(per_segment: Money, segments: int) -> Money:
    """The price of a message to the customer: known exactly before it is sent."""
    return Money(segments * per_segment.micros, per_segment.currency)


def missing(country: str | None) -> str:
    """Why a number is not served."""
    if country is None:
        return "the number's country is not known, and there is no price for all countries"
    return f"there is no rate for {country}, and no price for all countries"
