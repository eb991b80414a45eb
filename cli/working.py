"""`tollgate worker`: one process of workflows and activities; run as many as are needed."""

import asyncio
from contextlib import AsyncExitStack

import typer
import uvloop
from temporalio.runtime import Runtime

from cli.migrating import configured
from cli.waiting import first_of
from runtime.client import register_search_attributes, telemetry
from runtime.processes import stop_requested
from runtime.settings import Settings
from runtime.wiring import Services, from_environment
from runtime.worker import work


def worker(queues: str, metrics: str | None, *, versioned: bool) -> None:
    read = configured()
    try:
        runtime = telemetry(metrics)
    except ValueError as problem:
        raise typer.BadParameter(str(problem), param_hint="--metrics") from problem
    uvloop.run(_work(read, queues, runtime, versioned=versioned))


def task_queues(read: Settings, asked: str) -> list[str]:
    """The queues of the settings that `asked` means: `lifecycle`, `campaigns`, or their names."""
    known = {"lifecycle": read.lifecycle_task_queue, "campaigns": read.campaign_task_queue}
    known |= {name: name for name in known.values()}
    words = [word.strip() for word in asked.split(",") if word.strip()]
    for word in words:
        if word not in known:
            raise typer.BadParameter(f"{word!r} is not one of {', '.join(known)}", param_hint="--queues")
    if not words:
        raise typer.BadParameter("names no queue", param_hint="--queues")
    return sorted({known[word] for word in words})


async def _work(read: Settings, asked: str, runtime: Runtime, *, versioned: bool) -> None:
    queues = task_queues(read, asked)
    stop = stop_requested()
    async with AsyncExitStack() as stack:
        services = await _services(stack, runtime, stop)
        if services is not None:
            await register_search_attributes(services.client)
            await work(services, queues, stop, versioned=versioned)


async def _services(stack: AsyncExitStack, runtime: Runtime, stop: asyncio.Event) -> Services | None:
    """None if we are asked to stop while Temporal is still waited for."""
    building = asyncio.create_task(
        stack.enter_async_context(from_environment("tollgate-worker", lazy=False, runtime=runtime))
    )
    await first_of(building, stop)
    if building.done():
        return await building
    building.cancel()
    await asyncio.gather(building, return_exceptions=True)
    return None
