"""Somebody sends with a subaccount's own credentials: a usage trigger fires, what was sent is
charged, and what the wallet cannot pay suspends.
"""

from datetime import UTC, datetime

from db.audit import certify
from db.carrier import tripwires
from tests.world import World, until


async def test_a_trigger_that_fires_suspends_whoever_cannot_pay_for_what_was_sent_past_us(
    world: World,
) -> None:
    organization_id, _ = await world.organization(balance="0.25")
    await world.applied(organization_id, "active")
    engine, work = world.services.engine, world.services.tripwires
    async with engine.begin() as conn:
        await tripwires.set_value(conn, organization_id, 100_000)
    await work.compare("", now=datetime.now(UTC))
    account = world.twilio.state.accounts[await world.account_sid(organization_id)]
    for n in range(40):
        form = {"To": f"+1415555{n:04d}", "From": "+15005550006", "Body": "Hello"}
        world.twilio.messages.accept(account, form)

    async def all_sent() -> bool:
        return not any(each.in_progress for each in account.messages)

    await until(all_sent, "all sent")
    await world.twilio_control.post("/_sim/usage/evaluate")

    async def suspended_at_twilio() -> bool:
        return account.status == "suspended"

    await until(suspended_at_twilio, "the subaccount's suspension")
    explained = (await world.api.get(f"/v1/organizations/{organization_id}/explain")).json()
    assert any("40 messages were sent past Tollgate" in line for line in explained["story"])
    assert {"foreign_messages", "carrier_owed"} <= (await world.alerts(organization_id)).keys()
    assert (await world.wallet(organization_id)).balance_micros == 0
    async with engine.connect() as conn:
        assert [finding for finding in await certify.certify(conn) if not finding.holds] == []
