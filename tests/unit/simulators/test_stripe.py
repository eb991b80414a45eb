"""Cases in which the simulator has to be as strict as Stripe: no test of ours would find a request
that it wrongly accepts.
"""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from simulators.serving import serve
from simulators.stripe.app import API_KEY, StripeSimulator
from simulators.stripe.state import DEFAULT_PRICE

SESSION = {
    "mode": "subscription",
    "success_url": "https://host.test/done",
    "line_items[0][price]": DEFAULT_PRICE,
}
TOP_UP = {
    "mode": "payment",
    "success_url": "https://host.test/done",
    "line_items[0][quantity]": "1",
    "line_items[0][price_data][product_data][name]": "Top-up",
}


@pytest_asyncio.fixture
async def stripe() -> AsyncIterator[StripeSimulator]:
    async with serve(StripeSimulator(seed=1)) as running:
        yield running


@pytest_asyncio.fixture
async def client(stripe: StripeSimulator) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"authorization": f"Bearer {API_KEY}"}
    async with httpx.AsyncClient(
        base_url=f"{stripe.url}/v1", headers=headers, timeout=10
    ) as running:
        yield running


def subscribed(stripe: StripeSimulator) -> dict[str, Any]:
    return stripe.lifecycle.subscribe(DEFAULT_PRICE, organization_id="acme")[0]


def owing(stripe: StripeSimulator) -> dict[str, Any]:
    subscription = subscribed(stripe)
    stripe.lifecycle.fail_payment(subscription)
    return subscription


def error(answer: httpx.Response) -> tuple[int, str | None, str]:
    body = answer.json()["error"]
    return answer.status_code, body.get("code"), body["type"]


@pytest.mark.parametrize(
    "unknown",
    ["cancelled_url", "line_items[0][amount]", "subscription_data[trial_ends]", "metadata"],
)
async def test_a_parameter_that_stripe_does_not_know_is_refused(
    client: httpx.AsyncClient, unknown: str
) -> None:
    answer = await client.post("/checkout/sessions", data=SESSION | {unknown: "x"})

    assert error(answer) == (400, "parameter_unknown", "invalid_request_error")


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/invoices", {"expand[0]": "payments"}),
        ("/invoices", {"limit": "101"}),
        ("/invoices", {"starting_after": "in_nobody"}),
        ("/events", {"expand[0]": "data.object"}),
        ("/subscriptions/{sub}", {"expand[0]": "latest_invoices"}),
        ("/subscriptions/{sub}", {"limit": "10"}),
    ],
)
async def test_a_page_or_an_expansion_that_stripe_does_not_have_is_refused(
    stripe: StripeSimulator, client: httpx.AsyncClient, path: str, query: dict[str, str]
) -> None:
    answer = await client.get(path.format(sub=subscribed(stripe)["id"]), params=query)

    assert answer.status_code == 400


async def test_the_payments_of_an_invoice_are_returned_on_request(
    stripe: StripeSimulator, client: httpx.AsyncClient
) -> None:
    path = f"/invoices/{subscribed(stripe)['latest_invoice']}"

    plain = (await client.get(path)).json()
    expanded = (await client.get(path, params={"expand[0]": "payments"})).json()

    assert "payments" not in plain
    assert [payment["status"] for payment in expanded["payments"]["data"]] == ["paid"]


async def test_a_decline_is_kept_for_its_key_and_a_refusal_is_not(
    stripe: StripeSimulator, client: httpx.AsyncClient
) -> None:
    subscription = owing(stripe)
    path, key = f"/invoices/{subscription['latest_invoice']}/pay", {"idempotency-key": "k-1"}
    stripe.lifecycle.decline(subscription, "expired_card")

    mistaken = await client.post(path, data={"amount": "1"}, headers=key)
    declined = await client.post(path, headers=key)
    stripe.lifecycle.decline(subscription, None)
    again = await client.post(path, headers=key)
    anew = await client.post(path, headers=key | {"idempotency-key": "k-2"})
    paid = await client.post(path, headers=key | {"idempotency-key": "k-3"})

    assert mistaken.status_code == 400
    assert error(declined) == error(again) == (402, "expired_card", "card_error")
    assert again.headers["idempotent-replayed"] == "true"
    assert anew.json()["status"] == "paid"
    assert error(paid) == (400, None, "invalid_request_error")


async def test_a_payment_does_not_resume_what_is_paused(
    stripe: StripeSimulator, client: httpx.AsyncClient
) -> None:
    subscription = owing(stripe)
    stripe.lifecycle.give_up(subscription, "paused")
    how = {"payment_behavior": "resume_on_payment_success"}

    await client.post(f"/invoices/{subscription['latest_invoice']}/pay")
    paid = subscription["status"]
    resumed = await client.post(f"/subscriptions/{subscription['id']}/resume", data=how)
    twice = await client.post(f"/subscriptions/{subscription['id']}/resume", data=how)

    assert (paid, resumed.json()["status"], twice.status_code) == ("paused", "active", 400)


@pytest.mark.parametrize(
    "status", ["trialing", "paused", "incomplete", "canceled", "incomplete_expired"]
)
async def test_a_state_that_cannot_be_paused_is_not_paused(
    stripe: StripeSimulator, client: httpx.AsyncClient, status: str
) -> None:
    subscription = subscribed(stripe)
    subscription["status"] = status

    answer = await client.post(
        f"/subscriptions/{subscription['id']}/pause", data={"type": "subscription"}
    )

    assert (answer.status_code, subscription["status"]) == (400, status)


async def test_metadata_is_added_to_and_an_item_is_named(
    stripe: StripeSimulator, client: httpx.AsyncClient
) -> None:
    subscription = subscribed(stripe)
    path = f"/subscriptions/{subscription['id']}"

    await client.post(path, data={"metadata[why]": "x"})
    other_item = await client.post(
        path, data={"items[0][id]": "si_other", "items[0][price]": DEFAULT_PRICE}
    )
    no_price = await client.post(
        path, data={"items[0][id]": subscription["items"]["data"][0]["id"], "items[0][price]": "x"}
    )

    assert subscription["metadata"] == {"organization_id": "acme", "why": "x"}
    assert (other_item.status_code, no_price.status_code) == (400, 400)


@pytest.mark.parametrize(
    ("amount", "currency", "status"),
    [
        ("500", "isk", 200),
        ("550", "isk", 400),
        ("1250", "kwd", 200),
        ("1255", "kwd", 400),
        ("49", "usd", 400),
    ],
)
async def test_a_currency_is_charged_in_its_own_steps(
    client: httpx.AsyncClient, amount: str, currency: str, status: int
) -> None:
    price = {
        "line_items[0][price_data][currency]": currency,
        "line_items[0][price_data][unit_amount]": amount,
    }

    assert (await client.post("/checkout/sessions", data=TOP_UP | price)).status_code == status
