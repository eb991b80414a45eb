"""Organizations with their standings, one by id or a page of those that filters find."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Row, case, false, select, text, true
from sqlalchemy.ext.asyncio import AsyncConnection

from db.lifecycle.organizations import Organization, organization_of
from db.lifecycle.standings import standing_of
from db.tables.lifecycle import SEARCHED, organizations, standings
from domain.lifecycle.standing import Block, Standing, Status

FEW = 1_000
_MATCHES = f"{SEARCHED} @@ to_tsquery('simple', :sought)"
_FEW = text(f"SELECT id FROM organizations WHERE {_MATCHES} LIMIT {FEW + 1}")  # noqa: S608 - of constants
_ALL = select(organizations, standings).join(
    standings, standings.c.organization_id == organizations.c.id
)


@dataclass(frozen=True, slots=True)
class Listed:
    organization: Organization
    standing: Standing


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """`words` are the beginnings of words of the id and the name, all of which must be found."""

    status: Status | None = None
    block: Block | None = None
    words: Sequence[str] = ()


def words(query: str) -> list[str]:
    """What `Filters.words` takes: letters and digits only."""
    return re.findall(r"[^\W_]+", query.lower())


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


async def page(
    conn: AsyncConnection, filters: Filters, *, after: str | None, limit: int
) -> list[Listed]:
    """In order of id, after `after` if given."""
    if filters.block is not None and filters.status is Status.ACTIVE:
        return []  # whoever is blocked is suspended
    query = _ALL.order_by(organizations.c.id).limit(limit)
    if after is not None:
        query = query.where(organizations.c.id > after)
    if filters.status is not None:
        query = query.where(standings.c.status == filters.status.value)
    if filters.block is not None:
        # written out, as in the predicate of its index
        query = query.where(text(f"'{filters.block.value}' = ANY (standings.blocks)"))
    if filters.words:
        query = query.where(await _with_words(conn, filters.words))
    return [_listed(row) for row in await conn.execute(query)]


async def _with_words(conn: AsyncConnection, words: Sequence[str]) -> ColumnElement[bool]:
    """Few are looked up by their words; of many, a page is read in order and its rows compared.
    PostgreSQL knows too little of beginnings of words to choose between the two.
    """
    params = {"sought": " & ".join(f"'{word}':*" for word in words)}
    found = (await conn.execute(_FEW, params)).scalars().all()
    if len(found) <= FEW:
        return organizations.c.id.in_(found)
    # a CASE, which no index answers, and of which half the rows are expected to be true
    matches = text(_MATCHES).bindparams(**params)
    return case((matches, true()), else_=false())


def _listed(row: Row[Any]) -> Listed:
    return Listed(organization_of(row), standing_of(row))
