"""The rate card: what a segment to each country costs one organization."""

from collections.abc import Mapping
from dataclasses import dataclass

from domain.money import MICROS, Money

LARGEST_PRICE_MICROS = 1_000_000 * MICROS
"""Per segment, in any currency. The longest message, and the largest campaign's batches, then fit
into 63 bits.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RateCard:
    """`by_country` holds the organization's own rates before everybody's; `default` is for all
    other countries.

    Without a default only countries with a rate are sent to: nobody pays for a destination that was
    not priced.
    """

    currency: str
    by_country: Mapping[str, int]
    default: int | None

    def per_segment(self, country: str | None) -> Money | None:
        """None: it is not sent to. `country` is None where a number's is not known, which only a
        default prices.
        """
        micros = self.default if country is None else self.by_country.get(country, self.default)
        return None if micros is None else Money(micros, self.currency)

    @property
    def cheapest(self) -> Money | None:
        """What the wallet must hold to send anything at all; None where nothing is sent to."""
        rates = [*self.by_country.values(), *([] if self.default is None else [self.default])]
        return Money(min(rates), self.currency) if rates else None


def missing(country: str | None) -> str:
    """Why a number is not sent to."""
    if country is None:
        return "the number's country is not known, and there is no price for all countries"
    return f"there is no rate for {country}, and no price for all countries"
