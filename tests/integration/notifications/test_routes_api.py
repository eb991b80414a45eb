"""Routes over HTTP and in a shell: their URLs are secrets, and go where they may."""

import json
import subprocess
from typing import Any

import httpx
from sqlalchemy.ext.asyncio import AsyncEngine

from db.api_keys import Scope
from tests.integration.cli.test_commands import tollgate as command
from tests.integration.conftest import SECRET_KEYS, Tollgate
from tests.integration.notifications.receivers import PASSWORD, http_receiver

ROUTES = "/v1/notification-routes"
PUBLIC = f"jsons://ops:{PASSWORD}@ops.example.com/alerts"


async def create(tollgate: Tollgate, url: str = PUBLIC, **changed: Any) -> httpx.Response:
    body = {"name": "on call", "url": url, "severities": ["page"]} | changed
    return await tollgate.post(ROUTES, body)


async def test_a_route_is_made_once_by_its_key_changed_and_deleted(tollgate: Tollgate) -> None:
    body = {"name": "on call", "url": PUBLIC}
    made = [await tollgate.post(ROUTES, body, key="k") for _ in range(2)]
    path = f"{ROUTES}/{made[0].json()['id']}"
    change = {"severities": ["page", "today"], "url": "ntfys://ntfy.example.com/x"}
    changed = await tollgate.ask("PATCH", path, change)
    unchanged = await tollgate.ask("PATCH", path, {})
    deleted = [(await tollgate.ask("DELETE", path)).status_code for _ in range(2)]

    assert [answer.status_code for answer in made] == [201, 200]
    assert made[0].json() == made[1].json()
    assert changed.json() == unchanged.json()
    assert (changed.json()["scheme"], changed.json()["name"]) == ("ntfys", "on call")
    assert deleted == [204, 404]
    assert (await tollgate.get(ROUTES)).json()["data"] == []


async def test_no_answer_contains_a_url(tollgate: Tollgate) -> None:
    made = await create(tollgate)
    refused = await create(tollgate, f"json://ops:{PASSWORD}@10.0.0.1/alerts")
    local = await create(tollgate, f"syslog://{PASSWORD}")
    unknown = await create(tollgate, f"nothing://{PASSWORD}")
    wrong = await create(tollgate, PUBLIC, severities=["high"])
    listed = await tollgate.get(ROUTES)

    assert made.status_code == 201
    for answer in (refused, local, unknown, wrong):
        assert answer.status_code == 422, answer.text
    assert [error["field"] for error in refused.json()["errors"]] == ["url"]
    for answer in (made, refused, local, unknown, wrong, listed):
        assert PASSWORD not in answer.text
        assert "example.com" not in answer.text


async def test_only_operators_see_and_make_routes(tollgate: Tollgate) -> None:
    for method, body in (("GET", None), ("POST", {"name": "x", "url": PUBLIC})):
        answer = await tollgate.ask(method, ROUTES, body, scope=Scope.WRITE)
        assert answer.status_code == 403


async def test_a_test_says_whether_the_channel_accepts_it(tollgate: Tollgate) -> None:
    with http_receiver() as chat:
        path = f"{ROUTES}/{(await create(tollgate, chat.url)).json()['id']}/test"
        accepted = [await tollgate.post(path, key="once") for _ in range(2)]
        chat.status = 500
        refused = await tollgate.post(path)
        unknown = await tollgate.post(f"{ROUTES}/ntr_0/test")

    assert [answer.json() for answer in accepted] == [{"accepted": True, "message": None}] * 2
    assert chat.titles == ["Tollgate: a test"]
    assert refused.json() == {"accepted": False, "message": "it answered with status 500"}
    assert unknown.status_code == 404


def with_url(url: str, *arguments: str, database_url: str) -> subprocess.CompletedProcess[str]:
    """A command that reads the URL from standard input."""
    return command(
        *arguments,
        database_url=database_url,
        environment={
            "TOLLGATE_SECRET_KEYS": SECRET_KEYS,
            "TOLLGATE_OUTBOUND_NETWORKS": "127.0.0.0/8",
        },
        typed=url,
    )


async def test_a_route_is_added_tried_listed_and_removed_in_a_shell(
    engine: AsyncEngine, database_url: str
) -> None:
    with http_receiver() as chat:
        arguments = ("notify", "routes", "add", "--name", "ops", "--severity", "page")
        added = with_url(chat.url, *arguments, database_url=database_url)
        route_id = added.stdout.strip()
        tried = with_url("", "notify", "test", route_id, database_url=database_url)
        chat.status = 500
        dead = with_url("", "notify", "test", route_id, database_url=database_url)
    listed = with_url("", "notify", "routes", "list", "--json", database_url=database_url)
    refused = with_url("syslog://x", *arguments, database_url=database_url)
    removed = [
        with_url("", "notify", "routes", "remove", route_id, database_url=database_url)
        for _ in range(2)
    ]

    assert (added.returncode, tried.returncode, dead.returncode) == (0, 0, 1), added.stderr
    assert chat.titles == ["Tollgate: a test"]
    assert "status 500" in dead.stderr
    [route] = json.loads(listed.stdout)["data"]
    assert (route["id"], route["scheme"], route["severities"]) == (route_id, "json", ["page"])
    assert (refused.returncode, [done.returncode for done in removed]) == (1, [0, 1])
    for done in (added, tried, dead, listed):
        assert PASSWORD not in done.stdout + done.stderr
