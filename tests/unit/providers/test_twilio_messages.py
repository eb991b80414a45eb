"""The result of a POST to Twilio: accepted, refused, certainly not processed, or unknown; never
sent twice.
"""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

import pytest
import pytest_asyncio

from domain.campaigns.telephony import (
    Accepted,
    Account,
    AccountStatus,
    DeliveryStatus,
    NotProcessed,
    OutboundMessage,
    Refused,
    Unknown,
)
from domain.money import Money
from providers.errors import AlreadyTerminal, NotFound, ProviderRefused, ProviderUnavailable
from providers.http import fast_client
from providers.twilio import Twilio
from tests.unit.providers.local import (
    HANG_UP,
    SILENCE,
    Received,
    Reply,
    Server,
    closed_port,
    reply,
    serving,
)

PARENT = "AC" + "0" * 32
SUB = "AC" + "1" * 32
ACCOUNT = f"/2010-04-01/Accounts/{SUB}.json"
MESSAGES = f"/2010-04-01/Accounts/{SUB}/Messages.json"
SENT_AT = datetime(2026, 11, 23, 12, 0, 10, tzinfo=UTC)
MESSAGE = OutboundMessage(
    account_sid=SUB,
    sender="+15005550006",
    to="+15550001",
    body="Grüße & more",
    status_callback="https://x/?attempt=1",
)


def error(code: int, status: int = 400, **headers: str) -> Reply:
    return reply({"code": code, "message": "words", "status": status}, status, **headers)


def account(status: str) -> Reply:
    return reply(
        {
            "sid": SUB,
            "status": status,
            "auth_token": "tok",
            "owner_account_sid": PARENT,
            "friendly_name": "o",
        }
    )


def message(**change: Any) -> dict[str, Any]:
    return {
        "sid": "SM1",
        "account_sid": SUB,
        "to": MESSAGE.to,
        "from": MESSAGE.sender,
        "messaging_service_sid": None,
        "body": MESSAGE.body,
        "status": "queued",
        "num_segments": "1",
        "price": None,
        "price_unit": "USD",
        "error_code": None,
        "date_created": "Mon, 23 Nov 2026 12:00:10 +0000",
        "date_sent": None,
        "direction": "outbound-api",
    } | change


@dataclass
class World:
    server: Server
    twilio: Twilio
    answers: dict[str, Reply] = field(default_factory=dict)


@pytest_asyncio.fixture
async def world() -> AsyncIterator[World]:
    answers: dict[str, Reply] = {}

    def answer(request: Received) -> Reply:
        return answers.get(f"{request.method} {request.path}", error(20404, 404))

    async with serving(answer) as server, fast_client(read=0.4) as client:
        twilio = Twilio(client=client, account_sid=PARENT, auth_token="parent", base_url=server.url)
        yield World(server, twilio, answers)


async def test_a_message_is_posted_for_the_subaccount_with_the_parents_credentials(
    world: World,
) -> None:
    world.answers[f"POST {MESSAGES}"] = reply(message(), 201)

    assert await world.twilio.send(MESSAGE) == Accepted(sid="SM1", status=DeliveryStatus.QUEUED)
    request = world.server.received[0]
    assert parse_qs(request.body.decode()) == {
        "To": [MESSAGE.to],
        "From": [MESSAGE.sender],
        "Body": [MESSAGE.body],
        "StatusCallback": [MESSAGE.status_callback],
        "ValidityPeriod": ["14400"],
    }
    assert request.headers["authorization"].startswith("Basic ")


async def test_a_messaging_service_is_named_as_such(world: World) -> None:
    world.answers[f"POST {MESSAGES}"] = reply(message(status="accepted"), 201)
    service = "MG" + "1" * 32
    by_service = OutboundMessage(
        account_sid=SUB, sender=service, to="+1", body="b", status_callback="https://x"
    )

    assert await world.twilio.send(by_service) == Accepted(
        sid="SM1", status=DeliveryStatus.ACCEPTED
    )
    assert parse_qs(world.server.received[0].body.decode())["MessagingServiceSid"] == [service]


async def test_an_alphanumeric_id_that_begins_like_a_service_is_a_sender(world: World) -> None:
    world.answers[f"POST {MESSAGES}"] = reply(message(), 201)
    by_name = OutboundMessage(
        account_sid=SUB, sender="MG Motors", to="+49", body="b", status_callback="https://x"
    )

    await world.twilio.send(by_name)

    assert parse_qs(world.server.received[0].body.decode())["From"] == ["MG Motors"]


@pytest.mark.parametrize("code", [10001, 20005, 20403, 90010])
async def test_an_inactive_account_is_told_apart_from_a_bad_message(
    world: World, code: int
) -> None:
    world.answers[f"POST {MESSAGES}"] = error(code, 403)

    outcome = await world.twilio.send(MESSAGE)

    assert isinstance(outcome, Refused)
    assert (outcome.code, outcome.account_suspended) == (code, True)


