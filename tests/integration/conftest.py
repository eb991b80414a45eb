"""The API over real HTTP, with PayPal and Twilio simulated over real HTTP, and without Temporal."""

import asyncio
import base64
import json
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psycopg
import pytest
import pytest_asyncio
from psycopg import sql

from api.app import create_app
from api.http import connections
from api.http.server import Server
from db import api_keys
from db.api_keys import Scope
from devservers.postgres import Postgres
from providers.http import FastClient, fast_client
from runtime import client, settings
from runtime.settings import Settings
from runtime.wiring import Services, services
from simulators.paypal.app import CLIENT_ID, CLIENT_SECRET, PayPalSimulator
from simulators.paypal.certificate import Authority
from simulators.serving import serve
from simulators.stripe.app import API_KEY, WEBHOOK_SECRET, StripeSimulator
from simulators.twilio.app import MAIN_SID, MAIN_TOKEN, TwilioSimulator

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
WEBHOOK_ID = "WH-TEST"
NOWHERE = "127.0.0.1:1"
SECRET_KEYS = f"tests:{base64.b64encode(bytes(32)).decode()}"


@dataclass(slots=True)
class Tollgate:
    """A running API, its simulators, and helpers for the tests."""

    url: str
    http: httpx.AsyncClient
    services: Services
    paypal: PayPalSimulator
    stripe: StripeSimulator
    twilio: TwilioSimulator
    keys: Mapping[Scope, str]
    to_twilio: FastClient
    accounts: dict[str, str] = field(default_factory=dict)

    async def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        scope: Scope | None = Scope.OPERATOR,
        key: str | None = None,
        **options: Any,
    ) -> httpx.Response:
        """`key` is the Idempotency-Key; without a scope no API key is sent."""
        headers: dict[str, str] = options.pop("headers", {})
        if scope is not None:
            headers["Authorization"] = f"Bearer {self.keys[scope]}"
        if key is not None:
            headers["Idempotency-Key"] = key
        if body is not None:
            headers["Content-Type"] = "application/json"
            options["content"] = json.dumps(body)
        return await self.http.request(method, self.url + path, headers=headers, **options)

    async def get(self, path: str, **options: Any) -> httpx.Response:
        return await self.ask("GET", path, **options)

    async def post(self, path: str, body: object = None, **options: Any) -> httpx.Response:
        return await self.ask("POST", path, body, **options)

    async def account(self, **about: object) -> str:
        """A new subaccount at Twilio."""
        response = await self.http.post(f"{self.twilio.url}/_sim/accounts", json=about)
        return str(response.json()["accounts"][0]["sid"])

    async def onboard(
        self, id_: str = "acme", *, balance: str | None = "10.00", **changed: object
    ) -> str:
        """An organization with a price of one cent per segment and money in its wallet."""
        self.accounts[id_] = await self.account(friendly_name=id_)
        response = await self.post(
            "/v1/organizations", organization(id_, self.accounts[id_]) | changed
        )
        assert response.status_code == 201, response.text
        if balance is not None:
            await self.credit(balance, organization_id=id_)
        return id_

    async def subscribe(self, organization_id: str = "acme") -> str:
        """An active, linked subscription at PayPal; none of its events is delivered."""
        about = {"custom_id": organization_id, "deliver": False}
        response = await self.http.post(f"{self.paypal.url}/_sim/subscriptions", json=about)
        id_ = str(response.json()["object"]["id"])
        linked = await self.link(id_, organization_id)
        assert linked.status_code == 201, linked.text
        return id_

    async def link(self, subscription_id: str, organization_id: str = "acme") -> httpx.Response:
        body = {"provider": "paypal", "subscription_id": subscription_id}
        return await self.post(f"/v1/organizations/{organization_id}/subscription", body)

    async def credit(
        self, amount: str, reference: str = "opening", organization_id: str = "acme"
    ) -> httpx.Response:
        body = {"reference_id": reference, "amount": amount, "currency": "USD"}
        return await self.post(f"/v1/organizations/{organization_id}/wallet/credits", body)

    async def debit(
        self, amount: str, reference: str, organization_id: str = "acme"
    ) -> httpx.Response:
        body = {"reference_id": reference, "amount": amount, "currency": "USD"}
        return await self.post(f"/v1/organizations/{organization_id}/wallet/debits", body)

    async def happen(self, subscription_id: str, action: str, **about: object) -> list[str]:
        """Perform an action at PayPal; returns the ids of its events, which are not delivered."""
        url = f"{self.paypal.url}/_sim/subscriptions/{subscription_id}/{action}"
        response = await self.http.post(url, json={"deliver": False, **about})
        assert response.status_code < 300, response.text
        return [
            event["id"] if isinstance(event, dict) else event for event in response.json()["events"]
        ]

    async def signed(
        self, event_id: str | None = None, **about: object
    ) -> tuple[bytes, dict[str, str]]:
        """The body and PayPal's signature headers of an event, or of any `raw` body."""
        body = {**({"event_id": event_id} if event_id else {}), **about}
        document = (await self.http.post(f"{self.paypal.url}/_sim/sign", json=body)).json()
        return base64.b64decode(document["body_base64"]), document["headers"]

    async def deliver(self, raw: bytes, headers: Mapping[str, str]) -> httpx.Response:
        return await self.http.post(
            f"{self.url}/webhooks/paypal", content=raw, headers=dict(headers)
        )

    async def deliver_event(self, event_id: str) -> httpx.Response:
        return await self.deliver(*await self.signed(event_id))

    async def deliver_json(self, event: Mapping[str, object]) -> httpx.Response:
        return await self.deliver(*await self.signed(raw=json.dumps(event)))


