"""Parked deliveries: retried until their organization or object is known, or set aside for a
person.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, case, exists, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db import alerts
from db.inbox.deliveries import (
    FIRST_RETRY,
    LAST_RETRY,
    NOT_UNDERSTOOD,
    UNDECIDED,
    UNKNOWN,
    Delivery,
    read,
)
from db.tables.billing import reversals
from db.tables.columns import written
from db.tables.inbox import inbox
from domain.alerts import AlertKind
from domain.billing.deliveries import InboxStatus
from domain.billing.events import EventKind
from domain.billing.subscription import Provider, State, Word
from domain.lifecycle.evidence import EventEffect
from domain.money import Money

FOR_NOW = f"{UNKNOWN}for now: "
"""Prefix of the outcome of a delivery that could not be booked when it was tried."""
LONGEST_PUT_OFF = timedelta(minutes=10)
PARKED = inbox.c.status == written(InboxStatus.PARKED.value)
_CLOSES = {
    EventKind.SUSPENDED.value: State.PAUSED,
    EventKind.PAUSED.value: State.PAUSED,
    EventKind.CANCELED.value: State.CANCELED,
    EventKind.EXPIRED.value: State.EXPIRED,
}
BACKOFF = func.least(FIRST_RETRY * func.power(2, func.least(inbox.c.attempts, 20)), LAST_RETRY)
"""How long a parked delivery waits for its next attempt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parked:
    """`amount` and `payer` are as the provider reported them when queried; None and empty before
    that.
    """

    delivery: Delivery
    custom_id: str | None
    payment_id: str | None
    amount: Money | None
    payer: str


async def park(
    conn: AsyncConnection, delivery_id: int, reason: str, amount: Money | None = None
) -> None:
    """Set a delivery aside for a person. It stays visible, and is retried if `reason` says that
    something is unknown.
    """
    await conn.execute(
        update(inbox)
        .where(inbox.c.id == delivery_id)
        .values(
            status=InboxStatus.PARKED.value,
            outcome=reason,
            next_attempt_at=func.clock_timestamp() + BACKOFF,
            **_amount_values(amount),
        )
    )


async def put_off(conn: AsyncConnection, delivery_id: int, reason: str) -> None:
    """Postpone a delivery that cannot be booked now: it is retried soon, automatically, and delays
    no other.
    """
    await conn.execute(
        update(inbox)
        .where(inbox.c.id == delivery_id)
        .values(
            status=InboxStatus.PARKED.value,
            outcome=f"{FOR_NOW}{reason}",
            next_attempt_at=func.clock_timestamp() + func.least(BACKOFF, LONGEST_PUT_OFF),
        )
    )


async def note_outcome(conn: AsyncConnection, delivery_id: int, outcome: str) -> None:
    """Record the outcome in words before the delivery is handled. The caller commits."""
    await conn.execute(update(inbox).where(inbox.c.id == delivery_id).values(outcome=outcome))


async def note_reversal(conn: AsyncConnection, delivery: Delivery, object_id: str) -> None:
    """Record whether its money was booked: an ineffective reversal, or money that never was in the
    wallet, is not. The caller commits.
    """
    booked = exists().where(
        reversals.c.provider == delivery.provider.value, reversals.c.object_id == object_id
    )
    outcome = case(
        (booked, f"booked as {object_id}"), else_=f"not booked: {object_id} takes nothing"
    )
    await conn.execute(update(inbox).where(inbox.c.id == delivery.id).values(outcome=outcome))


async def note_settled(conn: AsyncConnection, organization_id: str) -> None:
    """Clear the alert about postponed deliveries if there are none. The caller commits."""
    postponed = exists().where(
        inbox.c.organization_id == organization_id, PARKED, inbox.c.outcome.startswith(FOR_NOW)
    )
    await alerts.clear(conn, organization_id, AlertKind.MONEY_WAITS, unless=postponed)


async def note_understood(conn: AsyncConnection, organization_id: str) -> None:
    """Clear the alert about deliveries that lack a field if none is left. The caller commits."""
    left = exists().where(
        inbox.c.organization_id == organization_id,
        PARKED,
        inbox.c.outcome.startswith(NOT_UNDERSTOOD),
    )
    await alerts.clear(conn, organization_id, AlertKind.NOT_UNDERSTOOD, unless=left)


async def disown(
    conn: AsyncConnection, delivery_id: int, reason: str, *, subscription_id: str | None = None
) -> None:
    """Park a delivery whose provider says that it does not belong to the named organization;
    whatever else it named is not trusted.

    `subscription_id` is the one that the provider names.
    """
    await park(conn, delivery_id, reason)
    nobody = {"organization_id": None, "custom_id": None, "payment_id": None}
    await conn.execute(
        update(inbox)
        .where(inbox.c.id == delivery_id)
        .values(provider_subscription_id=subscription_id, **nobody)
    )


