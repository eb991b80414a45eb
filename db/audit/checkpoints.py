"""Checkpoints: up to which link of the chain over all wallets, and up to when, a `certify` found
everything right. The next one may examine what is new since.

Each is hashed with the one before it, and names its link's hash: a chain of seals that was made anew
no longer leads to it. Only a `certify` that held adds one.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.audit.checks import Check

LONGEST_TRANSACTION = timedelta(minutes=1)
"""What was changed in a transaction that was open when a snapshot was taken counts as new after it,
up to this age; ours are much shorter. Also how far clocks may differ.
"""
_ONE_AT_A_TIME = 0x63_65_72_74
_BYTES = """
    coalesce(({before}), decode(repeat('00', 32), 'hex')) || convert_to(
        netstring({c}link::text) || netstring(encode({c}link_sha256, 'hex')) || netstring({c}checks)
        || netstring({c}everything::text) || netstring((extract(epoch FROM {c}since) * 1000000)::bigint::text), 'UTF8')
"""
_CHAINED = _BYTES.format(
    c="c.", before="SELECT sha256 FROM checkpoints b WHERE b.id < c.id ORDER BY b.id DESC LIMIT 1"
)
_SHA256 = _BYTES.format(c="n.", before="SELECT sha256 FROM checkpoints ORDER BY id DESC LIMIT 1")
_ADD = text(f"""
    INSERT INTO checkpoints (link, link_sha256, checks, everything, since, sha256)
    SELECT n.*, sha256({_SHA256})
    FROM (SELECT CAST(:link AS bigint) AS link, CAST(:link_sha256 AS bytea) AS link_sha256,
                 CAST(:checks AS text) AS checks, CAST(:everything AS boolean) AS everything,
                 CAST(:since AS timestamptz) AS since) n
""")
_NEWEST = text("""
    SELECT link, link_sha256, checks, since, everything, made_at FROM checkpoints
    WHERE checks = :checks AND (everything OR NOT :everything) ORDER BY id DESC LIMIT 1
""")
_HERE = text("""
    SELECT now() AS at, coalesce(h.number, 0) AS link, coalesce(h.sha256, ''::bytea) AS sha256
    FROM (SELECT) nothing LEFT JOIN (SELECT number, sha256 FROM ledger_heads ORDER BY number DESC LIMIT 1) h ON true
""")
_MAY_ADD = text("""
    SELECT NOT pg_is_in_recovery() AND NOT current_setting('transaction_read_only')::boolean
           AND has_table_privilege('checkpoints', 'INSERT')
""")
_LOCK = text("SELECT pg_advisory_xact_lock(:lock)")
CHECKPOINT_CHECKS = (
    Check(
        guarantee=1,
        claim="checkpoints of this command that are changed, or whose link is missing or changed",
        sql=f"""
        SELECT count(*), count(*) FILTER (WHERE wrong), min('checkpoint ' || id) FILTER (WHERE wrong)
        FROM (
            SELECT c.id, c.sha256 <> sha256({_CHAINED})
                   OR c.link > 0 AND h.sha256 IS DISTINCT FROM c.link_sha256 AS wrong
            FROM examined.checkpoints c LEFT JOIN ledger_heads h ON h.number = c.link
        ) chained
        """,
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Everything up to the link is verified, and everything that was committed before `since`, by
    the checks with that hash.
    """

    link: int
    link_sha256: bytes
    checks: str
    since: datetime


async def newest(
    conn: AsyncConnection, checks: str, *, everything: bool = False
) -> Checkpoint | None:
    """The newest one by the same checks: what others verified, these have not. With `everything`,
    the newest that examined more than what was new.
    """
    row = (await conn.execute(_NEWEST, {"checks": checks, "everything": everything})).one_or_none()
    if row is None:
        return None
    return Checkpoint(
        link=row.link, link_sha256=row.link_sha256, checks=row.checks, since=row.since
    )


async def here(conn: AsyncConnection, checks: str) -> Checkpoint:
    """What a `certify` on this connection's snapshot verifies if it holds."""
    row = (await conn.execute(_HERE)).one()
    return Checkpoint(
        link=row.link, link_sha256=row.sha256, checks=checks, since=row.at - LONGEST_TRANSACTION
    )


async def may_add(conn: AsyncConnection) -> bool:
    """Not on a replica, and not as a role that only reads."""
    return bool((await conn.execute(_MAY_ADD)).scalar_one())


async def add(conn: AsyncConnection, checkpoint: Checkpoint, *, everything: bool) -> None:
    """The caller commits. Another one that adds is waited for: each is hashed with the one before."""
    await conn.execute(_LOCK, {"lock": _ONE_AT_A_TIME})
    await conn.execute(
        _ADD,
        {
            "link": checkpoint.link,
            "link_sha256": checkpoint.link_sha256,
            "checks": checkpoint.checks,
            "everything": everything,
            "since": checkpoint.since,
        },
    )
