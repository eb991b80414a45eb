"""The processes of an installation: the API and the worker."""

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Annotated, Any

import typer
import uvicorn
import uvloop

from cli.migrating import configured
from runtime.client import register_search_attributes
from runtime.processes import stop_requested
from runtime.settings import Settings
from runtime.wiring import Services, from_environment
from runtime.worker import work

API = "api.app:create_app"
DRAIN_SECONDS = 20


def api(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen on.")] = 8000,
) -> None:
    """Serve the API until SIGTERM or Ctrl-C, then answer what is under way and end."""
    configured()
    config = uvicorn.Config(
        API,
        factory=True,
        host=host,
        port=port,
        http="httptools",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        backlog=4096,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )
    uvloop.run(_serve(_Server(config)))


def worker(
    queues: Annotated[str, typer.Option(help="Which queues to poll, separated by commas.")] = "lifecycle,campaigns",
    *,
    versioned: Annotated[bool, typer.Option("--versioned", help="Take part in Temporal's worker versioning.")] = False,
) -> None:
    """Run workflows and activities until SIGTERM or Ctrl-C, then let what runs end, for half a minute at most."""
    uvloop.run(_work(configured(), queues, versioned=versioned))


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


class _Server(uvicorn.Server):
    """Leaves signals to us: uvicorn raises them again when it is done, and the process would end by them."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _serve(server: _Server) -> None:
    stop = stop_requested()
    serving = asyncio.create_task(server.serve())
    await _first(serving, stop)
    server.should_exit = True
    await serving
    if not server.started:
        raise typer.Exit(1)


async def _work(read: Settings, asked: str, *, versioned: bool) -> None:
    queues = task_queues(read, asked)
    stop = stop_requested()
    async with AsyncExitStack() as stack:
        building = stack.enter_async_context(from_environment("tollgate-worker", lazy=False))
        made: Services | None = await _unless(stop, building)
        if made is not None:
            await register_search_attributes(made.client)
            await work(made, queues, stop, versioned=versioned)


async def _unless(stop: asyncio.Event, what: Coroutine[Any, Any, Any]) -> Any:
    """What it comes to, or None if we are asked to stop before."""
    task = asyncio.create_task(what)
    await _first(task, stop)
    if task.done():
        return await task
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return None


async def _first(task: asyncio.Task[Any], stop: asyncio.Event) -> None:
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
