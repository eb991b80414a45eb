"""Messages that Twilio returns unsent because the account is suspended, by us or by Twilio itself."""

import asyncio
from datetime import UTC, datetime
from uuid import UUID

import pytest
from sqlalchemy import func, update
from temporalio.testing import ActivityEnvironment

from activities.campaigns.batch_sender import ACCOUNT_RETRY, BatchOf
from db import alerts
from db.billing import blocks
from db.campaigns import reservations
from db.campaigns.campaigns import Campaign
from db.campaigns.messages import Message
from db.lifecycle import organizations, standings
from db.lifecycle.organizations import Organization
from db.tables.campaigns import campaigns
from domain.campaigns.campaign import MessageStatus
from domain.campaigns.waits import Waits
from domain.lifecycle.standing import Block, Status
from simulators.twilio.app import MAIN_SID
from tests.builders import ONE_CENT, admin_block, reserve, until_it_waits_for
from tests.workflow.campaigns.sent import (
    accepted,
    comes_to,
    counts,
    ends_with_each_once,
    recipients,
    settled,
)
from tests.workflow.stops import Boundaries
from tests.world import World, until


async def queued_when_suspended(world: World) -> tuple[str, str, UUID]:
    """A suspension while Twilio still has messages in its queue: it fails them with 30002."""
    organization_id, subscription_id = await world.organization()
    world.twilio.state.behaviour.change({"sending_after": 30.0})
    campaign_id = await world.campaign(organization_id, recipients=120)
    await accepted(world, organization_id, 30)
    await world.lapse(subscription_id)
    await world.applied(organization_id, "suspended")
    return organization_id, subscription_id, campaign_id


async def test_messages_failed_by_our_own_suspension_are_refunded_and_sent_after_the_reactivation(
    world: World,
) -> None:
    organization_id, subscription_id, campaign_id = await queued_when_suspended(world)
    account = world.twilio.state.accounts[await world.account_sid(organization_id)]
    failed = [message for message in account.messages if message.error_code == 30002]

    async def given_back() -> bool:
        return (await counts(world, organization_id, campaign_id))["pending"] == 120

    await until(given_back, "every message given back")
    balance = (await world.wallet(organization_id)).balance_micros
    status = (await world.campaign_now(organization_id, campaign_id)).status
    world.heal()
    await world.pay(subscription_id)
    await world.applied(organization_id, "active")

    assert len(failed) >= 30
    assert balance == 10_000_000
    assert status == "parked"
    await ends_with_each_once(world, organization_id, campaign_id, 120)


async def test_a_suspension_by_twilio_during_a_campaign_shuts_everything_without_a_hot_loop(
    world: World,
) -> None:
    organization_id, _ = await world.organization()
    campaign_id = await world.campaign(organization_id, recipients=300)
    await accepted(world, organization_id, 20)
    account_sid = await world.account_sid(organization_id)
    suspended = await world.twilio_control.post(
        f"/_sim/accounts/{account_sid}/status", json={"status": "suspended", "by_twilio": True}
    )
    assert suspended.is_success

    standing = await world.applied(organization_id, "suspended")
    await comes_to(world, organization_id, campaign_id, "parked")
    await settled(world, organization_id, campaign_id)
    refused = sum(world.twilio.state.refused.values())
    length = await world.history_length(organization_id)
    await world.look_again(organization_id, rings=1)
    still = sum(world.twilio.state.refused.values())

    assert (standing.status, standing.blocks) == (Status.SUSPENDED, frozenset({Block.TELEPHONY}))
    assert not (await world.wallet(organization_id)).gate_open
    assert "telephony" in await world.alerts(organization_id)
    assert still == refused
    assert (
        await world.history_length(organization_id) - length < 25
    )  # the queries after one notification
    await world.certify()


async def test_after_twilio_s_own_suspension_the_campaign_goes_on_when_the_block_is_lifted(
    world: World,
) -> None:
    organization_id, _ = await world.organization()
    campaign_id = await world.campaign(organization_id, recipients=200)
    await accepted(world, organization_id, 20)
    path = f"/_sim/accounts/{await world.account_sid(organization_id)}/status"
    await world.twilio_control.post(path, json={"status": "suspended", "by_twilio": True})
    await world.applied(organization_id, "suspended")
    before = await recipients(world, organization_id)

    await world.twilio_control.post(path, json={"status": "active"})
    lifted = await world.api.delete(f"/v1/organizations/{organization_id}/blocks/telephony")

    assert lifted.is_success
    assert len(before) < 200
    await ends_with_each_once(world, organization_id, campaign_id, 200)


