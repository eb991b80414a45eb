"""Messages of all organizations, found by an operator; and the price of one given back."""

from uuid import UUID

import pytest

from db.api_keys import Scope
from tests.builders import broken_claims, run
from tests.integration.conftest import Tollgate

MESSAGES = "/v1/messages"
TO = "+14155550100"
REASON = {"reason": "the customer complained"}


async def sent(tollgate: Tollgate, organization_id: str, key: str, to: str = TO) -> dict[str, str]:
    path = f"/v1/organizations/{organization_id}/messages"
    answer = await tollgate.post(path, {"to": to, "body": "Hello."}, key=key)
    assert answer.status_code == 201, answer.text
    message: dict[str, str] = answer.json()
    return message


async def found(tollgate: Tollgate, **query: str) -> list[tuple[str, str]]:
    answer = await tollgate.ask("GET", MESSAGES, params=query)
    assert answer.status_code == 200, answer.text
    return [(message["organization_id"], message["id"]) for message in answer.json()["data"]]


async def final(tollgate: Tollgate, message: dict[str, str], status: str = "delivered") -> None:
    await run(
        tollgate.services.engine,
        "UPDATE messages SET delivery_status = :status WHERE id = :id",
        status=status,
        id=UUID(message["id"]),
    )


async def quiet(tollgate: Tollgate) -> None:
    """Twilio sends no callbacks on its own."""
    later = {"sending_after": 60, "sent_after": 60, "delivered_after": 60}
    await tollgate.http.patch(f"{tollgate.twilio.url}/_sim/behaviour", json=later)


async def test_messages_of_all_organizations_are_found_by_sid_recipient_and_time(
    tollgate: Tollgate,
) -> None:
    await quiet(tollgate)
    for id_ in ("acme", "bolt"):
        await tollgate.onboard(id_)
    first = await sent(tollgate, "acme", "k1")
    second = await sent(tollgate, "bolt", "k1")
    await sent(tollgate, "bolt", "k2", to="+14155550199")

    assert await found(tollgate, sid=first["provider_sid"]) == [("acme", first["id"])]
    assert await found(tollgate, sid=first["provider_sid"], to="+14155550199") == []
    assert await found(tollgate, to=TO) == [("bolt", second["id"]), ("acme", first["id"])]
    assert await found(tollgate, to=TO, since=second["created_at"]) == [("bolt", second["id"])]
    page = (await tollgate.ask("GET", MESSAGES, params={"to": TO, "limit": "1"})).json()
    assert await found(tollgate, to=TO, cursor=page["next_cursor"]) == [("acme", first["id"])]


async def test_an_earlier_attempt_is_found_by_its_sid(tollgate: Tollgate) -> None:
    await quiet(tollgate)
    await tollgate.onboard()
    message = await sent(tollgate, "acme", "k1")
    earlier = "SM" + "a" * 32
    await run(
        tollgate.services.engine,
        "INSERT INTO attempts (organization_id, message_id, attempt, status, provider_sid)"
        " VALUES ('acme', :id, 0, 'given_back', :sid)",
        id=UUID(message["id"]),
        sid=earlier,
    )

    assert await found(tollgate, sid=earlier) == [("acme", message["id"])]


@pytest.mark.parametrize(
    ("query", "field"),
    [("", "sid"), ("?sid=SM1", "sid"), ("?to=0049", "to"), ("?since=now", "since")],
)
async def test_a_search_names_a_sid_or_a_phone_number(
    tollgate: Tollgate, query: str, field: str
) -> None:
    answer = await tollgate.get(f"{MESSAGES}{query}")
    for_writers = await tollgate.get(f"{MESSAGES}?to=%2B14155550100", scope=Scope.WRITE)

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field
    assert for_writers.status_code == 403


async def test_the_price_of_a_sent_message_is_given_back_once(tollgate: Tollgate) -> None:
    await quiet(tollgate)
    await tollgate.onboard()
    message = await sent(tollgate, "acme", "k1")
    path = f"/v1/organizations/acme/messages/{message['id']}/refund"

    moving = await tollgate.post(path, REASON)
    await final(tollgate, message)
    without_reason = await tollgate.post(path)
    done = await tollgate.post(path, REASON)
    by_sid = path.replace(message["id"], message["provider_sid"])
    again = await tollgate.post(by_sid, REASON)

    assert (moving.status_code, moving.json()["code"]) == (409, "message_not_final")
    assert (without_reason.status_code, without_reason.json()["code"]) == (
        409,
        "message_not_unconfirmed",
    )
    assert (done.status_code, done.json()["status"]) == (200, "accepted"), done.text
    assert (again.status_code, again.json()["code"]) == (409, "message_already_refunded")
    entries = (await tollgate.get("/v1/organizations/acme/wallet/entries")).json()["data"]
    assert [entry["amount"] for entry in entries] == ["0.01", "-0.01", "10.00"]
    assert entries[0]["reference_id"] == f"goodwill:message:{message['id']}:1"
    [act] = (await tollgate.get("/v1/operator-acts")).json()["data"]
    assert (act["act"], act["subject"]) == ("message_refunded", f"message {message['id']}")
    assert await broken_claims(tollgate.services.engine) == set()


async def test_a_message_that_was_refunded_is_not_given_back(tollgate: Tollgate) -> None:
    await quiet(tollgate)
    await tollgate.onboard()
    message = await sent(tollgate, "acme", "k1")
    await run(tollgate.services.engine, "UPDATE messages SET status = 'refused'")

    answer = await tollgate.post(f"/v1/organizations/acme/messages/{message['id']}/refund", REASON)

    assert (answer.status_code, answer.json()["code"]) == (409, "message_already_refunded")


async def test_the_host_application_may_not_use_the_references_of_given_back_prices(
    tollgate: Tollgate,
) -> None:
    await tollgate.onboard()
    id_ = "0195f1d4-0b52-7d19-8a3c-5e1f2b9c4d70"

    answer = await tollgate.credit("1.00", f"goodwill:message:{id_}:1")

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "reference_id")
