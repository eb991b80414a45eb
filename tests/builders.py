"""Test data with one obvious default each: organizations, wallets, subscriptions, campaigns,
events.
"""

import asyncio
import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import zip_longest
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from db.audit import certify
from db.billing import blocks, decisions, subscriptions
from db.campaigns import (
    campaigns,
    messages,
    parked_campaigns,
    readings,
    reservations,
    send_results,
    status_checks,
    transitions,
    windows,
)
from db.campaigns.callbacks import Applied, SubaccountCallback
from db.campaigns.campaigns import Campaign
from db.campaigns.messages import Message
from db.campaigns.readings import Reading
from db.campaigns.recipients import Recipient
from db.campaigns.send_results import Reply
from db.campaigns.status_checks import Check
from db.campaigns.transitions import PERSON
from db.inbox import deliveries, owners, snapshots, state_updates
from db.inbox.deliveries import Delivery
from db.lifecycle import organizations, receipts, standings
from db.lifecycle.organizations import Organization
from db.lifecycle.standings import HeldBlock
from db.wallet import gates, wallets
from domain.billing.events import BillingEvent, EventKind, MoneyReference
from domain.billing.subscription import OWING, PAID, Provider, Snapshot, State, Subscription
from domain.campaigns.campaign import Act, MessageStatus, Park
from domain.campaigns.quiet_hours import QuietHours
from domain.campaigns.telephony import DeliveryStatus, SentMessage, StatusCallback
from domain.lifecycle.evidence import EventEffect
from domain.lifecycle.standing import Block, Standing, Status
from domain.money import Money, parse
from domain.wallet.entries import Posting, credit
from domain.wallet.ledger import Outcome, Wallet
from runtime.callback_batcher import Callbacks

ORGANIZATION = "acme"
SUBSCRIPTION = "I-ACME"
NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
ONE_CENT = Money(10_000, "USD")

_KINDS = {
    State.PENDING: EventKind.SUBSCRIPTION_CREATED,
    State.ACTIVE: EventKind.ACTIVATED,
    State.SUSPENDED_NONPAYMENT: EventKind.SUSPENDED,
    State.PAUSED: EventKind.PAUSED,
    State.CANCELED: EventKind.CANCELED,
    State.EXPIRED: EventKind.EXPIRED,
    State.PAST_DUE: EventKind.PAYMENT_FAILED,
}


def usd(amount: str) -> Money:
    return parse(amount, "USD")


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)


def organization(
    id_: str = ORGANIZATION,
    *,
    price: str = "0.01",
    grace: timedelta = timedelta(days=3),
    account: str | None = None,
) -> Organization:
    """An organization with a price of one cent per segment, which sends from one number of its own
    subaccount.
    """
    return Organization(
        id=id_,
        name=id_.title(),
        twilio_account_sid=account or "AC" + hashlib.md5(id_.encode()).hexdigest(),
        sender="+15005550006",
        currency="USD",
        price_per_segment=usd(price),
        grace=grace,
    )


async def onboard(
    engine: AsyncEngine,
    id_: str = ORGANIZATION,
    *,
    balance: str = "10.00",
    grace: timedelta = timedelta(days=3),
    account: str | None = None,
) -> Organization:
    """Store an organization with money in its wallet, if `balance` is not zero, and no
    subscription.
    """
    created = organization(id_, grace=grace, account=account)
    async with engine.begin() as conn:
        await organizations.create(conn, created)
        if usd(balance).micros:
            await wallets.post(conn, id_, [credit("opening", usd(balance))])
    return created


def snapshot(
    state: State = State.ACTIVE,
    as_of: datetime | None = NOON,
    *,
    paid_until: datetime | None = None,
    raw_status: str = "",
) -> Snapshot:
    """A debt or a payment, as the state implies."""
    return Snapshot(
        state=state,
        raw_status=raw_status or state.value,
        as_of=as_of,
        paid_until=paid_until,
        paid_at=as_of if state is State.ACTIVE else None,
        owes=True if state in OWING else False if state in PAID else None,
    )


