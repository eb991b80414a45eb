"""Money through the API: booked once per reference, refused with the reason, read page by page."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from db.api_keys import Scope
from tests.integration.conftest import Tollgate

WALLET = "/v1/organizations/acme/wallet"


async def balance(tollgate: Tollgate) -> str:
    return str((await tollgate.get(WALLET)).json()["balance"])


async def test_a_reference_is_booked_once_and_answered_again(tollgate: Tollgate) -> None:
    await tollgate.onboard(balance=None)

    first = await tollgate.credit("10.00", "c1")
    again = await tollgate.credit("10.00", "c1")
    other = await tollgate.credit("11.00", "c1")
    as_debit = await tollgate.debit("10.00", "c1")

    assert [response.status_code for response in (first, again, other, as_debit)] == [
        201,
        200,
        409,
        409,
    ]
    assert first.json() == again.json()
    assert await balance(tollgate) == "10.00"


async def test_a_reference_again_in_another_currency_is_not_a_replay(tollgate: Tollgate) -> None:
    await tollgate.onboard(balance="10.00")
    euros = {"reference_id": "opening", "amount": "10.00", "currency": "EUR"}

    answer = await tollgate.post(f"{WALLET}/credits", euros)

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "currency"


async def test_the_same_debit_three_times_at_once_is_taken_once(tollgate: Tollgate) -> None:
    await tollgate.onboard(balance="10.00")

    answers = await asyncio.gather(*(tollgate.debit("4.00", "once") for _ in range(3)))

    assert sorted(response.status_code for response in answers) == [200, 200, 201]
    assert await balance(tollgate) == "6.00"


async def test_concurrent_debits_never_overdraw(tollgate: Tollgate) -> None:
    await tollgate.onboard(balance="10.00")

    answers = await asyncio.gather(*(tollgate.debit("3.00", f"d{n}") for n in range(10)))

    assert sorted(response.status_code for response in answers) == [201] * 3 + [402] * 7
    refused = next(response.json() for response in answers if response.status_code == 402)
    assert refused["needed"] == "3.00"
    assert await balance(tollgate) == "1.00"


async def test_amounts_keep_six_decimals(tollgate: Tollgate) -> None:
    await tollgate.onboard(balance="1.00")

    answer = await tollgate.debit("0.000001", "d")

    assert (answer.json()["amount"], answer.json()["balance_after"]) == ("-0.000001", "0.999999")


async def test_the_ledger_is_read_page_by_page(tollgate: Tollgate) -> None:
    await tollgate.onboard(balance="1.00")
    for number in range(4):
        await tollgate.debit("0.10", f"d{number}")

    first = (await tollgate.get(f"{WALLET}/entries", params={"limit": 3})).json()
    second = (
        await tollgate.get(f"{WALLET}/entries", params={"limit": 3, "cursor": first["next_cursor"]})
    ).json()

    assert [entry["seq"] for entry in first["data"] + second["data"]] == [5, 4, 3, 2, 1]
    assert second["next_cursor"] is None


async def test_a_frozen_wallet_refuses_and_says_so_until_it_is_unfrozen(tollgate: Tollgate) -> None:
    await tollgate.onboard()

    frozen = await tollgate.post(f"{WALLET}/freeze", {"reason": "fraud suspected"})
    refused = await tollgate.debit("1.00", "d")
    again = await tollgate.post(f"{WALLET}/freeze", {"reason": "fraud suspected"})
    unfrozen = await tollgate.post(f"{WALLET}/unfreeze")
    taken = await tollgate.debit("1.00", "d")

    assert (frozen.json()["frozen"], frozen.json()["frozen_by"]) == (True, ["operator"])
    assert refused.status_code == 423
    assert refused.json()["reasons"][0]["code"] == "frozen"
    assert "fraud suspected" not in refused.text
    assert (again.status_code, unfrozen.json()["frozen"], taken.status_code) == (200, False, 201)


async def test_a_frozen_wallet_still_takes_money_in(tollgate: Tollgate) -> None:
    await tollgate.onboard(balance=None)
    await tollgate.post(f"{WALLET}/freeze", {"reason": "fraud suspected"})

    assert (await tollgate.credit("5.00", "c")).status_code == 201


async def test_an_organization_without_money_is_refused_with_that_reason(
    tollgate: Tollgate,
) -> None:
    await tollgate.onboard(balance=None)

    answer = (await tollgate.get("/v1/organizations/acme/can-send", scope=Scope.READ)).json()

    assert answer["can_send"] is False
    assert [reason["code"] for reason in answer["reasons"]] == ["insufficient_funds"]


@pytest.mark.parametrize(
    "reference",
    [
        "message:01a206b4-db4a-7aa7-bfc6-436b01a868c2:1",
        "refund:message:01a206b4-db4a-7aa7-bfc6-436b01a868c2:1",
        "charge:message:01a206b4-db4a-7aa7-bfc6-436b01a868c2:1",
        "paypal:capture:CAP-1",
        "stripe:sale:ch_1",
        "returned:paypal:D-1",
        "reversal:stripe:re_1",
        "recovery:paypal:R-1:1",
    ],
)
async def test_a_reference_of_tollgates_own_entries_is_refused(
    tollgate: Tollgate, reference: str
) -> None:
    await tollgate.onboard(balance="10.00")
    body = {"amount": "1.00", "currency": "USD"}
    hold = body | {"expires_at": (datetime.now(UTC) + timedelta(hours=1)).isoformat()}

    answers = [
        await tollgate.credit("1.00", reference),
        await tollgate.debit("1.00", reference),
        await tollgate.post(f"{WALLET}/credits", [body | {"reference_id": reference}]),
        await tollgate.post(f"{WALLET}/debits", body, headers={"Idempotency-Key": reference}),
        await tollgate.post(f"{WALLET}/holds", hold | {"reference_id": reference}),
    ]

    assert [response.status_code for response in answers] == [422] * 5
    assert [response.json()["errors"][0]["field"] for response in answers] == [
        "reference_id",
        "reference_id",
        "0.reference_id",
        "reference_id",
        "reference_id",
    ]
    assert await balance(tollgate) == "10.00"
