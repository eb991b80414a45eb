"""Switches of customers from one billing provider to another: start them and show their states."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from api.billing.subscriptions import paid_for, provider_of
from api.context import Here, OrganizationId
from api.http.auth import OPERATOR, READ
from api.http.cursors import Cursor, Cursors, Limit
from api.http.errors import Kind, Problem, not_found
from api.http.fields import Reference
from api.http.idempotency import Once
from api.switching.fields import SwitchOut, SwitchPage, SwitchRequest
from db.lifecycle import organizations, standings
from db.switching import switches
from domain.switching.switch import Start, SwitchStatus

router = APIRouter(prefix="/v1", tags=["switch"])
_CURSORS: Cursors[str] = Cursors("switches", Reference)


@router.post(
    "/organizations/{organization_id}/switch",
    status_code=201,
    dependencies=[OPERATOR],
    operation_id="start_switch",
    summary="Start a switch to another provider",
)
async def start(
    organization_id: OrganizationId,
    body: SwitchRequest,
    here: Here,
    response: Response,
    once: Once,
) -> SwitchOut:
    """Starts the switch. The customer then consents at the `checkout_url`, which appears shortly
    after.

    Returns 200 if a switch to the same plan is open, 409 if another switch is open or if there is
    no subscription to switch.
    """
    provider_of(here, body.provider)
    async with here.services.engine.begin() as conn:
        to_be_done = await once.do_once(conn, body)
        if await standings.lock(conn, organization_id) is None:
            raise not_found("organization")
        if not to_be_done and (newest := await switches.newest(conn, organization_id)):
            response.status_code = 200
            return SwitchOut.of(newest)
        source = await paid_for(here, conn, organization_id)
        outcome, switch = await switches.start(
            conn,
            source,
            body.provider,
            plan_id=body.plan_id,
            return_url=body.return_url,
            cancel_url=body.cancel_url,
        )
        if switch is None:
            raise Problem(
                Kind.ALREADY_AT_PROVIDER,
                f"its current subscription is at {body.provider.value} already",
            )
        if outcome is Start.ANOTHER_OPEN:
            raise Problem(
                Kind.SWITCH_IN_PROGRESS,
                f"a switch to {switch.target_provider.value} is under way",
            )
    here.notify_switch(organization_id)
    if outcome is Start.OPEN:
        once.replayed()
        response.status_code = 200
    return SwitchOut.of(switch)


@router.get(
    "/organizations/{organization_id}/switch",
    dependencies=[READ],
    operation_id="get_switch",
    summary="Get the switch of an organization",
)
async def get(organization_id: OrganizationId, here: Here) -> SwitchOut:
    """Returns the open switch or, without one, the last."""
    async with here.snapshot() as conn:
        organization = await organizations.get(conn, organization_id)
        found = await switches.newest(conn, organization_id)
    if organization is None or found is None:
        raise not_found("organization" if organization is None else "switch")
    return SwitchOut.of(found)


@router.get("/switches", dependencies=[READ], operation_id="list_switches", summary="List switches")
async def page(
    here: Here,
    status: Annotated[SwitchStatus | None, Query(description="Only those in this status.")] = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> SwitchPage:
    """Returns the newest switch of each organization, ordered by organization."""
    after = _CURSORS.read(cursor)
    async with here.snapshot() as conn:
        found = await switches.page(conn, state=status, after=after, limit=limit + 1)
    shown, following = _CURSORS.cut(found, limit, lambda switch: switch.organization_id)
    return SwitchPage(data=[SwitchOut.of(switch) for switch in shown], next_cursor=following)