async def subscribe(
    engine: AsyncEngine,
    id_: str = SUBSCRIPTION,
    *,
    organization_id: str = ORGANIZATION,
    provider_snapshot: Snapshot | None = None,
    now: datetime = NOON,
) -> Subscription:
    """Link a subscription as the current one; active unless `provider_snapshot` changes it."""
    async with engine.begin() as conn:
        await subscriptions.add(conn, organization_id, Provider.PAYPAL, id_)
        noted = await subscriptions.find(conn, Provider.PAYPAL, id_)
        assert noted is not None
        await snapshots.link(conn, noted, provider_snapshot or snapshot(), now=now)
    return await subscription(engine, id_)


async def note_subscription(
    engine: AsyncEngine, id_: str, *, organization_id: str = ORGANIZATION
) -> Subscription:
    """Store a subscription that is not the current one and has no reports yet."""
    async with engine.begin() as conn:
        await subscriptions.add(conn, organization_id, Provider.PAYPAL, id_)
    return await subscription(engine, id_)


async def subscription(engine: AsyncEngine, id_: str = SUBSCRIPTION) -> Subscription:
    async with engine.connect() as conn:
        found = await subscriptions.find(conn, Provider.PAYPAL, id_)
    assert found is not None
    return found


def event(
    state: State | None = State.SUSPENDED_NONPAYMENT,
    at: datetime | None = NOON + timedelta(minutes=1),
    *,
    id_: str | None = None,
    kind: EventKind | None = None,
    subscription_id: str | None = SUBSCRIPTION,
    transmission_id: str | None = "",
    raw_status: str = "",
    custom_id: str | None = None,
    money: MoneyReference | None = None,
    problem: str | None = None,
) -> BillingEvent:
    """A verified delivery that reports `state` as of `at`; its ids follow from its content."""
    event_kind = kind or (
        EventKind.CHANGED if state is None else _KINDS.get(state, EventKind.CHANGED)
    )
    event_id = id_ or f"WH-{event_kind}-{at.isoformat() if at else 'undated'}"
    return BillingEvent(
        provider=Provider.PAYPAL,
        event_id=event_id,
        event_type=f"BILLING.{event_kind.name}",
        kind=event_kind,
        transmission_id=f"t-{event_id}" if transmission_id == "" else transmission_id,
        occurred_at=at,
        subscription_id=subscription_id,
        custom_id=custom_id,
        snapshot=None if state is None else snapshot(state, at, raw_status=raw_status),
        money=money,
        problem=problem,
    )


async def receive(engine: AsyncEngine, billing_event: BillingEvent, raw: bytes = b"{}") -> Delivery:
    """Store the delivery without applying it."""
    async with engine.begin() as conn:
        whose = await owners.of_event(conn, billing_event)
        return await deliveries.receive(conn, billing_event, raw, _headers(billing_event), whose)


async def hear(
    engine: AsyncEngine,
    billing_event: BillingEvent,
    *,
    now: datetime = NOON + timedelta(hours=1),
    sure: bool = False,
) -> EventEffect:
    """Receive a webhook, from its arrival to its response."""
    async with engine.begin() as conn:
        received = await state_updates.receive(
            conn, billing_event, b"{}", _headers(billing_event), now=now
        )
        if sure:
            return await state_updates.apply_event(
                conn, received.delivery, billing_event, now=now, sure=True
            )
    return received.effect or EventEffect.NOTED


def _headers(billing_event: BillingEvent) -> dict[str, str]:
    return {"paypal-transmission-id": str(billing_event.transmission_id)}


async def confirm(
    engine: AsyncEngine,
    new_snapshot: Snapshot,
    *,
    id_: str = SUBSCRIPTION,
    now: datetime = NOON + timedelta(hours=1),
    may_open: bool = True,
) -> Standing:
    """Apply the provider's own answer to a GET."""
    before = await subscription(engine, id_)
    async with engine.begin() as conn:
        folded = await snapshots.confirm(
            conn, before, new_snapshot, now=now, cause="test", may_open=may_open
        )
    assert folded is not None
    return folded


