"""What a customer owes, or gets back, where Twilio counted other segments."""

from datetime import UTC, datetime

import pytest

from domain.campaigns.telephony import DeliveryStatus, SentMessage
from domain.carrier.segments import counted, difference
from domain.money import Money

PRICE = Money(15_000, "USD")


def sent(
    *,
    status: DeliveryStatus = DeliveryStatus.DELIVERED,
    price: Money | None = PRICE,
    sender: str = "+15005550006",
    media: int = 0,
    outbound: bool = True,
) -> SentMessage:
    return SentMessage(
        sid="SM1",
        account_sid="AC1",
        to="+14155550100",
        body="",
        status=status,
        price=price,
        segments=2,
        created_at=datetime(2026, 1, 15, tzinfo=UTC),
        senders=(sender,),
        media=media,
        outbound=outbound,
    )


@pytest.mark.parametrize(
    ("price", "ours", "theirs", "micros"),
    [
        (20_000, 2, 3, 10_000),
        (20_000, 2, 1, -10_000),
        (20_000, 2, 2, 0),
        (25_001, 2, 3, 0),  # not by the segment
    ],
)
def test_the_difference_costs_what_the_messages_own_segments_cost(
    price: int, ours: int, theirs: int, micros: int
) -> None:
    assert difference(price, ours, theirs) == micros


def test_the_count_is_taken_from_a_message_that_went_out_and_has_its_price() -> None:
    assert counted(sent()) == 2
    assert counted(sent(price=None)) is None
    assert counted(sent(status=DeliveryStatus.FAILED)) is None
    assert counted(sent(outbound=False)) is None


def test_another_channel_counts_no_segments() -> None:
    assert counted(sent(media=1)) is None
    assert counted(sent(sender="rcs:acme")) is None
