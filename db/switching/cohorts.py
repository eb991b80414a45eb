"""Cohorts of customers moving to another provider: who is next, their progress, and whether the
cohort is paused.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from db.tables.billing import subscriptions
from db.tables.switching import switch_cohorts, switches
from domain.billing.subscription import Provider
from domain.switching.switch import ERRORS, OVER, SwitchStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Cohort:
    """`paused`: why no further switch starts. The error budget counts switches that ended
    since `counted_since`.
    """

    paused: str | None
    counted_since: datetime
    ended: int
    errors: int

    @property
    def error_rate(self) -> float:
        """In percent."""
        return 100 * self.errors / self.ended if self.ended else 0.0


async def look(conn: AsyncConnection, target: Provider) -> Cohort:
    """The state of a cohort; the first call begins the count. The caller commits."""
    await conn.execute(
        upsert(switch_cohorts).values(target_provider=target.value).on_conflict_do_nothing()
    )
    of_target = switch_cohorts.c.target_provider == target.value
    row = (await conn.execute(select(switch_cohorts).where(of_target))).one()
    failed = switches.c.state.in_([state.value for state in ERRORS])
    ended = select(func.count().label("ended"), func.count().filter(failed).label("errors")).where(
        switches.c.target_provider == target.value, switches.c.ended_at >= row.counted_since
    )
    counted = (await conn.execute(ended)).one()
    return Cohort(
        paused=row.paused,
        counted_since=row.counted_since,
        ended=counted.ended,
        errors=counted.errors,
    )


async def pause(conn: AsyncConnection, target: Provider, reason: str) -> None:
    """Start no further switch; running ones continue. The caller commits."""
    await conn.execute(
        upsert(switch_cohorts)
        .values(target_provider=target.value, paused=reason)
        .on_conflict_do_update(index_elements=["target_provider"], set_={"paused": reason})
    )


async def resume(conn: AsyncConnection, target: Provider) -> None:
    """Reset the error count. The caller commits."""
    await conn.execute(
        update(switch_cohorts)
        .where(switch_cohorts.c.target_provider == target.value)
        .values(paused=None, counted_since=func.clock_timestamp())
    )


async def next_ones(
    conn: AsyncConnection, target: Provider, *, after: str, limit: int
) -> list[str]:
    """Organizations, by id, that pay elsewhere and never began a switch to the target."""
    begun = (
        select(switches.c.id)
        .where(switches.c.organization_id == subscriptions.c.organization_id)
        .where(switches.c.target_provider == target.value)
    )
    query = (
        select(subscriptions.c.organization_id)
        .where(subscriptions.c.is_current, subscriptions.c.provider != target.value)
        .where(subscriptions.c.organization_id > after, ~begun.exists())
        .order_by(subscriptions.c.organization_id)
        .limit(limit)
    )
    return list((await conn.execute(query)).scalars())


async def counts(conn: AsyncConnection, target: Provider) -> dict[SwitchStatus, int]:
    """The number of switches to the target in each state, in order of progress; ends last."""
    query = select(switches.c.state, func.count().label("number")).where(
        switches.c.target_provider == target.value
    )
    numbers = {
        SwitchStatus(row.state): row.number
        for row in await conn.execute(query.group_by(switches.c.state))
    }
    return {
        progress: numbers[progress]
        for progress in sorted(SwitchStatus, key=lambda progress: progress in OVER)
        if progress in numbers
    }


async def troubles(
    conn: AsyncConnection, target: Provider, *, limit: int
) -> list[tuple[str, SwitchStatus, str]]:
    """The newest errors: organization, end and reason."""
    query = (
        select(switches)
        .where(switches.c.target_provider == target.value)
        .where(switches.c.state.in_([state.value for state in ERRORS]))
        .order_by(switches.c.ended_at.desc())
        .limit(limit)
    )
    return [
        (row.organization_id, SwitchStatus(row.state), row.reason)
        for row in await conn.execute(query)
    ]