async def settle(engine: AsyncEngine, *, now: datetime, may_open: bool = True) -> Standing:
    """Decide again from the recorded facts, like a timer."""
    async with engine.begin() as conn:
        settled = await decisions.settle(
            conn, ORGANIZATION, now=now, cause="timer", may_open=may_open
        )
    assert settled is not None
    return settled


async def standing(engine: AsyncEngine, organization_id: str = ORGANIZATION) -> Standing:
    async with engine.connect() as conn:
        found = await standings.get(conn, organization_id)
    assert found is not None
    return found


def admin_block(reference: str = "", kind: Block = Block.ADMIN) -> HeldBlock:
    return HeldBlock(kind=kind, reference=reference, reason="a test says so", placed_by="operator")


async def block(
    engine: AsyncEngine, organization_id: str = ORGANIZATION, *, kind: Block = Block.ADMIN
) -> Standing:
    """Suspend by a block: the gate is shut when this returns."""
    async with engine.begin() as conn:
        after = await blocks.block(conn, organization_id, admin_block(kind=kind), now=NOON)
    assert after is not None
    return after


async def unblock(
    engine: AsyncEngine, organization_id: str = ORGANIZATION, *, kind: Block = Block.ADMIN
) -> Standing:
    """Lift the block; the gate stays shut until `open_gate`."""
    async with engine.begin() as conn:
        after = await blocks.unblock(conn, organization_id, kind, "", by="operator", now=NOON)
    assert after is not None
    return after


async def open_gate(engine: AsyncEngine, organization_id: str = ORGANIZATION) -> None:
    """Open the gate and lift the suspension's freeze, like the step of a reactivation."""
    async with engine.begin() as conn:
        standing = await standings.lock(conn, organization_id)
        assert standing is not None
        await open_gate_of(conn, standing)


async def open_gate_of(conn: AsyncConnection, standing: Standing) -> None:
    """The same for a caller that holds the standing."""
    await gates.open_gate(conn, standing.organization_id, epoch=standing.epoch, cause="test")
    await _note(conn, standing, "unfreeze_wallet")


async def shut_gate(engine: AsyncEngine, organization_id: str = ORGANIZATION) -> None:
    """Shut the gate with a block that no other helper places or lifts."""
    await block(engine, organization_id, kind=Block.TELEPHONY)


async def freeze(
    engine: AsyncEngine, organization_id: str = ORGANIZATION, *, by_operator: bool = False
) -> None:
    """Freeze the wallet, like the step of a suspension or like an operator."""
    async with engine.begin() as conn:
        standing = await standings.lock(conn, organization_id)
        assert standing is not None
        if by_operator:
            await gates.freeze(
                conn,
                organization_id,
                epoch=standing.epoch,
                cause="fraud suspected",
                by_operator=True,
            )
        else:
            await freeze_of(conn, standing)


async def freeze_of(conn: AsyncConnection, standing: Standing) -> None:
    """Like the step of a suspension, for a caller that holds the standing."""
    await gates.freeze(
        conn, standing.organization_id, epoch=standing.epoch, cause="fraud suspected"
    )
    await _note(conn, standing, "freeze_wallet")


async def unfreeze(engine: AsyncEngine, organization_id: str = ORGANIZATION) -> None:
    async with engine.begin() as conn:
        standing = await standings.lock(conn, organization_id)
        assert standing is not None
        await gates.unfreeze_by_operator(
            conn, organization_id, epoch=standing.epoch, cause="looked at"
        )


