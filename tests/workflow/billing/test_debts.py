"""A gate that was shut for a debt stays shut until the debt is paid, and only paid time is served."""

import zlib
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from db.billing import payments
from domain.billing import intervals
from domain.billing.subscription import State
from domain.lifecycle.standing import Block, Standing
from tests.builders import run
from tests.workflow.actors import Actor, AtPayPal, AtStripe, current, onboard
from tests.workflow.crc import with_crc
from tests.workflow.stops import subscription_path
from tests.world import World, until

MONTH = timedelta(days=30)
OPERATOR = {"reason": "looked at"}


async def suspended_for_a_debt(actor: Actor) -> tuple[str, str]:
    """The ids of an organization and of its subscription, whose renewal failed."""
    organization_id = await onboard(actor.world)
    subscription = await actor.subscribe(organization_id)
    await actor.fail(subscription.id)
    await actor.give_up(subscription.id)
    await actor.world.applied(organization_id, "suspended")
    return organization_id, subscription.id


async def paid_a_month_ago(actor: Actor, organization_id: str, subscription_id: str) -> None:
    """Its period is over, and the renewal is not paid yet; nothing newer is on record.

    A query in progress may still record its earlier answer: then that is erased again.
    """
    begun = datetime.now(UTC) - MONTH - timedelta(hours=1)
    forget = (
        "UPDATE subscriptions SET as_of = NULL, paid_until = NULL, paid_at = NULL"
        " WHERE provider_subscription_id = :id"
    )
    if isinstance(actor, AtPayPal):
        at_paypal = actor.world.paypal.state.subscriptions[subscription_id]
        assert at_paypal.last_payment is not None
        at_paypal.last_payment, at_paypal.next_billing = (
            (begun, at_paypal.last_payment[1]),
            begun + MONTH,
        )
    else:
        at_stripe = actor.world.stripe.state.get(subscription_id, "subscription")
        actor.world.stripe.renewals.began(at_stripe, int(begun.timestamp()))

    async def is_confirmed() -> bool:
        await run(actor.world.services.engine, forget, id=subscription_id)
        await actor.world.look_again(organization_id)
        linked = await current(actor.world, organization_id)
        paid_until = None if linked is None else linked.snapshot.paid_until
        return paid_until is not None and paid_until < datetime.now(UTC)

    await until(is_confirmed, "the period that is over")


async def stays_shut(world: World, organization_id: str) -> Standing:
    standing = await world.look_again(organization_id)
    assert (standing.status, standing.epoch) == ("suspended", 1)
    assert (await world.debit(organization_id)).status_code == 423
    assert await world.subaccount_status(organization_id) == "suspended"
    await world.certify()
    return standing


@pytest.mark.parametrize("by", ["the customer", "hand"])
async def test_a_suspended_debtor_that_cancels_is_not_served_again(actor: Actor, by: str) -> None:
    organization_id, subscription_id = await suspended_for_a_debt(actor)

    if by == "hand":
        await actor.world.post(f"/v1/organizations/{organization_id}/subscription/cancel", OPERATOR)
    else:
        await actor.happen(f"subscriptions/{subscription_id}/cancel")

    standing = await stays_shut(actor.world, organization_id)
    shown = await current(actor.world, organization_id)
    assert Block.NONPAYMENT in standing.blocks
    assert shown is not None
    assert shown.snapshot.state is State.CANCELED


async def test_a_cancellation_during_grace_is_served_no_unpaid_time(actor: Actor) -> None:
    world = actor.world
    organization_id = await onboard(world)
    subscription = await actor.subscribe(organization_id)
    await paid_a_month_ago(actor, organization_id, subscription.id)
    await actor.fail(subscription.id)
    in_grace = await world.at_rest(organization_id)

    await actor.happen(f"subscriptions/{subscription.id}/cancel")
    standing = await world.applied(organization_id, "suspended")

    assert (in_grace.status, in_grace.deadline is None) == ("active", False)
    assert Block.CANCELED in standing.blocks
    assert (await world.debit(organization_id)).status_code == 423
    await world.certify()


async def test_a_debtor_active_again_without_paying_stays_shut_until_the_payment(
    actor: Actor,
) -> None:
    world = actor.world
    organization_id, subscription_id = await suspended_for_a_debt(actor)

    for _ in range(2):
        if isinstance(actor, AtPayPal):
            await actor.happen(
                f"subscriptions/{subscription_id}/update", status="ACTIVE", outstanding="49.00"
            )
        else:
            await actor.happen(f"subscriptions/{subscription_id}/set_status", status="past_due")
        await stays_shut(world, organization_id)
        await actor.give_up(subscription_id)
        await stays_shut(world, organization_id)
    await actor.happen(f"subscriptions/{subscription_id}/pay")

    assert (await world.applied(organization_id, "active")).epoch == 2
    assert (await world.debit(organization_id)).status_code == 201
    await world.certify()


