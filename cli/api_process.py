"""`tollgate api`: one process of the API; run as many as are needed."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager

import structlog
import typer
import uvicorn
import uvloop
from temporalio.client import Client
from temporalio.service import RPCError

from api.app import create_app
from api.http import connections
from cli.failures import Misused
from cli.schema import configured_wholly
from cli.stop_signal import first_of, unless_stopped
from runtime.client import RPC_TIMEOUT, temporal_reason
from runtime.processes import collect_garbage_rarely, stop_requested
from runtime.temporal_refusals import serves
from runtime.wiring import from_environment

log = structlog.get_logger()
DRAIN_SECONDS = 20


def api(host: str, port: int) -> None:
    configured_wholly()
    listener = listen(host, port)
    raise typer.Exit(uvloop.run(_serve(listener)))


def listen(host: str, port: int) -> socket.socket:
    """Bind before anything else, so that a port in use has no other effect."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as problem:
        raise Misused(f"--host {host} --port {port}: {problem.strerror}") from problem
    except UnicodeError as problem:
        raise Misused("--host: not a host name") from problem
    return listener


class Server(uvicorn.Server):
    """Leaves signals to Tollgate: uvicorn raises them again when it is done, which would end the
    process.
    """

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _serve(listener: socket.socket) -> int:
    stop = stop_requested()
    async with AsyncExitStack() as stack:
        services = await unless_stopped(
            stack.enter_async_context(from_environment("tollgate-api")), stop
        )
        if services is None:
            return 0
        server = Server(
            connections.config(
                create_app(services), backlog=4096, timeout_graceful_shutdown=DRAIN_SECONDS
            )
        )
        collect_garbage_rarely()
        checking = asyncio.create_task(_warn_if_away(services.client))
        serving = asyncio.create_task(server.serve([listener]))
        await first_of(serving, stop)
        checking.cancel()
        server.should_exit = True
        await serving
    return 0 if server.started else 1


async def _warn_if_away(client: Client) -> None:
    """The API serves without Temporal, and logs this at its start."""
    try:
        await serves(client, RPC_TIMEOUT)
    except (RPCError, RuntimeError) as problem:
        log.warning("temporal_unavailable", detail=temporal_reason(problem))
