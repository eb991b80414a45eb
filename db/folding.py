"""Folding: what a webhook, a fresh GET or an operator tells becomes the recorded state, and from it the standing.

A webhook's own word may only close; the provider's answer to a GET may open. Each function holds the organization's
lock and leaves the commit to its caller.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy.ext.asyncio import AsyncConnection

from db import alerts, customer_migrations, inbox, parking, standings, subscriptions
from db.customer_migrations import Migration
from db.inbox import Delivery, InboxStatus
from db.pipeline import together
from db.standings import Facts, HeldBlock
from db.subscriptions import Subscription
from domain.events import BillingEvent, EventKind
from domain.standing import Block, Standing, Status, nobody_bills
from domain.subscription import BILLING, PAID, Order, Snapshot, State, order

CLOCKS_APART = timedelta(minutes=5)
NOBODY_BILLS = "nobody_bills"


class Heard(StrEnum):
    """What a webhook did in its own answer. UNCLEAR: it would close, but it may be old news; ask the provider."""

    SHUT = "the gate was shut"
    NOTED = "noted; the provider is asked before anything opens"
    OLD = "older than what is known; nothing changed"
    OTHER = "not the current subscription; the standing did not change"
    UNCLEAR = "its time does not say whether it is news"


class Stale(Exception):
    """The provider's answer is older than what a webhook told: ask again in a moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A delivery as it was stored. `named` is whose it is by now, `heard` what it did; None: it was not folded."""

    delivery: Delivery
    named: str | None
    heard: Heard | None


async def receive(
    conn: AsyncConnection, event: BillingEvent, raw: bytes, headers: Mapping[str, str], *, now: datetime
) -> Received:
    """Store a verified delivery and fold it, in one transaction: when the caller has committed, the gate is shut.

    A duplicate whose first delivery was not folded is folded now. Of one that is not kept only its subscription's state
    is: nothing would ever ask for the dispute that it tells of, and lift the block.
    """
    standing = await _lock_subject(conn, event)
    named = None if standing is None else standing.organization_id
    delivery = await inbox.receive(conn, event, raw, headers, named)
    due = delivery.status is InboxStatus.UNHANDLED and not delivery.folded
    if standing is None or not due or not (delivery.kept or event.snapshot is not None):
        return Received(delivery=delivery, named=named, heard=None)
    heard = await _fold(conn, standing, delivery, event, now=now, sure=False)
    return Received(delivery=delivery, named=named, heard=heard)


async def hear(
    conn: AsyncConnection, delivery: Delivery, event: BillingEvent, *, now: datetime, sure: bool = False
) -> Heard:
    """Fold a stored webhook's own word into the standing, closing only; `sure` shuts even when its time is unclear."""
    standing = None
    if delivery.organization_id is not None:
        standing = await standings.lock(conn, delivery.organization_id)
    if standing is None:
        return Heard.NOTED
    return await _fold(conn, standing, delivery, event, now=now, sure=sure)


async def _lock_subject(conn: AsyncConnection, event: BillingEvent) -> Standing | None:
    if event.subscription_id is not None:
        return await standings.lock_subscriber(conn, event.provider, event.subscription_id)
    named = await inbox.organization_of(conn, event)
    return None if named is None else await standings.lock(conn, named)


async def _fold(
    conn: AsyncConnection, standing: Standing, delivery: Delivery, event: BillingEvent, *, now: datetime, sure: bool
) -> Heard:
    known = await standings.facts(conn, standing.organization_id)
    cause = f"{event.event_type} {event.event_id}"
    async with together(conn):
        heard, known = await _record(conn, known, standing.organization_id, event, now=now, cause=cause, sure=sure)
        if heard is Heard.SHUT:
            after = await standings.settle_locked(conn, standing, known, now=now, cause=cause, may_open=False)
            heard = Heard.SHUT if after.epoch != standing.epoch else Heard.NOTED
        if heard is not Heard.UNCLEAR:
            await inbox.mark_folded(conn, delivery, heard.value)
    return heard


