"""Applies a standing at Twilio and in campaigns, in the steps and order of the lifecycle workflow.

Every step names its epoch and does nothing for another one (`Superseded`). Steps are idempotent;
each adds its line to the receipt.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from temporalio import activity

from activities.failures import superseded, translated
from activities.lifecycle import token_rotation
from activities.notifier import Notifier
from db import alerts
from db.billing import blocks
from db.campaigns import parked_campaigns
from db.lifecycle import read_backs, receipts, standings, suspensions
from db.pipeline import reading, together
from db.wallet import gates
from domain.alerts import AlertKind
from domain.campaigns.campaign import Park
from domain.campaigns.telephony import Account, AccountStatus
from domain.lifecycle.standing import Standing, Status
from providers.errors import AlreadyTerminal
from providers.twilio import Twilio

log = structlog.get_logger()
SUSPEND = "suspend_twilio_subaccount"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of one epoch. `complete`: every earlier step succeeded, so the last one closes the
    receipt.
    """

    organization_id: str
    epoch: int
    complete: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Stuck:
    """A step that failed permanently, shown to operators."""

    organization_id: str
    epoch: int
    step: str
    reason: str


class Enforcement:
    def __init__(
        self,
        engine: AsyncEngine,
        twilio: Twilio,
        notifier: Notifier,
        *,
        rotates_tokens: bool = False,
    ) -> None:
        self._engine = engine
        self._reading = reading(engine)
        self._twilio = twilio
        self._notifier = notifier
        self._rotates_tokens = rotates_tokens

    @activity.defn(name="suspend_twilio_subaccount")
    async def suspend_twilio_subaccount(self, step: Step) -> None:
        """Suspend the subaccount and read it back; a closed one counts as suspended. Where that is
        set up, its token is replaced first.
        """
        started_at = datetime.now(UTC)
        async with self._engine.begin() as conn:
            account_sid = await suspensions.send(
                conn, step.organization_id, step.epoch, now=started_at
            )
        if account_sid is None:
            raise superseded(step.epoch, await self._epoch(step))
        if self._rotates_tokens:
            await token_rotation.rotate(
                self._engine, self._twilio, step.organization_id, step.epoch, account_sid
            )
        with translated():
            account = await self._twilio.ensure_status(account_sid, AccountStatus.SUSPENDED)
        await self._note(step, SUSPEND, started_at, account)

    @activity.defn(name="freeze_wallet")
    async def freeze_wallet(self, step: Step) -> None:
        started_at = datetime.now(UTC)
        async with self._in(step) as (conn, _), together(conn):
            await gates.freeze(
                conn, step.organization_id, epoch=step.epoch, cause="the organization is suspended"
            )
            await _line(conn, step, "freeze_wallet", started_at, "frozen")

    @activity.defn(name="pause_campaigns")
    async def pause_campaigns(self, step: Step) -> Standing:
        """Park running campaigns and close the receipt: the suspension is applied."""
        started_at = datetime.now(UTC)
        async with self._in(step) as (conn, standing):
            parked = await parked_campaigns.park_running(conn, step.organization_id, Park.SUSPENDED)
            async with together(conn):
                await _line(conn, step, "pause_campaigns", started_at, f"{len(parked)} parked")
                await _close(conn, step, standing)
            await _free(conn, step, standing)
        await self._notify_parked(step.organization_id, parked)
        return standing

    @activity.defn(name="reactivate_twilio_subaccount")
    async def reactivate_twilio_subaccount(self, step: Step) -> None:
        """Reactivate the subaccount and read it back. If Twilio itself suspended or closed it, add
        a block.
        """
        started_at = datetime.now(UTC)
        account_sid = await self._account_of(step)
        with translated():
            try:
                account = await self._twilio.ensure_status(account_sid, AccountStatus.ACTIVE)
            except AlreadyTerminal as problem:
                await self._block_telephony(step.organization_id, str(problem))
                raise superseded(step.epoch, step.epoch + 1) from problem
        await self._note(step, "reactivate_twilio_subaccount", started_at, account)

    @activity.defn(name="unfreeze_wallet")
    async def unfreeze_wallet(self, step: Step) -> None:
        """Lift the suspension's freeze and open the gate: the only place that opens a gate."""
        started_at = datetime.now(UTC)
        async with self._in(step) as (conn, _), together(conn):
            await gates.open_gate(
                conn, step.organization_id, epoch=step.epoch, cause="the organization is active"
            )
            await _line(conn, step, "unfreeze_wallet", started_at, "unfrozen, gate open")

    @activity.defn(name="resume_eligible_campaigns")
    async def resume_eligible_campaigns(self, step: Step) -> Standing:
        """Resume parked campaigns that meet every condition, notify them, and close the receipt."""
        started_at = datetime.now(UTC)
        async with self._in(step) as (conn, standing):
            resumed = await parked_campaigns.resume_eligible(
                conn, step.organization_id, now=started_at
            )
            async with together(conn):
                await _line(
                    conn, step, "resume_eligible_campaigns", started_at, f"{len(resumed)} resumed"
                )
                await _close(conn, step, standing)
            await _free(conn, step, standing)
        for campaign_id in resumed:
            await self._notifier.notify_campaign(step.organization_id, campaign_id)
        return standing

    @activity.defn(name="mark_stuck")
    async def mark_stuck(self, stuck: Stuck) -> None:
        async with self._engine.begin() as conn:
            await standings.mark_stuck(
                conn, stuck.organization_id, stuck.epoch, stuck.step, stuck.reason
            )
            await alerts.raise_(
                conn, stuck.organization_id, AlertKind.STUCK, f"{stuck.step}: {stuck.reason}"
            )
        log.error(
            "enforcement_stuck",
            organization_id=stuck.organization_id,
            step=stuck.step,
            reason=stuck.reason,
        )

    async def _block_telephony(self, organization_id: str, reason: str) -> None:
        async with self._engine.begin() as conn:
            await blocks.block_telephony(conn, organization_id, reason, now=datetime.now(UTC))
        log.warning("telephony_blocked", organization_id=organization_id, reason=reason)

    async def _notify_parked(self, organization_id: str, campaign_ids: Sequence[UUID]) -> None:
        """A campaign waiting for Twilio keeps money reserved; without a signal it is released when
        the pause ends.
        """
        try:
            for campaign_id in campaign_ids:
                await self._notifier.notify_campaign(organization_id, campaign_id)
        except Exception as problem:  # noqa: BLE001 - the suspension is applied, whoever hears of it
            log.warning(
                "notification_failed",
                organization_id=organization_id,
                reason=type(problem).__name__,
            )

    async def _account_of(self, step: Step) -> str:
        async with self._reading.connect() as conn:
            account_sid, epoch = await standings.account_at(conn, step.organization_id)
        if account_sid is None or epoch != step.epoch:
            raise superseded(step.epoch, epoch)
        return account_sid

    async def _epoch(self, step: Step) -> int:
        async with self._reading.connect() as conn:
            return (await standings.account_at(conn, step.organization_id))[1]

    async def _note(self, step: Step, name: str, started_at: datetime, account: Account) -> None:
        async with self._engine.begin() as conn:
            standing = await standings.lock(conn, step.organization_id)
            if standing is not None and standing.epoch == step.epoch:
                detail = f"{account.sid} is {account.status.value}, read back"
                async with together(conn):
                    await _line(conn, step, name, started_at, detail)
                    if name == SUSPEND and activity.in_activity() and activity.info().attempt == 1:
                        await suspensions.arrived(conn, step.organization_id)
                return
            late = standing is not None and not standing.behind and not _agree(standing, account)
            # it ran after the steps that superseded it: they are repeated
            if standing is not None and late:
                await standings.mark_unapplied(conn, step.organization_id)
        if late:
            log.warning(
                "late_step_undone",
                organization_id=step.organization_id,
                step=name,
                epoch=step.epoch,
            )
            await self._notifier.notify_organization(step.organization_id)
        raise superseded(step.epoch, standing.epoch if standing else -1)

    @asynccontextmanager
    async def _in(self, step: Step) -> AsyncIterator[tuple[AsyncConnection, Standing]]:
        async with self._engine.begin() as conn:
            standing = await standings.lock(conn, step.organization_id)
            if standing is None or standing.epoch != step.epoch:
                raise superseded(step.epoch, standing.epoch if standing else -1)
            yield conn, standing


