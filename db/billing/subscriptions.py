"""Subscriptions as their providers last reported them; each organization has exactly one current
subscription.
"""

from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Text, and_, bindparam, delete, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from db.billing import paid_back
from db.events import log
from db.tables.billing import subscriptions
from domain.billing.subscription import (
    ENDED,
    Debt,
    Provider,
    Snapshot,
    State,
    Subscription,
    Word,
    add_word,
)
from domain.events.catalogue import EventType
from domain.money import Money

_SELECT = select(subscriptions, paid_back.AT.label("paid_back_at"))
_OF_ORGANIZATION = _SELECT.where(
    subscriptions.c.organization_id == bindparam("organization_id", type_=Text)
).order_by(subscriptions.c.is_current.desc(), subscriptions.c.linked_at.desc())
_RECORD = (
    update(subscriptions)
    .where(subscriptions.c.organization_id == bindparam("of_organization", type_=Text))
    .where(subscriptions.c.provider == bindparam("of_provider", type_=Text))
    .where(subscriptions.c.provider_subscription_id == bindparam("of_subscription", type_=Text))
)


async def current(conn: AsyncConnection, organization_id: str) -> Subscription | None:
    query = _SELECT.where(
        subscriptions.c.organization_id == organization_id, subscriptions.c.is_current
    )
    row = (await conn.execute(query)).one_or_none()
    return None if row is None else read(row)


async def of_organization(conn: AsyncConnection, organization_id: str) -> list[Subscription]:
    """All subscriptions of the organization, the current one first."""
    return [
        read(row)
        for row in await conn.execute(_OF_ORGANIZATION, {"organization_id": organization_id})
    ]


async def find(
    conn: AsyncConnection, provider: Provider, subscription_id: str
) -> Subscription | None:
    query = _SELECT.where(
        subscriptions.c.provider == provider.value,
        subscriptions.c.provider_subscription_id == subscription_id,
    )
    row = (await conn.execute(query)).one_or_none()
    return None if row is None else read(row)


async def by_checkout_key(
    conn: AsyncConnection, organization_id: str, key: str
) -> Subscription | None:
    query = _SELECT.where(
        subscriptions.c.organization_id == organization_id, subscriptions.c.checkout_key == key
    )
    row = (await conn.execute(query)).one_or_none()
    return None if row is None else read(row)


async def add(
    conn: AsyncConnection,
    organization_id: str,
    provider: Provider,
    subscription_id: str,
    *,
    checkout_url: str | None = None,
    checkout_key: str | None = None,
    checkout_plan_id: str | None = None,
) -> bool:
    """Note a subscription of the organization, not yet as its current one; False if it was noted
    before.
    """
    added = await conn.execute(
        upsert(subscriptions)
        .values(
            organization_id=organization_id,
            provider=provider.value,
            provider_subscription_id=subscription_id,
            is_current=False,
            state=State.NONE.value,
            checkout_url=checkout_url,
            checkout_key=checkout_key,
            checkout_plan_id=checkout_plan_id,
        )
        .on_conflict_do_nothing(index_elements=["provider", "provider_subscription_id"])
        .returning(subscriptions.c.organization_id)
    )
    return added.one_or_none() is not None


async def make_current(conn: AsyncConnection, subscription: Subscription) -> None:
    """Make the subscription current: it decides from now on. The caller holds the organization's
    standing.
    """
    await conn.execute(
        update(subscriptions)
        .where(
            subscriptions.c.organization_id == subscription.organization_id,
            subscriptions.c.is_current,
            ~and_(*_key(subscription)),
        )
        .values(is_current=False)
    )
    changed = await conn.execute(
        update(subscriptions)
        .where(*_key(subscription), ~subscriptions.c.is_current)
        .values(is_current=True)
    )
    if changed.rowcount:
        await _tell(conn, EventType.SUBSCRIPTION_LINKED, subscription)


async def completed(
    conn: AsyncConnection, checkout: Subscription, subscription_id: str
) -> Subscription | None:
    """Give a completed checkout the id of its subscription. Idempotent.

    None if the subscription belongs to another organization. The caller holds the organization's
    standing and commits.
    """
    subscription = await find(conn, checkout.provider, subscription_id)
    if subscription is None:
        row = update(subscriptions).where(*_key(checkout))
        await conn.execute(row.values(provider_subscription_id=subscription_id))
        completed = replace(checkout, id=subscription_id)
        if checkout.is_current and checkout.id != subscription_id:
            await _tell(conn, EventType.SUBSCRIPTION_LINKED, completed)
        return completed
    if subscription.organization_id != checkout.organization_id:
        return None
    await conn.execute(delete(subscriptions).where(*_key(checkout)))
    if not checkout.is_current:
        return subscription
    await make_current(conn, subscription)
    return replace(subscription, is_current=True)


