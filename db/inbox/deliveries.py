"""The inbox: stores every verified webhook delivery once, before anything else; deliveries are
handled from here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Row,
    Text,
    bindparam,
    case,
    delete,
    func,
    insert,
    literal_column,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from db.tables.columns import written
from db.tables.inbox import inbox, repeated_deliveries
from domain.billing.deliveries import InboxStatus
from domain.billing.events import BillingEvent, EventKind, MoneyObject, MoneyReference
from domain.billing.subscription import Provider

LISTED = "listed:"
"""Prefix of the transmission id of an event that the provider listed and never delivered."""
KEPT_HEADERS = (
    *(f"{provider}-" for provider in Provider),
    "correlation-id",
    "user-agent",
    "content-type",
)
"""Prefixes of the names of the stored headers; the signature headers must be among them."""
MOST_BODIES = 20
"""The most bodies of one transmission that are stored. A genuine transmission has one."""
UNKNOWN = "unknown "
"""Prefix of the outcome of a parked delivery that is retried automatically."""
UNDECIDED = f"{UNKNOWN}yet: "
NOT_UNDERSTOOD = "not understood: "
"""Prefix of the outcome of a delivery that the provider has not decided yet."""
FIRST_RETRY = timedelta(seconds=5)
LAST_RETRY = timedelta(hours=24)


COLUMNS = tuple(column for column in inbox.c if column.name not in ("body", "headers"))
_BODIES_BEFORE: ColumnElement[int] = literal_column(
    "(SELECT count(*) FROM inbox other"
    " WHERE other.provider = inbox.provider AND other.transmission_id = inbox.transmission_id)"
)
"""Column of an insert's result: how many bodies its transmission had before."""
_STORE = (
    upsert(inbox)
    .on_conflict_do_nothing()
    .returning(*COLUMNS, _BODIES_BEFORE.label("bodies_before"))
)
_FOLDED = (
    update(inbox)
    .where(inbox.c.id == bindparam("delivery_id"))
    .values(
        folded_at=func.clock_timestamp(),
        outcome=case(
            (inbox.c.outcome == "", bindparam("effect", type_=Text)), else_=inbox.c.outcome
        ),
    )
)
_HANDLED = (
    update(inbox)
    .where(inbox.c.id == func.any(bindparam("delivery_ids", type_=ARRAY(BigInteger))))
    .where(inbox.c.status == written(InboxStatus.UNHANDLED.value))
    .where(
        inbox.c.organization_id
        == func.coalesce(bindparam("of_organization", type_=Text), inbox.c.organization_id)
    )
    .values(
        status=InboxStatus.HANDLED.value,
        handled_at=func.clock_timestamp(),
        outcome=func.coalesce(func.nullif(bindparam("said", type_=Text), ""), inbox.c.outcome),
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A row of the inbox, without its body. Not `kept`: its transmission had too many bodies."""

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
    kept: bool = True


async def receive(
    conn: AsyncConnection,
    event: BillingEvent,
    raw: bytes,
    headers: Mapping[str, str],
    organization_id: str | None,
) -> Delivery:
    """Store a verified delivery, each body of an event once; repetitions of the same bytes are
    counted in `deliveries`.

    PayPal signs a checksum of the body, so two bodies may share a transmission or an event id, and
    it is unknown which one is genuine: both are kept, and the provider is queried about what they
    name. A transmission with more than `MOST_BODIES` bodies is forged: the delivery is returned,
    not `kept`. The caller commits before it answers.
    """
    stored = await _store(conn, event, raw, headers, organization_id)
    if stored is None:
        return read(await _count_again(conn, event, raw, organization_id))
    if event.transmission_id is None or stored.bodies_before < MOST_BODIES:
        return read(stored)
    await conn.execute(delete(inbox).where(inbox.c.id == stored.id))
    return replace(read(stored), kept=False)


async def _count_again(
    conn: AsyncConnection, event: BillingEvent, raw: bytes, organization_id: str | None
) -> Row[Any]:
    """Assign a delivery that was parked because its organization was unknown."""
    await conn.execute(insert(repeated_deliveries).values(provider=event.provider.value))
    again = await conn.execute(
        update(inbox)
        .where(
            inbox.c.provider == event.provider.value,
            inbox.c.event_id == event.event_id,
            inbox.c.body == raw,
        )
        .values(deliveries=inbox.c.deliveries + 1)
        .returning(*COLUMNS)
    )
    row = again.one()
    waits = (
        row.status == InboxStatus.PARKED
        and row.organization_id is None
        and row.outcome.startswith(UNKNOWN)
    )
    if not waits or organization_id is None:
        return row
    return await assign(conn, row.id, organization_id, now=datetime.now(UTC))


async def assign(
    conn: AsyncConnection, delivery_id: int, organization_id: str, *, now: datetime
) -> Row[Any]:
    """Assign the delivery to the organization: its lifecycle handles it, and is due to be notified
    at once. The caller commits.
    """
    assigned = await conn.execute(
        update(inbox)
        .where(inbox.c.id == delivery_id)
        .values(
            organization_id=organization_id,
            status=InboxStatus.UNHANDLED.value,
            outcome="",
            next_attempt_at=now,
        )
        .returning(*COLUMNS)
    )
    return assigned.one()


async def _store(
    conn: AsyncConnection,
    event: BillingEvent,
    raw: bytes,
    headers: Mapping[str, str],
    organization_id: str | None,
) -> Row[Any] | None:
    status, outcome = _first_status(event, organization_id)
    values = {
        "provider": event.provider.value,
        "event_id": event.event_id,
        "transmission_id": event.transmission_id,
        "event_type": event.event_type,
        "kind": event.kind.value,
        "body": raw,
        "headers": {
            name: value for name, value in headers.items() if name.startswith(KEPT_HEADERS)
        },
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
    if status is InboxStatus.PARKED:  # what it waits for may arrive at any moment
        values["next_attempt_at"] = datetime.now(UTC) + FIRST_RETRY
    stored = await conn.execute(_STORE, values)
    row: Row[Any] | None = stored.one_or_none()
    return row


async def mark_folded(conn: AsyncConnection, delivery: Delivery, outcome: str) -> None:
    """Record that the webhook was applied, and its outcome in words. The caller commits."""
    await conn.execute(_FOLDED, {"delivery_id": delivery.id, "effect": outcome})


async def mark_handled(
    conn: AsyncConnection,
    delivery_ids: Sequence[int],
    outcome: str = "",
    *,
    organization_id: str | None = None,
) -> None:
    """Mark as handled, except those that the lifecycle parked or assigned to another organization.

    An empty `outcome` keeps an earlier outcome. The caller commits.
    """
    params = {
        "delivery_ids": list(delivery_ids),
        "said": outcome,
        "of_organization": organization_id,
    }
    await conn.execute(_HANDLED, params)


def _first_status(event: BillingEvent, organization_id: str | None) -> tuple[InboxStatus, str]:
    if event.problem is not None:
        return InboxStatus.PARKED, f"{NOT_UNDERSTOOD}{event.problem}"
    if event.kind is EventKind.IGNORED:
        return InboxStatus.HANDLED, "nothing to do for this type of event"
    if organization_id is None:
        return InboxStatus.PARKED, _whose(event)
    return InboxStatus.UNHANDLED, ""


def _whose(event: BillingEvent) -> str:
    if event.subscription_id is not None:
        return f"unknown subscription {event.subscription_id}"
    return (
        f"unknown {event.money.kind.value} {event.money.id}" if event.money else "unknown subject"
    )


def read(row: Any) -> Delivery:
    """The delivery in a row of the table."""
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
        money=MoneyReference(kind=MoneyObject(row.money_kind), id=row.money_id)
        if row.money_id
        else None,
        status=InboxStatus(row.status),
        outcome=row.outcome,
        deliveries=row.deliveries,
        folded=row.folded_at is not None,
    )
