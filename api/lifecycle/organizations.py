"""Organizations: onboard them, ask whether they may send and why, suspend and reinstate them by
hand.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from api.context import Context, Here, OrganizationId
from api.http import operator_notes
from api.http.auth import OPERATOR, READ, WRITE, Caller
from api.http.cursors import Cursor, Cursors, Limit, Number
from api.http.errors import Kind, Problem, ReasonOut, invalid, not_found
from api.http.fields import ReasonRequest, Reference
from api.http.idempotency import Once
from api.lifecycle.fields import (
    CanSend,
    OrganizationOut,
    OrganizationPage,
    OrganizationRequest,
)
from api.lifecycle.standing_fields import BlockOut, BlockPage, ReceiptOut, ReceiptPage, StandingOut
from db.audit import explanations
from db.billing import blocks, debts
from db.lifecycle import directory, organizations, receipts, standings
from db.lifecycle.directory import Filters
from db.lifecycle.organizations import AccountTaken, Organization
from db.lifecycle.standings import HeldBlock
from domain.campaigns.telephony import AccountStatus
from domain.lifecycle.standing import Block, Standing, Status
from domain.money import Money
from domain.plain_text import is_printable
from providers.errors import NotFound

router = APIRouter(prefix="/v1/organizations", tags=["organizations"])
_CURSORS: Cursors[str] = Cursors("organizations", Reference)
_BLOCK_CURSORS: Cursors[tuple[Block, str]] = Cursors("blocks", tuple[Block, str])
_RECEIPT_CURSORS: Cursors[int] = Cursors("receipts", Number)
BlockKind = Annotated[
    str, Path(description="`dispute`, `telephony` or `admin`.", examples=["dispute"])
]
BlockReference = Annotated[
    str, Path(description="The block's reference; may contain slashes.", examples=["dp_1NZx"])
]
LIFTABLE = (Block.DISPUTE, Block.TELEPHONY, Block.ADMIN)


@router.post(
    "",
    status_code=201,
    dependencies=[WRITE],
    operation_id="create_organization",
    summary="Create an organization",
)
async def create(
    body: OrganizationRequest, here: Here, response: Response, once: Once
) -> OrganizationOut:
    """Creates the organization with an empty wallet. Repeating the request with the same id and the
    same content returns 200; the same id with other content returns 409.
    """
    wanted = _wanted(body, here.services.settings.grace_period)
    await once.begin(here, body)
    async with here.snapshot() as conn:
        before = await directory.get(conn, wanted.id)
    if before is None:
        await _check_account(here, wanted.twilio_account_sid)
        try:
            async with here.services.engine.begin() as conn:
                created = await organizations.create(conn, wanted)
        except IntegrityError as problem:  # somebody else took the account in this very moment
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
    status: Annotated[Status | None, Query(description="Only those in this status.")] = None,
    block: Annotated[Block | None, Query(description="Only those that this blocks.")] = None,
    q: Annotated[
        str | None,
        Query(
            max_length=100,
            description="Only those whose id or name has words that begin with these words.",
            examples=["acme ltd"],
        ),
    ] = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> OrganizationPage:
    """Returns the organizations ordered by id; with several filters, those that match all of them."""
    after = _CURSORS.read(cursor)
    words = directory.words(q or "")
    if q is not None and not words:
        raise invalid("q", "holds no letter and no digit")
    filters = Filters(status=status, block=block, words=words)
    async with here.snapshot() as conn:
        found = await directory.page(conn, filters, after=after, limit=limit + 1)
    shown, following = _CURSORS.cut(found, limit, lambda listed: listed.organization.id)
    return OrganizationPage(
        data=[OrganizationOut.of(listed.organization, listed.standing) for listed in shown],
        next_cursor=following,
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


@router.post(
    "/{organization_id}/suspend",
    dependencies=[OPERATOR],
    operation_id="suspend_organization",
    summary="Suspend an organization",
)
async def suspend(
    organization_id: OrganizationId, body: ReasonRequest, caller: Caller, here: Here, once: Once
) -> StandingOut:
    """Places the block `admin`. No debit commits after the response. Idempotent."""
    block = HeldBlock(
        kind=Block.ADMIN,
        reference="",
        reason=body.reason,
        placed_by=f"{caller.name} ({caller.id})",
    )
    async with here.services.engine.begin() as conn:
        if not await once.do_once(conn, body):
            return await _standing_out(conn, organization_id)
        standing = await blocks.block(conn, organization_id, block, now=datetime.now(UTC))
    return _settled(standing, here)


@router.post(
    "/{organization_id}/reinstate",
    dependencies=[OPERATOR],
    operation_id="reinstate_organization",
    summary="Lift a manual suspension",
)
async def reinstate(
    organization_id: OrganizationId, caller: Caller, here: Here, once: Once
) -> StandingOut:
    """Lifts the block `admin`. The organization may send again when no other block stands and every
    step of the reactivation is done. Idempotent.
    """
    by = f"{caller.name} ({caller.id})"
    async with here.services.engine.begin() as conn:
        if not await once.do_once(conn):
            return await _standing_out(conn, organization_id)
        standing = await blocks.unblock(
            conn, organization_id, Block.ADMIN, "", by=by, now=datetime.now(UTC)
        )
    return _settled(standing, here)


@router.get(
    "/{organization_id}/blocks",
    dependencies=[READ],
    operation_id="list_blocks",
    summary="List the blocks of an organization",
)
async def list_blocks(
    organization_id: OrganizationId,
    caller: Caller,
    here: Here,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> BlockPage:
    """Returns what keeps the organization from sending. An operator can lift independent blocks; the
    others follow from the subscription.

    Only a key with the scope `operator` sees the notes of operators.
    """
    after = _BLOCK_CURSORS.read(cursor)
    async with here.snapshot() as conn:
        standing = await standings.get(conn, organization_id)
        held_blocks = await standings.held_blocks(conn, organization_id)
    if standing is None:
        raise not_found("organization")
    found = sorted(
        BlockOut.all_of(standing, operator_notes.of_blocks(held_blocks, caller)), key=_place
    )
    rest = [block for block in found if after is None or _place(block) > after]
    shown, following = _BLOCK_CURSORS.cut(rest, limit, _place)
    return BlockPage(data=list(shown), next_cursor=following)


@router.delete(
    "/{organization_id}/blocks/{kind}",
    dependencies=[OPERATOR],
    operation_id="lift_block",
    summary="Lift a block",
)
async def lift(
    organization_id: OrganizationId, kind: BlockKind, caller: Caller, here: Here
) -> StandingOut:
    """Lifts a block that has no reference. Returns 404 if the block does not stand, so a repeated
    request returns 404.
    """
    return await _lift(organization_id, _liftable(kind), "", caller, here)


@router.delete(
    "/{organization_id}/blocks/{kind}/{reference:path}",
    dependencies=[OPERATOR],
    operation_id="lift_referenced_block",
    summary="Lift a block by its reference",
)
async def lift_one(
    organization_id: OrganizationId,
    kind: BlockKind,
    reference: BlockReference,
    caller: Caller,
    here: Here,
) -> StandingOut:
    """Lifts the block with this reference, such as the id of a dispute. Returns 404 if the block does
    not stand.

    Lifting `dispute/receivable` forgives the debt of the organization for payments that were
    reversed.
    """
    if not is_printable(reference):
        raise not_found("block")
    return await _lift(organization_id, _liftable(kind), reference, caller, here)


@router.get(
    "/{organization_id}/receipts",
    dependencies=[READ],
    operation_id="list_receipts",
    summary="List receipts of suspensions and reactivations",
)
async def list_receipts(
    organization_id: OrganizationId,
    caller: Caller,
    here: Here,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> ReceiptPage:
    """Returns the receipts, newest first, each with the time of every step and the number of debits
    and messages that passed the closed gate (expected: 0).
    """
    before = _RECEIPT_CURSORS.read(cursor)
    async with here.snapshot() as conn:
        if await standings.get(conn, organization_id) is None:
            raise not_found("organization")
        found = await receipts.of_organization(
            conn, organization_id, limit=limit + 1, before=before
        )
    shown, following = _RECEIPT_CURSORS.cut(found, limit, lambda receipt: receipt.epoch)
    return ReceiptPage(
        data=[ReceiptOut.of(receipt) for receipt in operator_notes.of_receipts(shown, caller)],
        next_cursor=following,
    )


def _place(block: BlockOut) -> tuple[Block, str]:
    return Block(block.kind), block.reference or ""


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
    )


def _same(existing: Organization, wanted: Organization) -> bool:
    return replace(existing, created_at=None) == replace(wanted, created_at=None)


async def _check_account(here: Context, sid: str) -> None:
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


async def _lift(
    organization_id: str, kind: Block, reference: str, caller: Caller, here: Context
) -> StandingOut:
    by = f"{caller.name} ({caller.id})"
    now = datetime.now(UTC)
    async with here.services.engine.begin() as conn:
        held_blocks = await standings.held_blocks(conn, organization_id)
        if (kind, reference) not in {(block.kind, block.reference) for block in held_blocks}:
            exists = await standings.get(conn, organization_id) is not None
            raise not_found("block") if exists else not_found("organization")
        if (kind, reference) == (Block.DISPUTE, debts.RECEIVABLE):
            await debts.waive(conn, organization_id, by=by, now=now)
        standing = await blocks.unblock(conn, organization_id, kind, reference, by=by, now=now)
    return _settled(standing, here)


def _liftable(kind: str) -> Block:
    for block in LIFTABLE:
        if block.value == kind:
            return block
    raise invalid(
        "kind",
        f"only {', '.join(block.value for block in LIFTABLE)} can be lifted; others follow from payment",
    )


async def _standing_out(conn: AsyncConnection, organization_id: str) -> StandingOut:
    standing = await standings.get(conn, organization_id)
    if standing is None:
        raise not_found("organization")
    return StandingOut.of(standing)


def _settled(standing: Standing | None, here: Context) -> StandingOut:
    if standing is None:
        raise not_found("organization")
    here.notify(standing.organization_id)
    return StandingOut.of(standing)
