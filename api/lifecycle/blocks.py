"""Blocks of an organization: place, lift and list them; and the receipts of suspensions and
reactivations.
"""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Path
from sqlalchemy.ext.asyncio import AsyncConnection

from api.context import Context, Here, OrganizationId
from api.http import operator_notes
from api.http.auth import OPERATOR, READ, Caller
from api.http.cursors import Cursor, Cursors, Limit, Number
from api.http.errors import invalid, not_found
from api.http.fields import ReasonRequest
from api.http.idempotency import Once
from api.lifecycle.standing_fields import BlockOut, BlockPage, ReceiptOut, ReceiptPage, StandingOut
from db.billing import blocks, owed_blocks, receivables
from db.lifecycle import receipts, standings
from db.lifecycle.standings import HeldBlock
from domain.lifecycle.standing import Block, Standing, Status
from domain.plain_text import is_printable

router = APIRouter(prefix="/v1/organizations", tags=["organizations"])
_BLOCK_CURSORS: Cursors[tuple[Block, str]] = Cursors("blocks", tuple[Block, str])
_RECEIPT_CURSORS: Cursors[int] = Cursors("receipts", Number)
BlockKind = Annotated[
    str, Path(description="`dispute`, `funds`, `telephony` or `admin`.", examples=["dispute"])
]
BlockReference = Annotated[
    str, Path(description="The block's reference; may contain slashes.", examples=["dp_1NZx"])
]
LIFTABLE = (Block.DISPUTE, Block.FUNDS, Block.TELEPHONY, Block.ADMIN)


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
    """Returns what keeps the organization from sending. An operator can lift independent blocks;
    the others follow from the subscription.

    Only a key with the scope `operator` sees the notes of operators.
    """
    after = _BLOCK_CURSORS.read(cursor)
    found = sorted(await _all(organization_id, caller, here), key=_place)
    rest = [block for block in found if after is None or _place(block) > after]
    shown, following = _BLOCK_CURSORS.cut(rest, limit, _place)
    return BlockPage(data=list(shown), next_cursor=following)


@router.get(
    "/{organization_id}/blocks/{kind}",
    dependencies=[READ],
    operation_id="get_block",
    summary="Get a block",
)
async def get(
    organization_id: OrganizationId, kind: BlockKind, caller: Caller, here: Here
) -> BlockOut:
    """Returns a block that has no reference. Returns 404 if the block does not stand."""
    return await _standing_block(organization_id, kind, None, caller, here)


@router.get(
    "/{organization_id}/blocks/{kind}/{reference:path}",
    dependencies=[READ],
    operation_id="get_referenced_block",
    summary="Get a block by its reference",
)
async def get_one(
    organization_id: OrganizationId,
    kind: BlockKind,
    reference: BlockReference,
    caller: Caller,
    here: Here,
) -> BlockOut:
    """Returns the block with this reference. Returns 404 if the block does not stand."""
    return await _standing_block(organization_id, kind, reference, caller, here)


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
    """Lifts the block with this reference, such as the id of a dispute. Returns 404 if the block
    does not stand.

    Lifting `dispute/receivable` forgives the debt of the organization for payments that were
    reversed, and lifting `funds/carrier` its debt for what Twilio charged.
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


async def _standing_block(
    organization_id: str, kind: str, reference: str | None, caller: Caller, here: Context
) -> BlockOut:
    for block in await _all(organization_id, caller, here):
        if (block.kind, block.reference) == (kind, reference):
            return block
    raise not_found("block")


async def _all(organization_id: str, caller: Caller, here: Context) -> list[BlockOut]:
    async with here.snapshot() as conn:
        standing = await standings.get(conn, organization_id)
        held_blocks = await standings.held_blocks(conn, organization_id)
    if standing is None:
        raise not_found("organization")
    return BlockOut.all_of(standing, operator_notes.of_blocks(held_blocks, caller))


def _place(block: BlockOut) -> tuple[Block, str]:
    return Block(block.kind), block.reference or ""


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
        if (kind, reference) == owed_blocks.EMPTY.key:
            raise invalid("reference", "set `when_empty` to `keep`, or credit the wallet")
        for source, reason in owed_blocks.OWING.items():
            if (kind, reference) == reason.key:
                await receivables.waive(conn, organization_id, source, by=by, now=now)
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
    here.notify(standing.organization_id, urgent=standing.status is Status.SUSPENDED)
    return StandingOut.of(standing)
