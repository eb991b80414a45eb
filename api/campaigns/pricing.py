"""Prices of recipients, and the countries that cannot be sent to."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from db.campaigns.recipients import Recipient
from domain.campaigns.quiet_hours import QuietHours
from domain.campaigns.rate_card import RateCard, missing


@dataclass(frozen=True, slots=True)
class Priced:
    """`bad` maps numbers in countries that cannot be sent to, to the reason."""

    recipients: list[Recipient]
    bad: dict[str, str]


def refusals(
    countries: Iterable[str | None], card: RateCard, quiet: QuietHours | None
) -> dict[str | None, str]:
    """The countries that cannot be sent to, and why. With quiet hours a number must have a known
    country, for its local time.
    """
    found = {}
    for country in set(countries):
        if card.per_segment(country) is None:
            found[country] = missing(country)
        elif country is None and quiet is not None:
            found[country] = "the number's country is unknown, and so are its quiet hours"
    return found


def price(
    countries: Mapping[str, str | None], segments: int, card: RateCard, quiet: QuietHours | None
) -> Priced:
    """Prices numbers, whose countries are given, in their order."""
    refused = refusals(countries.values(), card, quiet)
    prices = {country: card.price(country, segments) for country in set(countries.values())}
    priced, bad = [], {}
    for number, country in countries.items():
        cost = prices[country]
        if country in refused or cost is None:
            bad[number] = refused[country]
        else:
            priced.append(
                Recipient(
                    number=number, country=country, segments=segments, price_micros=cost.micros
                )
            )
    return Priced(priced, bad)
