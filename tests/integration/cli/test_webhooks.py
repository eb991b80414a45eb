"""`tollgate webhooks` in a shell: an endpoint from its creation to its end."""

import base64
import json

from sqlalchemy.ext.asyncio import AsyncEngine

from db.events import log
from db.outbound import fan_out
from domain.events.catalogue import EventType
from tests.integration.cli.test_commands import tollgate

KEYS = {
    "TOLLGATE_SECRET_KEYS": f"tests:{base64.b64encode(bytes(32)).decode()}",
    "TOLLGATE_OUTBOUND_NETWORKS": "127.0.0.1",
    "TOLLGATE_OUTBOUND_HTTP": "true",
}


async def test_an_endpoint_is_managed_in_a_shell(engine: AsyncEngine, database_url: str) -> None:
    def run(*arguments: str, keys: dict[str, str] = KEYS, status: int = 0) -> str:
        done = tollgate("webhooks", *arguments, database_url=database_url, environment=keys)
        assert done.returncode == status, done.stderr
        return done.stdout if status == 0 else done.stderr

    url = "http://127.0.0.1:8080/hooks"
    assert "TOLLGATE_SECRET_KEYS" in run("create", "https://a.example/", keys={}, status=2)
    made = json.loads(run("create", url, "--type", "organization.reactivated", "--json"))
    id_ = made["id"]
    assert made["secret"].startswith("whsec_")
    changed = json.loads(run("change", id_, "--type", "", "--description", "shop", "--json"))
    assert (changed["types"], changed["description"], changed["url"]) == ([], "shop", url)

    async with engine.begin() as conn:
        await log.append(conn, EventType.ORGANIZATION_REACTIVATED, "acme", {"epoch": 1})
    async with engine.begin() as conn:
        await fan_out.place(conn)
    [delivery] = json.loads(run("deliveries", id_, "--json"))["data"]
    assert delivery["status"] == "pending"
    run("enable", id_, "--skip-pending")
    assert json.loads(run("delivery", id_, str(delivery["id"]), "--json"))["status"] == "skipped"
    assert (
        json.loads(run("replay", id_, "--since", "2020-01-01T00:00:00Z", "--json"))["events"] == 1
    )
    run("delete", id_)
