from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]

from simulators.twilio.app import MAIN_SID, MAIN_TOKEN, TwilioSimulator
from simulators.twilio.callbacks import Overrides
from tests.unit.simulators.receiver import Receiver, until

API = "/2010-04-01/Accounts"
MAIN = (MAIN_SID, MAIN_TOKEN)


async def opened(client: httpx.AsyncClient) -> dict[str, Any]:
    answer = await client.post(f"{API}.json", data={"FriendlyName": "org_1"}, auth=MAIN)
    assert answer.status_code == 201
    return answer.json()  # type: ignore[no-any-return]


async def send(client: httpx.AsyncClient, account: dict[str, Any], **more: str) -> httpx.Response:
    form = {"To": "+15551234567", "From": "+15550001111", "Body": "Hello", **more}
    auth = (account["sid"], account["auth_token"])
    return await client.post(f"{API}/{account['sid']}/Messages.json", data=form, auth=auth)


async def set_status(
    client: httpx.AsyncClient, account: dict[str, Any], status: str
) -> httpx.Response:
    return await client.post(f"{API}/{account['sid']}.json", data={"Status": status}, auth=MAIN)


async def test_a_message_is_accepted_in_twilios_words(client: httpx.AsyncClient) -> None:
    answer = await send(client, await opened(client))
    message = answer.json()

    assert answer.status_code == 201
    assert message["sid"].startswith("SM")
    assert len(message["sid"]) == 34
    assert (message["status"], message["num_segments"], message["price"]) == ("queued", "1", None)
    assert message["date_created"].endswith("+0000")


async def test_callbacks_are_signed_with_the_subaccounts_token(
    client: httpx.AsyncClient, receiver: Receiver
) -> None:
    account = await opened(client)
    url = f"{receiver.url}/twilio/status?attempt=a-1"
    await send(client, account, StatusCallback=f"{url}#rc=2")
    await until(lambda: len(receiver.received) == 2)

    for post, status in zip(receiver.received, ("sent", "delivered"), strict=True):
        params = dict(parse_qsl(post.body.decode(), keep_blank_values=True))
        signature = post.headers["x-twilio-signature"]
        assert params["MessageStatus"] == status
        assert RequestValidator(account["auth_token"]).validate(url, params, signature)
        assert not RequestValidator(MAIN_TOKEN).validate(url, params, signature)


async def test_suspension_fails_the_queue_and_refuses_new_posts(
    client: httpx.AsyncClient, receiver: Receiver, twilio: TwilioSimulator
) -> None:
    account = await opened(client)
    twilio.state.behaviour.sending_after = 60
    sid = (await send(client, account, StatusCallback=f"{receiver.url}/status")).json()["sid"]
    suspended = await set_status(client, account, "suspended")
    refused = await send(client, account)
    await until(lambda: len(receiver.received) == 1)
    callback = dict(parse_qsl(receiver.received[0].body.decode()))

    assert suspended.json()["status"] == "suspended"
    assert (refused.status_code, refused.json()["code"]) == (403, 20005)
    assert (callback["MessageSid"], callback["MessageStatus"], callback["ErrorCode"]) == (
        sid,
        "failed",
        "30002",
    )
    assert (await set_status(client, account, "active")).json()["status"] == "active"
    assert (await send(client, account)).status_code == 201


async def test_a_message_that_waits_longer_than_its_validity_period_is_not_sent_and_costs_nothing(
    client: httpx.AsyncClient, receiver: Receiver, twilio: TwilioSimulator
) -> None:
    account = await opened(client)
    twilio.state.behaviour.sending_after = 60
    url = f"{receiver.url}/status"
    sid = (await send(client, account, StatusCallback=url, ValidityPeriod="1")).json()["sid"]
    await until(lambda: len(receiver.received) == 1)
    callback = dict(parse_qsl(receiver.received[0].body.decode()))

    assert (callback["MessageSid"], callback["MessageStatus"], callback["ErrorCode"]) == (
        sid,
        "failed",
        "30036",
    )
    assert not twilio.state.books.entries


async def test_statuses_that_may_not_change(client: httpx.AsyncClient) -> None:
    suspended, closed, child = [await opened(client) for _ in range(3)]
    await client.post(
        f"/_sim/accounts/{suspended['sid']}/status", json={"status": "suspended", "by_twilio": True}
    )
    await set_status(client, closed, "closed")
    by_twilio, ended = (
        await set_status(client, suspended, "active"),
        await set_status(client, closed, "active"),
    )
    main = await client.post(f"{API}/{MAIN_SID}.json", data={"Status": "suspended"}, auth=MAIN)
    await client.post(f"/_sim/accounts/{MAIN_SID}/status", json={"status": "suspended"})
    orphan = await set_status(client, child, "suspended")

    assert [answer.json()["code"] for answer in (by_twilio, ended, orphan)] == [21478, 21479, 21476]
    assert main.status_code == 400


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({"To": "12"}, 21211),
        ({"To": ""}, 21604),
        ({"From": ""}, 21603),
        ({"Body": ""}, 21602),
        ({"Body": "x" * 1601}, 21617),
        ({"ValidityPeriod": "0"}, 21624),
        ({"ValidityPeriod": "36001"}, 21624),
        ({"ValidityPeriod": "1.5"}, 21624),
        ({"To": "+15005550003"}, 21408),
        ({"From": "+15005550007"}, 21606),
        ({"From": "+15005550008"}, 21611),
    ],
)
async def test_refusals_have_twilios_codes(
    client: httpx.AsyncClient, form: dict[str, str], code: int
) -> None:
    answer = await send(client, await opened(client), **form)

    assert (answer.status_code, answer.json()["code"]) == (400, code)


