"""`tollgate worker`: one process of workflows and activities; run as many as are needed."""

from collections.abc import Sequence
from contextlib import AsyncExitStack

import typer
import uvloop
from temporalio.runtime import Runtime

from cli.schema import configured, configured_wholly
from cli.stop_signal import unless_stopped
from runtime import search_attributes
from runtime.client import telemetry
from runtime.processes import stop_requested
from runtime.settings import Settings
from runtime.wiring import from_environment
from runtime.worker import work


def worker(queues: str, metrics: str | None, *, versioned: bool) -> None:
    wanted = task_queues(configured(), queues)
    try:
        runtime = telemetry(metrics)
    except (ValueError, RuntimeError) as problem:
        raise typer.BadParameter(
            f"{metrics} cannot be served: {problem}", param_hint="--metrics"
        ) from problem
    configured_wholly()
    uvloop.run(_work(wanted, runtime, versioned=versioned))


def task_queues(read: Settings, queues: str) -> list[str]:
    """The configured queues that `queues` selects: `lifecycle`, `campaigns`, or their names."""
    queue_names = {"lifecycle": read.lifecycle_task_queue, "campaigns": read.campaign_task_queue}
    queue_names |= {name: name for name in queue_names.values()}
    words = [word.strip() for word in queues.split(",") if word.strip()]
    for word in words:
        if word not in queue_names:
            raise typer.BadParameter(
                f"{word!r} is not one of {', '.join(queue_names)}", param_hint="--queues"
            )
    if not words:
        raise typer.BadParameter("does not name a queue", param_hint="--queues")
    return sorted({queue_names[word] for word in words})


async def _work(queues: Sequence[str], runtime: Runtime, *, versioned: bool) -> None:
    stop = stop_requested()
    async with AsyncExitStack() as stack:
        building = stack.enter_async_context(
            from_environment("tollgate-worker", lazy=False, runtime=runtime)
        )
        services = await unless_stopped(building, stop)
        if services is not None:
            await search_attributes.register(services.client)
            await work(services, queues, stop, versioned=versioned)
