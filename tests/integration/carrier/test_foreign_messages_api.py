"""Foreign messages in the API, and the trace that a callback for an unknown message leaves."""

from datetime import UTC, datetime
from urllib.parse import urlencode

import httpx
import pytest
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]

from db.carrier import foreign_messages
from domain.campaigns.telephony import DeliveryStatus, SentMessage
from tests.builders import number
from tests.integration.conftest import Tollgate

LIST = "/v1/organizations/acme/foreign-messages"
SID = "SM" + "ab" * 16


def listed(sid: str, *, outbound: bool = True, minute: int = 0) -> SentMessage:
    at = datetime(2026, 11, 30, 8, minute, tzinfo=UTC)
    return SentMessage(
        sid=sid,
        account_sid="AC" + "0" * 32,
        to="+14155550100",
        body="",
        status=DeliveryStatus.DELIVERED if outbound else None,
        segments=1,
        created_at=at,
        sent_at=at,
        senders=("+14155550199",),
        outbound=outbound,
    )


async def record(tollgate: Tollgate, *messages: SentMessage) -> None:
    async with tollgate.services.engine.begin() as conn:
        await foreign_messages.record(conn, "acme", messages, now=datetime.now(UTC))


async def call(tollgate: Tollgate, sid: str, *, token: str | None = None) -> httpx.Response:
    """A status callback without an attempt of ours."""
    account = tollgate.twilio.state.accounts[tollgate.accounts["acme"]]
    url = f"{tollgate.url}/webhooks/twilio/status"
    form = {"AccountSid": account.sid, "MessageSid": sid, "MessageStatus": "delivered"}
    signature = RequestValidator(token or account.auth_token).compute_signature(url, form)
    headers = {
        "x-twilio-signature": signature,
        "content-type": "application/x-www-form-urlencoded",
    }
    return await tollgate.http.post(url, content=urlencode(form), headers=headers)


async def test_foreign_messages_are_listed_and_explained(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    await record(tollgate, listed("SM1"), listed("SM2", outbound=False, minute=1))

    page = (await tollgate.get(f"{LIST}?limit=1")).json()
    rest = (await tollgate.get(f"{LIST}?limit=1&cursor={page['next_cursor']}")).json()
    explained = (await tollgate.get("/v1/organizations/acme/explain")).json()

    assert [(each["provider_sid"], each["number"]) for each in page["data"]] == [
        ("SM2", "+1415***99")
    ]
    assert [each["provider_sid"] for each in rest["data"]] == ["SM1"]
    assert rest["next_cursor"] is None
    assert len(explained["foreign_messages"]) == 2
    assert any("1 message was sent past Tollgate" in line for line in explained["story"])
    assert any("1 message was received" in line for line in explained["story"])


async def test_a_callback_for_an_unknown_message_leaves_a_trace_and_asks_for_a_reading(
    tollgate: Tollgate,
) -> None:
    await tollgate.onboard()
    answers = [await call(tollgate, SID), await call(tollgate, SID)]

    [found] = (await tollgate.get(LIST)).json()["data"]
    engine = tollgate.services.engine
    assert [answer.status_code for answer in answers] == [204, 204]
    assert (found["provider_sid"], found["listed"], found["charged"]) == (SID, False, False)
    assert await number(engine, "SELECT callbacks FROM foreign_messages") == 2
    assert (
        await number(engine, "SELECT count(*) FROM message_readings WHERE wanted_at < now()") == 1
    )


async def test_what_twilio_lists_replaces_what_a_callback_reported(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    await call(tollgate, SID)
    await record(tollgate, listed(SID))
    await call(tollgate, SID)

    [found] = (await tollgate.get(LIST)).json()["data"]
    assert (found["listed"], found["number"]) == (True, "+1415***00")


async def test_forged_callbacks_fill_no_table(
    tollgate: Tollgate, monkeypatch: pytest.MonkeyPatch
) -> None:
    await tollgate.onboard()
    monkeypatch.setattr(foreign_messages, "MOST_UNLISTED", 2)
    unsigned = await call(tollgate, SID, token="wrong")
    for n in range(4):
        await call(tollgate, f"SM{n:032x}")

    assert unsigned.status_code == 400
    assert await number(tollgate.services.engine, "SELECT count(*) FROM foreign_messages") == 2