@pytest.mark.parametrize("code", [21211, 21408, 21610, 21611, 20404])
async def test_a_refusal_keeps_its_code(world: World, code: int) -> None:
    world.answers[f"POST {MESSAGES}"] = error(code, 404 if code == 20404 else 400)

    outcome = await world.twilio.send(MESSAGE)

    assert isinstance(outcome, Refused)
    assert (outcome.code, outcome.account_suspended) == (code, False)


async def test_a_refusal_in_the_form_of_rfc_9457_is_one_too(world: World) -> None:
    problem = {
        "type": "https://x",
        "title": "Opted out",
        "status": 400,
        "code": 21610,
        "detail": "words",
    }
    world.answers[f"POST {MESSAGES}"] = reply(problem, 400)

    outcome = await world.twilio.send(MESSAGE)

    assert isinstance(outcome, Refused)
    assert outcome.code == 21610


async def test_429_was_not_processed_and_says_when_to_come_back(world: World) -> None:
    world.answers[f"POST {MESSAGES}"] = error(20429, 429, retry_after="3")

    outcome = await world.twilio.send(MESSAGE)

    assert isinstance(outcome, NotProcessed)
    assert outcome.retry_after == 3.0


async def test_never_connected_was_not_processed() -> None:
    async with fast_client(connect=0.3) as client:
        twilio = Twilio(
            client=client, account_sid=PARENT, auth_token="t", base_url=await closed_port()
        )

        assert isinstance(await twilio.send(MESSAGE), NotProcessed)


@pytest.mark.parametrize(
    "answer",
    [
        error(20500, 500),
        Reply(503, b"<html>"),
        Reply(403, b"<html>"),
        Reply(302, b"", {"location": "/"}),
        Reply(201, b"<html>"),
        Reply(201, b"{}"),
        reply(message(status="enchanted"), 201),
        HANG_UP,
        SILENCE,
    ],
    ids=["500", "503", "403", "302", "no-json", "empty", "unknown-status", "hang-up", "silence"],
)
async def test_everything_unclear_is_unknown_and_posted_once(world: World, answer: Reply) -> None:
    world.answers[f"POST {MESSAGES}"] = answer

    assert isinstance(await world.twilio.send(MESSAGE), Unknown)
    assert len(world.server.received) == 1


async def test_wrong_credentials_are_ours_to_mend(world: World) -> None:
    world.answers[f"POST {MESSAGES}"] = error(20003, 401)

    with pytest.raises(ProviderRefused):
        await world.twilio.send(MESSAGE)


@pytest.mark.parametrize("sid", ["../../x", "AC1/Messages", "", "AC1?x", "AC1.json"])
async def test_a_sid_that_is_none_is_never_put_into_a_path(world: World, sid: str) -> None:
    with pytest.raises(NotFound):
        await world.twilio.get_account(sid)
    with pytest.raises(NotFound):
        await world.twilio.get_message(SUB, sid)
    assert world.server.received == []


@pytest.mark.parametrize("want", [AccountStatus.ACTIVE, AccountStatus.SUSPENDED])
async def test_a_status_is_set_and_read_back(world: World, want: AccountStatus) -> None:
    world.answers |= {f"POST {ACCOUNT}": account(want.value), f"GET {ACCOUNT}": account(want.value)}

    done = await world.twilio.ensure_status(SUB, want)

    assert done == Account(
        sid=SUB, status=want, auth_token="tok", friendly_name="o", owner_sid=PARENT
    )
    assert world.server.paths() == [f"POST {ACCOUNT}", f"GET {ACCOUNT}"]
    assert world.server.received[0].body == f"Status={want.value}".encode()


async def test_a_status_that_does_not_read_back_is_not_done(world: World) -> None:
    world.answers |= {f"POST {ACCOUNT}": account("suspended"), f"GET {ACCOUNT}": account("active")}

    with pytest.raises(ProviderUnavailable):
        await world.twilio.ensure_status(SUB, AccountStatus.SUSPENDED)


async def test_a_closed_account_is_as_good_as_suspended(world: World) -> None:
    world.answers |= {f"POST {ACCOUNT}": error(21479), f"GET {ACCOUNT}": account("closed")}

    assert (
        await world.twilio.ensure_status(SUB, AccountStatus.SUSPENDED)
    ).status is AccountStatus.CLOSED


@pytest.mark.parametrize(("code", "status"), [(21479, "closed"), (21478, "suspended")])
async def test_a_subscription_that_can_never_be_active_again_says_so(
    world: World, code: int, status: str
) -> None:
    world.answers |= {f"POST {ACCOUNT}": error(code), f"GET {ACCOUNT}": account(status)}

    with pytest.raises(AlreadyTerminal) as failure:
        await world.twilio.ensure_status(SUB, AccountStatus.ACTIVE)

    assert failure.value.code == str(code)


async def test_a_suspended_parent_passes(world: World) -> None:
    world.answers |= {f"POST {ACCOUNT}": error(21476), f"GET {ACCOUNT}": account("suspended")}

    with pytest.raises(ProviderUnavailable):
        await world.twilio.ensure_status(SUB, AccountStatus.ACTIVE)


