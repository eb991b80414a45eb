"""Suspensions sent to Twilio: whether a subaccount that is suspended may be so by a call of ours
that came late.

A call that is under way when its worker is taken for dead may arrive after the reactivation that
overtook it. What is sent is noted before, and the note is taken away when it is certain that no
call is under way any more.
"""

from datetime import datetime, timedelta

from sqlalchemy import null, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.lifecycle import standings as standing
from db.tables.lifecycle import organizations, standings
from domain.lifecycle.standing import Standing, Status

OURS_FOR = timedelta(days=1)
"""So long after a call was sent, a suspension that nobody asked for is taken for its late
effect.
"""


async def send(
    conn: AsyncConnection, organization_id: str, epoch: int, *, now: datetime
) -> str | None:
    """Note that the subaccount is about to be suspended for this epoch, and return its sid.

    None: the epoch is another one by now, and nothing may be sent. The caller commits before it
    sends.
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
    """The only call that was sent has been answered: a later suspension is not ours. The caller
    commits.
    """
    await conn.execute(
        update(standings)
        .where(standings.c.organization_id == organization_id)
        .values(suspension_sent_at=null())
    )


async def take_back(conn: AsyncConnection, active: Standing, *, now: datetime) -> bool:
    """Have the subaccount reactivated if its suspension is a late call's of ours; once for each
    call.

    The caller holds the standing, which is active and applied, commits, and rings the organization.
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
