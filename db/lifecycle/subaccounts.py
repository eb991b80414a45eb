"""What Twilio says of organizations' subaccounts: the parent account, and the token that signs
callbacks, which only the holder of the parent's token can read here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.tables.lifecycle import organizations, subaccount_tokens

_KEEP = text(
    """
    INSERT INTO subaccount_tokens AS ours (account_sid, encrypted)
    SELECT twilios.account_sid, twilios.encrypted
    FROM unnest(CAST(:sids AS text[]), CAST(:encrypted AS bytea[])) AS twilios (account_sid, encrypted)
    JOIN organizations ON organizations.twilio_account_sid = twilios.account_sid
    LEFT JOIN subaccount_tokens stored ON stored.account_sid = twilios.account_sid
    WHERE stored.encrypted IS DISTINCT FROM twilios.encrypted
    ORDER BY twilios.account_sid
    ON CONFLICT (account_sid) DO UPDATE SET encrypted = excluded.encrypted
    """
)
_OWNED = text(
    """
    UPDATE organizations SET twilio_parent_sid = twilios.parent_sid
    FROM unnest(CAST(:sids AS text[]), CAST(:parents AS text[])) AS twilios (account_sid, parent_sid)
    WHERE organizations.twilio_account_sid = twilios.account_sid
      AND organizations.twilio_parent_sid IS DISTINCT FROM twilios.parent_sid
    """
)


@dataclass(frozen=True, slots=True)
class Subaccount:
    """`token` is encrypted; None: not stored yet."""

    organization_id: str
    token: bytes | None


@dataclass(frozen=True, slots=True)
class Stored:
    """What to store of a subaccount."""

    parent_sid: str
    token: bytes


async def by_sids(conn: AsyncConnection, account_sids: Sequence[str]) -> dict[str, Subaccount]:
    """Our organizations' subaccounts among these."""
    query = (
        select(
            organizations.c.twilio_account_sid, organizations.c.id, subaccount_tokens.c.encrypted
        )
        .outerjoin(
            subaccount_tokens, subaccount_tokens.c.account_sid == organizations.c.twilio_account_sid
        )
        .where(organizations.c.twilio_account_sid.in_(account_sids))
    )
    return {
        row.twilio_account_sid: Subaccount(row.id, row.encrypted)
        for row in await conn.execute(query)
    }


async def parent_of(conn: AsyncConnection, account_sid: str) -> str | None:
    query = select(organizations.c.twilio_parent_sid).where(
        organizations.c.twilio_account_sid == account_sid
    )
    return (await conn.execute(query)).scalar_one_or_none()


async def keep(conn: AsyncConnection, subaccounts: Mapping[str, Stored]) -> None:
    """Write what has changed of those that are an organization's. The caller commits."""
    if not subaccounts:
        return
    sids = list(subaccounts)
    await conn.execute(
        _KEEP, {"sids": sids, "encrypted": [stored.token for stored in subaccounts.values()]}
    )
    await conn.execute(
        _OWNED, {"sids": sids, "parents": [stored.parent_sid for stored in subaccounts.values()]}
    )
