"""An event that names a known organization is never parked silently: it links, blocks, credits or
raises an alert.
"""

import json
import uuid
from decimal import Decimal
from typing import Any

from activities.inbox.owner_lookup import Finding
from domain.lifecycle.standing import Block, Status
from tests.builders import rows, run
from tests.workflow.actors import Actor, AtPayPal, AtStripe, current, ids_of, onboard
from tests.workflow.billing.test_unreported_money import alerted, has
from tests.world import World, until


async def subscribe_beside(
    actor: Actor, organization_id: str | None, *, plan: str | None = None
) -> tuple[str, list[str]]:
    """A subscription created by the host itself, unknown to Tollgate: its id, and its events' ids."""
    if isinstance(actor, AtPayPal):
        fields = {"custom_id": organization_id} | ({"plan_id": plan} if plan else {})
    else:
        fields = {"organization_id": organization_id} | ({"price": plan} if plan else {})
    created = await actor.act("subscriptions", **fields)
    return str(created["object"]["id"]), ids_of(created)


async def other_plan(actor: Actor) -> str:
    world = actor.world
    if isinstance(actor, AtPayPal):
        return world.paypal.state.add_plan(name="Another", amount=Decimal(1), currency="USD").id
    return str(world.stripe.state.add_price(f"price_{uuid.uuid4().hex[:8]}", 100, "usd")["id"])


async def parked_now(world: World, money_id: str) -> dict[str, Any]:
    """The delivery as the API shows it, after its provider was queried."""

    async def shown() -> dict[str, Any] | None:
        page = (await world.api.get("/v1/webhooks/parked", params={"limit": 500})).json()["data"]
        return next(
            (entry for entry in page if entry["money_id"] == money_id and entry["amount"]), None
        )

    found = await until(shown, f"{money_id} parked")
    assert found is not None
    return found


async def test_a_new_subscription_of_the_same_plan_takes_over_from_one_that_ends(
    actor: Actor,
) -> None:
    world = actor.world
    organization_id = await onboard(world)
    before = await actor.subscribe(organization_id)
    new, event_ids = await subscribe_beside(actor, organization_id)
    await actor.happen(f"subscriptions/{before.id}/cancel")

    await actor.deliver(event_ids)

    async def taken_over() -> bool:
        now = await current(world, organization_id)
        return now is not None and now.id == new

    await until(taken_over, "the new subscription is the current one")
    await world.applied(organization_id, "active")
    assert (await world.debit(organization_id)).status_code == 201
    await world.certify()


async def test_a_new_subscription_that_a_webhook_has_closed_takes_over_by_no_stale_read(
    actor: Actor,
) -> None:
    world = actor.world
    organization_id = await onboard(world)
    before = await actor.subscribe(organization_id)
    new, _ = await subscribe_beside(actor, organization_id)
    await actor.happen(f"subscriptions/{before.id}/cancel")
    await actor.act(f"subscriptions/{new}/freeze_reads")

    await actor.happen(f"subscriptions/{new}/cancel")

    query = "SELECT word_state, doubted_at FROM subscriptions WHERE provider_subscription_id = :id"

    async def linked() -> list[Any]:
        return await rows(world.services.engine, query, id=new)

    [(word, doubted_at)] = await until(linked, "the new subscription is linked")
    now = await current(world, organization_id)
    await actor.act(f"subscriptions/{new}/thaw_reads")
    assert (word, doubted_at is not None) == ("canceled", True)
    assert now is not None
    assert now.id == before.id

    async def ask_again() -> bool:
        return await linked() == [(None, None)]

    await until(ask_again, "another query of the new subscription")


async def test_a_new_subscription_of_another_plan_raises_an_alert_and_links_nothing(
    actor: Actor,
) -> None:
    """Anybody can write an organization's id into a one-cent subscription; that must not permit
    sending.
    """
    world = actor.world
    organization_id = await onboard(world)
    await actor.subscribe(organization_id)
    new, event_ids = await subscribe_beside(actor, organization_id, plan=await other_plan(actor))

    await actor.deliver(event_ids)

    assert new in await alerted(world, organization_id, "subscription_not_linked")
    found = await current(world, organization_id)
    assert found is not None
    assert found.id != new
    await world.post(
        f"/v1/organizations/{organization_id}/subscription",
        {"provider": actor.name, "subscription_id": new},
    )
    assert "subscription_not_linked" not in await world.alerts(organization_id)
    await world.certify()


