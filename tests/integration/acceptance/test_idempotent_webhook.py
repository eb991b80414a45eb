"""Suite 5 of the original system: the same webhook twice."""

from sqlalchemy.ext.asyncio import AsyncEngine

from db.billing import payments
from db.billing.payments import TopUpOutcome
from domain.billing.events import MoneyObject, MoneyReference, Payment, PaymentStatus
from domain.billing.subscription import Provider
from domain.lifecycle.evidence import EventEffect
from domain.wallet.ledger import Credited
from tests.builders import (
    NOON,
    ORGANIZATION,
    balance,
    broken_claims,
    event,
    hear,
    number,
    onboard,
    receive,
    standing,
    subscribe,
    usd,
)


async def book(engine: AsyncEngine) -> TopUpOutcome:
    captured = Payment(
        reference=MoneyReference(kind=MoneyObject.CAPTURE, id="CAP-1"),
        status=PaymentStatus.COMPLETED,
        amount=usd("25"),
        custom_id=ORGANIZATION,
    )
    async with engine.begin() as conn:
        return await payments.book_topup(conn, ORGANIZATION, Provider.PAYPAL, captured, now=NOON)


async def test_the_same_credit_twice_is_booked_once(engine: AsyncEngine) -> None:
    await onboard(engine, balance="0")

    first, second = await book(engine), await book(engine)

    assert isinstance(first, Credited)
    assert second == Credited(first.entry, replayed=True)
    assert await balance(engine) == usd("25")
    assert await number(engine, "SELECT count(*) FROM payments") == 1
    assert await broken_claims(engine) == set()


async def test_the_same_suspension_twice_suspends_once(engine: AsyncEngine) -> None:
    await onboard(engine)
    await subscribe(engine)

    first = await hear(engine, event())
    second = await hear(engine, event())

    assert first is EventEffect.SHUT
    assert second is not EventEffect.SHUT
    assert (await standing(engine)).epoch == 1
    assert (await receive(engine, event())).deliveries == 3
    assert await number(engine, "SELECT count(*) FROM gate_changes WHERE change = 'shut'") == 1
    assert await number(engine, "SELECT count(*) FROM receipts") == 1
