"""`tollgate codec-server`: shows payloads that are encrypted at Temporal to its UI and CLI."""

import asyncio
import socket
from collections.abc import Sequence

import typer
import uvicorn
import uvloop

from api.http.codec_server import create_codec_app
from api.http.server import Server
from cli.api_process import listen
from cli.failures import Misused
from cli.schema import configured
from cli.stop_signal import first_of
from runtime import formats, payload_codec
from runtime.processes import stop_requested


def codec_server(host: str, port: int, origins: Sequence[str]) -> None:
    settings = configured()
    codec = payload_codec.codec(settings.payload_keys)
    if codec is None:
        raise Misused("TOLLGATE_PAYLOAD_KEYS is not set: nothing is encrypted")
    token = settings.codec_token
    if token is None and not formats.is_loopback(host):
        raise Misused(
            f"--host {host}: other machines could read every payload; set TOLLGATE_CODEC_TOKEN"
        )
    for origin in origins:
        try:
            formats.origin(origin)
        except ValueError as problem:
            raise typer.BadParameter(f"{origin} {problem}", param_hint="--origin") from problem
    app = create_codec_app(
        codec, origins=origins, token=token.get_secret_value() if token else None
    )
    uvloop.run(_serve(uvicorn.Config(app, log_level="warning"), listen(host, port)))


async def _serve(config: uvicorn.Config, listener: socket.socket) -> None:
    stop, server = stop_requested(), Server(config)
    serving = asyncio.create_task(server.serve([listener]))
    await first_of(serving, stop)
    server.stop()
    await serving
