"""Webhook endpoints: which events go where, and the secrets that sign them."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, func, insert, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db import alerts
from db.tables.outbound import webhook_endpoints, webhook_secrets
from domain.alerts import AlertKind
from domain.outbound.deliveries import Disabled, SigningScheme

DELETED = "deleted"
_EXISTS = webhook_endpoints.c.status != DELETED


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Without types it is sent every type that is not opt-in; without organizations, all events."""

    id: str
    url: str
    description: str
    types: tuple[str, ...]
    organization_ids: tuple[str, ...]
    status: str
    disabled_because: str | None
    disabled_at: datetime | None
    failures: int
    first_failed_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    endpoint_id: str
    scheme: SigningScheme
    encrypted: bytes
    public_key: str | None
    created_at: datetime
    expires_at: datetime | None


def new_id() -> str:
    """Made first: the secret is encrypted for it."""
    return f"we_{secrets.token_hex(12)}"


async def create(
    conn: AsyncConnection,
    endpoint_id: str,
    *,
    url: str,
    description: str,
    types: Sequence[str],
    organization_ids: Sequence[str],
) -> Endpoint:
    """It is sent what happens from now on. The caller adds a secret, and commits."""
    row = await conn.execute(
        insert(webhook_endpoints)
        .values(
            id=endpoint_id,
            url=url,
            description=description,
            types=list(types),
            organization_ids=list(organization_ids),
        )
        .returning(webhook_endpoints)
    )
    return _endpoint(row.one())


async def get(conn: AsyncConnection, endpoint_id: str) -> Endpoint | None:
    query = select(webhook_endpoints).where(webhook_endpoints.c.id == endpoint_id, _EXISTS)
    row = (await conn.execute(query)).one_or_none()
    return None if row is None else _endpoint(row)


async def page(
    conn: AsyncConnection, *, last: tuple[datetime, str] | None = None, limit: int = 100
) -> list[Endpoint]:
    """All of them, newest first; those behind `last`, the time and the id of one."""
    made = tuple_(webhook_endpoints.c.created_at, webhook_endpoints.c.id)
    query = select(webhook_endpoints).where(_EXISTS).limit(limit)
    query = query.order_by(webhook_endpoints.c.created_at.desc(), webhook_endpoints.c.id.desc())
    if last is not None:
        query = query.where(made < last)
    return [_endpoint(row) for row in await conn.execute(query)]


async def change(conn: AsyncConnection, endpoint_id: str, changed: dict[str, Any]) -> bool:
    """Set these columns; what is queued stays queued. Returns whether there is such an endpoint.
    The caller commits.
    """
    if not changed:
        return await get(conn, endpoint_id) is not None
    return await _set(conn, endpoint_id, **changed)


async def enable(conn: AsyncConnection, endpoint_id: str) -> bool:
    """Deliver again what waits, at once. The caller commits."""
    enabled = await _set(
        conn,
        endpoint_id,
        status="enabled",
        disabled_because=None,
        disabled_at=None,
        failures=0,
        first_failed_at=None,
        failed_queues=0,
        retry_at=None,
    )
    if enabled:
        await clear_alert(conn)
    return enabled


async def disable(conn: AsyncConnection, endpoint_id: str, why: Disabled, *, now: datetime) -> None:
    """Attempt nothing until it is enabled; what happens meanwhile is queued. The caller commits."""
    query = (
        update(webhook_endpoints)
        .where(webhook_endpoints.c.id == endpoint_id, webhook_endpoints.c.status == "enabled")
        .values(status="disabled", disabled_because=why.value, disabled_at=now)
    )
    disabled = (await conn.execute(query)).rowcount > 0
    if disabled and why is not Disabled.BY_HAND:
        detail = f"{endpoint_id} is disabled: {why.value}"
        await alerts.raise_(conn, alerts.INSTALLATION, AlertKind.WEBHOOK_DISABLED, detail)


async def remove(conn: AsyncConnection, endpoint_id: str) -> bool:
    """It is no longer shown or called; its rows are deleted later, in steps. The caller commits."""
    await conn.execute(webhook_secrets.delete().where(webhook_secrets.c.endpoint_id == endpoint_id))
    removed = await _set(conn, endpoint_id, status=DELETED, disabled_because=None, disabled_at=None)
    if removed:
        await clear_alert(conn)
    return removed


async def clear_alert(conn: AsyncConnection) -> None:
    """Once no endpoint is disabled because of what it answered."""
    by_itself = select(webhook_endpoints.c.id).where(
        webhook_endpoints.c.status == "disabled",
        webhook_endpoints.c.disabled_because != Disabled.BY_HAND.value,
    )
    await alerts.clear(
        conn, alerts.INSTALLATION, AlertKind.WEBHOOK_DISABLED, unless=by_itself.exists()
    )


async def add_secret(
    conn: AsyncConnection,
    endpoint_id: str,
    *,
    scheme: SigningScheme,
    encrypted: bytes,
    public_key: str | None,
    overlap_until: datetime | None,
) -> None:
    """Sign with it from now on; the earlier ones sign, too, until then. The caller commits."""
    await conn.execute(
        update(webhook_secrets)
        .where(webhook_secrets.c.endpoint_id == endpoint_id, webhook_secrets.c.expires_at.is_(None))
        .values(expires_at=func.coalesce(overlap_until, func.clock_timestamp()))
    )
    await conn.execute(
        insert(webhook_secrets).values(
            endpoint_id=endpoint_id,
            scheme=scheme.value,
            encrypted=encrypted,
            public_key=public_key,
        )
    )


async def valid_secrets(
    conn: AsyncConnection, endpoint_ids: Sequence[str], *, now: datetime
) -> dict[str, list[Secret]]:
    """Those that sign at that time, the newest first, by endpoint."""
    query = (
        select(webhook_secrets)
        .where(
            webhook_secrets.c.endpoint_id.in_(endpoint_ids),
            or_(webhook_secrets.c.expires_at.is_(None), webhook_secrets.c.expires_at > now),
        )
        .order_by(webhook_secrets.c.id.desc())
    )
    found: dict[str, list[Secret]] = {endpoint_id: [] for endpoint_id in endpoint_ids}
    for row in await conn.execute(query):
        found[row.endpoint_id].append(
            Secret(
                endpoint_id=row.endpoint_id,
                scheme=SigningScheme(row.scheme),
                encrypted=row.encrypted,
                public_key=row.public_key,
                created_at=row.created_at,
                expires_at=row.expires_at,
            )
        )
    return found


async def _set(conn: AsyncConnection, endpoint_id: str, **values: object) -> bool:
    query = update(webhook_endpoints).where(webhook_endpoints.c.id == endpoint_id, _EXISTS)
    return (await conn.execute(query.values(**values))).rowcount > 0


def _endpoint(row: Row[Any]) -> Endpoint:
    return Endpoint(
        id=row.id,
        url=row.url,
        description=row.description,
        types=tuple(row.types),
        organization_ids=tuple(row.organization_ids),
        status=row.status,
        disabled_because=row.disabled_because,
        disabled_at=row.disabled_at,
        failures=row.failures,
        first_failed_at=row.first_failed_at,
        created_at=row.created_at,
    )