def organization(id_: str, account_sid: str) -> dict[str, object]:
    return {
        "id": id_,
        "name": id_.title(),
        "currency": "USD",
        "twilio_account_sid": account_sid,
        "sender": "+15550001199",
        "price_per_segment": "0.01",
    }


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority()


@pytest_asyncio.fixture
async def tollgate(
    database_url: str, authority: Authority, tmp_path: Path
) -> AsyncIterator[Tollgate]:
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    simulated = PayPalSimulator(
        authority=authority, webhook_url=f"{url}/webhooks/paypal", webhook_id=WEBHOOK_ID
    )
    async with (
        at_once(
            serve(simulated),
            serve(StripeSimulator(webhook_url=f"{url}/webhooks/stripe")),
            serve(TwilioSimulator()),
        ) as (paypal, stripe, twilio),
        httpx.AsyncClient(timeout=30, verify=False) as http,
        fast_client() as to_twilio,
        built(url, database_url, paypal, stripe, twilio, tmp_path) as built_services,
        serving(built_services, listener),
    ):
        yield Tollgate(
            url,
            http,
            built_services,
            paypal,
            stripe,
            twilio,
            await keys(built_services),
            to_twilio,
        )


@asynccontextmanager
async def at_once(
    first: AbstractAsyncContextManager[A],
    second: AbstractAsyncContextManager[B],
    third: AbstractAsyncContextManager[C],
) -> AsyncIterator[tuple[A, B, C]]:
    """All three, stopped together: each waits a moment for its connections, which is most of a
    test's teardown.
    """
    entered = await first.__aenter__(), await second.__aenter__(), await third.__aenter__()
    try:
        yield entered
    finally:
        await asyncio.gather(
            *(manager.__aexit__(None, None, None) for manager in (first, second, third))
        )


@asynccontextmanager
async def built(
    url: str,
    database_url: str,
    paypal: PayPalSimulator,
    stripe: StripeSimulator,
    twilio: TwilioSimulator,
    tmp_path: Path,
) -> AsyncIterator[Services]:
    trusted = tmp_path / "ca.pem"
    trusted.write_bytes(paypal.authority.pem)
    to_paypal = settings.PayPal(
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        webhook_ids=(WEBHOOK_ID,),
        base_url=paypal.url,
        cert_origins=(paypal.url,),
        ca_file=trusted,
        verify_online_fallback=False,
    )
    to_stripe = settings.Stripe(
        api_key=API_KEY, webhook_secrets=(WEBHOOK_SECRET,), base_url=stripe.url
    )
    to_twilio = settings.Twilio(account_sid=MAIN_SID, auth_token=MAIN_TOKEN, base_url=twilio.url)
    temporal = await client.connect({"target_host": NOWHERE}, lazy=True)
    common = Settings(
        public_url=url,
        secret_keys=SECRET_KEYS,
        outbound_networks=("127.0.0.1",),
        outbound_http=True,
    )
    async with services(
        common, [to_paypal, to_stripe], to_twilio, temporal, database_url
    ) as built_services:
        yield built_services


@asynccontextmanager
async def serving(built_services: Services, listener: socket.socket) -> AsyncIterator[None]:
    server = Server(connections.config(create_app(built_services)))
    running = asyncio.create_task(server.serve(sockets=[listener]))
    await server.ready.wait()
    try:
        yield
    finally:
        server.stop()
        await running
        listener.close()


@asynccontextmanager
async def database_away(tollgate: Tollgate, server: Postgres) -> AsyncIterator[None]:
    """All connections are closed, and none is accepted, until the block ends."""
    name = str(tollgate.services.engine.url.database)
    identifier = sql.Identifier(name)
    url = server.url("postgres").replace("+psycopg", "")
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as conn:
        await conn.execute(sql.SQL("alter database {} allow_connections false").format(identifier))
        await conn.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", [name]
        )
        try:
            yield
        finally:
            await conn.execute(
                sql.SQL("alter database {} allow_connections true").format(identifier)
            )


async def keys(built_services: Services) -> dict[Scope, str]:
    async with built_services.engine.begin() as conn:
        return {
            scope: (await api_keys.create(conn, name=scope.word, scope=scope))[1] for scope in Scope
        }