def _agree(standing: Standing, account: Account) -> bool:
    return (account.status is AccountStatus.ACTIVE) is (standing.status is Status.ACTIVE)


async def _line(
    conn: AsyncConnection, step: Step, name: str, started_at: datetime, detail: str
) -> None:
    await receipts.note_step(
        conn, step.organization_id, step.epoch, name, started_at=started_at, detail=detail
    )


async def _close(conn: AsyncConnection, step: Step, standing: Standing) -> None:
    if not step.complete:
        return
    now = datetime.now(UTC)
    await standings.mark_applied(conn, step.organization_id, step.epoch, now=now)
    if standing.status is Status.SUSPENDED:
        await read_backs.begin(conn, step.organization_id, now=now)
    await receipts.finish(conn, step.organization_id, step.epoch, standing.status, now=now)


async def _free(conn: AsyncConnection, step: Step, standing: Standing) -> None:
    """Clear the alert of a step that was refused; its statement returns rows, so that it cannot be
    sent together with others.
    """
    if not step.complete:
        return
    await alerts.clear(conn, step.organization_id, AlertKind.STUCK)
    log.info(
        "standing_applied",
        organization_id=step.organization_id,
        standing=standing.status.value,
        epoch=step.epoch,
        blocks=sorted(standing.blocks) if standing.status is Status.SUSPENDED else [],
    )
