"""Places and lifts blocks, and decides the standing from them. Each function holds the
organization's lock and leaves the commit to its caller.
"""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from db import alerts
from db.billing import decisions
from db.lifecycle import standings
from db.lifecycle.standings import HeldBlock
from domain.alerts import AlertKind
from domain.lifecycle.standing import Block, Standing

ALERT_OF = {Block.TELEPHONY: AlertKind.TELEPHONY, Block.DISPUTE: AlertKind.DISPUTE_LOST}
"""The alert that is open while there is a block of the kind."""
CARRIER = "carrier:"
"""How the reference of a block begins that stands for a forbidden usage category."""


async def block(
    conn: AsyncConnection, organization_id: str, new_block: HeldBlock, *, now: datetime
) -> Standing | None:
    """Place a block and shut the gate in the same transaction. Idempotent."""
    if await standings.lock(conn, organization_id) is None:
        return None
    await standings.place_block(conn, organization_id, new_block)
    cause = f"{new_block.kind.value} block by {new_block.placed_by}: {new_block.reason}"
    return await decisions.settle(conn, organization_id, now=now, cause=cause, may_open=False)


async def block_telephony(
    conn: AsyncConnection, organization_id: str, reason: str, *, now: datetime
) -> None:
    """Twilio itself suspended the subaccount: shut our gate and alert a person, who lifts the
    block. The caller commits.
    """
    new_block = HeldBlock(kind=Block.TELEPHONY, reference="", reason=reason, placed_by="twilio")
    await block(conn, organization_id, new_block, now=now)
    await alerts.raise_(conn, organization_id, ALERT_OF[Block.TELEPHONY], reason)


async def unblock(
    conn: AsyncConnection,
    organization_id: str,
    kind: Block,
    reference: str,
    *,
    by: str,
    now: datetime,
) -> Standing | None:
    """Lift a block and decide from the remaining facts whether the organization may send.
    Idempotent.
    """
    if await standings.lock(conn, organization_id) is None:
        return None
    await standings.lift_block(conn, organization_id, kind, reference)
    await _clear_alert(conn, organization_id, kind, reference)
    cause = f"{kind.value} block lifted by {by}"
    return await decisions.settle(conn, organization_id, now=now, cause=cause, may_open=True)


async def _clear_alert(
    conn: AsyncConnection, organization_id: str, kind: Block, reference: str
) -> None:
    """Clear the alert of a block that was lifted, unless there is another one like it."""
    forbidden = kind is Block.ADMIN and reference.startswith(CARRIER)
    for block in await standings.held_blocks(conn, organization_id):
        if block.kind is kind and (not forbidden or block.reference.startswith(CARRIER)):
            return
    if forbidden:
        await alerts.clear(conn, organization_id, AlertKind.CARRIER_FORBIDDEN)
    elif kind in ALERT_OF:
        await alerts.clear(conn, organization_id, ALERT_OF[kind])
