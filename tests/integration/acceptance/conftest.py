"""A Twilio simulator with one subaccount, and the steps of enforcement that use it."""

from collections.abc import AsyncIterator

import pytest_asyncio
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client

from activities.lifecycle.enforcement import Enforcement
from activities.notifier import Notifier
from providers.http import fast_client
from providers.twilio import Twilio
from simulators.serving import serve
from simulators.twilio.app import MAIN_SID, MAIN_TOKEN, TwilioSimulator


@pytest_asyncio.fixture
async def simulator() -> AsyncIterator[TwilioSimulator]:
    async with serve(TwilioSimulator()) as simulator:
        yield simulator


@pytest_asyncio.fixture
async def twilio(simulator: TwilioSimulator) -> AsyncIterator[Twilio]:
    client = fast_client()
    yield Twilio(client=client, account_sid=MAIN_SID, auth_token=MAIN_TOKEN, base_url=simulator.url)
    await client.aclose()


@pytest_asyncio.fixture
async def enforcement(engine: AsyncEngine, twilio: Twilio) -> Enforcement:
    """Its notifier is not connected: no campaign is notified in these tests."""
    client = await Client.connect("127.0.0.1:9", lazy=True)
    return Enforcement(
        engine, twilio, Notifier(client=client, lifecycle_task_queue="l", campaign_task_queue="c")
    )
