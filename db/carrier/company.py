"""What Twilio charges the company itself: the parent accounts, subaccounts that no organization has,
and subaccounts of organizations on the days before they were charged.

The totals of days, with revisions: the newest counts, and none is ever changed.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import Text, bindparam, insert, select, text
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncConnection

from db import alerts
from db.tables.company import company_usage
from domain.alerts import AlertKind
from domain.carrier.bill import Line, Month
from domain.carrier.categories import TOTAL
from domain.carrier.usage import UsageRecord
from domain.redaction import redact_text

TAKEN_FOR = timedelta(minutes=5)
"""A reading that ends without a word is due again after this."""
_NOBODYS = "NOT EXISTS (SELECT FROM organizations o WHERE o.twilio_account_sid = {sid})"
_NOTE_LISTED = text(f"""
    INSERT INTO company_accounts (account_sid, parent_sid, name, listed_at, due_at)
    SELECT t.sid, t.parent, t.name, :now, :now
    FROM unnest(CAST(:sids AS text[]), CAST(:parents AS text[]), CAST(:names AS text[])) AS t (sid, parent, name)
    WHERE {_NOBODYS.format(sid="t.sid")}
    ON CONFLICT (account_sid) DO UPDATE
    SET name = excluded.name, parent_sid = excluded.parent_sid, listed_at = excluded.listed_at
""")  # noqa: S608 - no values
_LISTED_AT = text("SELECT max(listed_at) FROM company_accounts")
_TAKE = text(f"""
    WITH due AS (
        SELECT account_sid FROM company_accounts c
        WHERE due_at <= :now AND {_NOBODYS.format(sid="c.account_sid")}
        ORDER BY due_at LIMIT :limit FOR UPDATE SKIP LOCKED
    )
    UPDATE company_accounts c SET due_at = :until FROM due WHERE c.account_sid = due.account_sid
    RETURNING c.account_sid, c.parent_sid, c.name, c.changed_at, c.as_of
""")  # noqa: S608 - no values
_NOTE = text("""
    UPDATE company_accounts
    SET due_at = :due_at, failures = 0, as_of = greatest(as_of, :as_of),
        changed_at = CASE WHEN :changed THEN :now ELSE coalesce(changed_at, :now) END
    WHERE account_sid = :account_sid
""")
_FAIL = text("""
    UPDATE company_accounts SET failures = failures + 1, due_at = :due_at WHERE account_sid = :account_sid
""")
_NEWEST = (
    select(company_usage)
    .ext(distinct_on(company_usage.c.day))
    .where(company_usage.c.account_sid == bindparam("sid", type_=Text))
    .where(company_usage.c.day >= bindparam("since"))
    .order_by(company_usage.c.day, company_usage.c.revision.desc())
)
# of an organization's subaccount, what is charged to the organization is on its own bill
_LINES = text("""
    SELECT account_sid, newest.currency, sum(price_micros) AS micros, max(c.name) AS name, max(o.id) AS organization_id,
           coalesce(bool_or(account_sid = c.parent_sid), false) AS parent
    FROM (
        SELECT DISTINCT ON (account_sid, day) * FROM company_usage WHERE day BETWEEN :first AND :last
        ORDER BY account_sid, day, revision DESC
    ) newest LEFT JOIN company_accounts c USING (account_sid)
         LEFT JOIN organizations o ON o.twilio_account_sid = account_sid
         LEFT JOIN carrier_readings r ON r.organization_id = o.id
    WHERE o.id IS NULL OR day < r.charged_from
    GROUP BY account_sid, newest.currency HAVING sum(price_micros) <> 0
    ORDER BY sum(price_micros) DESC, account_sid
""")
_SPENDS = text(f"""
    SELECT account_sid, name FROM company_accounts c
    WHERE account_sid <> parent_sid AND {_NOBODYS.format(sid="c.account_sid")} AND EXISTS (
        SELECT FROM company_usage u WHERE u.account_sid = c.account_sid AND day >= :since AND price_micros > 0)
    ORDER BY account_sid LIMIT 20
""")  # noqa: S608 - no values


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """An account at Twilio; a parent's parent is itself."""

    account_sid: str
    parent_sid: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Due(Listed):
    changed_at: datetime | None
    as_of: datetime | None


