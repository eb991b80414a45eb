"""Alerts: conditions that need a person. Most clear automatically; a person closes those that only
a person can resolve.
"""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Response
from pydantic import AwareDatetime, Field

from api.audit.explanations import AlertOut
from api.context import Here, OrganizationId
from api.http.auth import OPERATOR, READ
from api.http.cursors import Cursor, Cursors, Limit, Page
from api.http.errors import not_found
from db import alerts
from db.lifecycle import organizations

router = APIRouter(prefix="/v1/organizations/{organization_id}/alerts", tags=["organizations"])
_CURSORS: Cursors[tuple[datetime, str]] = Cursors(
    "alerts", tuple[AwareDatetime, Annotated[str, Field(pattern="^[a-z_]{1,50}$")]]
)
Kind = Annotated[
    str, Path(description="The kind of the alert.", pattern="^[a-z_]{1,50}$", examples=["refund"])
]


class AlertPage(Page[AlertOut]):
    pass


@router.get(
    "",
    dependencies=[READ],
    operation_id="list_alerts",
    summary="List the open alerts of an organization",
)
async def list_all(
    organization_id: OrganizationId, here: Here, cursor: Cursor = None, limit: Limit = 100
) -> AlertPage:
    """Returns the alerts, oldest first."""
    after = _CURSORS.read(cursor)
    async with here.snapshot() as conn:
        if await organizations.get(conn, organization_id) is None:
            raise not_found("organization")
        found = await alerts.standing(conn, organization_id, after=after, limit=limit + 1)
    shown, following = _CURSORS.cut(found, limit, lambda alert: (alert.raised_at, alert.kind))
    return AlertPage(data=[AlertOut.of(alert) for alert in shown], next_cursor=following)


@router.delete(
    "/{kind}",
    status_code=204,
    dependencies=[OPERATOR],
    operation_id="close_alert",
    summary="Close an alert",
)
async def close(organization_id: OrganizationId, kind: Kind, here: Here) -> Response:
    """Closes an alert that only a person can settle. Tollgate raises it again if the cause occurs
    again. Returns 404 if the alert is not open.
    """
    async with here.services.engine.begin() as conn:
        if not await alerts.close(conn, organization_id, kind):
            raise not_found("alert", f"no alert {kind} is open")
    return Response(status_code=204)
