"""Linking a subscription, and creating one at the provider."""

import pytest

from domain.billing.subscription import Provider
from tests.builders import number
from tests.integration.conftest import Tollgate

PLAN = "P-5ML4271244454362WXNWU5NQ"
SUBSCRIPTION = "/v1/organizations/acme/subscription"
CHECKOUT = {
    "provider": "paypal",
    "plan_id": PLAN,
    "return_url": "https://example.com/paid",
    "cancel_url": "https://example.com/canceled",
}


async def create_subscription(tollgate: Tollgate, **about: object) -> str:
    answer = await tollgate.http.post(
        f"{tollgate.paypal.url}/_sim/subscriptions", json={"deliver": False, **about}
    )
    return str(answer.json()["object"]["id"])


async def test_linking_makes_it_the_current_one_and_can_be_repeated(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    id_ = await create_subscription(tollgate, custom_id="acme")

    first = await tollgate.link(id_)
    again = await tollgate.link(id_)
    shown = (await tollgate.get(SUBSCRIPTION)).json()

    assert (first.status_code, again.status_code) == (201, 200)
    assert (shown["current"]["subscription_id"], shown["current"]["status"]) == (id_, "active")
    assert shown["others"] == []


async def test_a_subscription_that_the_provider_does_not_know_is_422(tollgate: Tollgate) -> None:
    await tollgate.onboard()

    answer = await tollgate.link("I-NOBODY")
    stripe = await tollgate.post(SUBSCRIPTION, {"provider": "stripe", "subscription_id": "sub_1"})

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "subscription_id")
    assert (stripe.status_code, stripe.json()["errors"][0]["field"]) == (422, "subscription_id")


async def test_a_provider_that_is_not_set_up_is_422_and_has_no_webhook(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    del tollgate.services.providers[Provider.STRIPE]

    linked = await tollgate.post(SUBSCRIPTION, {"provider": "stripe", "subscription_id": "sub_1"})
    response = await tollgate.http.post(f"{tollgate.url}/webhooks/stripe", content=b"{}")

    assert (linked.status_code, linked.json()["errors"][0]["field"]) == (422, "provider")
    assert response.status_code == 404


async def test_linking_waits_for_the_provider(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    await tollgate.http.post(
        f"{tollgate.paypal.url}/_sim/faults", json={"kind": "503", "path": "/v1/billing"}
    )

    answer = await tollgate.link("I-1")

    assert answer.status_code == 503


async def test_another_organizations_subscription_is_409(tollgate: Tollgate) -> None:
    await tollgate.onboard("acme")
    await tollgate.onboard("rival")
    linked = await create_subscription(tollgate)
    await tollgate.link(linked, "rival")
    named = await create_subscription(tollgate, custom_id="rival:gold")

    assert (await tollgate.link(linked)).status_code == 409
    assert (await tollgate.link(named)).status_code == 409
    assert (await tollgate.get(SUBSCRIPTION)).json()["current"] is None


async def test_a_subscription_that_does_not_bill_takes_over_from_none(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    first = await tollgate.subscribe()
    lapsed = await create_subscription(tollgate, custom_id="acme")
    await tollgate.happen(lapsed, "cancel")

    refused = await tollgate.link(lapsed)
    second = await tollgate.subscribe()
    shown = (await tollgate.get(SUBSCRIPTION)).json()

    assert refused.status_code == 409
    assert shown["current"]["subscription_id"] == second
    assert [other["subscription_id"] for other in shown["others"]] == [first]


async def test_linking_a_lapsed_one_suspends(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    lapsed = await create_subscription(tollgate, custom_id="acme")
    await tollgate.happen(lapsed, "suspend", by="nonpayment")

    await tollgate.link(lapsed)

    assert (await tollgate.debit("1.00", "d")).status_code == 423


async def test_an_event_before_the_link_counts_after_it(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    id_ = await create_subscription(tollgate, custom_id="acme")
    [event_id] = await tollgate.happen(id_, "suspend")
    await tollgate.deliver_event(event_id)
    waiting = await number(
        tollgate.services.engine,
        "SELECT count(*) FROM inbox WHERE organization_id = 'acme' AND status = 'unhandled'",
    )

    await tollgate.link(id_)

    assert waiting == 1  # it names its organization
    assert (await tollgate.debit("1.00", "d")).status_code == 423


async def test_a_checkout_is_made_once_per_key(tollgate: Tollgate) -> None:
    await tollgate.onboard()

    first = await tollgate.post(f"{SUBSCRIPTION}/checkout", CHECKOUT, key="k1")
    again = await tollgate.post(f"{SUBSCRIPTION}/checkout", CHECKOUT, key="k1")
    other = await tollgate.post(f"{SUBSCRIPTION}/checkout", CHECKOUT, key="k2")
    shown = (await tollgate.get(SUBSCRIPTION)).json()

    assert [response.status_code for response in (first, again, other)] == [201, 200, 201]
    assert first.json() == again.json()
    assert first.json()["url"].startswith("http")
    assert first.json()["subscription_id"] != other.json()["subscription_id"]
    assert (shown["current"]["subscription_id"], shown["current"]["status"]) == (
        first.json()["subscription_id"],
        "pending",
    )


@pytest.mark.parametrize("other", [{"provider": "stripe"}, {"plan_id": "P-ANOTHER"}])
async def test_the_key_of_one_checkout_creates_no_other(
    tollgate: Tollgate, other: dict[str, str]
) -> None:
    await tollgate.onboard()
    await tollgate.post(f"{SUBSCRIPTION}/checkout", CHECKOUT, key="k1")

    answer = await tollgate.post(f"{SUBSCRIPTION}/checkout", CHECKOUT | other, key="k1")

    assert answer.status_code == 409
    assert "the key belongs to a checkout of P-" in answer.json()["detail"]
    assert not list(tollgate.stripe.state.all("checkout.session"))


async def test_a_checkout_needs_a_key_and_leaves_the_current_subscription_alone(
    tollgate: Tollgate,
) -> None:
    await tollgate.onboard()
    current = await tollgate.subscribe()

    missing = await tollgate.post(f"{SUBSCRIPTION}/checkout", CHECKOUT)
    answer = await tollgate.post(f"{SUBSCRIPTION}/checkout", CHECKOUT, key="k1")
    shown = (await tollgate.get(SUBSCRIPTION)).json()

    assert (missing.status_code, missing.json()["errors"][0]["field"]) == (422, "Idempotency-Key")
    assert answer.status_code == 201
    assert shown["current"]["subscription_id"] == current
    assert shown["others"][0]["checkout_url"] == answer.json()["url"]
