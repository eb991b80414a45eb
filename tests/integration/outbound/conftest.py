"""Queues that deliver to a receiver over real HTTP."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta

import pytest_asyncio
from sqlalchemy.ext.asyncio import AsyncEngine

from db.events import log
from db.outbound import endpoints
from db.outbound.endpoints import Endpoint
from domain.events.catalogue import EventType
from domain.outbound.deliveries import SigningScheme
from providers.outbound import client
from providers.outbound.addresses import network
from providers.outbound.client import Limits, Outbound
from runtime.outbound_endpoints import Endpoints
from runtime.outbound_queues import OutboundQueues
from runtime.outbound_sender import Sender
from runtime.stored_secrets import StoredSecrets
from simulators.receiver import Receiver
from simulators.serving import serve
from tests.builders import ORGANIZATION, onboard, rows, run
from tests.world import until

SECRETS = StoredSecrets([("tests", bytes(32))])
PATIENT = Limits(connect=10.0, total=3.0, rest=0.3)


@dataclass(slots=True)
class Telling:
    """An installation with a receiver; `deliver` runs what a worker runs."""

    engine: AsyncEngine
    receiver: Receiver
    outbound: Outbound
    lease: timedelta = timedelta(seconds=60)
    secrets: dict[str, str] = field(default_factory=dict)

    async def endpoint(
        self,
        path: str = "/hooks",
        *types: str,
        of: tuple[str, ...] = (),
        scheme: SigningScheme = SigningScheme.HMAC,
    ) -> Endpoint:
        """`of` are organizations, which are onboarded."""
        for organization_id in of:
            await onboard(self.engine, organization_id, balance="0")
        async with self.engine.begin() as conn:
            endpoint_id = endpoints.new_id()
            shown = await Endpoints(self.outbound, SECRETS).create(
                conn,
                endpoint_id,
                url=f"{self.receiver.url}{path}",
                description="",
                types=types or (EventType.ORGANIZATION_REACTIVATED.value,),
                organization_ids=of,
                scheme=scheme,
            )
            endpoint = await endpoints.get(conn, endpoint_id)
        assert endpoint is not None
        self.secrets[endpoint_id] = shown
        self.receiver.secrets.append(shown)
        return endpoint

    async def now(self, endpoint: Endpoint) -> Endpoint:
        async with self.engine.begin() as conn:
            found = await endpoints.get(conn, endpoint.id)
        assert found is not None
        return found

    async def happen(self, epoch: int, organization_id: str = ORGANIZATION) -> None:
        async with self.engine.begin() as conn:
            await log.append(
                conn, EventType.ORGANIZATION_REACTIVATED, organization_id, {"epoch": epoch}
            )

    def queues(self) -> OutboundQueues:
        return OutboundQueues(self.engine, Sender(self.outbound, SECRETS), lease=self.lease)

    @asynccontextmanager
    async def delivering(self) -> AsyncIterator[None]:
        running = asyncio.create_task(self.queues().run())
        try:
            yield
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running

    async def until_received(self, number: int, path: str | None = None) -> list[int]:
        """The epochs of what was accepted, in order, once it is so much."""

        async def received() -> bool:
            return len(self.receiver.accepted(path)) >= number

        await until(received, f"{number} events received")
        return [each.data["epoch"] for each in self.receiver.accepted(path)]

    async def until_failed(self, number: int) -> None:
        async def failed() -> bool:
            [row] = await rows(self.engine, "SELECT count(*) FROM webhook_attempts")
            return bool(row.count >= number)

        await until(failed, f"{number} attempts")

    async def settled(self, *, in_time: bool = True) -> None:
        """Wait until nothing is pending; otherwise as if time passed quickly, since on a busy machine
        further attempts may fail.
        """

        async def done() -> bool:
            if not in_time:
                await self.pass_by()
                await asyncio.sleep(0.5)
            [row] = await rows(
                self.engine,
                "SELECT (SELECT count(*) FROM events WHERE NOT fanned_out) +"
                " (SELECT count(*) FROM webhook_deliveries WHERE status = 'pending') AS left",
            )
            return bool(row.left == 0)

        await until(done, "every delivery settled")

    async def pass_by(self) -> None:
        """As if so much time had passed that everything is due."""
        await run(
            self.engine,
            "UPDATE webhook_queues SET due_at = clock_timestamp() WHERE due_at IS NOT NULL",
        )
        await run(self.engine, "UPDATE webhook_endpoints SET retry_at = NULL")


@pytest_asyncio.fixture
async def telling(engine: AsyncEngine) -> AsyncIterator[Telling]:
    async with (
        serve(Receiver()) as receiver,
        client.outbound(listed=[network("127.0.0.1")], http=True, limits=PATIENT) as outbound,
    ):
        yield Telling(engine, receiver, outbound)