async def _record(
    conn: AsyncConnection,
    known: Facts,
    organization_id: str,
    event: BillingEvent,
    *,
    now: datetime,
    cause: str,
    sure: bool,
) -> tuple[Heard, Facts]:
    """Write down what closes; SHUT says that something was written, and the facts are as they are then."""
    if event.kind is EventKind.DISPUTE_OPENED and event.money is not None:
        block = HeldBlock(kind=Block.DISPUTE, reference=event.money.id, reason=cause, placed_by=event.provider.value)
        await standings.place_block(conn, organization_id, block)
        return Heard.SHUT, replace(known, held=known.held | {Block.DISPUTE})
    told, current = event.snapshot, known.current
    if told is None or event.subscription_id is None:
        return Heard.NOTED, known
    if current is None or (current.provider, current.id) != (event.provider, event.subscription_id):
        return Heard.OTHER, known
    if told.state is State.UNKNOWN:
        await alerts.raise_(conn, organization_id, "unknown_status", f"{event.provider}: {told.raw_status!r}")
        return Heard.NOTED, known
    newer = order(told.as_of, current.snapshot.as_of)
    if told.as_of is not None and told.as_of > now + CLOCKS_APART:
        newer = Order.UNCLEAR  # a time that has not come yet proves nothing
    if newer is Order.OLDER:
        return Heard.OLD, known
    if told.state is current.snapshot.state or not standings.closes(current, told, known.policy, now):
        return Heard.NOTED, known
    if newer is Order.UNCLEAR and not sure:
        return Heard.UNCLEAR, known
    recorded = await subscriptions.record(conn, current, told, now=now, confirmed=False)
    return Heard.SHUT, replace(known, current=recorded)


async def confirm(
    conn: AsyncConnection,
    subscription: Subscription,
    told: Snapshot,
    *,
    now: datetime,
    cause: str,
    may_open: bool,
    accept_older: bool,
) -> Standing | None:
    """Fold the provider's own answer to a GET. Raises `Stale` if it is older than what is known, unless accepted."""
    organization_id = subscription.organization_id
    standing = await standings.lock(conn, organization_id)
    if standing is None:
        return None
    facts = await standings.facts(conn, organization_id)
    current = facts.current
    known: Subscription | None = current
    if current is None or (current.provider, current.id) != (subscription.provider, subscription.id):
        known = await subscriptions.find(conn, subscription.provider, subscription.id)
    if known is not None and told.subscription_id is not None and told.subscription_id != known.id:
        known = await _complete(conn, known, told.subscription_id, now)
        facts = await standings.facts(conn, organization_id)
    if known is None:
        return None
    if told.state is State.UNKNOWN:
        detail = f"{known.provider} says {told.raw_status!r} of subscription {known.id}"
        await subscriptions.raise_alert(conn, known, detail)
        await alerts.raise_(conn, organization_id, "unknown_status", detail)
    elif order(told.as_of, known.snapshot.as_of) is Order.OLDER and not accept_older:
        raise Stale(f"{known.id}: {told.as_of} is older than {known.snapshot.as_of}")
    else:
        recorded = await subscriptions.record(conn, known, told, now=now, confirmed=True)
        if known.is_current:
            facts = replace(facts, current=recorded)
        if facts.others:
            await _name_current(conn, organization_id, now)
            facts = await standings.facts(conn, organization_id)
    after = await standings.settle_locked(conn, standing, facts, now=now, cause=cause, may_open=may_open)
    billed = facts.current is not None and {facts.current.snapshot.state, known.snapshot.state} <= BILLING
    if after != standing or not billed:
        await _note_whether_billed(conn, after)
    return after


async def _note_whether_billed(conn: AsyncConnection, standing: Standing) -> None:
    """What a failed migration told stands to the end of what was paid for: somebody has to act before that."""
    known = await subscriptions.of_organization(conn, standing.organization_id)
    states = [one.snapshot.state for one in known]
    if nobody_bills(standing, states):
        detail = ", ".join(f"{one.provider} {one.id} is {one.snapshot.state.value}" for one in known)
        await alerts.raise_(conn, standing.organization_id, NOBODY_BILLS, detail)
    elif standing.status is Status.SUSPENDED or not BILLING.isdisjoint(states):
        await alerts.clear(conn, standing.organization_id, NOBODY_BILLS)


