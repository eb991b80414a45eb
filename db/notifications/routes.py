"""Notification routes: by which channel people are told of which alerts. The channel's URL is a
secret, which is stored encrypted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, func, insert, literal, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db import alerts
from db.tables.notifications import notification_routes as routes
from domain.alerts import AlertKind
from domain.notifications import DEAD_AFTER

_SHOWN = [column for column in routes.c if column.name not in ("url_encrypted", "claimed_until")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """`problem` is why it did not work the last `failures` times."""

    id: str
    name: str
    scheme: str
    severities: tuple[str, ...]
    kinds: tuple[str, ...]
    created_at: datetime
    last_sent_at: datetime | None
    failures: int
    problem: str | None
    retry_at: datetime | None


async def create(
    conn: AsyncConnection,
    route_id: str,
    *,
    name: str,
    scheme: str,
    url_encrypted: bytes,
    severities: Sequence[str],
    kinds: Sequence[str],
) -> None:
    """The caller commits."""
    await conn.execute(
        insert(routes).values(
            id=route_id,
            name=name,
            scheme=scheme,
            url_encrypted=url_encrypted,
            severities=list(severities),
            kinds=list(kinds),
        )
    )


async def change(conn: AsyncConnection, route_id: str, values: Mapping[str, Any]) -> bool:
    """Returns whether there is such a route. A new URL is tried at once. The caller commits."""
    if not values:
        return await get(conn, route_id) is not None
    tried = {"failures": 0, "problem": None, "retry_at": None} if "url_encrypted" in values else {}
    changed = update(routes).where(routes.c.id == route_id).values(**values, **tried)
    found = (await conn.execute(changed)).rowcount > 0
    await tell_of_failing(conn)
    return found


async def remove(conn: AsyncConnection, route_id: str) -> bool:
    """Also what it is still to be told. Returns whether there was such a route. The caller
    commits.
    """
    removed = (await conn.execute(delete(routes).where(routes.c.id == route_id))).rowcount > 0
    await tell_of_failing(conn)
    return removed


async def get(conn: AsyncConnection, route_id: str) -> Route | None:
    row = (await conn.execute(select(*_SHOWN).where(routes.c.id == route_id))).one_or_none()
    return None if row is None else _route(row)


async def page(
    conn: AsyncConnection, *, after: tuple[datetime, str] | None = None, limit: int
) -> list[Route]:
    """The oldest first."""
    query = select(*_SHOWN).order_by(routes.c.created_at, routes.c.id).limit(limit)
    if after is not None:
        created_at = literal(after[0], routes.c.created_at.type)
        query = query.where(tuple_(routes.c.created_at, routes.c.id) > tuple_(created_at, after[1]))
    return [_route(row) for row in await conn.execute(query)]


async def every(conn: AsyncConnection) -> list[Route]:
    return [_route(row) for row in await conn.execute(select(*_SHOWN).order_by(routes.c.id))]


async def encrypted_url(conn: AsyncConnection, route_id: str) -> bytes | None:
    query = select(routes.c.url_encrypted).where(routes.c.id == route_id)
    found: bytes | None = (await conn.execute(query)).scalar_one_or_none()
    return found


async def worked(conn: AsyncConnection, route_id: str) -> None:
    """A message was accepted. The caller commits."""
    await conn.execute(
        update(routes)
        .where(routes.c.id == route_id)
        .values(
            failures=0,
            problem=None,
            retry_at=None,
            claimed_until=None,
            last_sent_at=func.clock_timestamp(),
        )
    )
    await tell_of_failing(conn)


async def failed(conn: AsyncConnection, route_id: str, problem: str, *, retry_at: datetime) -> None:
    """A message was not accepted; all that waits is tried again at that time. The caller commits."""
    await conn.execute(
        update(routes)
        .where(routes.c.id == route_id)
        .values(
            failures=routes.c.failures + 1, problem=problem, retry_at=retry_at, claimed_until=None
        )
    )
    await tell_of_failing(conn)


async def tell_of_failing(conn: AsyncConnection) -> None:
    """Raise or clear the alert about routes that do not work. The caller commits."""
    query = select(routes).where(routes.c.failures >= DEAD_AFTER).order_by(routes.c.id)
    failing = [_route(row) for row in await conn.execute(query)]
    kind = AlertKind.NOTIFICATION_ROUTE_FAILED
    if failing:
        detail = "; ".join(f"{route.name} ({route.id}): {route.problem}" for route in failing)
        await alerts.raise_(conn, alerts.INSTALLATION, kind, detail)
    else:
        await alerts.clear(conn, alerts.INSTALLATION, kind)


def _route(row: Row[Any]) -> Route:
    return Route(
        id=row.id,
        name=row.name,
        scheme=row.scheme,
        severities=tuple(row.severities),
        kinds=tuple(row.kinds),
        created_at=row.created_at,
        last_sent_at=row.last_sent_at,
        failures=row.failures,
        problem=row.problem,
        retry_at=row.retry_at,
    )
