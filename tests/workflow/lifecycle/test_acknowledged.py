"""Acknowledged means enforced: after the 200 to a suspension nothing passes, whichever servers are
down.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import httpx
import pytest_asyncio
from sqlalchemy import text
from temporalio.client import Client

from domain.lifecycle.standing import Status
from runtime.client import connect
from simulators.paypal.certificate import Authority
from tests.workflow.stops import account_path
from tests.world import World, until, world

DEBITS = "SELECT count(*) FROM ledger_entries WHERE organization_id = :organization_id AND kind = 'debit'"
WINDOWS = """
    SELECT count(*) FROM messages WHERE organization_id = :organization_id AND sending_at > (
        SELECT max(at) FROM gate_changes WHERE organization_id = :organization_id AND change = 'shut')
"""


@pytest_asyncio.fixture
async def cut_off_world(
    database_url: str, tmp_path: Path, authority: Authority
) -> AsyncIterator[World]:
    """Its API has the address of a Temporal that does not run."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        dead = await connect({"target_host": f"127.0.0.1:{unused.getsockname()[1]}"}, lazy=True)
        async with world(database_url, dead, tmp_path, authority) as running_world:
            yield running_world


async def count(world: World, query: str, organization_id: str) -> int:
    async with world.services.engine.connect() as conn:
        found: int = (
            await conn.execute(text(query), {"organization_id": organization_id})
        ).scalar_one()
    return found


async def sending(world: World, organization_id: str) -> None:
    account = world.twilio.state.accounts[await world.account_sid(organization_id)]

    async def begun() -> bool:
        return len(account.messages) > 20

    await until(begun, "the campaign's first messages")


async def spend_for_ever(world: World, organization_id: str) -> None:
    """Debit and send without a pause, as many callers would."""
    path = f"/v1/organizations/{organization_id}/messages"
    while True:
        with suppress(httpx.HTTPError):
            await world.debit(organization_id)
            await world.post(path, {"to": "+14155550199", "body": "Hello"})


async def nothing_passes(world: World, organization_id: str) -> None:
    """Every operation that could spend is tried and refused; the ledger and the windows stay
    unchanged since the answer.
    """
    draft = await world.campaign(organization_id, recipients=10, start=False)
    debits = await count(world, DEBITS, organization_id)
    base = f"/v1/organizations/{organization_id}"
    message = {"to": "+14155550199", "body": "Hello"}
    refused = await asyncio.gather(
        *(world.debit(organization_id) for _ in range(20)),
        *(
            world.api.post(f"{base}/messages", json=message, headers={"idempotency-key": f"k{n}"})
            for n in range(20)
        ),
    )

    assert {answer.status_code for answer in refused} == {423}
    assert (await world.api.post(f"{base}/campaigns/{draft}/start")).status_code == 423
    assert await count(world, DEBITS, organization_id) == debits
    assert await count(world, WINDOWS, organization_id) == 0


async def is_shut_for_good(world: World, organization_id: str) -> None:
    await world.applied(organization_id, "suspended")
    receipt = await world.receipt(organization_id)

    assert (receipt.leaked_debits, receipt.leaked_messages) == (0, 0)
    assert (await world.wallet(organization_id)).frozen
    assert await world.subaccount_status(organization_id) == "suspended"
    await world.certify()


async def test_nothing_passes_while_temporal_is_down_and_the_relay_notifies_later(
    cut_off_world: World, temporal_client: Client
) -> None:
    world = cut_off_world
    organization_id, subscription_id = await world.organization()
    spending = [asyncio.create_task(spend_for_ever(world, organization_id)) for _ in range(5)]
    await world.lapse(subscription_id)
    debits = await count(world, DEBITS, organization_id)
    for task in spending:
        task.cancel()
    await asyncio.gather(*spending, return_exceptions=True)

    await nothing_passes(world, organization_id)
    assert await count(world, DEBITS, organization_id) == debits
    assert (await world.standing(organization_id)).behind
    world.start_worker(temporal_client)
    await is_shut_for_good(world, organization_id)


async def test_a_running_campaign_stops_even_if_its_lifecycle_is_not_notified(
    cut_off_world: World, temporal_client: Client
) -> None:
    world = cut_off_world
    organization_id, subscription_id = await world.organization()
    campaign_id = await world.campaign(organization_id, recipients=400)
    world.start_worker(temporal_client)
    notifier = world.services.notifier
    await replace(notifier, client=temporal_client).notify_campaign(organization_id, campaign_id)
    await sending(world, organization_id)

    await world.lapse(subscription_id)

    await nothing_passes(world, organization_id)
    await is_shut_for_good(world, organization_id)
    assert (await world.campaign_now(organization_id, campaign_id)).status == "parked"


async def test_with_twilio_down_nothing_passes_and_later_the_world_agrees(world: World) -> None:
    organization_id, subscription_id = await world.organization()
    await world.campaign(organization_id, recipients=400)
    await sending(world, organization_id)
    account_sid = await world.account_sid(organization_id)
    fault = world.twilio.faults.add("down", path=account_path(account_sid))

    await world.lapse(subscription_id)

    await nothing_passes(world, organization_id)

    async def struck() -> bool:
        return fault.hits > 0

    await until(struck, "a call to Twilio")
    standing = await world.standing(organization_id)
    assert (standing.status, standing.behind) == (Status.SUSPENDED, True)
    world.heal()
    await is_shut_for_good(world, organization_id)
