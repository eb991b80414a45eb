"""Actions of people and recipients: campaigns scheduled, canceled, opted out of, or running side by
side.
"""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from activities.workflow_contracts import campaign_workflow_id
from db.campaigns.send_results import Reply
from domain.campaigns.campaign import MessageStatus
from tests.builders import accepted as accepted_by_twilio
from tests.builders import begin_window, reserve, settle_replies
from tests.workflow.campaigns.sent import (
    accepted,
    comes_to,
    counts,
    ends_with_each_once,
    recipients,
    settled,
)
from tests.world import World

OPTED_OUT = "+15005550004"


async def campaign_to(world: World, organization_id: str, numbers: list[str]) -> UUID:
    path = f"/v1/organizations/{organization_id}/campaigns"
    campaign = await world.post(path, {"name": "spring", "body": "Hello", "recipients": numbers})
    await world.post(f"{path}/{campaign['id']}/start")
    return UUID(campaign["id"])


async def balance(world: World, organization_id: str) -> int:
    """In micros."""
    return (await world.wallet(organization_id)).balance_micros


async def test_a_canceled_campaign_gives_back_what_was_not_sent_and_never_goes_on(
    world: World,
) -> None:
    organization_id, _ = await world.organization(balance="100.00")
    campaign_id = await world.campaign(organization_id, recipients=3000)
    path = f"/v1/organizations/{organization_id}/campaigns/{campaign_id}"
    await accepted(world, organization_id, 50)

    first = await world.post(f"{path}/cancel")
    again = await world.post(f"{path}/cancel")
    resumed = await world.api.post(f"{path}/resume")
    now = await settled(world, organization_id, campaign_id)

    sent = await recipients(world, organization_id)
    assert (first["status"], again["status"], resumed.status_code) == ("canceled", "canceled", 409)
    assert len(set(sent)) == len(sent) == now["accepted"] < 3000
    assert await balance(world, organization_id) == 100_000_000 - 10_000 * len(sent)
    campaign = (await world.api.get(path)).json()
    assert (campaign["progress"]["remaining"], campaign["progress"]["sent"]) == (0, len(sent))
    await world.certify()


async def test_canceling_a_campaign_settles_its_open_window_and_leaves_nothing_reserved(
    idle_world: World,
) -> None:
    world = idle_world
    engine = world.services.engine
    organization_id, _ = await world.organization()
    campaign_id = await world.campaign(organization_id, recipients=6)
    campaign = await world.campaign_now(organization_id, campaign_id)
    await reserve(engine, campaign, limit=5)
    window = await begin_window(engine, campaign, limit=4)
    assert window is not None

    await world.post(f"/v1/organizations/{organization_id}/campaigns/{campaign_id}/cancel")
    replies = [
        accepted_by_twilio(window[0]),
        Reply(message=window[1], status=MessageStatus.REFUSED, error_code=21211),
        Reply(message=window[2], status=MessageStatus.RESERVED, problem="429"),
        Reply(message=window[3], status=MessageStatus.UNKNOWN),
    ]
    await settle_replies(engine, *replies, organization_id=organization_id)
    world.start_worker()
    run = world.services.client.get_workflow_handle(
        campaign_workflow_id(organization_id, campaign_id)
    )
    await run.result()

    now = await counts(world, organization_id, campaign_id)
    body = {status: number for status, number in now.items() if number}
    assert body == {"accepted": 1, "refused": 1, "unknown": 1, "pending": 3}
    assert await balance(world, organization_id) == 9_980_000
    await world.certify()


async def test_a_canceled_campaigns_reservations_are_refunded_before_the_response_without_a_worker(
    idle_world: World,
) -> None:
    organization_id, _ = await idle_world.organization()
    campaign_id = await idle_world.campaign(organization_id, recipients=5)
    await reserve(
        idle_world.services.engine, await idle_world.campaign_now(organization_id, campaign_id)
    )
    before = await balance(idle_world, organization_id)

    await idle_world.post(f"/v1/organizations/{organization_id}/campaigns/{campaign_id}/cancel")

    assert (before, await balance(idle_world, organization_id)) == (9_950_000, 10_000_000)
    assert (await counts(idle_world, organization_id, campaign_id))["pending"] == 5
    await idle_world.certify()


