"""Wallets: reads, credits, debits, manual freezes and unfreezes."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

import structlog
from fastapi import APIRouter, Query
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from api.context import Context, Here, OrganizationId
from api.http import operator_notes
from api.http.auth import OPERATOR, READ, Caller
from api.http.cursors import Cursor, Cursors, Limit, Number
from api.http.errors import not_found
from api.http.fields import Moment, ReasonRequest
from api.http.idempotency import Once
from api.wallet.fields import EntryOut, EntryPage, WalletOut
from db.billing import receivables
from db.campaigns import freezes, parked_campaigns
from db.lifecycle import standings
from db.wallet import gates, ledger, wallets
from db.wallet.ledger import Filters
from domain.campaigns.campaign import Park
from domain.lifecycle.standing import Status
from domain.wallet.entries import EntryKind

log = structlog.get_logger()
router = APIRouter(prefix="/v1/organizations/{organization_id}/wallet", tags=["wallet"])
_CURSORS: Cursors[int] = Cursors("entries", Number)


@router.get(
    "", dependencies=[READ], operation_id="get_wallet", summary="Get the wallet of an organization"
)
async def get(organization_id: OrganizationId, caller: Caller, here: Here) -> WalletOut:
    """Returns balance, gate and freeze. Only a key with the scope `operator` sees the
    `freeze_reason` that an operator wrote.
    """
    async with here.snapshot() as conn:
        wallet = await wallets.get(conn, organization_id)
        owed = await receivables.owed(conn, organization_id)
    if wallet is None:
        raise not_found("organization")
    return WalletOut.of(operator_notes.of_wallet(wallet, caller), owed)


@router.get(
    "/entries", dependencies=[READ], operation_id="list_entries", summary="List ledger entries"
)
async def entries(
    organization_id: OrganizationId,
    here: Here,
    *,
    kind: Annotated[EntryKind | None, Query(description="Only entries of this kind.")] = None,
    created_after: Annotated[
        Moment | None, Query(description="Only entries that were booked after this time.")
    ] = None,
    created_before: Annotated[
        Moment | None, Query(description="Only entries that were booked before this time.")
    ] = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> EntryPage:
    """Returns the ledger entries of the wallet, newest first; with several filters, those that match
    all of them.
    """
    before = _CURSORS.read(cursor)
    filters = Filters(kind=kind, created_after=created_after, created_before=created_before)
    async with here.snapshot() as conn:
        wallet = await wallets.get(conn, organization_id)
        found = await ledger.page(
            conn, organization_id, filters, before_seq=before, limit=limit + 1
        )
    if wallet is None:
        raise not_found("organization")
    shown, following = _CURSORS.cut(found, limit, lambda booked: booked.entry.seq)
    return EntryPage(
        data=[EntryOut.of(booked.entry, wallet.currency, booked) for booked in shown],
        next_cursor=following,
    )


@router.post(
    "/freeze", dependencies=[OPERATOR], operation_id="freeze_wallet", summary="Freeze a wallet"
)
async def freeze(
    organization_id: OrganizationId, body: ReasonRequest, caller: Caller, here: Here, once: Once
) -> WalletOut:
    """No debit commits after the response, and running campaigns are parked. Idempotent."""
    async with here.services.engine.begin() as conn:
        if not await once.do_once(conn, body):
            return await _wallet_out(conn, organization_id)
        parked = await freezes.freeze(conn, organization_id, reason=body.reason)
        if parked is None:
            raise not_found("organization")
        answer = await _wallet_out(conn, organization_id)
    log.info(
        "wallet_frozen", organization_id=organization_id, by=caller.id, parked_campaigns=len(parked)
    )
    here.notify_campaigns(organization_id, *parked)
    return answer


@router.post(
    "/unfreeze",
    dependencies=[OPERATOR],
    operation_id="unfreeze_wallet",
    summary="Lift a manual freeze",
)
async def unfreeze(
    organization_id: OrganizationId, caller: Caller, here: Here, once: Once
) -> WalletOut:
    """Lifts the freeze that an operator placed; the freeze of a suspension stays. Campaigns that
    are allowed to continue resume. Idempotent.
    """
    async with here.services.engine.begin() as conn:
        if not await once.do_once(conn):
            return await _wallet_out(conn, organization_id)
        standing = await standings.lock(conn, organization_id)
        if standing is None:
            raise not_found("organization")
        if (
            standing.status is Status.SUSPENDED
        ):  # campaigns parked for the freeze now wait for the next cause
            await parked_campaigns.park_running(conn, organization_id, Park.SUSPENDED)
        await gates.unfreeze_by_operator(
            conn,
            organization_id,
            epoch=standing.epoch,
            cause=f"unfrozen by {caller.name} ({caller.id})",
        )
        answer = await _wallet_out(conn, organization_id)
    log.info("wallet_unfrozen", organization_id=organization_id, by=caller.id)
    await resume(here, organization_id)
    return answer


async def _wallet_out(conn: AsyncConnection, organization_id: str) -> WalletOut:
    """The wallet as an operator sees it."""
    wallet = await wallets.get(conn, organization_id)
    if wallet is None:
        raise not_found("organization")
    return WalletOut.of(wallet, await receivables.owed(conn, organization_id))


async def resume(here: Context, organization_id: str) -> None:
    """Resume parked campaigns that may continue. The booking stays, whatever happens here."""
    resumed: list[UUID] = []
    try:
        async with here.services.engine.begin() as conn:
            resumed = await parked_campaigns.resume_eligible(
                conn, organization_id, now=datetime.now(UTC)
            )
    except SQLAlchemyError as problem:
        log.warning(
            "resume_failed",
            organization_id=organization_id,
            problem=str(problem).partition("\n")[0],
        )
    here.notify_campaigns(organization_id, *resumed)
