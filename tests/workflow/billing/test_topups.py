"""Top-ups by checkout and their results: the same at every provider."""

import asyncio
import itertools
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text

from db.inbox import pending_deliveries
from db.wallet import ledger, wallets
from domain.billing.deliveries import InboxStatus
from domain.billing.events import MoneyObject
from domain.lifecycle.standing import Block, Status
from domain.money import parse
from domain.wallet.entries import refund
from simulators.paypal.state import Order
from tests.workflow.actors import Actor, AtPayPal, AtStripe, onboard
from tests.world import World, until


async def entries(world: World, organization_id: str) -> list[tuple[str, int]]:
    """The oldest first, in whole cents."""
    page = await world.read(
        lambda conn: ledger.page(conn, organization_id, before_seq=None, limit=100)
    )
    return [
        (entry.entry.kind.value, entry.entry.amount_micros // 10_000) for entry in reversed(page)
    ]


async def wallet(world: World, organization_id: str) -> tuple[str, str]:
    """The balance and the debt, as the API shows them."""
    body = (await world.api.get(f"/v1/organizations/{organization_id}/wallet")).json()
    return body["balance"], body["receivable"]


async def spend(world: World, organization_id: str, amount: str, currency: str = "USD") -> None:
    body = {"reference_id": f"spent-{amount}", "amount": amount, "currency": currency}
    await world.post(f"/v1/organizations/{organization_id}/wallet/debits", body)


async def blocked(world: World, organization_id: str) -> set[str]:
    body = (await world.api.get(f"/v1/organizations/{organization_id}/blocks")).json()
    return {block["reference"] for block in body["data"]}


async def handled(world: World, organization_id: str, event_id: str) -> None:
    async def is_handled() -> bool:
        stored = await world.read(
            lambda conn: pending_deliveries.of_organization(conn, organization_id, limit=100)
        )
        return any(
            delivery.event_id == event_id and delivery.status is InboxStatus.HANDLED
            for delivery in stored
        )

    await until(is_handled, f"{event_id} handled")


async def test_a_link_that_is_paid_is_credited_once_whatever_the_duplicates(actor: Actor) -> None:
    world = actor.world
    organization_id = await onboard(world, balance="0")
    checkout_id = await actor.link(organization_id, "25.00")
    before = await wallet(world, organization_id)

    ids = await actor.pay_topup(checkout_id)
    for order in itertools.permutations(ids):
        await actor.deliver(order)
    await asyncio.gather(*(actor.deliver(ids) for _ in range(5)))

    async def credited() -> bool:
        return await wallet(world, organization_id) == ("25.00", "0.00")

    await until(credited, "the top-up was credited")
    await world.at_rest(organization_id)
    assert before == ("0.00", "0.00")
    assert await entries(world, organization_id) == [("credit", 2500)]
    unhandled = await world.read(
        lambda conn: pending_deliveries.of_organization(conn, organization_id, limit=10)
    )
    checkouts = [
        delivery.outcome
        for delivery in unhandled
        if delivery.money and delivery.money.kind is MoneyObject.CHECKOUT
    ]
    assert checkouts or isinstance(actor, AtStripe)  # whose session names the payment itself
    assert all(outcome.startswith("booked as ") for outcome in checkouts)
    await world.certify()


async def test_a_payment_without_an_event_is_found_at_the_next_lookup(actor: Actor) -> None:
    world = actor.world
    organization_id = await onboard(world, balance="0")
    await actor.pay_topup(await actor.link(organization_id, "25.00"))

    await world.ring(organization_id)

    async def credited() -> bool:
        return await wallet(world, organization_id) == ("25.00", "0.00")

    async def shown() -> dict[str, Any] | None:
        topups = f"/v1/organizations/{organization_id}/wallet/topups"
        [topup] = (await world.api.get(topups)).json()["data"]
        entry: dict[str, Any] | None = topup["entry"] if topup["status"] == "paid" else None
        return entry

    await until(credited, "the top-up was credited")
    entry = await until(shown, "the top-up has its ledger entry")
    assert entry is not None
    assert (entry["kind"], entry["amount"]) == ("credit", "25.00")
    await world.certify()


async def test_the_same_key_is_the_same_link_and_other_content_a_conflict(actor: Actor) -> None:
    world = actor.world
    organization_id = await onboard(world, balance="0")
    path = f"/v1/organizations/{organization_id}/wallet/topups"
    body = {"provider": actor.name, "amount": "5.00", "currency": "USD"} | {
        "return_url": "https://host.test/paid",
        "cancel_url": "https://host.test/not",
    }
    headers = {"idempotency-key": "k-1"}

    answers = await asyncio.gather(
        *(world.api.post(path, json=body, headers=headers) for _ in range(5))
    )
    other = await world.api.post(path, json={**body, "amount": "6.00"}, headers=headers)
    too_fine = await world.api.post(
        path, json={**body, "amount": "5.001"}, headers={"idempotency-key": "k-2"}
    )
    euros = await world.api.post(
        path, json={**body, "currency": "EUR"}, headers={"idempotency-key": "k-3"}
    )

    assert sorted(response.status_code for response in answers) == [200, 200, 200, 200, 201]
    assert len({response.json()["url"] for response in answers}) == 1
    assert (other.status_code, too_fine.status_code, euros.status_code) == (409, 422, 422)


async def test_partial_refunds_are_each_taken_once(actor: Actor) -> None:
    world = actor.world
    organization_id = await onboard(world, balance="0")
    payment_id = await actor.top_up(organization_id, "25.00")

    for amount in ("10.00", "5.00"):
        refund = await actor.happen(f"payments/{payment_id}/refund", amount=amount)
        await actor.deliver(event["id"] for event in refund["events"])
    await world.at_rest(organization_id)

    assert await entries(world, organization_id) == [
        ("credit", 2500),
        ("reversal", -1000),
        ("reversal", -500),
    ]
    assert (await world.standing(organization_id)).status is Status.ACTIVE
    await world.certify()


async def test_a_refund_that_overtakes_its_payment_waits_for_it(actor: Actor) -> None:
    world = actor.world
    organization_id = await onboard(world, balance="0")
    payment_id, unheard = await actor.paid_unheard(organization_id, "25.00")
    refund = await actor.happen(f"payments/{payment_id}/refund", amount="10.00")
    await actor.deliver(unheard)

    async def settled() -> bool:
        return await entries(world, organization_id) == [("credit", 2500), ("reversal", -1000)]

    await until(settled, "first the payment, then its refund")
    await handled(world, organization_id, refund["events"][0]["id"])
    await world.certify()


async def test_a_reversal_of_spent_money_is_owed_until_the_next_top_up(actor: Actor) -> None:
    world = actor.world
    organization_id = await onboard(world, balance="0")
    await actor.subscribe(organization_id)
    payment_id = await actor.top_up(organization_id, "25.00")
    await spend(world, organization_id, "20.00")

    await actor.happen(f"payments/{payment_id}/refund")
    standing = await world.applied(organization_id, "suspended")
    during = await wallet(world, organization_id)
    story = (await world.api.get(f"/v1/organizations/{organization_id}/explain")).json()["story"]
    alerts = await world.alerts(organization_id)
    refused = await world.debit(organization_id)
    await actor.top_up(organization_id, "30.00")
    await world.applied(organization_id, "active")

    assert standing.blocks == {Block.DISPUTE}
    assert during == ("0.00", "20.00")
    assert any("owes 20.00 USD" in line for line in story)
    assert "receivable" in alerts
    assert refused.status_code == 423
    assert await wallet(world, organization_id) == ("10.00", "0.00")
    assert (await world.debit(organization_id)).status_code == 201
    assert "receivable" not in await world.alerts(organization_id)
    await world.certify()


async def test_a_credit_by_the_host_application_covers_the_debt(actor: Actor) -> None:
    world = actor.world
    organization_id = await onboard(world, balance="0")
    payment_id = await actor.top_up(organization_id, "25.00")
    await spend(world, organization_id, "25.00")
    await actor.happen(f"payments/{payment_id}/refund")
    await world.applied(organization_id, "suspended")

    body = {"reference_id": "by-transfer", "amount": "40.00", "currency": "USD"}
    await world.post(f"/v1/organizations/{organization_id}/wallet/credits", body)
    await world.applied(organization_id, "active")

    assert await wallet(world, organization_id) == ("15.00", "0.00")
    await world.certify()


async def test_an_operator_may_forgive_what_is_owed(actor: Actor) -> None:
    world = actor.world
    organization_id = await onboard(world, balance="0")
    payment_id = await actor.top_up(organization_id, "25.00")
    await spend(world, organization_id, "25.00")
    await actor.happen(f"payments/{payment_id}/refund")
    await world.applied(organization_id, "suspended")

    path = f"/v1/organizations/{organization_id}/blocks/dispute/receivable"
    assert (await world.api.delete(path)).is_success
    await world.applied(organization_id, "active")

    assert await wallet(world, organization_id) == ("0.00", "0.00")
    await world.certify()


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("lost", [False, True])
async def test_a_dispute_takes_the_money_once_and_gives_it_back_if_it_is_won(
    actor: Actor, *, lost: bool, backwards: bool
) -> None:
    world, actor.backwards = actor.world, backwards
    organization_id = await onboard(world, balance="10.00")
    payment_id = await actor.top_up(organization_id, "25.00")

    dispute = await actor.dispute_payment(payment_id)
    await world.applied(organization_id, "suspended")
    await world.at_rest(organization_id)
    during = await wallet(world, organization_id)
    for _ in range(2):
        await actor.settle(dispute, lost=lost)
        await world.at_rest(organization_id)

    # Stripe withdraws it at once
    assert during[0] == ("10.00" if isinstance(actor, AtStripe) else "35.00")
    assert await blocked(world, organization_id) == ({dispute} if lost else set())
    assert await wallet(world, organization_id) == ("10.00" if lost else "35.00", "0.00")
    assert ("dispute_lost" in await world.alerts(organization_id)) is lost
    await world.applied(organization_id, "suspended" if lost else "active")
    await world.certify()


async def test_a_dispute_after_a_refund_takes_no_more_than_was_left(actor: Actor) -> None:
    world = actor.world
    organization_id = await onboard(world, balance="50.00")
    payment_id = await actor.top_up(organization_id, "25.00")

    await actor.happen(f"payments/{payment_id}/refund", amount="10.00")
    dispute = await actor.dispute_payment(payment_id)
    await actor.settle(dispute, lost=True)
    await world.at_rest(organization_id)

    assert await wallet(world, organization_id) == ("50.00", "0.00")
    await world.certify()


async def test_a_refund_of_the_subscription_leaves_the_wallet_and_alerts(actor: Actor) -> None:
    world = actor.world
    organization_id = await onboard(world)
    subscription = await actor.subscribe(organization_id)

    await actor.happen(f"payments/{await actor.payment(subscription.id)}/refund", amount="10.00")

    async def alerted() -> bool:
        return "refund" in await world.alerts(organization_id)

    await until(alerted, "an alert")
    assert await wallet(world, organization_id) == ("10.00", "0.00")
    assert (await world.at_rest(organization_id)).status is Status.ACTIVE
    await world.certify()


@pytest.mark.parametrize(("currency", "amount", "back", "left"), [
    ("JPY", "2500", "1000", "1500.00"),
    ("KWD", "2.50", "1.25", "1.25"),
])  # fmt: skip
async def test_currencies_of_no_and_of_three_decimals(
    actor: Actor, currency: str, amount: str, back: str, left: str
) -> None:
    if currency == "KWD" and not isinstance(actor, AtStripe):
        pytest.skip("PayPal has no currency of three decimals")
    world = actor.world
    organization_id = await onboard(world, currency, balance="0")
    payment_id = await actor.top_up(organization_id, amount, currency)

    await actor.happen(f"payments/{payment_id}/refund", amount=back)
    await world.at_rest(organization_id)

    assert await wallet(world, organization_id) == (left, "0.00")
    await world.certify()


async def test_a_refund_that_fails_at_the_bank_is_given_back(world: World) -> None:
    actor = AtStripe(world, world.stripe_control)
    organization_id = await onboard(world, balance="0")
    payment_id = await actor.top_up(organization_id, "25.00")
    refund: dict[str, Any] = await actor.happen(f"payments/{payment_id}/refund", amount="10.00")
    await world.at_rest(organization_id)
    during = await wallet(world, organization_id)

    await actor.happen(f"refunds/{refund['object']['id']}/fail")
    await world.at_rest(organization_id)

    assert (during, await wallet(world, organization_id)) == (("15.00", "0.00"), ("25.00", "0.00"))
    await world.certify()


async def test_a_payment_that_was_paid_back_whole_before_we_looked_is_never_credited(
    actor: Actor,
) -> None:
    world = actor.world
    organization_id = await onboard(world, balance="0")
    payment_id, unheard = await actor.paid_unheard(organization_id, "25.00")

    refund = await actor.happen(f"payments/{payment_id}/refund")
    await actor.deliver(unheard)
    for event_id in [*unheard[-1:], refund["events"][0]["id"]]:
        await handled(world, organization_id, event_id)
    await world.at_rest(organization_id)

    assert await entries(world, organization_id) == []
    assert await wallet(world, organization_id) == ("0.00", "0.00")
    await world.certify()


async def test_an_order_of_the_host_applications_own_is_not_captured_here(world: World) -> None:
    actor = AtPayPal(world, world.paypal_control)
    organization_id = await onboard(world, balance="0")
    state = world.paypal.state
    order = Order(
        id="HOSTS-OWN",
        amount=Decimal(25),
        currency="USD",
        created=state.now(),
        custom_id=organization_id,
    )
    state.orders[order.id] = order

    approval = await actor.happen(f"orders/{order.id}/approve")
    await handled(world, organization_id, approval["events"][0]["id"])

    assert order.status == "APPROVED"
    assert await entries(world, organization_id) == []


async def test_a_capture_that_is_declined_is_tried_again_at_the_next_look(world: World) -> None:
    actor = AtPayPal(world, world.paypal_control)
    organization_id = await onboard(world, balance="0")
    checkout_id = await actor.link(organization_id, "25.00")

    approval = await actor.happen(
        f"orders/{checkout_id}/approve", capture_issue="INSTRUMENT_DECLINED"
    )
    await handled(world, organization_id, approval["events"][0]["id"])
    await world.ring(organization_id)

    async def credited() -> bool:
        return await wallet(world, organization_id) == ("25.00", "0.00")

    await until(credited, "the second capture")
    await world.certify()


async def test_an_abandoned_link_that_is_paid_counts_as_paid(world: World) -> None:
    """For a moment PayPal did not have the order, or seemed not to have it."""
    actor = AtPayPal(world, world.paypal_control)
    organization_id = await onboard(world, balance="0")
    checkout_id = await actor.link(organization_id, "25.00")
    order = world.paypal.state.orders.pop(checkout_id)
    await world.ring(organization_id)
    await until(lambda: status(world, organization_id, checkout_id, "expired"), "given up")
    world.paypal.state.orders[checkout_id] = order

    await actor.deliver(await actor.pay_topup(checkout_id))

    await until(lambda: status(world, organization_id, checkout_id, "paid"), "paid")
    assert await wallet(world, organization_id) == ("25.00", "0.00")
    await world.certify()


async def test_a_link_whose_payment_is_of_an_unknown_status_stays_open(world: World) -> None:
    actor = AtPayPal(world, world.paypal_control)
    organization_id = await onboard(world, balance="0")
    checkout_id = await actor.link(organization_id, "25.00")
    event_ids = await actor.pay_topup(checkout_id)
    order = world.paypal.state.orders[checkout_id]
    world.paypal.moves.capture(order)
    capture = world.paypal.state.captures[str(order.capture_id)]
    capture.status = "HALF_WAY"

    await actor.deliver(event_ids)
    await handled(world, organization_id, event_ids[0])
    assert await status(world, organization_id, checkout_id, "open")
    assert await wallet(world, organization_id) == ("0.00", "0.00")
    capture.status = "COMPLETED"
    await world.ring(organization_id)

    await until(lambda: status(world, organization_id, checkout_id, "paid"), "paid")
    assert await wallet(world, organization_id) == ("25.00", "0.00")
    await world.certify()


async def status(world: World, organization_id: str, checkout_id: str, wanted: str) -> bool:
    query = text("SELECT status FROM topups WHERE organization_id = :of AND checkout_id = :id")
    parameters = {"of": organization_id, "id": checkout_id}
    return bool(
        (await world.read(lambda conn: conn.execute(query, parameters))).scalar_one() == wanted
    )


async def test_a_provider_that_is_down_holds_up_its_top_ups_and_nothing_else(world: World) -> None:
    organization_id = await onboard(world)
    subscription = await AtStripe(world, world.stripe_control).subscribe(organization_id)
    await AtPayPal(world, world.paypal_control).link(organization_id, "25.00")
    world.paypal.faults.add("503", method="*", path="/v2/checkout")

    actor = AtStripe(world, world.stripe_control)
    await actor.fail(subscription.id)
    await actor.give_up(subscription.id)

    await world.applied(organization_id, "suspended")
    await world.at_rest(organization_id)
    await world.certify()


async def test_held_money_covers_what_is_owed_once_it_is_let_go(actor: Actor) -> None:
    world = actor.world
    organization_id = await onboard(world, balance="0")
    await actor.subscribe(organization_id)
    payment_id = await actor.top_up(organization_id, "25.00")
    holds = f"/v1/organizations/{organization_id}/wallet/holds"
    expires = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    body = {"reference_id": "h", "amount": "20.00", "currency": "USD", "expires_at": expires}
    await world.post(holds, body)

    await actor.happen(f"payments/{payment_id}/refund")
    await world.applied(organization_id, "suspended")
    during = await wallet(world, organization_id)
    await world.post(f"{holds}/h/release")
    await world.applied(organization_id, "active")

    assert during == ("20.00", "20.00")
    assert await wallet(world, organization_id) == ("0.00", "0.00")
    await world.certify()


async def test_money_that_comes_back_otherwise_covers_what_is_owed_by_itself(actor: Actor) -> None:
    """Like a message's refund, or an expired hold."""
    world = actor.world
    organization_id = await onboard(world, balance="0")
    payment_id = await actor.top_up(organization_id, "25.00")
    await spend(world, organization_id, "25.00")
    await actor.happen(f"payments/{payment_id}/refund")
    await world.applied(organization_id, "suspended")
    back = refund("came-back", "spent-25.00", parse("25.00", "USD"))
    async with world.services.engine.begin() as conn:
        await wallets.post(conn, organization_id, [back])

    await world.applied(organization_id, "active")

    assert await wallet(world, organization_id) == ("0.00", "0.00")
    await world.certify()
