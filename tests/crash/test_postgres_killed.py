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
from runtime import database
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
    """A server of the test's own, that syncs as in production."""
    directory = server_dir / "mortal"
    server = Postgres(directory)
    server.start()
    database.migrate(server.url())
    yield server
    server.stop()


async def test_nothing_answered_is_lost_and_nothing_comes_twice(
    mortal: Postgres, temporal_client: Client, tmp_path: Path, authority: Authority
) -> None:
    async with (
        world(mortal.url(), temporal_client, tmp_path, authority) as here,
        worker(here) as working,
    ):
        paying, _ = await here.organization(balance="100.00")
        sending, _ = await here.organization()
        lapsing, subscription_id = await here.organization()
        debits = Debits(here.api, paying)
        campaign_id = await here.campaign(sending, recipients=RECIPIENTS)
        calling = asyncio.gather(*(debits.call(f"caller-{n}", EACH) for n in range(CALLERS)))

        async def under_load() -> bool:
            return (
                len(debits.answered) >= CALLERS * EACH // 4 and len(here.twilio.state.messages) > 20
            )

        await until(under_load, "debits and a campaign under way")
        mortal.kill()
        event_ids = await here.happen(f"subscriptions/{subscription_id}/suspend", {"deliver": True})
        await until(lambda: _answered(here, event_ids, 503), "a webhook refused with 503")
        mortal.start()
        await until(lambda: _answered(here, event_ids, 200), "the webhook accepted at the retry")
        await calling
        await here.applied(lapsing, "suspended")
        await until(
            lambda: _ended(here, sending, campaign_id), "the campaign's last message handed over"
        )

        assert working.process.poll() is None
        assert debits.unanswered > 0
        assert len(debits.answered) == CALLERS * EACH
        assert {seq for seq, _ in debits.answered.values()} == {
            row.seq
            for row in await rows(
                here.services.engine,
                "SELECT seq FROM ledger_entries WHERE kind = 'debit' AND organization_id = :id",
                id=paying,
            )
        }
        assert (await here.wallet(paying)).balance_micros == 100_000_000 - CALLERS * EACH * 10_000
        assert await number(
            here.services.engine, "SELECT count(*) FROM inbox WHERE event_id = :id", id=event_ids[0]
        )
        assert max(Counter(one.to for one in here.twilio.state.messages.values()).values()) == 1
        await here.certify()


async def _answered(here: World, event_ids: list[str], status: int) -> bool:
    told = (
        await here.paypal_control.get("/_sim/deliveries", params={"event_id": event_ids[0]})
    ).json()
    attempts: list[dict[str, Any]] = [
        attempt for one in told["deliveries"] for attempt in one["attempts"]
    ]
    return status in [attempt["status_code"] for attempt in attempts]


async def _ended(here: World, organization_id: str, campaign_id: UUID) -> bool:
    waiting = "SELECT count(*) FROM messages WHERE campaign_id = :id AND status IN ('pending', 'reserved')"
    return await number(here.services.engine, waiting, id=campaign_id) == 0
