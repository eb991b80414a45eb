"""Looks at what a subaccount did, after its usage trigger fired."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.carrier.tripwires import Tripwires
    from activities.workflow_contracts import USAGE_LOOK, LookStart
    from workflows import options


@workflow.defn(name=USAGE_LOOK)
class UsageLook:
    """One look. What fires meanwhile is looked at by the same run."""

    @workflow.run
    async def run(self, start: LookStart) -> int:
        return await workflow.execute_activity_method(
            Tripwires.look,
            start.organization_id,
            start_to_close_timeout=options.LOOK,
            retry_policy=options.SOON,
            priority=options.SUSPENDING,
            summary=f"of {start.organization_id}",
        )
