"""Money that waits for a person, and what is at risk, of all organizations."""

import json
from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from db import alerts
from db.billing import blocks
from db.carrier import parent_funds
from db.inbox import parking
from domain.alerts import AlertKind
from domain.billing.events import EventKind, MoneyObject, MoneyReference
from domain.carrier.runway import Funds
from domain.lifecycle.standing import Block
from tests.builders import admin_block, event, onboard, receive, run, usd
from tests.integration.conftest import Tollgate

IN_TWO_DAYS = (datetime.now(UTC) + timedelta(days=2)).replace(microsecond=0)


async def unbooked(tollgate: Tollgate, id_: str = "CAP-1") -> None:
    """A payment whose organization nobody knows."""
    engine = tollgate.services.engine
    money = MoneyReference(kind=MoneyObject.CAPTURE, id=id_)
    named = event(
        kind=EventKind.PAYMENT_SUCCEEDED, subscription_id=None, money=money, id_=f"E-{id_}"
    )
    delivery = await receive(engine, named, json.dumps({"id": id_}).encode())
    async with engine.begin() as conn:
        await parking.describe(
            conn,
            delivery.id,
            f"unknown capture {id_}: 7.00 USD",
            amount=usd("7"),
            custom_id="shop-4",
            payer="Jo",
        )


async def placed(engine: AsyncEngine, reference: str) -> None:
    """A dispute block of acme's."""
    async with engine.begin() as conn:
        dispute = admin_block(reference, Block.DISPUTE)
        await blocks.block(conn, "acme", dispute, now=datetime.now(UTC))


async def disputed(tollgate: Tollgate) -> None:
    """An open dispute of acme's, to be answered in two days."""
    engine = tollgate.services.engine
    money = MoneyReference(kind=MoneyObject.DISPUTE, id="PP-D-1")
    named = event(kind=EventKind.DISPUTE_OPENED, money=money, id_="E-D")
    body = {"resource": {"seller_response_due_date": IN_TWO_DAYS.isoformat()}}
    await receive(engine, named, json.dumps(body).encode())
    await run(
        engine,
        "UPDATE inbox SET organization_id = 'acme', status = 'handled', handled_at = now(),"
        " amount_micros = 5000000, currency = 'USD' WHERE money_id = 'PP-D-1'",
    )
    await placed(engine, "PP-D-1")


async def test_money_that_waits_is_one_list_with_amounts_deadlines_and_acts(
    tollgate: Tollgate,
) -> None:
    engine = tollgate.services.engine
    await onboard(engine, "acme")
    await unbooked(tollgate)
    await disputed(tollgate)
    async with engine.begin() as conn:
        await alerts.raise_(conn, "acme", AlertKind.REFUND, "refund R-1 of 3.00 USD")
        await alerts.raise_(conn, "acme", AlertKind.STUCK, "is not about money")
    await placed(engine, "receivable")

    answer = await tollgate.get("/v1/money-waiting")

    found = answer.json()["data"]
    assert [(each["kind"], each["reference"], each["amount"]) for each in found] == [
        ("payment", "CAP-1", "7.00"),
        ("dispute", "PP-D-1", "5.00"),
        ("alert", "refund", None),
    ]
    payment, dispute, alert = found
    assert (payment["payer"], payment["custom_id"]) == ("Jo", "shop-4")
    assert [act["path"].rpartition("/")[2] for act in payment["acts"]] == [
        "retry",
        "credits",
        "dismiss",
    ]
    assert datetime.fromisoformat(dispute["deadline"]) == IN_TWO_DAYS
    close = alert["acts"][0]
    closed = await tollgate.ask(close["method"], close["path"], {"reason": "refunded"})
    assert (alert["why"], closed.status_code) == ("refund R-1 of 3.00 USD", 200)


async def test_what_is_dismissed_or_decided_waits_no_more(tollgate: Tollgate) -> None:
    await onboard(tollgate.services.engine, "acme")
    await unbooked(tollgate)
    [payment] = (await tollgate.get("/v1/money-waiting")).json()["data"]
    dismiss = payment["acts"][-1]

    done = await tollgate.ask(dismiss["method"], dismiss["path"], {"reason": "credited"})

    assert done.status_code == 204
    assert (await tollgate.get("/v1/money-waiting")).json()["data"] == []


async def test_what_is_at_risk_is_listed_by_deadline(tollgate: Tollgate) -> None:
    engine = tollgate.services.engine
    now = datetime.now(UTC)
    for id_ in ("acme", "bolt", "coil"):
        await onboard(engine, id_)
    await disputed(tollgate)
    for id_, days in (("bolt", 1), ("coil", 30)):
        await run(
            engine,
            "UPDATE standings SET deadline = :at WHERE organization_id = :id",
            at=now + timedelta(days=days),
            id=id_,
        )
    async with engine.begin() as conn:
        over = timedelta(days=7)
        funds = Funds(account_sid="AC1", balance=usd("3"), spent_micros=7_000_000, over=over)
        await parent_funds.put(conn, funds, now=now)

    week = (await tollgate.get("/v1/at-risk?within=P7D")).json()["data"]
    later = (await tollgate.get("/v1/at-risk?within=P60D&limit=1")).json()
    rest = (await tollgate.get(f"/v1/at-risk?within=P60D&cursor={later['next_cursor']}")).json()

    assert [(risk["kind"], risk["organization_id"]) for risk in week] == [
        ("subscription_ends", "bolt"),
        ("dispute_due", "acme"),
        ("balance_runs_out", None),
    ]
    assert [risk["organization_id"] for risk in rest["data"]] == ["acme", None, "coil"]


async def test_how_far_to_look_ahead_is_a_duration(tollgate: Tollgate) -> None:
    for wrong in ("week", "P0D", "-P1D", "P400D", ""):
        answer = await tollgate.get("/v1/at-risk", params={"within": wrong})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "within"), wrong
