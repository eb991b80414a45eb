"""Usage triggers at Twilio: made, compared, replaced, and looked at when they fire."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from activities.carrier.tripwires import Tripwires
from db.carrier import tripwires
from providers.twilio.triggers import NAME
from simulators.twilio.state import Account
from tests.builders import number, rows, run
from tests.integration.conftest import Tollgate
from tests.world import until

CURRENT = "SELECT current_micros FROM tripwires"
VALUE = "SELECT value_micros FROM tripwires"
BUSY = """
    INSERT INTO carrier_usage (organization_id, day, category, revision, price_micros, currency)
    VALUES ('acme', CURRENT_DATE - 3, 'totalprice', 1, 9000000, 'USD'),
           ('acme', CURRENT_DATE - 3, 'totalprice', 2, 8000000, 'USD'),
           ('acme', CURRENT_DATE - 40, 'totalprice', 1, 70000000, 'USD')
"""


def account_of(tollgate: Tollgate) -> Account:
    return tollgate.twilio.state.accounts[tollgate.accounts["acme"]]


async def compare(tollgate: Tollgate, *, later: timedelta = timedelta(0)) -> int:
    """One pass; returns how many were made or replaced."""
    work: Tripwires = tollgate.services.tripwires
    after: str | None = ""
    changed = 0
    while after is not None:
        compared = await work.compare(after, now=datetime.now(UTC) + later)
        after, changed = compared.after, changed + compared.changed
    return changed


async def at_twilio(tollgate: Tollgate) -> list[dict[str, Any]]:
    account = account_of(tollgate)
    listed = await tollgate.http.get(
        f"{tollgate.twilio.url}/2010-04-01/Accounts/{account.sid}/Usage/Triggers.json",
        auth=(account.sid, account.auth_token),
    )
    return list(listed.json()["usage_triggers"])


async def spend(tollgate: Tollgate, dollars: str) -> httpx.Response:
    """The subaccount spends, and Twilio evaluates its triggers."""
    charge = {
        "account_sid": account_of(tollgate).sid,
        "category": "calls-outbound",
        "price": dollars,
    }
    await tollgate.http.post(f"{tollgate.twilio.url}/_sim/usage/entries", json=charge)
    return await tollgate.http.post(f"{tollgate.twilio.url}/_sim/usage/evaluate")


async def called_back(tollgate: Tollgate) -> int:
    async def answered() -> bool:
        return bool(tollgate.twilio.state.callbacks)

    await until(answered, "the callback")
    return tollgate.twilio.state.callbacks[-1].status_code


async def test_each_subaccount_gets_a_trigger_of_its_day_and_keeps_it(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    made, kept = await compare(tollgate), await compare(tollgate, later=timedelta(days=2))

    [trigger] = await at_twilio(tollgate)
    assert (made, kept) == (1, 0)
    assert (trigger["usage_category"], trigger["recurring"]) == ("totalprice", "daily")
    assert trigger["trigger_value"].rstrip("0").rstrip(".") == "1"
    assert trigger["callback_url"] == f"{tollgate.url}/webhooks/twilio/usage"


async def test_the_value_follows_the_last_28_days_and_what_an_operator_sets(
    tollgate: Tollgate,
) -> None:
    await tollgate.onboard()
    await compare(tollgate)
    await run(tollgate.services.engine, BUSY)
    await compare(tollgate, later=timedelta(days=2))
    computed = await number(tollgate.services.engine, VALUE)
    async with tollgate.services.engine.begin() as conn:
        await tripwires.set_value(conn, "acme", 2_500_000)
    await compare(tollgate)

    [trigger] = await at_twilio(tollgate)
    assert computed == 16_000_000
    assert trigger["trigger_value"].startswith("2.5")


async def test_a_trigger_that_was_deleted_or_doubled_is_repaired_and_the_customers_own_is_left(
    tollgate: Tollgate,
) -> None:
    await tollgate.onboard()
    await compare(tollgate)
    account = account_of(tollgate)
    url = f"{tollgate.twilio.url}/2010-04-01/Accounts/{account.sid}/Usage/Triggers"
    auth = (account.sid, account.auth_token)
    own = {"CallbackUrl": "https://customer.example/", "TriggerValue": "1", "Recurring": "daily"}
    own |= {"UsageCategory": "totalprice", "TriggerBy": "price"}
    await tollgate.http.post(f"{url}.json", auth=auth, data=own)
    await tollgate.http.post(f"{url}.json", auth=auth, data=own | {"FriendlyName": NAME})
    await compare(tollgate, later=timedelta(days=2))
    repaired = await at_twilio(tollgate)
    for each in repaired:
        await tollgate.http.delete(f"{url}/{each['sid']}.json", auth=auth)
    await compare(tollgate, later=timedelta(days=4))

    assert [each["friendly_name"] for each in repaired] == ["", NAME]
    assert len(await at_twilio(tollgate)) == 1


async def test_a_trigger_that_fires_is_looked_at_and_fires_again_at_twice_the_sum(
    tollgate: Tollgate,
) -> None:
    await tollgate.onboard()
    await compare(tollgate)
    await spend(tollgate, "3.00")
    status = await called_back(tollgate)
    engine = tollgate.services.engine
    async with engine.connect() as conn:
        pending = await tripwires.pending(conn, limit=10)
    tollgate.twilio.messages.accept(
        account_of(tollgate), {"To": "+14155550100", "From": "+15005550006", "Body": "Hello"}
    )
    found = await tollgate.services.tripwires.look("acme")
    async with engine.connect() as conn:
        left = await tripwires.pending(conn, limit=10)

    [trigger] = await at_twilio(tollgate)
    assert (status, pending, found, left) == (204, ["acme"], 1, [])
    assert trigger["trigger_value"].startswith("6")
    assert await number(engine, CURRENT) >= 3_000_000


async def test_the_day_after_a_fired_trigger_goes_back_to_its_value(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    engine = tollgate.services.engine
    async with engine.begin() as conn:
        await tripwires.set_value(conn, "acme", 2_000_000)
    await compare(tollgate)
    await spend(tollgate, "3.00")
    await called_back(tollgate)
    await tollgate.services.tripwires.look("acme")
    raised = await number(engine, VALUE)
    await compare(tollgate, later=timedelta(days=2))

    assert (raised, await number(engine, VALUE)) == (6_000_000, 2_000_000)


async def test_an_operator_sets_the_value_and_takes_it_back(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    path = "/v1/organizations/acme/tripwire"
    set_, read, computed = (
        await tollgate.ask("PUT", path, {"value": "12.50"}),
        await tollgate.get(path),
        await tollgate.ask("PUT", path, {"value": None}),
    )
    refused = await tollgate.ask("PUT", path, {"value": "0"})
    nobody = await tollgate.ask("PUT", path.replace("acme", "nobody"), {"value": "1"})

    assert (set_.json()["set_value"], read.json()["set_value"]) == ("12.50", "12.50")
    assert computed.json()["set_value"] is None
    assert (refused.status_code, nobody.status_code) == (422, 404)


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({}, 400),
        ({"AccountSid": "AC" + "9" * 32}, 403),
        ({"UsageTriggerSid": ""}, 400),
        ({"AccountSid": "../../etc"}, 400),
    ],
)
async def test_a_forged_callback_is_refused_and_asks_for_no_look(
    tollgate: Tollgate, changed: dict[str, str], status: int
) -> None:
    await tollgate.onboard()
    form = {"AccountSid": account_of(tollgate).sid, "UsageTriggerSid": "UT" + "1" * 32, **changed}
    answer = await tollgate.http.post(
        f"{tollgate.url}/webhooks/twilio/usage", data=form, headers={"x-twilio-signature": "forged"}
    )

    assert answer.status_code == status
    assert await rows(tollgate.services.engine, "SELECT * FROM tripwires") == []


async def test_a_subaccount_that_is_not_at_twilio_does_not_hold_up_others(
    tollgate: Tollgate,
) -> None:
    await tollgate.onboard()
    await tollgate.onboard("zebra")
    del tollgate.twilio.state.accounts[tollgate.accounts["acme"]]

    assert await compare(tollgate) == 1
