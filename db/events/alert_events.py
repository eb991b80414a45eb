"""Tells of alerts: that one was raised, and that one ended. Of a broken guarantee there is an event
of its own.
"""

from typing import Any

from sqlalchemy import CTE, ColumnElement, Integer, Text, func, literal

from db.events import log
from domain.alerts import MEANINGS, AlertKind
from domain.events.catalogue import EventType

_GUARANTEE = "guarantee_"


def telling_raised(new: CTE, organization_id: str, kind: AlertKind) -> list[CTE]:
    """Parts of the statement that raises an alert; `new` has its id, and no row if it was open."""
    about = literal(organization_id or None, Text)
    data: dict[str, ColumnElement[Any]] = {
        "alert_id": new.c.id,
        "kind": literal(kind.value, Text),
        "severity": literal(MEANINGS[kind].severity.value, Text),
    }
    parts = [log.telling(EventType.ALERT_RAISED, new, about, data)]
    if kind.value.startswith(_GUARANTEE):
        number = literal(int(kind.value.removeprefix(_GUARANTEE)), Integer)
        broken = {"guarantee": number, "alert_id": new.c.id}
        parts.append(log.telling(EventType.GUARANTEE_BROKEN, new, about, broken))
    return [log.appending(*parts).cte("told")]


def telling_end(ended: CTE, by: str | None) -> CTE:
    """A part of the statement that ends these alerts. `by`: a person closed them."""
    data: dict[str, ColumnElement[str | None]] = {
        "alert_id": ended.c.id,
        "kind": ended.c.kind,
        "by": literal(by, Text),
    }
    about = func.nullif(ended.c.organization_id, literal(""))
    return log.appending(log.telling(EventType.ALERT_CLEARED, ended, about, data)).cte("told")