async def test_the_alert_about_a_subscription_goes_when_that_ends(actor: Actor) -> None:
    world = actor.world
    organization_id = await onboard(world)
    await actor.subscribe(organization_id)
    new, event_ids = await subscribe_beside(actor, organization_id, plan=await other_plan(actor))
    await actor.deliver(event_ids)
    await alerted(world, organization_id, "subscription_not_linked")

    await actor.happen(f"subscriptions/{new}/cancel")

    async def cleared() -> bool:
        return "subscription_not_linked" not in await world.alerts(organization_id)

    await until(cleared, "the alert is cleared")


async def test_a_dispute_of_a_payment_from_before_the_link_shuts_the_gate(actor: Actor) -> None:
    world = actor.world
    organization_id = await onboard(world)
    id_, _ = await subscribe_beside(actor, None)
    payment_id = await actor.payment(id_)
    await world.post(
        f"/v1/organizations/{organization_id}/subscription",
        {"provider": actor.name, "subscription_id": id_},
    )
    await world.at_rest(organization_id)

    await actor.dispute_payment(payment_id)

    standing = await world.applied(organization_id, "suspended")
    assert standing.blocks == {Block.DISPUTE}
    assert (await world.debit(organization_id)).status_code == 423
    await world.certify()


async def test_a_refund_of_a_payment_from_before_the_link_raises_an_alert(actor: Actor) -> None:
    world = actor.world
    organization_id = await onboard(world)
    id_, _ = await subscribe_beside(actor, None)
    payment_id = await actor.payment(id_)
    await world.post(
        f"/v1/organizations/{organization_id}/subscription",
        {"provider": actor.name, "subscription_id": id_},
    )

    await actor.happen(f"payments/{payment_id}/refund")

    assert "of a subscription payment" in await alerted(world, organization_id, "refund")
    await world.certify()


async def test_a_dispute_of_another_products_payment_blocks_nobody_no_matter_whom_a_webhook_names(
    world: World,
) -> None:
    paypal = AtPayPal(world, world.paypal_control)
    organization_id, _ = await world.organization()
    capture = await world.act("captures", {"amount": "5.00", "custom_id": "shop-7"})
    dispute = await world.act(f"payments/{capture['object']['id']}/dispute")
    [event] = dispute["events"]
    forged = {**event["resource"], "disputed_transactions": [{"custom": organization_id}]}

    await paypal.deliver_raw(
        json.dumps({**event, "id": f"WH-{uuid.uuid4().hex}", "resource": forged})
    )

    assert (await world.applied(organization_id, "active")).status is Status.ACTIVE
    assert "blocks nothing" in await alerted(world, organization_id, "payment_of_another")


async def test_money_for_an_unknown_custom_id_is_parked_with_amount_and_payer_and_can_be_dismissed(
    actor: Actor,
) -> None:
    world = actor.world
    who = f"nobody-{uuid.uuid4().hex[:8]}"
    if isinstance(actor, AtPayPal):
        payment = await actor.act("captures", amount="7.00", custom_id=who, invoice_id="INV-7")
        payment_id = payment["object"]["id"]
    else:
        state = world.stripe.state
        intent = world.stripe.lifecycle.payment_intent(
            700, "usd", metadata={"organization_id": who}
        )
        intent["receipt_email"] = "INV-7@example.com"
        session = state.add(
            "checkout.session",
            "cs",
            mode="payment",
            payment_status="paid",
            payment_intent=intent["id"],
            metadata={},
        )
        payment = {
            "events": [{"id": world.stripe.events.emit("checkout.session.completed", session).id}]
        }
        payment_id = intent["id"]

    await actor.deliver(ids_of(payment))

    shown = await parked_now(world, payment_id)
    assert (shown["amount"], shown["currency"], shown["custom_id"]) == ("7.00", "USD", who)
    assert "INV-7" in shown["payer"]
    assert "credit it to its organization manually" in shown["to_do"]
    unplain = await world.api.post(
        f"/v1/webhooks/parked/{shown['id']}/dismiss", json={"reason": "\x1b[2J"}
    )
    answer = await world.api.post(
        f"/v1/webhooks/parked/{shown['id']}/dismiss", json={"reason": "settled by hand"}
    )
    again = await world.api.post(
        f"/v1/webhooks/parked/{shown['id']}/dismiss", json={"reason": "settled by hand"}
    )
    assert (unplain.status_code, answer.status_code, again.status_code) == (422, 204, 404)


