"""Campaigns: parked at an exact message, resumed there, each message accepted once and paid once."""

from uuid import UUID

import pytest
from temporalio.testing import ActivityEnvironment

from activities.campaigns.batch_sender import BatchOf
from domain.campaigns.campaign import Act
from tests.builders import change_campaign, reserve
from tests.workflow.actors import onboard
from tests.workflow.campaigns.sent import (
    accepted,
    comes_to,
    counts,
    ends_with_each_once,
    paid,
    position,
    recipients,
    settled,
)
from tests.workflow.stops import messages_path
from tests.world import World, until


@pytest.mark.parametrize("by", ["suspension", "freeze"])
async def test_it_parks_at_an_exact_message_and_goes_on_there(world: World, by: str) -> None:
    organization_id, subscription_id = await world.organization()
    pace = {"messages_per_second": 50}  # otherwise all may be sent before the webhook is answered
    assert (await world.api.patch(f"/v1/organizations/{organization_id}", json=pace)).is_success
    campaign_id = await world.campaign(organization_id, recipients=300)
    await accepted(world, organization_id, 20)
    base = f"/v1/organizations/{organization_id}/wallet"
    if by == "suspension":
        await world.lapse(subscription_id)
    else:
        await world.post(f"{base}/freeze", {"reason": "audit"})
    await comes_to(world, organization_id, campaign_id, "parked")
    parked = await settled(world, organization_id, campaign_id)
    at = await position(world, organization_id, campaign_id)
    reason = (await world.campaign_now(organization_id, campaign_id)).reason

    if by == "suspension":
        await world.applied(organization_id, "suspended")
        await world.pay(subscription_id)
    else:
        await world.post(f"{base}/unfreeze")

    assert reason == ("suspended" if by == "suspension" else "frozen")
    assert parked["pending"] > 0
    assert at is not None
    assert 1 <= at <= 300
    await ends_with_each_once(world, organization_id, campaign_id, 300)


async def test_an_empty_wallet_parks_at_the_first_message_that_it_cannot_pay(world: World) -> None:
    organization_id, _ = await world.organization(balance="0.37")
    campaign_id = await world.campaign(organization_id, recipients=50)
    await comes_to(world, organization_id, campaign_id, "parked")
    at = await position(world, organization_id, campaign_id)
    reason = (await world.campaign_now(organization_id, campaign_id)).reason
    sent = await recipients(world, organization_id)

    await world.post(
        f"/v1/organizations/{organization_id}/wallet/credits",
        {"reference_id": "second", "amount": "1.00", "currency": "USD"},
    )

    assert (at, reason, len(sent)) == (38, "insufficient_funds", 37)
    await ends_with_each_once(world, organization_id, campaign_id, 50)


async def test_without_a_subscription_it_goes_on_after_a_credit(world: World) -> None:
    organization_id = await onboard(world, balance="0.05")
    campaign_id = await world.campaign(organization_id, recipients=20)
    await comes_to(world, organization_id, campaign_id, "parked")
    sent = await recipients(world, organization_id)

    await world.post(
        f"/v1/organizations/{organization_id}/wallet/credits",
        {"reference_id": "second", "amount": "1.00", "currency": "USD"},
    )

    assert len(sent) == 5
    await ends_with_each_once(world, organization_id, campaign_id, 20)


async def test_it_goes_on_with_what_another_campaign_gave_back(world: World) -> None:
    """No event reports the new money: the paid messages of a canceled campaign are refunded."""
    organization_id = await onboard(world, balance="0.05")
    other = await world.campaign(organization_id, recipients=5, start=False)
    campaign = await world.campaign_now(organization_id, other)
    await change_campaign(world.services.engine, campaign, Act.START)
    await reserve(world.services.engine, campaign)
    campaign_id = await world.campaign(organization_id, recipients=5, start=False)
    waiting = await world.campaign_now(organization_id, campaign_id)
    await change_campaign(world.services.engine, waiting, Act.START)
    await change_campaign(
        world.services.engine,
        waiting,
        Act.PARK,
        by="tollgate",
        reason="insufficient_funds",
    )

    await world.post(f"/v1/organizations/{organization_id}/campaigns/{other}/cancel")

    await ends_with_each_once(world, organization_id, campaign_id, 5)


