"""The reconciliation records what Twilio charged, which gives the campaign's margin."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest_asyncio

from db.campaigns import messages
from domain.audit.reconciliation import Subject
from domain.campaigns.campaign import MessageStatus
from tests.workflow.audit.test_reconcile import change, reconcile
from tests.world import World, until

LISTED_LONG_AGO = (
    "UPDATE listed_days SET listed_at = listed_at - interval '1 day'"
    " WHERE organization_id = :organization_id"
)
OLDER = "UPDATE messages SET sending_at = sending_at - interval '2 hours' WHERE organization_id = :organization_id"


@pytest_asyncio.fixture
async def own_world(idle_world: World) -> AsyncIterator[World]:
    idle_world.start_worker()
    yield idle_world


async def sent(world: World, *, recipients: int) -> tuple[str, str]:
    """An organization and its campaign, all of it delivered two hours ago."""
    organization_id, _ = await world.organization()
    campaign_id = await world.campaign(organization_id, recipients=recipients)

    async def delivered() -> bool:
        counts = (await read(world, f"{organization_id}/campaigns/{campaign_id}"))["counts"]
        return bool(counts["delivered"] == recipients)

    await until(delivered, "all delivered")
    await change(world, OLDER, organization_id)
    return organization_id, str(campaign_id)


async def read(world: World, path: str) -> dict[str, Any]:
    answer: httpx.Response = await world.api.get(f"/v1/organizations/{path}")
    assert answer.is_success, answer.text
    return dict(answer.json())


async def test_twilios_prices_and_the_margin_come_with_the_reconciliation(own_world: World) -> None:
    gone_id, _ = await sent(own_world, recipients=1)
    organization_id, campaign_id = await sent(own_world, recipients=3)
    del own_world.twilio.state.accounts[await own_world.account_sid(gone_id)]

    before = await read(own_world, f"{organization_id}/campaigns/{campaign_id}/margin")
    await reconcile(own_world, Subject.PRICES)
    own_world.twilio.state.settle_prices()
    await change(own_world, LISTED_LONG_AGO, organization_id)
    await reconcile(own_world, Subject.PRICES)
    after = await read(own_world, f"{organization_id}/campaigns/{campaign_id}/margin")
    sent_message = (
        await own_world.read(
            lambda conn: messages.in_status(conn, organization_id, MessageStatus.ACCEPTED)
        )
    )[0]
    message = await read(own_world, f"{organization_id}/messages/{sent_message.id}")

    assert (before["charged"], before["cost"], before["margin"], before["unpriced"]) == (
        "0.03",
        "0.00",
        "0.00",
        3,
    )
    sums = {
        "messages": 3,
        "unpriced": 0,
        "incomparable": 0,
        "charged": "0.03",
        "cost": "0.0225",
        "margin": "0.0075",
    }
    assert after == sums | {"currency": "USD", "countries": [sums | {"country": "US"}]}
    assert (message["provider_price"], message["provider_currency"], message["country"]) == (
        "0.0075",
        "USD",
        "US",
    )
