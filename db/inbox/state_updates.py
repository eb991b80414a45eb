"""Applies webhooks, provider answers and operator actions to the recorded state, and decides the
standing from it.

A webhook may only close. A provider's answer to a GET may open if it is newer than what shut the
gate, or stays the same for a while: a read may lag behind the webhook. Each function holds the
organization's lock and leaves the commit to its caller.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from db import alerts
from db.billing import decisions, subscriptions
from db.billing.decisions import Facts
from db.inbox import deliveries, owners
from db.inbox.deliveries import Delivery
from db.inbox.snapshots import confirm
from db.lifecycle import standings
from db.lifecycle.standings import HeldBlock
from db.pipeline import together
from domain.alerts import AlertKind
from domain.billing.deliveries import InboxStatus
from domain.billing.events import BillingEvent, EventKind
from domain.billing.subscription import Snapshot, State, Subscription
from domain.lifecycle import evidence
from domain.lifecycle.evidence import EventEffect
from domain.lifecycle.standing import Block, Standing


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A stored delivery. `named` is the organization that it belongs to now, `effect` what it did;
    None: it was not applied.
    """

    delivery: Delivery
    named: str | None
    effect: EventEffect | None


async def receive(
    conn: AsyncConnection,
    event: BillingEvent,
    raw: bytes,
    headers: Mapping[str, str],
    *,
    now: datetime,
) -> Received:
    """Store a verified delivery and apply it in one transaction: the gate is shut when the caller
    has committed.

    A duplicate is applied now if its first delivery was not. If a delivery is not kept, only its
    subscription's state is applied: nothing would query its dispute later and lift the block.
    """
    standing = await _lock_subject(conn, event)
    return await _receive(conn, standing, event, raw, headers, now=now)


async def receive_at_once(
    conn: AsyncConnection,
    event: BillingEvent,
    raw: bytes,
    headers: Mapping[str, str],
    *,
    now: datetime,
) -> Received | None:
    """Like `receive`, but stores nothing and returns None if another transaction has the
    organization's lock, or if the event names no linked subscription.
    """
    if event.subscription_id is None:
        return None
    standing = await standings.lock_subscriber(
        conn, event.provider, event.subscription_id, wait=False
    )
    if standing is None:
        return None
    return await _receive(conn, standing, event, raw, headers, now=now)


async def _receive(
    conn: AsyncConnection,
    standing: Standing | None,
    event: BillingEvent,
    raw: bytes,
    headers: Mapping[str, str],
    *,
    now: datetime,
) -> Received:
    named = None if standing is None else standing.organization_id
    delivery = await deliveries.receive(conn, event, raw, headers, named)
    if named is not None and event.problem is not None and delivery.deliveries == 1:
        await alerts.raise_(
            conn,
            named,
            AlertKind.NOT_UNDERSTOOD,
            f"{event.event_type} {event.event_id}: {event.problem}",
        )
    if named is not None and event.kind is EventKind.FRAUD_WARNING and delivery.deliveries == 1:
        await alerts.raise_(
            conn, named, AlertKind.FRAUD_WARNING, f"{event.event_type} about {event.payment_id}"
        )
    due = delivery.status is InboxStatus.UNHANDLED and not delivery.folded
    if standing is None or not due or not (delivery.kept or event.snapshot is not None):
        return Received(delivery=delivery, named=named, effect=None)
    effect = await _fold(conn, standing, delivery, event, now=now, sure=False)
    return Received(delivery=delivery, named=named, effect=effect)


async def apply_event(
    conn: AsyncConnection,
    delivery: Delivery,
    event: BillingEvent,
    *,
    now: datetime,
    sure: bool = False,
) -> EventEffect:
    """Apply a stored webhook to the standing, closing only; `sure` shuts even if its time is
    unclear.
    """
    standing = None
    if delivery.organization_id is not None:
        standing = await standings.lock(conn, delivery.organization_id)
    if standing is None:
        return EventEffect.NOTED
    return await _fold(conn, standing, delivery, event, now=now, sure=sure)


