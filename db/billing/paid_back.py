"""Decides whether the payment of a subscription's period was refunded, from all payments of the
period and not the newest alone.
"""

from datetime import timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Interval,
    case,
    func,
    literal,
    literal_column,
    select,
)

from db.tables.billing import payments, reversals, subscriptions

EARLY = timedelta(days=1)
"""How long before its begin a period may be paid, at most a quarter of it: PayPal rounds to an hour
of the day.
"""

_REVERSED = (
    select(func.coalesce(func.sum(reversals.c.amount_micros), 0))
    .where(
        reversals.c.organization_id == payments.c.organization_id,
        reversals.c.provider == payments.c.provider,
    )
    .where(reversals.c.payment_id == payments.c.object_id, reversals.c.returned_at.is_(None))
    .correlate(payments)
    .scalar_subquery()
)


def _of_subscription(table: FromClause) -> tuple[ColumnElement[bool], ...]:
    return (
        table.c.organization_id == subscriptions.c.organization_id,
        table.c.provider == subscriptions.c.provider,
        table.c.kind == literal_column("'subscription'"),
        table.c.provider_subscription_id == subscriptions.c.provider_subscription_id,
    )


_ALL = payments.alias("all_payments")
_NEWEST: Any = (
    select(func.max(_ALL.c.occurred_at))
    .where(*_of_subscription(_ALL))
    .correlate(subscriptions)
    .scalar_subquery()
)
_QUARTER: Any = literal_column(
    "(subscriptions.paid_until - subscriptions.paid_from) / 4", Interval()
)
_BEGINS = func.coalesce(
    subscriptions.c.paid_from - func.least(_QUARTER, literal(EARLY)),
    subscriptions.c.paid_at - EARLY,
    _NEWEST,
)
_LARGEST = func.max(payments.c.amount_micros)
_LARGEST_KEPT = _LARGEST.filter(payments.c.amount_micros > _REVERSED)

AT = (
    select(case((func.coalesce(_LARGEST_KEPT, 0) < _LARGEST, func.max(payments.c.occurred_at))))
    .where(*_of_subscription(payments), payments.c.occurred_at >= _BEGINS)
    .correlate(subscriptions)
    .scalar_subquery()
)
"""The time of the newest payment of the period, if its largest payment was fully refunded and no
other one is as large.

Null: the period is paid. A small additional payment neither ends nor keeps the period.
"""
