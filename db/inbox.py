"""The inbox: every verified webhook delivery is stored here before anything else, once, and is handled from here."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ARRAY, BigInteger, Row, Text, bindparam, case, func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from db.tables import inbox, organizations, payments, subscriptions
from domain.events import BillingEvent, EventKind, MoneyObject, MoneyReference
from domain.subscription import Provider

LISTED = "listed:"
"""Begins the transmission id of what no transmission brought: the provider listed it."""
KEPT_HEADERS = (*(f"{provider}-" for provider in Provider), "correlation-id", "user-agent", "content-type")
"""How the names of those begin that are stored: what signs a delivery has to be among them."""
FIRST_RETRY = timedelta(seconds=5)
LAST_RETRY = timedelta(hours=24)


class InboxStatus(StrEnum):
    """`PARKED` waits for something that is not there yet, or for a person: it is retried, and shown."""

    UNHANDLED = "unhandled"
    PARKED = "parked"
    HANDLED = "handled"


_DELIVERY = tuple(column for column in inbox.c if column.name not in ("body", "headers"))
_UNHANDLED = (
    select(*_DELIVERY)
    .where(inbox.c.organization_id == bindparam("organization_id", type_=Text))
    .where(inbox.c.status == InboxStatus.UNHANDLED.value)
    .order_by(inbox.c.id)
    .limit(500)
)
_STORE = upsert(inbox).on_conflict_do_nothing().returning(*_DELIVERY)
_FOLDED = (
    update(inbox)
    .where(inbox.c.id == bindparam("delivery_id"))
    .values(
        folded_at=func.clock_timestamp(),
        outcome=case((inbox.c.outcome == "", bindparam("heard", type_=Text)), else_=inbox.c.outcome),
    )
)
_HANDLED = (
    update(inbox)
    .where(inbox.c.id == func.any(bindparam("delivery_ids", type_=ARRAY(BigInteger))))
    .where(inbox.c.status == InboxStatus.UNHANDLED.value)
    .values(
        status=InboxStatus.HANDLED.value,
        handled_at=func.clock_timestamp(),
        outcome=func.coalesce(func.nullif(bindparam("said", type_=Text), ""), inbox.c.outcome),
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A row of the inbox, without its body."""

    id: int
    provider: Provider
    event_id: str
    event_type: str
    kind: EventKind
    received_at: datetime
    occurred_at: datetime | None
    organization_id: str | None
    subscription_id: str | None
    money: MoneyReference | None
    status: InboxStatus
    outcome: str
    deliveries: int
    folded: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What has not been handled; `oldest` is how long the oldest unhandled delivery waits."""

    unhandled: int
    parked: int
    oldest: timedelta


async def receive(
    conn: AsyncConnection, event: BillingEvent, raw: bytes, headers: Mapping[str, str], organization_id: str | None
) -> Delivery:
    """Store a verified delivery, once per event id and per transmission id; a repeat is counted in `deliveries`.

    An event id that comes again with another body and another transmission is kept as an event of its own
    (PayPal's simulator reuses ids); one with the same transmission is a forgery or a repeat, and stops here.
    The caller commits before it answers.
    """
    event_id = event.event_id
    row = await _store(conn, event_id, event, raw, headers, organization_id)
    if row is None:
        before = await _find(conn, event.provider, event_id)
        if before is not None and before.body != raw and _of_another(before.transmission_id, event.transmission_id):
            event_id = f"{event_id}#{hashlib.sha256(raw).hexdigest()[:16]}"
            row = await _store(conn, event_id, event, raw, headers, organization_id)
    if row is not None:
        return read(row)
    same = inbox.c.event_id == event_id
    if event.transmission_id is not None:
        same |= inbox.c.transmission_id == event.transmission_id
    again = await conn.execute(
        update(inbox)
        .where(inbox.c.provider == event.provider.value, same)
        .values(deliveries=inbox.c.deliveries + 1)
        .returning(*_DELIVERY)
    )
    found = again.all()
    if event.transmission_id is not None and len(found) == 1 and _was_listed(found[0].transmission_id):
        await conn.execute(  # so that nobody brings another body under the headers that came late
            update(inbox).where(inbox.c.id == found[0].id).values(transmission_id=event.transmission_id)
        )
    return read(found[0])


def _of_another(before: str | None, now: str | None) -> bool:
    """Whether two transmissions of one event id may be of two events; what was listed was not transmitted at all."""
    return before != now and not _was_listed(before) and not _was_listed(now)


def _was_listed(transmission_id: str | None) -> bool:
    return (transmission_id or "").startswith(LISTED)


async def _store(
    conn: AsyncConnection,
    event_id: str,
    event: BillingEvent,
    raw: bytes,
    headers: Mapping[str, str],
    organization_id: str | None,
) -> Row[Any] | None:
    status, outcome = _first_status(event, organization_id)
    values = {
        "provider": event.provider.value,
        "event_id": event_id,
        "transmission_id": event.transmission_id,
        "event_type": event.event_type,
        "kind": event.kind.value,
        "body": raw,
        "headers": {name: value for name, value in headers.items() if name.startswith(KEPT_HEADERS)},
        "occurred_at": event.occurred_at,
        "organization_id": organization_id,
        "provider_subscription_id": event.subscription_id,
        "custom_id": event.custom_id,
        "payment_id": event.payment_id,
        "money_kind": event.money.kind.value if event.money else None,
        "money_id": event.money.id if event.money else None,
        "status": status.value,
        "outcome": outcome,
        "handled_at": datetime.now(UTC) if status is InboxStatus.HANDLED else None,
    }
    if status is InboxStatus.PARKED:  # what it waits for may be on its way in this very moment
        values["next_attempt_at"] = datetime.now(UTC) + FIRST_RETRY
    stored = await conn.execute(_STORE, values)
    row: Row[Any] | None = stored.one_or_none()
    return row


async def mark_folded(conn: AsyncConnection, delivery: Delivery, outcome: str) -> None:
    """The webhook's own fold is done; what it changed, in words. The caller commits."""
    await conn.execute(_FOLDED, {"delivery_id": delivery.id, "heard": outcome})


async def unhandled(conn: AsyncConnection, organization_id: str) -> list[Delivery]:
    """What waits for this organization's lifecycle, oldest first."""
    return [read(row) for row in await conn.execute(_UNHANDLED, {"organization_id": organization_id})]


async def mark_handled(conn: AsyncConnection, delivery_ids: Sequence[int], outcome: str = "") -> None:
    """The lifecycle has acted on these, but for those it parked; an earlier outcome is kept if `outcome` is empty."""
    await conn.execute(_HANDLED, {"delivery_ids": list(delivery_ids), "said": outcome})


async def of_organization(conn: AsyncConnection, organization_id: str, *, limit: int) -> list[Delivery]:
    """The newest first."""
    query = select(inbox).where(inbox.c.organization_id == organization_id).order_by(inbox.c.id.desc()).limit(limit)
    return [read(row) for row in await conn.execute(query)]


async def parked(conn: AsyncConnection, *, limit: int) -> list[Delivery]:
    """The oldest first, whoever they belong to."""
    query = select(inbox).where(inbox.c.status == InboxStatus.PARKED.value).order_by(inbox.c.id).limit(limit)
    return [read(row) for row in await conn.execute(query)]


async def backlog(conn: AsyncConnection) -> Backlog:
    waits = inbox.c.status == InboxStatus.UNHANDLED.value
    query = select(
        func.count().filter(waits).label("unhandled"),
        func.count().filter(~waits).label("parked"),
        (func.clock_timestamp() - func.min(inbox.c.received_at).filter(waits)).label("oldest"),
    ).where(inbox.c.status != InboxStatus.HANDLED.value)
    row = (await conn.execute(query)).one()
    return Backlog(unhandled=row.unhandled, parked=row.parked, oldest=row.oldest or timedelta())


def backoff(attempts: int) -> timedelta:
    return min(FIRST_RETRY * (1 << min(attempts, 20)), LAST_RETRY)


def _first_status(event: BillingEvent, organization_id: str | None) -> tuple[InboxStatus, str]:
    if event.problem is not None:
        return InboxStatus.PARKED, f"not understood: {event.problem}"
    if event.kind is EventKind.IGNORED:
        return InboxStatus.HANDLED, "nothing to do for this type of event"
    if organization_id is None:
        return InboxStatus.PARKED, _whose(event)
    return InboxStatus.UNHANDLED, ""


def _whose(event: BillingEvent) -> str:
    if event.subscription_id is not None:
        return f"unknown subscription {event.subscription_id}"
    return f"unknown {event.money.kind.value} {event.money.id}" if event.money else "unknown subject"


async def organization_of(conn: AsyncConnection, event: BillingEvent) -> str | None:
    """Our own row for the subscription or the payment wins; a top-up is the organization's that its custom id names."""
    if event.subscription_id is not None:
        query = select(subscriptions.c.organization_id).where(
            subscriptions.c.provider == event.provider.value,
            subscriptions.c.provider_subscription_id == event.subscription_id,
        )
        return (await conn.execute(query)).scalar_one_or_none()
    ids = [one for one in (event.payment_id, event.money.id if event.money else None) if one is not None]
    if ids:
        query = select(payments.c.organization_id).where(
            payments.c.provider == event.provider.value, payments.c.object_id.in_(ids)
        )
        found: str | None = (await conn.execute(query.limit(1))).scalar_one_or_none()
        if found is not None:
            return found
    named = organization_named(event.custom_id)
    query = select(organizations.c.id).where(organizations.c.id == named)
    return (await conn.execute(query)).scalar_one_or_none()


def organization_named(custom_id: str | None) -> str:
    """A custom id is an organization's id, optionally followed by a colon and the host application's own words."""
    return (custom_id or "").split(":", 1)[0]


async def _find(conn: AsyncConnection, provider: Provider, event_id: str) -> Any:
    query = select(inbox.c.body, inbox.c.transmission_id).where(
        inbox.c.provider == provider.value, inbox.c.event_id == event_id
    )
    return (await conn.execute(query)).one_or_none()


def read(row: Any) -> Delivery:
    """A row of the table."""
    return Delivery(
        id=row.id,
        provider=Provider(row.provider),
        event_id=row.event_id,
        event_type=row.event_type,
        kind=EventKind(row.kind),
        received_at=row.received_at,
        occurred_at=row.occurred_at,
        organization_id=row.organization_id,
        subscription_id=row.provider_subscription_id,
        money=MoneyReference(kind=MoneyObject(row.money_kind), id=row.money_id) if row.money_id else None,
        status=InboxStatus(row.status),
        outcome=row.outcome,
        deliveries=row.deliveries,
        folded=row.folded_at is not None,
    )
