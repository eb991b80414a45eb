"""An organization with its standing; and those that send by a messaging service."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.lifecycle.organizations import Organization, organization_of
from db.lifecycle.standings import standing_of
from db.tables.lifecycle import organizations, standings
from domain.lifecycle.standing import Standing

_ALL = select(organizations, standings).join(
    standings, standings.c.organization_id == organizations.c.id
)


@dataclass(frozen=True, slots=True)
class Listed:
    organization: Organization
    standing: Standing


async def get(conn: AsyncConnection, organization_id: str) -> Listed | None:
    row = (await conn.execute(_ALL.where(organizations.c.id == organization_id))).one_or_none()
    return None if row is None else _listed(row)


async def with_services(conn: AsyncConnection, *, after: str, limit: int) -> list[Organization]:
    """Those that may send by a messaging service, in order of id."""
    query = (
        select(organizations)
        .where(organizations.c.id > after, organizations.c.sender.startswith("MG"))
        .order_by(organizations.c.id)
        .limit(limit)
    )
    return [organization_of(row) for row in await conn.execute(query)]


def _listed(row: Row[Any]) -> Listed:
    return Listed(organization_of(row), standing_of(row))
