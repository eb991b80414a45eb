"""A window's turn: the organization's first, and the account's only when that has come."""

import asyncio
from dataclasses import replace

from temporalio.testing import ActivityEnvironment

from activities.campaigns.batch_sender import BatchOf
from db.campaigns import pace
from runtime.wiring import Services
from tests.builders import reserve, rows, run
from tests.world import World, until


async def test_no_turn_of_the_account_is_taken_while_the_organization_waits_for_its_own(
    idle_world: World,
) -> None:
    organization_id, _ = await idle_world.organization()
    services: Services = idle_world.services
    limits = {"messages_per_second": 10}
    assert (
        await idle_world.api.patch(f"/v1/organizations/{organization_id}", json=limits)
    ).is_success
    campaign_id = await idle_world.campaign(organization_id, recipients=4)
    await reserve(services.engine, await idle_world.campaign_now(organization_id, campaign_id))
    await run(
        services.engine,
        "INSERT INTO pace (organization_id, next_at) VALUES (:of, now() + interval '1 hour')",
        of=organization_id,
    )
    paced = replace(
        services, settings=services.settings.model_copy(update={"twilio_messages_per_second": 100})
    )
    batch = BatchOf(organization_id=organization_id, campaign_id=campaign_id)

    sending = asyncio.create_task(ActivityEnvironment().run(paced.sending.send_batch, batch))

    async def waits() -> bool:
        return (await idle_world.campaign_now(organization_id, campaign_id)).waits_for == "pace"

    await until(waits, "the organization's turn")
    taken = {row.organization_id for row in await rows(services.engine, "SELECT * FROM pace")}
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)

    assert pace.WHOLE_ACCOUNT not in taken
    assert organization_id in taken
