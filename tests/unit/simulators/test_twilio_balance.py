"""At a balance of 0 the simulator suspends a main account with all its subaccounts, as Twilio does."""

import httpx
import pytest

from simulators.twilio.app import MAIN_SID, TwilioSimulator
from tests.unit.simulators.receiver import until
from tests.unit.simulators.test_twilio_billing import API, MAIN, opened, send

OTHER = "AC" + "2" * 32


async def post(client: httpx.AsyncClient, account_sid: str) -> httpx.Response:
    form = {"To": "+15551234567", "From": "+15550001111", "Body": "Hello"}
    return await client.post(f"{API}/{account_sid}/Messages.json", data=form, auth=MAIN)


async def status(client: httpx.AsyncClient, account_sid: str) -> str:
    shown = (await client.get(f"{API}/{account_sid}.json", auth=MAIN)).json()
    return str(shown["status"])


async def test_at_a_balance_of_0_every_subaccount_is_refused_until_there_is_money_again(
    client: httpx.AsyncClient, twilio: TwilioSimulator
) -> None:
    spends, other = await opened(client), await opened(client)
    twilio.state.behaviour.balance = "0.0075"
    await send(client, twilio, spends)
    refused = await post(client, other["sid"])
    inbound = await client.post(
        f"/_sim/accounts/{other['sid']}/inbound", json={"to": "+15550001111"}
    )
    shown = [await status(client, MAIN_SID), await status(client, other["sid"])]
    change = await client.post(
        f"{API}/{other['sid']}.json", data={"Status": "suspended"}, auth=MAIN
    )
    balance = (await client.get(f"{API}/{MAIN_SID}/Balance.json", auth=MAIN)).json()
    twilio.state.behaviour.balance = "20.00"
    accepted = await post(client, other["sid"])

    assert (refused.status_code, refused.json()["code"]) == (403, 10001)
    assert inbound.json()["count"] == 0
    assert shown == ["suspended", "active"]
    assert change.json()["code"] == 21476
    assert balance["balance"] == "0"
    assert accepted.status_code == 201


async def test_what_is_queued_when_the_money_ends_fails_unsent(
    client: httpx.AsyncClient, twilio: TwilioSimulator
) -> None:
    account = await opened(client)
    twilio.state.behaviour.sending_after = 0.3
    sid = (await post(client, account["sid"])).json()["sid"]
    twilio.state.books.book(account["sid"], "lookups", twilio.state.behaviour.balance_micros)
    await until(lambda: not twilio.state.messages[sid].in_progress)

    message = twilio.state.messages[sid]
    assert (message.status, message.error_code) == ("failed", 30002)


async def test_another_main_account_has_its_own_balance(
    client: httpx.AsyncClient, twilio: TwilioSimulator
) -> None:
    twilio.state.open_parent(OTHER, "2" * 32)
    theirs = twilio.state.open_account("theirs", owner=OTHER)
    twilio.state.books.book(theirs.sid, "lookups", twilio.state.behaviour.balance_micros)

    accepted = await post(client, (await opened(client))["sid"])
    form = {"To": "+15551234567", "From": "+15550001111", "Body": "Hello"}
    refused = await client.post(
        f"{API}/{theirs.sid}/Messages.json", data=form, auth=(OTHER, "2" * 32)
    )

    assert (accepted.status_code, refused.json()["code"]) == (201, 10001)


@pytest.mark.parametrize(("follow", "shown"), [(False, "active"), (True, "suspended")])
async def test_whether_subaccounts_are_shown_as_suspended_with_it_can_be_chosen(
    client: httpx.AsyncClient, twilio: TwilioSimulator, follow: bool, shown: str
) -> None:
    account = await opened(client)
    twilio.state.behaviour.balance = "0"
    twilio.state.behaviour.show_as_suspended = follow

    assert await status(client, account["sid"]) == shown