async def take_steps(engine: AsyncEngine, organization_id: str = ORGANIZATION) -> None:
    """Apply the standing everywhere, with the lifecycle's steps in their order, and close the
    receipt.
    """
    suspended = (await standing(engine, organization_id)).status is Status.SUSPENDED
    steps = ("suspend_twilio_subaccount", "freeze_wallet", "pause_campaigns")
    if not suspended:
        steps = ("reactivate_twilio_subaccount", "unfreeze_wallet", "resume_eligible_campaigns")
    for step in steps:
        async with engine.begin() as conn:
            locked_standing = await standings.lock(conn, organization_id)
            assert locked_standing is not None
            match step:
                case "freeze_wallet":
                    await gates.freeze(
                        conn, organization_id, epoch=locked_standing.epoch, cause="suspended"
                    )
                case "unfreeze_wallet":
                    await gates.open_gate(
                        conn, organization_id, epoch=locked_standing.epoch, cause="active"
                    )
                case "pause_campaigns":
                    await parked_campaigns.park_running(conn, organization_id, Park.SUSPENDED)
                case "resume_eligible_campaigns":
                    await parked_campaigns.resume_eligible(
                        conn, organization_id, now=datetime.now(UTC)
                    )
            await _note(conn, locked_standing, step)
            if step == steps[-1]:
                await standings.mark_applied(conn, organization_id, locked_standing.epoch, now=NOON)
                await receipts.finish(
                    conn, organization_id, locked_standing.epoch, locked_standing.status, now=NOON
                )


async def _note(conn: AsyncConnection, standing: Standing, step: str) -> None:
    await receipts.note_step(
        conn, standing.organization_id, standing.epoch, step, started_at=NOON, detail="done"
    )


async def post(
    engine: AsyncEngine, *postings: Posting, organization_id: str = ORGANIZATION
) -> list[Outcome]:
    """Book in a separate transaction."""
    async with engine.begin() as conn:
        return await wallets.post(conn, organization_id, postings)


async def post_one(
    engine: AsyncEngine, posting: Posting, organization_id: str = ORGANIZATION
) -> Outcome:
    [outcome] = await post(engine, posting, organization_id=organization_id)
    return outcome


async def wallet(engine: AsyncEngine, organization_id: str = ORGANIZATION) -> Wallet:
    async with engine.connect() as conn:
        found = await wallets.get(conn, organization_id)
    assert found is not None
    return found


async def balance(engine: AsyncEngine, organization_id: str = ORGANIZATION) -> Money:
    found = await wallet(engine, organization_id)
    return Money(found.balance_micros, found.currency)


async def campaign(
    engine: AsyncEngine,
    *,
    messages: int = 5,
    price: Money = ONE_CENT,
    prices: Sequence[Money] | None = None,
    name: str = "spring",
    organization_id: str = ORGANIZATION,
    running: bool = True,
    countries: Sequence[str | None] = (),
    quiet_hours: QuietHours | None = None,
) -> Campaign:
    """A running campaign at one cent per message; `prices` and `countries` set them for each
    message.
    """
    each = prices or [price] * (len(countries) or messages)
    recipients = [
        Recipient(
            number=f"+1500555{number:04d}", country=country, segments=1, price_micros=cost.micros
        )
        for number, (cost, country) in enumerate(zip_longest(each, countries), start=1)
    ]
    async with engine.begin() as conn:
        created, _ = await campaigns.create(
            conn,
            organization_id,
            name=name,
            body="hello",
            recipients=recipients,
            idempotency_key=name,
            request_sha256=hashlib.sha256(name.encode()).digest(),
            quiet_hours=quiet_hours,
        )
        if running:
            created = await transitions.change(conn, created, Act.START, by=PERSON)
    return created


async def campaign_now(engine: AsyncEngine, of: Campaign) -> Campaign:
    async with engine.connect() as conn:
        found = await campaigns.get(conn, of.organization_id, of.id)
    assert found is not None
    return found


async def change_campaign(
    engine: AsyncEngine, of: Campaign, act: Act, *, by: str = PERSON, reason: str = ""
) -> Campaign:
    async with engine.begin() as conn:
        locked_campaign = await campaigns.lock(conn, of.organization_id, of.id)
        assert locked_campaign is not None
        return await transitions.change(conn, locked_campaign, act, by=by, reason=reason)


