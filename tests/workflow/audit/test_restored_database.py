"""A database that was restored from a dump sends nothing again."""

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from runtime.database_watch import open_fence
from tests.restores import BROKEN_CONNECTIONS, dump, restore
from tests.workflow.campaigns.sent import accepted, comes_to, ends_with_each_once
from tests.world import World

RECIPIENTS, DUMPED_AT, PER_SECOND = 400, 120, 60

pytestmark = BROKEN_CONNECTIONS


async def lost_after(world: World, dumped: Path) -> tuple[str, UUID]:
    """A campaign of which 120 messages are sent when its database is dumped, and all when it is
    lost.
    """
    organization_id, _ = await world.organization()
    await pace(world, organization_id, PER_SECOND)
    campaign_id = await world.campaign(organization_id, recipients=RECIPIENTS)
    await accepted(world, organization_id, DUMPED_AT)
    await dump(world.services.engine, dumped)
    await pace(world, organization_id, None)
    await comes_to(world, organization_id, campaign_id, "completed")
    return organization_id, campaign_id


async def pace(world: World, organization_id: str, per_second: int | None) -> None:
    body = {"messages_per_second": per_second}
    changed = await world.api.patch(f"/v1/organizations/{organization_id}", json=body)
    assert changed.is_success, changed.text


async def test_a_campaign_of_a_restored_database_sends_no_message_again(
    idle_world: World, tmp_path: Path
) -> None:
    world, dumped, began = idle_world, tmp_path / "dump", datetime.now(UTC)
    world.start_worker()
    organization_id, campaign_id = await lost_after(world, dumped)

    await restore(world.services.engine, dumped)
    await world.services.notifier.notify_campaign(organization_id, campaign_id)

    await comes_to(world, organization_id, campaign_id, "parked")

    lines: list[str] = []
    recovering = world.services.recovering(lines.append)
    summary = await recovering.run(began, by="ops")
    assert summary.complete, (summary, lines)
    assert (await world.wallet(organization_id)).balance_micros == 6_000_000
    services = world.services
    assert await open_fence(services.engine, services.client, by="ops", because="recovered")
    await world.post(f"/v1/organizations/{organization_id}/campaigns/{campaign_id}/resume")
    await ends_with_each_once(world, organization_id, campaign_id, RECIPIENTS)
    account = world.twilio.state.accounts[await world.account_sid(organization_id)]
    assert max(Counter(message.to for message in account.messages).values()) == 1
    assert len(account.messages) == RECIPIENTS
