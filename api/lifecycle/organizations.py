"""Organizations: onboarding, checks whether they may send and why, manual suspension and
reinstatement.
"""

from dataclasses import replace
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import AwareDatetime
from sqlalchemy.exc import IntegrityError

from activities.carrier import sender_inspection
from activities.lifecycle import subaccounts
from api.context import Context, Here, OrganizationId
from api.http.auth import OPERATOR, READ, WRITE, Caller
from api.http.cursors import Cursor, Cursors, Limit, Number
from api.http.errors import Kind, Problem, ReasonOut, invalid, not_found
from api.http.fields import Reference
from api.http.idempotency import Once
from api.lifecycle.fields import CanSend, OrganizationOut, OrganizationRequest
from api.lifecycle.list_fields import ListedOrganizationOut, ListedOrganizationPage
from db.audit import explanations
from db.carrier import fallback_prices
from db.lifecycle import directory, organization_lists, organizations
from db.lifecycle.organization_lists import Filters, Place
from db.lifecycle.organizations import AccountTaken, Organization
from domain.campaigns.telephony import Account, AccountStatus
from domain.lifecycle.funds import FundsPolicy
from domain.lifecycle.order import Order
from domain.lifecycle.standing import Block, Status
from domain.money import Money
from providers.errors import NotFound

router = APIRouter(prefix="/v1/organizations", tags=["organizations"])
_CURSORS: dict[Order, Cursors[Place]] = {
    Order.ID: Cursors("organizations", tuple[None, Reference]),
    Order.LONGEST: Cursors("organizations_longest", tuple[AwareDatetime, Reference]),
    Order.NEWEST: Cursors("organizations_newest", tuple[AwareDatetime, Reference]),
    Order.OWED: Cursors("organizations_owing", tuple[Number, Reference]),
}


@router.post(
    "",
    status_code=201,
    dependencies=[WRITE],
    operation_id="create_organization",
    summary="Create an organization",
)
async def create(
    body: OrganizationRequest, caller: Caller, here: Here, response: Response, once: Once
) -> OrganizationOut:
    """Creates the organization with an empty wallet. Repeating the request with the same id and the
    same content returns 200; the same id with other content returns 409.
    """
    if body.price_per_rcs_message == 0:
        await OPERATOR.dependency(caller)
    wanted = _wanted(body, here.services.settings.grace_period)
    await once.begin(here, body)
    async with here.snapshot() as conn:
        before = await directory.get(conn, wanted.id)
    if before is None:
        account = await _usable_account(here, wanted.twilio_account_sid)
        if wanted.price_per_rcs_message is None:
            await must_send_sms(here, wanted.twilio_account_sid, wanted.sender)
        wanted = replace(wanted, twilio_parent_sid=account.owner_sid)
        await must_cover_cost(here, wanted)
        try:
            async with here.services.engine.begin() as conn:
                created = await organizations.create(conn, wanted)
                await subaccounts.keep(conn, here.services.twilio, [account])
        except IntegrityError as problem:  # a concurrent request took the account
            raise AccountTaken(wanted.twilio_account_sid) from problem
        async with here.snapshot() as conn:
            before = await directory.get(conn, wanted.id)
        if created and before is not None:
            here.notify(wanted.id)
            return OrganizationOut.of(before.organization, before.standing)
    if before is None or not _same(before.organization, wanted):
        raise Problem(
            Kind.ORGANIZATION_EXISTS, f"organization {wanted.id} exists with other content"
        )
    response.status_code = 200
    once.replayed()
    return OrganizationOut.of(before.organization, before.standing)


