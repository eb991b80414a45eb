"""Acts over many organizations: previewed, confirmed by their digest, done once for each."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from db.api_keys import Scope
from db.operations import bulk_acts
from tests.builders import broken_claims, onboard, rows, run
from tests.integration.conftest import Tollgate

BULK = "/v1/bulk-acts"
CREDIT = {
    "act": "credit",
    "filter": {"status": "active"},
    "amount": "5.00",
    "currency": "USD",
    "reason": "outage of Monday",
}


async def previewed(tollgate: Tollgate, **changed: object) -> dict[str, object]:
    answer = await tollgate.post(BULK, {**CREDIT, **changed})
    assert answer.status_code == 201, answer.text
    act: dict[str, object] = answer.json()
    return act


async def confirmed(tollgate: Tollgate, act: dict[str, object]) -> dict[str, object]:
    answer = await tollgate.post(f"{BULK}/{act['id']}/confirm", {"digest": act["digest"]})
    assert answer.status_code == 200, answer.text
    shown: dict[str, object] = answer.json()
    return shown


async def done(tollgate: Tollgate, act: dict[str, object]) -> dict[str, object]:
    """The act after the workflow's activity, which no worker runs here."""
    while await tollgate.services.bulk_acts.do(UUID(str(act["id"]))):
        pass
    shown: dict[str, object] = (await tollgate.get(f"{BULK}/{act['id']}")).json()
    return shown


async def balances(engine: AsyncEngine) -> dict[str, int]:
    query = "SELECT organization_id, balance_micros / 1000000 AS balance FROM wallets ORDER BY 1"
    return {row.organization_id: row.balance for row in await rows(engine, query)}


async def test_a_preview_counts_and_names_but_does_nothing(tollgate: Tollgate) -> None:
    for id_ in ("acme", "bolt"):
        await onboard(tollgate.services.engine, id_, balance="0")

    act = await previewed(tollgate)

    assert (act["organizations"], act["total"], act["status"]) == (2, "10.00", "previewed")
    listed = (await tollgate.get(f"{BULK}/{act['id']}/organizations")).json()["data"]
    assert [(each["organization_id"], each["status"]) for each in listed] == [
        ("acme", "pending"),
        ("bolt", "pending"),
    ]
    assert set((await balances(tollgate.services.engine)).values()) == {0}


async def test_a_confirmed_credit_is_booked_once_for_each_organization(tollgate: Tollgate) -> None:
    engine = tollgate.services.engine
    for id_ in ("acme", "bolt"):
        await onboard(engine, id_, balance="0")
    act = await previewed(tollgate)

    first = await confirmed(tollgate, act)
    finished = await done(tollgate, act)
    again = await confirmed(tollgate, act)
    await done(tollgate, act)

    assert (first["status"], again["status"]) == ("running", "done")
    assert (finished["pending"], finished["done"], finished["refused"]) == (0, 2, 0)
    assert await balances(engine) == {"acme": 5, "bolt": 5}
    [recorded] = (await tollgate.get("/v1/operator-acts")).json()["data"]
    assert (recorded["act"], recorded["reason"]) == ("bulk_act_confirmed", "outage of Monday")
    assert await broken_claims(engine) == set()


async def test_what_was_done_when_a_worker_was_lost_is_not_done_again(tollgate: Tollgate) -> None:
    engine = tollgate.services.engine
    for id_ in ("acme", "bolt"):
        await onboard(engine, id_, balance="0")
    act = await previewed(tollgate)
    await confirmed(tollgate, act)
    await done(tollgate, act)
    await run(engine, "UPDATE bulk_act_targets SET status = 'pending', done_at = NULL")
    await run(engine, "UPDATE bulk_acts SET status = 'running', finished_at = NULL")

    await done(tollgate, act)

    assert await balances(engine) == {"acme": 5, "bolt": 5}


async def test_an_act_suspends_and_freezes_with_its_reason(tollgate: Tollgate) -> None:
    engine = tollgate.services.engine
    await onboard(engine, "acme", balance="0")
    money = {"amount": None, "currency": None}
    for kind in ("suspend", "freeze"):
        act = await previewed(tollgate, act=kind, filter={"q": "acme"}, reason="abuse", **money)
        await confirmed(tollgate, act)
        assert (await done(tollgate, act))["done"] == 1

    [block] = (await tollgate.get("/v1/organizations/acme/blocks")).json()["data"]
    receipts = "/v1/organizations/acme/receipts"
    [for_readers] = (await tollgate.get(receipts, scope=Scope.READ)).json()["data"]
    assert for_readers["cause"] == "admin block by an operator"
    wallet = (await tollgate.get("/v1/organizations/acme/wallet")).json()
    assert (block["kind"], block["reason"]) == ("admin", "abuse")
    assert (wallet["frozen"], wallet["freeze_reason"]) == (True, "abuse")


