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