async def test_while_twilio_refuses_an_account_that_it_calls_active_the_campaign_waits(
    idle_world: World,
) -> None:
    world = idle_world
    organization_id, _ = await world.organization()
    campaign_id = await world.campaign(organization_id, recipients=10)
    await reserve(world.services.engine, await world.campaign_now(organization_id, campaign_id))
    await world.twilio_control.post(
        f"/_sim/accounts/{MAIN_SID}/status", json={"status": "suspended"}
    )

    batch = BatchOf(organization_id=organization_id, campaign_id=campaign_id, window=4)
    sent = await ActivityEnvironment().run(world.services.sending.send_batch, batch)

    assert (sent.stopped, sent.retry_after) == (True, ACCOUNT_RETRY)
    now = await counts(world, organization_id, campaign_id)
    assert (now["pending"], now["reserved"]) == (4, 6)
    assert (await world.standing(organization_id)).blocks == frozenset()
    await world.certify()


async def waits_for_the_account(world: World, organization_id: str, campaign_id: UUID) -> Campaign:
    async def waits() -> bool:
        campaign = await world.campaign_now(organization_id, campaign_id)
        return campaign.waits_for == Waits.ACCOUNT_NOT_ACTIVE

    await until(waits, "the campaign waits for the account")
    return await world.campaign_now(organization_id, campaign_id)


async def skip_the_wait(world: World, organization_id: str, campaign_id: UUID) -> None:
    async with world.services.engine.begin() as conn:
        query = update(campaigns).where(campaigns.c.id == campaign_id)
        await conn.execute(query.values(waits_until=func.clock_timestamp()))
    await world.services.notifier.notify_campaign(organization_id, campaign_id)


@pytest.mark.parametrize("shown", [False, True])
async def test_without_money_at_twilio_campaigns_wait_unpaid_and_go_on_when_there_is_some(
    world: World, shown: bool
) -> None:
    behaviour = world.twilio.state.behaviour
    behaviour.show_as_suspended = shown
    organization_id, _ = await world.organization()
    campaign_id = await world.campaign(organization_id, recipients=300)
    await accepted(world, organization_id, 20)
    behaviour.balance = "0.00"

    waiting = await waits_for_the_account(world, organization_id, campaign_id)
    await settled(world, organization_id, campaign_id)
    sent = await counts(world, organization_id, campaign_id)
    wallet = await world.wallet(organization_id)
    refused = world.twilio.state.refused[10001]

    assert f"{MAIN_SID} as suspended, with " in waiting.detail
    assert wallet.balance_micros == 10_000_000 - 10_000 * sent["accepted"]
    assert refused <= 200
    assert (await world.standing(organization_id)).blocks == frozenset()
    assert "parent_suspended" in await world.alerts(alerts.INSTALLATION)
    behaviour.balance = "100.00"
    await skip_the_wait(world, organization_id, campaign_id)
    await ends_with_each_once(world, organization_id, campaign_id, 300)


async def paid_for(world: World) -> tuple[Organization, str, Message]:
    """An organization, its subscription and one message of it, marked as being sent and not posted
    yet.
    """
    organization_id, subscription_id = await world.organization()
    async with world.services.engine.begin() as conn:
        organization = await organizations.get(conn, organization_id)
        message, _ = await reservations.pay_for_one(
            conn,
            organization_id,
            recipient="+14155550100",
            body="hello",
            segments=1,
            price=ONE_CENT,
            key="k",
        )
    assert organization is not None
    assert message is not None
    return organization, subscription_id, message


async def test_a_refusal_by_our_own_suspension_that_comes_after_the_payment_is_no_block_of_twilios(
    world: World, boundaries: Boundaries
) -> None:
    organization, subscription_id, message = await paid_for(world)
    await world.lapse(subscription_id)
    await world.applied(organization.id, "suspended")

    async with boundaries.holding("reactivate_twilio_subaccount", organization.id) as reactivation:
        await world.pay(subscription_id)
        await reactivation.reached.wait()
        refused = await world.services.sending.send_one(organization, message)

    assert (refused.status, refused.error_code) == (MessageStatus.REFUSED, 20005)
    standing = await world.applied(organization.id, "active")
    assert standing.blocks == frozenset()
    assert "telephony" not in await world.alerts(organization.id)
    await world.certify()


async def test_a_status_reported_by_twilio_is_dropped_if_the_standing_has_changed_since(
    idle_world: World,
) -> None:
    world, engine = idle_world, idle_world.services.engine
    organization, _, message = await paid_for(world)
    path = f"/_sim/accounts/{organization.twilio_account_sid}/status"
    await world.twilio_control.post(path, json={"status": "suspended"})

    async with engine.begin() as conn:
        await standings.lock(conn, organization.id)
        sending = asyncio.create_task(world.services.sending.send_one(organization, message))
        await until_it_waits_for(engine, conn, sending)
        await blocks.block(conn, organization.id, admin_block(), now=datetime.now(UTC))
    await sending

    assert (await world.standing(organization.id)).blocks == {Block.ADMIN}
