"""Delivers events as a worker does, in its own process: `python -m bench.telling_worker URL`."""

import asyncio
import sys

from providers.outbound.addresses import network
from providers.outbound.client import outbound
from runtime.database import create_engine
from runtime.outbound_queues import OutboundQueues
from runtime.outbound_sender import Sender
from runtime.processes import exit_now, stop_requested
from runtime.stored_secrets import StoredSecrets

SECRETS = StoredSecrets([("bench", bytes(32))])
POOL = 12


async def main(database_url: str) -> None:
    engine = create_engine(database_url, pool_size=POOL)
    async with outbound(listed=[network("127.0.0.1")], http=True) as calling:
        delivering = asyncio.create_task(OutboundQueues(engine, Sender(calling, SECRETS)).run())
        await stop_requested().wait()
        delivering.cancel()
        await asyncio.gather(delivering, return_exceptions=True)
    await engine.dispose()


if __name__ == "__main__":
    import uvloop

    uvloop.run(main(sys.argv[1]))
    exit_now(0)
