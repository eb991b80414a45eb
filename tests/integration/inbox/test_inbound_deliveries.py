"""Webhook deliveries of all organizations: listed, shown, tried again and dismissed by an operator."""

import json

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from db.api_keys import Scope
from domain.billing.events import EventKind
from tests.builders import event, onboard, receive, rows, run
from tests.integration.conftest import Tollgate

DELIVERIES = "/v1/inbound-deliveries"
REASON = {"reason": "credited as invoice 4711"}


async def arrive(tollgate: Tollgate, id_: str, body: object = None) -> int:
    """A delivery that names a subscription that nobody knows."""
    raw = json.dumps(body or {"id": id_}).encode()
    stored = event(subscription_id=f"I-{id_}", id_=id_)
    return (await receive(tollgate.services.engine, stored, raw)).id


async def found(tollgate: Tollgate, query: str) -> list[str]:
    answer = await tollgate.get(f"{DELIVERIES}?{query}")
    assert answer.status_code == 200, answer.text
    return [delivery["event_id"] for delivery in answer.json()["data"]]


async def recorded(tollgate: Tollgate) -> list[tuple[str, str, str]]:
    acts = (await tollgate.get("/v1/operator-acts")).json()["data"]
    return [(act["act"], act["by"].partition(" ")[0], act["reason"]) for act in acts]


async def test_deliveries_are_found_by_status_provider_organization_and_event(
    tollgate: Tollgate,
) -> None:
    engine = tollgate.services.engine
    await onboard(engine, "acme")
    for id_ in ("E-1", "E-2", "E-3"):
        await arrive(tollgate, id_)
    await run(engine, "UPDATE inbox SET organization_id = 'acme' WHERE event_id = 'E-2'")
    await run(
        engine, "UPDATE inbox SET status = 'handled', handled_at = now() WHERE event_id = 'E-3'"
    )

    assert await found(tollgate, "") == ["E-3", "E-2", "E-1"]
    assert await found(tollgate, "status=parked") == ["E-2", "E-1"]
    assert await found(tollgate, "status=handled") == ["E-3"]
    assert await found(tollgate, "provider=stripe") == []
    assert await found(tollgate, "organization_id=acme") == ["E-2"]
    assert await found(tollgate, "event_id=E-1") == ["E-1"]
    [listed] = (await tollgate.get(f"{DELIVERIES}?event_id=E-1")).json()["data"]
    assert (listed["status"], listed["outcome"]) == ("parked", "unknown subscription I-E-1")


async def test_a_delivery_is_shown_with_its_body_redacted_and_without_its_signature(
    tollgate: Tollgate,
) -> None:
    body = {"id": "E-1", "password": "hunter2", "phone": "+14155550100", "amount": "7.00"}
    id_ = await arrive(tollgate, "E-1", body)

    answer = await tollgate.get(f"{DELIVERIES}/{id_}")
    for_readers = await tollgate.get(f"{DELIVERIES}/{id_}", scope=Scope.READ)
    unknown = await tollgate.get(f"{DELIVERIES}/99")

    assert answer.json()["body"] == {
        "id": "E-1",
        "password": "***",
        "phone": "+1415***00",
        "amount": "7.00",
    }
    assert "headers" not in answer.json()
    assert (for_readers.status_code, unknown.status_code) == (403, 404)
    assert unknown.json()["code"] == "delivery_not_found"


async def test_a_parked_delivery_is_tried_again_at_once_and_who_did_it_is_recorded(
    tollgate: Tollgate,
) -> None:
    engine = tollgate.services.engine
    await onboard(engine, "acme")
    unowned, owned = [await arrive(tollgate, id_) for id_ in ("E-1", "E-2")]
    await run(engine, "UPDATE inbox SET next_attempt_at = now() + interval '1 day'")
    await run(engine, "UPDATE inbox SET organization_id = 'acme' WHERE id = :id", id=owned)

    answers = [
        await tollgate.post(f"{DELIVERIES}/{id_}/retry", REASON, key="k")
        for id_ in (unowned, owned)
    ]

    assert [answer.status_code for answer in answers] == [204, 409], "one key, two deliveries"
    again = await tollgate.post(f"{DELIVERIES}/{owned}/retry", REASON, key="k-2")
    repeated = await tollgate.post(f"{DELIVERIES}/{owned}/retry", REASON, key="k-2")
    without_key = await tollgate.post(f"{DELIVERIES}/{owned}/retry", REASON)
    assert [each.status_code for each in (again, repeated, without_key)] == [204, 204, 404]
    due = await rows(
        engine,
        "SELECT status, next_attempt_at <= now() + interval '1 minute' AS due FROM inbox ORDER BY id",
    )
    assert [tuple(row) for row in due] == [("parked", True), ("unhandled", True)]
    assert await recorded(tollgate) == [("delivery_retried", "operator", REASON["reason"])] * 2


async def test_a_delivery_that_nobody_understood_is_not_tried_again(tollgate: Tollgate) -> None:
    await onboard(tollgate.services.engine, "acme")
    id_ = await arrive(tollgate, "E-1")
    await run(
        tollgate.services.engine,
        "UPDATE inbox SET outcome = 'not understood: no amount', organization_id = 'acme'",
    )

    answer = await tollgate.post(f"{DELIVERIES}/{id_}/retry", REASON)

    assert (answer.status_code, answer.json()["code"]) == (409, "delivery_not_retryable")
    assert await found(tollgate, "status=parked") == ["E-1"]
    assert await recorded(tollgate) == []


@pytest.mark.parametrize("path", [DELIVERIES, "/v1/webhooks/parked"])
async def test_a_dismissal_is_recorded_with_who_and_why(tollgate: Tollgate, path: str) -> None:
    id_ = await arrive(tollgate, "E-1")

    done = await tollgate.post(f"{path}/{id_}/dismiss", REASON)
    again = await tollgate.post(f"{path}/{id_}/dismiss", REASON)

    assert (done.status_code, again.status_code) == (204, 404)
    assert await recorded(tollgate) == [("delivery_dismissed", "operator", REASON["reason"])]


async def test_a_body_that_is_not_json_is_shown_as_text(
    engine: AsyncEngine, tollgate: Tollgate
) -> None:
    stored = await receive(engine, event(kind=EventKind.SUSPENDED, id_="E-1"), b"\xff{")

    shown = (await tollgate.get(f"{DELIVERIES}/{stored.id}")).json()

    assert shown["body"] == "\ufffd{"