async def test_only_wallets_in_the_currency_of_a_credit_are_credited(tollgate: Tollgate) -> None:
    engine = tollgate.services.engine
    for id_ in ("acme", "bolt"):
        await onboard(engine, id_, balance="0")
    await run(engine, "UPDATE wallets SET currency = 'EUR' WHERE organization_id = 'bolt'")

    act = await previewed(tollgate)

    assert act["organizations"] == 1


async def test_a_credit_is_limited_by_the_setting(tollgate: Tollgate) -> None:
    for id_ in ("acme", "bolt"):
        await onboard(tollgate.services.engine, id_, balance="0")

    answer = await tollgate.post(BULK, CREDIT | {"amount": "500.01"})
    at_the_limit = await tollgate.post(BULK, CREDIT | {"amount": "500.00"})

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "amount")
    assert "1,000.02" in answer.text or "1000.02" in answer.text
    assert at_the_limit.status_code == 201


async def test_a_confirmation_names_the_preview_and_comes_within_an_hour(
    tollgate: Tollgate,
) -> None:
    engine = tollgate.services.engine
    await onboard(engine, "acme", balance="0")
    act = await previewed(tollgate)
    path = f"{BULK}/{act['id']}/confirm"

    other = await tollgate.post(path, {"digest": "0" * 64})
    await run(engine, "UPDATE bulk_acts SET previewed_at = now() - interval '61 minutes'")
    late = await tollgate.post(path, {"digest": act["digest"]})
    unknown = await tollgate.post(f"{BULK}/{UUID(int=7)}/confirm", {"digest": "0" * 64})
    for_writers = await tollgate.post(path, {"digest": act["digest"]}, scope=Scope.WRITE)

    assert {(each.status_code, each.json()["code"]) for each in (other, late)} == {
        (409, "bulk_act_not_confirmed")
    }
    assert (unknown.status_code, for_writers.status_code) == (404, 403)
    assert await tollgate.services.bulk_acts.do(UUID(str(act["id"]))) is False
    assert await balances(engine) == {"acme": 0}


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"filter": {}}, "filter"),
        ({"filter": {"q": "--"}}, "filter"),
        ({"amount": None}, ""),
        ({"act": "freeze"}, ""),
        ({"act": "delete"}, "act"),
        ({"reason": ""}, "reason"),
    ],
)
async def test_a_preview_that_makes_no_sense_is_refused(
    tollgate: Tollgate, changed: dict[str, object], field: str
) -> None:
    answer = await tollgate.post(BULK, CREDIT | changed)

    assert answer.status_code == 422, answer.text
    assert field in [error["field"] for error in answer.json()["errors"]] or not field


async def test_a_repeated_preview_with_one_key_is_one_act(tollgate: Tollgate) -> None:
    await onboard(tollgate.services.engine, "acme", balance="0")

    answers = [await tollgate.post(BULK, CREDIT, key="k") for _ in range(2)]

    assert {answer.json()["id"] for answer in answers} == {answers[0].json()["id"]}
    assert len((await tollgate.get(BULK)).json()["data"]) == 1


async def test_a_running_act_is_notified_again_after_a_minute(engine: AsyncEngine) -> None:
    await onboard(engine, "acme", balance="0")
    now = datetime.now(UTC)
    await run(
        engine,
        "INSERT INTO bulk_acts (kind, filters, reason, digest, organizations, status, previewed_by,"
        " confirmed_by, confirmed_at) VALUES ('freeze', '{}', 'x', '', 1, 'running', 'a', 'a', now())",
    )

    async with engine.begin() as conn:
        first = await bulk_acts.to_notify(conn, now=now)
        at_once = await bulk_acts.to_notify(conn, now=now + timedelta(seconds=30))
        later = await bulk_acts.to_notify(conn, now=now + timedelta(seconds=61))

    assert (len(first), at_once, later) == (1, [], first)
