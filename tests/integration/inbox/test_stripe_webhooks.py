"""Stripe's webhooks at the API: a 200 means enforced, and events for others are refused."""

import asyncio
import base64
import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import select, text

from api.http.webhook_setups import Setups
from db import alerts
from db.tables.inbox import inbox
from domain.billing.subscription import Provider
from providers.stripe.adapter import API_VERSION
from tests.integration.conftest import Tollgate

ORGANIZATION = "acme"


async def act(tollgate: Tollgate, path: str, **fields: Any) -> dict[str, Any]:
    answer = await tollgate.http.post(
        f"{tollgate.stripe.url}/_sim/{path}", json={"deliver": False, **fields}
    )
    assert answer.is_success, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def subscribe(tollgate: Tollgate) -> str:
    """An active, linked subscription at Stripe; none of its events is delivered."""
    created = await act(tollgate, "subscriptions", organization_id=ORGANIZATION)
    body = {"provider": "stripe", "subscription_id": created["object"]["id"]}
    linked = await tollgate.post(f"/v1/organizations/{ORGANIZATION}/subscription", body)
    assert linked.status_code == 201, linked.text
    return str(created["object"]["id"])


async def deliver(tollgate: Tollgate, **what: Any) -> httpx.Response:
    """An event by its id, or `raw` bytes, as Stripe would sign them."""
    signed = (await tollgate.http.post(f"{tollgate.stripe.url}/_sim/sign", json=what)).json()
    raw = base64.b64decode(signed["body_base64"])
    return await tollgate.http.post(
        f"{tollgate.url}/webhooks/stripe", content=raw, headers=signed["headers"]
    )


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
    [event] = (await act(tollgate, f"subscriptions/{subscription_id}/give_up"))["events"]

    answers = await asyncio.gather(*(deliver(tollgate, event_id=event["id"]) for _ in range(10)))
    after = await tollgate.debit("1.00", "after")

    assert {answer.status_code for answer in answers} == {200}
    assert (before.status_code, after.status_code) == (201, 423)
    assert [row.deliveries for row in await in_the_inbox(tollgate)] == [10]


async def test_the_shutting_event_of_two_in_one_second_counts_until_stripe_contradicts_it_twice(
    tollgate: Tollgate,
) -> None:
    await tollgate.onboard()
    subscription_id = await subscribe(tollgate)
    [unpaid] = (
        await act(tollgate, f"subscriptions/{subscription_id}/set_status", status="unpaid")
    )["events"]
    await act(tollgate, f"subscriptions/{subscription_id}/set_status", status="active")
    body = tollgate.stripe.events.all[unpaid["id"]].body
    assert body is not None
    as_of = (await tollgate.get(f"/v1/organizations/{ORGANIZATION}/subscription")).json()[
        "current"
    ]["as_of"]
    body["created"] = int(datetime.fromisoformat(as_of).timestamp())

    answer = await deliver(tollgate, raw=json.dumps(body))

    assert answer.status_code == 200
    assert await gate(tollgate) == "shut"
    assert "stripe was queried and reports active" in (await in_the_inbox(tollgate))[0].outcome


