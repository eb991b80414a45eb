"""Trying again a step that was refused, without waiting until it is due."""

from fastapi import APIRouter

from api.context import Here, OrganizationId
from api.http.auth import OPERATOR, Caller
from api.http.errors import not_found
from api.http.fields import ReasonRequest
from api.http.idempotency import Once
from api.http.operator_notes import actor
from api.lifecycle.standing_fields import StandingOut
from db.lifecycle import standings
from db.operations import step_retries
from domain.lifecycle.standing import Status

router = APIRouter(prefix="/v1/organizations", tags=["organizations"])


@router.post(
    "/{organization_id}/retry",
    dependencies=[OPERATOR],
    operation_id="retry_step",
    summary="Try a refused step again",
)
async def retry(
    organization_id: OrganizationId, body: ReasonRequest, caller: Caller, here: Here, once: Once
) -> StandingOut:
    """Makes the organization's workflow query the provider and try its step again at once. Returns
    409 if every step is done.
    """
    async with here.services.engine.begin() as conn:
        first = await once.do_once(conn, body)
        if first:
            standing = await step_retries.retry(
                conn, organization_id, by=actor(caller), reason=body.reason
            )
        else:
            standing = await standings.get(conn, organization_id)
        if standing is None:
            raise not_found("organization")
    if first:
        here.notify(organization_id, urgent=standing.status is Status.SUSPENDED)
    return StandingOut.of(standing)
