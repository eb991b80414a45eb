"""Applies a provider's answer to a GET to the recorded state.

It may open the gate if it is newer than what shut it, or stays the same for a while: a read may lag
behind the webhook. Each function holds the organization's lock and leaves the commit to its caller.
"""

from dataclasses import replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from db import alerts
from db.billing import decisions, subscriptions
from db.billing.decisions import Facts
from db.inbox import parking
from db.lifecycle import standings
from db.switching import succession, switches
from domain.alerts import AlertKind
from domain.billing.subscription import BILLING, Snapshot, State, Subscription
from domain.lifecycle import evidence
from domain.lifecycle.standing import Standing


async def confirm(
    conn: AsyncConnection,
    subscription: Subscription,
    answer: Snapshot,
    *,
    now: datetime,
    cause: str,
    may_open: bool,
) -> Standing | None:
    """Apply the provider's own answer to a GET; an answer that is not accepted yet changes nothing
    (`ask_again`).

    None: there is no such organization, or the subscription belongs to another one.
    """
    organization_id = subscription.organization_id
    standing = await standings.lock(conn, organization_id)
    if standing is None:
        return None
    facts = await decisions.facts(conn, organization_id)
    recorded = await _recorded(conn, facts, subscription)
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
        facts = await _write(conn, facts, recorded, believed, now)
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


async def _recorded(
    conn: AsyncConnection, facts: Facts, subscription: Subscription
) -> Subscription | None:
    """As it stands under the lock; the caller may have read it before."""
    current = facts.current
    if current is not None and (current.provider, current.id) == (
        subscription.provider,
        subscription.id,
    ):
        return current
    return await subscriptions.find(conn, subscription.provider, subscription.id)


async def _write(
    conn: AsyncConnection,
    facts: Facts,
    recorded: Subscription,
    believed: Subscription,
    now: datetime,
) -> Facts:
    """Record an answer that counts; it may make another subscription the current one."""
    organization_id = believed.organization_id
    await subscriptions.write(conn, believed, before=recorded)
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
    """Make it the organization's current subscription and apply its fresh GET; may open.
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
    """Apply closing events that arrived before the subscription was linked, if `answer` is older and
    may be stale.
    """
    word = await parking.closing_word(
        conn, subscription.provider, subscription.id, since=answer.as_of
    )
    if word is not None and answer.state is not word.state:
        await subscriptions.note_word(conn, subscription, word)
