"""A database with data for everything that `certify` checks: the starting point of its tests."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from db.audit import certify
from db.audit.checkpoints import Checkpoint
from db.billing import carrier, payments, receivables, reversals, topups
from db.billing.topups import TopUpCheckout
from db.campaigns import resends, unmatched_messages, unpaid_sends
from db.campaigns.send_results import Reply
from db.campaigns.unmatched_messages import Unmatched
from db.carrier import (
    charges,
    foreign_charges,
    foreign_messages,
    message_readings,
    segment_differences,
    usage,
)
from db.carrier.message_readings import Progress
from db.inbox import deliveries, parking
from db.lifecycle import standings
from db.wallet import holds, reserves, seals
from domain.billing.events import (
    EventKind,
    MoneyObject,
    MoneyReference,
    Payment,
    PaymentStatus,
    Reversal,
)
from domain.billing.subscription import Provider, State
from domain.campaigns.campaign import Act, CampaignStatus, MessageStatus
from domain.campaigns.telephony import DeliveryStatus, SentMessage
from domain.carrier.usage import UsageRecord
from domain.wallet.debts import Source
from domain.wallet.entries import debit, refund
from domain.wallet.holds import Hold
from domain.wallet.ledger import Credited, Debited
from tests.builders import (
    NOON,
    ORGANIZATION,
    SUBSCRIPTION,
    accepted,
    block,
    campaign,
    campaign_now,
    change_campaign,
    confirm,
    event,
    freeze,
    give_back,
    hand_over,
    hear,
    message_now,
    onboard,
    post,
    post_one,
    receive,
    reserve,
    run,
    send,
    send_one,
    settle_replies,
    sid_of,
    snapshot,
    subscribe,
    take_steps,
    unfreeze,
    usd,
)

NOTHING_VERIFIED = Checkpoint(
    link=0,
    link_sha256=b"",
    checks=certify.VERSION,
    since=datetime(1970, 1, 1, tzinfo=UTC),
)


async def topped_up(
    engine: AsyncEngine, id_: str = "CAP-1", amount: str = "5", organization_id: str = ORGANIZATION
) -> None:
    paid = Payment(
        reference=MoneyReference(kind=MoneyObject.CAPTURE, id=id_),
        status=PaymentStatus.COMPLETED,
        amount=usd(amount),
        custom_id=organization_id,
    )
    for _ in range(2):
        async with engine.begin() as conn:
            booked = await payments.book_topup(
                conn, organization_id, Provider.PAYPAL, paid, now=NOON
            )
            assert isinstance(booked, Credited)


async def taken_back(engine: AsyncEngine, organization_id: str = "owing") -> None:
    """A dispute that was won, a refund recovered from the next top-up, and one that is still
    owed.
    """
    await onboard(engine, organization_id, balance="0")
    for id_ in ("CAP-2", "CAP-3"):
        await topped_up(engine, id_, "5", organization_id)
    await post(engine, debit("spent", usd("8")), organization_id=organization_id)

    async def book_reversal(id_: str, of: str, *, stands: bool = True) -> None:
        fact = Reversal(id=id_, what="dispute", payment_id=of, amount=usd("5"), stands=stands)
        async with engine.begin() as conn:
            await reversals.book(conn, organization_id, Provider.PAYPAL, fact, now=NOON)

    await book_reversal("D-1", "CAP-2")
    await book_reversal("D-1", "CAP-2", stands=False)
    await webhook_of_reversal(engine, "D-1", "CAP-2", MoneyObject.DISPUTE)
    await webhook_of_reversal(engine, "D-7", "CAP-2", MoneyObject.DISPUTE)  # it takes nothing
    await book_reversal("R-2", "CAP-3")
    await topped_up(engine, "CAP-4", "4", organization_id)
    await book_reversal("R-3", "CAP-2")
    never = Payment(
        reference=MoneyReference(kind=MoneyObject.CAPTURE, id="CAP-5"),
        status=PaymentStatus.REFUNDED,
        amount=usd("5"),
        custom_id=organization_id,
    )
    async with engine.begin() as conn:
        await payments.note_returned(conn, organization_id, Provider.PAYPAL, never)


async def forgiven(engine: AsyncEngine, organization_id: str = "forgiven") -> None:
    """A debt of five dollars that an operator forgave."""
    await onboard(engine, organization_id, balance="0")
    await topped_up(engine, "CAP-6", "5", organization_id)
    await post(engine, debit("spent", usd("5")), organization_id=organization_id)
    fact = Reversal(id="R-6", what="refund", payment_id="CAP-6", amount=usd("5"), stands=True)
    async with engine.begin() as conn:
        await reversals.book(conn, organization_id, Provider.PAYPAL, fact, now=NOON)
    async with engine.begin() as conn:
        await receivables.waive(conn, organization_id, Source.REVERSAL, by="operator", now=NOON)
    await webhook_of_reversal(engine, "R-6", "CAP-6")
    await webhook_of_reversal(engine, "R-7", "CAP-6")  # it never took effect
    await take_steps(engine, organization_id)


async def charged_by_twilio(engine: AsyncEngine, organization_id: str = "charged") -> None:
    """A reserve, a charge that the wallet pays in part, a correction that covers some of the rest, and
    a day's usage that is owed.
    """
    await onboard(engine, organization_id, balance="3")
    async with engine.begin() as conn:
        await reserves.want(conn, organization_id, usd("1").micros, now=NOON)
    async with engine.begin() as conn:
        await carrier.take_charge(conn, organization_id, usd("4").micros, "sms", NOON)
    async with engine.begin() as conn:
        await carrier.give_back(conn, organization_id, usd("1").micros, "sms", NOON)
    async with engine.begin() as conn:
        await standings.lock(conn, organization_id)
        await _calls(conn, organization_id)
    await take_steps(engine, organization_id)


async def webhook_of_reversal(
    engine: AsyncEngine, id_: str, payment_id: str, money_kind: MoneyObject = MoneyObject.REFUND
) -> None:
    """A webhook reported a refund or a dispute that is booked, and the lifecycle has handled it."""
    money = MoneyReference(kind=money_kind, id=id_)
    kind = EventKind.REFUNDED if money_kind is MoneyObject.REFUND else EventKind.DISPUTE_CLOSED
    billing_event = event(None, kind=kind, id_=f"WH-{id_}", money=money, subscription_id=None)
    delivery = await receive(engine, replace(billing_event, payment_id=payment_id))
    async with engine.begin() as conn:
        await parking.note_reversal(conn, delivery, id_)
        await deliveries.mark_handled(conn, [delivery.id])


async def set_aside(engine: AsyncEngine) -> None:
    """One hold captured in part, one released, one expired, one open."""
    async with engine.begin() as conn:
        for reference in ("taken", "let go", "late", "open"):
            ends = timedelta(minutes=1) if reference == "late" else timedelta(days=1)
            hold = Hold(reference_id=reference, amount=usd("0.50"), expires_at=NOON + ends)
            await holds.reserve(conn, ORGANIZATION, hold, now=NOON)
        await holds.capture(conn, ORGANIZATION, "taken", 200_000, now=NOON)
        await holds.release(conn, ORGANIZATION, "let go", now=NOON)
        await holds.expire(conn, ORGANIZATION, now=NOON + timedelta(minutes=2))


async def webhook_of(
    engine: AsyncEngine, money: MoneyReference, subscription_id: str | None = SUBSCRIPTION
) -> None:
    """A webhook reported a payment, and the lifecycle has handled it."""
    billing_event = event(
        None,
        kind=EventKind.PAYMENT_SUCCEEDED,
        id_=f"WH-{money.id}",
        money=money,
        subscription_id=subscription_id,
        custom_id=ORGANIZATION,
    )
    delivery = await receive(engine, billing_event)
    async with engine.begin() as conn:
        if money.kind is MoneyObject.SALE:
            await parking.note_outcome(conn, delivery.id, f"booked as {money.id}")
        await deliveries.mark_handled(conn, [delivery.id])


async def paid_for(engine: AsyncEngine) -> None:
    """A top-up and a subscription's payment, each reported by a webhook."""
    await topped_up(engine)
    await webhook_of(
        engine, MoneyReference(kind=MoneyObject.CAPTURE, id="CAP-1"), subscription_id=None
    )
    sale = MoneyReference(kind=MoneyObject.SALE, id="SALE-1")
    paid = Payment(
        reference=sale,
        status=PaymentStatus.COMPLETED,
        amount=usd("49"),
        subscription_id=SUBSCRIPTION,
    )
    async with engine.begin() as conn:
        await payments.book_subscription_payment(conn, ORGANIZATION, Provider.PAYPAL, paid)
    await webhook_of(engine, sale)


