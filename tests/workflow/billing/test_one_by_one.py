"""Each money fact is booked on its own: one that cannot be booked delays neither other money nor
the standing.
"""

import json
import re
import time
import uuid
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from domain.lifecycle.standing import Status
from simulators.paypal.state import Sale
from tests.builders import rows, run
from tests.workflow.actors import Actor, AtPayPal, AtStripe, onboard
from tests.workflow.billing.test_unreported_money import alerted, has
from tests.world import World, until

BAD = ["another customer's", "not there", "of nothing", "always failing"]


def paid_by_sale(subscription_id: str, sale_id: str) -> str:
    """The content of PayPal's webhook about a subscription's payment, in any body."""
    resource = {"id": sale_id, "state": "completed", "billing_agreement_id": subscription_id}
    event = {
        "id": f"WH-{uuid.uuid4().hex}",
        "event_type": "PAYMENT.SALE.COMPLETED",
        "resource": resource,
    }
    return json.dumps({**event, "create_time": datetime.now(UTC).isoformat()})


def paid_by_invoice(subscription_id: str, invoice_id: str) -> str:
    details = {
        "type": "subscription_details",
        "subscription_details": {"subscription": subscription_id},
    }
    invoice = {
        "id": invoice_id,
        "object": "invoice",
        "amount_paid": 4900,
        "currency": "usd",
        "parent": details,
    }
    event = {
        "id": f"evt_{uuid.uuid4().hex}",
        "object": "event",
        "type": "invoice.paid",
        "livemode": False,
    }
    return json.dumps({**event, "created": int(time.time()), "data": {"object": invoice}})


async def bad_sale(actor: Actor, subscription_id: str, bad: str) -> str:
    """An event that names a payment of this subscription; its provider contradicts it, or does not
    answer.
    """
    world = actor.world
    if isinstance(actor, AtPayPal):
        id_ = f"SALE{uuid.uuid4().hex[:12].upper()}"
        state = world.paypal.state
        if bad == "another customer's":
            other = await actor.subscribe(await onboard(world))
            id_ = await actor.payment(other.id)
        elif bad == "of nothing":
            state.sales[id_] = Sale(
                id=id_,
                subscription_id=subscription_id,
                amount=Decimal(0),
                currency="USD",
                state="completed",
                created=state.now(),
            )
        elif bad == "always failing":
            world.paypal.faults.add("500", method="GET", path=f"/v1/payments/sale/{id_}")
        return paid_by_sale(subscription_id, id_)
    objects, id_ = world.stripe.state.objects, f"in_{uuid.uuid4().hex[:20]}"
    if bad == "another customer's":
        other = await actor.subscribe(await onboard(world))
        id_ = objects[other.id]["latest_invoice"]
    elif bad == "of nothing":
        id_ = objects[subscription_id]["latest_invoice"]
        objects[id_] = {**objects[id_], "amount_paid": 0}
    elif bad == "always failing":
        world.stripe.faults.add("500", method="GET", path=f"/v1/invoices/{id_}")
    return paid_by_invoice(subscription_id, id_)


@pytest.mark.parametrize("bad", BAD)
async def test_a_payment_that_cannot_be_settled_holds_up_no_top_up_and_no_standing(
    actor: Actor, bad: str
) -> None:
    world = actor.world
    organization_id = await onboard(world, balance="0")
    subscription = await actor.subscribe(organization_id)
    first, second = (
        await bad_sale(actor, subscription.id, bad),
        await bad_sale(actor, subscription.id, bad),
    )
    confirmed = await world.confirmed_at(organization_id)

    await actor.deliver_raw(first)
    await actor.deliver_raw(second)
    await actor.top_up(organization_id, "25.00")

    await has(world, organization_id, "25.00")
    await world.at_rest(organization_id)
    assert await world.confirmed_at(organization_id) != confirmed
    assert (await world.standing(organization_id)).status is Status.ACTIVE
    if bad == "another customer's":
        assert "does not belong to this organization" in await alerted(
            world, organization_id, "payment_of_another"
        )
    await world.certify()


async def test_a_subscription_that_its_provider_never_tells_holds_up_no_top_up(
    actor: Actor,
) -> None:
    world = actor.world
    organization_id = await onboard(world, balance="0")
    subscription = await actor.subscribe(organization_id)
    world.simulator(actor.name).faults.add(
        "500", method="GET", path=f"/v1/(billing/)?subscriptions/{subscription.id}"
    )

    await actor.top_up(organization_id, "25.00")

    await has(world, organization_id, "25.00")
    await world.certify()


async def test_a_lasting_failure_raises_an_alert_which_clears_when_it_is_settled(
    actor: Actor,
) -> None:
    world = actor.world
    organization_id = await onboard(world, balance="0")
    subscription = await actor.subscribe(organization_id)
    await actor.deliver_raw(await bad_sale(actor, subscription.id, "always failing"))

    aged = (
        "UPDATE inbox SET received_at = received_at - interval '10 minutes' WHERE organization_id "
        "= :of"
    )
    await run(world.services.engine, aged, of=organization_id)
    detail = await alerted(world, organization_id, "money_waits")
    world.simulator(actor.name).faults.clear()

    async def cleared() -> bool:
        soon = (
            "UPDATE inbox SET next_attempt_at = clock_timestamp() WHERE organization_id = :of AND "
            "status = 'parked'"
        )
        await run(world.services.engine, soon, of=organization_id)
        return "money_waits" not in await world.alerts(organization_id)

    assert "sale" in detail
    await until(cleared, "the alert is cleared")