async def _complete(
    conn: AsyncConnection, checkout: Subscription, subscription_id: str, now: datetime
) -> Subscription | None:
    known = await subscriptions.completed(conn, checkout, subscription_id)
    if known is None:
        detail = f"checkout {checkout.id} became {checkout.provider} {subscription_id}, which another one has"
        await alerts.raise_(conn, checkout.organization_id, "subscription_of_another", detail)
        return None
    await customer_migrations.completed(conn, checkout, known.id)
    await parking.adopt_subscription(conn, known.provider, known.id, now)
    return known


async def _name_current(conn: AsyncConnection, organization_id: str, now: datetime) -> None:
    """A paid subscription takes over from none or from a lapsed one; two that bill at once are an alert.

    One that is past due bills, too: its provider goes on trying to charge.

    The target of a migration does neither before its time: free until its first charge, it would hide a debt.
    """
    known = await subscriptions.of_organization(conn, organization_id)
    current = next((one for one in known if one.is_current), None)
    others = [one for one in known if not one.is_current and one.confirmed_at is not None]
    bills = [one for one in others if one.snapshot.state in BILLING]
    paid = [one for one in bills if one.snapshot.state in PAID]
    migration = await customer_migrations.open_one(conn, organization_id) if bills else None
    may = [one for one in paid if migration is None or migration.stops or not migration.leads_to(one)]
    free = [one for one in known if migration is not None and migration.leads_to(one) and not _charged(migration, now)]
    bill = [one for one in bills if one not in free]
    if may and (current is None or current.snapshot.state not in PAID):
        await subscriptions.make_current(conn, may[0])
    if not bill:
        await alerts.clear(conn, organization_id, "two_subscriptions_bill")
    elif current is not None and current not in free and current.snapshot.state in BILLING:
        detail = f"{current.provider} {current.id} and {bill[0].provider} {bill[0].id}"
        await alerts.raise_(conn, organization_id, "two_subscriptions_bill", detail)


def _charged(migration: Migration, now: datetime) -> bool:
    return migration.first_charge_at is None or migration.first_charge_at <= now


async def link(conn: AsyncConnection, subscription: Subscription, told: Snapshot, *, now: datetime) -> Standing | None:
    """Make it the organization's current subscription, as a fresh GET told it; may open. Idempotent."""
    await standings.lock(conn, subscription.organization_id)
    await subscriptions.make_current(conn, subscription)
    await subscriptions.record(conn, subscription, told, now=now, confirmed=True)
    await parking.adopt_subscription(conn, subscription.provider, subscription.id, now)
    cause = f"subscription {subscription.id} linked"
    return await standings.settle(conn, subscription.organization_id, now=now, cause=cause, may_open=True)


async def block(conn: AsyncConnection, organization_id: str, held: HeldBlock, *, now: datetime) -> Standing | None:
    """Place a block and shut the gate in the same transaction. Idempotent."""
    if await standings.lock(conn, organization_id) is None:
        return None
    await standings.place_block(conn, organization_id, held)
    cause = f"{held.kind.value} block by {held.placed_by}: {held.reason}"
    return await standings.settle(conn, organization_id, now=now, cause=cause, may_open=False)


async def block_telephony(conn: AsyncConnection, organization_id: str, reason: str, *, now: datetime) -> None:
    """Twilio itself holds the subaccount: shut our gate, too, and tell a person, who lifts it. The caller commits."""
    held = HeldBlock(kind=Block.TELEPHONY, reference="", reason=reason, placed_by="twilio")
    await block(conn, organization_id, held, now=now)
    await alerts.raise_(conn, organization_id, "telephony", reason)


async def unblock(
    conn: AsyncConnection, organization_id: str, kind: Block, reference: str, *, by: str, now: datetime
) -> Standing | None:
    """Lift a block; whether the organization may send again is decided from all that is left. Idempotent."""
    if await standings.lock(conn, organization_id) is None:
        return None
    await standings.lift_block(conn, organization_id, kind, reference)
    cause = f"{kind.value} block lifted by {by}"
    return await standings.settle(conn, organization_id, now=now, cause=cause, may_open=True)
