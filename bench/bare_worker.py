"""The worker of the baseline, in its own process like Tollgate's worker: `python -m
bench.bare_worker QUEUE`.
"""

import asyncio
import sys

from temporalio.worker import Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from bench.bare import Bare, nothing
from runtime.client import connect
from runtime.processes import exit_now, stop_requested
from runtime.temporal_address import temporal_connection


def _runner() -> SandboxedWorkflowRunner:
    """Like Tollgate's worker: modules are not imported again for every run, which would slow down
    the baseline.
    """
    return SandboxedWorkflowRunner(
        restrictions=SandboxRestrictions.default.with_passthrough_all_modules()
    )


async def serve(queue: str) -> None:
    """Poll until SIGTERM."""
    connection = temporal_connection()
    if connection is None:
        raise SystemExit("TEMPORAL_ADDRESS is not set")
    stop = stop_requested()
    client = await connect(connection)
    async with Worker(
        client, task_queue=queue, workflows=[Bare], activities=[nothing], workflow_runner=_runner()
    ):
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
    exit_now(0)
