"""Does a confirmed act to one organization after the other, each once, in a transaction of its own."""

from datetime import UTC, datetime
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from temporalio import activity
from temporalio.service import RPCError

from activities.notifier import Notifier
from db.billing import blocks
from db.campaigns import freezes
from db.lifecycle.standings import HeldBlock
from db.operations import bulk_acts
from db.wallet import wallets
from domain.lifecycle.standing import Block
from domain.money import Money
from domain.operations.bulk_act import BulkAct, BulkKind, BulkStatus, TargetStatus
from domain.wallet import refusals
from domain.wallet.entries import credit
from domain.wallet.ledger import Posted

log = structlog.get_logger()
AT_ONCE = 200
"""Organizations of one attempt, whose transactions take some milliseconds each."""
GONE = "there is no such organization"


class BulkActs:
    def __init__(self, engine: AsyncEngine, notifier: Notifier) -> None:
        self._engine = engine
        self._notifier = notifier

    @activity.defn(name="do_bulk_act")
    async def do(self, bulk_act_id: UUID) -> bool:
        """Do it to the next organizations, if it was confirmed; returns whether any are left. Safe
        to repeat: what is done is recorded with each.
        """
        async with self._engine.connect() as conn:
            act = await bulk_acts.get(conn, bulk_act_id)
        if act is None or act.status is not BulkStatus.RUNNING:
            return False
        for _ in range(AT_ONCE):
            if not await self._do_next(act):
                break
        async with self._engine.begin() as conn:
            return not await bulk_acts.finish(conn, act.id, now=datetime.now(UTC))

    async def _do_next(self, act: BulkAct) -> bool:
        async with self._engine.begin() as conn:
            organization_id = await bulk_acts.take(conn, act.id)
            if organization_id is None:
                return False
            parked: list[UUID] = []
            problem = ""
            match act.kind:
                case BulkKind.SUSPEND:
                    problem = await _suspend(conn, act, organization_id)
                case BulkKind.FREEZE:
                    frozen = await freezes.freeze(conn, organization_id, reason=act.reason)
                    parked, problem = frozen or [], GONE if frozen is None else ""
                case BulkKind.CREDIT:
                    problem = await _credit(conn, act, organization_id, act.amount)
            status = TargetStatus.REFUSED if problem else TargetStatus.DONE
            await bulk_acts.settle(conn, act.id, organization_id, status, problem)
        await self._notify(act, organization_id, parked)
        return True

    async def _notify(self, act: BulkAct, organization_id: str, parked: list[UUID]) -> None:
        """The relay notifies whomever this does not reach."""
        try:
            if act.kind is BulkKind.SUSPEND:
                await self._notifier.notify_organization(organization_id, urgent=True)
            for campaign_id in parked:
                await self._notifier.notify_campaign(organization_id, campaign_id)
        except (RPCError, RuntimeError) as problem:
            log.warning(
                "notification_failed",
                organization_id=organization_id,
                reason=type(problem).__name__,
            )


async def _suspend(conn: AsyncConnection, act: BulkAct, organization_id: str) -> str:
    block = HeldBlock(
        kind=Block.ADMIN,
        reference="",
        reason=act.reason,
        placed_by=act.confirmed_by or act.previewed_by,
    )
    standing = await blocks.block(conn, organization_id, block, now=datetime.now(UTC))
    return GONE if standing is None else ""


async def _credit(
    conn: AsyncConnection, act: BulkAct, organization_id: str, amount: Money | None
) -> str:
    if amount is None:
        return "no amount is named"
    posting = credit(
        f"bulk:{act.id}", amount, "credited to many organizations"
    )  # a customer sees it
    [outcome] = await wallets.post(conn, organization_id, [posting])
    return "" if isinstance(outcome, Posted) else refusals.in_words(outcome)
