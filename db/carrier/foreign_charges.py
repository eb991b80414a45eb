"""What is taken for foreign messages before Twilio's usage shows them, and returned when it does.

The usage of a day is what is charged in the end. Twilio's figures lag, and whoever sends past
Tollgate would empty the company's account meanwhile: so a message in Twilio's list is paid for at
once, and what was taken comes back in the transaction that charges the usage of its time.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import groupby, islice

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.billing import carrier
from db.campaigns import rates
from db.carrier import policies
from db.lifecycle import organizations, standings
from db.lifecycle.organizations import Organization
from domain.carrier.foreign import Direction
from domain.carrier.provisional import FREE, Uncharged, amount, category

LONGEST_BACK = timedelta(days=3)
"""Older messages are in the usage."""
AT_ONCE = 200
"""Charges in one transaction."""
_UNCHARGED = text(
    """
    SELECT f.message_sid, f.direction, f.channel, coalesce(f.segments, 1) AS segments, f.happened_at,
           CASE WHEN f.price_currency = :currency THEN f.price_micros END AS cost_micros
    FROM foreign_messages f LEFT JOIN carrier_readings r ON r.organization_id = f.organization_id
    WHERE f.organization_id = :organization_id AND f.listed AND f.charge_id IS NULL AND f.happened_at >= :since
      AND f.happened_at > coalesce(r.as_of, '-infinity')
      AND f.happened_at >= coalesce(CAST(r.charged_from AS timestamp) AT TIME ZONE 'UTC', '-infinity')
      AND coalesce(f.status, '') <> ALL(CAST(:free AS text[]))
    ORDER BY f.happened_at, f.message_sid
    """
)
_LAST_PRICE = text(
    """
    SELECT price_micros / greatest(1, coalesce(segments, 1)) FROM foreign_messages
    WHERE organization_id = :organization_id AND direction = :direction AND channel = :channel
      AND price_micros > 0 AND price_currency = :currency
    ORDER BY happened_at DESC LIMIT 1
    """
)
_CHARGE = text(
    """
    INSERT INTO foreign_charges (organization_id, messages, amount_micros, latest_at, charged_at)
    VALUES (:organization_id, :messages, :micros, :latest, :now) RETURNING id
    """
)
_MARK = text(
    """
    UPDATE foreign_messages SET charge_id = :id
    WHERE organization_id = :organization_id AND message_sid = ANY(CAST(:sids AS text[]))
    """
)
_RETURN = text(
    """
    UPDATE foreign_charges SET returned_at = :now
    WHERE organization_id = :organization_id AND returned_at IS NULL
      AND latest_at <= :as_of AND (CAST(latest_at AT TIME ZONE 'UTC' AS date) = :day OR latest_at < :old)
    RETURNING id, amount_micros
    """
)
_OPEN = text(
    """
    SELECT DISTINCT CAST(latest_at AT TIME ZONE 'UTC' AS date) AS day FROM foreign_charges
    WHERE organization_id = :organization_id AND returned_at IS NULL AND latest_at <= :as_of
    """
)
_COMPLETE = text(
    """
    UPDATE carrier_readings SET as_of = greatest(as_of, :as_of) WHERE organization_id = :organization_id
    """
)


@dataclass(frozen=True, slots=True)
class _Priced:
    message: Uncharged
    micros: int


async def charge(conn: AsyncConnection, organization_id: str, *, now: datetime) -> int:
    """Take what some of the organization's new foreign messages cost, the oldest first, each once;
    returns micros, 0 when none is left.

    One charge has the messages of one second, the unit of Twilio's times, so that the usage shows
    all of them or none. Locks the standing, then the wallet; the caller commits.
    """
    organization = await organizations.get(conn, organization_id)
    if organization is None or not await _uncharged(conn, organization, now):
        return 0
    await standings.lock(conn, organization_id)
    found = await _uncharged(conn, organization, now)
    card = await rates.card(conn, organization)
    own = organization.price_per_segment or card.cheapest
    priced = await _priced(conn, organization, found, None if own is None else own.micros)
    total = 0
    by_second = groupby(priced, key=lambda each: each.message.happened_at)
    for _, group in islice(by_second, AT_ONCE):
        total += await _take(conn, organization_id, list(group), now)
    return total


async def _uncharged(
    conn: AsyncConnection, organization: Organization, now: datetime
) -> list[Uncharged]:
    params = {
        "organization_id": organization.id,
        "currency": organization.currency,
        "since": now - LONGEST_BACK,
        "free": sorted(FREE),
    }
    return [
        Uncharged(
            message_sid=row.message_sid,
            direction=Direction(row.direction),
            channel=row.channel,
            segments=row.segments,
            cost_micros=row.cost_micros,
            happened_at=row.happened_at,
        )
        for row in await conn.execute(_UNCHARGED, params)
    ]


async def open_days(
    conn: AsyncConnection, organization_id: str, *, as_of: datetime | None
) -> list[date]:
    """The days of messages whose early charge is to be returned by now."""
    if as_of is None:
        return []
    params = {"organization_id": organization_id, "as_of": as_of}
    return list((await conn.execute(_OPEN, params)).scalars())


async def give_back(
    conn: AsyncConnection,
    organization_id: str,
    day: date,
    *,
    as_of: datetime | None,
    now: datetime,
    charged_micros: int = 0,
) -> int:
    """Return what was taken for messages of the day that its usage shows by now, since it is
    complete up to `as_of`, and charge none of them any more; returns micros. What was waived of it
    is waived of the usage, of which `charged_micros` were charged just now. The caller holds the
    standing, has charged the usage, and commits.
    """
    if as_of is None:
        return 0
    params = {
        "organization_id": organization_id,
        "day": day,
        "as_of": as_of,
        "old": now - LONGEST_BACK,
        "now": now,
    }
    await conn.execute(_COMPLETE, params)
    returned = (await conn.execute(_RETURN, params)).all()
    left = max(0, charged_micros)
    for row in sorted(returned, key=lambda row: row.id):
        left -= await carrier.replace_charge(
            conn,
            organization_id,
            row.amount_micros,
            _reference(row.id),
            now,
            by=f"{day.isoformat()}:",
            charged_micros=left,
        )
    return sum(row.amount_micros for row in returned)


async def _priced(
    conn: AsyncConnection,
    organization: Organization,
    found: Iterable[Uncharged],
    own_micros: int | None,
) -> list[_Priced]:
    chosen = await policies.get(conn, organization.id)
    last: dict[tuple[Direction, str], int | None] = {}
    priced = []
    for message in found:
        kind = (message.direction, message.channel)
        if kind not in last:
            last[kind] = await _last_price(conn, organization, *kind)
        policy = chosen.choose(category(*kind)).policy
        # only an SMS costs what the customer's own messages do
        own = own_micros if message.channel == "sms" else None
        micros = amount(message, policy, own_micros=own, last_micros=last[kind])
        if micros is not None:
            priced.append(_Priced(message, micros))
    return priced


async def _last_price(
    conn: AsyncConnection,
    organization: Organization,
    direction: Direction,
    channel: str,
) -> int | None:
    params = {
        "organization_id": organization.id,
        "direction": direction.value,
        "channel": channel,
        "currency": organization.currency,
    }
    found = (await conn.execute(_LAST_PRICE, params)).scalar_one_or_none()
    return None if found is None else int(found)


async def _take(
    conn: AsyncConnection, organization_id: str, priced: list[_Priced], now: datetime
) -> int:
    total = sum(each.micros for each in priced)
    params = {
        "organization_id": organization_id,
        "messages": len(priced),
        "micros": total,
        "latest": max(each.message.happened_at for each in priced),
        "now": now,
    }
    id_ = (await conn.execute(_CHARGE, params)).scalar_one()
    sids = [each.message.message_sid for each in priced]
    await conn.execute(_MARK, {"organization_id": organization_id, "id": id_, "sids": sids})
    await carrier.take_charge(conn, organization_id, total, _reference(id_), now)
    return total


def _reference(id_: int) -> str:
    return f"foreign:{id_}"
