"""PayPal signs only the CRC-32 of a body: a body with the same CRC under genuine headers opens no
gate and books no money.
"""

import json
import zlib
from datetime import UTC, datetime, timedelta

import pytest

from db.billing import payments
from db.inbox.deliveries import MOST_BODIES
from domain.lifecycle.standing import Block, Status
from tests.builders import number as number_of
from tests.builders import run
from tests.workflow.crc import with_crc
from tests.world import World, until


async def forge(world: World, event_id: str, body: dict[str, object]) -> int:
    """POST another body under the genuine headers of an event; returns the response's status."""
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
    resource = {
        **genuine["resource"],
        "status": "ACTIVE",
        "status_update_time": "2099-01-01T00:00:00Z",
    }

    answer = await forge(
        world,
        suspended,
        {
            **genuine,
            "id": "WH-FORGED-1",
            "event_type": "BILLING.SUBSCRIPTION.ACTIVATED",
            "resource": resource,
        },
    )

    assert answer == 200  # its signature is valid: that is the problem
    assert not (await world.wallet(organization_id)).gate_open
    assert await world.at_rest(organization_id) == before
    assert await world.subaccount_status(organization_id) == "suspended"
    await world.certify()


@pytest.mark.parametrize(
    "exists", [False, True], ids=["of a made-up capture", "of somebody else's capture"]
)
async def test_a_forged_payment_books_no_money(world: World, exists: bool) -> None:
    organization_id, _ = await world.organization()
    victim, _ = await world.organization()
    capture = await world.act("captures", {"amount": "5.00", "custom_id": victim})
    [event] = capture["events"]
    resource = {
        **event["resource"],
        "custom_id": organization_id,
        "amount": {"currency_code": "USD", "value": "900.00"},
    }
    if not exists:
        resource["id"] = "FORGED0123456789A"
    before = await world.wallet(organization_id)

    answer = await forge(
        world, event["id"], {**event, "id": f"WH-FORGED-{exists}", "resource": resource}
    )
    await world.at_rest(organization_id)

    assert answer == 200
    assert await world.wallet(organization_id) == before
    assert (
        await world.read(lambda conn: payments.of_organization(conn, organization_id, limit=10))
        == []
    )
    if exists:  # the same body reports it: its owner decides
        booked = await until(
            lambda: world.read(lambda conn: payments.of_organization(conn, victim, limit=10))
        )
        assert [payment.amount.micros for payment in booked] == [5_000_000]
    await world.certify()


async def test_a_forged_suspension_shuts_only_until_the_provider_has_contradicted_it_for_a_while(
    world: World,
) -> None:
    organization_id, subscription_id = await world.organization()
    update = await world.act(f"subscriptions/{subscription_id}/update", {})
    [event] = update["events"]
    soon = (datetime.now(UTC) + timedelta(seconds=5)).strftime("%Y-%m-%dT%H:%M:%SZ")
    resource = {**event["resource"], "status": "SUSPENDED", "status_update_time": soon}

    answer = await forge(
        world,
        event["id"],
        {
            **event,
            "id": "WH-FORGED-3",
            "event_type": "BILLING.SUBSCRIPTION.SUSPENDED",
            "resource": resource,
        },
    )
    standing = await world.settle_doubt(organization_id)

    assert answer == 200
    # it did shut the gate, but only for minutes
    assert (standing.status, standing.epoch) == (
        Status.ACTIVE,
        2,
    )
    assert (await world.wallet(organization_id)).pays
    await world.certify()


@pytest.mark.parametrize(
    "exists", [False, True], ids=["a made-up dispute", "somebody else's dispute"]
)
async def test_a_forged_dispute_shuts_the_gate_only_until_the_provider_is_queried(
    world: World, exists: bool
) -> None:
    """For a minute if the provider does not have it: a genuine one may be too new for a GET."""
    organization_id, _ = await world.organization()
    victim, _ = await world.organization()
    capture = await world.act("captures", {"amount": "5.00", "custom_id": victim})
    assert await world.deliver(capture["events"][0]["id"]) == 200
    await world.at_rest(victim)
    dispute = await world.act(f"payments/{capture['object']['id']}/dispute")
    [event] = dispute["events"]
    resource = {**event["resource"], "disputed_transactions": [{"custom": organization_id}]}
    if not exists:
        resource["dispute_id"] = "PP-D-FORGED"

    answer = await forge(
        world, event["id"], {**event, "id": f"WH-FORGED-5-{exists}", "resource": resource}
    )
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


