"""Behaviour specific to Stripe: its errors, pauses and idempotency keys, as in API
2026-10-28.endive.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
import pytest_asyncio

from domain.billing.events import MoneyObject, MoneyReference, PaymentStatus
from domain.billing.subscription import State
from domain.money import BadAmount, Money, parse
from providers.billing import Later, Resumed
from providers.errors import AlreadyTerminal, NotFound, ProviderRefused, ProviderUnavailable
from providers.http import fast_client
from providers.stripe import Stripe, SuspendBy
from simulators.serving import serve
from simulators.stripe.app import API_KEY, WEBHOOK_SECRET, StripeSimulator
from simulators.stripe.state import DEFAULT_PRICE, to_minor

PRICE = Money(49_000_000, "USD")
URLS = {"return_url": "https://host.test/done", "cancel_url": "https://host.test/not"}


@dataclass
class World:
    simulator: StripeSimulator
    client: httpx.AsyncClient

    @property
    def stripe(self) -> Stripe:
        return self.adapter()

    def adapter(
        self, *, api_key: str = API_KEY, suspend_by: SuspendBy = SuspendBy.PAUSE, base: str = ""
    ) -> Stripe:
        return Stripe(
            client=self.client,
            base_url=self.simulator.url + base,
            api_key=api_key,
            webhook_secrets=[WEBHOOK_SECRET],
            suspend_by=suspend_by,
        )

    def subscribe(self) -> dict[str, Any]:
        return self.simulator.lifecycle.subscribe(DEFAULT_PRICE, organization_id="acme")[0]

    def paused_for_nonpayment(self) -> dict[str, Any]:
        subscription = self.subscribe()
        self.simulator.lifecycle.fail_payment(subscription)
        self.simulator.lifecycle.give_up(subscription, "paused")
        return subscription

    def calls(self, end: str) -> int:
        return sum(
            number for call, number in self.simulator.state.calls.items() if call.endswith(end)
        )


@pytest_asyncio.fixture
async def world() -> AsyncIterator[World]:
    async with serve(StripeSimulator(seed=1)) as simulator, fast_client(read=2.0) as client:
        yield World(simulator, client)


@pytest.mark.parametrize(
    "code", ["card_declined", "expired_card", "incorrect_cvc", "authentication_required"]
)
async def test_a_decline_is_an_answer_and_stays_the_answer_to_its_key(
    world: World, code: str
) -> None:
    subscription = world.subscribe()
    world.simulator.lifecycle.fail_payment(subscription)
    world.simulator.lifecycle.decline(subscription, code)

    declined = await world.stripe.collect_outstanding(
        subscription["id"], PRICE, idempotency_key="k-1", since=datetime.now(UTC)
    )
    world.simulator.lifecycle.decline(subscription, None)
    again = await world.stripe.collect_outstanding(
        subscription["id"], PRICE, idempotency_key="k-1", since=datetime.now(UTC)
    )
    anew = await world.stripe.collect_outstanding(
        subscription["id"], PRICE, idempotency_key="k-2", since=datetime.now(UTC)
    )

    assert [collected.status for collected in (declined, again, anew)] == [
        PaymentStatus.DECLINED,
        PaymentStatus.DECLINED,
        PaymentStatus.COMPLETED,
    ]
    assert declined.amount == PRICE


async def test_an_invoice_that_is_paid_while_we_collect_it_is_paid(world: World) -> None:
    subscription = world.subscribe()
    world.simulator.lifecycle.fail_payment(subscription)
    invoice = world.simulator.state.get(subscription["latest_invoice"], "invoice")
    pay_invoice = world.simulator.lifecycle.pay_invoice

    def overtaken(*_: Any, **__: Any) -> Any:
        pay_invoice(invoice)
        return pay_invoice(invoice)

    world.simulator.lifecycle.pay_invoice = overtaken  # type: ignore[method-assign]
    taken = await world.stripe.collect_outstanding(
        subscription["id"], PRICE, idempotency_key="k-1", since=datetime.now(UTC)
    )

    assert taken.status is PaymentStatus.COMPLETED
    assert len(list(world.simulator.state.all("payment_intent"))) == 2


async def test_collecting_another_amount_or_from_nobody_charges_nothing(world: World) -> None:
    subscription, unbilled = world.subscribe(), world.subscribe()
    world.simulator.lifecycle.fail_payment(subscription)
    unbilled["latest_invoice"] = None

    with pytest.raises(ProviderRefused, match="is open, not"):
        await world.stripe.collect_outstanding(
            subscription["id"],
            Money(1_000_000, "USD"),
            idempotency_key="k-1",
            since=datetime.now(UTC),
        )
    with pytest.raises(ProviderRefused, match="no invoice"):
        await world.stripe.collect_outstanding(
            unbilled["id"], PRICE, idempotency_key="k-2", since=datetime.now(UTC)
        )
    assert world.calls("/pay") == 0


async def test_an_invoice_that_was_paid_elsewhere_is_named_by_itself(world: World) -> None:
    subscription = world.subscribe()
    world.simulator.lifecycle.fail_payment(subscription)
    invoice = world.simulator.state.get(subscription["latest_invoice"], "invoice")
    world.simulator.lifecycle.pay_invoice(invoice, out_of_band=True)

    payment = await world.stripe.get_payment(
        MoneyReference(kind=MoneyObject.SALE, id=invoice["id"])
    )

    assert (payment.reference.id, payment.status, payment.amount) == (
        invoice["id"],
        PaymentStatus.COMPLETED,
        PRICE,
    )
    assert (await world.stripe.get_subscription(subscription["id"])).state is State.ACTIVE


async def test_a_subscription_paused_for_nonpayment_is_paid_first_and_then_resumed(
    world: World,
) -> None:
    subscription = world.paused_for_nonpayment()

    before = await world.stripe.ensure_resumed(subscription["id"], "please")
    await world.stripe.collect_outstanding(
        subscription["id"], PRICE, idempotency_key="k-1", since=datetime.now(UTC)
    )
    paid = await world.stripe.get_subscription(subscription["id"])
    after = await world.stripe.ensure_resumed(subscription["id"], "paid")

    assert (before, after) == (Resumed.NEEDS_PAYMENT, Resumed.RESUMED)
    assert (paid.state, paid.outstanding) == (State.SUSPENDED_NONPAYMENT, None)
    assert (await world.stripe.get_subscription(subscription["id"])).state is State.ACTIVE


async def test_a_resumption_declined_by_the_bank_needs_the_payment_and_is_requested_once(
    world: World,
) -> None:
    subscription = world.subscribe()
    await world.stripe.ensure_suspended(subscription["id"], "by hand")
    world.simulator.lifecycle.decline(subscription, "card_declined")

    outcomes = [await world.stripe.ensure_resumed(subscription["id"], "by hand") for _ in range(2)]
    world.simulator.lifecycle.decline(subscription, None)
    await world.stripe.collect_outstanding(
        subscription["id"], PRICE, idempotency_key="k-1", since=datetime.now(UTC)
    )

    assert outcomes == [Resumed.NEEDS_PAYMENT] * 2
    assert world.calls("/resume") == 1
    assert await world.stripe.ensure_resumed(subscription["id"], "by hand") is Resumed.RESUMED


async def test_a_state_that_stripe_does_not_pause_is_refused_and_a_concurrent_pause_is_accepted(
    world: World,
) -> None:
    trial, _ = world.simulator.lifecycle.subscribe(
        DEFAULT_PRICE, organization_id="acme", trial_end=world.simulator.state.now() + 864_000
    )
    ended, raced = world.subscribe(), world.subscribe()
    world.simulator.lifecycle.cancel(ended)
    pause = world.simulator.lifecycle.pause

    def overtaken(subscription: dict[str, Any], **_: Any) -> Any:
        pause(subscription)
        return pause(subscription)

    with pytest.raises(ProviderRefused):
        await world.stripe.ensure_suspended(trial["id"], "by hand")
    with pytest.raises(AlreadyTerminal):
        await world.stripe.ensure_suspended(ended["id"], "by hand")
    world.simulator.lifecycle.pause = overtaken  # type: ignore[method-assign]
    assert (await world.stripe.ensure_suspended(raced["id"], "by hand")).state is State.PAUSED


async def test_paused_collection_keeps_the_state_and_the_organization(world: World) -> None:
    subscription, stripe = world.subscribe(), world.adapter(suspend_by=SuspendBy.COLLECTION)

    snapshots = [await stripe.ensure_suspended(subscription["id"], "by hand") for _ in range(2)]
    collects = [subscription["pause_collection"]]
    resumed = await stripe.ensure_resumed(subscription["id"], "by hand")

    assert [(snapshot.state, snapshot.custom_id) for snapshot in snapshots] == [
        (State.ACTIVE, "acme")
    ] * 2
    assert [*collects, subscription["pause_collection"]] == [{"behavior": "void"}, None]
    assert resumed is Resumed.RESUMED


async def test_a_plan_is_changed_where_there_is_one(world: World) -> None:
    subscription, of_two = world.subscribe(), world.subscribe()
    world.simulator.state.add_price("price_other", 9900, "usd")
    of_two["items"]["data"].append({**of_two["items"]["data"][0], "id": "si_second"})

    await world.stripe.change_plan(subscription["id"], "price_other")
    with pytest.raises(ProviderRefused, match="2 prices"):
        await world.stripe.change_plan(of_two["id"], "price_other")
    with pytest.raises(ProviderRefused):
        await world.stripe.change_plan(subscription["id"], "price_that_nobody_made")

    assert subscription["items"]["data"][0]["price"]["id"] == "price_other"


async def test_a_key_with_other_parameters_is_refused_and_makes_nothing(world: World) -> None:
    async def topup(amount: str) -> str:
        checkout = await world.stripe.create_topup(
            organization_id="acme", amount=parse(amount, "USD"), idempotency_key="k-1", **URLS
        )
        return checkout.checkout_id

    first = await topup("25.00")
    with pytest.raises(ProviderRefused) as failure:
        await topup("26.00")

    assert failure.value.code == "idempotency_error"
    assert await topup("25.00") == first
    assert len(list(world.simulator.state.all("checkout.session"))) == 1


async def test_a_checkout_too_soon_to_charge_later_is_refused(world: World) -> None:
    now = datetime.now(UTC)
    later = Later(first_charge_at=now + timedelta(hours=47), expires_at=now + timedelta(hours=23))

    with pytest.raises(ProviderRefused):
        await world.stripe.create_checkout(
            organization_id="acme",
            plan_id=DEFAULT_PRICE,
            idempotency_key="k-1",
            later=later,
            **URLS,
        )


@pytest.mark.parametrize(
    ("amount", "currency", "charged"),
    [
        ("500", "JPY", 500),
        ("1.25", "KWD", 1250),
        ("500", "ISK", 50_000),
        ("5000", "UGX", 500_000),
        ("45.50", "HUF", 4550),
    ],
)
async def test_every_currency_is_charged_and_refunded_as_requested(
    world: World, amount: str, currency: str, charged: int
) -> None:
    money = parse(amount, currency)
    checkout = await world.stripe.create_topup(
        organization_id="acme", amount=money, idempotency_key="k-1", **URLS
    )
    session = world.simulator.state.objects[checkout.checkout_id]
    world.simulator.checkouts.complete(session)

    paid = (await world.stripe.settle_topup(checkout.checkout_id)).payment
    intent = world.simulator.state.get(session["payment_intent"], "payment_intent")
    refund, _ = world.simulator.moves.refund(intent, to_minor(Decimal(amount), currency))
    back = await world.stripe.get_payment(MoneyReference(kind=MoneyObject.REFUND, id=refund["id"]))

    assert session["amount_total"] == charged
    assert paid is not None
    assert paid.amount == money
    assert (back.amount, back.reverses) == (money, paid.reference.id)


@pytest.mark.parametrize(
    ("amount", "currency"), [("500.50", "ISK"), ("0.50", "UGX"), ("1.255", "KWD"), ("0.10", "USD")]
)
async def test_an_amount_that_stripe_does_not_charge_is_reported_as_such(
    world: World, amount: str, currency: str
) -> None:
    with pytest.raises(BadAmount):
        await world.stripe.create_topup(
            organization_id="acme", amount=parse(amount, currency), idempotency_key="k-1", **URLS
        )
    assert not list(world.simulator.state.all("checkout.session"))


async def test_credentials_that_are_wrong_are_refused_and_prove_nothing_of_the_object(
    world: World,
) -> None:
    subscription = world.subscribe()

    with pytest.raises(ProviderRefused) as failure:
        await world.adapter(api_key="sk_test_of_somebody_else").get_subscription(subscription["id"])
    assert not isinstance(failure.value, NotFound)


async def test_an_address_that_is_wrong_says_nothing_of_the_object(world: World) -> None:
    with pytest.raises(ProviderRefused) as failure:
        await world.adapter(base="/v1").settle_topup("cs_test_1")

    assert not isinstance(failure.value, NotFound)


@pytest.mark.parametrize("kind", ["500", "503", "429", "timeout_before", "malformed_json"])
async def test_a_temporary_failure_is_unavailable_and_not_retried_by_the_adapter(
    world: World, kind: str
) -> None:
    subscription = world.subscribe()
    world.simulator.faults.add(kind, path="/v1/subscriptions")

    with pytest.raises(ProviderUnavailable):
        await world.stripe.get_subscription(subscription["id"])
    assert world.simulator.faults.standing[0].hits == 1


async def test_a_checkout_that_is_completed_while_it_is_ended_is_canceled(world: World) -> None:
    link = await world.stripe.create_checkout(
        organization_id="acme", plan_id=DEFAULT_PRICE, idempotency_key="k-1", later=None, **URLS
    )
    checkouts, session = (
        world.simulator.checkouts,
        world.simulator.state.objects[link.subscription_id],
    )
    expire = checkouts.expire

    def overtaken(session: dict[str, Any]) -> Any:
        checkouts.complete(session)
        return expire(session)

    checkouts.expire = overtaken  # type: ignore[method-assign]
    snapshot = await world.stripe.ensure_canceled(link.subscription_id, "mig:1")

    assert (snapshot.state, snapshot.note) == (State.CANCELED, "mig:1")
    assert (
        world.simulator.state.get(session["subscription"], "subscription")["status"] == "canceled"
    )


async def test_more_events_than_a_page_holds_are_all_listed(world: World) -> None:
    for _ in range(60):
        world.subscribe()
    now = datetime.now(UTC)

    listed = [
        listed_event.event.event_id
        async for listed_event in world.stripe.list_events(now - timedelta(hours=1), now)
    ]

    assert listed == list(reversed(world.simulator.events.all))
    assert len(listed) == 120
    assert world.calls("/v1/events") == 2


async def owed_and_paid(
    world: World, outcome: str = "paid"
) -> tuple[dict[str, Any], dict[str, Any]]:
    """A renewal that failed, and a newer small invoice; returns the subscription and the debt."""
    subscription = world.subscribe()
    world.simulator.lifecycle.fail_payment(subscription)
    owed = world.simulator.state.get(subscription["latest_invoice"], "invoice")
    world.simulator.lifecycle.bill(subscription, 100, outcome)
    return subscription, owed


async def test_a_newer_small_invoice_that_is_paid_settles_no_older_one(world: World) -> None:
    subscription, owed = await owed_and_paid(world)

    snapshot = await world.stripe.get_subscription(subscription["id"])

    assert (subscription["status"], snapshot.raw_status) == ("active", "active")
    assert (snapshot.state, snapshot.owes, snapshot.outstanding) == (State.PAST_DUE, True, PRICE)
    assert snapshot.paid_until is None  # the renewal of the current period is not paid
    assert world.calls("/invoices") == 1
    taken = await world.stripe.collect_outstanding(
        subscription["id"], PRICE, idempotency_key="k-1", since=datetime.now(UTC)
    )
    after = await world.stripe.get_subscription(subscription["id"])
    assert (taken.status, owed["status"]) == (PaymentStatus.COMPLETED, "paid")
    assert (after.state, after.owes, after.outstanding) == (State.ACTIVE, False, None)
    assert after.paid_until == after.access_until


@pytest.mark.parametrize("status", ["void", "uncollectible"])
async def test_an_older_invoice_that_is_void_or_written_off_is_forgiven(
    world: World, status: str
) -> None:
    subscription, owed = await owed_and_paid(world)

    world.simulator.lifecycle.let_go(owed, status)

    snapshot = await world.stripe.get_subscription(subscription["id"])
    assert (snapshot.state, snapshot.owes) == (State.ACTIVE, False)


async def test_an_ended_subscription_owes_its_older_invoice_even_if_a_newer_one_is_paid(
    world: World,
) -> None:
    subscription, owed = await owed_and_paid(world)
    world.simulator.lifecycle.cancel(subscription)

    snapshot = await world.stripe.get_subscription(subscription["id"])
    world.simulator.lifecycle.pay_invoice(owed)
    paid = await world.stripe.get_subscription(subscription["id"])

    assert (snapshot.state, snapshot.owes, snapshot.paid_until) == (State.CANCELED, True, None)
    assert (paid.state, paid.owes) == (State.CANCELED, False)


async def test_a_bank_debit_that_is_under_way_has_not_failed(world: World) -> None:
    subscription, owed = await owed_and_paid(world, "processing")
    world.simulator.lifecycle.pay_invoice(owed)
    later = world.subscribe()
    world.simulator.lifecycle.bill(later, 4900, "processing")
    world.simulator.lifecycle.bill(later, 100)

    snapshots = [
        await world.stripe.get_subscription(document["id"]) for document in (subscription, later)
    ]

    assert [(snapshot.state, snapshot.owes) for snapshot in snapshots] == [
        (State.ACTIVE, False)
    ] * 2


async def test_an_invoice_that_was_sent_is_owed_when_its_due_date_is_over(world: World) -> None:
    subscription = world.subscribe()
    now = world.simulator.state.now()
    world.simulator.lifecycle.bill(subscription, 4900, "processing")
    sent = world.simulator.state.get(subscription["latest_invoice"], "invoice")
    sent |= {"attempt_count": 0, "due_date": now + 9999}
    world.simulator.lifecycle.bill(subscription, 100)
    for paid in world.simulator.state.all("invoice_payment", invoice=sent["id"]):
        world.simulator.state.get(paid["payment"]["payment_intent"], "payment_intent")["status"] = (
            "requires_payment_method"
        )

    before = await world.stripe.get_subscription(subscription["id"])
    sent["due_date"] = now - 1
    overdue = await world.stripe.get_subscription(subscription["id"])

    assert (before.owes, overdue.owes) == (False, True)


async def test_paying_an_older_invoice_makes_nothing_active(world: World) -> None:
    subscription, owed = await owed_and_paid(world, "failed")

    world.simulator.lifecycle.pay_invoice(owed)

    snapshot = await world.stripe.get_subscription(subscription["id"])
    assert (subscription["status"], snapshot.owes) == ("past_due", True)


async def test_subscriptions_are_listed_by_hundreds_and_behind_them_those_with_an_unpaid_invoice(
    world: World,
) -> None:
    subscriptions = [world.subscribe() for _ in range(103)]
    world.simulator.lifecycle.cancel(subscriptions[0], comment="")
    world.simulator.lifecycle.fail_payment(subscriptions[1])
    pages = [await world.stripe.list_subscriptions(None)]
    while pages[-1].next is not None:
        pages.append(await world.stripe.list_subscriptions(pages[-1].next))

    listed = {id_: found for page in pages for id_, found in page.snapshots.items()}
    assert [(len(page.snapshots), len(page.unpaid)) for page in pages] == [(100, 0), (2, 0), (0, 1)]
    assert listed.keys() == {subscription["id"] for subscription in subscriptions[1:]}
    assert pages[-1].unpaid == {subscriptions[1]["id"]}
    for id_ in (subscriptions[2]["id"], subscriptions[102]["id"]):
        assert listed[id_].paid_until == (await world.stripe.get_subscription(id_)).paid_until


async def test_a_page_continues_behind_a_subscription_that_was_canceled_meanwhile(
    world: World,
) -> None:
    subscriptions = [world.subscribe() for _ in range(102)]
    first = await world.stripe.list_subscriptions(None)
    world.simulator.lifecycle.cancel(subscriptions[2], comment="")  # the last one of the page

    second = await world.stripe.list_subscriptions(first.next)

    assert second.snapshots.keys() == {subscriptions[0]["id"], subscriptions[1]["id"]}
