"""Tells the steps of a switch that a customer or an operator waits for."""

from collections.abc import Mapping

from sqlalchemy.ext.asyncio import AsyncConnection

from db.events import log
from domain.events.catalogue import EventType
from domain.switching.switch import OVER, SwitchStatus

_TOLD = {
    SwitchStatus.STARTED: EventType.SWITCH_STARTED,
    SwitchStatus.OFFERED: EventType.SWITCH_OFFERED,
    SwitchStatus.CONSENTED: EventType.SWITCH_CONSENTED,
    SwitchStatus.COMPLETED: EventType.SWITCH_COMPLETED,
}


async def tell(
    conn: AsyncConnection, organization_id: str, to: SwitchStatus, switch: Mapping[str, str]
) -> None:
    """The switch reached this state. The caller holds the standing, and commits."""
    if to in _TOLD:
        await log.append(conn, _TOLD[to], organization_id, switch)
    elif to in OVER:
        ended = {**switch, "state": to.value}
        await log.append(conn, EventType.SWITCH_ENDED, organization_id, ended)
