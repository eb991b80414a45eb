"""Sets a balance back that somebody changed past the ledger, on the word of two people."""

from sqlalchemy.ext.asyncio import AsyncConnection

from db.operations import operator_acts
from db.operations.operator_acts import OperatorAct
from db.wallet import wallets
from domain.money import Money


class NotRestored(Exception):
    """The balance agrees with the ledger, or the ledger does not say what it should be."""


async def restore(
    conn: AsyncConnection, organization_id: str, *, by: str, second: str, reason: str
) -> tuple[Money, Money]:
    """Set the wallet's balance to that after its newest entry, and record who did it; returns the
    balance before and after. Raises `NotRestored`. Locks the wallet; the caller commits.
    """
    if by.strip().casefold() == second.strip().casefold():
        raise NotRestored("two different people are needed")
    before = await wallets.lock(conn, organization_id)
    after = await wallets.restore_balance(conn, organization_id)
    if before is None or after is None:
        raise NotRestored(
            "there is no such wallet, or its newest entry is not the last one counted"
        )
    was = Money(before.balance_micros, before.currency)
    becomes = Money(after.balance_micros, after.currency)
    if was == becomes:
        raise NotRestored(f"the balance agrees with the newest entry: {was}")
    await operator_acts.record(
        conn,
        OperatorAct.BALANCE_RESTORED,
        by=f"{by} and {second}",
        organization_id=organization_id,
        subject=f"from {was} to {becomes}",
        reason=reason,
    )
    return was, becomes
