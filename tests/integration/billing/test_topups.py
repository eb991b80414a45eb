"""Creating a top-up checkout at a provider."""

import asyncio
from typing import Any

import pytest

from db.api_keys import Scope
from domain.billing.subscription import Provider
from tests.integration.conftest import Tollgate

TOPUPS = "/v1/organizations/acme/wallet/topups"
PROVIDERS = ("paypal", "stripe")


def topup_body(provider: str = "paypal", **changed: Any) -> dict[str, Any]:
    return {
        "provider": provider,
        "amount": "25.00",
        "currency": "USD",
        "return_url": "https://example.com/paid",
        "cancel_url": "https://example.com/canceled",
    } | changed


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_link_is_made_once_per_key_and_credits_nothing(
    tollgate: Tollgate, provider: str
) -> None:
    await tollgate.onboard()

    first = await tollgate.post(TOPUPS, topup_body(provider), key="k-1")
    again = await asyncio.gather(
        *(tollgate.post(TOPUPS, topup_body(provider), key="k-1") for _ in range(5))
    )
    other = await tollgate.post(TOPUPS, topup_body(provider), key="k-2")
    wallet = (await tollgate.get("/v1/organizations/acme/wallet")).json()

    assert (first.status_code, {response.status_code for response in again}, other.status_code) == (
        201,
        {200},
        201,
    )
    assert (
        {response.json()["url"] for response in again}
        == {first.json()["url"]}
        != {other.json()["url"]}
    )
    assert (first.json()["status"], first.json()["amount"], first.json()["currency"]) == (
        "open",
        "25.00",
        "USD",
    )
    assert (wallet["balance"], wallet["receivable"]) == ("10.00", "0.00")


async def test_the_same_key_with_other_content_is_a_conflict(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    await tollgate.post(TOPUPS, topup_body(), key="k-1")

    answers = [
        await tollgate.post(TOPUPS, topup_body(amount="26.00"), key="k-1"),
        await tollgate.post(TOPUPS, topup_body("stripe"), key="k-1"),
    ]

    assert [response.status_code for response in answers] == [409, 409]


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"amount": "0"}, "amount"),
        ({"amount": "25.001"}, "amount"),
        ({"amount": 25}, "amount"),
        ({"currency": "EUR"}, "currency"),
        ({"currency": "dollars"}, "currency"),
        ({"provider": "cash"}, "provider"),
        ({"return_url": "javascript:alert(1)"}, "return_url"),
    ],
)
async def test_an_invalid_argument_is_named_without_a_call(
    tollgate: Tollgate, provider: str, changed: dict[str, Any], field: str
) -> None:
    await tollgate.onboard()

    answer = await tollgate.post(TOPUPS, topup_body(provider) | changed, key="k-1")

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)
    assert tollgate.paypal.state.orders == {}
    assert not list(tollgate.stripe.state.all("checkout.session"))


async def test_a_key_an_organization_and_a_provider_are_needed(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    del tollgate.services.providers[Provider.STRIPE]

    no_key = await tollgate.post(TOPUPS, topup_body())
    nobody = await tollgate.post(TOPUPS.replace("acme", "nobody"), topup_body(), key="k-1")
    not_set_up = await tollgate.post(TOPUPS, topup_body("stripe"), key="k-1")
    reader = await tollgate.post(TOPUPS, topup_body(), key="k-1", scope=Scope.READ)

    assert [response.status_code for response in (no_key, nobody, not_set_up, reader)] == [
        422,
        404,
        422,
        403,
    ]


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_provider_that_is_down_is_503_and_the_same_key_may_ask_again(
    tollgate: Tollgate, provider: str
) -> None:
    await tollgate.onboard()
    simulator = tollgate.paypal if provider == "paypal" else tollgate.stripe
    simulator.faults.add("error_after_acceptance", method="POST", path="/v[12]/checkout", times=1)

    down = await tollgate.post(TOPUPS, topup_body(provider), key="k-1")
    again = await tollgate.post(TOPUPS, topup_body(provider), key="k-1")

    assert (down.status_code, again.status_code) == (503, 201)
    checkouts = tollgate.paypal.state.orders or list(tollgate.stripe.state.all("checkout.session"))
    assert len(checkouts) == 1


async def test_top_ups_are_read_one_by_one_and_as_a_list(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    await tollgate.onboard("bolt")
    checkouts = [
        (await tollgate.post(TOPUPS, topup_body(provider), key=f"k-{number}")).json()
        for number, provider in enumerate((*PROVIDERS, "paypal"))
    ]

    response = await tollgate.get(f"{TOPUPS}/{checkouts[1]['checkout_id']}")
    first = (await tollgate.get(f"{TOPUPS}?limit=2")).json()
    rest = (await tollgate.get(f"{TOPUPS}?limit=2&cursor={first['next_cursor']}")).json()
    paid = (await tollgate.get(f"{TOPUPS}?status=paid")).json()
    wrong = await tollgate.get(f"{TOPUPS}?status=done")
    elsewhere = await tollgate.get(
        TOPUPS.replace("acme", "bolt") + f"/{checkouts[0]['checkout_id']}"
    )

    assert response.json() == checkouts[1]
    assert (response.json()["entry"], response.json()["created_at"] is None) == (None, False)
    assert [*first["data"], *rest["data"]] == checkouts[::-1]
    assert (paid["data"], wrong.status_code) == ([], 422)
    assert (elsewhere.status_code, elsewhere.json()["code"]) == (404, "top_up_not_found")