async def forged(world: World, event_id: str, **changed: object) -> int:
    """POST another body under the genuine headers of an event, as anybody who saw it can; returns
    the response's status.
    """
    headers, genuine = await world.sign(event_id)
    body = world.paypal.events.all[event_id].body
    assert body is not None
    resource = {**body["resource"], **changed}
    kind = f"BILLING.SUBSCRIPTION.{resource['status']}"
    document = {
        **body,
        "id": f"WH-FORGED-{event_id}",
        "event_type": kind,
        "resource": resource,
        "summary": "0000",
    }
    raw = with_crc(document, zlib.crc32(genuine))
    return (await world.api.post("/webhooks/paypal", content=raw, headers=headers)).status_code


def in_seconds(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


async def test_a_forged_cancellation_opens_nothing_when_an_operator_lifts_a_block_while_paypal_is_down(
    world: World,
) -> None:
    organization_id, subscription_id = await world.organization()
    await world.lapse(subscription_id)
    await world.post(f"/v1/organizations/{organization_id}/suspend", OPERATOR)
    await world.applied(organization_id, "suspended")
    [genuine] = await world.happen(f"subscriptions/{subscription_id}/update")
    world.paypal.faults.add("down", path=subscription_path(subscription_id))
    far = {
        "outstanding_balance": {"currency_code": "USD", "value": "0.0"},
        "failed_payments_count": 0,
    }
    far |= {"next_billing_time": "2099-01-01T00:00:00Z", "last_payment": {"time": in_seconds(0)}}

    answer = await forged(
        world, genuine, status="CANCELLED", status_update_time=in_seconds(5), billing_info=far
    )
    await world.post(f"/v1/organizations/{organization_id}/reinstate")

    assert answer == 200
    standing = await world.standing(organization_id)
    assert (standing.status, standing.epoch) == ("suspended", 1)
    assert Block.NONPAYMENT in standing.blocks
    assert (await world.debit(organization_id)).status_code == 423
    world.heal()
    await stays_shut(world, organization_id)


async def test_a_forged_event_dated_ahead_does_not_make_a_genuine_suspension_stale(
    world: World,
) -> None:
    organization_id, subscription_id = await world.organization()
    await world.applied(organization_id, "active")
    [genuine] = await world.happen(f"subscriptions/{subscription_id}/update")
    world.paypal.faults.add("down", path=subscription_path(subscription_id))
    assert (
        await forged(world, genuine, status="CANCELLED", status_update_time=in_seconds(290)) == 200
    )
    [suspended] = await world.happen(f"subscriptions/{subscription_id}/suspend")

    assert await world.deliver(suspended) == 200

    assert (await world.debit(organization_id)).status_code == 423
    world.heal()
    assert (await world.applied(organization_id, "suspended")).epoch == 1
    await world.certify()


async def test_a_subscription_that_expires_with_its_last_payment_is_served_for_it(
    world: World,
) -> None:
    plan = world.paypal.state.add_plan(name="Two months", amount=world.paypal.state.plans[AtPayPal.plan].amount,
                                       currency="USD", total_cycles=2)  # fmt: skip
    organization_id, subscription_id = await world.organization(plan_id=plan.id, age=MONTH)
    await world.look_again(organization_id)
    at = datetime.now(UTC).replace(microsecond=0)

    for event_id in await world.happen(
        f"subscriptions/{subscription_id}/pay", {"at": at.isoformat()}
    ):
        assert await world.deliver(event_id) == 200
    standing = await world.at_rest(organization_id)

    subscription = world.paypal.state.subscriptions[subscription_id]
    assert (subscription.status, subscription.next_billing) == ("EXPIRED", None)
    assert (standing.status, standing.deadline, standing.epoch) == ("active", at + MONTH, 0)
    assert (await world.debit(organization_id)).status_code == 201
    await world.certify()


async def test_an_unreported_renewal_is_served_after_the_cancellation(actor: Actor) -> None:
    world = actor.world
    organization_id = await onboard(world)
    subscription = await actor.subscribe(organization_id)
    await paid_a_month_ago(actor, organization_id, subscription.id)
    await actor.act(f"subscriptions/{subscription.id}/pay")

    await actor.happen(f"subscriptions/{subscription.id}/cancel")
    standing = await world.at_rest(organization_id)

    assert standing.status == "active"
    assert standing.deadline is not None
    assert standing.deadline > datetime.now(UTC) + MONTH - timedelta(hours=2)
    await world.certify()


@pytest.mark.parametrize("settled", ["pay", "void", "mark_uncollectible"])
async def test_a_newer_small_invoice_pays_no_older_one(world: World, settled: str) -> None:
    stripe = AtStripe(world, world.stripe_control)
    organization_id, subscription_id = await suspended_for_a_debt(stripe)
    subscription = world.stripe.state.get(subscription_id, "subscription")
    owed = subscription["latest_invoice"]

    await stripe.happen(f"subscriptions/{subscription_id}/bill", amount=100)

    assert subscription["status"] == "active"
    await stays_shut(world, organization_id)
    await stripe.happen(f"invoices/{owed}/{settled}")
    assert (await world.applied(organization_id, "active")).epoch == 2
    assert (await world.debit(organization_id)).status_code == 201
    await world.certify()


async def test_a_suspension_by_hand_while_paypal_tries_again_forgives_nothing(world: World) -> None:
    organization_id, subscription_id = await world.organization(age=MONTH)
    long_ago = (datetime.now(UTC) - timedelta(days=4)).isoformat()
    failed = await world.happen(
        f"subscriptions/{subscription_id}/fail_payment", {"counted": False, "at": long_ago}
    )
    for event_id in failed:
        assert await world.deliver(event_id) == 200
    await world.applied(organization_id, "suspended")

    for act in ({"by": "merchant"}, None):
        path = f"subscriptions/{subscription_id}/{'activate' if act is None else 'suspend'}"
        for event_id in await world.happen(path, act or {}):
            assert await world.deliver(event_id) == 200

    subscription = world.paypal.state.subscriptions[subscription_id]
    assert (subscription.status, subscription.outstanding, subscription.failed_payments) == (
        "ACTIVE",
        Decimal(0),
        0,
    )
    await stays_shut(world, organization_id)
    await world.pay(subscription_id)
    await world.applied(organization_id, "active")


async def test_a_year_that_was_paid_for_is_served_even_if_the_plan_becomes_monthly(
    world: World,
) -> None:
    year = {
        "frequency": {"interval_unit": "YEAR", "interval_count": 1},
        "tenure_type": "REGULAR",
        "sequence": 1,
    }
    state = world.paypal.state
    yearly = state.add_plan(
        name="Yearly", amount=Decimal(490), currency="USD", body={"billing_cycles": [year]}
    )
    organization_id, subscription_id = await world.organization(plan_id=yearly.id)
    subscription = state.subscriptions[subscription_id]
    assert subscription.last_payment is not None
    subscription.next_billing = intervals.after(subscription.last_payment[0], "YEAR", 1)
    subscription.last_payment = (
        subscription.last_payment[0] - timedelta(days=60),
        subscription.last_payment[1],
    )
    await world.look_again(organization_id)
    subscription.plan_id = AtPayPal.plan
    await world.look_again(organization_id)

    for event_id in await world.happen(f"subscriptions/{subscription_id}/cancel"):
        assert await world.deliver(event_id) == 200

    standing = await world.look_again(organization_id)
    assert standing.status == "active"
    assert standing.deadline is not None
    assert standing.deadline > datetime.now(UTC) + timedelta(days=300)


@pytest.mark.parametrize("first", ["canceled", "refunded"])
async def test_a_period_whose_payment_is_refunded_whole_is_not_served(
    actor: Actor, first: str
) -> None:
    world = actor.world
    organization_id = await onboard(world)
    subscription = await actor.subscribe(organization_id)

    async def booked() -> bool:
        return bool(
            await world.read(lambda conn: payments.of_organization(conn, organization_id, limit=10))
        )

    await until(booked, "the payment booked")
    payment_id = await actor.payment(subscription.id)
    part = await actor.happen(f"payments/{payment_id}/refund", amount="48.99")
    if first == "canceled":
        await actor.happen(f"subscriptions/{subscription.id}/cancel")
        assert (await world.at_rest(organization_id)).status == "active"  # a part of it is paid
        await actor.happen(f"payments/{payment_id}/refund")
    else:
        await actor.happen(f"payments/{payment_id}/refund")
        assert (await world.at_rest(organization_id)).status == "active"  # it bills
        await actor.happen(f"subscriptions/{subscription.id}/cancel")

    standing = await world.applied(organization_id, "suspended")
    assert part
    assert standing.blocks == {Block.CANCELED}
    assert (await world.debit(organization_id)).status_code == 423
    await world.certify()
