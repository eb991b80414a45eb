"""Holds over HTTP: money set aside, captured fully or in part, released, expired; each once."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event

from db.wallet import wallets
from runtime.upkeep import Upkeep
from tests.builders import broken_claims
from tests.integration.conftest import Tollgate
from tests.world import LIMIT

WALLET = "/v1/organizations/acme/wallet"


def hold(reference: str = "ride", amount: str = "6.00", **changed: object) -> dict[str, Any]:
    expires = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    return {
        "reference_id": reference,
        "amount": amount,
        "currency": "USD",
        "expires_at": expires,
    } | changed


async def money(tollgate: Tollgate) -> tuple[str, str, str]:
    shown = (await tollgate.get(WALLET)).json()
    return shown["balance"], shown["held"], shown["available"]


async def test_held_money_is_not_available(tollgate: Tollgate) -> None:
    await tollgate.onboard(balance="10.00")

    reserved = await tollgate.post(f"{WALLET}/holds", hold())
    refused = await tollgate.debit("4.01", "too much")
    paid = await tollgate.debit("4.00", "the rest")

    assert reserved.status_code == 201, reserved.text
    assert (refused.status_code, refused.json()["balance"]) == (402, "4.00")
    assert paid.status_code == 201
    assert await money(tollgate) == ("6.00", "6.00", "0.00")
    assert await broken_claims(tollgate.services.engine) == set()


async def test_a_reservation_again_is_answered_again_and_another_one_is_a_conflict(
    tollgate: Tollgate,
) -> None:
    await tollgate.onboard(balance="10.00")
    body = hold()

    answers = await asyncio.gather(*(tollgate.post(f"{WALLET}/holds", body) for _ in range(5)))
    other = await tollgate.post(f"{WALLET}/holds", body | {"amount": "1.00"})
    booked = await tollgate.post(f"{WALLET}/holds", hold("opening"))

    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 200, 201]
    assert (other.status_code, booked.status_code) == (409, 409)
    assert await money(tollgate) == ("10.00", "6.00", "4.00")


async def test_a_capture_of_a_part_debits_it_once_and_lets_go_of_the_rest(
    tollgate: Tollgate,
) -> None:
    await tollgate.onboard(balance="10.00")
    await tollgate.post(f"{WALLET}/holds", hold("a/b"))

    answers = await asyncio.gather(
        *(tollgate.post(f"{WALLET}/holds/a/b/capture", {"amount": "2.50"}) for _ in range(5))
    )
    other = await tollgate.post(f"{WALLET}/holds/a/b/capture")
    released = await tollgate.post(f"{WALLET}/holds/a/b/release")

    assert {answer.status_code for answer in answers} == {200}
    assert {answer.json()["captured"] for answer in answers} == {"2.50"}
    assert (other.status_code, released.status_code) == (409, 409)
    assert await money(tollgate) == ("7.50", "0.00", "7.50")
    entries = (await tollgate.get(f"{WALLET}/entries")).json()["data"]
    assert [(entry["reference_id"], entry["amount"]) for entry in entries] == [
        ("a/b", "-2.50"),
        ("opening", "10.00"),
    ]
    assert (await tollgate.get(f"{WALLET}/holds/a/b")).json()["status"] == "captured"
    assert await broken_claims(tollgate.services.engine) == set()


async def test_a_capture_never_takes_more_than_was_reserved(tollgate: Tollgate) -> None:
    await tollgate.onboard(balance="10.00")
    await tollgate.post(f"{WALLET}/holds", hold())

    answer = await tollgate.post(f"{WALLET}/holds/ride/capture", {"amount": "6.000001"})

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "amount")
    assert await money(tollgate) == ("10.00", "6.00", "4.00")


async def test_released_money_is_available_again(tollgate: Tollgate) -> None:
    await tollgate.onboard(balance="10.00")
    await tollgate.post(f"{WALLET}/holds", hold())

    answers = [await tollgate.post(f"{WALLET}/holds/ride/release") for _ in range(2)]
    captured = await tollgate.post(f"{WALLET}/holds/ride/capture")

    assert {answer.json()["status"] for answer in answers} == {"released"}
    assert captured.status_code == 409
    assert await money(tollgate) == ("10.00", "0.00", "10.00")


@pytest.mark.parametrize("way", ["suspend", "wallet/freeze"])
async def test_a_shut_gate_and_a_freeze_refuse_a_hold_and_a_capture_but_not_a_release(
    tollgate: Tollgate, way: str
) -> None:
    await tollgate.onboard(balance="10.00")
    await tollgate.post(f"{WALLET}/holds", hold())
    await tollgate.post(f"/v1/organizations/acme/{way}", {"reason": "fraud"})

    reserved = await tollgate.post(f"{WALLET}/holds", hold("another", "1.00"))
    captured = await tollgate.post(f"{WALLET}/holds/ride/capture")

    assert (reserved.status_code, captured.status_code) == (423, 423)
    assert captured.json()["reasons"]
    assert await money(tollgate) == ("10.00", "6.00", "4.00")
    assert (await tollgate.post(f"{WALLET}/holds/ride/release")).status_code == 200
    assert await money(tollgate) == ("10.00", "0.00", "10.00")
    assert await broken_claims(tollgate.services.engine) == set()


async def test_a_hold_whose_time_is_over_is_let_go_of(tollgate: Tollgate) -> None:
    await tollgate.onboard(balance="10.00")
    await tollgate.post(f"{WALLET}/holds", hold("soon"))
    await tollgate.post(f"{WALLET}/holds", hold("late", "1.00", expires_at=_in(days=9)))

    upkeep = Upkeep(
        tollgate.services.engine, tollgate.services.notifier, tollgate.services.checking
    )
    expired = [
        await upkeep.expire_holds(now=datetime.now(UTC) + timedelta(days=2)) for _ in range(2)
    ]

    assert expired == [1, 0]
    assert (await tollgate.get(f"{WALLET}/holds/soon")).json()["status"] == "expired"
    assert (await tollgate.post(f"{WALLET}/holds/soon/capture")).status_code == 409
    assert await money(tollgate) == ("10.00", "1.00", "9.00")
    assert await broken_claims(tollgate.services.engine) == set()


def _wait_for_ever(connection: Any, _: Any) -> None:
    """Only what a transaction itself sets limits its waiting for a lock."""
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = 0")
        cursor.execute("SET statement_timeout = 0")
    connection.commit()


async def test_a_wallet_that_somebody_keeps_locked_holds_up_no_other_expiry(
    tollgate: Tollgate,
) -> None:
    engine = tollgate.services.engine
    await tollgate.onboard("acme")
    await tollgate.onboard("beta")
    for name in ("acme", "beta"):
        assert (
            await tollgate.post(f"/v1/organizations/{name}/wallet/holds", hold())
        ).status_code == 201

    await engine.dispose()
    event.listen(engine.sync_engine, "connect", _wait_for_ever)
    async with engine.connect() as holder:
        await wallets.lock(holder, "acme")
        upkeep = Upkeep(engine, tollgate.services.notifier, tollgate.services.checking)
        async with asyncio.timeout(LIMIT):
            assert await upkeep.expire_holds(now=datetime.now(UTC) + timedelta(days=2)) == 1

    assert (await tollgate.get("/v1/organizations/beta/wallet")).json()["held"] == "0.00"
    assert await money(tollgate) == ("10.00", "6.00", "4.00")


async def test_explain_tells_what_is_held(tollgate: Tollgate) -> None:
    await tollgate.onboard(balance="6.00")
    await tollgate.post(f"{WALLET}/holds", hold())

    story = (await tollgate.get("/v1/organizations/acme/explain")).json()

    assert "The wallet holds 6.00 USD, 6.00 USD of it set aside by holds" in str(story)
    assert "available, a segment costs" in str(story)


async def test_holds_are_listed_by_reference_and_status(tollgate: Tollgate) -> None:
    await tollgate.onboard(balance="10.00")
    for reference in ("c", "a", "b"):
        await tollgate.post(f"{WALLET}/holds", hold(reference, "1.00"))
    await tollgate.post(f"{WALLET}/holds/b/release")

    first = (await tollgate.get(f"{WALLET}/holds?limit=2")).json()
    rest = (await tollgate.get(f"{WALLET}/holds?limit=2&cursor={first['next_cursor']}")).json()
    standing = (await tollgate.get(f"{WALLET}/holds?status=open")).json()

    assert [entry["reference_id"] for entry in first["data"] + rest["data"]] == ["a", "b", "c"]
    assert rest["next_cursor"] is None
    assert [entry["reference_id"] for entry in standing["data"]] == ["a", "c"]


def _in(**time: float) -> str:
    return (datetime.now(UTC) + timedelta(**time)).isoformat()


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"amount": "0"}, "amount"),
        ({"amount": "1.0000001"}, "amount"),
        ({"currency": "EUR"}, "currency"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_at": "9999-12-31T23:59:59-14:00"}, "expires_at"),
        ({"expires_at": "2030-01-01T00:00:00"}, "expires_at"),
        ({"reference_id": "a\x00"}, "reference_id"),
        ({"reference_id": "r" * 256}, "reference_id"),
        ({"more": 1}, "more"),
    ],
)
async def test_a_hold_that_is_not_right_sets_nothing_aside(
    tollgate: Tollgate, changed: dict[str, object], field: str
) -> None:
    await tollgate.onboard(balance="10.00")

    answer = await tollgate.post(f"{WALLET}/holds", hold() | changed)

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)
    assert await money(tollgate) == ("10.00", "0.00", "10.00")


async def test_a_hold_that_is_not_there_is_not_found(tollgate: Tollgate) -> None:
    await tollgate.onboard()

    for path in ("no", "%00", "no/capture", "no/release"):
        ask = tollgate.post if path.startswith("no/") else tollgate.get

        assert (await ask(f"{WALLET}/holds/{path}")).status_code == 404
    assert (await tollgate.post("/v1/organizations/nobody/wallet/holds", hold())).status_code == 404
