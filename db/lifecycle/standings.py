"""Standings: the recorded decision, with the gate that enforces it in the same transaction.

Locks are always taken in one order: the standing (the organization's lock), a campaign, the wallet,
messages.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Row, Text, bindparam, null, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.events import log
from db.lifecycle import block_changes, receipts
from db.tables.billing import subscriptions as subscriptions_table
from db.tables.lifecycle import blocks, organizations, standings
from db.wallet import gates
from domain import unknown_values
from domain.billing.subscription import Provider
from domain.events.catalogue import EventType
from domain.lifecycle.standing import Block, Decision, Standing, Status

_ID = bindparam("organization_id", type_=Text)
_AS_COMMITTED = select(standings).where(standings.c.organization_id == _ID)
_LOCKED = _AS_COMMITTED.with_for_update()
_LOCKED_BY_SUBSCRIPTION = (
    select(standings)
    .join(subscriptions_table, subscriptions_table.c.organization_id == standings.c.organization_id)
    .where(subscriptions_table.c.provider == bindparam("provider", type_=Text))
    .where(
        subscriptions_table.c.provider_subscription_id == bindparam("subscription_id", type_=Text)
    )
    .with_for_update(of=standings)
)
_FREE_BY_SUBSCRIPTION = _LOCKED_BY_SUBSCRIPTION.with_for_update(of=standings, skip_locked=True)
_DECIDED = update(standings).where(
    standings.c.organization_id == bindparam("of_organization", type_=Text)
)
_APPLIED = _DECIDED.where(standings.c.epoch == bindparam("at", type_=BigInteger)).values(
    applied_epoch=standings.c.epoch,
    applied_at=bindparam("now"),
    stuck_step=null(),
    stuck_reason=null(),
)
_ACCOUNT_AT = (
    select(organizations.c.twilio_account_sid, standings.c.epoch)
    .join(standings, standings.c.organization_id == organizations.c.id)
    .where(organizations.c.id == _ID)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldBlock:
    """A block that does not depend on the subscription. `reference` distinguishes two disputes."""

    kind: Block
    reference: str
    reason: str
    placed_by: str
    placed_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stuck:
    step: str
    reason: str


async def get(conn: AsyncConnection, organization_id: str) -> Standing | None:
    """The standing as last committed."""
    return await _read(conn, organization_id, for_update=False)


async def account_at(conn: AsyncConnection, organization_id: str) -> tuple[str | None, int]:
    """The Twilio subaccount and the epoch to apply to it; None and -1 if there is no organization."""
    row = (await conn.execute(_ACCOUNT_AT, {"organization_id": organization_id})).one_or_none()
    return (None, -1) if row is None else (row.twilio_account_sid, row.epoch)


async def lock(conn: AsyncConnection, organization_id: str) -> Standing | None:
    """Take the organization's lock until the end of the transaction; taken before any wallet's."""
    return await _read(conn, organization_id, for_update=True)


async def lock_subscriber(
    conn: AsyncConnection, provider: Provider, subscription_id: str, *, wait: bool = True
) -> Standing | None:
    """The same lock, of the organization that owns this subscription. Without `wait`, None if
    another transaction has it.
    """
    params = {"provider": provider.value, "subscription_id": subscription_id}
    query = _LOCKED_BY_SUBSCRIPTION if wait else _FREE_BY_SUBSCRIPTION
    row = (await conn.execute(query, params)).one_or_none()
    return None if row is None else standing_of(row)


async def record(
    conn: AsyncConnection, standing: Standing, decision: Decision, *, now: datetime, cause: str
) -> Standing:
    """Record a decision if it differs from the standing; if it suspends, the gate shuts in the same
    transaction.

    The caller holds the standing, as `lock` returned it, and commits. Returns the new standing.
    """
    if (decision.status, decision.blocks, decision.deadline) == (
        standing.status,
        standing.blocks,
        standing.deadline,
    ):
        return standing
    epoch = standing.epoch + (decision.status is not standing.status)
    organization_id = standing.organization_id
    values: dict[str, Any] = {
        "of_organization": organization_id,
        "status": decision.status.value,
        "blocks": sorted(block.value for block in decision.blocks),
        "deadline": decision.deadline,
        "epoch": epoch,
    }
    if epoch != standing.epoch:
        values |= {"cause": cause, "decided_at": now, "stuck_step": None, "stuck_reason": None}
    await conn.execute(_DECIDED, values)
    if decision.deadline not in (None, standing.deadline):
        started = {"deadline": decision.deadline.isoformat()}
        await log.append(conn, EventType.ORGANIZATION_GRACE_STARTED, organization_id, started)
    if epoch != standing.epoch:
        await receipts.begin(
            conn, organization_id, epoch, decision.status, cause=cause, decided_at=now
        )
        if decision.status is Status.SUSPENDED:
            await gates.shut_gate(conn, organization_id, epoch=epoch, cause=cause)
            suspended = {"epoch": epoch, "blocks": values["blocks"]}
            await log.append(conn, EventType.ORGANIZATION_SUSPENDED, organization_id, suspended)
    return replace(
        standing,
        status=decision.status,
        blocks=decision.blocks,
        epoch=epoch,
        deadline=decision.deadline,
    )


async def place_block(conn: AsyncConnection, organization_id: str, block: HeldBlock) -> None:
    """Add a block unless it exists. The caller holds the standing, then decides again and commits."""
    await conn.execute(
        block_changes.PLACE,
        {
            "of": organization_id,
            "kind": block.kind.value,
            "reference": block.reference,
            "reason": block.reason,
            "placed_by": block.placed_by,
        },
    )


async def lift_block(
    conn: AsyncConnection, organization_id: str, kind: Block, reference: str = ""
) -> None:
    """Remove a block if it exists. The caller holds the standing, then decides again and commits."""
    lifted = {"of": organization_id, "kind": kind.value, "reference": reference}
    await conn.execute(block_changes.LIFT, lifted)


async def held_blocks(conn: AsyncConnection, organization_id: str) -> list[HeldBlock]:
    query = (
        select(blocks)
        .where(blocks.c.organization_id == organization_id)
        .order_by(blocks.c.placed_at)
    )
    return [
        HeldBlock(
            kind=unknown_values.member(Block, row.kind),
            reference=row.reference,
            reason=row.reason,
            placed_by=row.placed_by,
            placed_at=row.placed_at,
        )
        for row in await conn.execute(query)
    ]


async def mark_applied(
    conn: AsyncConnection, organization_id: str, epoch: int, *, now: datetime
) -> None:
    """Record that this epoch was applied. The caller holds the standing."""
    await conn.execute(_APPLIED, {"of_organization": organization_id, "at": epoch, "now": now})


async def mark_unapplied(conn: AsyncConnection, organization_id: str) -> None:
    """Record that an applied epoch was found not to be in force: its steps must be repeated. The
    caller holds the standing.
    """
    await conn.execute(
        update(standings)
        .where(standings.c.organization_id == organization_id)
        .values(applied_epoch=standings.c.epoch - 1)
    )


async def mark_stuck(
    conn: AsyncConnection, organization_id: str, epoch: int, step: str, reason: str
) -> None:
    """Record that a step was refused permanently: an operator must look. The next new decision or
    success clears it.
    """
    await conn.execute(
        update(standings)
        .where(standings.c.organization_id == organization_id, standings.c.epoch == epoch)
        .values(stuck_step=step, stuck_reason=reason)
    )


async def stuck(conn: AsyncConnection, organization_id: str) -> Stuck | None:
    query = select(standings.c.stuck_step, standings.c.stuck_reason).where(
        standings.c.organization_id == organization_id, standings.c.stuck_step.is_not(None)
    )
    row = (await conn.execute(query)).one_or_none()
    return None if row is None else Stuck(step=row.stuck_step, reason=row.stuck_reason)


async def _read(
    conn: AsyncConnection, organization_id: str, *, for_update: bool
) -> Standing | None:
    query = _LOCKED if for_update else _AS_COMMITTED
    row = (await conn.execute(query, {"organization_id": organization_id})).one_or_none()
    return None if row is None else standing_of(row)


def standing_of(row: Row[Any]) -> Standing:
    return Standing(
        organization_id=row.organization_id,
        status=Status(row.status),
        blocks=frozenset(unknown_values.member(Block, block) for block in row.blocks),
        epoch=row.epoch,
        applied_epoch=row.applied_epoch,
        deadline=row.deadline,
    )
