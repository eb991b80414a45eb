"""The deliveries that are not handled yet, and those of an organization."""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Text, bindparam, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.inbox.deliveries import COLUMNS, UNDECIDED, UNKNOWN, Delivery, read
from db.tables.columns import written
from db.tables.inbox import inbox
from domain.billing.deliveries import InboxStatus
from domain.billing.events import EventKind, MoneyObject

_UNHANDLED = (
    select(*COLUMNS)
    .where(inbox.c.organization_id == bindparam("organization_id", type_=Text))
    .where(inbox.c.status == written(InboxStatus.UNHANDLED.value))
    .order_by(inbox.c.id)
    .limit(500)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """The unhandled deliveries; `oldest` is how long the oldest of them has waited."""

    unhandled: int
    parked: int
    oldest: timedelta


async def unhandled(conn: AsyncConnection, organization_id: str) -> list[Delivery]:
    """The deliveries that wait for this organization's lifecycle, oldest first."""
    return [
        read(row) for row in await conn.execute(_UNHANDLED, {"organization_id": organization_id})
    ]


async def waiting_organizations(conn: AsyncConnection) -> list[str]:
    """The organizations with such deliveries."""
    query = select(inbox.c.organization_id).where(
        inbox.c.status == written(InboxStatus.UNHANDLED.value),
        inbox.c.organization_id.is_not(None),
    )
    return list((await conn.execute(query.distinct())).scalars())


async def of_organization(
    conn: AsyncConnection, organization_id: str, *, limit: int
) -> list[Delivery]:
    """The organization's deliveries, newest first."""
    query = (
        select(inbox)
        .where(inbox.c.organization_id == organization_id)
        .order_by(inbox.c.id.desc())
        .limit(limit)
    )
    return [read(row) for row in await conn.execute(query)]


async def backlog(conn: AsyncConnection) -> Backlog:
    """Count the unhandled deliveries. `parked` are those that need a person: not those that the
    provider has not decided, nor those that will be dismissed automatically because they carry no
    money and name no organization.
    """
    waits = inbox.c.status == written(InboxStatus.UNHANDLED.value)
    no_money = inbox.c.money_id.is_(None) | (inbox.c.money_kind == MoneyObject.CHECKOUT.value)
    no_money |= inbox.c.kind.in_([EventKind.PAYMENT_FAILED.value, EventKind.PAYMENT_PENDING.value])
    by_itself = inbox.c.outcome.startswith(UNDECIDED) | (
        inbox.c.organization_id.is_(None) & no_money & inbox.c.outcome.startswith(UNKNOWN)
    )
    query = select(
        func.count().filter(waits).label("unhandled"),
        func.count().filter(~waits, ~by_itself).label("parked"),
        (func.clock_timestamp() - func.min(inbox.c.received_at).filter(waits)).label("oldest"),
    ).where(inbox.c.status != written(InboxStatus.HANDLED.value))
    row = (await conn.execute(query)).one()
    return Backlog(unhandled=row.unhandled, parked=row.parked, oldest=row.oldest or timedelta())