async def test_an_event_that_opens_waits_for_the_get(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    subscription_id = await subscribe(tollgate)
    [unpaid] = (
        await act(tollgate, f"subscriptions/{subscription_id}/set_status", status="unpaid")
    )["events"]
    await deliver(tollgate, event_id=unpaid["id"])
    events = (await act(tollgate, f"subscriptions/{subscription_id}/set_status", status="active"))[
        "events"
    ]

    answer = await deliver(tollgate, event_id=events[0]["id"])

    assert answer.status_code == 200
    assert await gate(tollgate) == "shut"


@pytest.mark.parametrize("changed", [{"livemode": True}, {"account": "acct_another"}])
async def test_an_event_that_is_not_meant_for_us_is_400_and_not_stored(
    tollgate: Tollgate, changed: dict[str, object]
) -> None:
    await tollgate.onboard()
    subscription_id = await subscribe(tollgate)
    [unpaid] = (
        await act(tollgate, f"subscriptions/{subscription_id}/set_status", status="unpaid")
    )["events"]
    body = tollgate.stripe.events.all[unpaid["id"]].body

    answer = await deliver(tollgate, raw=json.dumps({**(body or {}), **changed}))

    assert answer.status_code == 400
    assert await in_the_inbox(tollgate) == []
    assert await gate(tollgate) == "open"


async def test_an_unknown_status_changes_nothing_and_alerts(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    subscription_id = await subscribe(tollgate)
    [odd] = (
        await act(tollgate, f"subscriptions/{subscription_id}/set_status", status="hibernating")
    )["events"]

    answer = await deliver(tollgate, event_id=odd["id"])

    async with tollgate.services.engine.connect() as conn:
        [alert] = await alerts.standing(conn, ORGANIZATION)
    assert answer.status_code == 200
    assert await gate(tollgate) == "open"
    assert (alert.kind, alert.detail) == ("unknown_status", "stripe: 'hibernating'")


async def test_a_thin_event_is_stored_until_the_provider_is_queried(tollgate: Tollgate) -> None:
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
    "raw",
    [
        "",
        "[]",
        "null",
        "{",
        '{"id": 7}',
        '{"id": "evt_1", "type": "customer.subscription.updated"}',
    ],
)
async def test_an_unreadable_delivery_with_stripes_signature_is_kept(
    tollgate: Tollgate, raw: str
) -> None:
    answer = await deliver(tollgate, raw=raw)

    [stored] = await in_the_inbox(tollgate)
    assert answer.status_code == 200
    assert stored.status == "parked"
    assert stored.outcome.startswith("not understood")


@pytest.mark.parametrize(
    "header",
    [None, "", "t=1", "v1=aa", "t=x,v1=aa", "t=1,v1=\u00e9", "t=" + "9" * 5000 + ",v1=aa", "v1"],
)
async def test_a_signature_that_is_none_is_400(tollgate: Tollgate, header: str | None) -> None:
    headers = {} if header is None else {b"stripe-signature": header.encode("latin-1")}

    answer = await tollgate.http.post(
        f"{tollgate.url}/webhooks/stripe", content=b'{"id": "evt_1"}', headers=headers
    )

    assert answer.status_code == 400
    assert answer.headers["content-type"].startswith("application/problem+json")


OLD = "2024-06-20"


async def negative(tollgate: Tollgate, subscription_id: str, how: str) -> str:
    """A genuinely signed event that reports the subscription as unpaid; nothing newer is on record."""
    statuses = {
        "past_due": "past_due",
        "thin": "unpaid",
        "deleted": "canceled",
        "uncollectible": "unpaid",
    }
    status = statuses.get(how, how)
    await act(tollgate, f"subscriptions/{subscription_id}/set_status", status=status)
    subject: dict[str, Any] = {"id": subscription_id, "status": status, "metadata": {}}
    event_type = "customer.subscription.updated"
    at: dict[str, Any] = {"api_version": OLD, "created": int(time.time()) + 2}
    if how == "deleted":
        event_type, subject = "customer.subscription.deleted", {"id": subscription_id}
    if how == "thin":
        related = {
            "id": subscription_id,
            "type": "subscription",
            "url": f"/v1/subscriptions/{subscription_id}",
        }
        soon = (datetime.now(UTC) + timedelta(seconds=2)).isoformat()
        thin = {
            "id": "evt_thin",
            "object": "v2.core.event",
            "type": "v1.customer.subscription.unpaid",
        }
        return json.dumps({**thin, "livemode": False, "created": soon, "related_object": related})
    event = {"id": f"evt_{how}", "object": "event", "livemode": False, "type": event_type, **at}
    return json.dumps({**event, "data": {"object": subject}})


@pytest.mark.parametrize(
    "how", ["unpaid", "paused", "canceled", "incomplete_expired", "deleted", "thin"]
)
async def test_a_negative_status_of_any_version_shuts_the_gate_before_the_response_while_stripe_is_down(
    tollgate: Tollgate, how: str
) -> None:
    await tollgate.onboard()
    subscription_id = await subscribe(tollgate)
    async with tollgate.services.engine.begin() as conn:  # the paid period is over
        await conn.execute(
            text(
                "UPDATE subscriptions SET access_until = clock_timestamp(), paid_until = "
                "clock_timestamp()"
            )
        )
    raw = await negative(tollgate, subscription_id, how)
    tollgate.stripe.faults.add("503", method="GET", path="/v1/subscriptions")

    answer = await deliver(tollgate, raw=raw)

    assert answer.status_code == 200
    assert (await tollgate.debit("1.00", "after")).status_code == 423


@pytest.mark.parametrize("event_type", ["invoice.payment_failed", "customer.subscription.updated"])
async def test_a_failed_payment_of_any_version_begins_the_grace_period_while_stripe_is_down(
    tollgate: Tollgate, event_type: str
) -> None:
    await tollgate.onboard()
    subscription_id = await subscribe(tollgate)
    subject = {"id": "in_1", "subscription": subscription_id, "status": "open"}
    if event_type.startswith("customer"):
        subject = {"id": subscription_id, "status": "past_due"}
    tollgate.stripe.faults.add("503", method="GET", path="/v1/subscriptions")
    event = {
        "id": "evt_failed",
        "object": "event",
        "api_version": OLD,
        "livemode": False,
        "type": event_type,
    }

    answer = await deliver(
        tollgate,
        raw=json.dumps({**event, "created": int(time.time()) + 2, "data": {"object": subject}}),
    )

    explanation = (await tollgate.get(f"/v1/organizations/{ORGANIZATION}/explain")).json()
    assert answer.status_code == 200
    assert explanation["standing"]["deadline"] is not None


async def test_an_event_without_a_state_queries_the_provider_before_the_response(
    tollgate: Tollgate,
) -> None:
    await tollgate.onboard()
    subscription_id = await subscribe(tollgate)
    await act(tollgate, f"subscriptions/{subscription_id}/set_status", status="unpaid")
    invoice = {"id": "in_1", "subscription": subscription_id, "status": "uncollectible"}
    event = {"id": "evt_1", "object": "event", "api_version": API_VERSION, "livemode": False}
    notification = {
        **event,
        "created": int(time.time()),
        "type": "invoice.marked_uncollectible",
        "data": {"object": invoice},
    }

    answer = await deliver(tollgate, raw=json.dumps(notification))

    assert answer.status_code == 200
    assert await gate(tollgate) == "shut"


async def setup_alerts(tollgate: Tollgate) -> list[tuple[str, int]]:
    async with tollgate.services.engine.connect() as conn:
        standing = await alerts.standing(conn, "")
    return [(alert.detail, alert.times) for alert in standing if alert.kind.startswith("stripe_")]


async def test_events_of_another_version_raise_one_alert_which_goes_when_they_are_right(
    tollgate: Tollgate,
) -> None:
    await tollgate.onboard()
    subscription_id = await subscribe(tollgate)
    [event] = (await act(tollgate, f"subscriptions/{subscription_id}/set_status", status="active"))[
        "events"
    ]
    body = tollgate.stripe.events.all[event["id"]].body or {}
    for number in range(3):
        wrong = {**body, "id": f"evt_{number}", "api_version": OLD}
        assert (await deliver(tollgate, raw=json.dumps(wrong))).status_code == 200
    raised = await setup_alerts(tollgate)

    await deliver(tollgate, event_id=event["id"])

    [(detail, times)] = raised
    assert times == 1
    assert OLD in detail
    assert API_VERSION in detail
    assert await setup_alerts(tollgate) == []


@pytest.mark.parametrize("wrong", ["livemode", "account", "clock"])
async def test_a_refused_delivery_with_stripes_signature_raises_an_alert(
    tollgate: Tollgate, wrong: str
) -> None:
    await tollgate.onboard()
    subscription_id = await subscribe(tollgate)
    [event] = (await act(tollgate, f"subscriptions/{subscription_id}/set_status", status="active"))[
        "events"
    ]
    body = tollgate.stripe.events.all[event["id"]].body or {}
    all_changes: dict[str, dict[str, Any]] = {
        "livemode": {"livemode": True},
        "account": {"account": "acct_another"},
    }
    changed = all_changes.get(wrong, {})
    at = {"at": int(time.time()) - 3600} if wrong == "clock" else {}

    answers = {
        (await deliver(tollgate, raw=json.dumps({**body, **changed}), **at)).status_code
        for _ in range(3)
    }

    [(detail, times)] = raised = await setup_alerts(tollgate)
    assert (await deliver(tollgate, event_id=event["id"])).status_code == 200
    still = await setup_alerts(tollgate)
    async with tollgate.services.engine.begin() as conn:
        await conn.execute(
            text("UPDATE alerts SET last_seen_at = last_seen_at - interval '2 hours'")
        )
    await Setups(tollgate.services.engine).note_refused(Provider.STRIPE, None)
    assert (answers, times, still) == ({400}, 1, raised)
    assert await setup_alerts(tollgate) == []
    assert {"livemode": "live event", "account": "another account", "clock": "clock"}[
        wrong
    ] in detail


async def test_a_signature_that_anybody_could_have_made_raises_no_alert(tollgate: Tollgate) -> None:
    headers = {"stripe-signature": f"t={int(time.time())},v1={'0' * 64}"}

    answer = await tollgate.http.post(
        f"{tollgate.url}/webhooks/stripe", content=b"{}", headers=headers
    )

    assert answer.status_code == 400
    assert await setup_alerts(tollgate) == []
