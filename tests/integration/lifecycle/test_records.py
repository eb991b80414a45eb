"""Records besides the money: organizations, payments, receipts, alerts, stuck steps, checkouts."""

from datetime import timedelta

import pytest
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from db import alerts
from db.audit import alert_records
from db.billing import payments, subscriptions
from db.billing.payments import BookedFor, TopUpOutcome
from db.lifecycle import organizations, receipts, standings
from db.lifecycle.organizations import AccountTaken
from db.lifecycle.receipts import Receipt
from domain.alerts import AlertKind
from domain.billing.events import MoneyObject, MoneyReference, Payment, PaymentStatus
from domain.billing.subscription import Provider
from domain.lifecycle.standing import Block, Status
from domain.money import Money
from domain.wallet.entries import credit, debit
from domain.wallet.ledger import Conflict, Credited, WrongCurrency
from tests.builders import (
    NOON,
    ORGANIZATION,
    accepted,
    balance,
    block,
    broken_claims,
    campaign,
    freeze,
    give_back,
    hand_over,
    number,
    onboard,
    open_gate,
    organization,
    post,
    post_one,
    rows,
    run,
    send,
    settle_replies,
    standing,
    unblock,
    usd,
    wallet,
)


def captured(amount: Money, id_: str = "CAP-1") -> Payment:
    return Payment(
        reference=MoneyReference(kind=MoneyObject.CAPTURE, id=id_),
        status=PaymentStatus.COMPLETED,
        amount=amount,
        custom_id=ORGANIZATION,
    )


async def top_up(
    engine: AsyncEngine, amount: Money, organization_id: str = ORGANIZATION
) -> TopUpOutcome:
    async with engine.begin() as conn:
        return await payments.book_topup(
            conn, organization_id, Provider.PAYPAL, captured(amount), now=NOON
        )


async def newest(engine: AsyncEngine) -> Receipt:
    async with engine.connect() as conn:
        [receipt, *_] = await receipts.of_organization(conn, ORGANIZATION, limit=1)
    return receipt


async def test_a_new_organization_is_active_with_an_empty_open_wallet(engine: AsyncEngine) -> None:
    await onboard(engine, balance="0")

    assert (await standing(engine)).status is Status.ACTIVE
    assert (await wallet(engine)).pays
    assert await balance(engine) == usd("0")


async def test_an_organization_is_created_once(engine: AsyncEngine) -> None:
    await onboard(engine)
    async with engine.begin() as conn:
        again = await organizations.create(conn, organization())

    assert not again
    assert await balance(engine) == usd("10")


async def test_a_twilio_subaccount_belongs_to_one_organization(engine: AsyncEngine) -> None:
    await onboard(engine, account="AC1")

    with pytest.raises(AccountTaken):
        await onboard(engine, "other", account="AC1")


async def test_organizations_are_paged_in_order_of_their_ids(engine: AsyncEngine) -> None:
    for name in ("c", "a", "b"):
        await onboard(engine, name)

    async with engine.connect() as conn:
        first = await organizations.page(conn, after=None, limit=2)
        second = await organizations.page(conn, after=first[-1].id, limit=2)

    assert [organization_id.id for organization_id in first + second] == ["a", "b", "c"]


async def test_a_capture_is_credited_once_and_noted_once(engine: AsyncEngine) -> None:
    await onboard(engine, balance="0")

    outcomes = [await top_up(engine, usd("5")) for _ in range(3)]

    assert all(isinstance(outcome, Credited) for outcome in outcomes)
    assert await balance(engine) == usd("5")
    assert await number(engine, "SELECT count(*) FROM payments") == 1


async def test_a_capture_that_comes_again_with_another_amount_is_a_conflict(
    engine: AsyncEngine,
) -> None:
    await onboard(engine, balance="0")
    await top_up(engine, usd("5"))

    assert isinstance(await top_up(engine, usd("6")), Conflict)
    assert await balance(engine) == usd("5")
    assert await broken_claims(engine) == set()


