"""A window's turn: the organization's first, and the account's only when that has come."""

import asyncio
from dataclasses import replace

from temporalio.testing import ActivityEnvironment

from activities.campaigns.batch_sender import BatchOf
from db.campaigns import pace
from providers.http import fast_client
from providers.twilio import Twilio
from runtime.wiring import Services
from simulators.twilio.app import MAIN_SID, MAIN_TOKEN
from tests.builders import reserve, rows, run
from tests.world import World, until

SECOND = "AC" + "2" * 32


async def test_each_parent_account_has_its_own_pace(idle_world: World) -> None:
    services: Services = idle_world.services
    batches = {}
    for parent in (MAIN_SID, SECOND):
        organization_id, _ = await idle_world.organization()
        campaign_id = await idle_world.campaign(organization_id, recipients=2)
        await reserve(services.engine, await idle_world.campaign_now(organization_id, campaign_id))
        batches[parent] = BatchOf(organization_id=organization_id, campaign_id=campaign_id)
    moved = idle_world.twilio.state.accounts[
        await idle_world.account_sid(batches[SECOND].organization_id)
    ]
    moved.owner = idle_world.twilio.state.open_parent(SECOND, "2" * 32).sid
    settings = services.settings.model_copy(update={"twilio_messages_per_second": 100})

    async with fast_client() as client:
        twilio = Twilio(
            client=client,
            account_sid=MAIN_SID,
            auth_token=MAIN_TOKEN,
            base_url=idle_world.twilio.url,
            further={SECOND: "2" * 32},
        )
        sending = replace(services, twilio=twilio, settings=settings).sending
        sent = [
            await ActivityEnvironment().run(sending.send_batch, batch) for batch in batches.values()
        ]
    paces = {row.organization_id for row in await rows(services.engine, "SELECT * FROM pace")}

    assert [each.accepted for each in sent] == [2, 2]
    assert paces == {pace.WHOLE_ACCOUNT, f"/{SECOND}"}


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
