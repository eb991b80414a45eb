"""Moves one customer to another billing provider: check, offer, await consent, stop, cut over."""

from datetime import datetime, timedelta
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.billing.confirmation import Organization
    from activities.failures import cause_of
    from activities.switching.steps import Migrating, StuckAt, Where
    from activities.workflow_contracts import MIGRATION, Moving
    from domain.switching.switch import IN_WORDS, OVER, Progress
    from workflows import options

STEPS = {
    Progress.STARTED: Migrating.check_migration,
    Progress.WAITING: Migrating.check_migration,
    Progress.CHECKED: Migrating.offer_checkout,
    Progress.OFFERED: Migrating.look_for_consent,
    Progress.CONSENTED: Migrating.stop_source,
    Progress.STOPPING: Migrating.stop_source,
    Progress.STOPPED: Migrating.cut_over,
    Progress.UNDOING: Migrating.undo_migration,
}
WAITS = (Progress.WAITING, Progress.OFFERED)


@workflow.defn(name=MIGRATION)
class SubscriptionMigration:
    """Holds no state but whether it was notified: the database knows which step is due, and any
    step may be repeated.
    """

    @workflow.init
    def __init__(self, start: Moving) -> None:
        self._start = start
        self._organization = Organization(organization_id=start.organization_id)
        self._notified = True

    @workflow.signal(description="Look at the database and the providers again")
    def ring(self, *_hints: Any) -> None:
        self._notified = True

    @workflow.run
    async def run(self, start: Moving) -> str:
        while True:
            where, looked = await self._read(), False
            while where is not None and where.progress not in OVER:
                self._tell(where)
                if where.progress in WAITS and looked:
                    await self._until_notified_or_due(where)
                where, looked = await self._take(where), True
                if workflow.info().get_current_history_length() > options.LONGEST_HISTORY:
                    await workflow.wait_condition(workflow.all_handlers_finished)
                    workflow.continue_as_new(self._start)
            if where is not None:
                self._tell(where)
            if not self._notified:
                return (
                    ""
                    if where is None
                    else f"{where.progress.value}: {where.reason or IN_WORDS[where.progress]}"
                )

    async def _read(self) -> Where | None:
        self._notified = False
        return await workflow.execute_activity_method(
            Migrating.read_migration,
            self._organization,
            start_to_close_timeout=options.DATABASE,
            retry_policy=options.FOR_EVER,
            summary="where it is",
        )

    async def _take(self, where: Where) -> Where:
        self._notified = False
        try:
            found: Where = await workflow.execute_activity_method(
                STEPS[where.progress],
                self._organization,
                start_to_close_timeout=options.PROVIDER,
                heartbeat_timeout=options.HEARTBEAT,
                retry_policy=options.FOR_EVER,
                summary=where.progress.value,
            )
        except ActivityError as problem:
            if is_cancelled_exception(problem):
                raise  # an operator ends this run; the reconciliation starts another, which continues here
            await self._stuck(where, cause_of(problem))
            return where
        return found

    async def _stuck(self, where: Where, reason: str) -> None:
        """A provider refuses for good: an operator has to look. Retried when notified, or after a
        while.
        """
        workflow.set_current_details(f"**STUCK** at {where.progress.value}: {reason}")
        await workflow.execute_activity_method(
            Migrating.note_stuck_migration,
            StuckAt(
                organization_id=self._start.organization_id, progress=where.progress, reason=reason
            ),
            start_to_close_timeout=options.DATABASE,
            retry_policy=options.FOR_EVER,
        )
        await self._until_rung_or(timedelta(seconds=self._start.look_seconds))

    async def _until_notified_or_due(self, where: Where) -> None:
        due = timedelta(seconds=self._start.look_seconds)
        if where.progress is Progress.WAITING and where.until is not None:
            renewed = (
                where.until + timedelta(seconds=self._start.after_renewal_seconds) - workflow.now()
            )
            # a late charge is not queried every second
            due = renewed if renewed > timedelta() else due
        elif where.until is not None:
            due = min(due, where.until - workflow.now())
        await self._until_rung_or(max(due, timedelta(seconds=1)))

    async def _until_rung_or(self, due: timedelta) -> None:
        try:
            await workflow.wait_condition(
                lambda: self._notified, timeout=due, timeout_summary=f"look again in {due}"
            )
        except TimeoutError:
            self._notified = True

    def _tell(self, where: Where) -> None:
        """Show in the Temporal UI the switch's state and the reason for it."""
        lines = [
            f"**{where.progress.value.upper()}** to {where.target}: {IN_WORDS[where.progress]}",
            where.reason,
            f"waits until {_in_words(where.until)}"
            if where.until and where.progress in WAITS
            else "",
        ]
        workflow.set_current_details("\n\n".join(line for line in lines if line))


def _in_words(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M UTC")
