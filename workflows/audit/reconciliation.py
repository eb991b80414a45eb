"""Scheduled reconciliation: notifies pending work, compares our records with the providers, audits
the ledger.
"""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.audit.reconciliation import Page, Reconciling
    from activities.campaigns.prices import PricesFrom
    from activities.workflow_contracts import RECONCILE
    from workflows import options


@workflow.defn(name=RECONCILE)
class Reconcile:
    """Notifies or alerts; never repairs money silently."""

    @workflow.run
    async def run(self, start: Page) -> int:
        if start.after is None:
            await workflow.execute_activity_method(
                Reconciling.notify_waiting,
                start_to_close_timeout=options.PROVIDER,
                retry_policy=options.SOON,
            )
            await workflow.execute_activity_method(
                Reconciling.settle_unknown_messages,
                start_to_close_timeout=options.BATCH,
                heartbeat_timeout=options.HEARTBEAT,
                retry_policy=options.SOON,
            )
            await workflow.execute_activity_method(
                Reconciling.audit, start_to_close_timeout=options.BATCH, retry_policy=options.SOON
            )
            if workflow.patched("prices"):
                await self._record_prices()
        compared = await workflow.execute_activity_method(
            Reconciling.compare_organizations,
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
                Reconciling.record_prices,
                at,
                start_to_close_timeout=options.BATCH,
                heartbeat_timeout=options.HEARTBEAT,
                retry_policy=options.SOON,
                summary=f"of {at.organization_id or 'the first'}",
            )