@pytest.mark.parametrize("whose", ["its own", "somebody else's"])
@pytest.mark.parametrize("event_id", ["the same", "another"])
async def test_a_forgery_that_comes_first_does_not_hide_the_genuine_suspension(
    idle_world: World, whose: str, event_id: str
) -> None:
    """Nothing else enforces it: no worker runs."""
    world = idle_world
    organization_id, subscription_id = await world.organization()
    other, others_subscription_id = await world.organization()
    [suspended] = await world.happen(f"subscriptions/{subscription_id}/suspend")
    headers, genuine = await world.sign(suspended)
    notification = json.loads(genuine)
    ids = (
        {"id": subscription_id}
        if whose == "its own"
        else {"id": others_subscription_id, "custom_id": other}
    )
    body = {
        **notification,
        "resource": {**notification["resource"], **ids, "status": "ACTIVE"},
        "summary": "0000",
    }
    if event_id == "another":
        body["id"] = "WH-FORGED-4"
    forged = with_crc(body, zlib.crc32(genuine))

    answers = [
        (await world.api.post("/webhooks/paypal", content=body, headers=headers)).status_code
        for body in (forged, genuine)
    ]

    assert answers == [200, 200]
    assert (await world.debit(organization_id)).status_code == 423
    assert (await world.debit(other)).status_code == 201


async def test_two_bodies_of_one_transmission_both_take_effect_and_both_query_the_provider(
    world: World,
) -> None:
    organization_id, subscription_id = await world.organization()
    other, others_subscription_id = await world.organization()
    [suspended] = await world.happen(f"subscriptions/{subscription_id}/suspend")
    headers, genuine = await world.sign(suspended)
    notification = json.loads(genuine)
    soon = (datetime.now(UTC) + timedelta(seconds=5)).strftime("%Y-%m-%dT%H:%M:%SZ")
    resource = {
        **notification["resource"],
        "id": others_subscription_id,
        "custom_id": other,
        "status_update_time": soon,
    }
    forged = with_crc(
        {**notification, "resource": resource, "summary": "0000"}, zlib.crc32(genuine)
    )

    gates = []
    for body, of in ((genuine, organization_id), (forged, other)):
        assert (
            await world.api.post("/webhooks/paypal", content=body, headers=headers)
        ).status_code == 200
        gates.append((await world.wallet(of)).gate_open)

    assert gates == [False, False]
    await world.applied(organization_id, "suspended")
    await world.settle_doubt(other)
    assert (await world.applied(other, "active")).epoch == 2
    await world.certify()


@pytest.mark.parametrize("first", ["forged", "genuine"])
async def test_a_forgery_with_the_event_id_of_a_payment_does_not_hide_the_payment(
    world: World, first: str
) -> None:
    organization_id, _ = await world.organization(balance="0")
    other, _ = await world.organization()
    capture = await world.act("captures", {"amount": "25.00", "custom_id": organization_id})
    seen = await world.act("captures", {"amount": "1.00", "custom_id": other})
    headers, seen_body = await world.sign(seen["events"][0]["id"])
    body = {**seen["events"][0], "id": capture["events"][0]["id"], "summary": "0000"}
    forged = with_crc(body, zlib.crc32(seen_body))

    async def bring_forged() -> int:
        return (
            await world.api.post("/webhooks/paypal", content=forged, headers=headers)
        ).status_code

    async def bring_genuine() -> int:
        return await world.deliver(capture["events"][0]["id"])

    acts = [bring_forged, bring_genuine] if first == "forged" else [bring_genuine, bring_forged]
    answers = [await act() for act in acts]
    await world.at_rest(organization_id)

    assert answers == [200, 200]
    assert (await world.wallet(organization_id)).balance_micros == 25_000_000
    await world.certify()


async def test_more_forged_bodies_than_are_stored_hide_nothing_and_store_no_more(
    idle_world: World,
) -> None:
    world = idle_world
    organization_id, subscription_id = await world.organization()
    [suspended] = await world.happen(f"subscriptions/{subscription_id}/suspend")
    headers, genuine = await world.sign(suspended)
    notification = json.loads(genuine)
    active = {**notification["resource"], "status": "ACTIVE"}
    for number in range(MOST_BODIES):
        forged = with_crc(
            {**notification, "id": f"WH-{number}", "resource": active, "summary": "0000"},
            zlib.crc32(genuine),
        )
        assert (
            await world.api.post("/webhooks/paypal", content=forged, headers=headers)
        ).status_code == 200

    answer = await world.api.post("/webhooks/paypal", content=genuine, headers=headers)

    assert answer.status_code == 503  # PayPal delivers it again, and lists it
    assert (await world.debit(organization_id)).status_code == 423
    of = "SELECT count(*) FROM inbox WHERE organization_id = :of"
    assert await number_of(world.services.engine, of, of=organization_id) == MOST_BODIES
