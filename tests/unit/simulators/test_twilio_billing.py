"""The Twilio simulator's bill over HTTP: records, triggers, the clock."""

from typing import Any
from urllib.parse import parse_qsl

import httpx
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]

from simulators.twilio.app import MAIN_SID, MAIN_TOKEN, TwilioSimulator
from tests.unit.simulators.receiver import Receiver, until

API = "/2010-04-01/Accounts"
MAIN = (MAIN_SID, MAIN_TOKEN)


async def opened(client: httpx.AsyncClient) -> dict[str, Any]:
    answer = await client.post(f"{API}.json", data={"FriendlyName": "org_1"}, auth=MAIN)
    return answer.json()  # type: ignore[no-any-return]


async def send(
    client: httpx.AsyncClient, twilio: TwilioSimulator, account: dict[str, Any], **more: str
) -> str:
    """Send a message as the account itself, and wait until it has its final status."""
    form = {"To": "+15551234567", "From": "+15550001111", "Body": "Hello", **more}
    auth = (account["sid"], account["auth_token"])
    answer = await client.post(f"{API}/{account['sid']}/Messages.json", data=form, auth=auth)
    assert answer.status_code == 201
    sid: str = answer.json()["sid"]
    await until(lambda: not twilio.state.messages[sid].in_progress)
    return sid


async def records(
    client: httpx.AsyncClient, account_sid: str, named: str = "", **query: str
) -> list[dict[str, Any]]:
    path = f"{API}/{account_sid}/Usage/Records{f'/{named}' if named else ''}.json"
    answer = await client.get(path, params={"PageSize": "1000", **query}, auth=MAIN)
    assert answer.status_code == 200, answer.text
    return answer.json()["usage_records"]  # type: ignore[no-any-return]


async def record(
    client: httpx.AsyncClient, account_sid: str, category: str, named: str = "Today", **query: str
) -> dict[str, Any]:
    [found] = await records(client, account_sid, named, Category=category, **query)
    return found


async def trigger(
    client: httpx.AsyncClient, account: dict[str, Any], url: str, **more: str
) -> httpx.Response:
    form = {
        "CallbackUrl": url,
        "UsageCategory": "totalprice",
        "TriggerBy": "price",
        "TriggerValue": "0.02",
        "Recurring": "daily",
        **more,
    }
    return await client.post(f"{API}/{account['sid']}/Usage/Triggers.json", data=form, auth=MAIN)


async def test_a_sent_message_is_in_the_records_and_fires_the_trigger(
    client: httpx.AsyncClient, twilio: TwilioSimulator, receiver: Receiver
) -> None:
    account = await opened(client)
    url = f"{receiver.url}/usage"
    made = (await trigger(client, account, url, TriggerValue="+0.02")).json()
    sid = await send(client, twilio, account, Body="x" * 400)
    daily = await record(client, account["sid"], "sms-outbound", "Daily")
    total = await record(client, account["sid"], "totalprice")
    fired = (await client.post("/_sim/usage/evaluate")).json()
    again = (await client.post("/_sim/usage/evaluate")).json()
    await until(lambda: len(receiver.received) == 1)
    params = dict(parse_qsl(receiver.received[0].body.decode(), keep_blank_values=True))

    assert (daily["count"], daily["usage"], daily["price"]) == ("1", "3", "0.0225")
    assert (total["count"], total["price"], total["price_unit"]) == (None, "0.0225", "usd")
    assert (fired["fired"], again["fired"]) == (1, 0)
    assert params["UsageTriggerSid"] == made["sid"]
    assert (params["CurrentValue"], params["TriggerValue"]) == ("0.0225", "0.02")
    assert (params["UsageCategory"], params["Recurring"]) == ("totalprice", "daily")
    assert params["UsageRecordUri"].endswith("/Usage/Records/Today.json?Category=totalprice")
    signature = receiver.received[0].headers["x-twilio-signature"]
    assert RequestValidator(account["auth_token"]).validate(url, params, signature)
    assert twilio.state.books.by_source[sid].price_micros == 22_500


async def test_records_lag_and_a_correction_shows_at_the_next_read(
    client: httpx.AsyncClient, twilio: TwilioSimulator
) -> None:
    account = await opened(client)
    await client.patch("/_sim/behaviour", json={"usage_lag": 3600})
    sid = await send(client, twilio, account)
    behind = await record(client, account["sid"], "sms")
    await client.post("/_sim/clock", json={"days": 2})
    before = await record(client, account["sid"], "sms", "AllTime")
    number = twilio.state.books.by_source[sid].number
    await client.patch(f"/_sim/usage/entries/{number}", json={"price": "0.0080"})
    after = await record(client, account["sid"], "sms", "AllTime")

    assert (behind["count"], behind["price"]) == ("0", "0")
    assert (before["price"], after["price"]) == ("0.0075", "0.008")


