"""What Twilio charged and the wallet cannot pay suspends the organization at Twilio, too, until money
covers it.
"""

from datetime import UTC, datetime

from db.billing import carrier
from domain.lifecycle.standing import Block
from runtime.upkeep import Upkeep
from tests.world import World


async def test_an_unpaid_charge_suspends_until_a_top_up_covers_it(world: World) -> None:
    organization_id, _ = await world.organization(balance="3.00")
    base = f"/v1/organizations/{organization_id}"
    async with world.services.engine.begin() as conn:
        now = datetime.now(UTC)
        await carrier.take_charge(conn, organization_id, 8_000_000, "rent of a day", now)
    await world.ring(organization_id)

    suspended = await world.applied(organization_id, "suspended")
    at_twilio = await world.subaccount_status(organization_id)
    wallet = (await world.api.get(f"{base}/wallet")).json()
    blocks = (await world.api.get(f"{base}/blocks")).json()["data"]
    story = (await world.api.get(f"{base}/explain")).json()["story"]
    refused = await world.debit(organization_id)
    body = {"reference_id": "by-transfer", "amount": "7.50", "currency": "USD"}
    await world.post(f"{base}/wallet/credits", body)
    await world.applied(organization_id, "active")

    assert suspended.blocks == {Block.FUNDS}
    assert at_twilio == "suspended"
    owed = wallet["balance"], wallet["receivable"], wallet["receivable_for_carrier"]
    assert owed == ("0.00", "5.00", "5.00")
    assert [(block["kind"], block["reference"]) for block in blocks] == [("funds", "carrier")]
    assert any("owes 5.00 USD for what Twilio charged" in line for line in story)
    assert refused.status_code == 423
    assert await world.subaccount_status(organization_id) == "active"
    assert (await world.api.get(f"{base}/wallet")).json()["balance"] == "2.50"
    await world.certify()


async def test_an_operator_forgives_what_is_owed_for_the_carrier(world: World) -> None:
    organization_id, _ = await world.organization(balance="0")
    async with world.services.engine.begin() as conn:
        await carrier.take_charge(conn, organization_id, 1, "rent", datetime.now(UTC))
    await world.ring(organization_id)
    await world.applied(organization_id, "suspended")

    path = f"/v1/organizations/{organization_id}/blocks/funds/carrier"
    assert (await world.api.delete(path)).is_success
    await world.applied(organization_id, "active")

    assert (await world.api.delete(path)).status_code == 404
    await world.certify()


async def test_an_empty_wallet_suspends_where_its_policy_says_so(world: World) -> None:
    """A worker's upkeep finds it; the operator cannot lift the block, but change the policy."""
    organization_id, _ = await world.organization(balance="0")
    path = f"/v1/organizations/{organization_id}"
    policy = {"when_empty": "suspend", "empty_grace_period_seconds": 0}
    assert (await world.api.patch(path, json=policy)).is_success
    services = world.services
    upkeep = Upkeep(services.engine, services.notifier, services.checking)
    await upkeep.suspend_empty(now=datetime.now(UTC))

    suspended = await world.applied(organization_id, "suspended")
    at_twilio = await world.subaccount_status(organization_id)
    lifted = await world.api.delete(f"{path}/blocks/funds/empty")
    assert (await world.api.patch(path, json={"when_empty": "keep"})).is_success
    await world.applied(organization_id, "active")

    assert suspended.blocks == {Block.FUNDS}
    assert at_twilio == "suspended"
    assert lifted.status_code == 422
    await world.certify()
