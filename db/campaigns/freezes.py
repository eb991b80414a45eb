"""An operator's freeze of a wallet, with the campaigns that it stops."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from db.campaigns import parked_campaigns
from db.lifecycle import standings
from db.wallet import gates
from domain.campaigns.campaign import Park


async def freeze(conn: AsyncConnection, organization_id: str, *, reason: str) -> list[UUID] | None:
    """Freeze the wallet and park the running campaigns; returns those to notify, None without such
    an organization. Idempotent. Locks the standing, the campaigns, the wallet; the caller commits.
    """
    standing = await standings.lock(conn, organization_id)
    if standing is None:
        return None
    parked = await parked_campaigns.park_running(conn, organization_id, Park.FROZEN)
    await gates.freeze(conn, organization_id, epoch=standing.epoch, cause=reason, by_operator=True)
    return parked