async def test_the_main_account_sees_its_subaccounts_unless_it_asks_for_itself(
    client: httpx.AsyncClient, twilio: TwilioSimulator
) -> None:
    twilio.state.behaviour.balance = "100.00"
    await send(client, twilio, await opened(client))
    everybody = await record(client, MAIN_SID, "totalprice")
    alone = await record(client, MAIN_SID, "totalprice", IncludeSubaccounts="false")
    balance = (await client.get(f"{API}/{MAIN_SID}/Balance.json", auth=MAIN)).json()

    assert (everybody["price"], alone["price"]) == ("0.0075", "0")
    assert balance["balance"] == "99.9925"


async def test_days_and_pages_are_read_in_turn_and_bad_parameters_are_refused(
    client: httpx.AsyncClient,
) -> None:
    account = await opened(client)
    await client.post("/_sim/clock", json={"days": 3})
    path = f"{API}/{account['sid']}/Usage/Records/Daily.json"
    query = {"Category": "sms", "StartDate": "-2days", "PageSize": "2"}
    first = (await client.get(path, params=query, auth=MAIN)).json()
    second = (await client.get(first["next_page_uri"], auth=MAIN)).json()
    days = [each["start_date"] for each in first["usage_records"] + second["usage_records"]]
    bad = [
        {"StartDate": "yesterday"},
        {"StartDate": "2026-02-30"},
        {"EndDate": "-400days"},
        {"IncludeSubaccounts": "maybe"},
        {"PageSize": "many"},
        {"Category": "No Such"},
    ]
    refused = [(await client.get(path, params=each, auth=MAIN)).status_code for each in bad]

    assert days == sorted(set(days), reverse=True)
    assert len(days) == 3
    assert second["next_page_uri"] is None
    assert refused == [400] * len(bad)


async def test_a_trigger_is_refused_listed_deleted_and_fires_again_the_next_day(
    client: httpx.AsyncClient, twilio: TwilioSimulator, receiver: Receiver
) -> None:
    account = await opened(client)
    url = f"{receiver.url}/usage"
    bad = [
        {"TriggerValue": "10%"},
        {"TriggerValue": "0"},
        {"Recurring": "weekly"},
        {"TriggerBy": "cost"},
        {"CallbackUrl": "ftp://example.com"},
        {"UsageCategory": ""},
    ]
    refused = [(await trigger(client, account, url, **each)).status_code for each in bad]
    made = (await trigger(client, account, url, TriggerValue="0.005")).json()
    await send(client, twilio, account)
    await client.post("/_sim/usage/evaluate")
    await client.post("/_sim/clock", json={"days": 1})
    await send(client, twilio, account)
    await client.post("/_sim/usage/evaluate")
    await until(lambda: len(receiver.received) == 2)
    path = f"{API}/{account['sid']}/Usage/Triggers"
    listed = (await client.get(f"{path}.json", auth=MAIN)).json()["usage_triggers"]
    deleted = await client.delete(f"{path}/{made['sid']}.json", auth=MAIN)
    gone = await client.get(f"{path}/{made['sid']}.json", auth=MAIN)

    assert refused == [400] * len(bad)
    assert [each["sid"] for each in listed] == [made["sid"]]
    assert (deleted.status_code, gone.status_code) == (204, 404)


