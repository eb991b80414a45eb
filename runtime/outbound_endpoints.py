"""Makes, changes and tests webhook endpoints: what the API and the command line have in common."""

import json
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from db.lifecycle import organizations
from db.outbound import deliveries, endpoints, outcomes
from db.outbound.endpoints import Endpoint
from db.outbound.queues import Attempt
from domain.outbound.deliveries import SigningScheme
from providers.outbound import signatures
from providers.outbound.client import Outbound
from runtime.outbound_sender import Sender, legible, reason
from runtime.stored_secrets import StoredSecrets

TEST = "webhook.test"


class NoKeys(Exception):
    """No setting says with what secrets are encrypted."""

    def __init__(self) -> None:
        super().__init__("TOLLGATE_SECRET_KEYS is not set: no secret can be stored")


class UnknownOrganization(Exception):
    """The message is its id."""


class Endpoints:
    """Its functions commit nothing, except `test`."""

    def __init__(self, outbound: Outbound, stored: StoredSecrets) -> None:
        self._outbound = outbound
        self._stored = stored

    def check(self, url: str) -> None:
        """Raises providers.outbound.urls.Refused."""
        self._outbound.check(url)

    async def create(
        self,
        conn: AsyncConnection,
        endpoint_id: str,
        *,
        url: str,
        description: str,
        types: Sequence[str],
        organization_ids: Sequence[str],
        scheme: SigningScheme,
    ) -> str:
        """Returns what its events are verified with, which is not shown again. Raises NoKeys,
        UnknownOrganization and providers.outbound.urls.Refused.
        """
        self.check(url)
        await check_organizations(conn, organization_ids)
        await endpoints.create(
            conn,
            endpoint_id,
            url=url,
            description=description,
            types=types,
            organization_ids=organization_ids,
        )
        return await self._add_secret(conn, endpoint_id, scheme, overlap_until=None)

    async def rotate(
        self,
        conn: AsyncConnection,
        endpoint_id: str,
        *,
        scheme: SigningScheme | None,
        overlap: timedelta,
        now: datetime,
    ) -> str:
        """Returns the new secret. Raises NoKeys."""
        if scheme is None:
            valid = await endpoints.valid_secrets(conn, [endpoint_id], now=now)
            scheme = valid[endpoint_id][0].scheme if valid[endpoint_id] else SigningScheme.HMAC
        return await self._add_secret(conn, endpoint_id, scheme, overlap_until=now + overlap)

    async def _add_secret(
        self,
        conn: AsyncConnection,
        endpoint_id: str,
        scheme: SigningScheme,
        *,
        overlap_until: datetime | None,
    ) -> str:
        if not self._stored.can_encrypt:
            raise NoKeys
        key = signatures.new_key(scheme.value)
        await endpoints.add_secret(
            conn,
            endpoint_id,
            scheme=scheme,
            encrypted=self._stored.encrypted(key.raw, endpoint_id),
            public_key=key.shown if key.is_public else None,
            overlap_until=overlap_until,
        )
        return key.shown

    async def test(self, engine: AsyncEngine, endpoint: Endpoint) -> Attempt:
        """Send an event of a type that nothing else has, at once: beside the queue, also to a
        disabled endpoint. The attempt is kept; no health counts it.
        """
        now = datetime.now(UTC)
        async with engine.begin() as conn:
            valid = await endpoints.valid_secrets(conn, [endpoint.id], now=now)
        event_id = f"evt_test_{secrets.token_hex(12)}"
        document: dict[str, object] = {
            "id": event_id,
            "type": TEST,
            "timestamp": now.isoformat().replace("+00:00", "Z"),
            "organization_id": None,
            "data": {},
        }
        answer = await Sender(self._outbound, self._stored).post(
            event_id, json.dumps(document).encode(), endpoint.url, valid[endpoint.id], now=now
        )
        attempt = Attempt(
            endpoint_id=endpoint.id,
            position=None,
            event_id=event_id,
            at=now,
            status=answer.status,
            latency_ms=round(answer.seconds * 1000),
            answer=legible(answer.beginning),
            reason=reason(answer),
        )
        async with engine.begin() as conn:
            await outcomes.note_attempt(conn, attempt)
        return attempt


async def check_organizations(conn: AsyncConnection, organization_ids: Sequence[str]) -> None:
    """Raises UnknownOrganization."""
    for organization_id in organization_ids:
        if await organizations.get(conn, organization_id) is None:
            raise UnknownOrganization(organization_id)


async def enable(
    conn: AsyncConnection, endpoint_id: str, *, skip_pending: bool, now: datetime
) -> None:
    """Enable an endpoint: what waits for it is due now, or skipped. The caller commits."""
    if skip_pending:
        await deliveries.skip_pending(conn, endpoint_id, now=now)
    await deliveries.make_due(conn, endpoint_id)
    await endpoints.enable(conn, endpoint_id)