async def note_listed(
    conn: AsyncConnection, accounts: Collection[Listed], *, now: datetime
) -> None:
    """Add those that no organization has, due at once. The caller commits."""
    ordered = sorted(accounts, key=lambda each: each.account_sid)
    params = {
        "sids": [each.account_sid for each in ordered],
        "parents": [each.parent_sid for each in ordered],
        "names": [each.name for each in ordered],
        "now": now,
    }
    await conn.execute(_NOTE_LISTED, params)


async def listed_at(conn: AsyncConnection) -> datetime | None:
    """When the accounts were last listed."""
    found: datetime | None = (await conn.execute(_LISTED_AT)).scalar_one()
    return found


async def take(conn: AsyncConnection, *, now: datetime, limit: int) -> list[Due]:
    """Take accounts that are due and that no organization has. The caller commits."""
    rows = await conn.execute(_TAKE, {"now": now, "until": now + TAKEN_FOR, "limit": limit})
    return [
        Due(
            account_sid=row.account_sid,
            parent_sid=row.parent_sid,
            name=row.name,
            changed_at=row.changed_at,
            as_of=row.as_of,
        )
        for row in rows
    ]


async def record(
    conn: AsyncConnection, account_sid: str, totals: Sequence[UsageRecord], *, since: date
) -> int:
    """Record the totals of an account's days that differ; returns how many. The caller commits."""
    rows = await conn.execute(_NEWEST, {"sid": account_sid, "since": since})
    before = {row.day: row for row in rows}
    differing = [
        {
            "account_sid": account_sid,
            "day": each.day,
            "revision": before[each.day].revision + 1 if each.day in before else 1,
            "price_micros": each.price_micros,
            "currency": each.currency,
            "as_of": each.as_of,
        }
        for each in totals
        if each.price_micros is not None
        and (each.price_micros or each.day in before)
        and (
            each.day not in before
            or (before[each.day].price_micros, before[each.day].currency)
            != (each.price_micros, each.currency)
        )
    ]
    if differing:
        await conn.execute(insert(company_usage), differing)
    return len(differing)


async def note(
    conn: AsyncConnection,
    account_sid: str,
    *,
    now: datetime,
    due_at: datetime,
    as_of: datetime | None,
    changed: bool,
) -> None:
    """Record a complete reading. The caller commits."""
    params = {
        "account_sid": account_sid,
        "now": now,
        "due_at": due_at,
        "as_of": as_of,
        "changed": changed,
    }
    await conn.execute(_NOTE, params)


async def note_failure(conn: AsyncConnection, account_sid: str, *, due_at: datetime) -> None:
    await conn.execute(_FAIL, {"account_sid": account_sid, "due_at": due_at})


async def agree(conn: AsyncConnection, *, since: date) -> None:
    """Keep one alert exactly while a subaccount that no organization has spends. The caller
    commits.
    """
    rows = (await conn.execute(_SPENDS, {"since": since})).all()
    if not rows:
        await alerts.clear(conn, alerts.INSTALLATION, AlertKind.SUBACCOUNT_UNKNOWN)
        return
    detail = "; ".join(f"{row.account_sid} ({row.name})" for row in rows)
    standing = await alerts.standing(conn, alerts.INSTALLATION)
    if not any(
        alert.kind == AlertKind.SUBACCOUNT_UNKNOWN and alert.detail == redact_text(detail)
        for alert in standing
    ):
        await alerts.raise_(conn, alerts.INSTALLATION, AlertKind.SUBACCOUNT_UNKNOWN, detail)


async def lines(conn: AsyncConnection, month: Month) -> list[Line]:
    """A line for each account: absorbed, as the company's own."""
    rows = await conn.execute(_LINES, {"first": month.first, "last": month.last})
    return [
        Line(
            category=TOTAL,
            currency=row.currency,
            charged_micros=int(row.micros),
            paid_micros=0,
            absorbed_micros=int(row.micros),
            unpaid_micros=0,
            account_sid=row.account_sid,
            account=_named(row.name, row.organization_id, parent=row.parent),
        )
        for row in rows
    ]


def _named(name: str | None, organization_id: str | None, *, parent: bool) -> str:
    """For people."""
    if organization_id is not None:
        return f"{organization_id}, before it was charged"
    return (
        "the parent account itself" if parent else f"{name or 'a subaccount'}, of no organization"
    )
