"""Events are listed by API and command, the newest first, and filtered."""

import json
from datetime import UTC, datetime, timedelta

from db.events import log
from domain.events.catalogue import EventType
from tests.integration.conftest import Tollgate

EVENTS = "/v1/events"


async def happen(tollgate: Tollgate, *organization_ids: str | None) -> None:
    async with tollgate.services.engine.begin() as conn:
        for number, organization_id in enumerate(organization_ids, start=1):
            type_ = EventType.ORGANIZATION_REACTIVATED
            await log.append(conn, type_, organization_id, {"epoch": number})


async def test_events_are_listed_the_newest_first_in_pages(tollgate: Tollgate) -> None:
    await happen(tollgate, "acme", "beta", None)

    first = (await tollgate.get(f"{EVENTS}?limit=2")).json()
    last = (await tollgate.get(f"{EVENTS}?limit=2&cursor={first['next_cursor']}")).json()

    assert [event["organization_id"] for event in first["data"]] == [None, "beta"]
    assert [event["data"] for event in last["data"]] == [{"epoch": 1}]
    assert last["next_cursor"] is None
    assert first["data"][0]["id"].startswith("evt_")
    assert first["data"][0]["version"] == 1


async def test_events_are_filtered_by_type_organization_and_time(tollgate: Tollgate) -> None:
    await happen(tollgate, "acme", "beta")
    await tollgate.onboard(balance="1.00")
    [newest, *_] = (await tollgate.get(EVENTS)).json()["data"]
    later = (datetime.now(UTC) + timedelta(minutes=5)).isoformat().replace("+00:00", "Z")

    async def types(query: str) -> list[str]:
        answer = await tollgate.get(f"{EVENTS}?{query}")
        assert answer.status_code == 200, answer.text
        return [event["type"] for event in answer.json()["data"]]

    assert newest["type"] == "wallet.credited"
    assert newest["data"]["balance"] == "1.00"
    assert await types("organization_id=acme") == ["wallet.credited", "organization.reactivated"]
    assert await types("organization_id=acme&type=wallet.credited") == ["wallet.credited"]
    assert await types("organization_id=nobody") == []
    assert await types(f"since={newest['occurred_at']}") == ["wallet.credited"]
    assert await types(f"since={later}") == []


async def test_one_event_is_read_by_its_id(tollgate: Tollgate) -> None:
    await happen(tollgate, "acme")
    [event] = (await tollgate.get(EVENTS)).json()["data"]

    found = await tollgate.get(f"{EVENTS}/{event['id']}")
    missing = await tollgate.get(f"{EVENTS}/evt_nothing")

    assert found.json() == event
    assert (missing.status_code, missing.json()["code"]) == (404, "event_not_found")


async def test_a_type_that_does_not_exist_is_refused_with_those_that_do(tollgate: Tollgate) -> None:
    unknown = await tollgate.get(f"{EVENTS}?type=moon.landed")
    malformed = await tollgate.get(f"{EVENTS}?organization_id=%20")

    assert unknown.status_code == 422
    assert "organization.suspended" in json.dumps(unknown.json()["errors"])
    assert (malformed.status_code, malformed.json()["errors"][0]["field"]) == (
        422,
        "organization_id",
    )