async def test_an_opted_out_number_is_refused(client: httpx.AsyncClient) -> None:
    account = await opened(client)
    await client.post("/_sim/opt_out", json={"to": "+15551234567", "account_sid": account["sid"]})

    assert (await send(client, account)).json()["code"] == 21610
    assert (await send(client, await opened(client))).status_code == 201


async def test_wrong_credentials_are_refused(client: httpx.AsyncClient) -> None:
    account = await opened(client)
    answer = await send(client, {**account, "auth_token": "wrong"})

    assert (answer.status_code, answer.json()["code"]) == (401, 20003)


async def test_messages_are_listed_by_recipient_in_pages(client: httpx.AsyncClient) -> None:
    account = await opened(client)
    for number in range(3):
        await send(client, account, To="+15550000001", Body=f"n{number}")
    await send(client, account, To="+15550000002")
    path = f"{API}/{account['sid']}/Messages.json"
    auth = (account["sid"], account["auth_token"])
    first = (
        await client.get(path, params={"To": "+15550000001", "PageSize": "2"}, auth=auth)
    ).json()
    second = (await client.get(first["next_page_uri"], auth=auth)).json()

    assert [message["body"] for message in first["messages"] + second["messages"]] == [
        "n2",
        "n1",
        "n0",
    ]
    assert second["next_page_uri"] is None


async def test_prices_come_late_and_negative(
    client: httpx.AsyncClient, twilio: TwilioSimulator
) -> None:
    account = await opened(client)
    sid = (await send(client, account, Body="x" * 200)).json()["sid"]
    await until(lambda: twilio.state.messages[sid].status == "delivered")
    path = f"{API}/{account['sid']}/Messages/{sid}.json"
    before = (await client.get(path, auth=MAIN)).json()["price"]
    await client.post("/_sim/settle_prices")
    after = (await client.get(path, auth=MAIN)).json()

    assert before is None
    assert (after["price"], after["price_unit"], after["num_segments"]) == ("-0.01500", "USD", "2")


async def test_a_scripted_number_fails(client: httpx.AsyncClient, twilio: TwilioSimulator) -> None:
    await client.post("/_sim/numbers", json={"to": "+15551234567", "fail": 30005})
    sid = (await send(client, await opened(client))).json()["sid"]
    await until(lambda: twilio.state.messages[sid].status == "undelivered")

    assert twilio.state.messages[sid].error_code == 30005


async def test_a_scheduled_message_can_be_canceled(client: httpx.AsyncClient) -> None:
    account = await opened(client)
    message = (
        await send(client, account, ScheduleType="fixed", SendAt="2027-01-01T00:00:00Z")
    ).json()
    path = f"{API}/{account['sid']}/Messages/{message['sid']}.json"
    canceled = await client.post(path, data={"Status": "canceled"}, auth=MAIN)

    assert (message["status"], canceled.json()["status"]) == ("scheduled", "canceled")


async def test_a_callback_can_be_lost_or_duplicated(
    client: httpx.AsyncClient, receiver: Receiver, twilio: TwilioSimulator
) -> None:
    await client.post("/_sim/callback_faults", json={"kind": "lost", "status": "sent"})
    await client.post(
        "/_sim/callback_faults", json={"kind": "duplicate", "status": "delivered", "copies": 3}
    )
    await send(client, await opened(client), StatusCallback=f"{receiver.url}/status")
    await until(lambda: len(receiver.received) == 3)

    assert twilio.state.callback_counts["lost"] == 1


async def test_delivered_can_overtake_sent(client: httpx.AsyncClient, receiver: Receiver) -> None:
    await client.post(
        "/_sim/callback_faults", json={"kind": "reordered", "status": "sent", "seconds": 0.5}
    )
    await client.patch("/_sim/behaviour", json={"delivered_after": 0.01})
    await send(client, await opened(client), StatusCallback=f"{receiver.url}/status")
    await until(lambda: len(receiver.received) == 2)

    assert len({post.body for post in receiver.received}) == 2