async def test_one_capture_is_credited_to_one_organization(engine: AsyncEngine) -> None:
    await onboard(engine)
    await onboard(engine, "other", balance="0")
    first = await top_up(engine, usd("5"))

    second = await top_up(engine, usd("5"), "other")

    assert isinstance(first, Credited)
    assert second == BookedFor(ORGANIZATION)
    assert (
        await number(
            engine, "SELECT sum(balance_micros) FROM wallets WHERE organization_id = 'other'"
        )
        == 0
    )


async def test_a_capture_that_is_not_credited_is_not_noted(engine: AsyncEngine) -> None:
    await onboard(engine)

    outcome = await top_up(engine, Money(1, "EUR"))

    assert outcome == WrongCurrency("USD")
    assert await number(engine, "SELECT count(*) FROM payments") == 0


async def test_a_subscriptions_payment_does_not_touch_the_wallet(engine: AsyncEngine) -> None:
    await onboard(engine)
    for _ in range(2):
        async with engine.begin() as conn:
            await payments.book_subscription_payment(
                conn, ORGANIZATION, Provider.PAYPAL, captured(usd("49"))
            )

    async with engine.connect() as conn:
        [booked] = await payments.of_organization(conn, ORGANIZATION, limit=10)
    assert (booked.kind, booked.amount, booked.reference_id) == ("subscription", usd("49"), None)
    assert await balance(engine) == usd("10")


async def test_a_receipt_has_each_step_once_in_order(engine: AsyncEngine) -> None:
    await onboard(engine)
    await block(engine)
    async with engine.begin() as conn:
        for step in ("first", "second", "first"):
            await receipts.note_step(conn, ORGANIZATION, 1, step, started_at=NOON, detail="done")
        await receipts.finish(conn, ORGANIZATION, 1, Status.SUSPENDED, now=NOON)
        await receipts.finish(conn, ORGANIZATION, 1, Status.SUSPENDED, now=NOON + timedelta(days=1))

    receipt = await newest(engine)
    assert [line["step"] for line in receipt.steps] == ["first", "second"]
    assert receipt.finished_at == NOON
    assert (receipt.leaked_debits, receipt.leaked_messages) == (0, 0)


async def test_a_receipt_counts_what_passed_the_shut_gate(engine: AsyncEngine) -> None:
    await onboard(engine)
    await block(engine)
    # a broken guarantee, which must be noticed
    await run(engine, "UPDATE wallets SET gate_open = true")
    await post_one(engine, debit("leak", usd("1")))
    first, second = await hand_over(engine, await campaign(engine, messages=2))
    await settle_replies(engine, accepted(first), accepted(second))
    await give_back(engine, second)  # it was sent nevertheless
    await freeze(engine)
    async with engine.begin() as conn:
        await receipts.finish(conn, ORGANIZATION, 1, Status.SUSPENDED, now=NOON)

    receipt = await newest(engine)
    assert (receipt.leaked_debits, receipt.leaked_messages) == (3, 2)