async def waiting(engine: AsyncEngine) -> None:
    """Unbooked money from webhooks, an event without an organization, and two checkouts, one of
    them paid.
    """
    for kind, money_kind, id_ in (
        (EventKind.DISPUTE_CLOSED, MoneyObject.DISPUTE, "D-8"),
        (EventKind.REFUNDED, MoneyObject.REFUND, "R-8"),
        (EventKind.PAYMENT_SUCCEEDED, MoneyObject.CAPTURE, "CAP-8"),
        (EventKind.PAYMENT_SUCCEEDED, MoneyObject.SALE, "SALE-8"),
    ):
        money = MoneyReference(kind=money_kind, id=id_)
        await receive(
            engine,
            event(
                None,
                kind=kind,
                id_=f"WH-{id_}",
                money=money,
                subscription_id=None,
                custom_id="owing",
            ),
        )
    await receive(engine, event(id_="I-NOBODY", subscription_id="I-NOBODY"))
    await onboard(engine, "checking-out", balance="0")
    top_up_checkout = TopUpCheckout(
        organization_id="checking-out",
        provider=Provider.PAYPAL,
        checkout_id="CS-1",
        url="",
        amount=usd("5"),
    )
    async with engine.begin() as conn:
        await topups.add(conn, top_up_checkout, "CS-1")
        await topups.add(conn, replace(top_up_checkout, checkout_id="CS-2"), "CS-2")
    await topped_up(engine, "CAP-7", "5", "checking-out")
    done = event(
        None,
        kind=EventKind.CHECKOUT_COMPLETED,
        id_="WH-CS-1",
        money=MoneyReference(kind=MoneyObject.CHECKOUT, id="CS-1"),
        subscription_id=None,
        custom_id="checking-out",
    )
    delivery = await receive(engine, done)
    async with engine.begin() as conn:
        await topups.close(conn, top_up_checkout, paid=True)
        await parking.note_outcome(conn, delivery.id, "booked as CAP-7")
        await deliveries.mark_handled(conn, [delivery.id])


