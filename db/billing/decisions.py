"""Reads together all that a standing is decided from, and records the decision."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Text, bindparam, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.billing import paid_back, subscriptions
from db.lifecycle import standings
from db.tables.audit import alerts
from db.tables.billing import subscriptions as subscriptions_table
from db.tables.lifecycle import blocks, organizations
from domain import unknown_values
from domain.billing.subscription import Record, Subscription
from domain.lifecycle.standing import Block, Decision, Policy, Standing, Status, decide

NOBODY = Record()
_ID = bindparam("organization_id", type_=Text)
_HELD = (
    select(func.coalesce(func.array_agg(blocks.c.kind.distinct()), text("'{}'")))
    .where(blocks.c.organization_id == _ID)
    .scalar_subquery()
)
_OTHERS = select(subscriptions_table.c.provider_subscription_id).where(
    subscriptions_table.c.organization_id == _ID, ~subscriptions_table.c.is_current
)
_ALERTS = select(alerts.c.kind).where(
    alerts.c.organization_id == _ID, alerts.c.cleared_at.is_(None)
)
_FACTS = (
    select(
        organizations.c.grace_seconds,
        _HELD.label("held"),
        _OTHERS.exists().label("others"),
        func.array(_ALERTS.scalar_subquery()).label("alerts"),
        subscriptions_table,
        paid_back.AT.label("paid_back_at"),
    )
    .outerjoin(
        subscriptions_table,
        (subscriptions_table.c.organization_id == organizations.c.id)
        & subscriptions_table.c.is_current,
    )
    .where(organizations.c.id == _ID)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The input of a decision. `blocks` are those that do not depend on the subscription; `others`:
    there are other subscriptions than the current one. `alerts` are the kinds that are open.
    """

    policy: Policy
    current: Subscription | None
    blocks: frozenset[Block]
    others: bool
    alerts: frozenset[str]

    def decide(self, now: datetime) -> Decision:
        return decide(
            NOBODY if self.current is None else self.current.record, self.blocks, self.policy, now
        )


async def facts(conn: AsyncConnection, organization_id: str) -> Facts:
    """The recorded facts. The caller holds the standing, so that they cannot change."""
    row = (await conn.execute(_FACTS, {"organization_id": organization_id})).one()
    return Facts(
        policy=Policy(grace=timedelta(seconds=row.grace_seconds)),
        current=None if row.provider is None else subscriptions.read(row),
        blocks=frozenset(unknown_values.member(Block, kind) for kind in row.held),
        others=row.others,
        alerts=frozenset(row.alerts),
    )


async def settle(
    conn: AsyncConnection, organization_id: str, *, now: datetime, cause: str, may_open: bool
) -> Standing | None:
    """Lock the standing and decide it from the recorded facts. None if there is no such
    organization.
    """
    standing = await standings.lock(conn, organization_id)
    if standing is None:
        return None
    current_facts = await facts(conn, organization_id)
    return await settle_locked(
        conn, standing, current_facts, now=now, cause=cause, may_open=may_open
    )


async def settle_locked(
    conn: AsyncConnection,
    standing: Standing,
    current_facts: Facts,
    *,
    now: datetime,
    cause: str,
    may_open: bool,
) -> Standing:
    """Decide again and record the decision; if it suspends, the gate shuts in the same transaction.

    Never opens the gate: the steps of a reactivation do. With `may_open` false, as in a webhook's
    request, no block is lifted either. The caller holds the standing, as `standings.lock` returned
    it, and commits.
    """
    decision = current_facts.decide(now)
    if not may_open and standing.status is Status.SUSPENDED:
        decision = Decision(status=Status.SUSPENDED, blocks=decision.blocks | standing.blocks)
    return await standings.record(conn, standing, decision, now=now, cause=cause)
