"""Does an act to many organizations, until none is left."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.operations.bulk_acts import BulkActs
    from activities.workflow_contracts import BULK_ACT, BulkActStart
    from workflows import options


@workflow.defn(name=BULK_ACT)
class BulkActRun:
    """Which organizations are left is in the database; each activity does some of them."""

    @workflow.run
    async def run(self, start: BulkActStart) -> None:
        while await workflow.execute_activity_method(
            BulkActs.do,
            start.bulk_act_id,
            start_to_close_timeout=options.BATCH,
            heartbeat_timeout=options.HEARTBEAT,
            retry_policy=options.FOR_EVER,
            summary="the next organizations",
        ):
            if workflow.info().get_current_history_length() > options.LONGEST_HISTORY:
                workflow.continue_as_new(start)
