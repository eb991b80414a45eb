"""What subaccounts cost whether they are used or not: read once a day where it matters, and the
reserve that follows from it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.billing import receivables
from db.carrier import policies
from db.lifecycle import organizations, standings
from db.tables.carrier import recurring_costs
from db.wallet import reserves
from domain.carrier.recurring import (
    SHORT_CODES,
    CostKind,
    Lease,
    RecurringCost,
    daily_micros,
)
from domain.money import Money

NO_RATE = "no exchange rate from Twilio's currency to the wallet's is set"
EVERY, AGAIN = timedelta(days=1), timedelta(minutes=15)
"""How often a subaccount is read, and when again after a reading that failed."""
_DUE = text("""
    WITH concerned AS (
        SELECT id FROM organizations WHERE reserve_days > 0
        UNION SELECT organization_id FROM standings WHERE status = 'suspended'
    ), due AS (
        SELECT c.id, o.twilio_account_sid FROM concerned c JOIN organizations o USING (id)
        LEFT JOIN recurring_readings r ON r.organization_id = c.id
        WHERE coalesce(r.due_at, '-infinity') <= :now ORDER BY r.due_at NULLS FIRST LIMIT :limit
    ), taken AS (
        INSERT INTO recurring_readings AS r (organization_id, due_at)
        SELECT id, :again FROM due ORDER BY id
        ON CONFLICT (organization_id) DO UPDATE SET due_at = excluded.due_at WHERE r.due_at <= :now
        RETURNING organization_id
    )
    SELECT due.id, due.twilio_account_sid FROM due JOIN taken ON taken.organization_id = due.id
""")
_MONTH = text("""
    SELECT category, currency, sum(cost_micros) AS micros FROM (
        SELECT DISTINCT ON (day, category) category, currency, cost_micros FROM carrier_charges
        WHERE organization_id = :of AND day > :since ORDER BY day, category, revision DESC
    ) newest GROUP BY category, currency
""")
_LEASE = text("""
    SELECT currency, coalesce(sum(cost_micros) FILTER (WHERE day > :quarter), 0) AS quarter,
           sum(cost_micros) AS year
    FROM (
        SELECT DISTINCT ON (day) day, currency, cost_micros FROM carrier_charges
        WHERE organization_id = :of AND category = :category AND day > :year
        ORDER BY day, revision DESC
    ) newest GROUP BY currency ORDER BY year DESC LIMIT 1
""")
_NOTE = text("""
    INSERT INTO recurring_readings (organization_id, read_at, due_at, daily_micros, problem)
    VALUES (:of, :now, :due, :daily, :problem)
    ON CONFLICT (organization_id) DO UPDATE
    SET read_at = excluded.read_at, due_at = excluded.due_at, daily_micros = excluded.daily_micros,
        problem = excluded.problem
""")
_READING = text(
    "SELECT read_at, daily_micros, problem FROM recurring_readings WHERE organization_id = :of"
)
_OF_SUSPENDED = text("""
    SELECT currency, count(*) AS organizations, sum(daily_micros) AS daily
    FROM standings s CROSS JOIN LATERAL (
        SELECT daily_micros, currency FROM recurring_readings r JOIN wallets w USING (organization_id)
        WHERE r.organization_id = s.organization_id AND daily_micros > 0 OFFSET 0) costing
    WHERE s.status = 'suspended' GROUP BY currency ORDER BY currency
""")
_SUSPENDED_SINCE = text("""
    SELECT decided_at FROM standings WHERE organization_id = :of AND status = 'suspended'
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recurring:
    """As of `read_at`, None before the first reading. `daily_micros` are of the wallet's currency;
    None if there is no rate for it.
    """

    costs: Sequence[RecurringCost] = ()
    read_at: datetime | None = None
    daily_micros: int | None = None
    problem: str | None = None
    suspended_since: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Costing:
    """What suspended organizations with wallets of one currency cost together."""

    organizations: int
    daily: Money


async def of_suspended(conn: AsyncConnection) -> list[Costing]:
    return [
        Costing(organizations=row.organizations, daily=Money(int(row.daily), row.currency))
        for row in await conn.execute(_OF_SUSPENDED)
    ]


