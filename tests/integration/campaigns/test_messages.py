"""A single message: paid for, handed over once, answered with its result, and updated by Twilio's
callbacks.
"""

import asyncio
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]

from api.http import twilio_tokens
from tests.builders import run
from tests.integration.conftest import Tollgate

GET_ACCOUNT = "GET Accounts/{sid}"
MESSAGES = "/v1/organizations/acme/messages"
MESSAGE = {"to": "+14155550100", "body": "Your order is on its way."}


async def behave(tollgate: Tollgate, **changed: object) -> None:
    await tollgate.http.patch(f"{tollgate.twilio.url}/_sim/behaviour", json=changed)


async def fault(tollgate: Tollgate, **about: object) -> None:
    await tollgate.http.post(
        f"{tollgate.twilio.url}/_sim/faults", json={"path": ".*Messages", **about}
    )


async def balance(tollgate: Tollgate) -> str:
    return str((await tollgate.get("/v1/organizations/acme/wallet")).json()["balance"])


async def sent(tollgate: Tollgate, key: str = "m1", **changed: str) -> dict[str, object]:
    answer = await tollgate.post(MESSAGES, MESSAGE | changed, key=key)
    assert answer.status_code == 201, answer.text
    body: dict[str, object] = answer.json()
    return body


async def quiet(tollgate: Tollgate) -> None:
    """Twilio sends no callbacks on its own."""
    await behave(tollgate, sending_after=60, sent_after=60, delivered_after=60)


async def call_back(
    tollgate: Tollgate,
    message: dict[str, object],
    status: str,
    *,
    token: str | None = None,
    **more: str,
) -> httpx.Response:
    """A status callback, signed as by Twilio with the subaccount's token."""
    account = tollgate.accounts["acme"]
    attempt = more.pop("attempt", f"{message['id']}.1")
    url = f"{tollgate.url}/webhooks/twilio/status?attempt={attempt}"
    form = {
        "AccountSid": account,
        "MessageSid": str(message["provider_sid"]),
        "MessageStatus": status,
        **more,
    }
    signer = RequestValidator(token or tollgate.twilio.state.accounts[account].auth_token)
    headers = {"X-Twilio-Signature": signer.compute_signature(url, form)}
    return await tollgate.http.post(url, data=form, headers=headers)


async def status(tollgate: Tollgate, message: dict[str, object]) -> tuple[object, object]:
    body = (await tollgate.get(f"{MESSAGES}/{message['id']}")).json()
    return body["status"], body["delivery_status"]


async def test_a_message_is_paid_for_and_sent_once_per_key(tollgate: Tollgate) -> None:
    await tollgate.onboard()

    answers = await asyncio.gather(*(tollgate.post(MESSAGES, MESSAGE, key="m1") for _ in range(3)))
    other = await tollgate.post(MESSAGES, MESSAGE | {"body": "Another."}, key="m1")
    counts = (await tollgate.http.get(f"{tollgate.twilio.url}/_sim/counts")).json()

    assert sorted(response.status_code for response in answers) == [200, 200, 201]
    assert other.status_code == 409
    assert counts["messages"] == 1
    assert await balance(tollgate) == "9.99"


async def test_a_message_refused_by_twilio_is_refunded(tollgate: Tollgate) -> None:
    await tollgate.onboard()

    message = await sent(tollgate, to="+15005550009")

    assert message["status"] == "refused"
    assert message["error_code"] is not None
    assert await balance(tollgate) == "10.00"


async def test_a_message_that_twilio_certainly_did_not_accept_is_refunded(
    tollgate: Tollgate,
) -> None:
    await tollgate.onboard()
    await fault(tollgate, kind="429")

    message = await sent(tollgate)

    assert message["status"] == "refused"
    assert await balance(tollgate) == "10.00"


async def test_a_message_that_twilio_may_have_accepted_is_unknown_and_stays_paid(
    tollgate: Tollgate,
) -> None:
    await tollgate.onboard()
    await fault(tollgate, kind="error_after_acceptance")

    message = await sent(tollgate)
    again = await tollgate.post(MESSAGES, MESSAGE, key="m1")
    counts = (await tollgate.http.get(f"{tollgate.twilio.url}/_sim/counts")).json()

    assert message["status"] == "unknown"
    assert (again.status_code, counts["messages"]) == (200, 1)
    assert await balance(tollgate) == "9.99"


async def test_a_suspended_organization_sends_nothing(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    await tollgate.post("/v1/organizations/acme/suspend", {"reason": "x"})

    answer = await tollgate.post(MESSAGES, MESSAGE, key="m1")
    counts = (await tollgate.http.get(f"{tollgate.twilio.url}/_sim/counts")).json()

    assert answer.status_code == 423
    assert answer.json()["reasons"][0]["code"] == "admin"
    assert counts["messages"] == 0


async def test_a_message_that_cannot_be_paid_is_402(tollgate: Tollgate) -> None:
    await tollgate.onboard(balance="0.015")

    answer = await tollgate.post(MESSAGES, MESSAGE | {"body": "é" * 71 + "ŝ"}, key="m1")

    assert answer.status_code == 402
    assert answer.json()["needed"] == "0.02"


async def test_a_wrong_message_names_the_field(tollgate: Tollgate) -> None:
    await tollgate.onboard()

    for changed, field in (
        ({"to": "4155550100"}, "to"),
        ({"body": " "}, "body"),
        ({"body": "x" * 1601}, "body"),
    ):
        answer = await tollgate.post(MESSAGES, MESSAGE | changed, key="m1")
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)
    assert (await tollgate.get(f"{MESSAGES}/x")).status_code == 404


