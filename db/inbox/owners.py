"""Finds the organization that owns a provider object: by our own rows first, then by the custom id
of the host application.
"""

from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.tables.billing import payments, subscriptions
from db.tables.lifecycle import organizations
from domain.billing.events import BillingEvent
from domain.billing.subscription import Provider


async def of_event(conn: AsyncConnection, event: BillingEvent) -> str | None:
    """The organization that a webhook names; only the provider's answer to a GET confirms it."""
    return await find(
        conn,
        event.provider,
        subscription_ids=[event.subscription_id],
        payment_ids=[event.payment_id, event.money.id if event.money else None],
        custom_ids=[event.custom_id],
    )


async def find(
    conn: AsyncConnection,
    provider: Provider,
    *,
    subscription_ids: Iterable[str | None] = (),
    payment_ids: Iterable[str | None] = (),
    custom_ids: Iterable[str | None] = (),
) -> str | None:
    """The organization that has one of the subscriptions, or else one of the payments, or else the
    named id.
    """
    ids = [id_ for id_ in subscription_ids if id_ is not None]
    if ids:
        query = select(subscriptions.c.organization_id).where(
            subscriptions.c.provider == provider.value,
            subscriptions.c.provider_subscription_id.in_(ids),
        )
        if (owner := (await conn.execute(query.limit(1))).scalar_one_or_none()) is not None:
            return str(owner)
    ids = [id_ for id_ in payment_ids if id_ is not None]
    if ids:
        query = select(payments.c.organization_id).where(
            payments.c.provider == provider.value, payments.c.object_id.in_(ids)
        )
        if (owner := (await conn.execute(query.limit(1))).scalar_one_or_none()) is not None:
            return str(owner)
    ids = [named for id_ in custom_ids if (named := organization_named(id_))]
    if ids:
        query = select(organizations.c.id).where(organizations.c.id.in_(ids))
        if (owner := (await conn.execute(query.limit(1))).scalar_one_or_none()) is not None:
            return str(owner)
    return None


def organization_named(custom_id: str | None) -> str:
    """The organization id in a custom id, which may be followed by a colon and text of the host
    application.
    """
    return (custom_id or "").split(":", 1)[0]