async def reserve(
    engine: AsyncEngine, of: Campaign, *, limit: int = 100, now: datetime | None = None
) -> Any:
    """The batch, which exists as long as the campaign does."""
    at = now or datetime.now(UTC)
    async with engine.begin() as conn:
        batch = await reservations.reserve(conn, of.organization_id, of.id, limit=limit, now=at)
    assert batch is not None
    return batch


async def begin_window(
    engine: AsyncEngine, of: Campaign, *, limit: int = 100, now: datetime | None = None
) -> list[Message] | None:
    at = now or datetime.now(UTC)
    async with engine.begin() as conn:
        return await windows.next_window(conn, of.organization_id, of.id, (), limit=limit, now=at)


async def hand_over(engine: AsyncEngine, of: Campaign, *, limit: int = 100) -> list[Message]:
    """Reserve messages and mark them as being sent, as before a sender's post."""
    await reserve(engine, of, limit=limit)
    window = await begin_window(engine, of, limit=limit)
    assert window
    return window


async def settle_replies(
    engine: AsyncEngine, *replies: Reply, organization_id: str = ORGANIZATION
) -> int:
    async with engine.begin() as conn:
        return await send_results.settle(conn, organization_id, replies)


def accepted(message: Message) -> Reply:
    return Reply(
        message=message,
        status=MessageStatus.ACCEPTED,
        provider_sid=sid_of(message),
        delivery_status=DeliveryStatus.QUEUED.value,
    )


def sid_of(message: Message) -> str:
    return "SM" + hashlib.md5(message.attempt_id.encode()).hexdigest()


async def send(engine: AsyncEngine, of: Campaign, *, limit: int = 100) -> list[Message]:
    """Reserve messages, hand them over and have Twilio accept them."""
    window = await hand_over(engine, of, limit=limit)
    await settle_replies(
        engine, *(accepted(message) for message in window), organization_id=of.organization_id
    )
    return [await message_now(engine, message) for message in window]


async def send_one(engine: AsyncEngine, key: str = "k1", *, price: Money = ONE_CENT) -> Message:
    """A single message, paid for and being sent."""
    async with engine.begin() as conn:
        paid, _ = await reservations.pay_for_one(
            conn,
            ORGANIZATION,
            recipient="+15005550010",
            body="hello",
            segments=1,
            price=price,
            key=key,
        )
    assert paid is not None
    return paid


async def message_now(engine: AsyncEngine, of: Message) -> Message:
    async with engine.connect() as conn:
        found = await messages.get(conn, of.organization_id, of.id)
    assert found is not None
    return found


async def statuses(engine: AsyncEngine, of: Campaign) -> list[MessageStatus]:
    """The statuses of the campaign's messages, by position."""
    return [
        MessageStatus(row.status)
        for row in await rows(
            engine,
            "SELECT status FROM messages WHERE campaign_id = :id ORDER BY position",
            id=of.id,
        )
    ]


def callback(
    message: Message,
    status: DeliveryStatus = DeliveryStatus.DELIVERED,
    *,
    error_code: int | None = None,
) -> StatusCallback:
    """Twilio's callback about this attempt."""
    return StatusCallback(
        account_sid=organization(message.organization_id).twilio_account_sid,
        message_sid=sid_of(message),
        status=status,
        error_code=error_code,
        attempt_id=message.attempt_id,
    )


def given_back(message: Message) -> StatusCallback:
    """Twilio fails the queued messages, because the account was suspended."""
    return callback(message, DeliveryStatus.FAILED, error_code=30002)


def listed(
    message: Message,
    status: DeliveryStatus = DeliveryStatus.DELIVERED,
    *,
    error_code: int | None = None,
    **other: Any,
) -> SentMessage:
    """The message as Twilio has it; `other` overrides fields."""
    fields: dict[str, Any] = {
        "sid": sid_of(message),
        "account_sid": organization(message.organization_id).twilio_account_sid,
        "to": message.recipient,
        "body": message.body,
        "status": status,
        "error_code": error_code,
        "created_at": datetime.now(UTC),
        "senders": (organization(message.organization_id).sender,),
    }
    return SentMessage(**(fields | other))


