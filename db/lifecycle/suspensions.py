"""Suspensions sent to Twilio: whether a suspended subaccount may be the effect of a late call of
ours.

A call under way when its worker is presumed dead may arrive after the reactivation that overtook
it. Each call is noted before it is sent, and the note is removed when certainly no call is under
way any more.
"""

from datetime import datetime, timedelta

from sqlalchemy import null, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.lifecycle import standings as standing
from db.tables.lifecycle import organizations, standings
from domain.lifecycle.standing import Standing, Status

OURS_FOR = timedelta(days=1)
"""This long after a call was sent, an unrequested suspension is considered its late effect."""


async def send(
    conn: AsyncConnection, organization_id: str, epoch: int, *, now: datetime
) -> str | None:
    """Note that the subaccount is about to be suspended for this epoch, and return its sid.

    None: the epoch has changed, and nothing may be sent. The caller commits before it sends.
    """
    noted = await conn.execute(
        update(standings)
        .where(standings.c.organization_id == organization_id, standings.c.epoch == epoch)
        .values(suspension_sent_at=now)
        .returning(standings.c.organization_id)
    )
    if noted.one_or_none() is None:
        return None
    query = select(organizations.c.twilio_account_sid).where(organizations.c.id == organization_id)
    account: str | None = (await conn.execute(query)).scalar_one_or_none()
    return account


async def arrived(conn: AsyncConnection, organization_id: str) -> None:
    """The only call under way was answered: a later suspension is not ours. The caller commits."""
    await conn.execute(
        update(standings)
        .where(standings.c.organization_id == organization_id)
        .values(suspension_sent_at=null())
    )


async def take_back(conn: AsyncConnection, active: Standing, *, now: datetime) -> bool:
    """Have the subaccount reactivated if a late call of ours suspended it; once for each call.

    The caller holds the standing, which is active and applied, commits, and notifies the
    organization.
    """
    if active.status is not Status.ACTIVE or active.behind:
        return False
    taken = await conn.execute(
        update(standings)
        .where(standings.c.organization_id == active.organization_id)
        .where(standings.c.suspension_sent_at > now - OURS_FOR)
        .values(suspension_sent_at=null())
        .returning(standings.c.organization_id)
    )
    if taken.one_or_none() is None:
        return False
    await standing.mark_unapplied(conn, active.organization_id)
    return True