async def test_a_scheduled_campaign_begins_by_itself_at_its_time(world: World) -> None:
    organization_id, _ = await world.organization()
    campaign_id = await world.campaign(organization_id, recipients=10, start=False)
    path = f"/v1/organizations/{organization_id}/campaigns/{campaign_id}"
    at = datetime.now(UTC) + timedelta(seconds=3)

    put_off = await world.post(f"{path}/start", {"at": (at + timedelta(days=1)).isoformat()})
    campaign = await world.post(f"{path}/start", {"at": at.isoformat()})
    await ends_with_each_once(world, organization_id, campaign_id, 10)

    account = world.twilio.state.accounts[await world.account_sid(organization_id)]
    assert (put_off["status"], campaign["status"]) == ("scheduled", "scheduled")
    assert min(message.created for message in account.messages) >= at.timestamp()


async def test_a_campaign_that_is_paused_before_its_time_waits_for_that_again(world: World) -> None:
    organization_id, _ = await world.organization()
    campaign_id = await world.campaign(organization_id, recipients=10, start=False)
    path = f"/v1/organizations/{organization_id}/campaigns/{campaign_id}"
    at = (datetime.now(UTC) + timedelta(days=1)).replace(microsecond=0)
    await world.post(f"{path}/start", {"at": at.isoformat()})

    paused = await world.post(f"{path}/pause", {})
    resumed = [await world.post(f"{path}/resume", {}) for _ in range(2)]

    assert paused["status"] == "paused"
    assert [
        (response["status"], datetime.fromisoformat(response["scheduled_at"]))
        for response in resumed
    ] == [("scheduled", at)] * 2
    assert await recipients(world, organization_id) == []

    await world.post(f"{path}/start", {"at": datetime.now(UTC).isoformat()})
    await ends_with_each_once(world, organization_id, campaign_id, 10)


async def test_a_campaign_whose_time_comes_while_it_may_not_send_waits_until_it_may(
    world: World,
) -> None:
    organization_id, subscription_id = await world.organization()
    campaign_id = await world.campaign(organization_id, recipients=10, start=False)
    at = datetime.now(UTC) + timedelta(seconds=1)
    await world.post(
        f"/v1/organizations/{organization_id}/campaigns/{campaign_id}/start", {"at": at.isoformat()}
    )
    await world.lapse(subscription_id)
    await world.applied(organization_id, "suspended")
    await comes_to(world, organization_id, campaign_id, "parked")
    before = await recipients(world, organization_id)

    await world.pay(subscription_id)

    assert before == []
    await ends_with_each_once(world, organization_id, campaign_id, 10)


async def test_an_opted_out_recipient_is_skipped_by_later_campaigns_and_costs_nothing(
    world: World,
) -> None:
    organization_id, _ = await world.organization()
    first = await campaign_to(world, organization_id, ["+14155550100", OPTED_OUT])
    await comes_to(world, organization_id, first, "completed")
    refusals_before = world.twilio.state.refused[21610]

    second = await campaign_to(world, organization_id, [OPTED_OUT, "+14155550101", "+14155550102"])
    await comes_to(world, organization_id, second, "completed")
    third = await campaign_to(world, organization_id, [OPTED_OUT])
    await comes_to(world, organization_id, third, "completed")

    all_counts = [
        await counts(world, organization_id, campaign_id) for campaign_id in (first, second, third)
    ]
    assert [(now["accepted"], now["refused"], now["skipped"]) for now in all_counts] == [
        (1, 1, 0),
        (2, 0, 1),
        (0, 0, 1),
    ]
    assert (refusals_before, world.twilio.state.refused[21610]) == (1, 1)
    assert await balance(world, organization_id) == 9_970_000
    await world.certify()


async def test_a_large_campaign_does_not_hold_up_another_organization_s_small_one(
    world: World,
) -> None:
    large, _ = await world.organization(balance="100.00")
    small, _ = await world.organization()
    of_large = await world.campaign(large, recipients=5000)
    await accepted(world, large, 100)

    of_small = await world.campaign(small, recipients=20)
    await ends_with_each_once(world, small, of_small, 20)
    while_running = await counts(world, large, of_large)

    assert while_running["pending"] + while_running["reserved"] > 0
    await world.post(f"/v1/organizations/{large}/campaigns/{of_large}/cancel")
    await settled(world, large, of_large)


async def test_a_paced_organization_sends_everything_once_window_by_window(world: World) -> None:
    organization_id, _ = await world.organization()
    path = f"/v1/organizations/{organization_id}"
    assert (await world.api.patch(path, json={"messages_per_second": 40})).is_success
    campaign_id = await world.campaign(organization_id, recipients=45)

    await ends_with_each_once(world, organization_id, campaign_id, 45)
