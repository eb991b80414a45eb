"""A complete Tollgate in the test's own process: API, worker and simulators, over real HTTP, on
real servers.
"""

import asyncio
import base64
import socket
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import httpx
import uvicorn
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.types import ASGIApp
from temporalio.client import Client

from activities.workflow_contracts import organization_workflow_id
from api.app import create_app
from db import alerts, api_keys
from db.api_keys import Scope
from db.audit.certify import examine
from db.billing import subscriptions
from db.campaigns import campaigns
from db.campaigns.campaigns import Campaign
from db.inbox import pending_deliveries
from db.lifecycle import organizations, receipts, standings
from db.lifecycle.receipts import Receipt
from db.wallet import wallets
from domain.lifecycle.standing import Standing
from domain.wallet.ledger import Wallet
from runtime import settings
from runtime.wiring import Services, services
from runtime.worker import work
from simulators.paypal.app import CLIENT_ID, CLIENT_SECRET, PayPalSimulator
from simulators.paypal.certificate import Authority
from simulators.paypal.state import DEFAULT_PLAN
from simulators.serving import Server, serve
from simulators.stripe.app import API_KEY, WEBHOOK_SECRET, StripeSimulator
from simulators.twilio.app import MAIN_SID, MAIN_TOKEN, TwilioSimulator
from simulators.twilio.state import Behaviour

WEBHOOK_ID = "WH-TEST"
LIMIT = 180.0
"""Seconds until an unmet condition fails a test: generous, never a measure of speed.
"""
T = TypeVar("T")


@asynccontextmanager
async def serve_app(app: ASGIApp, listener: socket.socket) -> AsyncIterator[str]:
    """Serve an application on a listening socket within the running loop; yields its URL."""
    server = Server(uvicorn.Config(app, log_config=None, access_log=False, ws="none"))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await server.ready.wait()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.stop()
        await serving
        listener.close()


async def until(condition: Callable[[], Awaitable[T]], what: str = "the condition") -> T:
    """Wait until the condition returns a true value, and return it."""
    try:
        async with asyncio.timeout(LIMIT):
            while not (found := await condition()):  # noqa: ASYNC110 - it may come true in another process
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"{what} did not come true in {LIMIT:.0f} seconds") from None
    return found


