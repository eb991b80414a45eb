"""What a benchmark on a complete installation works with."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from temporalio.client import Client
from temporalio.envconfig import ClientConnectConfig

from bench import load
from bench.load import Target
from cli import keys
from cli.stack import Stack
from db.api_keys import Scope
from providers.http import fast_client
from runtime.client import connect
from runtime.database import create_engine

TIMEOUT = 60.0


@asynccontextmanager
async def target_of(stack: Stack) -> AsyncIterator[tuple[Target, Client]]:
    key = await keys.make(stack.database_url, "bench", Scope.OPERATOR)
    client = await connect(
        ClientConnectConfig(
            target_host=stack.temporal_address, namespace=stack.environment["TEMPORAL_NAMESPACE"]
        )
    )
    engine = create_engine(stack.database_url, pool_size=4)
    try:
        async with (
            fast_client(stack.api_url, read=TIMEOUT) as api,
            fast_client(stack.paypal_url, read=TIMEOUT) as paypal,
            fast_client(stack.stripe_url, read=TIMEOUT) as stripe,
            fast_client(stack.twilio_url, read=TIMEOUT) as twilio,
        ):
            api.headers["authorization"] = f"Bearer {key}"
            await load.alone(client)
            yield (
                Target(api=api, paypal=paypal, stripe=stripe, twilio=twilio, engine=engine),
                client,
            )
    finally:
        await engine.dispose()
