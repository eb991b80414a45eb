"""Runs one campaign: reserves a batch, sends it, records the results; parks when the gate shuts and
resumes when notified.
"""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.campaigns.batch_sender import BatchOf
    from activities.campaigns.dispatch import Sending
    from activities.workflow_contracts import CAMPAIGN_RUN, Campaign
    from domain.campaigns.campaign import Batch, CampaignStatus, Next
    from workflows import options


@workflow.defn(name=CAMPAIGN_RUN)
class CampaignRun:
    """Holds no state but whether it was notified: the database knows the next message and whether
    it may be sent.
    """

    @workflow.init
    def __init__(self, start: Campaign) -> None:
        self._start = start
        self._request = BatchOf(
            organization_id=start.organization_id,
            campaign_id=start.campaign_id,
            batch=start.batch,
            window=start.window,
        )
        self._notified = True
        self._per_second: float | None = None

    @workflow.signal(description="Check the database again")
    def ring(self, *_hints: Any) -> None:
        self._notified = True

    @workflow.run
    async def run(self, start: Campaign) -> None:
        while True:
            self._notified = False
            batch = await self._reserve()
            self._tell(batch)
            if batch.pace is not None:
                self._per_second = min(batch.pace, self._per_second or batch.pace)
            if batch.next is Next.SEND:
                while await self._send():
                    pass
            elif batch.next is Next.WAIT_FOR_UNKNOWN:
                await self._wait(options.LOOK_UP_UNKNOWN, "look up what Twilio did not confirm")
                await self._resolve()
            elif batch.next is Next.STOP:
                await self._stop(batch)
            elif not self._notified:
                if batch.status == CampaignStatus.CANCELED:
                    await self._settle()  # messages that an interrupted window left reserved
                return
            info = workflow.info()
            if (
                info.is_continue_as_new_suggested()
                or info.get_current_history_length() > options.LONGEST_HISTORY
            ):
                await workflow.wait_condition(workflow.all_handlers_finished)
                workflow.continue_as_new(self._start)

    async def _reserve(self) -> Batch:
        return await workflow.execute_activity_method(
            Sending.reserve_batch,
            self._request,
            start_to_close_timeout=options.DATABASE,
            retry_policy=options.FOR_EVER,
            summary=f"pay for up to {self._request.batch} messages",
        )

    async def _send(self) -> bool:
        """Send until an attempt's time runs out; returns whether more of the batch is left."""
        turn = options.turn(self._per_second)
        sent = await workflow.execute_activity_method(
            Sending.send_batch,
            replace(self._request, turn_seconds=turn.length.total_seconds()),
            start_to_close_timeout=turn.limit,
            heartbeat_timeout=turn.heartbeat,
            retry_policy=options.SOON,
            summary="hand over what is paid for",
        )
        if sent.per_second is not None:
            self._per_second = sent.per_second
        if sent.stopped:
            await self._settle()
        elif sent.retry_after is not None:
            await self._pause(timedelta(seconds=sent.retry_after))
        return sent.left and not sent.stopped

    async def _stop(self, batch: Batch) -> None:
        if not batch.stays_paid:
            await self._settle()
        longest = options.CAMPAIGN_SELF_CHECK
        if batch.begins_in is not None:
            longest = min(longest, timedelta(seconds=batch.begins_in))
        await self._wait(longest, f"{batch.status}: {batch.reason}")

    async def _pause(self, longest: timedelta) -> None:
        """Wait until Twilio's pause is over or a signal comes; the database has its reason."""
        if workflow.patched("a-ring-ends-a-pause"):
            await self._wait(longest, "Twilio asked to wait")
        else:
            await workflow.sleep(longest, summary="Twilio asked to wait")

    async def _settle(self) -> None:
        await workflow.execute_activity_method(
            Sending.settle_batch,
            self._request,
            start_to_close_timeout=options.DATABASE,
            retry_policy=options.FOR_EVER,
            summary="refund what was not sent",
        )

    async def _resolve(self) -> None:
        await workflow.execute_activity_method(
            Sending.resolve_unknown,
            self._request,
            start_to_close_timeout=options.BATCH,
            heartbeat_timeout=options.HEARTBEAT,
            retry_policy=options.FOR_EVER,
            summary="look up what Twilio did not confirm",
        )

    async def _wait(self, longest: timedelta, why: str) -> None:
        try:
            await workflow.wait_condition(
                lambda: self._notified, timeout=longest, timeout_summary=why
            )
        except TimeoutError:
            self._notified = True

    def _tell(self, batch: Batch) -> None:
        where = (
            f"at message {batch.position} of {batch.total}"
            if batch.position
            else f"all {batch.total} handed over"
        )
        if batch.unconfirmed:
            where += f", {batch.unconfirmed} of them not confirmed by Twilio"
        why = f": {batch.reason}" if batch.reason else ""
        why += f" ({batch.detail})" if batch.detail else ""
        pace = ""
        if batch.next is Next.SEND and batch.per_second and batch.position:
            left = timedelta(seconds=round((batch.total - batch.position) / batch.per_second))
            pace = f", {batch.per_second:.0f} a second, {left} left at that rate"
        workflow.set_current_details(f"**{batch.status.upper()}**{why}, {where}{pace}")
