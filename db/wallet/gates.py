"""The gate and the freeze of a wallet: changed under its row's lock, together with a record of after
which entry. No money moves here.
"""

from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Insert,
    Text,
    bindparam,
    case,
    insert,
    literal,
    null,
    or_,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from db.events import log
from db.tables.wallet import gate_changes, wallets
from domain.events.catalogue import EventType

_TOLD = {
    "frozen_by_suspension": EventType.WALLET_FROZEN,
    "frozen_by_operator": EventType.WALLET_FROZEN,
    "unfrozen_by_suspension": EventType.WALLET_UNFROZEN,
    "unfrozen_by_operator": EventType.WALLET_UNFROZEN,
}


async def shut_gate(conn: AsyncConnection, organization_id: str, *, epoch: int, cause: str) -> None:
    """Refuse every debit from this commit on. Locks the wallet's row; the caller holds the
    standing's. Idempotent.
    """
    await _change(conn, organization_id, "shut", epoch, cause, "gate_open", to=False)


async def open_gate(conn: AsyncConnection, organization_id: str, *, epoch: int, cause: str) -> None:
    """Allow debits again and lift the suspension's freeze; an operator's freeze stays.
    Idempotent.
    """
    await _change(
        conn,
        organization_id,
        "unfrozen_by_suspension",
        epoch,
        cause,
        "frozen_by_suspension",
        to=False,
    )
    await _change(conn, organization_id, "opened", epoch, cause, "gate_open", to=True)


async def freeze(
    conn: AsyncConnection,
    organization_id: str,
    *,
    epoch: int,
    cause: str,
    by_operator: bool = False,
) -> None:
    """Freeze the wallet for the suspension or for an operator: either suffices. Idempotent; the
    caller commits.
    """
    column = "frozen_by_operator" if by_operator else "frozen_by_suspension"
    await _change(conn, organization_id, column, epoch, cause, column, to=True)


async def unfreeze_by_operator(
    conn: AsyncConnection, organization_id: str, *, epoch: int, cause: str
) -> None:
    """Lift the operator's freeze; the suspension's stays. Idempotent; the caller commits."""
    await _change(
        conn, organization_id, "unfrozen_by_operator", epoch, cause, "frozen_by_operator", to=False
    )


async def _change(
    conn: AsyncConnection,
    organization_id: str,
    change: str,
    epoch: int,
    cause: str,
    column: str,
    *,
    to: bool,
) -> None:
    """Set a flag and record after which entry it changed, in one statement; its update locks the
    wallet's row.
    """
    noted = {"of": organization_id, "at_epoch": epoch, "why": cause}
    await conn.execute(_changing(change, column, to=to), noted)


@cache
def _changing(change: str, column: str, *, to: bool) -> Insert:
    cause = bindparam("why", type_=Text)
    values: dict[str, Any] = {column: to}
    reason = cause if to else null()
    if column == "frozen_by_operator":
        values["freeze_reason"] = reason
    elif column == "frozen_by_suspension":  # an operator's reason overrides a suspension's
        values["freeze_reason"] = case(
            (wallets.c.frozen_by_operator, wallets.c.freeze_reason), else_=reason
        )
    changed = (
        update(wallets)
        .where(wallets.c.organization_id == bindparam("of", type_=Text), wallets.c[column] != to)
        .values(**values)
        .returning(*wallets.c)
        .cte("changed")
    )
    noted = select(
        changed.c.organization_id,
        literal(change),
        changed.c.entries,
        bindparam("at_epoch", type_=BigInteger),
        cause,
    )
    recorded = insert(gate_changes).from_select(
        ["organization_id", "change", "after_seq", "epoch", "cause"], noted
    )
    if change not in _TOLD:
        return recorded
    by = "operator" if change.endswith("operator") else "suspension"
    data: dict[str, ColumnElement[Any]] = {
        "by": literal(by),
        "frozen": or_(changed.c.frozen_by_suspension, changed.c.frozen_by_operator),
        "balance_micros": changed.c.balance_micros,
        "currency": changed.c.currency,
    }
    telling = log.telling(_TOLD[change], changed, changed.c.organization_id, data)
    return log.appending(telling).add_cte(recorded.cte("recorded"))
