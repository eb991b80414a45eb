"""kill -9 of PostgreSQL under debits, webhooks and a campaign: what was answered stands, the rest
comes again.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest_asyncio
from temporalio.client import Client

from devservers.postgres import Postgres
from runtime import migrations
from simulators.paypal.certificate import Authority
from tests.builders import number, rows
from tests.crash.load import Debits
from tests.crash.processes import worker
from tests.world import World, until, world

CALLERS = 10
EACH = 20
RECIPIENTS = 200


@pytest_asyncio.fixture
async def mortal(server_dir: Path) -> AsyncIterator[Postgres]:
    """The test's own server, which syncs as in production."""
    directory = server_dir / "mortal"
    server = Postgres(directory)
    server.start()
    migrations.migrate(server.url())
    yield server
    server.stop()


async def test_nothing_acknowledged_is_lost_or_doubled(
    mortal: Postgres, temporal_client: Client, tmp_path: Path, authority: Authority
) -> None:
    async with (
        world(mortal.url(), temporal_client, tmp_path, authority) as running_world,
        worker(running_world) as working,
    ):
        paying, _ = await running_world.organization(balance="100.00")
        sending, _ = await running_world.organization()
        lapsing, subscription_id = await running_world.organization()
        debits = Debits(running_world.api, paying)
        campaign_id = await running_world.campaign(sending, recipients=RECIPIENTS)
        calling = asyncio.gather(*(debits.call(f"caller-{n}", EACH) for n in range(CALLERS)))

        async def under_load() -> bool:
            return (
                len(debits.answered) >= CALLERS * EACH // 4
                and len(running_world.twilio.state.messages) > 20
            )

        await until(under_load, "debits and a campaign under way")
        mortal.kill()
        event_ids = await running_world.happen(
            f"subscriptions/{subscription_id}/suspend", {"deliver": True}
        )
        await until(lambda: _answered(running_world, event_ids, 503), "a webhook refused with 503")
        mortal.start()
        await until(
            lambda: _answered(running_world, event_ids, 200), "the webhook accepted at the retry"
        )
        await calling
        await running_world.applied(lapsing, "suspended")
        await until(
            lambda: _ended(running_world, sending, campaign_id),
            "the campaign's last message handed over",
        )

        assert working.process.poll() is None
        await _every_answer_is_booked(running_world, paying, debits)
        assert await number(
            running_world.services.engine,
            "SELECT count(*) FROM inbox WHERE event_id = :id",
            id=event_ids[0],
        )
        recipients = Counter(message.to for message in running_world.twilio.state.messages.values())
        assert set(recipients.values()) == {1}
        await running_world.certify()


async def _every_answer_is_booked(world: World, organization_id: str, debits: Debits) -> None:
    """And nothing else is."""
    assert debits.unanswered > 0
    assert len(debits.answered) == CALLERS * EACH
    assert {seq for seq, _ in debits.answered.values()} == {
        row.seq
        for row in await rows(
            world.services.engine,
            "SELECT seq FROM ledger_entries WHERE kind = 'debit' AND organization_id = :id",
            id=organization_id,
        )
    }
    balance = (await world.wallet(organization_id)).balance_micros
    assert balance == 100_000_000 - CALLERS * EACH * 10_000


async def _answered(world: World, event_ids: list[str], status: int) -> bool:
    body = (
        await world.paypal_control.get("/_sim/deliveries", params={"event_id": event_ids[0]})
    ).json()
    attempts: list[dict[str, Any]] = [
        attempt for delivery in body["deliveries"] for attempt in delivery["attempts"]
    ]
    return status in [attempt["status_code"] for attempt in attempts]


async def _ended(world: World, organization_id: str, campaign_id: UUID) -> bool:
    waiting = (
        "SELECT count(*) FROM messages WHERE campaign_id = :id AND status IN ('pending', "
        "'reserved')"
    )
    return await number(world.services.engine, waiting, id=campaign_id) == 0