async def take_due(conn: AsyncConnection, *, now: datetime, limit: int) -> list[tuple[str, str]]:
    """Organizations that reserve or are suspended and are to be read now, with their subaccounts;
    each is due again soon, until its reading is recorded. The caller commits.
    """
    params = {"now": now, "again": now + AGAIN, "limit": limit}
    return [(row.id, row.twilio_account_sid) for row in await conn.execute(_DUE, params)]


async def month(
    conn: AsyncConnection, organization_id: str, *, now: datetime
) -> dict[tuple[str, str], int]:
    """What Twilio charged in the last 31 days, by category and currency."""
    since = (now - timedelta(days=31)).date()
    rows = await conn.execute(_MONTH, {"of": organization_id, "since": since})
    return {(row.category, row.currency): int(row.micros) for row in rows}


async def lease(conn: AsyncConnection, organization_id: str, *, now: datetime) -> Lease:
    """What Twilio charged for short codes."""
    params = {
        "of": organization_id,
        "category": SHORT_CODES,
        "quarter": (now - timedelta(days=93)).date(),
        "year": (now - timedelta(days=366)).date(),
    }
    row = (await conn.execute(_LEASE, params)).one_or_none()
    if row is None:
        return Lease(quarter_micros=0, year_micros=0, currency="USD")
    return Lease(quarter_micros=int(row.quarter), year_micros=int(row.year), currency=row.currency)


async def record(
    conn: AsyncConnection, organization_id: str, costs: Sequence[RecurringCost], *, now: datetime
) -> None:
    """Replace what was known by what was read, and keep the reserve. Locks the standing, then the
    wallet; the caller commits.
    """
    await standings.lock(conn, organization_id)
    organization = await organizations.get(conn, organization_id)
    if organization is None:
        return
    of = recurring_costs.c.organization_id == organization_id
    await conn.execute(delete(recurring_costs).where(of))
    if costs:
        await conn.execute(
            insert(recurring_costs),
            [
                {
                    "organization_id": organization_id,
                    "kind": cost.kind.value,
                    "reference_id": cost.reference,
                    "name": cost.name,
                    "monthly_micros": cost.monthly_micros,
                    "currency": cost.currency,
                    "answers": cost.answers,
                }
                for cost in costs
            ],
        )
    rates = await policies.exchange_rates(conn)
    daily = daily_micros(costs, organization.currency, rates)
    noted = {"of": organization_id, "now": now, "due": now + EVERY, "daily": daily}
    await conn.execute(_NOTE, noted | {"problem": NO_RATE if daily is None else None})
    await keep_reserve(conn, organization_id, now=now)


async def keep_reserve(conn: AsyncConnection, organization_id: str, *, now: datetime) -> None:
    """Reserve what the policy and the newest reading say; what is let go covers debts first. Locks
    the standing, then the wallet; the caller commits.
    """
    await standings.lock(conn, organization_id)
    organization = await organizations.get(conn, organization_id)
    if organization is None:
        return
    daily = (await get(conn, organization_id)).daily_micros or 0
    wanted = daily * organization.funds.reserve_days
    await reserves.want(conn, organization_id, wanted, now=now)
    await receivables.recover(conn, organization_id, now=now)


async def get(conn: AsyncConnection, organization_id: str) -> Recurring:
    reading = (await conn.execute(_READING, {"of": organization_id})).one_or_none()
    since = (await conn.execute(_SUSPENDED_SINCE, {"of": organization_id})).scalar_one_or_none()
    if reading is None:
        return Recurring(suspended_since=since)
    query = (
        select(recurring_costs)
        .where(recurring_costs.c.organization_id == organization_id)
        .order_by(recurring_costs.c.kind, recurring_costs.c.reference_id)
    )
    return Recurring(
        costs=tuple(
            RecurringCost(
                kind=CostKind(row.kind),
                reference=row.reference_id,
                name=row.name,
                monthly_micros=row.monthly_micros,
                currency=row.currency,
                answers=row.answers,
            )
            for row in await conn.execute(query)
        ),
        read_at=reading.read_at,
        daily_micros=reading.daily_micros,
        problem=reading.problem,
        suspended_since=since,
    )
