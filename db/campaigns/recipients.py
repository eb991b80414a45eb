"""Loads recipients into a draft: each number once per campaign, in order of arrival."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

AT_ONCE = 5000
"""A single list of a hundred thousand would block every other request of the process."""
_STORE = text(
    """
    INSERT INTO messages (organization_id, campaign_id, position, recipient, country, segments, price_micros, status)
    SELECT c.organization_id, c.id, c.total + r.place, r.number, r.country, r.segments, r.price, 'pending'
    FROM campaigns c,
         unnest(CAST(:numbers AS text[]), CAST(:countries AS text[]), CAST(:segments AS integer[]),
                CAST(:prices AS bigint[])) WITH ORDINALITY AS r (number, country, segments, price, place)
    WHERE c.organization_id = :organization_id AND c.id = :campaign_id
    ON CONFLICT (organization_id, recipient, campaign_id) WHERE campaign_id IS NOT NULL DO NOTHING
    RETURNING recipient
    """
)
_COUNT = text(
    "UPDATE campaigns SET total = total + :added WHERE organization_id = :organization_id AND id = :campaign_id"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """A future message: an E.164 number and its price, which later rate changes do not affect."""

    number: str
    country: str | None = None
    segments: int
    price_micros: int


async def add(
    conn: AsyncConnection, organization_id: str, campaign_id: UUID, recipients: Sequence[Recipient]
) -> int:
    """Store the recipients that the campaign does not have yet; returns how many. `recipients` has
    no duplicates.

    The caller holds the campaign's row, so that positions have no gaps and no number is added
    twice, and commits.
    """
    added = 0
    for start in range(0, len(recipients), AT_ONCE):
        added += await _add(conn, organization_id, campaign_id, recipients[start : start + AT_ONCE])
    return added


async def _add(
    conn: AsyncConnection, organization_id: str, campaign_id: UUID, some: Sequence[Recipient]
) -> int:
    """The unique index finds the new numbers: a join would read all loaded recipients for every few
    thousand.

    Numbers that exist leave gaps between the positions, so the insert is rolled back and repeated
    with the new ones only.
    """
    async with conn.begin_nested() as attempt:
        new = await _store(conn, organization_id, campaign_id, some)
        gaps = 0 < len(new) < len(some)
        if gaps:
            await attempt.rollback()
    if gaps:
        new = await _store(
            conn,
            organization_id,
            campaign_id,
            [recipient for recipient in some if recipient.number in new],
        )
    await conn.execute(
        _COUNT, {"organization_id": organization_id, "campaign_id": campaign_id, "added": len(new)}
    )
    return len(new)


async def _store(
    conn: AsyncConnection, organization_id: str, campaign_id: UUID, some: Sequence[Recipient]
) -> frozenset[str]:
    params = {
        "organization_id": organization_id,
        "campaign_id": campaign_id,
        "numbers": [recipient.number for recipient in some],
        "countries": [recipient.country for recipient in some],
        "segments": [recipient.segments for recipient in some],
        "prices": [recipient.price_micros for recipient in some],
    }
    return frozenset((await conn.execute(_STORE, params)).scalars())
