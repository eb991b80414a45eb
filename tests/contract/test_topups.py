"""Top-ups and their refunds: the common behaviour of all billing adapters."""

from collections.abc import AsyncIterator
from decimal import Decimal

import pytest
import pytest_asyncio

from domain.billing.events import EventKind, MoneyObject, Payment, PaymentStatus
from domain.money import BadAmount, Money
from providers.billing import TopUp
from tests.contract.test_billing_provider import ORGANIZATION, WORLDS, money_of, verified
from tests.contract.world import World

TWENTY_FIVE = Money(25_000_000, "USD")


@pytest_asyncio.fixture(params=WORLDS)
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    async with WORLDS[request.param]() as built:
        yield built


async def link(world: World, amount: Money = TWENTY_FIVE, key: str = "topup-1") -> str:
    checkout = await world.provider.create_topup(
        organization_id=ORGANIZATION,
        amount=amount,
        return_url="https://host.test/paid",
        cancel_url="https://host.test/not",
        idempotency_key=key,
    )
    assert checkout.url.startswith("http")
    return checkout.checkout_id


async def paid(world: World, amount: Money = TWENTY_FIVE) -> Payment:
    checkout_id = await link(world, amount)
    await world.pay_topup(checkout_id)
    payment = (await world.provider.settle_topup(checkout_id)).payment
    assert payment is not None
    return payment


async def test_a_link_takes_nothing_until_the_customer_pays(world: World) -> None:
    checkout_id = await link(world)

    before = [await world.provider.settle_topup(checkout_id) for _ in range(2)]
    await world.pay_topup(checkout_id)
    after = [await world.provider.settle_topup(checkout_id) for _ in range(3)]

    payment = after[0].payment
    assert before == [TopUp(open=True)] * 2
    assert payment is not None
    assert (payment.status, payment.amount, payment.custom_id) == (
        PaymentStatus.COMPLETED,
        TWENTY_FIVE,
        ORGANIZATION,
    )
    assert payment.reference.kind is MoneyObject.CAPTURE
    assert after == [TopUp(open=False, payment=payment)] * 3
    assert await world.provider.get_payment(payment.reference) == payment


async def test_a_repeated_key_is_the_same_link(world: World) -> None:
    assert await link(world, key="k-1") == await link(world, key="k-1")
    assert await link(world, key="k-1") != await link(world, key="k-2")


async def test_an_unknown_checkout_counts_as_ended(world: World) -> None:
    assert await world.provider.settle_topup("NOSUCHCHECKOUT") == TopUp(open=False)


async def test_the_webhook_of_a_paid_link_names_its_organization(world: World) -> None:
    deliveries = await world.pay_topup(await link(world))

    await verified(world, deliveries)
    events = [
        world.provider.parse_webhook(delivery.raw, delivery.headers) for delivery in deliveries
    ]

    [telling] = [event for event in events if event.money is not None]
    assert telling.money is not None
    assert telling.money.kind in (MoneyObject.CHECKOUT, MoneyObject.CAPTURE)
    assert (telling.custom_id, telling.problem) == (ORGANIZATION, None)


@pytest.mark.parametrize("amount", [Money(25_001_000, "USD"), Money(500_000, "JPY")])
async def test_an_amount_finer_than_the_provider_takes_is_refused_without_a_call(
    world: World, amount: Money
) -> None:
    before = await world.requests()

    with pytest.raises(BadAmount):
        await link(world, amount)
    assert await world.requests() == before


async def test_a_currency_without_decimals_is_paid_whole(world: World) -> None:
    yen = Money(2_500_000_000, "JPY")

    assert (await paid(world, yen)).amount == yen


async def test_each_refund_names_the_payment_that_it_takes_back(world: World) -> None:
    payment = await paid(world)
    refunds = []
    for amount in ("10.00", "5.00"):
        deliveries = await world.refund_payment(payment.reference.id, Decimal(amount))
        event = world.provider.parse_webhook(deliveries[0].raw, deliveries[0].headers)
        assert event.payment_id == payment.reference.id
        refunds.append(
            await world.provider.get_payment(money_of(world, deliveries, EventKind.REFUNDED))
        )
    after = await world.provider.get_payment(payment.reference)

    assert [refund.amount.micros for refund in refunds] == [10_000_000, 5_000_000]
    assert {(refund.reverses, refund.subscription_id) for refund in refunds} == {
        (payment.reference.id, None)
    }
    assert (after.status, after.amount) == (PaymentStatus.PARTIALLY_REFUNDED, TWENTY_FIVE)


async def test_a_payment_that_was_refunded_whole_says_so(world: World) -> None:
    payment = await paid(world)

    await world.refund_payment(payment.reference.id, Decimal("25.00"))

    assert (await world.provider.get_payment(payment.reference)).status is PaymentStatus.REFUNDED


@pytest.mark.parametrize("lost", [True, False])
async def test_a_dispute_says_what_it_takes_of_which_payment(world: World, *, lost: bool) -> None:
    payment = await paid(world)
    dispute_id, opened = await world.dispute_payment(payment.reference.id)
    closed = await world.settle_dispute(dispute_id, lost=lost)

    events = [
        world.provider.parse_webhook(delivery.raw, delivery.headers) for delivery in opened + closed
    ]
    dispute = await world.provider.get_dispute(dispute_id)

    assert {(event.money.kind, event.money.id) for event in events if event.money} == {
        (MoneyObject.DISPUTE, dispute_id)
    }
    assert (dispute.payment_ids, dispute.amount, dispute.withdrawn) == (
        (payment.reference.id,),
        TWENTY_FIVE,
        lost,
    )
