"""Ledger entries found by their kind and by the time at which they were booked."""

from urllib.parse import quote

import pytest

from tests.integration.conftest import Tollgate

ENTRIES = "/v1/organizations/acme/wallet/entries"


async def references(tollgate: Tollgate, query: str) -> list[str]:
    answer = await tollgate.get(f"{ENTRIES}?{query}")
    assert answer.status_code == 200, answer.text
    return [entry["reference_id"] for entry in answer.json()["data"]]


async def test_entries_are_found_by_kind_and_by_time(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    for number in range(1, 8):
        book = tollgate.credit if number % 3 == 0 else tollgate.debit
        await book("1.00", f"n-{number}")
    entries = (await tollgate.get(ENTRIES)).json()["data"]
    times = {entry["reference_id"]: quote(entry["created_at"]) for entry in entries}

    assert await references(tollgate, "kind=credit") == ["n-6", "n-3", "opening"]
    assert await references(tollgate, "kind=refund") == []
    assert await references(tollgate, f"created_after={times['n-5']}") == ["n-7", "n-6"]
    assert await references(tollgate, f"created_before={times['n-2']}") == ["n-1", "opening"]
    between = f"created_after={times['n-2']}&created_before={times['n-6']}"
    assert await references(tollgate, between) == ["n-5", "n-4", "n-3"]
    assert await references(tollgate, f"{between}&kind=debit") == ["n-5", "n-4"]
    assert await references(tollgate, "created_before=2020-01-01T00:00:00Z") == []
    assert await references(tollgate, "created_after=2100-01-01T00:00:00Z") == []
    assert len(await references(tollgate, "created_after=2020-01-01T00:00:00Z")) == 8


@pytest.mark.parametrize(
    ("query", "named"), [("kind=payment", "'credit'"), ("created_after=1767225600", "a time such")]
)
async def test_a_wrong_filter_is_refused_with_what_is_allowed(
    tollgate: Tollgate, query: str, named: str
) -> None:
    await tollgate.onboard()

    answer = await tollgate.get(f"{ENTRIES}?{query}")

    assert answer.status_code == 422
    assert named in answer.json()["errors"][0]["message"]
