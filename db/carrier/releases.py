"""What of a suspended subaccount may be given up, and what an operator gave up, with the reason.

Nothing is given up here: `activities/carrier/releases` does it at Twilio, between `confirm` and
`done`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from db.carrier import recurring
from db.lifecycle import standings
from db.tables.carrier import releases
from domain.carrier.recurring import RecurringCost
from domain.carrier.release import Proposal, ReleaseStep, ladder
from domain.lifecycle.standing import Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A step that an operator confirmed; `done_at` is None until it was done at Twilio. `before` has the
    webhooks that were removed.
    """

    proposal: Proposal
    reason: str
    by: str
    confirmed_at: datetime
    done_at: datetime | None = None
    before: str = ""


@dataclass(frozen=True, slots=True)
class NotSuspended:
    """What an active organization uses is not given up."""


@dataclass(frozen=True, slots=True)
class NotProposed:
    """The subaccount has nothing like that to give up."""


async def proposals(
    conn: AsyncConnection, organization_id: str, *, now: datetime
) -> list[Proposal]:
    """What a suspended organization's subaccount could do without, the lightest step first."""
    found = await recurring.get(conn, organization_id)
    if found.suspended_since is None:
        return []
    return ladder(found.costs, await recurring.month(conn, organization_id, now=now))


async def confirmed(conn: AsyncConnection, organization_id: str) -> list[Release]:
    """The newest first."""
    query = (
        select(releases)
        .where(releases.c.organization_id == organization_id)
        .order_by(releases.c.confirmed_at.desc(), releases.c.number_sid, releases.c.step)
    )
    return [_release(row) for row in await conn.execute(query)]


async def confirm(
    conn: AsyncConnection,
    organization_id: str,
    step: ReleaseStep,
    number_sid: str,
    *,
    by: str,
    reason: str,
    now: datetime,
) -> Release | NotSuspended | NotProposed:
    """Record that an operator wants it; a repetition returns what was recorded first. Locks the
    standing; the caller commits.
    """
    standing = await standings.lock(conn, organization_id)
    before = await _find(conn, organization_id, step, number_sid)
    if before is not None and before.done_at is not None:
        return before
    if standing is None or standing.status is not Status.SUSPENDED:
        return NotSuspended()
    if before is not None:
        return before
    for proposal in await proposals(conn, organization_id, now=now):
        if (proposal.step, proposal.number_sid) == (step, number_sid):
            release = Release(proposal=proposal, reason=reason, by=by, confirmed_at=now)
            await conn.execute(upsert(releases).values(_values(organization_id, release)))
            return release
    return NotProposed()


async def done(
    conn: AsyncConnection, organization_id: str, release: Release, *, before: str, now: datetime
) -> Release:
    """Record that Twilio did it, and what it changes of the recurring cost and the reserve. Locks
    the standing, then the wallet; the caller commits.
    """
    await standings.lock(conn, organization_id)
    proposal = release.proposal
    await conn.execute(
        update(releases)
        .where(*_this(organization_id, proposal.step, proposal.number_sid))
        .where(releases.c.done_at.is_(None))
        .values(done_at=now, before=before)
    )
    costs = (await recurring.get(conn, organization_id)).costs
    await recurring.record(conn, organization_id, _without(costs, proposal), now=now)
    found = await _find(conn, organization_id, proposal.step, proposal.number_sid)
    return found or release


def _without(costs: Sequence[RecurringCost], proposal: Proposal) -> list[RecurringCost]:
    left = []
    for cost in costs:
        if cost.reference != proposal.number_sid:
            left.append(cost)
        elif proposal.step is ReleaseStep.REMOVE_WEBHOOKS:
            left.append(replace(cost, answers=False))
    return left


async def _find(
    conn: AsyncConnection, organization_id: str, step: ReleaseStep, number_sid: str
) -> Release | None:
    query = select(releases).where(*_this(organization_id, step, number_sid))
    row = (await conn.execute(query)).one_or_none()
    return None if row is None else _release(row)


def _this(organization_id: str, step: ReleaseStep, number_sid: str) -> tuple[Any, ...]:
    return (
        releases.c.organization_id == organization_id,
        releases.c.step == step.value,
        releases.c.number_sid == number_sid,
    )


def _values(organization_id: str, release: Release) -> dict[str, Any]:
    return {
        "organization_id": organization_id,
        "step": release.proposal.step.value,
        "number_sid": release.proposal.number_sid,
        "name": release.proposal.name,
        "saves_daily_micros": release.proposal.saves_daily_micros,
        "currency": release.proposal.currency,
        "reason": release.reason,
        "by": release.by,
        "confirmed_at": release.confirmed_at,
    }


def _release(row: Any) -> Release:
    return Release(
        proposal=Proposal(
            step=ReleaseStep(row.step),
            number_sid=row.number_sid,
            name=row.name,
            saves_daily_micros=row.saves_daily_micros,
            currency=row.currency,
        ),
        reason=row.reason,
        by=row.by,
        confirmed_at=row.confirmed_at,
        done_at=row.done_at,
        before=row.before,
    )