@router.get(
    "", dependencies=[READ], operation_id="list_organizations", summary="List organizations"
)
async def page(
    here: Here,
    *,
    status: Annotated[Status | None, Query(description="Only those in this status.")] = None,
    block: Annotated[Block | None, Query(description="Only those that this blocks.")] = None,
    stuck: Annotated[
        bool | None,
        Query(description="Only those of which a step was refused permanently; or only others."),
    ] = None,
    q: Annotated[
        str | None,
        Query(
            max_length=100,
            description=(
                "Only those whose id or name has words that begin with these words, or whose "
                "subaccount or subscription has exactly this id."
            ),
            examples=["acme ltd"],
        ),
    ] = None,
    sort: Annotated[
        Order,
        Query(
            description=(
                "`id`; `since`: the longest in its status first; `-since`: the last that changed "
                "first; `owed`: the largest debt first, and only those that owe."
            )
        ),
    ] = Order.ID,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> ListedOrganizationPage:
    """Returns the organizations with what a list of them shows; with several filters, those that
    match all of them.
    """
    after = _CURSORS[sort].read(cursor)
    words = organization_lists.words(q or "")
    if q is not None and not words:
        raise invalid("q", "contains no letter and no digit")
    filters = Filters(status=status, block=block, stuck=stuck, words=words, named=q or "")
    async with here.snapshot() as conn:
        found = await organization_lists.page(
            conn, filters, order=sort, after=after, limit=limit + 1
        )
    shown, following = _CURSORS[sort].cut(
        found, limit, lambda listed: organization_lists.place_of(listed, sort)
    )
    return ListedOrganizationPage(
        data=[ListedOrganizationOut.listed(listed) for listed in shown], next_cursor=following
    )


@router.get(
    "/{organization_id}",
    dependencies=[READ],
    operation_id="get_organization",
    summary="Get an organization",
)
async def get(organization_id: OrganizationId, here: Here) -> OrganizationOut:
    """Returns the organization with its settings and its standing."""
    async with here.snapshot() as conn:
        found = await directory.get(conn, organization_id)
    if found is None:
        raise not_found("organization")
    return OrganizationOut.of(found.organization, found.standing)


@router.get(
    "/{organization_id}/can-send",
    dependencies=[READ],
    operation_id="check_sending",
    summary="Check whether an organization may send",
)
async def can_send(organization_id: OrganizationId, here: Here) -> CanSend:
    """Answers as a debit of one segment would be answered now, with the reasons if it would be
    refused.
    """
    async with here.snapshot() as conn:
        found = await explanations.why_not(conn, organization_id)
    if found is None:
        raise not_found("organization")
    return CanSend(
        can_send=not found,
        reasons=[ReasonOut(code=reason.code, message=reason.text) for reason in found],
    )


def _wanted(body: OrganizationRequest, grace: timedelta) -> Organization:
    price = body.price_per_segment
    return Organization(
        id=body.id,
        name=body.name,
        twilio_account_sid=body.twilio_account_sid,
        sender=body.sender,
        currency=body.currency,
        price_per_segment=None if price is None else Money(price, body.currency),
        grace=grace
        if body.grace_period_seconds is None
        else timedelta(seconds=body.grace_period_seconds),
        messages_per_second=body.messages_per_second,
        price_below_cost=body.price_below_cost,
        price_per_rcs_message=None
        if body.price_per_rcs_message is None
        else Money(body.price_per_rcs_message, body.currency),
        funds=FundsPolicy(
            when_empty=body.when_empty,
            empty_grace=timedelta(seconds=body.empty_grace_period_seconds),
            reserve_days=body.reserve_days,
        ),
    )


def _same(existing: Organization, wanted: Organization) -> bool:
    return _requested(existing) == _requested(wanted)


def _requested(organization: Organization) -> Organization:
    return replace(organization, created_at=None, twilio_parent_sid=None, sender_problem="")


async def must_send_sms(here: Context, account_sid: str, sender: str) -> None:
    """A messaging service may turn a text into something else that costs more."""
    danger = await sender_inspection.inspect(here.services.twilio, account_sid, sender)
    if danger is not None:
        raise invalid("sender", danger)


async def must_cover_cost(here: Context, wanted: Organization) -> None:
    """As far as Twilio's prices are known: they are read daily, from the first day on."""
    price = wanted.price_per_segment
    if price is None or wanted.price_below_cost:
        return
    async with here.snapshot() as conn:
        found = await fallback_prices.uncovered(conn, wanted.id, wanted.twilio_parent_sid, price)
    if found is not None:
        raise invalid("price_per_segment", f"{found}; price_below_cost accepts a loss")


async def _usable_account(here: Context, sid: str) -> Account:
    try:
        account = await here.services.twilio.get_account(sid)
    except NotFound as problem:
        raise invalid("twilio_account_sid", "Twilio does not know this account") from problem
    if account.owner_sid == account.sid:
        raise invalid(
            "twilio_account_sid",
            "it is a main account: suspending it would stop every organization",
        )
    if account.status is AccountStatus.CLOSED:
        raise invalid("twilio_account_sid", "the account is closed")
    return account
