"""Credits, top-ups, reversals, disputes and debts are told, each once."""

from sqlalchemy.ext.asyncio import AsyncEngine

from db.billing import topups
from db.billing.topups import TopUpCheckout
from db.lifecycle import standings
from db.lifecycle.standings import HeldBlock
from db.wallet import wallets
from domain.billing.events import EventKind, MoneyObject, MoneyReference
from domain.billing.subscription import Provider
from domain.lifecycle.standing import Block
from domain.wallet.entries import credit, debit, refund
from tests.builders import (
    ORGANIZATION,
    event,
    hear,
    onboard,
    post,
    post_one,
    unblock,
    usd,
)
from tests.integration.billing.test_carrier import charge, top_up
from tests.integration.billing.test_reversals import capture, credited, take_back
from tests.integration.events.telling import data_of, events_told


async def test_a_credit_is_told_and_a_debit_is_not(engine: AsyncEngine) -> None:
    await onboard(engine, balance="0")
    for _ in range(2):
        await post(engine, credit("invoice-1", usd("5")), debit("d-1", usd("2")))
        await post_one(engine, refund("r-1", "d-1", usd("2")))

    assert await events_told(engine) == [
        (
            "wallet.credited",
            {
                "seq": 1,
                "reference_id": "invoice-1",
                "amount": "5.00",
                "balance": "5.00",
                "currency": "USD",
            },
        )
    ]


async def test_a_credit_booked_alone_is_told_too(engine: AsyncEngine) -> None:
    await onboard(engine, balance="0")
    for posting in (credit("c", usd("5")), credit("c", usd("5")), debit("d", usd("1"))):
        async with engine.begin() as conn:
            await wallets.post_alone(conn, ORGANIZATION, posting)

    assert [data["reference_id"] for data in await data_of(engine, "wallet.credited")] == ["c"]
    assert len(await events_told(engine)) == 1


async def test_a_top_up_is_told_once_however_often_it_is_booked(engine: AsyncEngine) -> None:
    await onboard(engine, balance="0")
    for _ in range(2):
        await credited(engine, capture("10"))

    assert await data_of(engine, "topup.paid") == [
        {
            "provider": "paypal",
            "payment_id": "CAP",
            "reference_id": "paypal:capture:CAP",
            "amount": "10.00",
            "currency": "USD",
        }
    ]
    assert len(await events_told(engine, "wallet.credited")) == 1


async def test_an_abandoned_checkout_is_told_once_and_a_paid_one_by_its_payment(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    abandoned, paid = (
        TopUpCheckout(
            organization_id=ORGANIZATION,
            provider=Provider.PAYPAL,
            checkout_id=id_,
            url="https://example.com",
            amount=usd("10"),
        )
        for id_ in ("O-1", "O-2")
    )
    async with engine.begin() as conn:
        for topup in (abandoned, paid):
            await topups.add(conn, topup, topup.checkout_id)
        for _ in range(2):
            await topups.close(conn, abandoned, paid=False)
            await topups.close(conn, paid, paid=True, payment_id="CAP")

    assert await events_told(engine, "topup.failed", "topup.paid") == [
        (
            "topup.failed",
            {"provider": "paypal", "checkout_id": "O-1", "amount": "10.00", "currency": "USD"},
        )
    ]


async def test_a_refund_of_spent_money_is_told_with_its_debt_and_with_the_end_of_it(
    engine: AsyncEngine,
) -> None:
    await onboard(engine, balance="0")
    await credited(engine, capture("10"))
    await post(engine, debit("spent", usd("7")))
    for _ in range(2):
        await take_back(engine, usd("10"))
    await top_up(engine, "20", "CAP-2")

    assert await events_told(engine, "payment.refunded", "debt.opened", "debt.cleared") == [
        (
            "payment.refunded",
            {
                "provider": "paypal",
                "payment_id": "CAP",
                "reversal_id": "R-1",
                "what": "refund",
                "paid_for": "topup",
                "amount": "10.00",
                "currency": "USD",
            },
        ),
        ("debt.opened", {"source": "reversal", "owed": "7.00", "currency": "USD"}),
        ("debt.cleared", {"source": "reversal"}),
    ]


async def test_what_the_wallet_cannot_pay_to_the_carrier_is_told(engine: AsyncEngine) -> None:
    await onboard(engine, balance="3")
    for _ in range(2):
        await charge(engine, "5", "day")

    assert await events_told(engine, "carrier.unpaid", "debt.opened") == [
        ("carrier.unpaid", {"reference_id": "carrier:day", "owed": "2.00", "currency": "USD"}),
        ("debt.opened", {"source": "carrier", "owed": "2.00", "currency": "USD"}),
    ]


async def test_a_dispute_is_told_when_it_blocks_and_when_it_no_longer_does(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    dispute = MoneyReference(kind=MoneyObject.DISPUTE, id="PP-D-1")
    for number in (1, 2):
        opened = event(
            None,
            id_=f"WH-{number}",
            kind=EventKind.DISPUTE_OPENED,
            subscription_id=None,
            custom_id=ORGANIZATION,
            money=dispute,
        )
        await hear(engine, opened)
    for _ in range(2):
        async with engine.begin() as conn:
            await standings.lift_block(conn, ORGANIZATION, Block.DISPUTE, "PP-D-1")

    assert await events_told(engine, "payment.disputed", "payment.dispute_closed") == [
        ("payment.disputed", {"provider": "paypal", "dispute_id": "PP-D-1"}),
        ("payment.dispute_closed", {"provider": "paypal", "dispute_id": "PP-D-1"}),
    ]


async def test_a_block_of_another_kind_is_no_dispute(engine: AsyncEngine) -> None:
    await onboard(engine)
    debt = HeldBlock(
        kind=Block.DISPUTE, reference="receivable", reason="owed", placed_by="tollgate"
    )
    async with engine.begin() as conn:
        await standings.place_block(conn, ORGANIZATION, debt)
        await standings.lift_block(conn, ORGANIZATION, Block.DISPUTE, "receivable")
    await unblock(engine)

    assert await events_told(engine, "payment.disputed", "payment.dispute_closed") == []
