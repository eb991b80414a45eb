"""Money that waits for a person: payments and refunds that could not be booked, open disputes, and
alerts about money; of all organizations, the oldest first.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.inbox import parking
from db.inbox.parking import Parked
from domain.alerts import AlertKind
from domain.billing.dispute_deadlines import answer_by
from domain.billing.events import MoneyObject
from domain.billing.subscription import Provider
from domain.money import Money

ALERTS = (
    AlertKind.REFUND,
    AlertKind.PAYMENT_OF_ANOTHER,
    AlertKind.PAYMENT_NOT_BOOKED,
    AlertKind.REVERSAL_NOT_BOOKED,
    AlertKind.CHARGED_BY_OTHER,
)
"""Those that name money which somebody has to move, and that a person closes."""
_BEHIND = """
    (CAST(:at AS timestamptz) IS NULL OR ({since}, ({place}) COLLATE "C") > (:at, CAST(:place AS text)))
"""
_PARKED = text(f"""
    SELECT inbox.*, ('delivery:' || id) COLLATE "C" AS place FROM inbox
    WHERE status = 'parked' AND money_id IS NOT NULL AND money_kind <> '{MoneyObject.CHECKOUT.value}'
      AND {_BEHIND.format(since="received_at", place="'delivery:' || id")}
    ORDER BY received_at, place LIMIT :limit
""")  # noqa: S608 - of constants
_DISPUTES = text(f"""
    SELECT b.organization_id, b.reference, b.reason, b.placed_at, told.*,
           ('dispute:' || b.organization_id || ':' || b.reference) COLLATE "C" AS place
    FROM standings s JOIN blocks b USING (organization_id)
    LEFT JOIN LATERAL (
        SELECT i.provider, i.amount_micros, i.currency, i.payer, i.custom_id, i.body FROM inbox i
        WHERE i.organization_id = b.organization_id AND i.money_id = b.reference
        ORDER BY i.id DESC LIMIT 1) told ON true
    WHERE 'dispute'::text = ANY (s.blocks) AND b.kind = 'dispute' AND b.reference <> 'receivable'
      AND {_BEHIND.format(since="b.placed_at", place="'dispute:' || b.organization_id || ':' || b.reference")}
    ORDER BY b.placed_at, place LIMIT :limit
""")  # noqa: S608 - of constants
_ALERTS = text(f"""
    SELECT id, organization_id, kind, detail, raised_at, ('alert:' || id) COLLATE "C" AS place
    FROM alerts WHERE cleared_at IS NULL AND kind IN ({", ".join(f"'{kind.value}'" for kind in ALERTS)})
      AND {_BEHIND.format(since="raised_at", place="'alert:' || id")}
    ORDER BY raised_at, place LIMIT :limit
""")  # noqa: S608 - of constants
Place = tuple[datetime, str]


class WaitingKind(StrEnum):
    """`PAYMENT`, `REFUND`: parked, with what the provider reported; `DISPUTE`: open; `ALERT`: an
    alert about money, of which only the words are known.
    """

    PAYMENT = "payment"
    REFUND = "refund"
    DISPUTE = "dispute"
    ALERT = "alert"


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """`reference` is the provider's id of the object, or the alert's kind. `deadline`: by when a
    dispute has to be answered, as its webhook says.
    """

    kind: WaitingKind
    place: str
    organization_id: str | None
    reference: str
    since: datetime
    why: str
    to_do: str
    provider: Provider | None = None
    delivery_id: int | None = None
    alert_id: str | None = None
    amount: Money | None = None
    payer: str = ""
    custom_id: str | None = None
    deadline: datetime | None = None


async def page(conn: AsyncConnection, *, after: Place | None, limit: int) -> list[Waiting]:
    """The oldest first."""
    at, place = after or (None, None)
    params = {"at": at, "place": place, "limit": limit}
    found = [
        *(_parked(row) for row in await conn.execute(_PARKED, params)),
        *(_dispute(row) for row in await conn.execute(_DISPUTES, params)),
        *(_alert(row) for row in await conn.execute(_ALERTS, params)),
    ]
    return sorted(found, key=place_of)[:limit]


async def disputes(conn: AsyncConnection, *, limit: int) -> list[Waiting]:
    """The open disputes, the oldest first."""
    params = {"at": None, "place": None, "limit": limit}
    return [_dispute(row) for row in await conn.execute(_DISPUTES, params)]


def place_of(waiting: Waiting) -> Place:
    """What `page` takes as `after`."""
    return waiting.since, waiting.place


def sums(found: Iterable[Waiting]) -> list[Money]:
    """The amounts added up, by currency."""
    by_currency: dict[str, int] = {}
    for waiting in found:
        if waiting.amount is not None:
            currency = waiting.amount.currency
            by_currency[currency] = by_currency.get(currency, 0) + waiting.amount.micros
    return [Money(micros, currency) for currency, micros in sorted(by_currency.items())]


def _parked(row: Row[Any]) -> Waiting:
    parked: Parked = parking.parked(row)
    taken_back = row.money_kind in (MoneyObject.REFUND.value, MoneyObject.DISPUTE.value)
    return Waiting(
        kind=WaitingKind.REFUND if taken_back else WaitingKind.PAYMENT,
        place=row.place,
        organization_id=row.organization_id,
        reference=row.money_id,
        since=row.received_at,
        why=row.outcome,
        to_do=parking.to_do(parked),
        provider=parked.delivery.provider,
        delivery_id=row.id,
        amount=parked.amount,
        payer=parked.payer,
        custom_id=parked.custom_id,
    )


def _dispute(row: Row[Any]) -> Waiting:
    provider = None if row.provider is None else Provider(row.provider)
    known = provider is not None and row.body is not None
    return Waiting(
        kind=WaitingKind.DISPUTE,
        place=row.place,
        organization_id=row.organization_id,
        reference=row.reference,
        since=row.placed_at,
        why=row.reason,
        to_do="answer it at the provider; the block ends when it is decided in your favour",
        provider=provider,
        amount=None if row.amount_micros is None else Money(row.amount_micros, row.currency),
        payer=row.payer or "",
        custom_id=row.custom_id,
        deadline=answer_by(provider, row.body) if provider is not None and known else None,
    )


def _alert(row: Row[Any]) -> Waiting:
    return Waiting(
        kind=WaitingKind.ALERT,
        place=row.place,
        organization_id=row.organization_id or None,
        reference=row.kind,
        since=row.raised_at,
        why=row.detail,
        to_do="resolve what it names, then close the alert",
        alert_id=row.id,
    )
