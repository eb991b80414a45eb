"""The sample configuration of nginx from the deployment checklist, in front of the API."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from sqlalchemy import text

from tests import nginx
from tests.builders import number
from tests.integration.conftest import Tollgate, organization
from tests.nginx import needs_nginx

pytestmark = needs_nginx
IMPATIENT = {"proxy_read_timeout 60s": "proxy_read_timeout 1s"}
REASON = {"reason": "a test"}
NEVER_RESTING = {"max_fails=3": "max_fails=0"}


@asynccontextmanager
async def outside_of(
    tollgate: Tollgate,
    directory: Path,
    *further: str,
    changes: Mapping[str, str] = nginx.NO_CHANGES,
) -> AsyncIterator[Tollgate]:
    """The API through the sample; `further` are addresses of more processes."""
    async with (
        nginx.nginx(directory, [*further, urlsplit(tollgate.url).netloc], changes) as proxy,
        httpx.AsyncClient(verify=proxy.trusted, timeout=30, headers={"Host": nginx.NAME}) as http,
    ):
        yield replace(tollgate, url=proxy.url, http=http)


@dataclass(slots=True)
class Dying:
    """An API that reads a request and then dies; `requests` is how many it read."""

    address: str = ""
    requests: int = 0

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{listener.getsockname()[1]}"
        async with await asyncio.start_server(self._read, sock=listener):
            yield

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.read(65536):
            self.requests += 1
        writer.close()


async def test_the_api_is_served_through_the_sample(tollgate: Tollgate, tmp_path: Path) -> None:
    await tollgate.onboard()
    subscription_id = await tollgate.subscribe()
    [event_id] = await tollgate.happen(subscription_id, "suspend")
    raw, headers = await tollgate.signed(event_id)

    async with outside_of(tollgate, tmp_path) as outside:
        live = await outside.get("/health/live", scope=None)
        webhook = await outside.deliver(raw, headers)
        refused = await outside.debit("1.00", "d1")
        draft = await outside.post(
            "/v1/organizations/acme/campaigns",
            {"name": "x", "body": "x", "recipients": []},
            key="c1",
        )
        lines = b'{"to": "+14155550100"}\n' * 100_000
        path = f"/v1/organizations/acme/campaigns/{draft.json()['id']}/recipients"
        loaded = await outside.post(
            path, content=lines, headers={"Content-Type": "application/x-ndjson"}, key="r1"
        )
        large = await outside.post("/v1/organizations", {"id": "x" * 5_000_000})
        hidden = [
            (await outside.get(path)).status_code
            for path in ("/docs", "/metrics", "/openapi.json", "/")
        ]

    assert (live.status_code, webhook.status_code, refused.status_code) == (200, 200, 423)
    assert (draft.status_code, loaded.status_code) == (201, 200), loaded.text
    assert large.status_code == 413
    assert hidden == [404, 404, 404, 404]


async def test_paths_and_queries_pass_unchanged(tollgate: Tollgate, tmp_path: Path) -> None:
    account = await tollgate.account()
    assert (
        await tollgate.post("/v1/organizations", organization("a.b-c_d", account))
    ).status_code == 201

    async with outside_of(tollgate, tmp_path) as outside:
        encoded = await outside.get("/v1/organizations/a%2Eb-c_d/can-send")
        keyed = await outside.post("/v1/organizations/a%2Eb-c_d/wallet/freeze", REASON, key="f1")
        doubled = await outside.get("/v1//organizations")

    assert (encoded.status_code, keyed.status_code, doubled.status_code) == (200, 200, 404)


async def test_an_upload_may_take_longer_than_any_other_request(
    tollgate: Tollgate, tmp_path: Path
) -> None:
    await tollgate.onboard()
    draft = await tollgate.post(
        "/v1/organizations/acme/campaigns", {"name": "x", "body": "x", "recipients": []}, key="c1"
    )
    campaign = f"/v1/organizations/acme/campaigns/{draft.json()['id']}"
    recipients = {
        "content": b'{"to": "+14155550100"}\n',
        "headers": {"Content-Type": "application/x-ndjson"},
    }

    async with outside_of(tollgate, tmp_path, changes=IMPATIENT) as outside:
        async with tollgate.services.engine.begin() as conn:
            await conn.execute(text("SELECT FROM campaigns FOR UPDATE"))
            upload = asyncio.create_task(
                outside.post(f"{campaign}/recipients", key="r1", **recipients)
            )
            given_up = await outside.post(f"{campaign}/pause")
        loaded = await upload

    assert (given_up.status_code, loaded.status_code) == (504, 200), loaded.text


async def test_a_request_whose_process_dies_is_repeated_where_that_has_no_further_effect(
    tollgate: Tollgate, tmp_path: Path
) -> None:
    """Two of each: one of them, or its repetition, reaches the process that dies."""
    await tollgate.onboard()
    subscription_id = await tollgate.subscribe()
    [event_id] = await tollgate.happen(subscription_id, "pay")
    raw, headers = await tollgate.signed(event_id)
    freeze = "/v1/organizations/acme/wallet/freeze"
    campaigns = "/v1/organizations/acme/campaigns"
    draft = {"name": "x", "body": "x", "recipients": []}
    dying = Dying()
    statuses: dict[str, set[int]] = {}

    async def twice(name: str, *requests: Awaitable[httpx.Response]) -> None:
        before = dying.requests
        statuses[name] = {(await each).status_code for each in requests}
        assert dying.requests > before, name

    async with (
        dying.serving(),
        outside_of(tollgate, tmp_path, dying.address, changes=NEVER_RESTING) as outside,
    ):
        await twice("webhook", outside.deliver(raw, headers), outside.deliver(raw, headers))
        await twice("debit", outside.debit("1.00", "d1"), outside.debit("1.00", "d2"))
        await twice(
            "campaign",
            outside.post(campaigns, draft, key="c1"),
            outside.post(campaigns, draft, key="c2"),
        )
        await twice("list", outside.get(campaigns), outside.get(campaigns))
        await twice("freeze", outside.post(freeze, REASON), outside.post(freeze, REASON))
    wallet = (await tollgate.get("/v1/organizations/acme/wallet")).json()
    made = await number(tollgate.services.engine, "SELECT count(*) FROM campaigns")

    assert statuses["webhook"] == {200}
    assert statuses["debit"] == {201}
    assert statuses["campaign"] == {201}
    assert statuses["list"] == {200}
    assert 502 in statuses["freeze"]
    assert wallet["balance"] == "8.00"
    assert made == 2
