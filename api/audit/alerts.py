"""Alerts: what a person has to look at. Most clear by themselves; what only a person can settle, a
person closes.
"""

from typing import Annotated

from fastapi import APIRouter, Path, Response

from api.audit.explanations import AlertOut
from api.context import Here, OrganizationId
from api.http.auth import OPERATOR, READ
from api.http.errors import not_found
from db import alerts
from db.lifecycle import organizations

router = APIRouter(prefix="/v1/organizations/{organization_id}/alerts", tags=["organizations"])
Kind = Annotated[str, Path(pattern="^[a-z_]{1,50}$", examples=["refund"])]


@router.get("", dependencies=[READ], summary="The alerts that stand")
async def list_all(organization_id: OrganizationId, here: Here) -> list[AlertOut]:
    async with here.snapshot() as conn:
        if await organizations.get(conn, organization_id) is None:
            raise not_found("organization")
        return [AlertOut.of(one) for one in await alerts.standing(conn, organization_id)]


@router.delete(
    "/{kind}", status_code=204, dependencies=[OPERATOR], summary="Close an alert that is settled"
)
async def close(organization_id: OrganizationId, kind: Kind, here: Here) -> Response:
    """For what only a person can settle. It is raised again when it is seen again. 404: it does not
    stand.
    """
    async with here.services.engine.begin() as conn:
        if not await alerts.close(conn, organization_id, kind):
            raise not_found(f"alert: no {kind} stands")
    return Response(status_code=204)
