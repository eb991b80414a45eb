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
from tests.unit.simulators.test_twilio_products import CAMPAIGN

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
        (today, "mediastorage", 1, 9_000_000),
        (today, "mediastorage", 2, 3_000_000),
        (today - timedelta(days=40), "mediastorage", 1, 7_000_000),
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


async def own_at_twilio(tollgate: Tollgate, method: str, path: str, **data: Any) -> Any:
    """As the subaccount itself."""
    account = tollgate.twilio.state.accounts[tollgate.accounts["acme"]]
    answer = await tollgate.http.request(
        method,
        f"{tollgate.twilio.url}{path}",
        data=data or None,
        auth=(account.sid, account.auth_token),
    )
    return answer.json() if answer.content else None


async def sim(tollgate: Tollgate, path: str, method: str = "POST", **body: Any) -> Any:
    base = f"{tollgate.twilio.url}/_sim/accounts/{tollgate.accounts['acme']}"
    return (await tollgate.http.request(method, f"{base}/{path}", json=body)).json()


async def register(tollgate: Tollgate, usecase: str) -> str:
    """A 10DLC campaign that the carriers still look at: nothing was charged for a month yet."""
    service = await own_at_twilio(tollgate, "POST", "/v1/Services", FriendlyName="shop")
    path = f"/v1/Services/{service['sid']}/Compliance/Usa2p"
    campaign = await own_at_twilio(
        tollgate, "POST", path, **CAMPAIGN | {"UsAppToPersonUsecase": usecase}
    )
    return str(campaign["sid"])


def items(found: dict[str, Any]) -> list[tuple[str, str, str]]:
    return sorted((each["kind"], each["name"], each["daily"]) for each in found["items"])


async def charged(tollgate: Tollgate, category: str, micros: int, *, days_ago: int = 0) -> None:
    await run(
        tollgate.services.engine,
        "INSERT INTO carrier_charges (organization_id, day, category, revision, currency,"
        " cost_micros, action, due_micros, moved_micros)"
        " VALUES ('acme', :day, :category, 1, 'USD', :cost, 'charge', 0, 0)",
        day=now(tollgate).date() - timedelta(days=days_ago),
        category=category,
        cost=micros,
    )


async def test_a_10dlc_campaign_counts_before_it_was_ever_charged_and_while_suspended(
    tollgate: Tollgate,
) -> None:
    await tollgate.onboard(reserve_days=1)
    await register(tollgate, "MARKETING")
    await register(tollgate, "LOW_VOLUME")
    await charged(tollgate, MONTHLY, 99_000_000)
    await read(tollgate)
    active = items(await cost(tollgate))
    tollgate.twilio.state.accounts[tollgate.accounts["acme"]].status = "suspended"
    await read(tollgate, later=timedelta(days=2))

    assert active == [
        ("us_campaign", "10DLC campaign (LOW_VOLUME)", "0.05"),
        ("us_campaign", "10DLC campaign (MARKETING)", "0.333334"),
    ]
    assert items(await cost(tollgate)) == active


async def test_campaigns_that_twilio_never_showed_count_with_what_they_cost_last_month(
    tollgate: Tollgate,
) -> None:
    await tollgate.onboard(reserve_days=1)
    await register(tollgate, "MARKETING")
    await charged(tollgate, MONTHLY, 3_000_000)
    tollgate.twilio.state.accounts[tollgate.accounts["acme"]].status = "suspended"
    await read(tollgate)

    assert items(await cost(tollgate)) == [("usage", MONTHLY, "0.10")]


async def test_a_short_code_is_given_back_by_a_person_and_seen_to_be_gone(
    tollgate: Tollgate,
) -> None:
    await tollgate.onboard()
    leased = await sim(tollgate, "short_codes", short_code="12345")
    await suspended(tollgate)
    await read(tollgate)
    unpriced = items(await cost(tollgate))
    await charged(tollgate, "shortcodes", 1_500_000_000, days_ago=40)
    await read(tollgate, later=timedelta(days=1))
    priced = items(await cost(tollgate))
    [proposed] = (await tollgate.get(f"{ACME}/releases")).json()["proposed"]
    early = await release(tollgate, "return_short_code", leased["sid"])
    still = (await cost(tollgate))["items"]
    await sim(tollgate, "short_codes", "DELETE", sid=leased["sid"])
    done = await release(tollgate, "return_short_code", leased["sid"])

    assert unpriced == [("short_code", "12345 (its price is known when Twilio charges it)", "0.00")]
    assert priced == [("short_code", "12345", "16.666667")]
    assert (proposed["step"], proposed["saves_daily"]) == ("return_short_code", "16.666667")
    assert (early.json()["done_at"], len(still)) == (None, 1)
    assert done.json()["done_at"] is not None
    assert (await cost(tollgate))["items"] == []


async def test_recordings_are_deleted_step_by_step_and_cost_no_more(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    for _ in range(3):
        await sim(tollgate, "recordings", seconds=60)
    await charged(tollgate, "recordingstorage", 9_000_000)
    await suspended(tollgate)
    await read(tollgate)
    before = items(await cost(tollgate))
    tollgate.twilio.faults.add("503", path="/2010-04-01/Accounts/.*/Recordings/RE.*", times=1)
    failed = await release(tollgate, "delete_recordings", "recordingstorage")
    again = await release(tollgate, "delete_recordings", "recordingstorage")
    await read(tollgate, later=timedelta(days=1))

    assert before == [("usage", "recordingstorage", "0.30")]
    assert failed.status_code == 503
    assert again.json()["done_at"] is not None
    assert tollgate.twilio.recordings.stored == {}
    assert (await cost(tollgate))["items"] == []
