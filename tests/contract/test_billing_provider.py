"""The common behaviour of all billing adapters; a new provider adds only its world."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import pytest_asyncio

from domain.billing.events import EventKind, MoneyObject, MoneyReference, Payment, PaymentStatus
from domain.billing.subscription import BILLING, LAPSED, PAID, State
from domain.money import Money
from providers.billing import Later, Resumed
from providers.errors import (
    AlreadyTerminal,
    InvalidSignature,
    NotAccepted,
    NotFound,
    ProviderUnavailable,
    WrongState,
)
from tests.contract.paypal_world import paypal_world
from tests.contract.stripe_world import stripe_world
from tests.contract.world import Delivery, World, kinds

WORLDS: dict[str, Callable[[], AbstractAsyncContextManager[World]]] = {
    "paypal": paypal_world,
    "stripe": stripe_world,
}
ORGANIZATION = "org_7f3c"
SUBSCRIPTION_PRICE = Money(49_000_000, "USD")


@pytest_asyncio.fixture(params=WORLDS)
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    async with WORLDS[request.param]() as built:
        yield built


async def verified(world: World, deliveries: list[Delivery]) -> None:
    for delivery in deliveries:
        await world.provider.verify_webhook(delivery.raw, delivery.headers, now=datetime.now(UTC))


def money_of(world: World, deliveries: list[Delivery], kind: EventKind) -> MoneyReference:
    events = [
        world.provider.parse_webhook(delivery.raw, delivery.headers) for delivery in deliveries
    ]
    money = next(event.money for event in events if event.kind is kind)
    assert money is not None
    return money


async def payments_of(world: World, subscription_id: str) -> list[Payment]:
    now = datetime.now(UTC)
    listed = world.provider.list_payments(
        subscription_id, now - timedelta(days=1), now + timedelta(days=1)
    )
    return [payment async for payment in listed]


async def test_a_new_subscription_is_active_and_names_its_organization(world: World) -> None:
    subscription_id, _ = await world.subscribe(ORGANIZATION)

    snapshot = await world.provider.get_subscription(subscription_id)

    assert (snapshot.state, snapshot.custom_id) == (State.ACTIVE, ORGANIZATION)
    assert snapshot.as_of is not None
    assert snapshot.access_until is not None
    assert snapshot.access_until > datetime.now(UTC)


async def test_every_webhook_of_a_whole_life_is_verified_and_understood(world: World) -> None:
    subscription_id, started = await world.subscribe(ORGANIZATION)
    failed = await world.fail_payment(subscription_id)
    lapsed = await world.lapse(subscription_id)
    canceled = await world.cancel(subscription_id)
    everything = started + failed + lapsed + canceled

    await verified(world, everything)
    events = [
        world.provider.parse_webhook(delivery.raw, delivery.headers) for delivery in everything
    ]

    assert {event.subscription_id for event in events} == {subscription_id}
    assert {event.problem for event in events} == {None}
    assert len({event.event_id for event in events}) == len(events)
    assert kinds(world, started) >= {EventKind.PAYMENT_SUCCEEDED}
    assert EventKind.PAYMENT_FAILED in kinds(world, failed)
    assert EventKind.CANCELED in kinds(world, canceled)


async def test_an_event_and_the_get_after_it_tell_the_same(world: World) -> None:
    subscription_id, _ = await world.subscribe(ORGANIZATION)
    for act in (world.fail_payment, world.lapse, world.cancel):
        deliveries = await act(subscription_id)
        queried = await world.provider.get_subscription(subscription_id)

        snapshots = [
            world.provider.parse_webhook(delivery.raw, delivery.headers).snapshot
            for delivery in deliveries
        ]
        newest = [snapshot for snapshot in snapshots if snapshot is not None][-1]

        assert (newest.state, newest.custom_id) == (queried.state, queried.custom_id)


async def test_a_failed_payment_is_past_due_and_a_paid_one_is_active_again(world: World) -> None:
    subscription_id, _ = await world.subscribe(ORGANIZATION)

    await world.fail_payment(subscription_id)
    late = await world.provider.get_subscription(subscription_id)
    await world.pay(subscription_id)
    paid = await world.provider.get_subscription(subscription_id)

    assert (late.state, late.failed_payments, late.outstanding) == (
        State.PAST_DUE,
        1,
        SUBSCRIPTION_PRICE,
    )
    assert paid.state is State.ACTIVE


async def test_the_debt_and_the_paid_time_are_independent_of_the_next_charge(
    world: World,
) -> None:
    subscription_id, _ = await world.subscribe(ORGANIZATION)
    snapshots = [await world.provider.get_subscription(subscription_id)]
    for act in (world.fail_payment, world.lapse, world.pay):
        await act(subscription_id)
        snapshots.append(await world.provider.get_subscription(subscription_id))
    paid, failed, lapsed, again = snapshots

    assert [new_snapshot.owes for new_snapshot in snapshots] == [False, True, True, False]
    assert paid.paid_at is not None
    assert again.paid_at is not None
    assert again.paid_at > paid.paid_at
    assert failed.failed_at is not None
    assert paid.paid_until is not None
    assert paid.paid_until - paid.paid_at >= timedelta(days=28)
    assert failed.access_until is not None
    for snapshot in (failed, lapsed):  # the next charge moves on without any payment
        assert (
            snapshot.paid_until is None
            or snapshot.paid_until <= paid.paid_until <= failed.access_until
        )
    assert [new_snapshot.as_of for new_snapshot in snapshots] == sorted(
        new_snapshot.as_of for new_snapshot in snapshots if new_snapshot.as_of is not None
    )


async def test_a_lapsed_subscription_is_suspended_for_nonpayment(world: World) -> None:
    subscription_id, _ = await world.subscribe(ORGANIZATION)

    await world.lapse(subscription_id)

    assert (
        await world.provider.get_subscription(subscription_id)
    ).state is State.SUSPENDED_NONPAYMENT


async def test_an_unrecognized_status_is_unknown_in_the_event_and_in_the_get(
    world: World,
) -> None:
    subscription_id, _ = await world.subscribe(ORGANIZATION)

    deliveries = await world.set_raw_status(subscription_id, "HIBERNATING")
    queried = await world.provider.get_subscription(subscription_id)

    events = [
        world.provider.parse_webhook(delivery.raw, delivery.headers) for delivery in deliveries
    ]
    snapshots = [event.snapshot for event in events if event.snapshot is not None]
    assert {(snapshot.state, snapshot.raw_status) for snapshot in [queried, *snapshots]} == {
        (State.UNKNOWN, "HIBERNATING")
    }
    assert snapshots


async def test_a_tampered_or_forged_webhook_is_refused(world: World) -> None:
    _, deliveries = await world.subscribe(ORGANIZATION)
    genuine = deliveries[0]
    tampered = Delivery(genuine.raw.replace(ORGANIZATION.encode(), b"org_evil"), genuine.headers)
    truncated = Delivery(genuine.raw[:-1], genuine.headers)
    unsigned = Delivery(genuine.raw, {})

    for delivery in [tampered, truncated, unsigned, *await world.forged(genuine)]:
        with pytest.raises(InvalidSignature):
            await world.provider.verify_webhook(
                delivery.raw, delivery.headers, now=datetime.now(UTC)
            )


async def test_a_checkout_bills_nobody_before_the_customer_consents(world: World) -> None:
    link = await world.provider.create_checkout(
        organization_id=ORGANIZATION,
        plan_id=world.plan_id,
        return_url="https://host.test/done",
        cancel_url="https://host.test/canceled",
        idempotency_key="checkout-1",
    )
    before = await world.provider.get_subscription(link.subscription_id)
    await world.approve(link.subscription_id)
    after = await world.provider.get_subscription(link.subscription_id)

    assert link.url.startswith("http")
    assert (before.state, before.custom_id) == (State.PENDING, ORGANIZATION)
    assert after.state is State.ACTIVE


async def test_a_checkout_repeated_with_its_key_is_the_same_checkout(world: World) -> None:
    async def checkout(key: str) -> str:
        link = await world.provider.create_checkout(
            organization_id=ORGANIZATION,
            plan_id=world.plan_id,
            return_url="https://host.test/done",
            cancel_url="https://host.test/canceled",
            idempotency_key=key,
        )
        return link.subscription_id

    assert await checkout("k-1") == await checkout("k-1")
    assert await checkout("k-1") != await checkout("k-2")


async def test_a_deferred_checkout_charges_nothing_at_the_consent_and_shows_its_first_charge(
    world: World,
) -> None:
    later = Later(
        first_charge_at=datetime.now(UTC).replace(microsecond=0) + timedelta(days=10),
        expires_at=datetime.now(UTC) + timedelta(hours=23),
    )
    link = await world.provider.create_checkout(
        organization_id=ORGANIZATION,
        plan_id=world.plan_id,
        return_url="https://example.com/ok",
        cancel_url="https://example.com/no",
        idempotency_key="moved-1",
        later=later,
    )
    consented = await world.approve(link.subscription_id)

    snapshot = await world.provider.get_subscription(link.subscription_id)

    assert snapshot.state in PAID
    assert snapshot.access_until == later.first_charge_at
    assert await payments_of(world, snapshot.subscription_id or link.subscription_id) == []
    events = [
        world.provider.parse_webhook(delivery.raw, delivery.headers) for delivery in consented
    ]
    assert all(event.money is None for event in events)


async def test_why_it_was_canceled_can_be_read_back(world: World) -> None:
    by_us, _ = await world.subscribe(ORGANIZATION)
    by_the_customer, _ = await world.subscribe(ORGANIZATION)
    await world.provider.ensure_canceled(by_us, "mig:1")
    await world.cancel(by_the_customer)

    again = await world.provider.ensure_canceled(by_the_customer, "mig:2")

    assert (await world.provider.get_subscription(by_us)).note == "mig:1"
    assert again.note != "mig:2"


async def test_suspending_and_resuming_may_be_repeated(world: World) -> None:
    subscription_id, _ = await world.subscribe(ORGANIZATION)

    for _ in range(2):
        assert (
            await world.provider.ensure_suspended(subscription_id, "by hand")
        ).state is State.PAUSED
    for _ in range(2):
        assert await world.provider.ensure_resumed(subscription_id, "by hand") is Resumed.RESUMED
    assert (await world.provider.get_subscription(subscription_id)).state in BILLING


async def test_canceling_may_be_repeated_and_cannot_be_undone(world: World) -> None:
    subscription_id, _ = await world.subscribe(ORGANIZATION)

    for _ in range(2):
        assert (
            await world.provider.ensure_canceled(subscription_id, "left")
        ).state is State.CANCELED
    assert await world.provider.ensure_resumed(subscription_id, "back") is Resumed.NEEDS_NEW_CONSENT


async def test_a_subscription_lapsed_for_nonpayment_needs_the_payment_first(world: World) -> None:
    subscription_id, _ = await world.subscribe(ORGANIZATION)
    await world.lapse(subscription_id)

    assert await world.provider.ensure_resumed(subscription_id, "please") is Resumed.NEEDS_PAYMENT
    assert (await world.provider.get_subscription(subscription_id)).state in LAPSED


async def test_the_outstanding_balance_is_collected_once_for_a_key(world: World) -> None:
    subscription_id, _ = await world.subscribe(ORGANIZATION)
    await world.lapse(subscription_id)
    owed = (await world.provider.get_subscription(subscription_id)).outstanding
    assert owed is not None

    taken = [
        await world.provider.collect_outstanding(
            subscription_id, owed, idempotency_key="collect-1", since=datetime.now(UTC)
        )
        for _ in range(2)
    ]

    assert {collected.payment_id for collected in taken} == {taken[0].payment_id}
    assert (taken[0].status, taken[0].amount) == (PaymentStatus.COMPLETED, owed)
    assert len(await payments_of(world, subscription_id)) == 2  # the first payment and this one


async def test_collecting_without_a_debt_is_the_wrong_state(world: World) -> None:
    subscription_id, _ = await world.subscribe(ORGANIZATION)

    with pytest.raises(WrongState, match="nothing is outstanding"):
        await world.provider.collect_outstanding(
            subscription_id,
            SUBSCRIPTION_PRICE,
            idempotency_key="collect-1",
            since=datetime.now(UTC) + timedelta(minutes=3),
        )
    assert len(await payments_of(world, subscription_id)) == 1


async def test_an_ended_subscription_takes_no_other_plan_and_is_not_suspended(world: World) -> None:
    subscription_id, _ = await world.subscribe(ORGANIZATION)
    await world.cancel(subscription_id)

    with pytest.raises(AlreadyTerminal):
        await world.provider.change_plan(subscription_id, world.other_plan_id)
    with pytest.raises(AlreadyTerminal):
        await world.provider.ensure_suspended(subscription_id, "by hand")


async def test_a_plan_that_the_provider_does_not_know_is_not_accepted(world: World) -> None:
    subscription_id, _ = await world.subscribe(ORGANIZATION)

    with pytest.raises(NotAccepted):
        await world.provider.change_plan(subscription_id, "nobodys-plan")
    with pytest.raises(NotAccepted):
        await world.provider.create_checkout(
            organization_id=ORGANIZATION,
            plan_id="nobodys-plan",
            return_url="https://host.test/done",
            cancel_url="https://host.test/not",
            idempotency_key="k-1",
        )


async def test_a_change_of_plan_says_whether_the_customer_must_consent(world: World) -> None:
    subscription_id, _ = await world.subscribe(ORGANIZATION)

    change = await world.provider.change_plan(subscription_id, world.other_plan_id)

    assert (change.approve_url is not None) == world.plan_change_needs_consent


async def test_a_payment_is_the_same_in_the_webhook_the_get_and_the_list(world: World) -> None:
    subscription_id, deliveries = await world.subscribe(ORGANIZATION)

    payment = await world.provider.get_payment(
        money_of(world, deliveries, EventKind.PAYMENT_SUCCEEDED)
    )
    listed = await payments_of(world, subscription_id)

    assert (payment.amount, payment.status) == (SUBSCRIPTION_PRICE, PaymentStatus.COMPLETED)
    assert payment.subscription_id == subscription_id
    assert [payment.reference for payment in listed] == [payment.reference]


async def test_partial_refunds_are_each_a_fact_of_their_own(world: World) -> None:
    subscription_id, _ = await world.subscribe(ORGANIZATION)
    refunds = []
    for amount in ("10.00", "5.00"):
        deliveries = await world.refund(subscription_id, Decimal(amount))
        await verified(world, deliveries)
        refunds.append(
            await world.provider.get_payment(money_of(world, deliveries, EventKind.REFUNDED))
        )

    assert [refund.amount for refund in refunds] == [
        Money(10_000_000, "USD"),
        Money(5_000_000, "USD"),
    ]
    assert {refund.reference.kind for refund in refunds} == {MoneyObject.REFUND}
    assert {refund.subscription_id for refund in refunds} == {subscription_id}
    assert len({refund.reference.id for refund in refunds}) == 2


@pytest.mark.parametrize("lost", [True, False])
async def test_a_dispute_is_followed_to_its_end(world: World, *, lost: bool) -> None:
    subscription_id, _ = await world.subscribe(ORGANIZATION)
    dispute_id, opened = await world.dispute(subscription_id)
    open_ = await world.provider.get_dispute(dispute_id)
    closed = await world.settle_dispute(dispute_id, lost=lost)
    settled = await world.provider.get_dispute(dispute_id)

    await verified(world, opened + closed)
    assert money_of(world, opened, EventKind.DISPUTE_OPENED).id == dispute_id
    assert EventKind.DISPUTE_CLOSED in kinds(world, closed)
    assert (open_.open, settled.open, settled.lost) == (True, False, lost)
    assert open_.payment_ids == ((await payments_of(world, subscription_id))[0].reference.id,)


async def test_the_events_of_an_outage_can_be_listed(world: World) -> None:
    subscription_id, deliveries = await world.subscribe(ORGANIZATION)
    now = datetime.now(UTC)

    listed = world.provider.list_events(now - timedelta(hours=1), now + timedelta(hours=1))
    ids = {listed_event.event.event_id async for listed_event in listed}

    assert ids == {
        world.provider.parse_webhook(delivery.raw, delivery.headers).event_id
        for delivery in deliveries
    }
    assert subscription_id


async def test_an_outage_is_unavailable_and_queried_only_once(world: World) -> None:
    subscription_id, _ = await world.subscribe(ORGANIZATION)
    await world.provider.get_subscription(subscription_id)
    await world.break_down()
    before = await world.requests()

    with pytest.raises(ProviderUnavailable):
        await world.provider.get_subscription(subscription_id)
    assert await world.requests() - before <= 1


async def test_a_limit_says_how_long_to_wait(world: World) -> None:
    subscription_id, _ = await world.subscribe(ORGANIZATION)
    await world.limit(timedelta(seconds=7))

    with pytest.raises(ProviderUnavailable) as failure:
        await world.provider.get_subscription(subscription_id)

    assert failure.value.retry_after == 7.0


async def test_a_missing_object_is_not_found(world: World) -> None:
    subscription_id, _ = await world.subscribe(ORGANIZATION)
    nobodys = f"{subscription_id[:-4]}0000"

    with pytest.raises(NotFound):
        await world.provider.get_subscription(nobodys)
    with pytest.raises(NotFound):
        await world.provider.ensure_suspended(nobodys, "x")


@pytest.mark.parametrize(
    "path", ["..", ".", "../../v1/events", "x/pause", "x?expand[]=y", "x#y", "%2e%2e"]
)
async def test_an_id_never_names_another_place(world: World, path: str) -> None:
    with pytest.raises(NotFound):
        await world.provider.get_subscription(path)
    with pytest.raises(NotFound):
        await world.provider.ensure_canceled(path, "x")


async def test_a_subscription_whose_debt_was_paid_can_be_resumed(world: World) -> None:
    subscription_id, _ = await world.subscribe(ORGANIZATION)
    await world.lapse(subscription_id)
    owed = (await world.provider.get_subscription(subscription_id)).outstanding
    assert owed is not None

    await world.provider.collect_outstanding(
        subscription_id, owed, idempotency_key="collect-1", since=datetime.now(UTC)
    )

    assert await world.provider.ensure_resumed(subscription_id, "paid") is Resumed.RESUMED
    assert (await world.provider.get_subscription(subscription_id)).state is State.ACTIVE


async def test_many_calls_at_once_all_get_their_answer(world: World) -> None:
    ids = [(await world.subscribe(f"org_{number}"))[0] for number in range(20)]

    snapshots = await asyncio.gather(*(world.provider.get_subscription(id_) for id_ in ids))

    assert [snapshot.custom_id for snapshot in snapshots] == [
        f"org_{number}" for number in range(20)
    ]
