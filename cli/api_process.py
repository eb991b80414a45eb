"""`tollgate api`: one process of the API; run as many as are needed."""

import asyncio
import socket
from contextlib import AsyncExitStack

import structlog
import typer
import uvloop
from temporalio.client import Client
from temporalio.service import RPCError

from api.app import create_app
from api.http import connections
from api.http.server import Server
from cli.failures import Misused
from cli.schema import configured_wholly
from cli.stop_signal import first_of, unless_stopped
from runtime.client import RPC_TIMEOUT, temporal_reason
from runtime.processes import collect_garbage_rarely, stop_requested
from runtime.temporal_refusals import serves
from runtime.wiring import from_environment

log = structlog.get_logger()


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


async def _serve(listener: socket.socket) -> int:
    stop = stop_requested()
    async with AsyncExitStack() as stack:
        services = await unless_stopped(
            stack.enter_async_context(from_environment("tollgate-api")), stop
        )
        if services is None:
            return 0
        app = create_app(services)
        server = Server(connections.config(app, backlog=4096))
        collect_garbage_rarely()
        checking = asyncio.create_task(_warn_if_away(services.client))
        serving = asyncio.create_task(server.serve([listener]))
        await first_of(serving, stop)
        checking.cancel()
        if stop.is_deployment and server.started:
            log.info("api_draining")
            app.state.readiness.drain()
            await server.drain(services.settings.drain_period)
        server.stop()
        await serving
    return 0 if server.started else 1


async def _warn_if_away(client: Client) -> None:
    """The API serves without Temporal, and logs this at its start."""
    try:
        await serves(client, RPC_TIMEOUT)
    except (RPCError, RuntimeError) as problem:
        log.warning("temporal_unavailable", detail=temporal_reason(problem))
