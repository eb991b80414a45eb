"""Messages of a subaccount that Tollgate did not hand over: recorded once each, without their text."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Row, exists, false, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.campaigns import messages
from db.events import log
from db.tables.carrier import carrier_readings
from db.tables.foreign_messages import foreign_messages
from db.tables.recovery import unmatched_messages
from domain.campaigns.telephony import SentMessage, StatusCallback
from domain.carrier.foreign import Direction, Foreign, Known, Named, Open, judge, kept
from domain.events.catalogue import EventType
from domain.money import Money

_WAITING = text(
    """
    SELECT id, recipient, sending_at FROM messages
    WHERE organization_id = :organization_id AND status IN ('sending', 'unknown') AND sending_at IS NOT NULL
    """
)
_RECORD = text(
    """
    INSERT INTO foreign_messages AS f
        (organization_id, message_sid, direction, channel, number, segments, status, price_micros, price_currency,
         happened_at, found_at)
    SELECT :organization_id, t.*, CAST(:now AS timestamptz)
    FROM unnest(CAST(:sids AS text[]), CAST(:directions AS text[]), CAST(:channels AS text[]),
                CAST(:numbers AS text[]), CAST(:segments AS integer[]), CAST(:statuses AS text[]),
                CAST(:micros AS bigint[]), CAST(:currencies AS text[]), CAST(:times AS timestamptz[])) AS t
    ON CONFLICT (organization_id, message_sid) DO UPDATE
    SET listed = true, direction = excluded.direction, channel = excluded.channel, number = excluded.number,
        segments = coalesce(excluded.segments, f.segments), status = coalesce(excluded.status, f.status),
        price_micros = coalesce(excluded.price_micros, f.price_micros),
        price_currency = coalesce(excluded.price_currency, f.price_currency),
        happened_at = excluded.happened_at, found_at = CASE WHEN f.listed THEN f.found_at ELSE excluded.found_at END
    WHERE NOT f.listed
       OR (f.segments, f.status, f.price_micros, f.price_currency, f.happened_at)
          IS DISTINCT FROM (coalesce(excluded.segments, f.segments), coalesce(excluded.status, f.status),
                            coalesce(excluded.price_micros, f.price_micros),
                            coalesce(excluded.price_currency, f.price_currency), excluded.happened_at)
    RETURNING message_sid, found_at
    """
)
_KNOWN_BEFORE = text(
    """
    SELECT message_sid FROM foreign_messages
    WHERE organization_id = :organization_id AND message_sid = ANY(CAST(:sids AS text[])) AND listed
    """
)
MOST_UNLISTED = 1000
"""So many messages that only callbacks named are kept for an organization: whoever has its token can
sign any number of callbacks.
"""
_NOTE_CALLBACK = text(
    """
    INSERT INTO foreign_messages AS f
        (organization_id, message_sid, direction, channel, number, status, happened_at, listed, callbacks)
    SELECT :organization_id, :sid, 'outbound', 'sms', '', :status, :now, false, 1
    WHERE NOT EXISTS (SELECT FROM unmatched_messages u
                      WHERE u.organization_id = :organization_id AND u.message_sid = :sid)
      AND (SELECT count(*) FROM (SELECT FROM foreign_messages
                                 WHERE organization_id = :organization_id AND NOT listed LIMIT :most) kept) < :most
    ON CONFLICT (organization_id, message_sid) DO UPDATE
    SET callbacks = f.callbacks + 1, status = CASE WHEN f.listed THEN f.status ELSE excluded.status END
    """
)
_SUMMARY = text(
    """
    SELECT direction, count(*) AS messages, coalesce(sum(price_micros), 0) AS micros, price_currency AS currency
    FROM foreign_messages
    WHERE organization_id = :organization_id AND listed AND happened_at >= :since
    GROUP BY direction, price_currency ORDER BY direction DESC, price_currency
    """
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """`new` were not known before. `undecided` is when the oldest message happened that may still
    turn out to be ours.
    """

    new: tuple[Foreign, ...] = ()
    undecided: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found(Foreign):
    """`callbacks` is how many named it. `charged`: by a charge of its own, or with the usage of
    its time.
    """

    found_at: datetime
    callbacks: int
    charged: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """Foreign messages of one direction and currency, or of one direction without a price yet."""

    direction: Direction
    messages: int
    price: Money | None


async def record(
    conn: AsyncConnection, organization_id: str, listed: Sequence[SentMessage], *, now: datetime
) -> Recorded:
    """Record those that cannot be ours, each once, with what Twilio says about them by now. Those
    named as unmatched after a recovery are a person's to close. The caller commits.
    """
    by_sid = {sent.sid: sent for sent in listed if sent.sid}
    if not by_sid:
        return Recorded()
    # in this order: an answer that arrives in between makes an open message a named one
    waiting = await _waiting(conn, organization_id)
    named = await _named(conn, organization_id, list(by_sid))
    unmatched = await _unmatched(conn, organization_id, list(by_sid))
    judged = {
        sid: judge(sent, named.get(sid), waiting)
        for sid, sent in by_sid.items()
        if sid not in unmatched
    }
    undecided = [
        by_sid[sid].newest or now for sid, known in judged.items() if known is Known.UNDECIDED
    ]
    foreign = [kept(by_sid[sid]) for sid, known in judged.items() if known is Known.FOREIGN]
    new = await _write(conn, organization_id, foreign, now)
    if new:
        sent = sum(each.direction is Direction.OUTBOUND for each in new)
        found = {"sent": sent, "received": len(new) - sent}
        await log.append(conn, EventType.CARRIER_FOREIGN_MESSAGES, organization_id, found)
    return Recorded(new=tuple(new), undecided=min(undecided, default=None))


async def _waiting(conn: AsyncConnection, organization_id: str) -> list[Open]:
    rows = await conn.execute(_WAITING, {"organization_id": organization_id})
    return [Open(id=row.id, recipient=row.recipient, sending_at=row.sending_at) for row in rows]


async def _named(
    conn: AsyncConnection, organization_id: str, sids: Sequence[str]
) -> dict[str, Named]:
    found = await messages.named_by(conn, organization_id, sids)
    return {
        each.sid: Named(
            recipient=each.recipient, sending_at=each.sending_at, confirmed=each.confirmed
        )
        for each in sorted(found, key=lambda each: each.confirmed)
    }


async def _unmatched(
    conn: AsyncConnection, organization_id: str, sids: Sequence[str]
) -> frozenset[str]:
    query = select(unmatched_messages.c.message_sid).where(
        unmatched_messages.c.organization_id == organization_id,
        unmatched_messages.c.message_sid.in_(sids),
    )
    return frozenset((await conn.execute(query)).scalars())


async def _write(
    conn: AsyncConnection, organization_id: str, foreign: Sequence[Foreign], now: datetime
) -> list[Foreign]:
    if not foreign:
        return []
    ordered = sorted(foreign, key=lambda each: each.message_sid)
    sids = [each.message_sid for each in ordered]
    params = {"organization_id": organization_id, "sids": sids}
    known = frozenset((await conn.execute(_KNOWN_BEFORE, params)).scalars())
    written = await conn.execute(
        _RECORD,
        params
        | {
            "directions": [each.direction.value for each in ordered],
            "channels": [each.channel for each in ordered],
            "numbers": [each.number for each in ordered],
            "segments": [each.segments for each in ordered],
            "statuses": [each.status for each in ordered],
            "micros": [each.price and each.price.micros for each in ordered],
            "currencies": [each.price and each.price.currency for each in ordered],
            "times": [each.happened_at or now for each in ordered],
            "now": now,
        },
    )
    new = {row.message_sid for row in written if row.found_at == now} - known
    return [
        replace(each, happened_at=each.happened_at or now)
        for each in ordered
        if each.message_sid in new
    ]


async def received_since(
    conn: AsyncConnection, organization_id: str, *, since: datetime, besides: Collection[str]
) -> bool:
    """Whether the organization received a message since then, other than `besides`."""
    table = foreign_messages.c
    query = select(
        exists().where(
            table.organization_id == organization_id,
            table.direction == Direction.INBOUND.value,
            table.happened_at >= since,
            table.message_sid.not_in(besides),
        )
    )
    received: bool = (await conn.execute(query)).scalar_one()
    return received


async def note_callback(
    conn: AsyncConnection, organization_id: str, callback: StatusCallback, *, now: datetime
) -> None:
    """Leave a trace of a callback for a sid that is not known here. It may be forged, so nothing is
    charged before Twilio lists the message. The caller commits.
    """
    await conn.execute(
        _NOTE_CALLBACK,
        {
            "organization_id": organization_id,
            "sid": callback.message_sid,
            "status": callback.status and callback.status.value,
            "now": now,
            "most": MOST_UNLISTED,
        },
    )


async def newest(
    conn: AsyncConnection,
    organization_id: str,
    *,
    before: tuple[datetime, str] | None = None,
    limit: int,
) -> list[Found]:
    """The newest first. `before` is the time and the sid of one of them."""
    table = foreign_messages.c
    charged = table.listed & (
        table.charge_id.is_not(None)
        | func.coalesce(carrier_readings.c.as_of >= table.happened_at, false())
    )
    query = (
        select(foreign_messages, charged.label("charged"))
        .outerjoin(carrier_readings, carrier_readings.c.organization_id == table.organization_id)
        .where(table.organization_id == organization_id)
        .order_by(table.happened_at.desc(), table.message_sid)
        .limit(limit)
    )
    if before is not None:
        at, sid = before
        query = query.where(
            (table.happened_at < at) | ((table.happened_at == at) & (table.message_sid > sid))
        )
    return [_found(row) for row in await conn.execute(query)]


async def totals(conn: AsyncConnection, organization_id: str, *, since: datetime) -> list[Total]:
    """What Twilio listed since then, by direction and currency."""
    rows = await conn.execute(_SUMMARY, {"organization_id": organization_id, "since": since})
    return [
        Total(
            direction=Direction(row.direction),
            messages=row.messages,
            price=None if row.currency is None else Money(int(row.micros), row.currency),
        )
        for row in rows
    ]


def _found(row: Row[tuple[object, ...]]) -> Found:
    return Found(
        message_sid=row.message_sid,
        direction=Direction(row.direction),
        channel=row.channel,
        number=row.number,
        happened_at=row.happened_at,
        segments=row.segments,
        status=row.status,
        price=None if row.price_micros is None else Money(row.price_micros, row.price_currency),
        listed=row.listed,
        found_at=row.found_at,
        callbacks=row.callbacks,
        charged=row.charged,
    )
