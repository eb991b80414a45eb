"""Stripe's webhooks at our door: answered means enforced, and what is not meant for us is refused."""

import asyncio
import base64
import json
from datetime import datetime
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from db import alerts
from db.tables import inbox
from tests.integration.api.conftest import Tollgate

ORGANIZATION = "acme"


async def act(tollgate: Tollgate, path: str, **asked: Any) -> dict[str, Any]:
    answer = await tollgate.http.post(f"{tollgate.stripe.url}/_sim/{path}", json={"deliver": False, **asked})
    assert answer.is_success, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def subscribe(tollgate: Tollgate) -> str:
    """An active subscription at Stripe, linked; nothing of it is delivered."""
    made = await act(tollgate, "subscriptions", organization_id=ORGANIZATION)
    body = {"provider": "stripe", "subscription_id": made["object"]["id"]}
    linked = await tollgate.post(f"/v1/organizations/{ORGANIZATION}/subscription", body)
    assert linked.status_code == 201, linked.text
    return str(made["object"]["id"])


async def deliver(tollgate: Tollgate, **what: Any) -> httpx.Response:
    """An event by its id, or `raw` bytes, as Stripe would sign them."""
    signed = (await tollgate.http.post(f"{tollgate.stripe.url}/_sim/sign", json=what)).json()
    raw = base64.b64decode(signed["body_base64"])
    return await tollgate.http.post(f"{tollgate.url}/webhooks/stripe", content=raw, headers=signed["headers"])


async def gate(tollgate: Tollgate) -> str:
    return str((await tollgate.get(f"/v1/organizations/{ORGANIZATION}/wallet")).json()["gate"])


async def in_the_inbox(tollgate: Tollgate) -> list[Any]:
    async with tollgate.services.engine.connect() as conn:
        return list(await conn.execute(select(inbox).order_by(inbox.c.id)))


async def test_when_a_suspension_is_acknowledged_no_debit_commits(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    subscription_id = await subscribe(tollgate)
    before = await tollgate.debit("1.00", "before")
    await act(tollgate, f"subscriptions/{subscription_id}/fail_payment")
    [told] = (await act(tollgate, f"subscriptions/{subscription_id}/give_up"))["events"]

    answers = await asyncio.gather(*(deliver(tollgate, event_id=told["id"]) for _ in range(10)))
    after = await tollgate.debit("1.00", "after")

    assert {answer.status_code for answer in answers} == {200}
    assert (before.status_code, after.status_code) == (201, 423)
    assert [row.deliveries for row in await in_the_inbox(tollgate)] == [10]


async def test_of_two_events_of_one_second_the_one_that_shuts_counts_until_stripe_contradicts_it_twice(
    tollgate: Tollgate,
) -> None:
    await tollgate.onboard()
    subscription_id = await subscribe(tollgate)
    [unpaid] = (await act(tollgate, f"subscriptions/{subscription_id}/set_status", status="unpaid"))["events"]
    await act(tollgate, f"subscriptions/{subscription_id}/set_status", status="active")
    body = tollgate.stripe.events.all[unpaid["id"]].body
    assert body is not None
    known = (await tollgate.get(f"/v1/organizations/{ORGANIZATION}/subscription")).json()["current"]["as_of"]
    body["created"] = int(datetime.fromisoformat(known).timestamp())

    answer = await deliver(tollgate, raw=json.dumps(body))

    assert answer.status_code == 200
    assert await gate(tollgate) == "shut"
    assert "stripe was asked and says active" in (await in_the_inbox(tollgate))[0].outcome


async def test_an_event_that_opens_waits_for_the_get(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    subscription_id = await subscribe(tollgate)
    [unpaid] = (await act(tollgate, f"subscriptions/{subscription_id}/set_status", status="unpaid"))["events"]
    await deliver(tollgate, event_id=unpaid["id"])
    events = (await act(tollgate, f"subscriptions/{subscription_id}/set_status", status="active"))["events"]

    answer = await deliver(tollgate, event_id=events[0]["id"])

    assert answer.status_code == 200
    assert await gate(tollgate) == "shut"


@pytest.mark.parametrize("changed", [{"livemode": True}, {"account": "acct_another"}])
async def test_an_event_that_is_not_meant_for_us_is_400_and_not_stored(
    tollgate: Tollgate, changed: dict[str, object]
) -> None:
    await tollgate.onboard()
    subscription_id = await subscribe(tollgate)
    [unpaid] = (await act(tollgate, f"subscriptions/{subscription_id}/set_status", status="unpaid"))["events"]
    body = tollgate.stripe.events.all[unpaid["id"]].body

    answer = await deliver(tollgate, raw=json.dumps({**(body or {}), **changed}))

    assert answer.status_code == 400
    assert await in_the_inbox(tollgate) == []
    assert await gate(tollgate) == "open"


async def test_an_unknown_status_changes_nothing_and_alerts(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    subscription_id = await subscribe(tollgate)
    [odd] = (await act(tollgate, f"subscriptions/{subscription_id}/set_status", status="hibernating"))["events"]

    answer = await deliver(tollgate, event_id=odd["id"])

    async with tollgate.services.engine.connect() as conn:
        [alert] = await alerts.standing(conn, ORGANIZATION)
    assert answer.status_code == 200
    assert await gate(tollgate) == "open"
    assert (alert.kind, alert.detail) == ("unknown_status", "stripe: 'hibernating'")


async def test_a_thin_event_is_stored_for_the_provider_to_be_asked(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    subscription_id = await subscribe(tollgate)
    thin = {
        "id": "evt_thin_1",
        "object": "v2.core.event",
        "type": "v1.customer.subscription.updated",
        "livemode": False,
        "created": "2026-11-24T12:00:00.000Z",
        "related_object": {
            "id": subscription_id,
            "type": "subscription",
            "url": f"/v1/subscriptions/{subscription_id}",
        },
    }

    answer = await deliver(tollgate, raw=json.dumps(thin))

    [stored] = await in_the_inbox(tollgate)
    assert answer.status_code == 200
    assert (stored.organization_id, stored.status, stored.event_type) == (
        ORGANIZATION,
        "unhandled",
        "customer.subscription.updated",
    )
    assert "stripe-signature" in stored.headers  # so that it can be verified again


@pytest.mark.parametrize(
    "raw", ["", "[]", "null", "{", '{"id": 7}', '{"id": "evt_1", "type": "customer.subscription.updated"}']
)
async def test_what_stripe_signed_but_nobody_understands_is_kept(tollgate: Tollgate, raw: str) -> None:
    answer = await deliver(tollgate, raw=raw)

    [stored] = await in_the_inbox(tollgate)
    assert answer.status_code == 200
    assert stored.status == "parked"
    assert stored.outcome.startswith("not understood")


@pytest.mark.parametrize(
    "header", [None, "", "t=1", "v1=aa", "t=x,v1=aa", "t=1,v1=\u00e9", "t=" + "9" * 5000 + ",v1=aa", "v1"]
)
async def test_a_signature_that_is_none_is_400(tollgate: Tollgate, header: str | None) -> None:
    headers = {} if header is None else {b"stripe-signature": header.encode("latin-1")}

    answer = await tollgate.http.post(f"{tollgate.url}/webhooks/stripe", content=b'{"id": "evt_1"}', headers=headers)

    assert answer.status_code == 400
    assert answer.headers["content-type"].startswith("application/problem+json")