async def checks(engine: AsyncEngine, *, now: datetime | None = None) -> list[Check]:
    """The messages to read at Twilio now."""
    async with engine.begin() as conn:
        taken = await status_checks.take(conn, now=now or datetime.now(UTC) + timedelta(seconds=1))
    return [check for of_organization in taken.values() for check in of_organization]


async def read_at_twilio(
    engine: AsyncEngine, *sent: SentMessage | None, now: datetime | None = None
) -> readings.Outcome:
    """Twilio's statuses for one organization's messages to read, by sid; it has only those in
    `sent`.
    """
    by_sid = {message.sid: message for message in sent if message is not None}
    due = await checks(engine, now=now)
    read = [Reading(check=check, sent=by_sid.get(check.message_sid)) for check in due]
    assert read, "nothing was to be read"
    async with engine.begin() as conn:
        return await readings.apply(
            conn, due[0].organization_id, read, now=now or datetime.now(UTC)
        )


async def give_back(
    engine: AsyncEngine, message: Message, error_code: int | None = 30002
) -> Applied:
    """A callback reports a failure, and Twilio confirms it when it is read."""
    status_callback = callback(message, DeliveryStatus.FAILED, error_code=error_code)
    applied = await apply(engine, status_callback, message.organization_id)
    if applied is Applied.TO_BE_READ:
        await read_at_twilio(engine, listed(message, DeliveryStatus.FAILED, error_code=error_code))
    return applied


async def apply(
    engine: AsyncEngine, status_callback: StatusCallback, organization_id: str = ORGANIZATION
) -> Applied:
    batches = Callbacks(engine)
    return await batches.apply(SubaccountCallback(organization_id, status_callback))


async def rows(engine: AsyncEngine, query: str, **parameters: object) -> list[Any]:
    async with engine.connect() as conn:
        return list(await conn.execute(text(query), parameters))


async def number(engine: AsyncEngine, query: str, **parameters: object) -> int:
    [row] = await rows(engine, query, **parameters)
    return int(row[0])


async def run(engine: AsyncEngine, statement: str, **parameters: object) -> None:
    async with engine.begin() as conn:
        await conn.execute(text(statement), parameters)


NO_RECEIPT = {
    (
        "changes of a gate or a freeze that do not follow from the previous one, or that no "
        "receipt "
        "explains"
    )
}
"""The checks that a test breaks when it freezes a wallet, or moves its gate, without a change of
the standing.
"""


async def broken_claims(engine: AsyncEngine) -> set[str]:
    """The broken claims of `certify`; none at the end of every test that moved money."""
    async with engine.connect() as conn:
        await conn.execution_options(isolation_level="REPEATABLE READ")
        return {finding.check for finding in await certify.certify(conn) if not finding.holds}


async def until_it_waits_for(
    engine: AsyncEngine, holder: AsyncConnection, waiting: asyncio.Task[Any]
) -> None:
    """Return once some session waits for a lock that `holder` has; fails if `waiting` ended without
    waiting.
    """
    pid = (await holder.execute(text("SELECT pg_backend_pid()"))).scalar_one()
    query = (
        "SELECT count(*) FROM pg_stat_activity WHERE CAST(:pid AS int) = ANY "
        "(pg_blocking_pids(pid))"
    )
    while await number(engine, query, pid=pid) == 0:
        assert not waiting.done(), "it did not wait for the lock"


async def park(
    engine: AsyncEngine, why: Park = Park.SUSPENDED, organization_id: str = ORGANIZATION
) -> int:
    """Park running campaigns, like the step of a suspension."""
    async with engine.begin() as conn:
        await standings.lock(conn, organization_id)
        return len(await parked_campaigns.park_running(conn, organization_id, why))


async def resume(
    engine: AsyncEngine, organization_id: str = ORGANIZATION, *, now: datetime | None = None
) -> list[UUID]:
    """Resume campaigns that may run, like the step of a reactivation."""
    async with engine.begin() as conn:
        return await parked_campaigns.resume_eligible(
            conn, organization_id, now=now or datetime.now(UTC)
        )