async def test_the_alert_about_money_goes_when_a_person_dismisses_what_waits(actor: Actor) -> None:
    world, engine = actor.world, actor.world.services.engine
    organization_id = await onboard(world, balance="0")
    subscription = await actor.subscribe(organization_id)
    await actor.deliver_raw(await bad_sale(actor, subscription.id, "always failing"))
    aged = (
        "UPDATE inbox SET received_at = received_at - interval '10 minutes' WHERE organization_id "
        "= :of"
    )
    await run(engine, aged, of=organization_id)
    detail = await alerted(world, organization_id, "money_waits")
    waits = "SELECT id FROM inbox WHERE organization_id = :of AND status = 'parked'"

    async def dismissed() -> bool:
        """A delivery that is being tried at this moment is not parked."""
        found = await rows(engine, waits, of=organization_id)
        paths = [f"/v1/webhooks/parked/{row.id}/dismiss" for row in found]
        answers = [await world.api.post(path, json={"reason": "settled by hand"}) for path in paths]
        return [answer.status_code for answer in answers] == [204]

    await until(dismissed, "the delivery is dismissed")

    assert "money_waits" not in await world.alerts(organization_id)
    assert not re.search(r"Provider|Error\b|Exception|\bPsycopg|\(\'", detail)


async def test_money_that_the_database_refuses_holds_up_no_other_money(idle_world: World) -> None:
    world, actor = idle_world, AtPayPal(idle_world, idle_world.paypal_control)
    organization_id = await onboard(world, balance="0")
    refused, event_ids = await actor.paid_unheard(organization_id, "7.00")
    refuse = f"ALTER TABLE payments ADD CONSTRAINT refused CHECK (object_id <> '{refused}')"
    await run(world.services.engine, refuse)
    await actor.deliver(event_ids)
    _, other = await actor.paid_unheard(organization_id, "25.00")
    await actor.deliver(other)
    world.start_worker()

    await has(world, organization_id, "25.00")
    assert refused in await alerted(world, organization_id, "payment_not_booked")
    [row] = await rows(
        world.services.engine, "SELECT outcome FROM inbox WHERE money_id = :id", id=refused
    )
    assert row.outcome.startswith("unknown for now: ")
    await run(world.services.engine, "ALTER TABLE payments DROP CONSTRAINT refused")
    await has(world, organization_id, "32.00")
    await world.certify()


async def test_a_sale_that_names_no_subscription_is_credited_to_whom_it_names(world: World) -> None:
    organization_id, _ = await world.organization(balance="1.00")
    sale = await world.act("sales", {"amount": "25.00", "custom": organization_id})

    assert await world.deliver(sale["events"][0]["id"]) == 200

    await has(world, organization_id, "26.00")
    await world.certify()


async def test_a_subscription_s_sale_that_paypal_tells_without_its_subscription_is_not_credited(
    world: World,
) -> None:
    """paypal/PayPal-PHP-SDK#1201: `billing_agreement_id` was missing for a time."""
    organization_id, subscription_id = await world.organization(balance="1.00")
    payment = await world.act(f"subscriptions/{subscription_id}/pay")
    [paid] = [
        event for event in payment["events"] if event["event_type"] == "PAYMENT.SALE.COMPLETED"
    ]
    sale = world.paypal.state.sales[paid["resource"]["id"]]
    resource = {**paid["resource"], "custom": organization_id}
    del resource["billing_agreement_id"]
    body = {**paid, "id": f"WH-{uuid.uuid4().hex}", "resource": resource}
    sale.custom, world.paypal.state.untold_agreements = organization_id, {sale.id}

    await AtPayPal(world, world.paypal_control).deliver_raw(json.dumps(body))

    async def noted() -> list[str]:
        query = "SELECT kind FROM payments WHERE object_id = :id"
        return [row.kind for row in await rows(world.services.engine, query, id=sale.id)]

    assert await until(noted, "the payment is noted") == ["subscription"]
    await has(world, organization_id, "1.00")


async def test_an_invoice_of_no_subscription_that_names_an_organization_raises_an_alert(
    world: World,
) -> None:
    """The host decides what to do about it: it may be a fee, and is not one of our top-ups."""
    stripe = AtStripe(world, world.stripe_control)
    organization_id = await onboard(world, balance="0")
    state = world.stripe.state
    invoice = state.add(
        "invoice",
        "in",
        status="paid",
        currency="usd",
        amount_paid=700,
        amount_due=700,
        metadata={"organization_id": organization_id},
        parent=None,
        status_transitions={"paid_at": state.now()},
    )
    event = world.stripe.events.emit("invoice.paid", invoice)

    await stripe.deliver([event.id])

    assert "7.00 USD" in await alerted(world, organization_id, "payment_not_booked")
    await has(world, organization_id, "0.00")
