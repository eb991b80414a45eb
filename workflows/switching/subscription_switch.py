"""Moves one customer to another billing provider: check, offer, await consent, stop, cut over."""

from datetime import datetime, timedelta
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.billing.confirmation import Organization
    from activities.failures import cause_of
    from activities.switching.moves import SwitchState
    from activities.switching.steps import StuckSwitch, Switching
    from activities.workflow_contracts import SUBSCRIPTION_SWITCH, SwitchStart, switching_queue
    from domain.switching.switch import IN_WORDS, OVER, SwitchStatus
    from workflows import options

STEPS = {
    SwitchStatus.STARTED: Switching.check_switch,
    SwitchStatus.WAITING: Switching.check_switch,
    SwitchStatus.CHECKED: Switching.offer_checkout,
    SwitchStatus.OFFERED: Switching.look_for_consent,
    SwitchStatus.CONSENTED: Switching.stop_source,
    SwitchStatus.STOPPING: Switching.stop_source,
    SwitchStatus.STOPPED: Switching.cut_over,
    SwitchStatus.UNDOING: Switching.undo_switch,
}
WAITS = (SwitchStatus.WAITING, SwitchStatus.OFFERED)


@workflow.defn(name=SUBSCRIPTION_SWITCH)
class SubscriptionSwitch:
    """Holds no state but whether it was notified: the database knows which step is due, and any
    step may be repeated.
    """

    @workflow.init
    def __init__(self, start: SwitchStart) -> None:
        self._start = start
        self._organization = Organization(organization_id=start.organization_id)
        self._notified = True
        self._quiet_looks = 0

    @workflow.signal(description="Check the database and the providers again")
    def ring(self, *_hints: Any) -> None:
        self._notified = True

    @workflow.run
    async def run(self, start: SwitchStart) -> str:
        while True:
            state, looked = await self._read(), False
            while state is not None and state.progress not in OVER:
                self._show(state)
                if state.progress in WAITS and looked:
                    await self._until_notified_or_due(state)
                state, looked = await self._take(state), True
                if workflow.info().get_current_history_length() > options.LONGEST_HISTORY:
                    await workflow.wait_condition(workflow.all_handlers_finished)
                    workflow.continue_as_new(self._start)
            if state is not None:
                self._show(state)
            if not self._notified:
                return (
                    ""
                    if state is None
                    else f"{state.progress.value}: {state.reason or IN_WORDS[state.progress]}"
                )

    async def _read(self) -> SwitchState | None:
        self._notified = False
        return await workflow.execute_activity_method(
            Switching.read_switch,
            self._organization,
            start_to_close_timeout=options.DATABASE,
            retry_policy=options.FOR_EVER,
            summary="read the state of the switch",
        )

    async def _take(self, state: SwitchState) -> SwitchState:
        self._notified = False
        try:
            found: SwitchState = await workflow.execute_activity_method(
                STEPS[state.progress],
                self._organization,
                task_queue=switching_queue(workflow.info().task_queue),
                start_to_close_timeout=options.PROVIDER,
                heartbeat_timeout=options.HEARTBEAT,
                retry_policy=options.FOR_EVER,
                summary=state.progress.value,
            )
        except ActivityError as problem:
            if is_cancelled_exception(problem):
                raise  # an operator ends this run; the reconciliation starts another, which continues here
            await self._stuck(state, cause_of(problem))
            return state
        return found

    async def _stuck(self, state: SwitchState, reason: str) -> None:
        """A provider refuses permanently: an operator has to act. Retried when notified, or after a
        while.
        """
        workflow.set_current_details(f"**STUCK** at {state.progress.value}: {reason}")
        await workflow.execute_activity_method(
            Switching.note_stuck_switch,
            StuckSwitch(
                organization_id=self._start.organization_id, progress=state.progress, reason=reason
            ),
            start_to_close_timeout=options.DATABASE,
            retry_policy=options.FOR_EVER,
        )
        await self._until_notified_or(self._next_look())

    def _next_look(self) -> timedelta:
        """Each look that nothing followed doubles the pause: what happens is notified."""
        return timedelta(seconds=self._start.look_seconds * (1 << min(self._quiet_looks, 4)))

    async def _until_notified_or_due(self, state: SwitchState) -> None:
        due = self._next_look()
        if state.progress is SwitchStatus.WAITING and state.until is not None:
            renewed = (
                state.until + timedelta(seconds=self._start.after_renewal_seconds) - workflow.now()
            )
            # a late charge is not queried every second
            due = renewed if renewed > timedelta() else due
        elif state.until is not None:
            due = min(due, state.until - workflow.now())
        await self._until_notified_or(max(due, timedelta(seconds=1)))

    async def _until_notified_or(self, due: timedelta) -> None:
        try:
            await workflow.wait_condition(
                lambda: self._notified, timeout=due, timeout_summary=f"next check in {due}"
            )
            self._quiet_looks = 0
        except TimeoutError:
            self._notified = True
            self._quiet_looks += 1

    def _show(self, state: SwitchState) -> None:
        """Show in the Temporal UI the switch's state and the reason for it."""
        lines = [
            f"**{state.progress.value.upper()}** to {state.target}: {IN_WORDS[state.progress]}",
            state.reason,
            f"waits until {_in_words(state.until)}"
            if state.until and state.progress in WAITS
            else "",
        ]
        workflow.set_current_details("\n\n".join(line for line in lines if line))


def _in_words(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M UTC")
