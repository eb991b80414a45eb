"""A webhook answered with 200 is stored, and an organization that it suspends cannot spend;
Temporal is down throughout.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import func, select, text

from db.tables.inbox import inbox
from db.tables.lifecycle import receipts
from db.tables.wallet import gate_changes
from devservers.postgres import Postgres
from tests.integration.conftest import Tollgate, database_away

ANY = "2026-11-01T12:00:00Z"


async def rows(tollgate: Tollgate) -> list[tuple[str, str, str, int]]:
    """Event type, status, outcome and number of deliveries of each row of the inbox."""
    query = select(
        inbox.c.event_type, inbox.c.status, inbox.c.outcome, inbox.c.deliveries
    ).order_by(inbox.c.id)
    async with tollgate.services.engine.connect() as conn:
        return [
            (row.event_type, row.status, row.outcome, row.deliveries)
            for row in await conn.execute(query)
        ]


async def gate(tollgate: Tollgate) -> str:
    return str((await tollgate.get("/v1/organizations/acme/wallet")).json()["gate"])


def suspended(subscription_id: str, at: str | None, id_: str = "WH-1") -> dict[str, object]:
    resource = {"id": subscription_id, "status": "SUSPENDED", "custom_id": "acme"}
    if at is not None:
        resource["status_update_time"] = at
    event: dict[str, object] = {
        "id": id_,
        "event_type": "BILLING.SUBSCRIPTION.SUSPENDED",
        "resource": resource,
    }
    return event | {"create_time": at or "2026-11-23T00:00:00Z"}


async def test_when_a_suspension_is_acknowledged_no_debit_commits(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    subscription_id = await tollgate.subscribe()
    before = await tollgate.debit("1.00", "before")
    [event_id] = await tollgate.happen(subscription_id, "suspend", by="nonpayment")

    answer = await tollgate.deliver_event(event_id)
    after = await tollgate.debit("1.00", "after")

    assert (before.status_code, answer.status_code, after.status_code) == (201, 200, 423)
    assert after.json()["reasons"] == [
        {"code": "nonpayment", "message": "the subscription is not paid"}
    ]


async def test_a_suspension_is_enforced_while_paypals_api_is_down_from_its_certificate_alone(
    tollgate: Tollgate,
) -> None:
    await tollgate.onboard()
    subscription_id = await tollgate.subscribe()
    [event_id] = await tollgate.happen(subscription_id, "suspend", by="nonpayment")
    raw, headers = await tollgate.signed(event_id)
    fault = {"kind": "503", "path": "/v1/(oauth2|billing|notifications/verify-webhook-signature)"}
    await tollgate.http.post(f"{tollgate.paypal.url}/_sim/faults", json=fault)

    answer = await tollgate.deliver(raw, headers)

    assert (answer.status_code, await gate(tollgate)) == (200, "shut")


async def test_debits_in_flight_stop_at_the_answer(tollgate: Tollgate) -> None:
    await tollgate.onboard(balance="1000.00")
    subscription_id = await tollgate.subscribe()
    [event_id] = await tollgate.happen(subscription_id, "suspend")
    raw, headers = await tollgate.signed(event_id)
    answered = asyncio.Event()
    late = []

    async def spend(lane: int) -> None:
        for number in range(40):
            after_the_answer = answered.is_set()
            outcome = await tollgate.debit("0.01", f"{lane}-{number}")
            if after_the_answer:
                late.append(outcome.status_code)

    async def suspend() -> None:
        await asyncio.sleep(0.1)
        assert (await tollgate.deliver(raw, headers)).status_code == 200
        answered.set()

    await asyncio.gather(suspend(), *(spend(lane) for lane in range(4)))

    assert set(late) == {423}


async def test_the_same_event_25_times_at_once_is_200_each_time_and_suspends_once(
    tollgate: Tollgate,
) -> None:
    await tollgate.onboard()
    subscription_id = await tollgate.subscribe()
    [event_id] = await tollgate.happen(subscription_id, "suspend")
    raw, headers = await tollgate.signed(event_id)
    gates = []

    async def deliver() -> int:
        status = (await tollgate.deliver(raw, headers)).status_code
        gates.append(await gate(tollgate))
        return status

    answers = await asyncio.gather(*(deliver() for _ in range(25)))

    assert set(answers) == {200}
    assert set(gates) == {"shut"}
    async with tollgate.services.engine.connect() as conn:
        shut = (await conn.execute(select(func.count()).select_from(gate_changes))).scalar_one()
        begun = (await conn.execute(select(func.count()).select_from(receipts))).scalar_one()
    assert (shut, begun) == (1, 1)
    assert [row[3] for row in await rows(tollgate)] == [25]


async def test_an_older_event_that_comes_late_changes_nothing(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    subscription_id = await tollgate.subscribe()

    answer = await tollgate.deliver_json(suspended(subscription_id, "2026-01-01T00:00:00Z"))

    assert answer.status_code == 200
    assert await gate(tollgate) == "open"
    assert "older than the recorded state" in (await rows(tollgate))[0][2]


async def test_an_event_of_an_already_seen_second_queries_the_provider_and_shuts_until_its_answer_is_repeated(
    tollgate: Tollgate,
) -> None:
    await tollgate.onboard()
    subscription_id = await tollgate.subscribe()
    now = (await tollgate.get("/v1/organizations/acme/subscription")).json()["current"]["as_of"]

    same_second = await tollgate.deliver_json(suspended(subscription_id, now))

    assert same_second.status_code == 200
    assert await gate(tollgate) == "shut"  # the answer may be the earlier state
    assert "paypal was queried and reports ACTIVE" in (await rows(tollgate))[0][2]


async def test_an_unclear_suspension_that_the_provider_confirms_shuts_the_gate(
    tollgate: Tollgate,
) -> None:
    await tollgate.onboard()
    subscription_id = await tollgate.subscribe()
    now = (await tollgate.get("/v1/organizations/acme/subscription")).json()["current"]["as_of"]
    await tollgate.happen(subscription_id, "suspend")

    await tollgate.deliver_json(suspended(subscription_id, now))

    assert await gate(tollgate) == "shut"
    assert "reports SUSPENDED" in (await rows(tollgate))[0][2]


async def test_an_unclear_suspension_shuts_the_gate_when_the_provider_does_not_answer(
    tollgate: Tollgate,
) -> None:
    await tollgate.onboard()
    subscription_id = await tollgate.subscribe()
    now = (await tollgate.get("/v1/organizations/acme/subscription")).json()["current"]["as_of"]
    fault = {"kind": "slow", "seconds": 20, "path": "/v1/billing/subscriptions"}
    await tollgate.http.post(f"{tollgate.paypal.url}/_sim/faults", json=fault)

    answer = await tollgate.deliver_json(suspended(subscription_id, now))

    assert answer.status_code == 200
    assert answer.elapsed.total_seconds() < 5
    assert await gate(tollgate) == "shut"


async def test_a_forged_event_of_the_future_does_not_suspend_while_the_provider_says_active(
    tollgate: Tollgate,
) -> None:
    await tollgate.onboard()
    subscription_id = await tollgate.subscribe()

    await tollgate.deliver_json(suspended(subscription_id, "2099-01-01T00:00:00Z"))

    assert await gate(tollgate) == "open"


async def test_a_wrong_signature_is_400_and_nothing_is_stored(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    subscription_id = await tollgate.subscribe()
    [event_id] = await tollgate.happen(subscription_id, "suspend")
    raw, headers = await tollgate.signed(event_id)

    changed = await tollgate.deliver(raw + b" ", headers)
    unsigned = await tollgate.deliver(raw, {})
    other = await tollgate.deliver(*await tollgate.signed(event_id, webhook_id="WH-OTHER"))
    untrusted = await tollgate.deliver(*await tollgate.signed(event_id, certificate="other_ca"))

    for answer in (changed, unsigned, other, untrusted):
        assert answer.status_code == 400
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["type"].endswith("invalid_signature")
    assert await rows(tollgate) == []
    assert await gate(tollgate) == "open"


async def test_a_signature_that_cannot_be_checked_now_is_503(tollgate: Tollgate) -> None:
    raw, headers = await tollgate.signed(raw=json.dumps(suspended("I-1", ANY)))
    fault = {"kind": "503", "path": "/v1/notifications/certs"}
    await tollgate.http.post(f"{tollgate.paypal.url}/_sim/faults", json=fault)

    answer = await tollgate.deliver(raw, headers)

    assert answer.status_code == 503
    assert "retry-after" in answer.headers
    assert await rows(tollgate) == []


@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_over_the_limit_is_413(tollgate: Tollgate, declared: bool) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(9):
            yield b"x" * 65536

    content = b"x" * (9 * 65536) if declared else parts()
    answer = await tollgate.http.post(f"{tollgate.url}/webhooks/paypal", content=content)

    assert answer.status_code == 413
    assert answer.json()["type"].endswith("body_too_large")


ODD_EVENTS: list[tuple[dict[str, object], str, str]] = [
    (
        {"id": "1", "event_type": "VAULT.SOMETHING.NEW", "create_time": ANY, "resource": {}},
        "handled",
        "nothing",
    ),
    (suspended("I-UNKNOWN", ANY, "2"), "parked", "unknown subscription I-UNKNOWN"),
    (
        suspended("I-UNKNOWN", ANY, "3") | {"create_time": "2026-19-45"},
        "parked",
        "unknown subscription",
    ),
    (
        {"id": "4", "event_type": "BILLING.SUBSCRIPTION.SUSPENDED", "create_time": ANY},
        "parked",
        "not understood",
    ),
    ({"event_type": "BILLING.SUBSCRIPTION.SUSPENDED"}, "parked", "not understood"),
    ({}, "parked", "not understood"),
    (
        {"id": 7, "event_type": ["x"], "create_time": 1, "resource": "text"},
        "parked",
        "not understood",
    ),
    (
        {"id": "W\0H", "event_type": "BILLING.\ud800", "resource": {"id": "\0"}},
        "parked",
        "not understood",
    ),
]


async def test_an_event_without_a_consequence_is_stored_and_answered_with_200(
    tollgate: Tollgate,
) -> None:
    for event, _, _ in ODD_EVENTS:
        assert (await tollgate.deliver_json(event)).status_code == 200

    stored = await rows(tollgate)
    assert len(stored) == len(ODD_EVENTS)
    for row, (_, status, outcome) in zip(stored, ODD_EVENTS, strict=True):
        assert (row[1], row[2][: len(outcome)]) == (status, outcome)


async def test_a_signed_body_that_is_no_event_is_stored_and_answered_with_200(
    tollgate: Tollgate,
) -> None:
    for raw in ("not json", "[1,2]", "", "[" * 100_000):
        assert (await tollgate.deliver(*await tollgate.signed(raw=raw))).status_code == 200

    assert [row[1] for row in await rows(tollgate)] == ["parked"] * 4


async def test_a_database_that_is_down_is_503_and_the_next_delivery_suspends(
    tollgate: Tollgate, postgres: Postgres
) -> None:
    await tollgate.onboard()
    subscription_id = await tollgate.subscribe()
    [event_id] = await tollgate.happen(subscription_id, "suspend")
    raw, headers = await tollgate.signed(event_id)

    async with database_away(tollgate, postgres):
        refused = await tollgate.deliver(raw, headers)
    taken = await tollgate.deliver(raw, headers)

    assert (refused.status_code, taken.status_code) == (503, 200)
    assert "retry-after" in refused.headers
    assert await gate(tollgate) == "shut"


async def test_a_delivery_that_was_stored_and_not_folded_is_folded_when_it_comes_again(
    tollgate: Tollgate,
) -> None:
    await tollgate.onboard()
    subscription_id = await tollgate.subscribe()
    [event_id] = await tollgate.happen(subscription_id, "suspend")
    raw, headers = await tollgate.signed(event_id)
    async with tollgate.services.engine.begin() as conn:
        await conn.execute(text("ALTER TABLE standings RENAME TO away"))
    first = await tollgate.deliver(raw, headers)
    async with tollgate.services.engine.begin() as conn:
        await conn.execute(text("ALTER TABLE away RENAME TO standings"))
    kept = await rows(tollgate)

    second = await tollgate.deliver(raw, headers)

    assert (first.status_code, second.status_code) == (503, 200)
    assert [(status, outcome) for _, status, outcome, _ in kept] == [("unhandled", "")]
    assert await gate(tollgate) == "shut"


async def test_a_webhook_never_opens_a_gate(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    subscription_id = await tollgate.subscribe()
    [event_id] = await tollgate.happen(subscription_id, "suspend")
    await tollgate.deliver_event(event_id)
    resource = {
        "id": subscription_id,
        "status": "ACTIVE",
        "status_update_time": datetime.now(UTC).isoformat(),
    }
    activated = {
        "id": "WH-9",
        "event_type": "BILLING.SUBSCRIPTION.ACTIVATED",
        "create_time": ANY,
        "resource": resource,
    }

    answer = await tollgate.deliver_json(activated)

    assert answer.status_code == 200
    assert await gate(tollgate) == "shut"
    assert (await tollgate.debit("0.01", "d")).status_code == 423


async def test_events_of_a_subscription_that_is_not_the_current_one_change_nothing(
    tollgate: Tollgate,
) -> None:
    await tollgate.onboard()
    first = await tollgate.subscribe()
    await tollgate.subscribe()
    [event_id] = await tollgate.happen(first, "cancel")

    assert (await tollgate.deliver_event(event_id)).status_code == 200
    assert await gate(tollgate) == "open"


async def test_a_suspension_dated_in_month_19_shuts_the_gate_before_the_response_while_paypal_is_down(
    tollgate: Tollgate,
) -> None:
    """As PayPal's own simulator signs them; nothing shows that it is old."""
    await tollgate.onboard()
    subscription_id = await tollgate.subscribe()
    tollgate.paypal.faults.add("503", method="GET", path="/v1/billing/subscriptions")
    event = suspended(subscription_id, None) | {"create_time": "2018-19-12T22:20:32.000Z"}

    answer = await tollgate.deliver_json(event)

    assert answer.status_code == 200
    assert (await tollgate.debit("1.00", "after")).status_code == 423
