"""Acknowledged means enforced; then the steps follow in the defined order."""

from tests.world import World, until


async def test_a_suspension_shuts_the_gate_before_its_answer_and_takes_the_steps_in_order(
    world: World,
) -> None:
    organization_id, subscription_id = await world.organization()
    await world.applied(organization_id, "active")
    [event_id] = await world.happen(f"subscriptions/{subscription_id}/suspend")

    answer = await world.deliver(event_id)
    gate_open = (await world.wallet(organization_id)).gate_open
    await world.applied(organization_id, "suspended")
    receipt = await world.receipt(organization_id)

    assert answer == 200
    assert not gate_open
    assert [step["step"] for step in receipt.steps] == [
        "suspend_twilio_subaccount",
        "freeze_wallet",
        "pause_campaigns",
    ]
    assert (receipt.leaked_debits, receipt.leaked_messages) == (0, 0)
    assert (await world.wallet(organization_id)).frozen
    await world.certify()


async def test_paying_again_undoes_it_and_the_campaign_goes_on_where_it_stopped(
    world: World,
) -> None:
    organization_id, subscription_id = await world.organization()
    campaign_id = await world.campaign(organization_id, recipients=300)

    async def begun() -> bool:
        return len(world.twilio.state.messages) > 20

    await until(begun)
    [suspended] = await world.happen(f"subscriptions/{subscription_id}/suspend")
    assert await world.deliver(suspended) == 200
    await world.applied(organization_id, "suspended")
    parked = await world.campaign_now(organization_id, campaign_id)
    for event_id in await world.happen(f"subscriptions/{subscription_id}/pay"):
        assert await world.deliver(event_id) == 200
    await world.applied(organization_id, "active")

    async def completed() -> bool:
        return (await world.campaign_now(organization_id, campaign_id)).status == "completed"

    await until(completed)
    assert (parked.status, parked.reason) == ("parked", "suspended")
    await world.certify()
