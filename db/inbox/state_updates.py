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
from db.inbox import deliveries, owners, parking
from db.inbox.deliveries import Delivery, InboxStatus
from db.lifecycle import standings
from db.lifecycle.standings import HeldBlock
from db.pipeline import together
from db.switching import succession, switches
from domain.alerts import AlertKind
from domain.billing.events import BillingEvent, EventKind
from domain.billing.subscription import BILLING, Snapshot, State, Subscription
from domain.lifecycle import evidence
from domain.lifecycle.evidence import EventEffect
from domain.lifecycle.standing import Block, Standing

ALERT_OF = {Block.TELEPHONY: AlertKind.TELEPHONY, Block.DISPUTE: AlertKind.DISPUTE_LOST}
"""The alert that is open while there is a block of the kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A stored delivery. `named` is the organization that it belongs to now, `effect` what it did;
    None: it was not folded.
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
    """Store a verified delivery and fold it in one transaction: the gate is shut when the caller
    has committed.

    A duplicate is folded now if its first delivery was not. If a delivery is not kept, only its
    subscription's state is folded: nothing would query its dispute later and lift the block.
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
    """`receive`, but None, with nothing stored, if it would wait for the organization's lock, or if
    the subscription does not name the organization.
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
    """Fold a stored webhook into the standing, closing only; `sure` shuts even if its time is
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
    """Fold the provider's answer about an unclear event; the event shuts the gate unless the answer
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


async def confirm(
    conn: AsyncConnection,
    subscription: Subscription,
    answer: Snapshot,
    *,
    now: datetime,
    cause: str,
    may_open: bool,
) -> Standing | None:
    """Fold the provider's own answer to a GET; an answer that is not accepted yet changes nothing
    (`ask_again`).

    None: there is no such organization, or the subscription belongs to another one.
    """
    organization_id = subscription.organization_id
    standing = await standings.lock(conn, organization_id)
    if standing is None:
        return None
    facts = await decisions.facts(conn, organization_id)
    current = facts.current
    recorded: Subscription | None = current
    if current is None or (current.provider, current.id) != (
        subscription.provider,
        subscription.id,
    ):
        recorded = await subscriptions.find(conn, subscription.provider, subscription.id)
    if (
        recorded is not None
        and answer.subscription_id is not None
        and answer.subscription_id != recorded.id
    ):
        recorded = await _complete(conn, recorded, answer.subscription_id, now)
        facts = await decisions.facts(conn, organization_id)
    if recorded is None:
        return None
    believed = (
        None
        if answer.state is State.UNKNOWN
        else evidence.believe(recorded, answer, facts.policy, now)
    )
    if answer.state is State.UNKNOWN:
        detail = (
            f"{recorded.provider} reports status {answer.raw_status!r} for subscription "
            f"{recorded.id}"
        )
        await subscriptions.raise_alert(conn, recorded, detail)
        await alerts.raise_(conn, organization_id, AlertKind.UNKNOWN_STATUS, detail)
    elif believed is None:
        await subscriptions.doubt(conn, recorded, now=now)
    else:
        facts = await _write(conn, facts, believed, now)
    after = await decisions.settle_locked(
        conn, standing, facts, now=now, cause=cause, may_open=may_open
    )
    billed = (
        facts.current is not None
        and {facts.current.snapshot.state, recorded.snapshot.state} <= BILLING
    )
    if after != standing or not billed:
        await succession.note_whether_billed(conn, after, facts)
    await switches.note_late_stop(conn, recorded, answer)
    return replace(after, ask_again=believed is None and answer.state is not State.UNKNOWN)


async def _write(
    conn: AsyncConnection, facts: Facts, believed: Subscription, now: datetime
) -> Facts:
    """Record an answer that counts; it may make another subscription the current one."""
    organization_id = believed.organization_id
    await subscriptions.write(conn, believed)
    if believed.is_current:
        facts = replace(facts, current=believed)
    checked = (
        await subscriptions.of_organization(conn, organization_id) if facts.others else [believed]
    )
    if AlertKind.UNKNOWN_STATUS in facts.alerts and all(
        subscription.alert is None for subscription in checked
    ):
        await alerts.clear(conn, organization_id, AlertKind.UNKNOWN_STATUS)
    if facts.others:
        await succession.name_current(conn, organization_id, now)
        facts = await decisions.facts(conn, organization_id)
    return facts


async def _complete(
    conn: AsyncConnection, checkout: Subscription, subscription_id: str, now: datetime
) -> Subscription | None:
    completed = await subscriptions.completed(conn, checkout, subscription_id)
    if completed is None:
        detail = (
            f"checkout {checkout.id} became {checkout.provider} {subscription_id}, which is linked "
            "to another organization"
        )
        await alerts.raise_(
            conn, checkout.organization_id, AlertKind.SUBSCRIPTION_OF_ANOTHER, detail
        )
        return None
    await switches.completed(conn, checkout, completed.id)
    await parking.adopt_subscription(conn, completed.provider, completed.id, now)
    return completed


async def link(
    conn: AsyncConnection, subscription: Subscription, answer: Snapshot, *, now: datetime
) -> Standing | None:
    """Make it the organization's current subscription and fold its fresh GET; may open.
    Idempotent.
    """
    await standings.lock(conn, subscription.organization_id)
    await subscriptions.make_current(conn, subscription)
    await note_earlier_events(conn, subscription, answer)
    await parking.adopt_subscription(conn, subscription.provider, subscription.id, now)
    await alerts.clear(conn, subscription.organization_id, AlertKind.SUBSCRIPTION_NOT_LINKED)
    cause = f"subscription {subscription.id} linked"
    return await confirm(conn, subscription, answer, now=now, cause=cause, may_open=True)


async def note_earlier_events(
    conn: AsyncConnection, subscription: Subscription, answer: Snapshot
) -> None:
    """Fold closing events that arrived before the subscription was linked, if `answer` is older and
    may be stale.
    """
    word = await parking.closing_word(
        conn, subscription.provider, subscription.id, since=answer.as_of
    )
    if word is not None and answer.state is not word.state:
        await subscriptions.note_word(conn, subscription, word)


async def block(
    conn: AsyncConnection, organization_id: str, new_block: HeldBlock, *, now: datetime
) -> Standing | None:
    """Place a block and shut the gate in the same transaction. Idempotent."""
    if await standings.lock(conn, organization_id) is None:
        return None
    await standings.place_block(conn, organization_id, new_block)
    cause = f"{new_block.kind.value} block by {new_block.placed_by}: {new_block.reason}"
    return await decisions.settle(conn, organization_id, now=now, cause=cause, may_open=False)


async def block_telephony(
    conn: AsyncConnection, organization_id: str, reason: str, *, now: datetime
) -> None:
    """Twilio itself suspended the subaccount: shut our gate and alert a person, who lifts the
    block. The caller commits.
    """
    new_block = HeldBlock(kind=Block.TELEPHONY, reference="", reason=reason, placed_by="twilio")
    await block(conn, organization_id, new_block, now=now)
    await alerts.raise_(conn, organization_id, ALERT_OF[Block.TELEPHONY], reason)


async def unblock(
    conn: AsyncConnection,
    organization_id: str,
    kind: Block,
    reference: str,
    *,
    by: str,
    now: datetime,
) -> Standing | None:
    """Lift a block and decide from the remaining facts whether the organization may send.
    Idempotent.
    """
    if await standings.lock(conn, organization_id) is None:
        return None
    await standings.lift_block(conn, organization_id, kind, reference)
    if kind in ALERT_OF and all(
        block.kind is not kind for block in await standings.held_blocks(conn, organization_id)
    ):
        await alerts.clear(conn, organization_id, ALERT_OF[kind])
    cause = f"{kind.value} block lifted by {by}"
    return await decisions.settle(conn, organization_id, now=now, cause=cause, may_open=True)
