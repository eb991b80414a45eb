"""Changes of a wallet's money without a ledger entry: a hold opened or closed, a debt forgiven, or
less of it since it was corrected, a reserve changed. Append-only.

The caller holds the wallet's row, so the number of its entries orders the change; `certify`
compares, and seals cover it.
"""

from enum import StrEnum

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_NOTE = text("""
    INSERT INTO money_changes (organization_id, change, reference_id, amount_micros, by, after_seq)
    SELECT organization_id, :change, :reference_id, :micros, :by, entries FROM wallets
    WHERE organization_id = :organization_id
""")


class MoneyChange(StrEnum):
    HOLD_OPENED = "hold_opened"
    HOLD_CAPTURED = "hold_captured"
    HOLD_RELEASED = "hold_released"
    HOLD_EXPIRED = "hold_expired"
    DEBT_WAIVED = "debt_waived"
    WAIVER_REDUCED = "waiver_reduced"
    RESERVE_HELD = "reserve_held"
    RESERVE_RELEASED = "reserve_released"


async def note(
    conn: AsyncConnection,
    organization_id: str,
    change: MoneyChange,
    reference_id: str,
    micros: int,
    *,
    by: str = "",
) -> None:
    """Note a change; of a hold, `micros` is the reserved or the captured amount. The caller
    commits.
    """
    await conn.execute(
        _NOTE,
        {
            "organization_id": organization_id,
            "change": change.value,
            "reference_id": reference_id,
            "micros": micros,
            "by": by,
        },
    )
