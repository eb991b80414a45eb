"""Tells people of alerts: makes and tests routes, and sends what is due. What the API, the command
line and the worker have in common.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from db.notifications import outbox, routes
from db.notifications.outbox import Claim
from domain import notifications
from domain.notifications import Pace
from providers.channels import Channels, NotSent
from providers.outbound.addresses import network
from runtime import stored_secrets
from runtime.outbound_endpoints import NoKeys
from runtime.settings import Settings
from runtime.stored_secrets import SecretUnreadable, StoredSecrets

log = structlog.get_logger()
EVERY = timedelta(seconds=1)
AT_ONCE = 8
TEST_TITLE = "Tollgate: a test"
TEST_BODY = "This route works: alerts that it takes are told here."


class Routes:
    """Routes and their URLs. Nothing is committed here."""

    def __init__(self, channels: Channels, stored: StoredSecrets) -> None:
        self._channels = channels
        self._stored = stored

    async def create(
        self,
        conn: AsyncConnection,
        route_id: str,
        *,
        name: str,
        url: str,
        severities: Sequence[str],
        kinds: Sequence[str],
    ) -> None:
        """Raises NoKeys and providers.channels.ChannelRefused."""
        scheme, encrypted = self.sealed(route_id, url)
        await routes.create(
            conn,
            route_id,
            name=name,
            scheme=scheme,
            url_encrypted=encrypted,
            severities=severities,
            kinds=kinds,
        )

    def sealed(self, route_id: str, url: str) -> tuple[str, bytes]:
        """The scheme, and the URL as it is stored. Raises like `create`."""
        scheme = self._channels.check(url)
        if not self._stored.can_encrypt:
            raise NoKeys
        return scheme, self._stored.encrypted(url.encode(), route_id)

    async def send(
        self, route_id: str, encrypted: bytes, *, title: str, body: str, resolved: bool = False
    ) -> None:
        """Raises NotSent."""
        try:
            url = self._stored.decrypted(encrypted, route_id).decode()
        except SecretUnreadable as problem:
            raise NotSent(str(problem)) from None
        await self._channels.send(url, title=title, body=body, resolved=resolved)

    async def test(self, route_id: str, encrypted: bytes) -> None:
        """Send a message that says so. Raises NotSent."""
        await self.send(route_id, encrypted, title=TEST_TITLE, body=TEST_BODY)


class Notifying:
    """Any number of workers may run it: a route is claimed, and left to another worker after a
    while. A message may arrive twice, if a process ends between sending it and noting it.
    """

    def __init__(self, engine: AsyncEngine, sending: Routes, pace: Pace) -> None:
        self._engine = engine
        self._routes = sending
        self._pace = pace

    async def step(self) -> float:
        now = datetime.now(UTC)
        return 0.0 if await self.tell(now=now) else EVERY.total_seconds()

    async def tell(self, *, now: datetime) -> int:
        """Send what is due; returns by how many routes."""
        async with self._engine.begin() as conn:
            await outbox.fan_out(conn, self._pace, now=now)
        async with self._engine.begin() as conn:
            claims = await outbox.claim(conn, now=now, limit=AT_ONCE)
        await asyncio.gather(*(self._send(claim, now) for claim in claims))
        return len(claims)

    async def _send(self, claim: Claim, now: datetime) -> None:
        items = [due.item for due in claim.due]
        try:
            await self._routes.send(
                claim.route_id,
                claim.url_encrypted,
                title=notifications.title(items),
                body=notifications.body(items),
                resolved=notifications.all_resolved(items),
            )
        except NotSent as problem:
            failures = claim.failures + 1
            log.warning(
                "notification_not_sent",
                route_id=claim.route_id,
                reason=str(problem),
                failures=failures,
            )
            async with self._engine.begin() as conn:
                retry_at = now + notifications.rest(failures)
                await routes.failed(conn, claim.route_id, str(problem), retry_at=retry_at)
            return
        log.info("notification_sent", route_id=claim.route_id, alerts=len(items))
        async with self._engine.begin() as conn:
            await outbox.sent(conn, claim, self._pace, now=now)


def routes_from(settings: Settings, by: Channels) -> Routes:
    return Routes(by, stored_secrets.read(settings.secret_keys))


@asynccontextmanager
async def channels(settings: Settings) -> AsyncIterator[Channels]:
    opened = Channels([network(each) for each in settings.outbound_networks])
    try:
        yield opened
    finally:
        opened.close()


def pace_from(settings: Settings) -> Pace:
    return Pace(
        today=settings.tell_today_every,
        info=settings.tell_info_every,
        reminder=settings.remind_after,
    )
