"""Messages of an organization and of a campaign, found by status, number and time."""

from urllib.parse import quote

import pytest
from sqlalchemy import text

from tests.integration.conftest import Tollgate

ACME = "/v1/organizations/acme"
NUMBERS = [f"+141555501{n:02}" for n in range(5)]


async def numbers(tollgate: Tollgate, path: str) -> list[str]:
    """Of all pages, two messages each."""
    found: list[str] = []
    cursor = ""
    while True:
        joint = "&" if "?" in path else "?"
        answer = await tollgate.get(f"{path}{joint}limit=2{cursor}")
        assert answer.status_code == 200, answer.text
        page = answer.json()
        found += [message["to"] for message in page["data"]]
        if page["next_cursor"] is None:
            return found
        cursor = f"&cursor={page['next_cursor']}"


async def campaign(tollgate: Tollgate) -> str:
    draft = {"name": "Autumn", "body": "Hello", "recipients": NUMBERS}
    created = await tollgate.post(f"{ACME}/campaigns", draft, key="autumn")
    return f"{ACME}/campaigns/{created.json()['id']}/messages"


async def change(tollgate: Tollgate, number: str, values: str) -> None:
    async with tollgate.services.engine.begin() as conn:
        update = f"UPDATE messages SET {values} WHERE recipient = :number"
        await conn.execute(text(update), {"number": number})


async def test_messages_of_a_campaign_are_listed_in_its_order_and_by_status(
    tollgate: Tollgate,
) -> None:
    await tollgate.onboard()
    path = await campaign(tollgate)
    await change(tollgate, NUMBERS[1], "status = 'refused'")
    await change(tollgate, NUMBERS[3], "status = 'reserved'")

    assert await numbers(tollgate, path) == NUMBERS
    assert await numbers(tollgate, f"{path}?status=refused") == [NUMBERS[1]]
    assert await numbers(tollgate, f"{path}?status=pending") == [NUMBERS[n] for n in (0, 2, 3, 4)]
    assert await numbers(tollgate, f"{path}?status=lost") == []
    assert await numbers(tollgate, f"{path}?to={quote(NUMBERS[4])}") == [NUMBERS[4]]
    assert await numbers(tollgate, f"{path}?to={quote(NUMBERS[1])}&status=accepted") == []


async def test_messages_of_an_organization_are_listed_newest_first_single_ones_among_them(
    tollgate: Tollgate,
) -> None:
    await tollgate.onboard()
    await tollgate.onboard("bolt")
    path = f"{ACME}/messages"
    await campaign(tollgate)
    sent = await tollgate.post(path, {"to": "+14155550199", "body": "Hello"}, key="one")
    again = await tollgate.post(path, {"to": NUMBERS[0], "body": "Hello"}, key="two")
    await change(tollgate, NUMBERS[2], "created_at = '2026-01-01T00:00:00Z'")
    late = [NUMBERS[0], "+14155550199"]

    listed = await numbers(tollgate, path)
    assert (listed[:2], listed[-1], len(listed)) == (late, NUMBERS[2], 7)
    assert await numbers(tollgate, f"{path}?status=accepted") == late
    assert len(await numbers(tollgate, f"{path}?status=pending")) == 5
    assert len(await numbers(tollgate, f"{path}?to={quote(NUMBERS[0])}")) == 2
    assert await numbers(tollgate, f"{path}?created_before=2026-01-02T00:00:00Z") == [NUMBERS[2]]
    early = quote(sent.json()["created_at"])
    assert await numbers(tollgate, f"{path}?created_after={early}") == [again.json()["to"]]
    assert await numbers(tollgate, "/v1/organizations/bolt/messages") == []


@pytest.mark.parametrize(
    ("query", "field", "named"),
    [
        ("status=sent", "status", "'accepted'"),
        ("to=0155", "to", "pattern"),
        ("created_after=yesterday", "created_after", "a time such as"),
        ("created_before=1767225600", "created_before", "a time such as"),
        ("body=Hello", "body", "created_after, created_before, cursor, limit, status, to"),
    ],
)
async def test_a_wrong_filter_is_refused_with_what_is_allowed(
    tollgate: Tollgate, query: str, field: str, named: str
) -> None:
    await tollgate.onboard()

    answer = await tollgate.get(f"{ACME}/messages?{query}")

    [error] = answer.json()["errors"]
    assert (answer.status_code, error["field"]) == (422, field)
    assert named in error["message"]


async def test_messages_of_nobody_are_not_found(tollgate: Tollgate) -> None:
    await tollgate.onboard()

    nobody = await tollgate.get("/v1/organizations/nobody/messages")
    none = await tollgate.get(f"{ACME}/campaigns/0198c0de-0000-7000-8000-000000000000/messages")

    assert nobody.json()["code"] == "organization_not_found"
    assert none.json()["code"] == "campaign_not_found"


async def test_a_suspended_organization_hears_so_first_also_where_no_rate_is_set(
    tollgate: Tollgate,
) -> None:
    await tollgate.onboard(price_per_segment=None)
    message = {"to": "+14155550199", "body": "Hello"}
    before = await tollgate.post(f"{ACME}/messages", message, key="one")
    await tollgate.post(f"{ACME}/suspend", {"reason": "abuse"})

    refused = await tollgate.post(f"{ACME}/messages", message, key="one")
    debit = await tollgate.debit("1.00", "order-1")

    assert (before.status_code, before.json()["code"]) == (422, "invalid")
    assert (refused.status_code, refused.json()["code"]) == (423, "suspended")
    assert refused.json()["reasons"] == debit.json()["reasons"]
