"""Tells of alerts: that one was raised, and that one ended. Of a broken guarantee there is an event
of its own.
"""

from sqlalchemy import CTE, ColumnElement, Text, func, literal
from sqlalchemy.ext.asyncio import AsyncConnection

from db.events import log
from domain.alerts import MEANINGS, AlertKind
from domain.events.catalogue import EventType

_GUARANTEE = "guarantee_"


async def tell_raised(
    conn: AsyncConnection, alert_id: str, organization_id: str, kind: AlertKind
) -> None:
    """The caller raised it in this transaction, and commits."""
    about = organization_id or None
    raised = {"alert_id": alert_id, "kind": kind.value, "severity": MEANINGS[kind].severity.value}
    await log.append(conn, EventType.ALERT_RAISED, about, raised)
    if kind.value.startswith(_GUARANTEE):
        number = int(kind.value.removeprefix(_GUARANTEE))
        broken = {"guarantee": number, "alert_id": alert_id}
        await log.append(conn, EventType.GUARANTEE_BROKEN, about, broken)


def telling_end(ended: CTE, by: str | None) -> CTE:
    """A part of the statement that ends these alerts. `by`: a person closed them."""
    data: dict[str, ColumnElement[str | None]] = {
        "alert_id": ended.c.id,
        "kind": ended.c.kind,
        "by": literal(by, Text),
    }
    about = func.nullif(ended.c.organization_id, literal(""))
    return log.appending(log.telling(EventType.ALERT_CLEARED, ended, about, data)).cte("told")
