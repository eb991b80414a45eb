"""Messages that Twilio gives back because the account is suspended, by us or by Twilio itself."""

from uuid import UUID

from domain.standing import Block, Status
from tests.workflow.sent import accepted, comes_to, counts, ends_with_each_once, recipients, settled
from tests.world import World, until


async def queued_when_suspended(world: World) -> tuple[str, str, UUID]:
    """A suspension while Twilio still holds messages in its queue: it fails them with 30002."""
    organization_id, subscription_id = await world.organization()
    world.twilio.state.behaviour.change({"sending_after": 30.0})
    campaign_id = await world.campaign(organization_id, recipients=120)
    await accepted(world, organization_id, 30)
    await world.lapse(subscription_id)
    await world.applied(organization_id, "suspended")
    return organization_id, subscription_id, campaign_id


async def test_what_our_own_suspension_failed_is_refunded_and_sent_after_the_reactivation(world: World) -> None:
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


async def test_a_suspension_by_twilio_itself_in_mid_campaign_shuts_everything_without_a_hot_loop(world: World) -> None:
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
    assert await world.history_length(organization_id) - length < 25  # one ring's worth
    await world.certify()


async def test_after_twilio_s_own_suspension_the_campaign_goes_on_when_the_block_is_lifted(world: World) -> None:
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
