"""Suspensions sent to Twilio: whether a suspended subaccount may be the effect of a late call of
ours.

A call under way when its worker is presumed dead may arrive after the reactivation that overtook
it. Each call is noted before it is sent, and the note is removed when certainly no call is under
way any more.
"""

from datetime import datetime, timedelta

from sqlalchemy import BigInteger, Text, bindparam, null, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.lifecycle import standings as standing
from db.tables.lifecycle import organizations, standings
from domain.lifecycle.standing import Standing, Status

OURS_FOR = timedelta(days=1)
"""This long after a call was sent, an unrequested suspension is considered its late effect."""

_OF_ORGANIZATION = update(standings).where(
    standings.c.organization_id == bindparam("of_organization", type_=Text)
)
_NOTE_SENT = (
    _OF_ORGANIZATION.where(
        standings.c.epoch == bindparam("at", type_=BigInteger),
        organizations.c.id == standings.c.organization_id,
    )
    .values(suspension_sent_at=bindparam("now"))
    .returning(organizations.c.twilio_account_sid)
)
_NOTE_ARRIVED = _OF_ORGANIZATION.values(suspension_sent_at=null())


async def send(
    conn: AsyncConnection, organization_id: str, epoch: int, *, now: datetime
) -> str | None:
    """Note that the subaccount is about to be suspended for this epoch, and return its sid.

    None: the epoch has changed, and nothing may be sent. The caller commits before it sends.
    """
    noted = await conn.execute(
        _NOTE_SENT, {"of_organization": organization_id, "at": epoch, "now": now}
    )
    account_sid: str | None = noted.scalar_one_or_none()
    return account_sid


async def arrived(conn: AsyncConnection, organization_id: str) -> None:
    """The only call under way was answered: a later suspension is not ours. The caller commits."""
    await conn.execute(_NOTE_ARRIVED, {"of_organization": organization_id})


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