async def test_only_a_person_resumes_what_a_person_paused(world: World) -> None:
    organization_id, subscription_id = await world.organization()
    campaign_id = await world.campaign(organization_id, recipients=200)
    other_id = await world.campaign(organization_id, recipients=1, start=False)
    await accepted(world, organization_id, 20)
    await world.post(f"/v1/organizations/{organization_id}/campaigns/{campaign_id}/pause")
    await world.lapse(subscription_id)
    await world.applied(organization_id, "suspended")
    await world.pay(subscription_id)
    await world.applied(organization_id, "active")
    await world.post(
        f"/v1/organizations/{organization_id}/wallet/credits",
        {"reference_id": "second", "amount": "1.00", "currency": "USD"},
    )
    await settled(world, organization_id, campaign_id)

    assert (await world.campaign_now(organization_id, campaign_id)).status == "paused"
    await world.post(f"/v1/organizations/{organization_id}/campaigns/{campaign_id}/resume")
    await ends_with_each_once(world, organization_id, campaign_id, 200)
    assert (await world.campaign_now(organization_id, other_id)).status == "draft"


async def test_too_many_requests_are_waited_for_and_everything_is_sent_once(world: World) -> None:
    organization_id, _ = await world.organization()
    path = messages_path(await world.account_sid(organization_id))
    fault = world.twilio.faults.add(
        "429", method="POST", path=path, times=5, skip=10, retry_after=1
    )
    campaign_id = await world.campaign(organization_id, recipients=60)

    await ends_with_each_once(world, organization_id, campaign_id, 60)

    assert fault.hits == 5


async def reserved(world: World) -> tuple[str, UUID, BatchOf]:
    """A campaign of six messages that are paid for and not handed over, and its sender's task.

    No callback reports results that a sender has to record itself.
    """
    world.twilio.state.behaviour.change({"sending_after": 60.0})
    organization_id, _ = await world.organization()
    campaign_id = await world.campaign(organization_id, recipients=6)
    await reserve(world.services.engine, await world.campaign_now(organization_id, campaign_id))
    return (
        organization_id,
        campaign_id,
        BatchOf(organization_id=organization_id, campaign_id=campaign_id, window=4),
    )


async def test_the_workflow_waits_out_a_long_pause_requested_by_twilio_and_unsent_messages_stay_paid(
    idle_world: World,
) -> None:
    organization_id, campaign_id, batch = await reserved(idle_world)
    path = messages_path(await idle_world.account_sid(organization_id))
    idle_world.twilio.faults.add("429", method="POST", path=path, times=2, retry_after=30)

    sent = await ActivityEnvironment().run(idle_world.services.sending.send_batch, batch)

    assert (sent.retry_after, sent.stopped, sent.accepted) == (30, False, 2)
    now = await counts(idle_world, organization_id, campaign_id)
    assert (now["accepted"], now["reserved"], now["sending"]) == (2, 4, 0)
    assert await paid(idle_world, organization_id) == 6
    await idle_world.certify()


async def test_a_worker_that_goes_away_settles_its_window_and_leaves_the_rest_to_the_next(
    idle_world: World,
) -> None:
    organization_id, campaign_id, batch = await reserved(idle_world)
    leaving = ActivityEnvironment()
    leaving.worker_shutdown()

    sent = await leaving.run(idle_world.services.sending.send_batch, batch)

    assert (sent.left, sent.stopped, sent.accepted) == (True, False, 4)
    now = await counts(idle_world, organization_id, campaign_id)
    assert (now["accepted"], now["reserved"], now["sending"]) == (4, 2, 0)


@pytest.mark.parametrize("kind", ["error_after_acceptance", "reset_after_acceptance", "500"])
async def test_an_unconfirmed_message_is_unknown_and_never_sent_again(
    world: World, kind: str
) -> None:
    organization_id, _ = await world.organization()
    world.twilio.state.behaviour.change({"sending_after": 30.0})
    account_sid = await world.account_sid(organization_id)
    world.twilio.faults.add(kind, method="POST", path=messages_path(account_sid), times=3, skip=10)
    campaign_id = await world.campaign(organization_id, recipients=40)

    async def handed_over() -> bool:
        now = await counts(world, organization_id, campaign_id)
        return (now["unknown"], now["accepted"]) == (3, 37)

    await until(handed_over, "three unknown messages")
    await world.services.notifier.notify_campaign(organization_id, campaign_id)
    sent = await recipients(world, organization_id)

    assert len(sent) == len(set(sent)) == (37 if kind == "500" else 40)
    assert (await world.campaign_now(organization_id, campaign_id)).status == "running"
    await world.certify()