async def test_a_receipt_counts_only_debits_after_its_gate_shut(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    await block(engine)
    await unblock(engine)
    await open_gate(engine)
    await post(engine, debit("paid", usd("1")))
    await send(engine, await campaign(engine, messages=2))
    await block(engine)
    await post(engine, credit("not a debit", usd("1")))
    async with engine.begin() as conn:
        await receipts.finish(conn, ORGANIZATION, 3, Status.SUSPENDED, now=NOON)

    receipt = await newest(engine)
    assert (receipt.epoch, receipt.leaked_debits, receipt.leaked_messages) == (3, 0, 0)


async def test_every_change_of_mind_has_its_receipt(engine: AsyncEngine) -> None:
    await onboard(engine)
    await block(engine)
    await block(engine, kind=Block.DISPUTE)
    await unblock(engine)
    await unblock(engine, kind=Block.DISPUTE)

    found = await rows(engine, "SELECT epoch, status FROM receipts ORDER BY epoch")

    assert [tuple(row) for row in found] == [(1, "suspended"), (2, "active")]


async def test_an_alert_is_logged_each_time(engine: AsyncEngine) -> None:
    with structlog.testing.capture_logs() as logged:
        async with engine.begin() as conn:
            for detail in ("first", "second"):
                await alerts.raise_(conn, ORGANIZATION, AlertKind.REFUND, detail)

    assert [(record["event"], record["kind"], record["detail"]) for record in logged] == [
        ("alert_raised", "refund", "first"),
        ("alert_raised", "refund", "second"),
    ]


@pytest.mark.parametrize("kind", AlertKind)
async def test_an_alert_of_every_kind_is_closed_and_raised_again(
    engine: AsyncEngine, kind: AlertKind
) -> None:
    found = []
    async with engine.begin() as conn:
        for act in ("raise", "clear", "raise", "close", "raise"):
            match act:
                case "raise":
                    await alerts.raise_(conn, ORGANIZATION, kind, "why")
                case "clear":
                    await alerts.clear(conn, ORGANIZATION, kind)
                case _:
                    [alert] = await alerts.standing(conn, ORGANIZATION)
                    assert await alert_records.close(conn, alert.id, by="jo", reason="done")
            found.append(
                [(alert.kind, alert.times) for alert in await alerts.standing(conn, ORGANIZATION)]
            )

    assert found == [[(kind, 1)], [], [(kind, 1)], [], [(kind, 1)]]


async def test_an_alert_is_raised_once_counted_and_cleared(engine: AsyncEngine) -> None:
    async with engine.begin() as conn:
        for _ in range(3):
            await alerts.raise_(conn, ORGANIZATION, AlertKind.STUCK, "why")
        [raised] = await alerts.standing(conn, ORGANIZATION)
        await alerts.clear(conn, ORGANIZATION, AlertKind.STUCK)
        cleared = await alerts.standing(conn)
        await alerts.raise_(conn, ORGANIZATION, AlertKind.STUCK, "again")
        [again] = await alerts.standing(conn)

    assert (raised.times, raised.detail) == (3, "why")
    assert cleared == []
    assert (again.times, again.detail) == (1, "again")


async def test_a_stuck_step_is_shown_until_the_mind_changes_or_it_succeeds(
    engine: AsyncEngine,
) -> None:
    await onboard(engine)
    await block(engine)
    async with engine.begin() as conn:
        await standings.mark_stuck(conn, ORGANIZATION, 0, "of an older epoch", "why")
        unmarked = await standings.stuck(conn, ORGANIZATION)
        await standings.mark_stuck(conn, ORGANIZATION, 1, "suspend_twilio_subaccount", "refused")
        marked = await standings.stuck(conn, ORGANIZATION)
    await unblock(engine)
    async with engine.connect() as conn:
        after = await standings.stuck(conn, ORGANIZATION)

    assert unmarked is None
    assert marked is not None
    assert (marked.step, marked.reason) == ("suspend_twilio_subaccount", "refused")
    assert after is None


async def test_only_the_epoch_that_stands_can_be_applied(engine: AsyncEngine) -> None:
    await onboard(engine)
    await block(engine)
    await unblock(engine)
    async with engine.begin() as conn:
        await standings.mark_applied(conn, ORGANIZATION, 1, now=NOON)
    behind = await standing(engine)
    async with engine.begin() as conn:
        await standings.mark_applied(conn, ORGANIZATION, 2, now=NOON)

    assert (behind.epoch, behind.applied_epoch, behind.behind) == (2, 0, True)
    assert not (await standing(engine)).behind


async def test_a_checkout_is_found_again_by_its_key(engine: AsyncEngine) -> None:
    await onboard(engine)
    async with engine.begin() as conn:
        added = [
            await subscriptions.add(
                conn,
                ORGANIZATION,
                Provider.PAYPAL,
                "I-1",
                checkout_url="https://pay",
                checkout_key="k",
            )
            for _ in range(2)
        ]
        found = await subscriptions.by_checkout_key(conn, ORGANIZATION, "k")

    assert added == [True, False]
    assert found is not None
    assert (found.id, found.checkout_url, found.is_current) == ("I-1", "https://pay", False)
