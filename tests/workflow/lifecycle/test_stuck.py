"""Permanent refusals by Twilio: a closed subaccount stays closed, an alert is raised, and a
notification after the fix continues.
"""

import pytest
from temporalio.client import WorkflowHandle

from activities.workflow_contracts import STUCK, organization_workflow_id
from db.lifecycle import standings
from domain.lifecycle.standing import Block, Status
from tests.world import World, until


def lifecycle(world: World, organization_id: str) -> WorkflowHandle[object, object]:
    return world.services.client.get_workflow_handle(organization_workflow_id(organization_id))


async def says_stuck(world: World, organization_id: str, *, stuck: bool) -> None:
    async def as_expected() -> bool:
        described = await lifecycle(world, organization_id).describe()
        return described.typed_search_attributes.get(STUCK) is stuck

    await until(as_expected, f"Stuck is {stuck}")


async def hold_at_twilio(
    world: World, organization_id: str, status: str, *, by_twilio: bool = False
) -> None:
    account_sid = await world.account_sid(organization_id)
    answer = await world.twilio_control.post(
        f"/_sim/accounts/{account_sid}/status", json={"status": status, "by_twilio": by_twilio}
    )
    assert answer.is_success


async def test_a_closed_subaccount_counts_as_suspended(world: World) -> None:
    organization_id, subscription_id = await world.organization()
    await world.applied(organization_id, "active")
    await hold_at_twilio(world, organization_id, "closed")

    await world.lapse(subscription_id)

    await world.applied(organization_id, "suspended")
    receipt = await world.receipt(organization_id)
    assert "closed" in receipt.steps[0]["detail"]
    assert "stuck" not in await world.alerts(organization_id)
    await world.certify()


async def test_a_refused_suspension_still_freezes_and_parks_and_is_applied_at_the_next_notification(
    world: World,
) -> None:
    organization_id, subscription_id = await world.organization()
    campaign_id = await world.campaign(organization_id, recipients=400)
    await world.applied(organization_id, "active")
    account = world.twilio.state.accounts.pop(await world.account_sid(organization_id))

    await world.lapse(subscription_id)
    await says_stuck(world, organization_id, stuck=True)

    standing = await world.standing(organization_id)
    stuck = await world.read(lambda conn: standings.stuck(conn, organization_id))
    assert (standing.status, standing.behind) == (Status.SUSPENDED, True)
    assert (await world.wallet(organization_id)).frozen
    assert (await world.campaign_now(organization_id, campaign_id)).status == "parked"
    assert stuck is not None
    assert stuck.step == "suspend_twilio_subaccount"
    assert "suspend_twilio_subaccount" in (await world.alerts(organization_id))["stuck"]

    world.twilio.state.accounts[account.sid] = account
    await world.ring(organization_id)
    await world.applied(organization_id, "suspended")
    await says_stuck(world, organization_id, stuck=False)
    assert account.status == "suspended"
    assert "stuck" not in await world.alerts(organization_id)
    assert await world.read(lambda conn: standings.stuck(conn, organization_id)) is None
    await world.certify()


async def test_a_refused_reactivation_opens_nothing(world: World) -> None:
    organization_id, subscription_id = await world.organization()
    await world.lapse(subscription_id)
    await world.applied(organization_id, "suspended")
    account = world.twilio.state.accounts.pop(await world.account_sid(organization_id))

    await world.pay(subscription_id)
    await says_stuck(world, organization_id, stuck=True)

    wallet = await world.wallet(organization_id)
    standing = await world.standing(organization_id)
    assert (standing.status, standing.behind) == (Status.ACTIVE, True)
    assert (wallet.gate_open, wallet.frozen) == (False, True)
    world.twilio.state.accounts[account.sid] = account
    await world.ring(organization_id)
    await world.applied(organization_id, "active")
    assert (await world.wallet(organization_id)).pays
    await says_stuck(world, organization_id, stuck=False)
    await world.certify()


@pytest.mark.parametrize("status", ["suspended", "closed"])
async def test_a_subaccount_that_twilio_holds_stays_shut_under_a_telephony_block(
    world: World, status: str
) -> None:
    organization_id, subscription_id = await world.organization()
    await world.lapse(subscription_id)
    await world.applied(organization_id, "suspended")
    await hold_at_twilio(world, organization_id, status, by_twilio=True)

    await world.pay(subscription_id)

    async def blocked() -> bool:
        return (await world.standing(organization_id)).blocks == {Block.TELEPHONY}

    await until(blocked, "a telephony block")
    standing = await world.at_rest(organization_id)
    assert (standing.status, standing.epoch) == (Status.SUSPENDED, 3)
    assert not (await world.wallet(organization_id)).gate_open
    assert "telephony" in await world.alerts(organization_id)
    await world.certify()


async def test_lifting_the_block_after_twilio_lifted_its_own_reactivates(world: World) -> None:
    organization_id, subscription_id = await world.organization()
    await world.lapse(subscription_id)
    await world.applied(organization_id, "suspended")
    await hold_at_twilio(world, organization_id, "suspended", by_twilio=True)
    await world.pay(subscription_id)

    async def blocked() -> bool:
        return (await world.standing(organization_id)).blocks == {Block.TELEPHONY}

    await until(blocked, "a telephony block")
    await world.at_rest(organization_id)
    await hold_at_twilio(world, organization_id, "suspended")
    lifted = await world.api.delete(f"/v1/organizations/{organization_id}/blocks/telephony")

    assert lifted.is_success
    await world.applied(organization_id, "active")
    assert await world.subaccount_status(organization_id) == "active"
    assert (await world.wallet(organization_id)).pays
    await world.certify()
