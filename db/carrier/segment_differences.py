"""Messages of which Twilio counted other segments than we did: each noted once, and charged or
returned in the same transaction.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.billing import carrier
from db.lifecycle import standings
from db.tables.carrier import segment_counts
from db.wallet import wallets
from domain.carrier.segments import difference
from domain.money import Money
from domain.wallet.entries import credit

_DIFFERING = text(
    """
    SELECT m.id, m.attempt, m.segments AS ours, m.price_micros, listed.segments AS theirs
    FROM unnest(CAST(:sids AS text[]), CAST(:segments AS integer[])) AS listed (sid, segments)
    JOIN messages m ON m.organization_id = :organization_id AND m.provider_sid = listed.sid
    WHERE m.status = 'accepted' AND m.sid_confirmed AND m.segments <> listed.segments
      AND NOT EXISTS (SELECT FROM segment_differences d
                      WHERE d.organization_id = m.organization_id AND d.message_id = m.id
                        AND d.attempt = m.attempt)
    ORDER BY m.id
    """
)
_NOTE = text(
    """
    INSERT INTO segment_differences (organization_id, message_id, attempt, ours, theirs, micros, batch)
    SELECT :organization_id, id, attempt, ours, theirs, micros, :batch
    FROM unnest(CAST(:ids AS uuid[]), CAST(:attempts AS integer[]), CAST(:ours AS integer[]),
                CAST(:theirs AS integer[]), CAST(:micros AS bigint[])) AS d (id, attempt, ours, theirs, micros)
    ON CONFLICT DO NOTHING
    RETURNING theirs > ours AS more, micros
    """
)
_COUNT = text(
    """
    INSERT INTO segment_counts AS counts (direction, messages) VALUES (:direction, :messages)
    ON CONFLICT (direction) DO UPDATE SET messages = counts.messages + excluded.messages
    """
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """How many messages were new, and what was charged and returned for them."""

    messages: int = 0
    charged_micros: int = 0
    returned_micros: int = 0


async def settle(
    conn: AsyncConnection, organization_id: str, segments: Mapping[str, int], *, now: datetime
) -> Settled:
    """Compare with what Twilio counted, by its sids, and charge or return each difference once. The
    sums are two entries, however many messages there are.

    Locks the standing, then the wallet, if anything differs; the caller commits.
    """
    params = {
        "organization_id": organization_id,
        "sids": list(segments),
        "segments": list(segments.values()),
    }
    found = (await conn.execute(_DIFFERING, params)).all()
    if not found:
        return Settled()
    await standings.lock(conn, organization_id)
    batch = uuid4()
    noted = {
        "organization_id": organization_id,
        "batch": batch,
        "ids": [row.id for row in found],
        "attempts": [row.attempt for row in found],
        "ours": [row.ours for row in found],
        "theirs": [row.theirs for row in found],
        "micros": [difference(row.price_micros, row.ours, row.theirs) for row in found],
    }
    new = (await conn.execute(_NOTE, noted)).all()
    charged = sum(row.micros for row in new if row.micros > 0)
    returned = -sum(row.micros for row in new if row.micros < 0)
    await _move(conn, organization_id, batch, charged, returned, now)
    await _count(conn, [row.more for row in new])
    return Settled(messages=len(new), charged_micros=charged, returned_micros=returned)


async def counts(conn: AsyncConnection) -> Mapping[str, int]:
    """How many messages differed, by direction."""
    rows = await conn.execute(select(segment_counts).order_by(segment_counts.c.direction))
    return {row.direction: row.messages for row in rows}


async def _move(
    conn: AsyncConnection,
    organization_id: str,
    batch: UUID,
    charged: int,
    returned: int,
    now: datetime,
) -> None:
    if charged:
        why = "Twilio counted more segments"
        await carrier.take_charge(conn, organization_id, charged, f"segments:{batch}", now, why=why)
    wallet = await wallets.lock(conn, organization_id) if returned else None
    if wallet is not None:
        amount = Money(returned, wallet.currency)
        entry = credit(f"segments:{batch}", amount, "Twilio counted fewer segments")
        await wallets.post_locked(conn, wallet, [entry])


async def _count(conn: AsyncConnection, more: Sequence[bool]) -> None:
    """Last, as everybody's row."""
    for direction, messages in (("fewer", more.count(False)), ("more", more.count(True))):
        if messages:
            await conn.execute(_COUNT, {"direction": direction, "messages": messages})
