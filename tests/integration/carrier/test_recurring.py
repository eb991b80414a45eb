"""The recurring cost of a subaccount is read at Twilio, reserved, shown while it is suspended, and
given up only by an operator.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from db.api_keys import Scope
from db.billing import carrier
from db.carrier import recurring
from tests.builders import broken_claims, rows, run
from tests.integration.conftest import Tollgate

ACME = "/v1/organizations/acme"
RENT = "phonenumbers-local"
MONTHLY = "a2p-10dlc-registrationfees-monthly"


def now(tollgate: Tollgate) -> datetime:
    return datetime.fromtimestamp(tollgate.twilio.state.clock.now(), UTC)


async def buy(tollgate: Tollgate, number: str, *, answers: bool = False) -> str:
    base = f"{tollgate.twilio.url}/_sim/accounts/{tollgate.accounts['acme']}/phone_numbers"
    bought = (await tollgate.http.post(base, json={"phone_number": number})).json()
    if answers:
        owned = tollgate.twilio.numbers.numbers[bought["sid"]]
        owned.fields["sms_url"] = "https://example.com/sms"
    return str(bought["sid"])


async def read(tollgate: Tollgate, *, later: timedelta = timedelta(0)) -> int:
    return await tollgate.services.recurring_costs.read_due(now=now(tollgate) + later)


async def cost(tollgate: Tollgate) -> dict[str, Any]:
    found: dict[str, Any] = (await tollgate.get(f"{ACME}/recurring-cost")).json()
    return found


async def release(tollgate: Tollgate, step: str, sid: str, **options: Any) -> httpx.Response:
    body = {"step": step, "number_sid": sid, "reason": "the customer is gone"}
    return await tollgate.post(f"{ACME}/releases", body, **options)


async def suspended(tollgate: Tollgate) -> None:
    await tollgate.post(f"{ACME}/suspend", {"reason": "unpaid"})


def at_twilio(tollgate: Tollgate) -> set[str]:
    return set(tollgate.twilio.numbers.numbers)


async def test_numbers_are_reserved_for_at_twilios_prices(tollgate: Tollgate) -> None:
    await tollgate.onboard(reserve_days=30)
    await buy(tollgate, "+14155550101")
    await buy(tollgate, "+18005550102")

    assert await read(tollgate) == 1
    found = await cost(tollgate)
    wallet = (await tollgate.get(f"{ACME}/wallet")).json()

    assert found["daily"] == "0.11"  # 1.15 and 2.15 a month
    assert sorted((each["name"], each["daily"]) for each in found["items"]) == [
        ("+14155550101 (local)", "0.038334"),
        ("+18005550102 (toll free)", "0.071667"),
    ]
    assert (found["reserve_wanted"], found["reserve_held"]) == ("3.30", "3.30")
    assert (wallet["held"], wallet["available"]) == ("3.30", "6.70")
    assert found["message"] is None
    assert await broken_claims(tollgate.services.engine) == set()


async def test_a_category_that_recurs_counts_with_what_it_cost_last_month(
    tollgate: Tollgate,
) -> None:
    await tollgate.onboard(reserve_days=1)
    engine = tollgate.services.engine
    today = now(tollgate).date()
    charged = (
        "INSERT INTO carrier_charges (organization_id, day, category, revision, currency,"
        " cost_micros, action, due_micros, moved_micros)"
        " VALUES ('acme', :day, :category, :revision, 'USD', :cost, 'charge', 0, 0)"
    )
    for day, category, revision, micros in (
        (today, MONTHLY, 1, 9_000_000),
        (today, MONTHLY, 2, 3_000_000),
        (today - timedelta(days=40), MONTHLY, 1, 7_000_000),
        (today, "sms-inbound-longcode", 1, 5_000_000),
    ):
        await run(engine, charged, day=day, category=category, revision=revision, cost=micros)

    await read(tollgate)

    assert (await cost(tollgate))["daily"] == "0.10"


async def test_it_is_read_daily_and_only_where_it_matters(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    assert await read(tollgate) == 0
    await tollgate.ask("PATCH", ACME, {"reserve_days": 1})

    assert await read(tollgate) == 1
    assert await read(tollgate, later=timedelta(hours=23)) == 0
    assert await read(tollgate, later=timedelta(hours=25)) == 1


async def test_a_reading_that_fails_is_repeated_soon(tollgate: Tollgate) -> None:
    await tollgate.onboard(reserve_days=1)
    async with tollgate.services.engine.begin() as conn:
        due = await recurring.take_due(conn, now=now(tollgate), limit=9)
        again = await recurring.take_due(conn, now=now(tollgate), limit=9)
        later = await recurring.take_due(conn, now=now(tollgate) + timedelta(minutes=16), limit=9)

    assert [len(due), len(again), len(later)] == [1, 0, 1]


async def test_the_reserve_is_short_and_filled_by_the_next_money(tollgate: Tollgate) -> None:
    await tollgate.onboard(balance="1.00", reserve_days=30)
    await buy(tollgate, "+14155550101")
    await buy(tollgate, "+18005550102")
    await read(tollgate)

    short = await cost(tollgate)
    await tollgate.credit("5.00", "more")
    async with tollgate.services.engine.begin() as conn:
        await recurring.keep_reserve(conn, "acme", now=now(tollgate))
    full = await cost(tollgate)

    assert (short["reserve_held"], short["reserve_short"]) == ("1.00", "2.30")
    assert (full["reserve_held"], full["reserve_short"]) == ("3.30", "0.00")


async def test_a_policy_of_no_days_releases_the_reserve_at_once(tollgate: Tollgate) -> None:
    await tollgate.onboard(reserve_days=30)
    await buy(tollgate, "+14155550101")
    await read(tollgate)

    await tollgate.ask("PATCH", ACME, {"reserve_days": 0})

    assert (await cost(tollgate))["reserve_held"] == "0.00"
    assert (await tollgate.get(f"{ACME}/wallet")).json()["available"] == "10.00"
    assert await broken_claims(tollgate.services.engine) == set()


async def test_while_suspended_it_says_what_it_costs_and_what_can_be_given_up(
    tollgate: Tollgate,
) -> None:
    await tollgate.onboard()
    sid = await buy(tollgate, "+14155550101", answers=True)
    active = (await tollgate.get(f"{ACME}/releases")).json()
    await suspended(tollgate)
    await read(tollgate)

    found = await cost(tollgate)
    proposed = (await tollgate.get(f"{ACME}/releases")).json()["proposed"]
    story = (await tollgate.get(f"{ACME}/explain")).json()["story"]

    assert active == {"proposed": [], "confirmed": []}
    assert found["message"].startswith("costing us 0.038334 USD a day since 20")
    assert [(each["step"], each["number_sid"]) for each in proposed] == [
        ("remove_webhooks", sid),
        ("release_number", sid),
    ]
    assert all(each["confirmed_at"] is None for each in proposed)
    assert any("costing us 0.038334 USD a day" in line for line in story)
    (of_one,) = (await tollgate.get(f"{ACME}/carrier-bill")).json()["messages"]
    (of_all,) = (await tollgate.get("/v1/carrier-bill")).json()["messages"]
    assert of_one == found["message"]
    assert of_all == "costing us 0.038334 USD a day: 1 organization is suspended"
    assert at_twilio(tollgate) == {sid}


async def test_an_operator_removes_webhooks_and_then_releases_the_number(
    tollgate: Tollgate,
) -> None:
    await tollgate.onboard(reserve_days=30)
    sid = await buy(tollgate, "+14155550101", answers=True)
    await suspended(tollgate)
    await read(tollgate)

    removed = await release(tollgate, "remove_webhooks", sid)
    fields = tollgate.twilio.numbers.numbers[sid].fields
    released = [await release(tollgate, "release_number", sid) for _ in range(2)]
    found = await cost(tollgate)
    listed = (await tollgate.get(f"{ACME}/releases")).json()["confirmed"]

    assert removed.status_code == 200, removed.text
    assert removed.json()["webhooks"] == '{"sms_url": "https://example.com/sms"}'
    assert fields["sms_url"] == ""
    assert [each.status_code for each in released] == [200, 200]
    assert released[0].json() == released[1].json()
    assert at_twilio(tollgate) == set()
    assert (found["daily"], found["items"], found["reserve_held"]) == ("0.00", [], "0.00")
    assert [(each["step"], each["reason"]) for each in listed] == [
        ("release_number", "the customer is gone"),
        ("remove_webhooks", "the customer is gone"),
    ]
    assert all(each["done_at"] for each in listed)
    assert await broken_claims(tollgate.services.engine) == set()


async def test_nothing_of_an_active_organization_is_given_up(tollgate: Tollgate) -> None:
    await tollgate.onboard(reserve_days=1)
    sid = await buy(tollgate, "+14155550101")
    await read(tollgate)

    refused = await release(tollgate, "release_number", sid)

    assert (refused.status_code, refused.json()["code"]) == (409, "organization_not_suspended")
    assert at_twilio(tollgate) == {sid}


@pytest.mark.parametrize(
    ("step", "sid"), [("release_number", "PN" + "0" * 32), ("remove_webhooks", "")]
)
async def test_only_what_is_proposed_is_given_up(tollgate: Tollgate, step: str, sid: str) -> None:
    await tollgate.onboard(reserve_days=1)
    bought = await buy(tollgate, "+14155550101")  # without webhooks
    await suspended(tollgate)
    await read(tollgate)

    refused = await release(tollgate, step, sid or bought)

    assert (refused.status_code, refused.json()["code"]) == (404, "release_not_found")
    assert at_twilio(tollgate) == {bought}


async def test_giving_up_takes_an_operator_and_a_reason(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    sid = await buy(tollgate, "+14155550101")
    await suspended(tollgate)
    await read(tollgate)

    forbidden = await release(tollgate, "release_number", sid, scope=Scope.WRITE)
    silent = await tollgate.post(
        f"{ACME}/releases", {"step": "release_number", "number_sid": sid, "reason": " "}
    )

    assert (forbidden.status_code, silent.status_code) == (403, 422)
    assert at_twilio(tollgate) == {sid}


async def test_rent_is_taken_from_the_reserve_while_inbound_is_owed(tollgate: Tollgate) -> None:
    await tollgate.onboard(balance="1.00", reserve_days=30)
    await buy(tollgate, "+14155550101")
    await read(tollgate)
    async with tollgate.services.engine.begin() as conn:
        at = now(tollgate)
        await carrier.take_charge(conn, "acme", 10_000, "a:sms-inbound:1", at)
        await carrier.take_charge(conn, "acme", 500_000, f"a:{RENT}:1", at, recurs=True)

    wallet = (await tollgate.get(f"{ACME}/wallet")).json()

    assert wallet["receivable_for_carrier"] == "0.01"
    assert wallet["balance"] == "0.50"
    entries = await rows(tollgate.services.engine, "SELECT kind FROM ledger_entries ORDER BY seq")
    assert [row.kind for row in entries] == ["credit", "carrier_charge"]
    assert await broken_claims(tollgate.services.engine) == set()
