"""Pages of organizations that filters find, in a chosen order, with the figures of a list.

No order is by balance: an index of balances would have to change with every debit.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, case, false, or_, select, text, true, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from db.lifecycle.organizations import Organization, organization_of
from db.lifecycle.standings import standing_of
from db.tables.columns import written
from db.tables.lifecycle import SEARCHED, organizations, standings
from domain.lifecycle.order import Order
from domain.lifecycle.standing import Block, Standing, Status

FEW = 1_000
_MATCHES = f"{SEARCHED} @@ to_tsquery('simple', :sought)"
_FEW = text(f"SELECT id FROM organizations WHERE {_MATCHES} LIMIT {FEW + 1}")  # noqa: S608 - of constants
_NAMED = text("""
    SELECT id FROM organizations WHERE twilio_account_sid = :named
    UNION SELECT organization_id FROM subscriptions
    WHERE provider = ANY(ARRAY['paypal', 'stripe']) AND provider_subscription_id = :named
""")
_ALL = select(organizations, standings).join(
    standings, standings.c.organization_id == organizations.c.id
)
_OWING = """
    SELECT organization_id, CAST(sum(owed) AS bigint) AS owed FROM (
        SELECT organization_id, amount_micros - recovered_micros - waived_micros AS owed FROM carrier_debts
        WHERE recovered_micros + waived_micros < amount_micros
        UNION ALL
        SELECT organization_id, amount_micros - taken_micros - recovered_micros - waived_micros FROM reversals
        WHERE payment_kind = 'topup' AND returned_at IS NULL
          AND taken_micros + recovered_micros + waived_micros < amount_micros
    ) debts
"""
_DEBTORS = text(f"{_OWING} GROUP BY organization_id ORDER BY owed DESC, organization_id")
_OWED_BY = text(f"{_OWING} WHERE organization_id = ANY(:ids) GROUP BY organization_id")
_FIGURES = text("""
    SELECT s.organization_id, s.decided_at, s.stuck_step, s.stuck_reason, w.balance_micros,
           (SELECT count(*) FROM campaigns c
            WHERE c.organization_id = s.organization_id AND c.status = 'parked') AS parked
    FROM standings s JOIN wallets w USING (organization_id) WHERE s.organization_id = ANY(:ids)
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """`since`: when its status last changed."""

    since: datetime
    stuck_step: str | None
    stuck_reason: str | None
    balance_micros: int
    owed_micros: int
    parked_campaigns: int


@dataclass(frozen=True, slots=True)
class Listed:
    organization: Organization
    standing: Standing
    figures: Figures


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """`words` are the beginnings of words of the id and the name, all of which must be found;
    `named`, where given, may instead be the whole id of its subaccount or of a subscription.
    """

    status: Status | None = None
    block: Block | None = None
    stuck: bool | None = None
    words: Sequence[str] = ()
    named: str = ""


Place = tuple[Any, str]
"""Where a page ends: the value that the order compares, and the id."""


def words(query: str) -> list[str]:
    """What `Filters.words` takes: letters and digits only."""
    return re.findall(r"[^\W_]+", query.lower())


async def page(
    conn: AsyncConnection,
    filters: Filters,
    *,
    order: Order = Order.ID,
    after: Place | None,
    limit: int,
) -> list[Listed]:
    """In the order given, after `after` if given."""
    if filters.block is not None and filters.status is Status.ACTIVE:
        return []  # whoever is blocked is suspended
    query = await _filtered(conn, filters)
    if order is Order.OWED:
        rows = await _by_debt(conn, query, after, limit)
    elif order is Order.ID:
        behind = true() if after is None else organizations.c.id > after[1]
        rows = list(
            await conn.execute(query.where(behind).order_by(organizations.c.id).limit(limit))
        )
    else:
        rows = await _by_time(conn, query, filters, after, limit, newest=order is Order.NEWEST)
    found = await figures(conn, [row.id for row in rows])
    return [Listed(organization_of(row), standing_of(row), found[row.id]) for row in rows]


