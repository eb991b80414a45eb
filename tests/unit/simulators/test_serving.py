"""A simulator's server stops without leaving a socket open."""

import asyncio
import gc
import socket
import warnings
from contextlib import suppress

import pytest
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from simulators.serving import Server, _config


async def no_content(scope: Scope, receive: Receive, send: Send) -> None:
    await Response(status_code=204)(scope, receive, send)


@pytest.mark.parametrize("turns", range(6))
async def test_a_connection_during_a_servers_stop_leaves_no_socket_open(turns: int) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    address = listener.getsockname()
    server = Server(_config(no_content))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    await server.ready.wait()
    with socket.socket() as caller:
        caller.setblocking(False)
        server.stop()
        for _ in range(turns):
            await asyncio.sleep(0)
        with suppress(OSError):
            caller.connect(address)
        await serving
    listener.close()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        gc.collect()
    assert [str(warning.message) for warning in caught] == []
