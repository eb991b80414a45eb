"""The rate card: the organization's own rate, otherwise the general one, otherwise its default;
without any, nothing is sent.
"""

from domain.campaigns.rate_card import RateCard, missing
from domain.money import Money

CARD = RateCard(currency="USD", by_country={"DE": 70_000, "US": 9_000}, default=12_500)
STRICT = RateCard(currency="USD", by_country={"DE": 70_000}, default=None)


def test_a_country_without_a_rate_costs_the_default() -> None:
    assert [CARD.per_segment(country) for country in ("DE", "US", "FR", None)] == [
        Money(70_000, "USD"),
        Money(9_000, "USD"),
        Money(12_500, "USD"),
        Money(12_500, "USD"),
    ]


def test_without_a_default_only_countries_with_a_rate_are_sent_to() -> None:
    assert [STRICT.per_segment(country) for country in ("DE", "US", None)] == [
        Money(70_000, "USD"),
        None,
        None,
    ]
    assert "for US" in missing("US")
    assert "not known" in missing(None)


def test_the_cheapest_segment_is_what_a_wallet_must_hold() -> None:
    assert CARD.cheapest == Money(9_000, "USD")
    assert RateCard(currency="USD", by_country={"DE": 70_000}, default=1).cheapest == Money(
        1, "USD"
    )
    assert RateCard(currency="USD", by_country={}, default=None).cheapest is None