async def test_everything_that_is_not_an_outbound_sms_is_billed_in_its_own_category(
    client: httpx.AsyncClient, twilio: TwilioSimulator
) -> None:
    account = await opened(client)
    base = f"/_sim/accounts/{account['sid']}"
    service = "MG" + "a" * 32
    pool = {"sender": service, "senders": ["rcs:agent", "+15550001111"]}
    await client.patch("/_sim/rates", json={"prices": {"sms-messages-carrierfees": "0.003"}})
    await client.post(f"{base}/senders", json=pool)
    await client.post(f"{base}/inbound", json={"to": "+15550002222", "count": 2})
    await client.post(f"{base}/calls", json={"seconds": 61})
    await client.post(f"{base}/fees", json={})
    await client.post(
        "/_sim/numbers", json={"to": "+15557654321", "fail": 30005, "status": "failed"}
    )
    await send(client, twilio, account)
    await send(client, twilio, account, MediaUrl="https://example.com/a.png")
    await send(client, twilio, account, MessagingServiceSid=service, From="")
    await send(client, twilio, account, To="+15557654321")
    prices = {
        each["category"]: each["price"]
        for each in await records(client, account["sid"], "Today")
        if each["price"] != "0"
    }

    assert prices == {
        "totalprice": "10.0924",
        "sms": "0.0241",
        "sms-outbound": "0.0075",
        "sms-outbound-longcode": "0.0075",
        "sms-inbound": "0.0166",
        "sms-inbound-longcode": "0.0166",
        "sms-messages-carrierfees": "0.009",  # one outbound and two inbound segments
        "failed-message-processing-fee": "0.001",
        "mms": "0.022",
        "mms-outbound": "0.022",
        "mms-outbound-longcode": "0.022",
        "usage-rcs-messages": "0.0083",
        "usage-rcs-basic-messages-outbound": "0.0083",
        "calls": "0.028",
        "calls-outbound": "0.028",
        "a2p-registration-fees": "10",
        "a2p-10dlc-registrationfees-monthly": "10",
    }


async def test_a_suspended_account_receives_nothing_and_its_numbers_are_rented_until_released(
    client: httpx.AsyncClient, twilio: TwilioSimulator
) -> None:
    account = await opened(client)
    own = (account["sid"], account["auth_token"])
    path = f"{API}/{account['sid']}/IncomingPhoneNumbers"
    bought = await client.post(f"{path}.json", data={"PhoneNumber": "+15557770000"}, auth=own)
    await client.post(f"{API}/{account['sid']}.json", data={"Status": "suspended"}, auth=MAIN)
    to = {"to": "+15557770000"}
    received = await client.post(f"/_sim/accounts/{account['sid']}/inbound", json=to)
    await client.post("/_sim/clock", json={"days": 32})
    rented = await record(client, account["sid"], "phonenumbers", "AllTime")
    number = f"{path}/{bought.json()['sid']}.json"
    by_itself = await client.delete(number, auth=own)
    by_parent = await client.delete(number, auth=MAIN)
    await client.post("/_sim/clock", json={"days": 64})
    released = await record(client, account["sid"], "phonenumbers", "AllTime")

    assert bought.status_code == 201
    assert received.json()["count"] == 0
    assert (rented["count"], rented["price"]) == ("2", "2.3")
    assert (by_itself.status_code, by_parent.status_code) == (403, 204)
    assert released["price"] == rented["price"]


async def test_prices_services_and_tokens_have_pages_of_their_own(
    client: httpx.AsyncClient, twilio: TwilioSimulator
) -> None:
    account = await opened(client)
    own = (account["sid"], account["auth_token"])
    service = "MG" + "b" * 32
    pool = {"sender": service, "senders": ["rcs:agent", "+15550001111"]}
    await client.post(f"/_sim/accounts/{account['sid']}/senders", json=pool)
    await client.patch("/_sim/rates", json={"countries": {"DE": "0.11"}})
    price = (await client.get("/v1/Messaging/Countries/DE", auth=own)).json()
    rent = (await client.get("/v1/PhoneNumbers/Countries/US", auth=own)).json()
    senders = (await client.get(f"/v1/Services/{service}/ChannelSenders", auth=own)).json()
    numbers = (await client.get(f"/v1/Services/{service}/PhoneNumbers", auth=own)).json()
    not_the_parents = await client.get(f"/v1/Services/{service}", auth=MAIN)
    made = (await client.post("/v1/AuthTokens/Secondary", auth=own)).json()
    both = (account["sid"], made["secondary_auth_token"])
    promoted = await client.post("/v1/AuthTokens/Promote", auth=both)
    old = await client.get("/v1/Services", auth=own)

    assert price["outbound_sms_prices"][0]["prices"][0]["current_price"] == "0.11"
    assert rent["phone_number_prices"][0] == {
        "number_type": "local",
        "base_price": "1.15",
        "current_price": "1.15",
    }
    assert [each["sender_type"] for each in senders["senders"]] == ["RCS"]
    assert [each["phone_number"] for each in numbers["phone_numbers"]] == ["+15550001111"]
    assert not_the_parents.status_code == 404
    assert promoted.json()["auth_token"] == both[1]
    assert old.status_code == 401
    assert (await client.get("/v1/Services", auth=both)).status_code == 200
