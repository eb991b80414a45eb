"""Organizations found by their standing and by their words, and changed in one place."""

import pytest

from db.api_keys import Scope
from db.billing import carrier
from db.lifecycle import standings
from tests.builders import NOON, subscribe, usd
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


async def test_organizations_are_found_by_the_whole_id_of_their_subaccount_or_subscription(
    tollgate: Tollgate,
) -> None:
    await tollgate.onboard("bolt", balance=None)
    await tollgate.onboard("acme", balance=None)
    account = tollgate.accounts["acme"]
    await subscribe(tollgate.services.engine, "I-BW452GLLEP1G")

    assert await ids(tollgate, f"q={account}") == ["acme"]
    assert await ids(tollgate, f"q={account[:-1]}") == []
    assert await ids(tollgate, "q=I-BW452GLLEP1G") == ["acme"]


async def test_those_that_are_stuck_are_found_with_the_refused_step(tollgate: Tollgate) -> None:
    for id_ in ("acme", "bolt"):
        await tollgate.onboard(id_, balance=None)
    async with tollgate.services.engine.begin() as conn:
        await standings.mark_stuck(conn, "bolt", 0, "suspend_twilio_subaccount", "HTTP 401")

    assert await ids(tollgate, "stuck=true") == ["bolt"]
    assert await ids(tollgate, "stuck=false") == ["acme"]
    [listed] = (await tollgate.get(f"{ORGANIZATIONS}?stuck=true")).json()["data"]
    assert listed["figures"]["stuck"] == {
        "step": "suspend_twilio_subaccount",
        "reason": "HTTP 401",
    }


async def test_each_order_is_read_to_its_end_page_by_page(tollgate: Tollgate) -> None:
    for id_ in ("acme", "bolt", "coil", "dune"):
        await tollgate.onboard(id_, balance=None)
    for id_, owed in (("dune", "2"), ("bolt", "7"), ("coil", "2")):
        async with tollgate.services.engine.begin() as conn:
            await carrier.take_charge(conn, id_, usd(owed).micros, "2026-05-01:sms", NOON)
    await tollgate.post(f"{ORGANIZATIONS}/bolt/suspend", {"reason": "abuse"})

    assert await read_by_ones(tollgate, "sort=id") == ["acme", "bolt", "coil", "dune"]
    assert await read_by_ones(tollgate, "sort=owed") == ["bolt", "coil", "dune"]
    assert await read_by_ones(tollgate, "sort=owed&q=dune") == ["dune"]
    longest = await read_by_ones(tollgate, "sort=since")
    assert sorted(longest) == ["acme", "bolt", "coil", "dune"]
    assert await read_by_ones(tollgate, "sort=-since") == longest[::-1]
    assert await read_by_ones(tollgate, "sort=since&status=active") == ["acme"]
    [first] = (await tollgate.get(f"{ORGANIZATIONS}?sort=owed&limit=1")).json()["data"]
    assert first["figures"]["owed"] == "7.00"


async def test_a_cursor_belongs_to_its_order(tollgate: Tollgate) -> None:
    for id_ in ("acme", "bolt"):
        await tollgate.onboard(id_, balance=None)
    page = (await tollgate.get(f"{ORGANIZATIONS}?limit=1&sort=since")).json()

    answer = await tollgate.get(f"{ORGANIZATIONS}?cursor={page['next_cursor']}")

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "cursor")


async def read_by_ones(tollgate: Tollgate, query: str) -> list[str]:
    found: list[str] = []
    cursor = ""
    while True:
        page = (await tollgate.get(f"{ORGANIZATIONS}?{query}&limit=1{cursor}")).json()
        found += [organization["id"] for organization in page["data"]]
        if page["next_cursor"] is None:
            return found
        cursor = f"&cursor={page['next_cursor']}"


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

    figures = listed.pop("figures")
    assert single == listed
    assert (figures["balance"], figures["owed"], figures["stuck"]) == ("0.00", "0.00", None)
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