async def write(conn: AsyncConnection, subscription: Subscription, *, before: Subscription) -> None:
    """Write the result of `confirmed`. The caller holds the organization's standing, and has read
    `before` under it.
    """
    await conn.execute(_RECORD, _values(subscription))
    state = subscription.snapshot.state
    if state in ENDED and before.snapshot.state not in ENDED:
        await _tell(conn, EventType.SUBSCRIPTION_ENDED, subscription, state=state.value)


async def note_word(conn: AsyncConnection, subscription: Subscription, new: Word) -> Subscription:
    """Record a webhook's word in addition to the confirmed state. The caller holds the
    organization's standing.

    An answer that contradicted an earlier word has not contradicted this one yet.
    """
    word = add_word(subscription.word, new)
    await conn.execute(
        _RECORD, _key_values(subscription) | _word_values(word) | {"doubted_at": None}
    )
    return replace(subscription, word=word, doubted_at=None)


async def doubt(conn: AsyncConnection, subscription: Subscription, *, now: datetime) -> None:
    """Record when the provider's answer first contradicted what shut the gate. The caller holds the
    standing.
    """
    if subscription.doubted_at is None:
        await conn.execute(_RECORD, _key_values(subscription) | {"doubted_at": now})


async def note_pending(conn: AsyncConnection, subscription: Subscription) -> None:
    """Store a new checkout without a consent yet. The caller holds the standing."""
    await conn.execute(_RECORD, _key_values(subscription) | {"state": State.PENDING.value})


async def raise_alert(conn: AsyncConnection, subscription: Subscription, alert: str) -> None:
    """Note what an operator must look at; the next confirmed snapshot clears it."""
    await conn.execute(update(subscriptions).where(*_key(subscription)).values(alert=alert))


async def _tell(
    conn: AsyncConnection, type_: EventType, subscription: Subscription, **more: str
) -> None:
    data = {"provider": subscription.provider.value, "subscription_id": subscription.id}
    await log.append(conn, type_, subscription.organization_id, data | more)


def _key(subscription: Subscription) -> tuple[Any, ...]:
    return (
        subscriptions.c.organization_id == subscription.organization_id,
        subscriptions.c.provider == subscription.provider.value,
        subscriptions.c.provider_subscription_id == subscription.id,
    )


def _key_values(subscription: Subscription) -> dict[str, Any]:
    return {
        "of_organization": subscription.organization_id,
        "of_provider": subscription.provider.value,
        "of_subscription": subscription.id,
    }


def _word_values(word: Word | None) -> dict[str, Any]:
    return {
        "word_state": word.state.value if word else None,
        "word_as_of": word.as_of if word else None,
        "word_until": word.until if word else None,
        "word_since": word.since if word else None,
    }


def _values(recorded: Subscription) -> dict[str, Any]:
    snapshot, debt = recorded.snapshot, recorded.debt
    return (
        _key_values(recorded)
        | _word_values(recorded.word)
        | {
            "state": snapshot.state.value,
            "raw_status": snapshot.raw_status,
            "as_of": snapshot.as_of,
            "access_until": snapshot.access_until,
            "paid_until": snapshot.paid_until,
            "paid_from": snapshot.paid_from,
            "paid_at": snapshot.paid_at,
            "past_due_since": debt.since if debt else None,
            "shut_for_debt": debt is not None and debt.shut,
            "doubted_at": recorded.doubted_at,
            "confirmed_at": recorded.confirmed_at,
            "alert": recorded.alert,
            "outstanding_micros": snapshot.outstanding.micros if snapshot.outstanding else None,
            "outstanding_currency": snapshot.outstanding.currency if snapshot.outstanding else None,
            "failed_payments": snapshot.failed_payments,
        }
    )


def read(row: Row[Any]) -> Subscription:
    """The subscription in a row of the table, whatever else was selected with it."""
    outstanding = None
    if row.outstanding_micros is not None:
        outstanding = Money(row.outstanding_micros, row.outstanding_currency)
    return Subscription(
        organization_id=row.organization_id,
        provider=Provider(row.provider),
        id=row.provider_subscription_id,
        is_current=row.is_current,
        snapshot=Snapshot(
            state=State(row.state),
            raw_status=row.raw_status,
            as_of=row.as_of,
            access_until=row.access_until,
            paid_until=row.paid_until,
            paid_from=row.paid_from,
            paid_at=row.paid_at,
            outstanding=outstanding,
            failed_payments=row.failed_payments,
        ),
        debt=None
        if row.past_due_since is None
        else Debt(since=row.past_due_since, shut=row.shut_for_debt),
        word=None if row.word_state is None else _word(row),
        doubted_at=row.doubted_at,
        confirmed_at=row.confirmed_at,
        alert=row.alert,
        checkout_url=row.checkout_url,
        checkout_plan_id=row.checkout_plan_id,
        paid_back_at=row.paid_back_at,
        linked_at=row.linked_at,
    )


def _word(row: Row[Any]) -> Word:
    return Word(
        state=State(row.word_state),
        as_of=row.word_as_of,
        until=row.word_until,
        since=row.word_since,
    )
