"""Campaigns: their states, who changed them and why; only a person resumes a campaign that a person
paused.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Row, Text, bindparam, func, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from db.campaigns import recipients as loading
from db.campaigns.recipients import Recipient
from db.tables.campaigns import campaigns, messages
from domain.campaigns.campaign import CampaignStatus, MessageStatus
from domain.campaigns.quiet_hours import QuietHours
from domain.campaigns.waits import Facts

IN_STATUS = (
    select(campaigns)
    .where(campaigns.c.organization_id == bindparam("of", type_=Text))
    .where(campaigns.c.status == func.any(bindparam("statuses", type_=ARRAY(Text))))
    .order_by(campaigns.c.id)
    .with_for_update()
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """`detail` says in words why it is parked or waits; `since` is when its status, or its wait,
    began.

    `waits_for` is the wait that its run recorded, until `waits_until`; `heard_at` the time of the
    run's last report.
    """

    organization_id: str
    id: UUID
    name: str
    body: str
    status: CampaignStatus
    reason: str
    total: int
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    scheduled_at: datetime | None = None
    quiet_hours: QuietHours | None = None
    detail: str = ""
    waits_for: str = ""
    waits_until: datetime | None = None
    since: datetime | None = None
    heard_at: datetime | None = None

    @property
    def facts(self) -> Facts:
        return Facts(
            status=self.status,
            reason=self.reason,
            waits_for=self.waits_for,
            until=self.waits_until,
            since=self.since,
            detail=self.detail,
            heard_at=self.heard_at,
            scheduled_at=self.scheduled_at,
        )


class DifferentRequest(Exception):
    """The idempotency key was used before, for something else."""


async def create(
    conn: AsyncConnection,
    organization_id: str,
    *,
    name: str,
    body: str,
    recipients: Sequence[Recipient],
    idempotency_key: str,
    request_sha256: bytes,
    quiet_hours: QuietHours | None = None,
) -> tuple[Campaign, bool]:
    """Store a draft with its recipients, once per key; the flag says whether it is new. The caller
    commits.

    Raises `DifferentRequest` if the key belongs to another request.
    """
    stored = await conn.execute(
        upsert(campaigns)
        .values(
            organization_id=organization_id,
            name=name,
            body=body,
            total=0,
            idempotency_key=idempotency_key,
            request_sha256=request_sha256,
            quiet_from=quiet_hours and quiet_hours.begins,
            quiet_until=quiet_hours and quiet_hours.ends,
        )
        .on_conflict_do_nothing(index_elements=["organization_id", "idempotency_key"])
        .returning(campaigns)
    )
    row = stored.one_or_none()
    if row is None:
        before = await repeated(conn, organization_id, idempotency_key, request_sha256)
        assert before is not None
        return before, False
    total = await loading.add(conn, organization_id, row.id, recipients)
    return replace(read(row), total=total), True


async def repeated(
    conn: AsyncConnection, organization_id: str, idempotency_key: str, request_sha256: bytes
) -> Campaign | None:
    """The campaign created under the key, if any. Raises `DifferentRequest`."""
    rows = await conn.execute(
        select(campaigns).where(
            campaigns.c.organization_id == organization_id,
            campaigns.c.idempotency_key == idempotency_key,
        )
    )
    earlier = rows.one_or_none()
    if earlier is not None and bytes(earlier.request_sha256) != request_sha256:
        raise DifferentRequest(idempotency_key)
    return None if earlier is None else read(earlier)


async def get(conn: AsyncConnection, organization_id: str, campaign_id: UUID) -> Campaign | None:
    row = (await conn.execute(_by_id(organization_id, campaign_id))).one_or_none()
    return None if row is None else read(row)


async def lock(conn: AsyncConnection, organization_id: str, campaign_id: UUID) -> Campaign | None:
    """Lock the campaign's row; taken after the standing's and before the wallet's."""
    row = (await conn.execute(_by_id(organization_id, campaign_id).with_for_update())).one_or_none()
    return None if row is None else read(row)


async def page(
    conn: AsyncConnection, organization_id: str, *, before: UUID | None, limit: int
) -> list[Campaign]:
    """The newest first (ids are ordered by time), those older than `before` if it is given."""
    query = select(campaigns).where(campaigns.c.organization_id == organization_id)
    if before is not None:
        query = query.where(campaigns.c.id < before)
    return [
        read(row) for row in await conn.execute(query.order_by(campaigns.c.id.desc()).limit(limit))
    ]


async def counts(conn: AsyncConnection, organization_id: str, campaign_id: UUID) -> dict[str, int]:
    """The number of its messages in each status, and of the accepted ones that were delivered or
    failed.
    """
    query = (
        select(messages.c.status, messages.c.delivery_status, func.count())
        .where(messages.c.organization_id == organization_id, messages.c.campaign_id == campaign_id)
        .group_by(messages.c.status, messages.c.delivery_status)
    )
    total = {status.value: 0 for status in MessageStatus} | {"delivered": 0, "failed": 0}
    for status, delivery_status, number in await conn.execute(query):
        total[status] += number
        if delivery_status in ("delivered", "read"):
            total["delivered"] += number
        elif delivery_status in ("failed", "undelivered"):
            total["failed"] += number
    return total


async def next_position(
    conn: AsyncConnection, organization_id: str, campaign_id: UUID
) -> int | None:
    """The first message, counted from 1, that is not handed over yet; None when all are."""
    return (await next_positions(conn, organization_id, [campaign_id])).get(campaign_id)


async def next_positions(
    conn: AsyncConnection, organization_id: str, campaign_ids: Sequence[UUID]
) -> dict[UUID, int | None]:
    """The same of several campaigns in one round trip."""
    first = [
        select(func.min(messages.c.position))
        .where(messages.c.organization_id == campaigns.c.organization_id)
        .where(messages.c.campaign_id == campaigns.c.id, messages.c.status == status.value)
        .scalar_subquery()
        # each is one index lookup
        for status in (
            MessageStatus.PENDING,
            MessageStatus.RESERVED,
        )
    ]
    query = select(campaigns.c.id, func.least(*first).label("position")).where(
        campaigns.c.organization_id == organization_id, campaigns.c.id.in_(campaign_ids)
    )
    return {row.id: row.position for row in await conn.execute(query)}


def _by_id(organization_id: str, campaign_id: UUID) -> Any:
    return select(campaigns).where(
        campaigns.c.organization_id == organization_id, campaigns.c.id == campaign_id
    )


def read(row: Row[Any]) -> Campaign:
    return Campaign(
        organization_id=row.organization_id,
        id=row.id,
        name=row.name,
        body=row.body,
        status=CampaignStatus(row.status),
        reason=row.reason,
        total=row.total,
        created_at=row.created_at,
        started_at=row.started_at,
        completed_at=row.completed_at,
        scheduled_at=row.scheduled_at,
        quiet_hours=None if row.quiet_from is None else QuietHours(row.quiet_from, row.quiet_until),
        detail=row.detail,
        waits_for=row.waits_for,
        waits_until=row.waits_until,
        since=row.since,
        heard_at=row.heard_at,
    )