async def sent_once_more(engine: AsyncEngine) -> None:
    """One message that failed and was refunded; one that was sent after its refund, and charged;
    and one that was given up and sent again by an operator.
    """
    failed = await send_one(engine, "failed")
    await settle_replies(engine, accepted(failed))
    await give_back(engine, failed, 30008)
    late = await send_one(engine, "late")
    await settle_replies(engine, Reply(message=late, status=MessageStatus.LOST))
    async with engine.begin() as conn:
        await unpaid_sends.note(conn, late, late.attempt, sid_of(late), DeliveryStatus.DELIVERED)
    async with engine.begin() as conn:
        await unpaid_sends.charge(conn, ORGANIZATION, late.id)
    lost = await send_one(engine, "lost")
    await settle_replies(engine, Reply(message=lost, status=MessageStatus.LOST))
    async with engine.begin() as conn:
        again, _ = await resends.by_itself(conn, await message_now(engine, lost))
    assert again is not None
    await settle_replies(engine, accepted(again))


async def unmatched_and_resolved(engine: AsyncEngine) -> None:
    """A message that Twilio had, and nobody here knew; a person debited it."""
    found = Unmatched(
        organization_id=ORGANIZATION, message_sid="SM0", problem="not known here", listed=True
    )
    async with engine.begin() as conn:
        await unmatched_messages.note(conn, [found])
        await unmatched_messages.close(conn, ORGANIZATION, "SM0", by="ops", because="debited")


async def past_tollgate(engine: AsyncEngine, organization_id: str = "leaked") -> None:
    """Two messages that the subaccount sent by itself, charged early; the usage shows one by now."""
    now = datetime.now(UTC)
    await onboard(engine, organization_id)
    for sid, ago in (("SM-F1", timedelta(hours=3)), ("SM-F2", timedelta(hours=1))):
        at = now - ago
        sent = SentMessage(
            sid=sid, account_sid="", to="+14155550100", body="", status=DeliveryStatus.DELIVERED,
            segments=1, created_at=at, sent_at=at,
        )  # fmt: skip
        async with engine.begin() as conn:
            await foreign_messages.record(conn, organization_id, [sent], now=now)
            progress = Progress(since=at, until=now)
            await message_readings.note(conn, organization_id, progress, found=True, now=now)
            await foreign_charges.charge(conn, organization_id, now=now)
    complete, day = now - timedelta(hours=2), (now - timedelta(hours=3)).date()
    async with engine.begin() as conn:
        await foreign_charges.give_back(conn, organization_id, day, as_of=complete, now=now)
    await run(engine, "UPDATE foreign_messages SET found_at = found_at - interval '2 days'")


