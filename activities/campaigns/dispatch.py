"""Sends paid messages to Twilio in small windows; checks the gate before every window."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from temporalio import activity

from activities.campaigns.batch_sender import BatchOf, BatchSender, Sent
from activities.campaigns.pacing import Pacing
from activities.campaigns.twilio_lookup import LOOK_UP_AFTER, look_up
from activities.campaigns.twilio_send import Tally, Terms, hand_over
from activities.failures import translated
from activities.notifier import Notifier
from activities.turns import Turns
from db import alerts
from db.billing import blocks
from db.campaigns import messages as stored
from db.campaigns import pace, readings, refusals, reservations, send_results, windows
from db.campaigns.messages import Message
from db.campaigns.refusals import Failed
from db.lifecycle import organizations, standings, suspensions
from db.lifecycle.organizations import Organization
from db.pipeline import reading
from db.recovery import fences
from domain.alerts import AlertKind
from domain.campaigns.campaign import Batch, MessageStatus, Next
from domain.campaigns.telephony import AccountStatus
from domain.campaigns.waits import Waits, in_words
from domain.lifecycle.standing import Status
from providers.errors import ProviderError
from providers.twilio import Twilio, funds

log = structlog.get_logger()
WINDOWS = 200
"""Windows that a process hands over at once; further ones wait before they are taken."""
TRANSACTIONS = 4
"""Transactions of one organization at once in a process: a locked wallet occupies no more
connections than these.
"""


class Sending:
    """`messages_per_second` is the pace of the whole account at Twilio, which all workers keep to
    together. An unconfirmed message is looked up after `look_up_after`, and given up after
    `lost_after`.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        twilio: Twilio,
        notifier: Notifier,
        *,
        terms: Terms,
        lost_after: timedelta,
        look_up_after: timedelta = LOOK_UP_AFTER,
        messages_per_second: int | None = None,
    ) -> None:
        self._engine = engine
        self._twilio = twilio
        self._notifier = notifier
        self._terms = terms
        self._lost_after = lost_after
        self._look_up_after = look_up_after
        self._messages_per_second = messages_per_second
        self._turns = Turns(TRANSACTIONS)
        self._windows = asyncio.Semaphore(WINDOWS)
        self._pacing = Pacing(engine)

    @activity.defn(name="reserve_batch")
    async def reserve_batch(self, request: BatchOf) -> Batch:
        """Pay for the next messages in one transaction, or park the campaign with a reason."""
        async with self._transaction(request.organization_id) as conn:
            batch = await reservations.reserve(
                conn,
                request.organization_id,
                request.campaign_id,
                limit=request.batch,
                now=datetime.now(UTC),
            )
            organization = await organizations.get(conn, request.organization_id)
        if batch is None:
            return Batch(next=Next.DONE, reason="there is no such campaign")
        if batch.next is not Next.SEND:
            log.info(
                "campaign_finished" if batch.next is Next.DONE else "campaign_waits",
                organization_id=request.organization_id,
                campaign_id=str(request.campaign_id),
                status=batch.status,
                reason=batch.reason,
                detail=batch.detail,
                again_in=batch.begins_in,
                position=batch.position,
                unconfirmed=batch.unconfirmed,
            )
        paces = [self._messages_per_second]
        paces += [organization.messages_per_second if organization else None]
        return replace(batch, pace=min((pace for pace in paces if pace is not None), default=None))

    @activity.defn(name="send_batch")
    async def send_batch(self, request: BatchOf) -> Sent:
        """Send the reserved messages window by window until none is left, the gate shuts or Twilio
        asks for a pause.

        Messages left in the window of an earlier attempt become unknown and are not sent again.
        """
        async with self._transaction(request.organization_id) as conn:
            organization = await organizations.get(conn, request.organization_id)
            unknown = await windows.mark_unanswered(
                conn, request.organization_id, request.campaign_id
            )
            course = await refusals.course(conn, request.organization_id, request.campaign_id)
        if organization is None or course is None:
            return Sent(stopped=True)
        sender = BatchSender(
            engine=self._engine,
            twilio=self._twilio,
            terms=self._terms,
            organization=organization,
            campaign_id=request.campaign_id,
            window=request.window,
            turn_seconds=request.turn_seconds,
            messages_per_second=self._messages_per_second,
            account=await self._account(organization),
            course=course,
            shut_with_the_account=self._shut_with_the_account,
            turns=self._turns,
            windows=self._windows,
            pacing=self._pacing,
        )
        return await sender.send(unknown)

    @activity.defn(name="settle_batch")
    async def settle_batch(self, request: BatchOf) -> int:
        """Refund the messages that were not sent when the gate shut; they are pending again.

        Not while the fence is shut: the database may not know that they were sent.
        """
        async with self._transaction(request.organization_id) as conn:
            if await fences.current(conn) is not None:
                return 0
            return await windows.release(conn, request.organization_id, request.campaign_id)

    @activity.defn(name="resolve_unknown")
    async def resolve_unknown(self, request: BatchOf) -> int:
        """Look up messages that may have been accepted: accepted if Twilio lists them, lost and
        refunded once given up.
        """
        return await self.resolve(request.organization_id)

    async def send_one(self, organization: Organization, message: Message) -> Message:
        """Send one message that is paid for and marked as being sent; returns its resulting state.

        Refunds it if Twilio certainly did not accept it, since nothing will retry it.
        """
        tally = await hand_over(self._twilio, organization, [message], self._terms)
        [reply] = tally.replies
        if reply.status is MessageStatus.RESERVED:
            reply = replace(reply, status=MessageStatus.REFUSED)
        await self._settle(organization, replace(tally, replies=(reply,)))
        if tally.account_suspended:
            await self._shut_with_the_account(organization)
        elif tally.verdict.stop is not None:
            async with self._engine.begin() as conn:
                await refusals.tell(
                    conn, organization.id, [Failed(reply.error_code, reply.message.sender)]
                )
        async with reading(self._engine).connect() as conn:
            return await stored.get(conn, organization.id, message.id) or message

    async def resolve(self, organization_id: str) -> int:
        """Decide the organization's messages whose sending has been open for over a minute; returns
        how many.
        """
        now = datetime.now(UTC)
        async with reading(self._engine).connect() as conn:
            organization = await organizations.get(conn, organization_id)
            waiting = [
                message
                for status in (MessageStatus.SENDING, MessageStatus.UNKNOWN)
                for message in await stored.in_status(
                    conn, organization_id, status, sending_before=now - self._look_up_after
                )
            ]
        if organization is None:
            return 0
        with translated():
            found = await look_up(
                self._engine,
                self._twilio,
                organization,
                waiting,
                now=now,
                lost_after=self._lost_after,
            )
        if not found.replies:
            return 0
        async with self._transaction(organization_id) as conn:
            if found.unsure:
                await alerts.raise_(
                    conn,
                    organization_id,
                    AlertKind.MESSAGE_UNCONFIRMED,
                    "; ".join(found.unsure[:5]),
                )
            return await readings.settle(conn, organization_id, found.replies)

    async def _settle(self, organization: Organization, posted: Tally) -> None:
        if posted.replies:
            async with self._transaction(organization.id) as conn:
                await send_results.settle(conn, organization.id, posted.replies)

    @asynccontextmanager
    async def _transaction(self, organization_id: str) -> AsyncIterator[AsyncConnection]:
        """A transaction that may wait for the organization's locks."""
        async with self._turns.of(organization_id), self._engine.begin() as conn:
            yield conn

    async def _account(self, organization: Organization) -> str:
        """The key of the pace of its parent account."""
        try:
            parent = await self._twilio.parent_of(organization.twilio_account_sid)
        except ProviderError:  # if it still cannot be found, each message's answer says so
            return pace.WHOLE_ACCOUNT
        return pace.of_account(parent, main=parent == self._twilio.main_parent)

    async def _shut_with_the_account(self, organization: Organization) -> str | None:
        """Handle Twilio's rejection of the account: shut the gate by the telephony block, unless it
        is shut or changing; None: it is.

        Otherwise why it stays open: the parent is suspended, which no organization can help and
        which would leave each of them with a block to lift, or a change is in progress.
        """
        async with reading(self._engine).connect() as conn:
            before = await standings.get(conn, organization.id)
        if before is None or before.behind or before.status is Status.SUSPENDED:
            return None  # we suspended it, or are reopening it
        try:
            account = await self._twilio.get_account(organization.twilio_account_sid)
            suspended = await funds.why_suspended(self._twilio, account.sid)
        except ProviderError as problem:
            log.error("account_refused", organization_id=organization.id, reason=str(problem))
            return in_words(Waits.ACCOUNT_NOT_ACTIVE)
        if suspended is not None:
            async with self._engine.begin() as conn:
                await alerts.raise_(
                    conn, alerts.INSTALLATION, AlertKind.PARENT_SUSPENDED, suspended
                )
        if suspended is not None or account.status is AccountStatus.ACTIVE:
            why = suspended or in_words(Waits.ACCOUNT_NOT_ACTIVE)
            log.error("account_refused", organization_id=organization.id, reason=why)
            return why
        reason = f"Twilio reports the subaccount as {account.status.value}"
        async with self._engine.begin() as conn:
            if await standings.lock(conn, organization.id) != before:
                return None  # our own suspension may have begun and ended since: no block may outlast it
            ours = account.status is AccountStatus.SUSPENDED and await suspensions.take_back(
                conn, before, now=datetime.now(UTC)
            )
            if not ours:
                await blocks.block_telephony(conn, organization.id, reason, now=datetime.now(UTC))
        log.warning("subaccount_not_active", organization_id=organization.id, reason=reason)
        await self._notifier.notify_organization(organization.id)
        return None
