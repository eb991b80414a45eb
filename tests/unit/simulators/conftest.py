from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from simulators.paypal.app import CLIENT_ID, CLIENT_SECRET, PayPalSimulator
from simulators.paypal.certificate import Authority
from simulators.serving import serve
from simulators.twilio.app import TwilioSimulator
from tests.unit.simulators.receiver import Receiver


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority()


@pytest_asyncio.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with serve(Receiver()) as running:
        yield running


@pytest_asyncio.fixture
async def paypal(authority: Authority, receiver: Receiver) -> AsyncIterator[PayPalSimulator]:
    simulator = PayPalSimulator(
        authority=authority,
        webhook_url=f"{receiver.url}/webhooks/paypal",
        webhook_id="5GP028458E2496506",
    )
    async with serve(simulator) as running:
        yield running


@pytest_asyncio.fixture
async def api(paypal: PayPalSimulator) -> AsyncIterator[httpx.AsyncClient]:
    """A client with an access token."""
    async with httpx.AsyncClient(base_url=paypal.url, timeout=10) as client:
        answer = await client.post(
            "/v1/oauth2/token",
            data={"grant_type": "client_credentials"},
            auth=(CLIENT_ID, CLIENT_SECRET),
        )
        client.headers["authorization"] = f"Bearer {answer.json()['access_token']}"
        yield client


@pytest_asyncio.fixture
async def twilio() -> AsyncIterator[TwilioSimulator]:
    async with serve(TwilioSimulator()) as running:
        yield running


@pytest_asyncio.fixture
async def client(twilio: TwilioSimulator) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=twilio.url, timeout=10) as running:
        yield running
