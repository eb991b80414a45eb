"""Organizations found by their standing and by their words, and changed in one place."""

import pytest

from db.api_keys import Scope
from tests.integration.conftest import Tollgate

ORGANIZATIONS = "/v1/organizations"


async def ids(tollgate: Tollgate, query: str) -> list[str]:
    answer = await tollgate.get(f"{ORGANIZATIONS}?{query}")
    assert answer.status_code == 200, answer.text
    return [organization["id"] for organization in answer.json()["data"]]


async def test_organizations_are_found_by_status_block_and_the_beginnings_of_words(
    tollgate: Tollgate,
) -> None:
    for id_, name in (("acme-1", "Acme Ltd"), ("bolt.eu", "Bolt Ltd"), ("coil", "Émile & Söhne")):
        await tollgate.onboard(id_, name=name, balance=None)
    await tollgate.post(f"{ORGANIZATIONS}/bolt.eu/suspend", {"reason": "abuse"})

    assert await ids(tollgate, "status=suspended") == ["bolt.eu"]
    assert await ids(tollgate, "status=active") == ["acme-1", "coil"]
    assert await ids(tollgate, "block=admin") == ["bolt.eu"]
    assert await ids(tollgate, "block=admin&status=active") == []
    assert await ids(tollgate, "block=nonpayment") == []
    assert await ids(tollgate, "q=LT") == ["acme-1", "bolt.eu"]
    assert await ids(tollgate, "q=ltd eu") == ["bolt.eu"]
    assert await ids(tollgate, "q=söh") == ["coil"]
    assert await ids(tollgate, "q=ltd&status=active") == ["acme-1"]
    assert await ids(tollgate, "q=cme") == []
    assert await ids(tollgate, "q=acme-1") == ["acme-1"]
    assert await ids(tollgate, "q=²") == []


@pytest.mark.parametrize(
    ("query", "named"), [("status=parked", "'active' or 'suspended'"), ("block=x", "nonpayment")]
)
async def test_a_wrong_filter_is_refused_with_what_is_allowed(
    tollgate: Tollgate, query: str, named: str
) -> None:
    answer = await tollgate.get(f"{ORGANIZATIONS}?{query}")

    [error] = answer.json()["errors"]
    assert (answer.status_code, error["code"]) == (422, "not_an_option")
    assert named in error["message"]


async def test_a_search_without_a_letter_is_refused(tollgate: Tollgate) -> None:
    answer = await tollgate.get(f"{ORGANIZATIONS}?q=--")

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "q")


async def test_an_organization_carries_its_standing(tollgate: Tollgate) -> None:
    await tollgate.onboard(balance=None)
    await tollgate.post(f"{ORGANIZATIONS}/acme/suspend", {"reason": "abuse"})

    single = (await tollgate.get(f"{ORGANIZATIONS}/acme")).json()
    [listed] = (await tollgate.get(ORGANIZATIONS)).json()["data"]

    assert single == listed
    assert single["standing"]["status"] == "suspended"
    assert [block["code"] for block in single["standing"]["blocks"]] == ["admin"]


async def test_the_pace_is_changed_like_the_rest_and_by_an_operator_alone(
    tollgate: Tollgate,
) -> None:
    await tollgate.onboard(balance=None)
    path = f"{ORGANIZATIONS}/acme"
    pace = {"messages_per_second": 20}

    refused = await tollgate.ask("PATCH", path, pace, scope=Scope.WRITE)
    changed = await tollgate.ask("PATCH", path, pace | {"name": "Acme & Co"})
    renamed = await tollgate.ask("PATCH", path, {"name": "Acme"}, scope=Scope.WRITE)
    unlimited = await tollgate.ask("PATCH", path, {"messages_per_second": None})
    gone = await tollgate.ask("PUT", f"{path}/pace", pace)

    assert (refused.status_code, refused.json()["code"]) == (403, "insufficient_scope")
    assert (changed.json()["messages_per_second"], changed.json()["name"]) == (20, "Acme & Co")
    assert renamed.json()["messages_per_second"] == 20
    assert unlimited.json()["messages_per_second"] is None
    assert gone.status_code == 404


async def test_a_block_is_read_by_its_kind_and_reference(tollgate: Tollgate) -> None:
    await tollgate.onboard(balance=None)
    path = f"{ORGANIZATIONS}/acme/blocks"
    await tollgate.post(f"{ORGANIZATIONS}/acme/suspend", {"reason": "abuse"})

    admin = await tollgate.get(f"{path}/admin")
    [listed] = (await tollgate.get(path)).json()["data"]
    without_notes = await tollgate.get(f"{path}/admin", scope=Scope.READ)
    absent = [await tollgate.get(f"{path}/{name}") for name in ("dispute", "admin/PP-1", "x")]

    assert (admin.json(), admin.json()["reason"]) == (listed, "abuse")
    assert without_notes.json()["reason"] is None
    assert {(answer.status_code, answer.json()["code"]) for answer in absent} == {
        (404, "block_not_found")
    }