async def page(conn: AsyncConnection, *, after: int, limit: int) -> list[Parked]:
    """The parked deliveries of all organizations, in order of arrival."""
    query = select(inbox).where(PARKED, inbox.c.id > after)
    return [parked(row) for row in await conn.execute(query.order_by(inbox.c.id).limit(limit))]


async def describe(
    conn: AsyncConnection,
    delivery_id: int,
    reason: str,
    *,
    amount: Money | None,
    custom_id: str | None,
    payer: str,
) -> None:
    """Record what the provider reports about a delivery without an owner, for the operator who
    investigates.
    """
    values: dict[str, Any] = {"outcome": reason, "payer": payer} | _amount_values(amount)
    if custom_id is not None:
        values["custom_id"] = custom_id
    await conn.execute(update(inbox).where(inbox.c.id == delivery_id, PARKED).values(**values))


async def dismiss(conn: AsyncConnection, delivery_id: int, why: str) -> bool:
    """Dismiss a parked delivery; False if it is not parked. The caller commits."""
    handled = {"status": InboxStatus.HANDLED.value, "handled_at": func.clock_timestamp()}
    dismissed = await conn.execute(
        update(inbox)
        .where(inbox.c.id == delivery_id, PARKED)
        .values(outcome=f"dismissed: {why}", **handled)
        .returning(inbox.c.organization_id)
    )
    row = dismissed.one_or_none()
    if row is not None and row.organization_id is not None:
        await note_settled(conn, row.organization_id)
        await note_understood(conn, row.organization_id)
    return row is not None


async def adopt_subscription(
    conn: AsyncConnection, provider: Provider, subscription_id: str, now: datetime
) -> None:
    """Make parked deliveries of a subscription due: it was linked."""
    await _due(conn, provider, inbox.c.provider_subscription_id == subscription_id, now)


async def closing_word(
    conn: AsyncConnection, provider: Provider, subscription_id: str, *, since: datetime | None
) -> Word | None:
    """The newest closing report about a subscription before it was linked."""
    query = (
        select(inbox.c.kind, inbox.c.occurred_at)
        .where(
            inbox.c.provider == provider.value, inbox.c.provider_subscription_id == subscription_id
        )
        .where(PARKED | (inbox.c.outcome == EventEffect.OTHER.value), inbox.c.kind.in_(_CLOSES))
        .order_by(inbox.c.occurred_at.desc().nulls_first())
    )
    row = (await conn.execute(query.limit(1))).one_or_none()
    if row is None or (
        row.occurred_at is not None and since is not None and row.occurred_at < since
    ):
        return None
    return Word(state=_CLOSES[row.kind], as_of=row.occurred_at)


async def adopt_payment(
    conn: AsyncConnection, provider: Provider, payment_id: str, now: datetime
) -> None:
    """Make parked reversals of a payment (refunds, disputes) due: it was booked."""
    await _due(conn, provider, inbox.c.payment_id == payment_id, now)


async def _due(
    conn: AsyncConnection, provider: Provider, those: ColumnElement[bool], now: datetime
) -> None:
    await conn.execute(
        update(inbox)
        .where(inbox.c.provider == provider.value, those, PARKED)
        .values(next_attempt_at=now)
    )


def to_do(parked: Parked) -> str:
    """What an operator should do about a parked delivery."""
    delivery, outcome = parked.delivery, parked.delivery.outcome
    if outcome.startswith((UNDECIDED, FOR_NOW)):
        return "nothing: the provider is queried again automatically"
    if delivery.organization_id is not None:
        return "look at the organization's alerts; resolve it manually, then dismiss it"
    if delivery.money is None:
        return (
            "link the subscription if it belongs to an organization; otherwise it is dismissed "
            "automatically"
        )
    if delivery.subscription_id is not None:
        return (
            "link the subscription to its organization; for another product, add its plan to "
            "TOLLGATE_OTHER_PRODUCTS"
        )
    return (
        "credit it to its organization manually, with the payment's id as the reference, then "
        "dismiss it"
    )


def _amount_values(amount: Money | None) -> dict[str, Any]:
    """None keeps the earlier values."""
    return {} if amount is None else {"amount_micros": amount.micros, "currency": amount.currency}


def parked(row: Row[Any]) -> Parked:
    amount = None if row.amount_micros is None else Money(row.amount_micros, row.currency)
    return Parked(
        delivery=read(row),
        custom_id=row.custom_id,
        payment_id=row.payment_id,
        amount=amount,
        payer=row.payer,
    )
