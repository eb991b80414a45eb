"""One organization's lifecycle, which never ends: notified by webhooks and operators, it applies
the current standing.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import Priority, SearchAttributeUpdate
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from activities.billing.confirmation import Billing, Organization
    from activities.failures import ELSEWHERE, SUPERSEDED, cause_of
    from activities.lifecycle.enforcement import Enforcement, Step, Stuck
    from activities.workflow_contracts import (
        LIFECYCLE,
        STANDING,
        STUCK,
        URGENT,
        Lifecycle,
        provider_queue,
    )
    from domain.billing.subscription import Provider
    from domain.lifecycle.standing import Standing, Status
    from workflows import options

STEPS = {
    Status.SUSPENDED: (
        Enforcement.suspend_twilio_subaccount,
        Enforcement.freeze_wallet,
        Enforcement.pause_campaigns,
    ),
    Status.ACTIVE: (
        Enforcement.reactivate_twilio_subaccount,
        Enforcement.unfreeze_wallet,
        Enforcement.resume_eligible_campaigns,
    ),
}
SUSPENDS = STEPS[Status.SUSPENDED]
CALLS_TWILIO = ("suspend_twilio_subaccount", "reactivate_twilio_subaccount")


@workflow.defn(name=LIFECYCLE)
class OrganizationLifecycle:
    """Signals only set flags; `run` alone decides and acts. Rules and money are in the database."""

    @workflow.init
    def __init__(self, start: Lifecycle) -> None:
        self._start = start
        self._organization_id = start.organization_id
        self._self_check = timedelta(seconds=start.self_check_seconds)
        self._applied_epoch = start.applied_epoch
        self._standing: Standing | None = None
        self._notified = True
        self._unanswered = 0
        self._doubts = 0
        self._stuck = ""
        self._provider: Provider | None = None
        self._urgent = False

    @workflow.signal(description="Check the database and the providers again")
    def ring(self, *hints: Any) -> None:
        self._notified = True
        self._urgent = self._urgent or URGENT in hints

    @workflow.run
    async def run(self, start: Lifecycle) -> None:
        while True:
            if not self._notified:
                await self._until_rung_or_due()
            await self._confirm()
            if self._standing is None:
                return
            while self._behind() and not await self._converge():
                pass
            self._tell()
            if self._long_enough():
                await workflow.wait_condition(workflow.all_handlers_finished)
                workflow.continue_as_new(self._carried_over())

    def _behind(self) -> bool:
        if self._standing is None or self._stuck:
            return False
        return self._standing.behind or self._standing.epoch != self._applied_epoch

    async def _until_rung_or_due(self) -> None:
        due = self._due_in()
        summary = None if due is None else f"next check in {due}"
        try:
            await workflow.wait_condition(
                lambda: self._notified, timeout=due, timeout_summary=summary
            )
        except TimeoutError:
            self._notified = True

    def _due_in(self) -> timedelta | None:
        """Until the next check without a signal; None: at rest, nothing is due by itself."""
        due = self._pause()
        if self._standing is not None and self._standing.deadline is not None:
            ends_in = max(self._standing.deadline - workflow.now(), timedelta(seconds=1))
            due = ends_in if due is None else min(due, ends_in)
        return due

    def _pause(self) -> timedelta | None:
        if self._unanswered:
            pause = options.ASK_AGAIN * (1 << min(self._unanswered - 1, 10))
            # spread out: in an outage all customers of a provider wait
            spread = 1 - workflow.random().random() / 4
            return min(pause, options.ASK_AGAIN_AT_MOST) * spread
        if self._doubts:
            return min(options.DOUBTED * (1 << min(self._doubts - 1, 10)), options.DOUBTED_AT_MOST)
        if self._rests():
            return None
        return self._self_check * (1 + workflow.random().random() / 10)

    def _rests(self) -> bool:
        """Whether it leaves checks to the reconciliation. A run of an older build checks by itself
        until it continues as new.
        """
        return workflow.patched("rests-without-a-timer")

    async def _confirm(self) -> None:
        """Query the provider; if it stays silent for long, the newest verified event counts."""
        self._notified = False
        self._stuck = ""
        organization = Organization(organization_id=self._organization_id)
        try:
            self._standing = await self._query(organization)
            self._unanswered = 0
            self._doubts = (
                self._doubts + 1 if self._standing is not None and self._standing.ask_again else 0
            )
        except ActivityError as problem:
            workflow.logger.warning("confirmation failed: %s", problem.cause)
            self._unanswered += 1
            self._standing = await workflow.execute_activity_method(
                Billing.settle_standing,
                replace(
                    organization,
                    problem=f"not confirmed for {self._start.confirm_for_seconds} s; the log says "
                    "why",
                ),
                start_to_close_timeout=options.DATABASE,
                retry_policy=options.FOR_EVER,
                summary="decide from what is recorded",
            )
        if self._standing is not None:
            self._provider = self._standing.provider

    async def _query(self, organization: Organization) -> Standing | None:
        """On the queue of the organization's provider, so that a silent one holds up nobody else.
        Which one that is, the first attempt tells.
        """
        try:
            return await self._query_on_queue(organization)
        except ActivityError as problem:
            if _type_of(problem) != ELSEWHERE:
                raise
            self._provider = Provider(cause_of(problem))
        return await self._query_on_queue(organization)

    async def _query_on_queue(self, organization: Organization) -> Standing | None:
        queue, provider = workflow.info().task_queue, self._provider
        confirmed: Standing | None = await workflow.execute_activity_method(
            Billing.confirm_subscription,
            replace(organization, redirect=provider is None),
            task_queue=queue if provider is None else provider_queue(queue, provider),
            start_to_close_timeout=options.PROVIDER,
            schedule_to_close_timeout=timedelta(seconds=self._start.confirm_for_seconds),
            heartbeat_timeout=options.HEARTBEAT,
            retry_policy=options.BRIEFLY if self._unanswered else options.SOON,
            priority=options.SUSPENDING if self._urgent else Priority.default,
            summary="query the provider, apply its answer",
        )
        self._urgent = False
        return confirmed

    async def _converge(self) -> bool:
        """Run the steps of the standing's epoch; False if the standing changed on the way and must
        be reloaded.
        """
        assert self._standing is not None
        standing, complete = self._standing, True
        self._tell("converging")
        for activity_method in STEPS[standing.status]:
            step = Step(
                organization_id=self._organization_id, epoch=standing.epoch, complete=complete
            )
            try:
                superseded = await self._take(activity_method, step)
            except ActivityError as problem:
                if _type_of(problem) == SUPERSEDED:
                    superseded = True
                else:
                    superseded, complete = False, False
                    await self._note_stuck(
                        activity_method.__name__, standing.epoch, cause_of(problem)
                    )
                    if standing.status is Status.ACTIVE:
                        return True  # a gate that is not open stays shut
            if superseded:
                await self._confirm_if_same(standing.epoch)
                return False
        if complete:
            self._applied_epoch = standing.epoch
        return True

    async def _take(self, activity_method: Any, step: Step) -> bool:
        """Run one step to its end, or cancel it when the standing changes; returns True if it was
        canceled.
        """
        twilio = activity_method.__name__ in CALLS_TWILIO
        handle = workflow.start_activity_method(
            activity_method,
            step,
            start_to_close_timeout=options.PROVIDER if twilio else options.DATABASE,
            heartbeat_timeout=options.HEARTBEAT if twilio else None,
            retry_policy=options.FOR_EVER,
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            priority=options.SUSPENDING if activity_method in SUSPENDS else Priority.default,
            summary=f"epoch {step.epoch}",
        )
        while not handle.done():
            await workflow.wait_condition(lambda: handle.done() or self._notified)
            if self._notified and not handle.done():
                await self._confirm()
                if self._standing is None or self._standing.epoch != step.epoch:
                    handle.cancel()
                    try:
                        await handle
                    except ActivityError:
                        workflow.logger.info("epoch %d was superseded", step.epoch)
                    return True
        await handle
        return False

    async def _confirm_if_same(self, epoch: int) -> None:
        if self._standing is not None and self._standing.epoch == epoch:
            await self._confirm()

    async def _note_stuck(self, step: str, epoch: int, reason: str) -> None:
        self._stuck = f"{step}: {reason}"
        await workflow.execute_activity_method(
            Enforcement.mark_stuck,
            Stuck(organization_id=self._organization_id, epoch=epoch, step=step, reason=reason),
            start_to_close_timeout=options.DATABASE,
            retry_policy=options.FOR_EVER,
        )

    def _tell(self, doing: str = "at rest") -> None:
        """Show in the Temporal UI who is suspended, why, and what is stuck."""
        assert self._standing is not None
        standing = self._standing
        blocks = ", ".join(sorted(block.value for block in standing.blocks)) or "none"
        lines = [
            f"**{standing.status.value.upper()}**, {doing}, epoch {standing.epoch}",
            f"blocks: {blocks}",
            f"grace ends: {_in_words(standing.deadline)}" if standing.deadline else "",
            f"**STUCK** at {self._stuck}" if self._stuck else "",
            "the billing provider does not answer; retrying" if self._unanswered else "",
            "the billing provider contradicts its webhook; retrying" if self._doubts else "",
        ]
        workflow.set_current_details("\n\n".join(line for line in lines if line))
        updates: list[SearchAttributeUpdate[Any]] = []
        attributes = workflow.info().typed_search_attributes
        if attributes.get(STANDING) != standing.status.value:
            updates.append(STANDING.value_set(standing.status.value))
        if attributes.get(STUCK) != bool(self._stuck):
            updates.append(STUCK.value_set(bool(self._stuck)))
        if updates:
            workflow.upsert_search_attributes(updates)

    def _long_enough(self) -> bool:
        info = workflow.info()
        return (
            info.is_continue_as_new_suggested()
            or info.get_current_history_length() > self._start.longest_history
            or (not self._rests() and workflow.now() - info.start_time > options.LONGEST_OLD_RUN)
        )

    def _carried_over(self) -> Lifecycle:
        return replace(self._start, applied_epoch=self._applied_epoch)


def _type_of(problem: ActivityError) -> str | None:
    return problem.cause.type if isinstance(problem.cause, ApplicationError) else None


def _in_words(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M UTC")
