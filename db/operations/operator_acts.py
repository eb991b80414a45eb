"""What operators did that no other table records, with who did it and why; never changed."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import structlog
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.tables.operations import operator_acts

log = structlog.get_logger()


class OperatorAct(StrEnum):
    DELIVERY_RETRIED = "delivery_retried"
    DELIVERY_DISMISSED = "delivery_dismissed"
    STEP_RETRIED = "step_retried"
    MESSAGE_REFUNDED = "message_refunded"
    BALANCE_RESTORED = "balance_restored"
    BULK_ACT_CONFIRMED = "bulk_act_confirmed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    id: int
    at: datetime
    by: str
    act: str
    organization_id: str | None
    subject: str
    reason: str


async def record(
    conn: AsyncConnection,
    act: OperatorAct,
    *,
    by: str,
    organization_id: str | None,
    subject: str,
    reason: str,
) -> None:
    """Record an act in the transaction that does it. The caller commits."""
    await conn.execute(
        insert(operator_acts).values(
            act=act.value, by=by, organization_id=organization_id, subject=subject, reason=reason
        )
    )
    log.info("operator_acted", act=act.value, organization_id=organization_id, subject=subject)


async def page(
    conn: AsyncConnection, organization_id: str | None, *, before: int | None, limit: int
) -> list[Recorded]:
    """The newest first; of one organization, or of all and of none."""
    query = select(operator_acts).order_by(operator_acts.c.id.desc()).limit(limit)
    if organization_id is not None:
        query = query.where(operator_acts.c.organization_id == organization_id)
    if before is not None:
        query = query.where(operator_acts.c.id < before)
    return [Recorded(**row) for row in (await conn.execute(query)).mappings()]