@pytest.mark.parametrize(
    ("fragment", "answers", "posts"),
    [
        ("", [500], 1),
        ("#rc=5&rp=all", [500, 404, 503], 4),
        ("#rc=2&rp=5xx", [500, 500, 500, 500], 3),
        ("#rc=5&rp=4xx,ct", [500], 1),
        ("#rc=9&rp=5xx", [500, 500, 500], 2),
        ("#rc=5&rp=wrong", [500], 1),
    ],
)
async def test_a_callback_is_repeated_only_as_its_url_asks_for(
    client: httpx.AsyncClient,
    receiver: Receiver,
    twilio: TwilioSimulator,
    fragment: str,
    answers: list[int],
    posts: int,
) -> None:
    await client.patch("/_sim/behaviour", json={"callback_statuses": ["delivered"]})
    receiver.answers = answers
    await send(client, await opened(client), StatusCallback=f"{receiver.url}/status{fragment}")
    await until(lambda: len(twilio.state.callbacks) == 1)

    assert (len(receiver.received), twilio.state.callbacks[0].tries) == (posts, posts)
    assert {post.path for post in receiver.received} == {"/status"}


@pytest.mark.parametrize(
    ("fragment", "read", "total"),
    [
        ("", 15, 15),
        ("rc=5&rp=all&rt=6000", 6, 15),
        ("rt=100&tt=15000", 0.1, 15),
        ("rt=99&tt=15001", 15, 15),
        ("rt=-1&tt=1.5", 15, 15),
    ],
)
def test_a_callbacks_url_shortens_the_waits_for_its_answer(
    fragment: str, read: float, total: float
) -> None:
    overrides = Overrides.of(fragment)

    assert (overrides.read, overrides.total) == (read, total)


async def test_a_body_can_be_erased_and_a_message_deleted_only_when_it_is_through(
    client: httpx.AsyncClient, twilio: TwilioSimulator
) -> None:
    message = (await send(client, await opened(client))).json()
    path = f"{API}/{message['account_sid']}/Messages/{message['sid']}.json"

    early = [
        await client.post(path, data={"Body": ""}, auth=MAIN),
        await client.delete(path, auth=MAIN),
        await client.post(path, data={"Status": "canceled"}, auth=MAIN),
    ]
    await until(lambda: twilio.state.messages[message["sid"]].status == "delivered")
    rewritten = await client.post(path, data={"Body": "another"}, auth=MAIN)
    erased = await client.post(path, data={"Body": ""}, auth=MAIN)
    gone = [await client.delete(path, auth=MAIN), await client.get(path, auth=MAIN)]

    assert [response.json()["code"] for response in [*early, rewritten]] == [
        20009,
        20009,
        30409,
        30400,
    ]
    assert erased.json()["body"] == ""
    assert [response.status_code for response in gone] == [204, 404]


async def test_a_messaging_service_replaces_what_does_not_fit_a_short_text(
    client: httpx.AsyncClient,
) -> None:
    account = await opened(client)
    service = "MG" + "1" * 32
    await client.post(
        f"/_sim/accounts/{account['sid']}/senders",
        json={"sender": service, "senders": ["+15550001111"]},
    )
    form = {
        "From": "",
        "MessagingServiceSid": service,
        "To": "+1 (555) 123-4567",
        "Body": "\u201cHello\u201d\u2026",
    }

    message = (await send(client, account, **form)).json()

    assert (message["body"], message["to"]) == ('"Hello"...', "+15551234567")


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({"From": "+14155550199"}, 21659),
        ({"From": "+15559990000"}, 21660),
        ({"From": "+15550001112"}, 21661),
        ({"From": "12345"}, 21659),
        ({"From": "ACME"}, 21612),
        ({"From": "Sender of 12c"}, 21212),
        ({"From": "!"}, 21212),
        ({"From": "", "MessagingServiceSid": "MG" + "1" * 32}, 21701),
        ({"From": "", "MessagingServiceSid": "MG" + "2" * 32}, 21704),
        ({"From": "ACME", "To": "+447700900123"}, None),
        ({"From": "54321"}, None),
        ({"From": "", "MessagingServiceSid": "MG" + "3" * 32}, None),
    ],
)
async def test_only_an_accounts_own_senders_send_and_only_where_they_may(
    client: httpx.AsyncClient, form: dict[str, str], code: int | None
) -> None:
    account, other = await opened(client), await opened(client)
    await client.post(f"/_sim/accounts/{other['sid']}/senders", json={"sender": "+15559990000"})
    path = f"/_sim/accounts/{account['sid']}/senders"
    await client.post(path, json={"sender": "+15550001112", "sms": False})
    await client.post(path, json={"sender": "54321"})
    await client.post(path, json={"sender": "MG" + "2" * 32, "senders": []})
    await client.post(path, json={"sender": "MG" + "3" * 32, "senders": ["+15550001111"]})

    answer = await send(client, account, **form)

    assert answer.json().get("code") == code


async def test_a_number_that_is_given_up_sends_no_more_and_regions_can_be_off(
    client: httpx.AsyncClient,
) -> None:
    account = await opened(client)
    before = await send(client, account)
    await client.request(
        "DELETE", f"/_sim/accounts/{account['sid']}/senders", json={"sender": "+15550001111"}
    )
    await client.post(f"/_sim/accounts/{account['sid']}/refuse", json={"regions_off": ["+44"]})

    released, abroad = await send(client, account), await send(client, account, To="+447700900123")

    assert before.status_code == 201
    assert (released.json()["code"], abroad.json()["code"]) == (21659, 21408)
