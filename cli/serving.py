"""`tollgate api`: one process of the API; run as many as are needed."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import typer
import uvicorn
import uvloop

from api.app import create_app
from cli.migrating import configured
from cli.waiting import first_of
from runtime.processes import collect_garbage_rarely, stop_requested
from runtime.wiring import from_environment

DRAIN_SECONDS = 20


def api(host: str, port: int) -> None:
    configured()
    raise typer.Exit(uvloop.run(_serve(host, port)))


class _Server(uvicorn.Server):
    """Leaves signals to us: uvicorn raises them again when it is done, and the process would end by them."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _serve(host: str, port: int) -> int:
    stop = stop_requested()
    async with from_environment("tollgate-api") as services:
        server = _Server(
            uvicorn.Config(
                create_app(services),
                host=host,
                port=port,
                http="httptools",
                ws="none",
                log_config=None,
                access_log=False,
                server_header=False,
                backlog=4096,
                timeout_graceful_shutdown=DRAIN_SECONDS,
            )
        )
        collect_garbage_rarely()
        serving = asyncio.create_task(server.serve())
        await first_of(serving, stop)
        server.should_exit = True
        await serving
    return 0 if server.started else 1
