"""Scheduled reconciliation: notifies pending work, compares our records with the providers, audits
the ledger.
"""

from dataclasses import replace

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.audit.passes import Pass, Passes
    from activities.audit.retired import Page, PricesFrom, Retired
    from activities.workflow_contracts import (
        RECONCILE,
        RECONCILIATION,
        reconciliation_queue,
    )
    from domain.audit.reconciliation import Subject
    from workflows import options


@workflow.defn(name=RECONCILIATION)
class Reconciliation:
    """One pass over one subject. Notifies or alerts; never repairs money silently."""

    @workflow.run
    async def run(self, start: Pass) -> Pass:
        at = start if start.began_at is not None else replace(start, began_at=workflow.now())
        while not at.done:
            at = await workflow.execute_activity_method(
                Passes.reconcile,
                at,
                task_queue=reconciliation_queue(workflow.info().task_queue),
                start_to_close_timeout=options.AUDIT
                if at.subject is Subject.AUDIT
                else options.BATCH,
                heartbeat_timeout=options.HEARTBEAT,
                retry_policy=options.FOR_EVER,
                summary=f"{at.compared} compared",
            )
            if not at.done and self._long_enough():
                workflow.continue_as_new(at)
        return replace(at, listed=())

    def _long_enough(self) -> bool:
        info = workflow.info()
        return (
            info.is_continue_as_new_suggested()
            or info.get_current_history_length() > options.LONGEST_PASS
        )


@workflow.defn(name=RECONCILE)
class Reconcile:
    """Of earlier releases, which did all of it one after the other. A run that begins with this
    release ends at once; one that was under way replays what it did, and ends.
    """

    @workflow.run
    async def run(self, start: Page) -> int:
        if workflow.patched("passes"):
            return 0
        if start.after is None:
            await workflow.execute_activity_method(
                Retired.notify_waiting,
                start_to_close_timeout=options.PROVIDER,
                retry_policy=options.SOON,
            )
            await workflow.execute_activity_method(
                Retired.settle_unknown_messages,
                start_to_close_timeout=options.BATCH,
                heartbeat_timeout=options.HEARTBEAT,
                retry_policy=options.SOON,
            )
            await workflow.execute_activity_method(
                Retired.audit, start_to_close_timeout=options.BATCH, retry_policy=options.SOON
            )
            if workflow.patched("prices"):
                await self._record_prices()
        compared = await workflow.execute_activity_method(
            Retired.compare_organizations,
            start,
            start_to_close_timeout=options.BATCH,
            heartbeat_timeout=options.HEARTBEAT,
            retry_policy=options.SOON,
            summary=f"after {start.after or 'the beginning'}",
        )
        if compared.after is not None:
            workflow.continue_as_new(Page(after=compared.after, limit=start.limit))
        return compared.differing

    async def _record_prices(self) -> None:
        at: PricesFrom | None = PricesFrom()
        while at is not None:
            at = await workflow.execute_activity_method(
                Retired.record_prices,
                at,
                start_to_close_timeout=options.BATCH,
                heartbeat_timeout=options.HEARTBEAT,
                retry_policy=options.SOON,
                summary=f"of {at.organization_id or 'the first'}",
            )