@dataclass(slots=True)
class World:
    """`api` and `paypal_control` speak HTTP; `services` is what the API and the worker are made
    of.
    """

    services: Services
    paypal: PayPalSimulator
    stripe: StripeSimulator
    twilio: TwilioSimulator
    api: httpx.AsyncClient
    paypal_control: httpx.AsyncClient
    stripe_control: httpx.AsyncClient
    twilio_control: httpx.AsyncClient
    _workers: list[tuple[asyncio.Event, asyncio.Task[None]]] = field(default_factory=list)

    def start_worker(self, client: Client | None = None) -> None:
        """A worker on both queues; `client` is for a world whose own client does not reach
        Temporal.
        """
        built, stop = self.services, asyncio.Event()
        if client is not None:
            built = replace(built, client=client, notifier=replace(built.notifier, client=client))
        queues = (built.settings.lifecycle_task_queue, built.settings.campaign_task_queue)
        self._workers.append((stop, asyncio.create_task(work(built, queues, stop))))

    def heal(self) -> None:
        """Clear every fault, and reset the simulators' behaviour."""
        self.paypal.faults.clear()
        self.stripe.faults.clear()
        self.twilio.faults.clear()
        self.twilio.callbacks.faults.clear()
        self.twilio.state.behaviour.change(Behaviour().to_json())
        self.twilio.state.refuse_to.clear()
        self.twilio.state.fail_to.clear()

    async def stop_workers(self) -> None:
        for stop, _ in self._workers:
            stop.set()
        await asyncio.gather(*(task for _, task in self._workers))
        self._workers.clear()

    async def post(
        self, path: str, body: dict[str, Any] | None = None, *, key: str | None = None
    ) -> dict[str, Any]:
        """POST to the API and expect success."""
        headers = {"idempotency-key": key or uuid.uuid4().hex}
        answer = await self.api.post(path, json=body or {}, headers=headers)
        assert answer.is_success, f"{path}: {answer.status_code} {answer.text}"
        document: dict[str, Any] = answer.json()
        return document

    def simulator(self, provider: str) -> PayPalSimulator | StripeSimulator:
        """By provider name."""
        return self.paypal if provider == "paypal" else self.stripe

    async def act(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Perform an action at PayPal without delivering its events."""
        answer = await self.paypal_control.post(
            f"/_sim/{path}", json={"deliver": False, **(body or {})}
        )
        assert answer.is_success, f"{path}: {answer.status_code} {answer.text}"
        document: dict[str, Any] = answer.json()
        return document

    async def happen(self, path: str, body: dict[str, Any] | None = None) -> list[str]:
        """The same; returns the ids of the events that it causes, in order."""
        return [event["id"] for event in (await self.act(path, body))["events"]]

    async def deliver(self, event_id: str) -> int:
        """POST an event's genuinely signed delivery to our webhook; returns the response's status."""
        signed = await self.sign(event_id)
        answer = await self.api.post("/webhooks/paypal", content=signed[1], headers=signed[0])
        return answer.status_code

    async def lapse(self, subscription_id: str) -> None:
        """PayPal suspends the subscription for non-payment, and its webhook is answered."""
        for event_id in await self.happen(f"subscriptions/{subscription_id}/suspend"):
            assert await self.deliver(event_id) == 200

    async def pay(self, subscription_id: str) -> None:
        """Everything is paid, and the webhooks are answered."""
        for event_id in await self.happen(f"subscriptions/{subscription_id}/pay"):
            assert await self.deliver(event_id) == 200

    async def sign(self, event_id: str) -> tuple[dict[str, str], bytes]:
        parameters = {"event_id": event_id, "webhook_id": WEBHOOK_ID}
        answer = (await self.paypal_control.post("/_sim/sign", json=parameters)).json()
        body = base64.b64decode(answer["body_base64"])
        return answer["headers"], body

    async def organization(
        self,
        *,
        balance: str = "10.00",
        price: str = "0.01",
        grace: int | None = None,
        plan_id: str = DEFAULT_PLAN,
        age: timedelta = timedelta(minutes=1),
    ) -> tuple[str, str]:
        """An organization with a subaccount, money and a subscription that was paid `age` ago: both
        ids.
        """
        name = f"org-{uuid.uuid4().hex[:12]}"
        opened = (
            await self.twilio_control.post("/_sim/accounts", json={"friendly_name": name})
        ).json()
        await self.post(
            "/v1/organizations",
            {
                "id": name,
                "name": name,
                "currency": "USD",
                "twilio_account_sid": opened["accounts"][0]["sid"],
                "sender": "+15550001111",
                "price_per_segment": price,
                "grace_period_seconds": grace,
            },
        )
        began = (datetime.now(UTC) - age).isoformat()
        subscribed = await self.act(
            "subscriptions", {"custom_id": name, "at": began, "plan_id": plan_id}
        )
        await self.post(
            f"/v1/organizations/{name}/subscription",
            {"provider": "paypal", "subscription_id": subscribed["object"]["id"]},
        )
        if balance != "0":
            await self.post(
                f"/v1/organizations/{name}/wallet/credits",
                {"reference_id": "first", "amount": balance, "currency": "USD"},
            )
        return name, subscribed["object"]["id"]

    async def campaign(self, organization_id: str, *, recipients: int, start: bool = True) -> UUID:
        campaign = await self.post(
            f"/v1/organizations/{organization_id}/campaigns",
            {
                "name": "spring",
                "body": "Hello",
                "recipients": [f"+1415555{n:04d}" for n in range(recipients)],
            },
        )
        if start:
            await self.post(f"/v1/organizations/{organization_id}/campaigns/{campaign['id']}/start")
        return UUID(campaign["id"])

    async def read(self, question: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        async with self.services.engine.connect() as conn:
            return await question(conn)

    async def standing(self, organization_id: str) -> Standing:
        found = await self.read(lambda conn: standings.get(conn, organization_id))
        assert found is not None
        return found

    async def wallet(self, organization_id: str) -> Wallet:
        found = await self.read(lambda conn: wallets.get(conn, organization_id))
        assert found is not None
        return found

    async def campaign_now(self, organization_id: str, campaign_id: UUID) -> Campaign:
        found = await self.read(lambda conn: campaigns.get(conn, organization_id, campaign_id))
        assert found is not None
        return found

    async def receipt(self, organization_id: str) -> Receipt:
        [newest] = await self.read(
            lambda conn: receipts.of_organization(conn, organization_id, limit=1)
        )
        return newest

    async def applied(self, organization_id: str, status: str) -> Standing:
        """Wait until a standing with this status is applied everywhere, and the lifecycle has
        recorded it.
        """
        query = text(
            "SELECT applied_at IS NOT NULL FROM standings WHERE organization_id = :organization_id"
        )

        async def reached() -> Standing | None:
            now = await self.standing(organization_id)
            if now.status != status or now.behind:
                return None
            body = {"organization_id": organization_id}
            result = await self.read(lambda conn: conn.execute(query, body))
            return now if result.scalar_one() else None

        found = await until(reached, f"{organization_id} applied as {status}")
        assert found is not None
        return found

    async def at_rest(self, organization_id: str) -> Standing:
        """Wait until every delivery is handled, the standing is applied and the lifecycle is idle;
        returns the standing.
        """

        async def reached() -> Standing | None:
            waits = await self.read(
                lambda conn: pending_deliveries.unhandled(conn, organization_id)
            )
            now = await self.standing(organization_id)
            return None if waits or now.behind else now

        found = await until(reached, f"{organization_id} at rest")
        assert found is not None
        return found

    async def account_sid(self, organization_id: str) -> str:
        found = await self.read(lambda conn: organizations.get(conn, organization_id))
        assert found is not None
        return found.twilio_account_sid

    async def subaccount_status(self, organization_id: str) -> str:
        """The simulator's state, not our record."""
        return self.twilio.state.accounts[await self.account_sid(organization_id)].status

    async def alerts(self, organization_id: str) -> dict[str, str]:
        """The details of the open alerts, by kind."""
        found = await self.read(lambda conn: alerts.standing(conn, organization_id))
        return {alert.kind: alert.detail for alert in found}

    async def debit(self, organization_id: str) -> httpx.Response:
        """Debit a cent from the wallet, under a new reference, whatever the outcome."""
        body = {"reference_id": uuid.uuid4().hex, "amount": "0.01", "currency": "USD"}
        return await self.api.post(f"/v1/organizations/{organization_id}/wallet/debits", json=body)

    async def ring(self, organization_id: str) -> None:
        await self.services.notifier.notify_organization(organization_id)

    async def look_again(self, organization_id: str, *, rings: int = 2) -> Standing:
        """Notify the lifecycle, and wait until it has queried the provider and is idle.

        Twice: the first confirmation may come from a query before the notification.
        """
        for _ in range(rings):
            before = await self.confirmed_at(organization_id)
            await self.ring(organization_id)
            await until(
                partial(self._confirmed_since, organization_id, before),
                f"{organization_id} confirmed anew",
            )
        return await self.at_rest(organization_id)

    async def settle_doubt(self, organization_id: str) -> Standing:
        """Wait until a provider's answer contradicts what shut the gate, let the time pass for
        which it has to stay the same, and wait until the lifecycle is idle.
        """
        doubted = "organization_id = :organization_id AND doubted_at IS NOT NULL"
        body = {"organization_id": organization_id}

        async def contradicted() -> bool:
            query = text(f"SELECT count(*) FROM subscriptions WHERE {doubted}")
            return bool((await self.read(lambda conn: conn.execute(query, body))).scalar_one())

        await until(contradicted, f"an answer for {organization_id} that is doubted")
        earlier = (
            f"UPDATE subscriptions SET doubted_at = doubted_at - interval '1 hour' WHERE {doubted}"
        )
        async with self.services.engine.begin() as conn:
            await conn.execute(text(earlier), body)
        await self.ring(organization_id)
        return await self.at_rest(organization_id)

    async def _confirmed_since(self, organization_id: str, before: datetime | None) -> bool:
        return await self.confirmed_at(organization_id) != before

    async def confirmed_at(self, organization_id: str) -> datetime | None:
        found = await self.read(lambda conn: subscriptions.current(conn, organization_id))
        return found.confirmed_at if found is not None else None

    async def certify(self) -> None:
        broken = [finding for finding in await examine(self.services.engine) if not finding.holds]
        assert not broken, broken

    async def history_length(self, organization_id: str) -> int:
        handle = self.services.client.get_workflow_handle(organization_workflow_id(organization_id))
        return (await handle.describe()).history_length


def _provider_settings(
    paypal_url: str, stripe_url: str, ca_file: Path
) -> list[settings.PayPal | settings.Stripe]:
    to_paypal = settings.PayPal(
        client_id=SecretStr(CLIENT_ID),
        client_secret=SecretStr(CLIENT_SECRET),
        webhook_ids=(WEBHOOK_ID,),
        base_url=paypal_url,
        cert_origins=(paypal_url,),
        ca_file=ca_file,
    )
    to_stripe = settings.Stripe(
        api_key=SecretStr(API_KEY),
        webhook_secrets=(SecretStr(WEBHOOK_SECRET),),
        base_url=stripe_url,
    )
    return [to_paypal, to_stripe]


@asynccontextmanager
async def world(
    database_url: str, client: Client, directory: Path, authority: Authority, **overrides: Any
) -> AsyncIterator[World]:
    """Everything except the worker runs; `overrides` are settings."""
    ca_file = directory / "ca.pem"
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    unique = uuid.uuid4().hex[:8]
    common = settings.Settings(
        public_url=url,
        data_dir=directory,
        lifecycle_task_queue=f"lifecycle-{unique}",
        campaign_task_queue=f"campaigns-{unique}",
        **overrides,
    )
    paypal_simulator = PayPalSimulator(
        webhook_url=f"{url}/webhooks/paypal",
        webhook_id=WEBHOOK_ID,
        ca_file=str(ca_file),
        authority=authority,
    )
    stripe_simulator = StripeSimulator(webhook_url=f"{url}/webhooks/stripe")
    async with (
        serve(paypal_simulator) as paypal,
        serve(stripe_simulator) as stripe,
        serve(TwilioSimulator()) as twilio,
    ):
        providers = _provider_settings(paypal.url, stripe.url, ca_file)
        to_twilio = settings.Twilio(
            account_sid=MAIN_SID, auth_token=SecretStr(MAIN_TOKEN), base_url=twilio.url
        )
        async with (
            services(common, providers, to_twilio, client, database_url) as built,
            serve_app(create_app(built), listener),
        ):
            async with built.engine.begin() as conn:
                _, key = await api_keys.create(conn, name="tests", scope=Scope.OPERATOR)
            async with (
                httpx.AsyncClient(
                    base_url=url,
                    headers={"authorization": f"Bearer {key}"},
                    timeout=LIMIT,
                    verify=False,
                ) as api,
                httpx.AsyncClient(
                    base_url=paypal.url, timeout=LIMIT, verify=False
                ) as paypal_control,
                httpx.AsyncClient(
                    base_url=stripe.url, timeout=LIMIT, verify=False
                ) as stripe_control,
                httpx.AsyncClient(
                    base_url=twilio.url, timeout=LIMIT, verify=False
                ) as twilio_control,
            ):
                new_world = World(
                    services=built,
                    paypal=paypal,
                    stripe=stripe,
                    twilio=twilio,
                    api=api,
                    paypal_control=paypal_control,
                    stripe_control=stripe_control,
                    twilio_control=twilio_control,
                )
                yield new_world
                await new_world.stop_workers()
