"""What each parent account has at Twilio, as it was last read."""

from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from db.tables.carrier import parent_funds
from domain.carrier.runway import Funds
from domain.money import Money


async def put(conn: AsyncConnection, funds: Funds, *, now: datetime) -> None:
    """The caller commits."""
    values = {
        "balance_micros": funds.balance.micros,
        "currency": funds.balance.currency,
        "spent_micros": funds.spent_micros,
        "over_seconds": int(funds.over.total_seconds()),
        "read_at": now,
    }
    await conn.execute(
        upsert(parent_funds)
        .values(account_sid=funds.account_sid, **values)
        .on_conflict_do_update(index_elements=["account_sid"], set_=values)
    )


async def keep_only(conn: AsyncConnection, account_sids: Collection[str]) -> None:
    """Forget parents that are no longer set up. The caller commits."""
    await conn.execute(delete(parent_funds).where(parent_funds.c.account_sid.not_in(account_sids)))


async def read(conn: AsyncConnection) -> list[Funds]:
    return [
        Funds(
            account_sid=row.account_sid,
            balance=Money(row.balance_micros, row.currency),
            spent_micros=row.spent_micros,
            over=timedelta(seconds=row.over_seconds),
        )
        for row in await conn.execute(select(parent_funds).order_by(parent_funds.c.account_sid))
    ]
