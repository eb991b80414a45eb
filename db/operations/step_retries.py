"""Trying a step of the lifecycle again, for an operator who removed what stopped it."""

from sqlalchemy.ext.asyncio import AsyncConnection

from db.lifecycle import standings, unnotified
from db.operations import operator_acts
from db.operations.operator_acts import OperatorAct
from domain.lifecycle.standing import Standing


class NothingStuck(Exception):
    """Every step of the current epoch is done."""


async def retry(
    conn: AsyncConnection, organization_id: str, *, by: str, reason: str
) -> Standing | None:
    """Make the organization's lifecycle due at once, and record who asked for it and why; None
    without such an organization.

    Raises `NothingStuck`. Locks the standing; the caller commits, then notifies the lifecycle: if
    that fails, the relay does.
    """
    standing = await standings.lock(conn, organization_id)
    if standing is None:
        return None
    stuck = await standings.stuck(conn, organization_id)
    if stuck is None and not standing.behind:
        raise NothingStuck("every step of the current epoch is done")
    await unnotified.notify_now(conn, organization_id)
    await operator_acts.record(
        conn,
        OperatorAct.STEP_RETRIED,
        by=by,
        organization_id=organization_id,
        subject=f"epoch {standing.epoch}" if stuck is None else stuck.step,
        reason=reason,
    )
    return standing
