"""What of a provider's answer differs from what is recorded."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from domain.billing.comparison import difference
from domain.billing.subscription import Debt, Provider, Snapshot, State, Subscription, confirmed
from domain.money import Money

NOW = datetime(2026, 5, 6, 12, tzinfo=UTC)
ANSWER = Snapshot(
    state=State.ACTIVE,
    raw_status="ACTIVE",
    as_of=NOW - timedelta(days=1),
    access_until=NOW + timedelta(days=29),
    paid_until=NOW + timedelta(days=29),
    paid_from=NOW - timedelta(days=1),
    paid_at=NOW - timedelta(days=1),
    owes=False,
)
NEVER_QUERIED = Subscription(
    organization_id="acme",
    provider=Provider.PAYPAL,
    id="I-1",
    is_current=True,
    snapshot=Snapshot(state=State.NONE),
    debt=None,
    word=None,
    doubted_at=None,
    confirmed_at=None,
    alert=None,
    checkout_url=None,
)


def recorded(answer: Snapshot = ANSWER) -> Subscription:
    return confirmed(NEVER_QUERIED, answer, word=None, now=NOW)


@pytest.mark.parametrize(
    "answer",
    [
        ANSWER,
        replace(ANSWER, state=State.PAST_DUE, owes=True, failed_at=NOW, failed_payments=1),
        replace(ANSWER, state=State.CANCELED, reckoned=True),
        replace(ANSWER, outstanding=Money(5_000_000, "USD"), owes=None),
    ],
)
def test_an_answer_that_was_recorded_does_not_differ(answer: Snapshot) -> None:
    assert difference(recorded(answer), answer, now=NOW + timedelta(days=1)) is None


def test_another_state_raises_an_alert() -> None:
    found = difference(recorded(), replace(ANSWER, state=State.PAUSED), now=NOW)

    assert found is not None
    assert (found.text, found.alerts) == ("paypal reports paused, the database has active", True)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"paid_until": NOW + timedelta(days=60), "paid_at": NOW}, "paid_until, paid_at"),
        ({"access_until": NOW + timedelta(days=60)}, "access_until"),
        ({"outstanding": Money(5_000_000, "USD")}, "outstanding"),
        ({"failed_payments": 1}, "failed_payments"),
        ({"owes": True, "failed_at": NOW}, "debt"),
    ],
)
def test_a_renewal_a_debt_or_a_revision_differs_without_an_alert(
    change: dict[str, object], name: str
) -> None:
    found = difference(recorded(), replace(ANSWER, **change), now=NOW)  # type: ignore[arg-type]

    assert found is not None
    assert (found.text, found.alerts) == (f"paypal reports another {name}", False)


def test_a_debt_that_was_paid_differs() -> None:
    owing = replace(recorded(), debt=Debt(since=NOW - timedelta(days=2)))

    found = difference(owing, ANSWER, now=NOW)

    assert found is not None
    assert found.text == "paypal reports another debt"


def test_a_checkout_that_was_completed_differs() -> None:
    checkout = recorded(replace(ANSWER, state=State.PENDING))

    found = difference(
        checkout, replace(ANSWER, state=State.PENDING, subscription_id="I-2"), now=NOW
    )

    assert found is not None
    assert found.text == "paypal reports another subscription"