async def counted_otherwise(engine: AsyncEngine) -> None:
    """Of two messages Twilio counted more segments, and of one fewer."""
    await onboard(engine, "counted")
    sent = await send(engine, await campaign(engine, messages=3, organization_id="counted"))
    theirs = {sid_of(message): number for message, number in zip(sent, (2, 3, 1), strict=True)}
    await run(engine, "UPDATE messages SET segments = 2 WHERE id = :id", id=sent[2].id)
    async with engine.begin() as conn:
        await segment_differences.settle(conn, "counted", theirs, now=NOON)


async def _calls(conn: AsyncConnection, organization_id: str) -> None:
    day = NOON.date()
    records = [
        UsageRecord(day=day, category=category, price_micros=1_000_000, currency="USD")
        for category in ("totalprice", "calls")
    ]
    await usage.record(conn, organization_id, day, records)
    await charges.settle(conn, organization_id, day, now=NOON)


async def billed(engine: AsyncEngine) -> None:
    """Twilio charged for received messages and for a number, and corrected the number's price. Its
    first total had more than its categories explain.
    """
    await onboard(engine, "billed")
    day = NOON.date()
    for rent, more in ((1_500_000, 250_000), (1_000_000, 0)):
        records = [
            UsageRecord(day=day, category=category, price_micros=micros, currency="USD")
            for category, micros in (
                ("totalprice", rent + 500_000 + more),
                ("sms-inbound-longcode", 500_000),
                ("phonenumbers-local", rent),
            )
        ]
        async with engine.begin() as conn:
            await standings.lock(conn, "billed")
            await usage.record(conn, "billed", day, records)
            await charges.settle(conn, "billed", day, now=NOON)


async def live(engine: AsyncEngine) -> None:
    """Topped up, sent, suspended during a campaign, refunded, paid, resumed, frozen; another
    organization stays suspended.
    """
    await onboard(engine)
    await subscribe(engine)
    await paid_for(engine)
    await post(
        engine, debit("d", usd("1")), refund("r", "d", usd("1")), debit("a:b:c", usd("0.50"))
    )
    await set_aside(engine)
    sending = await campaign(engine, messages=8)
    first, second, third, fourth = await hand_over(engine, sending, limit=4)
    await settle_replies(
        engine,
        accepted(first),
        accepted(second),
        Reply(message=third, status=MessageStatus.UNKNOWN),
        Reply(message=fourth, status=MessageStatus.REFUSED),
    )
    await hear(engine, event(State.SUSPENDED_NONPAYMENT))
    await take_steps(engine)
    await give_back(engine, second)
    assert not isinstance(await post_one(engine, debit("late", usd("1"))), Debited)
    await confirm(engine, snapshot(State.ACTIVE, NOON + timedelta(minutes=30)))
    await take_steps(engine)
    assert (await campaign_now(engine, sending)).status is CampaignStatus.RUNNING
    await send(engine, sending)
    await settle_replies(engine, Reply(message=third, status=MessageStatus.LOST))
    await reserve(engine, sending)
    await freeze(engine, by_operator=True)
    await unfreeze(engine)
    await send_one(engine)
    await sent_once_more(engine)
    paused = await campaign(engine, name="paused")
    await change_campaign(engine, paused, Act.PAUSE, reason="asked")
    await change_campaign(engine, paused, Act.RESUME)
    await onboard(engine, "resting")
    await campaign(engine, name="resting", organization_id="resting")
    await block(engine, "resting")
    await take_steps(engine, "resting")
    await taken_back(engine)
    await forgiven(engine)
    await charged_by_twilio(engine)
    await waiting(engine)
    await unmatched_and_resolved(engine)
    await past_tollgate(engine)
    await billed(engine)
    await counted_otherwise(engine)
    async with engine.begin() as conn:
        await seals.seal(conn)
    await certify.examine(engine)
    await certify.examine_new(engine)