async def test_a_payment_whose_event_names_no_organization_is_credited_to_the_one_its_provider_names(
    world: World,
) -> None:
    organization_id, _ = await world.organization(balance="1.00")
    capture = await world.act("captures", {"amount": "25.00", "custom_id": organization_id})
    [event] = capture["events"]
    resource = {name: value for name, value in event["resource"].items() if name != "custom_id"}
    body = {**event, "id": f"WH-{uuid.uuid4().hex}", "resource": resource}

    await AtPayPal(world, world.paypal_control).deliver_raw(json.dumps(body))

    await has(world, organization_id, "26.00")
    await world.certify()


async def test_money_of_another_product_is_dismissed_by_rule_and_no_longer_counted(
    actor: Actor,
) -> None:
    world = actor.world
    plan = await other_plan(actor)
    id_, event_ids = await subscribe_beside(actor, "shop-1", plan=plan)
    finding = Finding(world.services.engine, world.services.providers, ["shop-"])

    await actor.deliver(event_ids)

    async def dismissed() -> bool:
        soon = "UPDATE inbox SET next_attempt_at = clock_timestamp() WHERE status = 'parked'"
        await run(world.services.engine, soon)
        [row] = await rows(world.services.engine, "SELECT clock_timestamp() AS now")
        await finding.find(now=row.now)
        query = "SELECT outcome FROM inbox WHERE provider_subscription_id = :id"
        outcomes = [row.outcome for row in await rows(world.services.engine, query, id=id_)]
        return bool(outcomes) and all(
            outcome.startswith("dismissed: it belongs to another product") for outcome in outcomes
        )

    await until(dismissed, "all is dismissed")
    query = (
        "SELECT count(*) AS number FROM inbox WHERE provider_subscription_id = :id AND status <> "
        "'handled'"
    )
    assert [row.number for row in await rows(world.services.engine, query, id=id_)] == [0]


async def test_an_event_not_understood_about_a_known_organization_raises_an_alert(
    world: World,
) -> None:
    organization_id, subscription_id = await world.organization()
    resource = {"state": "completed", "billing_agreement_id": subscription_id}
    body = {
        "id": f"WH-{uuid.uuid4().hex}",
        "event_type": "PAYMENT.SALE.COMPLETED",
        "resource": resource,
    }

    await AtPayPal(world, world.paypal_control).deliver_raw(json.dumps(body))

    assert "missing or unreadable" in await alerted(world, organization_id, "not_understood")


async def test_a_top_up_at_stripe_that_no_webhook_names_is_credited(world: World) -> None:
    stripe = AtStripe(world, world.stripe_control)
    organization_id = await onboard(world, balance="0")
    completed = await stripe.act(f"checkout/{await stripe.link(organization_id, '25.00')}/complete")
    [event] = [
        world.stripe.events.all[event_id]
        for event_id in ids_of(completed)
        if "checkout" in world.stripe.events.all[event_id].type
    ]
    assert event.body is not None
    session = {**event.body["data"]["object"], "metadata": {}, "client_reference_id": None}
    body = {**event.body, "id": f"evt_{uuid.uuid4().hex}", "data": {"object": session}}

    await stripe.deliver_raw(json.dumps(body))

    await has(world, organization_id, "25.00")


async def test_a_payment_of_a_known_customer_that_names_no_organization_raises_an_alert(
    world: World,
) -> None:
    """It may pay for anything that the host sells to that customer."""
    stripe = AtStripe(world, world.stripe_control)
    organization_id = await onboard(world, balance="0")
    state = world.stripe.state
    intent = world.stripe.lifecycle.payment_intent(700, "usd")
    intent["customer"] = world.stripe.lifecycle.customer(organization_id)["id"]
    session = state.add(
        "checkout.session",
        "cs",
        mode="payment",
        payment_status="paid",
        payment_intent=intent["id"],
        metadata={},
    )
    event = world.stripe.events.emit("checkout.session.completed", session)

    await stripe.deliver([event.id])

    assert "7.00 USD" in await alerted(world, organization_id, "payment_not_booked")
    assert (await parked_now(world, intent["id"]))["organization_id"] == organization_id