@pytest.mark.parametrize(
    ("answer", "kind"), [(error(20500, 500), ProviderUnavailable), (SILENCE, ProviderUnavailable)]
)
async def test_an_outage_while_suspending_is_tried_again(
    world: World, answer: Reply, kind: type[Exception]
) -> None:
    world.answers |= {f"POST {ACCOUNT}": answer, f"GET {ACCOUNT}": account("active")}

    with pytest.raises(kind):
        await world.twilio.ensure_status(SUB, AccountStatus.SUSPENDED)


async def test_nothing_closes_an_account(world: World) -> None:
    with pytest.raises(ValueError, match="closing"):
        await world.twilio.ensure_status(SUB, AccountStatus.CLOSED)
    assert world.server.received == []


async def test_an_account_status_unknown_to_us_is_not_guessed(world: World) -> None:
    world.answers[f"GET {ACCOUNT}"] = account("hibernating")

    with pytest.raises(ProviderUnavailable):
        await world.twilio.get_account(SUB)


def test_an_auth_token_stays_out_of_logs() -> None:
    shown = repr(Account(sid=SUB, status=AccountStatus.ACTIVE, auth_token="secret"))

    assert "secret" not in shown


@pytest.mark.parametrize(
    ("price", "unit", "expected"),
    [
        ("-0.00750", "USD", Money(7_500, "USD")),
        ("-0.0079", "usd", Money(7_900, "USD")),
        (None, "USD", None),
        ("-0.00000001", "USD", None),
        ("free", "USD", None),
        ("-0.1", None, None),
    ],
)
async def test_the_price_is_what_was_charged(
    world: World, price: str | None, unit: str | None, expected: Any
) -> None:
    body = message(
        price=price, price_unit=unit, status="delivered", num_segments="2", error_code=30003
    )
    world.answers[f"GET /2010-04-01/Accounts/{SUB}/Messages/SM1.json"] = reply(body)

    sent = await world.twilio.get_message(SUB, "SM1")

    assert (sent.price, sent.segments, sent.error_code) == (expected, 2, 30003)
    assert (sent.status, sent.created_at) == (DeliveryStatus.DELIVERED, SENT_AT)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({}, True),
        ({"date_created": "Mon, 23 Nov 2026 12:00:05 +0000"}, True),
        ({"date_created": "Mon, 23 Nov 2026 12:00:04 +0000"}, False),
        ({"body": ""}, True),
        ({"from": "+1999"}, True),
        ({"date_created": None}, True),
        ({"direction": "inbound"}, False),
        ({"direction": "outbound-reply"}, True),
    ],
)
async def test_messages_sent_since_are_listed_even_if_they_were_rewritten(
    world: World, change: dict[str, Any], found: bool
) -> None:
    page = {"messages": [message(**change)], "next_page_uri": None, "page": 0}
    world.answers[f"GET {MESSAGES}"] = reply(page)

    listed = await world.twilio.sent_since(SUB, SENT_AT, to=MESSAGE.to)

    assert (len(listed.messages), listed.complete) == (int(found), True)
    assert parse_qs(world.server.received[0].target.partition("?")[2])["To"] == [MESSAGE.to]


@pytest.mark.parametrize(
    ("dates", "pages"),
    [
        (
            {
                "date_created": "Mon, 23 Nov 2026 11:59:00 +0000",
                "date_sent": "Mon, 23 Nov 2026 12:01:00 +0000",
            },
            2,
        ),
        (
            {
                "date_created": "Mon, 23 Nov 2026 11:59:00 +0000",
                "date_sent": "Mon, 23 Nov 2026 11:59:01 +0000",
            },
            1,
        ),
        ({"date_created": "Mon, 23 Nov 2026 11:59:00 +0000", "date_sent": None}, 1),
    ],
)
async def test_the_list_is_read_until_a_page_holds_only_what_was_sent_before(
    world: World, dates: dict[str, Any], pages: int
) -> None:
    """The list is sorted by the time of sending: newer messages may follow one that waited long in
    the queue.
    """
    following = f"{MESSAGES.removesuffix('.json')}/next.json"
    world.answers[f"GET {MESSAGES}"] = reply(
        {"messages": [message(sid="SM1", **dates)], "next_page_uri": following}
    )
    world.answers[f"GET {following}"] = reply(
        {"messages": [message(sid="SM2")], "next_page_uri": None}
    )

    listed = await world.twilio.sent_since(SUB, SENT_AT)
    cut = await world.twilio.sent_since(SUB, SENT_AT, most_pages=1)

    assert [listed_message.sid for listed_message in listed.messages] == (
        ["SM2"] if pages == 2 else []
    )
    assert (listed.complete, cut.complete) == (True, pages == 1)


async def test_a_list_that_cannot_be_read_is_no_proof_of_absence(world: World) -> None:
    world.answers[f"GET {MESSAGES}"] = Reply(200, json.dumps({"a": 1, "b": 2}).encode())

    with pytest.raises(ProviderUnavailable):
        await world.twilio.sent_since(SUB, SENT_AT)


def test_credentials_are_needed() -> None:
    with pytest.raises(ValueError, match="auth token"):
        Twilio(client=fast_client(), account_sid=PARENT, auth_token="")
