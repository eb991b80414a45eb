"""The baseline: a workflow of four empty activities."""

from datetime import timedelta

from temporalio import activity, workflow

STEPS = 4


@activity.defn(name="nothing")
async def nothing(number: int) -> int:
    return number


@workflow.defn(name="Bare")
class Bare:
    @workflow.run
    async def run(self) -> None:
        for number in range(STEPS):
            await workflow.execute_activity(
                nothing, number, start_to_close_timeout=timedelta(seconds=10)
            )
