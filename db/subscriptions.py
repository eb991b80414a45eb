"""Subscriptions as their providers last told them; exactly one of an organization's is the current one."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Text, bindparam, delete, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from db.tables import subscriptions
from domain.money import Money
from domain.subscription import Provider, Snapshot, State

_OF_ORGANIZATION = (
    select(subscriptions)
    .where(subscriptions.c.organization_id == bindparam("organization_id", type_=Text))
    .order_by(subscriptions.c.is_current.desc(), subscriptions.c.linked_at.desc())
)
_RECORD = (
    update(subscriptions)
    .where(subscriptions.c.organization_id == bindparam("of_organization", type_=Text))
    .where(subscriptions.c.provider == bindparam("of_provider", type_=Text))
    .where(subscriptions.c.provider_subscription_id == bindparam("of_subscription", type_=Text))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """`confirmed_at` is when the provider was last asked; None while only a webhook has told of it."""

    organization_id: str
    provider: Provider
    id: str
    is_current: bool
    snapshot: Snapshot
    past_due_since: datetime | None
    confirmed_at: datetime | None
    alert: str | None
    checkout_url: str | None
    checkout_plan_id: str | None = None


async def current(conn: AsyncConnection, organization_id: str) -> Subscription | None:
    query = select(subscriptions).where(subscriptions.c.organization_id == organization_id, subscriptions.c.is_current)
    row = (await conn.execute(query)).one_or_none()
    return None if row is None else read(row)


async def of_organization(conn: AsyncConnection, organization_id: str) -> list[Subscription]:
    """All of them, the current one first."""
    return [read(row) for row in await conn.execute(_OF_ORGANIZATION, {"organization_id": organization_id})]


async def find(conn: AsyncConnection, provider: Provider, subscription_id: str) -> Subscription | None:
    query = select(subscriptions).where(
        subscriptions.c.provider == provider.value, subscriptions.c.provider_subscription_id == subscription_id
    )
    row = (await conn.execute(query)).one_or_none()
    return None if row is None else read(row)


async def by_checkout_key(conn: AsyncConnection, organization_id: str, key: str) -> Subscription | None:
    query = select(subscriptions).where(
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
    """Note a subscription as the organization's, not yet its current one; False if it was noted before."""
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
    """Name the subscription that decides from now on. The caller holds the organization's standing."""
    await conn.execute(
        update(subscriptions)
        .where(subscriptions.c.organization_id == subscription.organization_id, subscriptions.c.is_current)
        .values(is_current=False)
    )
    await conn.execute(update(subscriptions).where(*_key(subscription)).values(is_current=True))


async def completed(conn: AsyncConnection, checkout: Subscription, subscription_id: str) -> Subscription | None:
    """The customer completed a checkout: what stood for it has the subscription's own id from now on. Idempotent.

    None if the subscription is another organization's. The caller holds the organization's standing and commits.
    """
    known = await find(conn, checkout.provider, subscription_id)
    if known is None:
        row = update(subscriptions).where(*_key(checkout))
        await conn.execute(row.values(provider_subscription_id=subscription_id))
        return replace(checkout, id=subscription_id)
    if known.organization_id != checkout.organization_id:
        return None
    await conn.execute(delete(subscriptions).where(*_key(checkout)))
    if not checkout.is_current:
        return known
    await make_current(conn, known)
    return replace(known, is_current=True)


async def record(
    conn: AsyncConnection, subscription: Subscription, told: Snapshot, *, now: datetime, confirmed: bool
) -> Subscription:
    """Write what the provider told and return it as it stands then; what is no longer told (paid until) is kept.

    The caller holds the organization's standing and has decided that `told` counts.
    """
    past_due_since = subscription.past_due_since
    if told.state is not State.PAST_DUE:
        past_due_since = None
    elif past_due_since is None:
        past_due_since = min(told.as_of or now, now)
    kept = replace(
        told,
        as_of=told.as_of or subscription.snapshot.as_of,
        access_until=told.access_until or subscription.snapshot.access_until,
    )
    recorded = replace(subscription, snapshot=kept, past_due_since=past_due_since)
    values = _values(recorded)
    if confirmed:
        recorded = replace(recorded, confirmed_at=now, alert=None)
        values |= {"confirmed_at": now, "alert": None}
    await conn.execute(_RECORD, values)
    return recorded


async def raise_alert(conn: AsyncConnection, subscription: Subscription, alert: str) -> None:
    """Note what an operator must look at; the next confirmed snapshot clears it."""
    await conn.execute(update(subscriptions).where(*_key(subscription)).values(alert=alert))


def _key(subscription: Subscription) -> tuple[Any, ...]:
    return (
        subscriptions.c.organization_id == subscription.organization_id,
        subscriptions.c.provider == subscription.provider.value,
        subscriptions.c.provider_subscription_id == subscription.id,
    )


def _values(recorded: Subscription) -> dict[str, Any]:
    told = recorded.snapshot
    return {
        "of_organization": recorded.organization_id,
        "of_provider": recorded.provider.value,
        "of_subscription": recorded.id,
        "state": told.state.value,
        "raw_status": told.raw_status,
        "as_of": told.as_of,
        "access_until": told.access_until,
        "past_due_since": recorded.past_due_since,
        "outstanding_micros": told.outstanding.micros if told.outstanding else None,
        "outstanding_currency": told.outstanding.currency if told.outstanding else None,
        "failed_payments": told.failed_payments,
    }


def read(row: Row[Any]) -> Subscription:
    """A row of the table, whatever else was selected with it."""
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
            outstanding=outstanding,
            failed_payments=row.failed_payments,
        ),
        past_due_since=row.past_due_since,
        confirmed_at=row.confirmed_at,
        alert=row.alert,
        checkout_url=row.checkout_url,
        checkout_plan_id=row.checkout_plan_id,
    )
