"""Changes of an organization: its name, sender, price, grace period and pace."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import structlog
from fastapi import APIRouter

from api.context import Context, Here, OrganizationId
from api.http.auth import OPERATOR, WRITE, Caller
from api.http.errors import not_found
from api.lifecycle.fields import OrganizationChangeRequest, OrganizationOut
from api.lifecycle.organizations import must_cover_cost, must_send_sms
from db.billing import decisions, receivables
from db.campaigns import refusals, sender_problems
from db.carrier import recurring
from db.lifecycle import organizations, standings
from db.lifecycle.organizations import Organization
from domain.lifecycle.funds import FundsPolicy
from domain.money import Money

log = structlog.get_logger()
router = APIRouter(prefix="/v1/organizations", tags=["organizations"])


@router.patch(
    "/{organization_id}",
    dependencies=[WRITE],
    operation_id="update_organization",
    summary="Change an organization",
)
async def change(
    organization_id: OrganizationId, body: OrganizationChangeRequest, caller: Caller, here: Here
) -> OrganizationOut:
    """Sets the fields that the body names; the others keep their values. After a change of the
    sender, campaigns that were parked because Twilio refused the sender resume. A running campaign
    uses the new sender from its next window of messages on.
    """
    if "messages_per_second" in body.model_fields_set:
        await OPERATOR.dependency(caller)
    if body.price_per_rcs_message == 0:
        await OPERATOR.dependency(caller)  # it accepts what nobody pays beforehand
    await _inspect(here, organization_id, body)
    async with here.services.engine.begin() as conn:
        await standings.lock(conn, organization_id)
        before = await organizations.lock(conn, organization_id)
        if before is None:
            raise not_found("organization")
        after = _changed(before, body)
        await organizations.change(conn, after)
        # a running grace period may be over now; the lifecycle lifts a suspension that it caused
        if after.grace != before.grace:
            await decisions.settle(
                conn, organization_id, now=datetime.now(UTC), cause="grace changed", may_open=False
            )
        if after.funds != before.funds:
            await receivables.agree(conn, organization_id, datetime.now(UTC))
            await recurring.keep_reserve(conn, organization_id, now=datetime.now(UTC))
        resumed = []
        if after.sender != before.sender:
            resumed = await refusals.resume_with_new_sender(conn, organization_id)
        if _chosen_anew(before, after):
            resumed += await sender_problems.note(conn, organization_id, after.sender, None)
            after = replace(after, sender_problem="")
        standing = await standings.get(conn, organization_id)
    if standing is None:
        raise not_found("organization")
    names = sorted(body.model_fields_set)
    log.info("organization_changed", organization_id=organization_id, by=caller.id, changed=names)
    here.notify(organization_id)
    here.notify_campaigns(organization_id, *resumed)
    return OrganizationOut.of(after, standing)


async def _inspect(here: Context, organization_id: str, body: OrganizationChangeRequest) -> None:
    async with here.snapshot() as conn:
        before = await organizations.get(conn, organization_id)
    if before is None:
        return
    after = _changed(before, body)
    if body.model_fields_set & {"price_per_segment", "price_below_cost"}:
        await must_cover_cost(here, after)
    if _chosen_anew(before, after) and after.price_per_rcs_message is None:
        await must_send_sms(here, before.twilio_account_sid, after.sender)


def _chosen_anew(before: Organization, after: Organization) -> bool:
    """The sender, or whether it may send RCS."""
    return (before.sender, before.price_per_rcs_message) != (
        after.sender,
        after.price_per_rcs_message,
    )


def _changed(before: Organization, body: OrganizationChangeRequest) -> Organization:
    after = before
    if body.name is not None:
        after = replace(after, name=body.name)
    if body.sender is not None:
        after = replace(after, sender=body.sender)
    if body.grace_period_seconds is not None:
        after = replace(after, grace=timedelta(seconds=body.grace_period_seconds))
    after = replace(after, funds=_funds(before.funds, body))
    if "messages_per_second" in body.model_fields_set:
        after = replace(after, messages_per_second=body.messages_per_second)
    if "price_per_segment" in body.model_fields_set:
        price = body.price_per_segment
        after = replace(
            after, price_per_segment=None if price is None else Money(price, before.currency)
        )
    if body.price_below_cost is not None:
        after = replace(after, price_below_cost=body.price_below_cost)
    if "price_per_rcs_message" in body.model_fields_set:
        price = body.price_per_rcs_message
        after = replace(
            after, price_per_rcs_message=None if price is None else Money(price, before.currency)
        )
    return after


def _funds(before: FundsPolicy, body: OrganizationChangeRequest) -> FundsPolicy:
    after = before
    if body.when_empty is not None:
        after = replace(after, when_empty=body.when_empty)
    if body.empty_grace_period_seconds is not None:
        after = replace(after, empty_grace=timedelta(seconds=body.empty_grace_period_seconds))
    if body.reserve_days is not None:
        after = replace(after, reserve_days=body.reserve_days)
    return after
