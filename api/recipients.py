"""Recipients of a campaign: what a message to each will cost."""

from collections.abc import Mapping
from dataclasses import dataclass

from db.recipients import Recipient
from domain.rates import RateCard, missing


@dataclass(frozen=True, slots=True)
class Priced:
    """`bad` are the numbers whose country is not sent to, and why."""

    recipients: list[Recipient]
    bad: dict[str, str]


def price(countries: Mapping[str, str | None], segments: int, card: RateCard) -> Priced:
    """Price numbers, whose countries are given, in their order."""
    prices = {country: card.per_segment(country) for country in set(countries.values())}
    priced, bad = [], {}
    for number, country in countries.items():
        per_segment = prices[country]
        if per_segment is None:
            bad[number] = missing(country)
        else:
            micros = segments * per_segment.micros
            priced.append(Recipient(number=number, country=country, segments=segments, price_micros=micros))
    return Priced(priced, bad)
