"""Computes the cost of a campaign before anything is stored or paid."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from domain.campaigns.rate_card import RateCard
from domain.money import Money


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """The share of one country; `country` is None for numbers whose country is unknown."""

    country: str | None
    recipients: int
    price_per_segment: Money
    cost: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """`runs_dry_at` is the position (from 1) of the first message that the wallet cannot pay; None
    if it can pay all.
    """

    recipients: int
    cost: Money
    destinations: tuple[Destination, ...]
    runs_dry_at: int | None


def preview(
    countries: Sequence[str | None], segments: int, card: RateCard, available: Money
) -> Preview:
    """The cost of one message to a number in each of `countries`, in this order; countries that are
    not served are skipped.
    """
    costs = {country: card.price(country, segments) for country in set(countries)}
    prices = {country: cost.micros for country, cost in costs.items() if cost is not None}
    numbers: Counter[str | None] = Counter()
    sent, cost, runs_dry_at = 0, 0, None
    for country in countries:
        if country not in prices:
            continue
        numbers[country] += 1
        sent += 1
        cost += prices[country]
        if runs_dry_at is None and cost > available.micros:
            runs_dry_at = sent
    return Preview(
        recipients=sent,
        cost=Money(cost, card.currency),
        destinations=tuple(
            Destination(
                country=country,
                recipients=number,
                price_per_segment=Money(prices[country] // segments, card.currency),
                cost=Money(number * prices[country], card.currency),
            )
            for country, number in numbers.most_common()
        ),
        runs_dry_at=runs_dry_at,
    )