async def test_callbacks_only_ever_move_a_message_on(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    await quiet(tollgate)
    message = await sent(tollgate)
    seen = []

    for reported in ("sent", "sending", "delivered", "sent", "delivered", "undelivered"):
        assert (await call_back(tollgate, message, reported)).status_code == 204
        seen.append((await status(tollgate, message))[1])

    assert seen == ["sent", "sent", "delivered", "delivered", "delivered", "delivered"]


async def test_the_simulators_own_callbacks_are_believed(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    message = await sent(tollgate)

    for _ in range(100):
        await asyncio.sleep(0.05)
        if (await status(tollgate, message))[1] == "delivered":
            break

    assert await status(tollgate, message) == ("accepted", "delivered")


async def test_a_message_that_twilio_gives_back_is_refunded_once(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    await quiet(tollgate)
    message = await sent(tollgate)
    paid = await balance(tollgate)

    answers = [await call_back(tollgate, message, "failed", ErrorCode="30002") for _ in range(3)]
    balance_before = await balance(tollgate)
    at_twilio = tollgate.twilio.state.messages[str(message["provider_sid"])]
    at_twilio.status, at_twilio.error_code = "failed", 30002
    for _ in range(2):
        await tollgate.services.checking.check(now=datetime.now(UTC) + timedelta(minutes=1))

    assert {response.status_code for response in answers} == {204}
    assert (paid, balance_before, await balance(tollgate)) == ("9.99", "9.99", "10.00")
    assert (await status(tollgate, message))[0] == "refused"


async def test_an_unknown_message_is_settled_by_its_callback(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    await quiet(tollgate)
    await fault(tollgate, kind="error_after_acceptance")
    message = await sent(tollgate)

    await call_back(tollgate, message | {"provider_sid": "SM" + "1" * 32}, "delivered")

    assert await status(tollgate, message) == ("accepted", "delivered")


async def test_a_wrongly_signed_callback_is_400_and_changes_nothing(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    await quiet(tollgate)
    message = await sent(tollgate)

    forged = await call_back(tollgate, message, "delivered", token="f" * 32)
    unsigned = await tollgate.http.post(
        f"{tollgate.url}/webhooks/twilio/status",
        data={
            "AccountSid": tollgate.accounts["acme"],
            "MessageSid": "SM1",
            "MessageStatus": "sent",
        },
    )
    empty = await tollgate.http.post(f"{tollgate.url}/webhooks/twilio/status")

    assert [response.status_code for response in (forged, unsigned, empty)] == [400, 400, 400]
    assert await status(tollgate, message) == ("accepted", "queued")


async def test_a_callback_of_an_account_that_is_not_ours_is_403(tollgate: Tollgate) -> None:
    form = {"AccountSid": "AC" + "9" * 32, "MessageSid": "SM1", "MessageStatus": "sent"}

    answer = await tollgate.http.post(f"{tollgate.url}/webhooks/twilio/status", data=form)

    assert answer.status_code == 403


async def test_a_callback_is_503_while_the_accounts_token_cannot_be_had(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    await run(tollgate.services.engine, "DELETE FROM subaccount_tokens")
    await quiet(tollgate)
    message = await sent(tollgate)
    await tollgate.http.post(
        f"{tollgate.twilio.url}/_sim/faults", json={"kind": "down", "path": ".*Accounts"}
    )

    refused = await call_back(tollgate, message, "delivered")
    await tollgate.http.delete(f"{tollgate.twilio.url}/_sim/faults")
    taken = await call_back(tollgate, message, "delivered")

    assert (refused.status_code, taken.status_code) == (503, 204)


async def test_callbacks_of_unknown_messages_and_statuses_are_taken(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    await quiet(tollgate)
    message = await sent(tollgate)

    nobodys = await call_back(
        tollgate, {"id": "x", "provider_sid": "SM" + "2" * 32}, "delivered", attempt="x.1"
    )
    unheard_of = await call_back(tollgate, message, "teleported")

    assert (nobodys.status_code, unheard_of.status_code) == (204, 204)
    assert await status(tollgate, message) == ("accepted", "queued")


async def test_a_token_that_was_exchanged_at_twilio_is_noticed(
    tollgate: Tollgate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(twilio_tokens, "ASKED_AGAIN", 0.0)
    await tollgate.onboard()
    await quiet(tollgate)
    message = await sent(tollgate)
    account = tollgate.accounts["acme"]
    assert (await call_back(tollgate, message, "sent")).status_code == 204

    await tollgate.http.post(f"{tollgate.twilio.url}/_sim/accounts/{account}/rotate_token", json={})

    assert (await call_back(tollgate, message, "delivered")).status_code == 204
    assert await status(tollgate, message) == ("accepted", "delivered")


async def test_wrong_signatures_do_not_make_us_ask_twilio_each_time(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    await quiet(tollgate)
    message = await sent(tollgate)
    before = tollgate.twilio.state.calls[GET_ACCOUNT]

    answers = [await call_back(tollgate, message, "delivered", token="f" * 32) for _ in range(5)]

    assert {response.status_code for response in answers} == {400}
    assert tollgate.twilio.state.calls[GET_ACCOUNT] == before + 1
