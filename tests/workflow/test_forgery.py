"""PayPal signs only the CRC-32 of a body: one with the same CRC under genuine headers opens and books nothing."""

import json
import zlib
from datetime import UTC, datetime, timedelta

import pytest

from db import payments
from domain.standing import Block, Status
from tests.builders import run
from tests.workflow.crc import with_crc
from tests.world import World


async def forge(world: World, event_id: str, body: dict[str, object]) -> int:
    """POST another body under the genuine headers of an event; returns the status of the answer."""
    headers, genuine = await world.sign(event_id)
    forged = with_crc({**body, "summary": "0000"}, zlib.crc32(genuine))
    assert zlib.crc32(forged) == zlib.crc32(genuine)
    assert json.loads(forged)["id"] == body["id"]
    return (await world.api.post("/webhooks/paypal", content=forged, headers=headers)).status_code


async def test_a_forged_activation_opens_no_gate(world: World) -> None:
    organization_id, subscription_id = await world.organization()
    [suspended] = await world.happen(f"subscriptions/{subscription_id}/suspend")
    assert await world.deliver(suspended) == 200
    before = await world.applied(organization_id, "suspended")
    genuine = world.paypal.events.all[suspended].body
    assert genuine is not None
    resource = {**genuine["resource"], "status": "ACTIVE", "status_update_time": "2099-01-01T00:00:00Z"}

    answer = await forge(
        world,
        suspended,
        {**genuine, "id": "WH-FORGED-1", "event_type": "BILLING.SUBSCRIPTION.ACTIVATED", "resource": resource},
    )

    assert answer == 200  # it verifies: that is the trouble
    assert not (await world.wallet(organization_id)).gate_open
    assert await world.at_rest(organization_id) == before
    assert await world.subaccount_status(organization_id) == "suspended"
    await world.certify()


@pytest.mark.parametrize("exists", [False, True], ids=["of a made-up capture", "of somebody else's capture"])
async def test_a_forged_payment_books_no_money(world: World, exists: bool) -> None:
    organization_id, _ = await world.organization()
    victim, _ = await world.organization()
    told = await world.act("captures", {"amount": "5.00", "custom_id": victim})
    [event] = told["events"]
    resource = {
        **event["resource"],
        "custom_id": organization_id,
        "amount": {"currency_code": "USD", "value": "900.00"},
    }
    if not exists:
        resource["id"] = "FORGED0123456789A"
    before = await world.wallet(organization_id)

    answer = await forge(world, event["id"], {**event, "id": f"WH-FORGED-{exists}", "resource": resource})
    await world.at_rest(organization_id)

    assert answer == 200
    assert await world.wallet(organization_id) == before
    assert await world.read(lambda conn: payments.of_organization(conn, organization_id, limit=10)) == []
    await world.certify()


async def test_a_forged_suspension_shuts_only_until_the_provider_is_asked(world: World) -> None:
    organization_id, subscription_id = await world.organization()
    told = await world.act(f"subscriptions/{subscription_id}/update", {})
    [event] = told["events"]
    soon = (datetime.now(UTC) + timedelta(seconds=5)).strftime("%Y-%m-%dT%H:%M:%SZ")
    resource = {**event["resource"], "status": "SUSPENDED", "status_update_time": soon}

    answer = await forge(
        world,
        event["id"],
        {**event, "id": "WH-FORGED-3", "event_type": "BILLING.SUBSCRIPTION.SUSPENDED", "resource": resource},
    )
    standing = await world.applied(organization_id, "active")

    assert answer == 200
    assert (standing.status, standing.epoch) == (Status.ACTIVE, 2)  # it did shut: that harms for a moment only
    assert (await world.wallet(organization_id)).pays
    await world.certify()


@pytest.mark.parametrize("exists", [False, True], ids=["a made-up dispute", "somebody else's dispute"])
async def test_a_forged_dispute_shuts_only_until_the_provider_is_asked(world: World, exists: bool) -> None:
    """For a minute where the provider does not have it: a genuine one may be younger than what a GET sees."""
    organization_id, _ = await world.organization()
    victim, _ = await world.organization()
    told = await world.act("captures", {"amount": "5.00", "custom_id": victim})
    assert await world.deliver(told["events"][0]["id"]) == 200
    await world.at_rest(victim)
    dispute = await world.act(f"payments/{told['object']['id']}/dispute")
    [event] = dispute["events"]
    resource = {**event["resource"], "disputed_transactions": [{"custom": organization_id}]}
    if not exists:
        resource["dispute_id"] = "PP-D-FORGED"

    answer = await forge(world, event["id"], {**event, "id": f"WH-FORGED-5-{exists}", "resource": resource})
    gate_when_answered = (await world.wallet(organization_id)).gate_open
    if not exists:
        await world.at_rest(organization_id)
        assert (await world.standing(organization_id)).blocks == {Block.DISPUTE}
        aged = "UPDATE inbox SET received_at = received_at - interval '1 minute' WHERE organization_id = :of"
        await run(world.services.engine, aged, of=organization_id)
    standing = await world.applied(organization_id, "active")

    assert (answer, gate_when_answered) == (200, False)
    assert (standing.status, standing.epoch) == (Status.ACTIVE, 2)
    assert (await world.wallet(organization_id)).pays
    kind = "payment_of_another" if exists else "reversal_not_booked"
    named = dispute["object"]["dispute_id"] if exists else "PP-D-FORGED"
    assert named in (await world.alerts(organization_id))[kind]
    await world.certify()


async def test_a_forgery_that_comes_first_does_not_hide_the_genuine_event(world: World) -> None:
    organization_id, subscription_id = await world.organization()
    other, others_subscription_id = await world.organization()
    [suspended] = await world.happen(f"subscriptions/{subscription_id}/suspend")
    headers, genuine = await world.sign(suspended)
    told = json.loads(genuine)
    resource = {**told["resource"], "id": others_subscription_id, "status": "ACTIVE", "custom_id": other}
    forged = with_crc({**told, "id": "WH-FORGED-4", "resource": resource, "summary": "0000"}, zlib.crc32(genuine))

    answers = [
        (await world.api.post("/webhooks/paypal", content=body, headers=headers)).status_code
        for body in (forged, genuine)
    ]

    assert answers == [200, 200]
    await world.applied(organization_id, "suspended")
    assert (await world.standing(other)).status is Status.ACTIVE
    await world.certify()
