"""What a segment to a country costs at Twilio, and whether a rate covers it. Pure.

The prices are those of Twilio's price list, without the fees that carriers add in some countries.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from domain.money import Money


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkPrice:
    """The price of a segment to one network of a country; `network` is its MCC and MNC."""

    country: str
    network: str
    carrier: str
    price: Money


def cost(prices: Iterable[NetworkPrice], currency: str, network: str | None) -> Money | None:
    """The price to the network, or to the dearest one: which network a number has is not known
    before it is sent to. None: not known in this currency.
    """
    return max(
        (
            each.price
            for each in prices
            if each.price.currency == currency and network in (None, each.network)
        ),
        key=lambda price: price.micros,
        default=None,
    )
