"""A campaign's cost before it is stored: by country, with the exact message at which the wallet
runs dry.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.campaigns.preview import preview
from domain.campaigns.rate_card import RateCard
from domain.money import Money

CARD = RateCard(currency="USD", by_country={"DE": 70_000, "US": 10_000}, default=None)


def usd(micros: int) -> Money:
    return Money(micros, "USD")


def test_the_cost_is_shown_by_country() -> None:
    estimate = preview(["US", "DE", "US", "FR"], 2, CARD, usd(10**9))

    assert (estimate.recipients, estimate.cost, estimate.runs_dry_at) == (3, usd(180_000), None)
    assert [
        (
            destination.country,
            destination.recipients,
            destination.price_per_segment,
            destination.cost,
        )
        for destination in estimate.destinations
    ] == [
        ("US", 2, usd(10_000), usd(40_000)),
        ("DE", 1, usd(70_000), usd(140_000)),
    ]


@pytest.mark.parametrize(
    ("available", "runs_dry_at"),
    [(0, 1), (9_999, 1), (10_000, 2), (79_999, 2), (80_000, 3), (89_999, 3), (90_000, None)],
)
def test_the_wallet_runs_dry_at_the_first_message_that_it_does_not_pay(
    available: int, runs_dry_at: int | None
) -> None:
    assert preview(["US", "FR", "DE", "US"], 1, CARD, usd(available)).runs_dry_at == runs_dry_at


@given(
    st.lists(st.sampled_from(["US", "DE", "FR", None])),
    st.integers(1, 10),
    st.integers(0, 2_000_000),
)
def test_the_parts_make_the_whole(
    countries: list[str | None], segments: int, available: int
) -> None:
    estimate = preview(countries, segments, CARD, usd(available))

    assert (
        sum(destination.recipients for destination in estimate.destinations) == estimate.recipients
    )
    assert (
        sum(destination.cost.micros for destination in estimate.destinations)
        == estimate.cost.micros
    )
    assert (estimate.runs_dry_at is None) == (estimate.cost.micros <= available)
