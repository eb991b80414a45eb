"""Whether a Stripe subscription will bill another period: told by a flag or, under flexible billing, by a time."""

from typing import Any

import pytest

from providers.stripe.snapshots import snapshot

END = 1_790_000_000


@pytest.mark.parametrize(
    ("told", "cancels"),
    [
        ({}, False),
        ({"cancel_at_period_end": False, "cancel_at": None}, False),
        ({"cancel_at_period_end": True}, True),
        ({"cancel_at": END}, True),
        ({"cancel_at": END - 1}, True),
        ({"cancel_at": END + 1}, False),
    ],
)
def test_it_cancels_if_it_ends_with_the_period(told: dict[str, Any], cancels: bool) -> None:
    items = {"data": [{"current_period_end": END}]}

    assert snapshot({"status": "active", "items": items, **told}, told_at=None).cancels is cancels


def test_the_reason_of_a_cancellation_is_told() -> None:
    told = {"status": "canceled", "cancellation_details": {"comment": "mig:1", "reason": "cancellation_requested"}}

    assert snapshot(told, told_at=None).note == "mig:1"
