"""Switches of customers between billing providers: the state of each; at most one per
organization is open.

Every change requires that the caller holds the organization's standing.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, insert, select, update
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncConnection

from db import alerts
from db.billing import subscriptions
from db.switching import switch_events
from db.tables.billing import subscriptions as subscriptions_table
from db.tables.switching import switches
from domain.alerts import AlertKind
from domain.billing.subscription import BILLING, Provider, Snapshot, State, Subscription
from domain.switching import switch as rules
from domain.switching.switch import MARK, OVER, STOPS, Start, SwitchStatus, marker

_OPEN = switches.c.ended_at.is_(None)
_ENDED_WITHOUT = switches.c.state.in_(
    [status.value for status in OVER - {SwitchStatus.COMPLETED, SwitchStatus.FAILED}]
)
_ITS_TARGET = (
    (subscriptions_table.c.organization_id == switches.c.organization_id)
    & (subscriptions_table.c.provider == switches.c.target_provider)
    & (subscriptions_table.c.provider_subscription_id == switches.c.target_subscription_id)
    & ~subscriptions_table.c.is_current
    & subscriptions_table.c.state.in_([state.value for state in BILLING])
)
_LATE = _ENDED_WITHOUT & select(subscriptions_table.c.organization_id).where(_ITS_TARGET).exists()
"""It ended without its target, but the customer consented afterwards: the target bills in addition
to the current subscription.
"""
_TARGET_BILLS = tuple(
    status.value for status in STOPS | {SwitchStatus.COMPLETED, SwitchStatus.FAILED}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """`target_subscription_id` is the checkout's id until the customer completes it. `outcome`: the
    end state of an undo. `first_charge_at` is the end of the paid period at the source when the
    checkout was made; `expires_at` is the checkout's.
    """

    organization_id: str
    id: UUID
    source_provider: Provider
    source_subscription_id: str
    target_provider: Provider
    target_plan_id: str
    target_subscription_id: str | None
    return_url: str
    cancel_url: str
    checkout_url: str | None
    state: SwitchStatus
    outcome: SwitchStatus | None
    reason: str
    first_charge_at: datetime | None
    expires_at: datetime | None
    started_at: datetime
    changed_at: datetime
    ended_at: datetime | None

    @property
    def marker(self) -> str:
        return marker(self.id)

    @property
    def parties(self) -> dict[str, str]:
        return {
            "switch_id": str(self.id),
            "source_provider": self.source_provider.value,
            "target_provider": self.target_provider.value,
        }

    @property
    def stops(self) -> bool:
        """The source is being stopped: from now on the target bills."""
        return self.state in STOPS

    @property
    def late(self) -> bool:
        """It ended without its target; a late consent must be undone."""
        return self.state is SwitchStatus.UNDOING and self.ended_at is not None

    def leads_to(self, subscription: Subscription) -> bool:
        return (subscription.provider, subscription.id) == (
            self.target_provider,
            self.target_subscription_id,
        )


async def start(
    conn: AsyncConnection,
    source: Subscription,
    target: Provider,
    *,
    plan_id: str,
    return_url: str,
    cancel_url: str,
) -> tuple[Start, Switch | None]:
    """Start a switch unless one is open; returns the open one, too. The caller holds the standing
    and commits.
    """
    before = await open_one(conn, source.organization_id)
    outcome = rules.start(
        source.provider,
        (target, plan_id),
        None if before is None else (before.target_provider, before.target_plan_id),
    )
    if outcome is not Start.STARTS:
        return outcome, before
    started = await conn.execute(
        insert(switches)
        .values(
            organization_id=source.organization_id,
            source_provider=source.provider.value,
            source_subscription_id=source.id,
            target_provider=target.value,
            target_plan_id=plan_id,
            return_url=return_url,
            cancel_url=cancel_url,
            state=SwitchStatus.STARTED.value,
        )
        .returning(switches)
    )
    switch = _switch(started.one())
    await switch_events.tell(conn, switch.organization_id, switch.state, switch.parties)
    return outcome, switch


async def newest(conn: AsyncConnection, organization_id: str) -> Switch | None:
    """The open switch or, without one, the last."""
    query = select(switches).where(switches.c.organization_id == organization_id)
    row = (await conn.execute(query.order_by(switches.c.started_at.desc()).limit(1))).one_or_none()
    return None if row is None else _switch(row)


async def due(conn: AsyncConnection, organization_id: str) -> Switch | None:
    """The switch that needs work: first one with a late consent to undo, then the newest."""
    query = select(switches).where(switches.c.organization_id == organization_id, _LATE)
    row = (await conn.execute(query.order_by(switches.c.started_at).limit(1))).one_or_none()
    if row is None:
        return await newest(conn, organization_id)
    late = _switch(row)
    reason = f"{late.reason}; the customer consented to the new subscription too late"
    return replace(late, state=SwitchStatus.UNDOING, outcome=late.state, reason=reason)


async def page(
    conn: AsyncConnection, *, state: SwitchStatus | None, after: str | None, limit: int
) -> list[Switch]:
    """The newest switch of each organization, by organization id, after `after`."""
    last = select(switches).ext(distinct_on(switches.c.organization_id))
    newest_ones = last.order_by(switches.c.organization_id, switches.c.started_at.desc()).subquery()
    query = select(newest_ones).order_by(newest_ones.c.organization_id).limit(limit)
    if state is not None:
        query = query.where(newest_ones.c.state == state.value)
    if after is not None:
        query = query.where(newest_ones.c.organization_id > after)
    return [_switch(row) for row in await conn.execute(query)]


async def open_ones(conn: AsyncConnection, *, limit: int) -> list[str]:
    """The organizations with an open switch or a late consent, the longest unchanged first."""
    columns = switches.c.organization_id, switches.c.changed_at
    late = select(*columns).join(subscriptions_table, _ITS_TARGET).where(_ENDED_WITHOUT)
    # two queries, since PostgreSQL reads all switches for one with OR
    due = select(*columns).where(_OPEN).union_all(late).subquery()
    query = select(due.c.organization_id).order_by(due.c.changed_at).limit(limit)
    return list((await conn.execute(query)).scalars())


async def move(conn: AsyncConnection, switch: Switch, to: SwitchStatus, **changed: Any) -> Switch:
    """Change its state. The caller holds the standing, has read the switch under it, and
    commits.
    """
    values = {
        name: value.value if isinstance(value, SwitchStatus) else value
        for name, value in changed.items()
    }
    ended = func.clock_timestamp() if to in OVER else None
    moved = await conn.execute(
        update(switches)
        .where(
            switches.c.organization_id == switch.organization_id,
            switches.c.id == switch.id,
        )
        .values(state=to.value, changed_at=func.clock_timestamp(), ended_at=ended, **values)
        .returning(switches)
    )
    if to is not switch.state and switch.ended_at is None:
        await switch_events.tell(conn, switch.organization_id, to, switch.parties)
    return _switch(moved.one())


async def open_one(conn: AsyncConnection, organization_id: str) -> Switch | None:
    query = select(switches).where(switches.c.organization_id == organization_id, _OPEN)
    row = (await conn.execute(query)).one_or_none()
    return None if row is None else _switch(row)


async def completed(conn: AsyncConnection, checkout: Subscription, subscription_id: str) -> None:
    """The customer completed a checkout: replace its id in the switch with the
    subscription's.
    """
    await conn.execute(
        update(switches)
        .where(switches.c.organization_id == checkout.organization_id)
        .where(switches.c.target_provider == checkout.provider.value)
        .where(switches.c.target_subscription_id == checkout.id)
        .values(target_subscription_id=subscription_id)
    )


async def not_to_charge(
    conn: AsyncConnection,
    organization_id: str,
    provider: Provider,
    subscription_id: str,
    at: datetime,
) -> Switch | None:
    """The switch because of which the subscription should not have charged at that time: it was
    left by then, or its source was never stopped.

    None if there is none, or the subscription is the current one.
    """
    left = (switches.c.source_provider == provider.value) & (
        switches.c.source_subscription_id == subscription_id
    )
    left &= (switches.c.state == SwitchStatus.COMPLETED.value) & (switches.c.ended_at < at)
    to_provider = (switches.c.target_provider == provider.value) & (
        switches.c.target_subscription_id == subscription_id
    )
    to_provider &= switches.c.state.not_in(_TARGET_BILLS)
    current = await subscriptions.current(conn, organization_id)
    if current is not None and (current.provider, current.id) == (provider, subscription_id):
        return None
    query = select(switches).where(
        switches.c.organization_id == organization_id, left | to_provider
    )
    row = (await conn.execute(query.order_by(switches.c.started_at.desc()).limit(1))).one_or_none()
    return None if row is None else _switch(row)


async def note_late_stop(
    conn: AsyncConnection, subscription: Subscription, answer: Snapshot
) -> None:
    """Raise an alert if we ended a source although its switch is being or was undone: nobody
    will charge any more.

    An attempt that stalled between its commit and its call can cause this. An ended subscription cannot be restored.
    """
    note = answer.note or ""
    if answer.state not in (State.CANCELED, State.EXPIRED) or not note.startswith(MARK):
        return
    query = select(switches).where(
        switches.c.organization_id == subscription.organization_id,
        switches.c.source_provider == subscription.provider.value,
        switches.c.source_subscription_id == subscription.id,
        switches.c.state.not_in(_TARGET_BILLS),
    )
    if any(note.startswith(marker(row.id)) for row in await conn.execute(query)):
        detail = (
            f"{subscription.provider} {subscription.id} was stopped after its switch was undone"
        )
        await alerts.raise_(conn, subscription.organization_id, AlertKind.NOBODY_BILLS, detail)


def _switch(row: Row[Any]) -> Switch:
    return Switch(
        organization_id=row.organization_id,
        id=row.id,
        source_provider=Provider(row.source_provider),
        source_subscription_id=row.source_subscription_id,
        target_provider=Provider(row.target_provider),
        target_plan_id=row.target_plan_id,
        target_subscription_id=row.target_subscription_id,
        return_url=row.return_url,
        cancel_url=row.cancel_url,
        checkout_url=row.checkout_url,
        state=SwitchStatus(row.state),
        outcome=SwitchStatus(row.outcome) if row.outcome else None,
        reason=row.reason,
        first_charge_at=row.first_charge_at,
        expires_at=row.expires_at,
        started_at=row.started_at,
        changed_at=row.changed_at,
        ended_at=row.ended_at,
    )
