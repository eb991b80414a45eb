"""Lists of debits and credits: one result for each, in order; an invalid item is refused before any
is booked.
"""

from typing import Any

import pytest

from tests.integration.conftest import Tollgate

WALLET = "/v1/organizations/acme/wallet"


def posting(
    reference: str | None = "r", amount: str = "1.00", currency: str = "USD"
) -> dict[str, Any]:
    body = {"amount": amount, "currency": currency}
    return body if reference is None else body | {"reference_id": reference}


async def entries(tollgate: Tollgate) -> list[str]:
    page = (await tollgate.get(f"{WALLET}/entries")).json()
    return [entry["reference_id"] for entry in reversed(page["data"])]


async def test_each_of_a_list_is_decided_on_what_the_one_before_left(tollgate: Tollgate) -> None:
    await tollgate.onboard(balance="10.00")

    postings = [
        posting("a", "6.00"),
        posting("b", "5.00"),
        posting("c", "4.00"),
        posting("a", "6.00"),
        posting("a", "1.00"),
    ]
    answer = await tollgate.post(f"{WALLET}/debits", postings)

    outcomes = answer.json()["outcomes"]
    assert answer.status_code == 200
    assert [outcome["outcome"] for outcome in outcomes] == [
        "booked",
        "refused",
        "booked",
        "replayed",
        "refused",
    ]
    assert [outcome["reference_id"] for outcome in outcomes] == ["a", "b", "c", "a", "a"]
    assert [outcome.get("problem", {}).get("status") for outcome in outcomes] == [
        None,
        402,
        None,
        None,
        409,
    ]
    assert outcomes[2]["entry"]["balance_after"] == "0.00"
    assert outcomes[3]["entry"] == outcomes[0]["entry"]
    assert await entries(tollgate) == ["opening", "a", "c"]


async def test_a_list_again_is_replayed(tollgate: Tollgate) -> None:
    await tollgate.onboard(balance=None)
    postings = [posting(f"c{n}") for n in range(1000)]

    first, again = [
        (await tollgate.post(f"{WALLET}/credits", postings)).json()["outcomes"] for _ in range(2)
    ]

    assert {outcome["outcome"] for outcome in first} == {"booked"}
    assert {outcome["outcome"] for outcome in again} == {"replayed"}
    assert [outcome["entry"] for outcome in again] == [outcome["entry"] for outcome in first]


async def test_a_list_for_a_suspended_organization_says_why_for_each(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    await tollgate.post("/v1/organizations/acme/suspend", {"reason": "fraud"})

    answer = await tollgate.post(f"{WALLET}/debits", [posting("a"), posting("b")])

    problems = [outcome["problem"] for outcome in answer.json()["outcomes"]]
    assert [(problem["status"], problem["reasons"][0]["code"]) for problem in problems] == [
        (423, "admin")
    ] * 2


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ([], "body"),
        ([posting(f"r{n}") for n in range(1001)], "body"),
        ([posting("a"), posting("b", "0")], "1.amount"),
        ([posting("a"), posting("x" * 256)], "1.reference_id"),
        ([posting("a"), posting("a\nb")], "1.reference_id"),
        ([posting("a"), posting("b", "9" * 30)], "1.amount"),
        ([posting("a"), posting("b") | {"amout": "1"}], "1.amout"),
        ([posting("a"), 7], "1"),
        ([posting("a"), posting(None)], "1.reference_id"),
        (posting(None), "reference_id"),
        ("a", "body"),
        (7, "body"),
    ],
)
async def test_an_invalid_field_is_named_and_nothing_is_booked(
    tollgate: Tollgate, body: object, field: str
) -> None:
    await tollgate.onboard(balance=None)

    answer = await tollgate.post(f"{WALLET}/credits", body)

    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert await entries(tollgate) == []


async def test_the_idempotency_key_stands_for_a_reference_that_is_not_given(
    tollgate: Tollgate,
) -> None:
    await tollgate.onboard(balance=None)

    single = [await tollgate.post(f"{WALLET}/credits", posting(None), key="k") for _ in range(2)]
    many = [
        await tollgate.post(f"{WALLET}/credits", [posting(None), posting("own")], key="m")
        for _ in range(2)
    ]
    other = await tollgate.post(f"{WALLET}/credits", posting(None, "2.00"), key="k")

    assert [answer.status_code for answer in (*single, *many, other)] == [201, 200, 200, 200, 409]
    assert await entries(tollgate) == ["k", "m:1", "own"]


async def test_a_list_for_nobody_is_404_and_in_another_currency_refused(tollgate: Tollgate) -> None:
    await tollgate.onboard(balance=None)

    nobody = await tollgate.post("/v1/organizations/nobody/wallet/credits", [posting("a")])
    euros = await tollgate.post(f"{WALLET}/credits", [posting("a", currency="EUR"), posting("b")])

    assert nobody.status_code == 404
    assert [outcome["outcome"] for outcome in euros.json()["outcomes"]] == ["refused", "booked"]
    assert euros.json()["outcomes"][0]["problem"]["errors"][0]["field"] == "currency"