async def ids(conn: AsyncConnection, filters: Filters, *, limit: int) -> list[str]:
    """The ids of all that the filters find, in order."""
    if filters.block is not None and filters.status is Status.ACTIVE:
        return []
    found = (await _filtered(conn, filters)).with_only_columns(organizations.c.id)
    return list((await conn.execute(found.order_by(organizations.c.id).limit(limit))).scalars())


def place_of(listed: Listed, order: Order) -> Place:
    """What `page` takes as `after`."""
    value: Any = None
    if order is Order.OWED:
        value = listed.figures.owed_micros
    elif order is not Order.ID:
        value = listed.figures.since
    return value, listed.organization.id


async def figures(conn: AsyncConnection, ids: Sequence[str]) -> Mapping[str, Figures]:
    """Of each of these organizations."""
    owed = {row.organization_id: row.owed for row in await conn.execute(_OWED_BY, {"ids": ids})}
    return {
        row.organization_id: Figures(
            since=row.decided_at,
            stuck_step=row.stuck_step,
            stuck_reason=row.stuck_reason,
            balance_micros=row.balance_micros,
            owed_micros=owed.get(row.organization_id, 0),
            parked_campaigns=row.parked,
        )
        for row in await conn.execute(_FIGURES, {"ids": ids})
    }


async def _filtered(conn: AsyncConnection, filters: Filters) -> Select[Any]:
    query = _ALL
    if filters.status is not None:
        query = query.where(standings.c.status == filters.status.value)
    if filters.block is not None:
        # written out, as in the predicate of its index
        query = query.where(text(f"'{filters.block.value}' = ANY (standings.blocks)"))
    if filters.stuck is not None:
        step = standings.c.stuck_step
        query = query.where(step.is_not(None) if filters.stuck else step.is_(None))
    if filters.words:
        query = query.where(await _with_words(conn, filters))
    return query


async def _by_debt(
    conn: AsyncConnection, query: Select[Any], after: Place | None, limit: int
) -> list[Row[Any]]:
    """Few owe: their debts are added up and sorted, and read until the page is full."""
    debtors = [
        (-row.owed, row.organization_id)
        for row in await conn.execute(_DEBTORS)
        if after is None or (-row.owed, row.organization_id) > (-after[0], after[1])
    ]
    found: list[Row[Any]] = []
    for start in range(0, len(debtors), FEW):
        ids = [id_ for _, id_ in debtors[start : start + FEW]]
        rows = {row.id: row for row in await conn.execute(query.where(organizations.c.id.in_(ids)))}
        found += [rows[id_] for id_ in ids if id_ in rows]
        if len(found) >= limit:
            break
    return found[:limit]


async def _by_time(
    conn: AsyncConnection,
    query: Select[Any],
    filters: Filters,
    after: Place | None,
    limit: int,
    *,
    newest: bool,
) -> list[Row[Any]]:
    """Each status is read from its own place in an index, and the two are merged."""
    key = (standings.c.decided_at, standings.c.organization_id)
    if after is not None:
        compared, reached = tuple_(*key), tuple_(*after)
        query = query.where(compared < reached if newest else compared > reached)
    query = query.order_by(*(column.desc() if newest else column.asc() for column in key))
    statuses = [filters.status] if filters.status else list(Status)
    if filters.block is not None:
        statuses = [Status.SUSPENDED]
    found: list[Row[Any]] = []
    for status in statuses:
        of_status = query.where(standings.c.status == written(status.value)).limit(limit)
        found += await conn.execute(of_status)
    found.sort(key=lambda row: (row.decided_at, row.id), reverse=newest)
    return found[:limit]


async def _with_words(conn: AsyncConnection, filters: Filters) -> ColumnElement[bool]:
    """Few are looked up by their words; of many, a page is read in order and its rows compared.
    PostgreSQL knows too little of beginnings of words to choose between the two.
    """
    params = {"sought": " & ".join(f"'{word}':*" for word in filters.words)}
    found = list((await conn.execute(_FEW, params)).scalars())
    named = list((await conn.execute(_NAMED, {"named": filters.named})).scalars())
    if len(found) <= FEW:
        return organizations.c.id.in_(found + named)
    # a CASE, which no index answers, and of which half the rows are expected to be true
    matches = text(_MATCHES).bindparams(**params)
    return or_(case((matches, true()), else_=false()), organizations.c.id.in_(named))