async def _lock_subject(conn: AsyncConnection, event: BillingEvent) -> Standing | None:
    if event.subscription_id is not None:
        standing = await standings.lock_subscriber(conn, event.provider, event.subscription_id)
        if standing is not None:
            return standing
    named = await owners.of_event(conn, event)
    return None if named is None else await standings.lock(conn, named)


async def _fold(
    conn: AsyncConnection,
    standing: Standing,
    delivery: Delivery,
    event: BillingEvent,
    *,
    now: datetime,
    sure: bool,
) -> EventEffect:
    facts = await decisions.facts(conn, standing.organization_id)
    subject = await _subject(conn, facts, standing.organization_id, event)
    cause = f"{event.event_type} {event.event_id}"
    async with together(conn):
        effect, facts = await _record(
            conn, facts, subject, standing.organization_id, event, now=now, sure=sure
        )
        if effect is EventEffect.SHUT:
            after = await decisions.settle_locked(
                conn, standing, facts, now=now, cause=cause, may_open=False
            )
            effect = EventEffect.SHUT if after.epoch != standing.epoch else EventEffect.NOTED
        if effect is not EventEffect.UNCLEAR:
            await deliveries.mark_folded(conn, delivery, effect.value)
    return effect


async def _subject(
    conn: AsyncConnection, facts: Facts, organization_id: str, event: BillingEvent
) -> Subscription | None:
    """The organization's subscription that the event concerns."""
    current = facts.current
    if event.subscription_id is None:
        return None
    if current is not None and (current.provider, current.id) == (
        event.provider,
        event.subscription_id,
    ):
        return current
    other = (
        await subscriptions.find(conn, event.provider, event.subscription_id)
        if facts.others
        else None
    )
    return other if other is not None and other.organization_id == organization_id else None


async def _record(
    conn: AsyncConnection,
    facts: Facts,
    subject: Subscription | None,
    organization_id: str,
    event: BillingEvent,
    *,
    now: datetime,
    sure: bool,
) -> tuple[EventEffect, Facts]:
    """Record what closes. SHUT means that something was written; the returned facts include it.

    A report that closes a subscription which is not current keeps it from taking over until its
    provider was queried.
    """
    if event.kind is EventKind.DISPUTE_OPENED and event.money is not None:
        reason = f"{event.event_type} {event.event_id}"
        block = HeldBlock(
            kind=Block.DISPUTE,
            reference=event.money.id,
            reason=reason,
            placed_by=event.provider.value,
        )
        await standings.place_block(conn, organization_id, block)
        return EventEffect.SHUT, replace(facts, blocks=facts.blocks | {Block.DISPUTE})
    snapshot = event.snapshot
    if (
        subject is not None
        and subject.is_current
        and snapshot is not None
        and snapshot.state is State.UNKNOWN
    ):
        await alerts.raise_(
            conn,
            organization_id,
            AlertKind.UNKNOWN_STATUS,
            f"{event.provider}: {snapshot.raw_status!r}",
        )
    effect, word = evidence.effect(event, subject, facts.policy, now, sure=sure)
    if subject is None or word is None:
        return effect, facts
    recorded = await subscriptions.note_word(conn, subject, word)
    return effect, replace(facts, current=recorded) if effect is EventEffect.SHUT else facts


async def clear_up(
    conn: AsyncConnection,
    delivery: Delivery,
    event: BillingEvent,
    answer: Snapshot,
    *,
    outcome: str,
    now: datetime,
) -> None:
    """Apply the provider's answer about an unclear event; the event shuts the gate unless the answer
    includes it.

    `outcome` is written to the inbox. Opens nothing.
    """
    if delivery.organization_id is not None:
        await standings.lock(conn, delivery.organization_id)
    await deliveries.mark_folded(conn, delivery, outcome)
    if not evidence.knows(answer, event.snapshot, now) or answer.state is State.UNKNOWN:
        await apply_event(conn, delivery, event, now=now, sure=True)
    subscription = await subscriptions.find(conn, event.provider, event.subscription_id or "")
    if subscription is not None:
        cause = f"{event.event_type} {event.event_id}"
        await confirm(conn, subscription, answer, now=now, cause=cause, may_open=False)
