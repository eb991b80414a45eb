"""A paid period ends early only if its payment was refunded, whatever other payments were made in
it.
"""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from db.billing import payments, reversals
from domain.billing.events import MoneyObject, MoneyReference, Payment, PaymentStatus, Reversal
from domain.billing.subscription import Provider, State
from domain.lifecycle.standing import Status
from tests.builders import (
    NOON,
    ORGANIZATION,
    SUBSCRIPTION,
    confirm,
    onboard,
    run,
    snapshot,
    standing,
    subscribe,
    subscription,
    usd,
)

DAY = timedelta(days=1)
MONTH = 30 * DAY
REPORTED = replace(snapshot(paid_until=NOON + MONTH), paid_from=NOON)


async def pay(engine: AsyncEngine, id_: str, amount: str, at: datetime) -> None:
    paid = Payment(
        reference=MoneyReference(kind=MoneyObject.SALE, id=id_),
        status=PaymentStatus.COMPLETED,
        amount=usd(amount),
        occurred_at=at,
        subscription_id=SUBSCRIPTION,
        custom_id=ORGANIZATION,
    )
    async with engine.begin() as conn:
        assert await payments.book_subscription_payment(conn, ORGANIZATION, Provider.PAYPAL, paid)


async def pay_back(engine: AsyncEngine, id_: str, amount: str) -> None:
    reversal = Reversal(
        id=f"R-{id_}", what="refund", payment_id=id_, amount=usd(amount), stands=True
    )
    async with engine.begin() as conn:
        await reversals.book(conn, ORGANIZATION, Provider.PAYPAL, reversal, now=NOON)


CASES = {
    "nothing is paid back": ({}, True),
    "an extra payment": ({"EXTRA": "5"}, True),
    "the period's own, and an extra one stands": ({"OWN": "49"}, False),
    "a part of the period's own, and an extra one": ({"OWN": "48.99", "EXTRA": "5"}, True),
    "both": ({"OWN": "49", "EXTRA": "5"}, False),
    "that of the period before": ({"BEFORE": "49"}, True),
}


@pytest.mark.parametrize(("back", "served"), CASES.values(), ids=CASES)
async def test_a_period_is_paid_for_until_what_paid_for_it_is_paid_back(
    engine: AsyncEngine, back: dict[str, str], served: bool
) -> None:
    await onboard(engine)
    await subscribe(engine, provider_snapshot=REPORTED)
    await pay(engine, "BEFORE", "49", NOON - MONTH + timedelta(minutes=4))
    # PayPal rounds the period's beginning
    await pay(engine, "OWN", "49", NOON - timedelta(hours=8))
    await pay(engine, "EXTRA", "5", NOON + 9 * DAY)
    now = NOON + 10 * DAY
    await confirm(engine, replace(REPORTED, as_of=NOON + 9 * DAY, paid_at=NOON + 9 * DAY), now=now)

    for id_, amount in back.items():
        await pay_back(engine, id_, amount)
    await confirm(
        engine, replace(REPORTED, state=State.CANCELED, as_of=now, paid_at=NOON + 9 * DAY), now=now
    )

    decided = await standing(engine)
    assert decided.status is (Status.ACTIVE if served else Status.SUSPENDED)
    assert decided.deadline == (NOON + MONTH if served else None)


@pytest.mark.parametrize(
    ("back", "served"), [({"FIRST"}, True), ({"SECOND"}, True), ({"FIRST", "SECOND"}, False)]
)
async def test_one_of_two_payments_for_a_period_may_be_paid_back(
    engine: AsyncEngine, back: set[str], served: bool
) -> None:
    await onboard(engine)
    await subscribe(engine, provider_snapshot=REPORTED)
    await pay(engine, "FIRST", "49", NOON)
    await pay(engine, "SECOND", "49", NOON + DAY)

    for id_ in sorted(back):
        await pay_back(engine, id_, "49")
    now = NOON + 2 * DAY
    await confirm(
        engine, replace(REPORTED, state=State.CANCELED, as_of=now, paid_at=NOON + DAY), now=now
    )

    assert (await standing(engine)).status is (Status.ACTIVE if served else Status.SUSPENDED)


@pytest.mark.parametrize(("id_", "served"), [("OLD", True), ("NEW", False)])
async def test_the_newest_payment_counts_if_the_start_of_the_period_is_unknown(
    engine: AsyncEngine, id_: str, served: bool
) -> None:
    await onboard(engine)
    await subscribe(engine, provider_snapshot=REPORTED)
    await pay(engine, "OLD", "49", NOON - MONTH)
    await pay(engine, "NEW", "49", NOON)
    await run(engine, "UPDATE subscriptions SET paid_from = NULL, paid_at = NULL")

    await pay_back(engine, id_, "49")

    stored_subscription = await subscription(engine)
    assert stored_subscription.record.paid_until == (NOON + MONTH if served else NOON)


async def test_the_beginning_of_a_period_stays_with_its_end(engine: AsyncEngine) -> None:
    await onboard(engine)
    await subscribe(engine, provider_snapshot=REPORTED)

    await confirm(
        engine, replace(REPORTED, as_of=NOON + DAY, paid_until=None, paid_from=NOON + DAY)
    )
    first = (await subscription(engine)).snapshot
    renewed = replace(REPORTED, as_of=NOON + MONTH, paid_at=NOON + MONTH, paid_from=NOON + MONTH)
    await confirm(engine, replace(renewed, paid_until=NOON + 2 * MONTH))
    second = (await subscription(engine)).snapshot

    assert (first.paid_from, first.paid_until) == (NOON, NOON + MONTH)
    assert (second.paid_from, second.paid_until) == (NOON + MONTH, NOON + 2 * MONTH)
