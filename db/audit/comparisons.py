"""Reads what is compared with the providers and Twilio: pages of it, and counts of its ids by
bucket.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Integer,
    and_,
    exists,
    func,
    literal,
    literal_column,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from db.billing import paid_back
from db.billing import subscriptions as stored
from db.lifecycle.organizations import Organization, organization_of
from db.lifecycle.standings import standing_of
from db.tables.audit import alerts
from db.tables.billing import subscriptions, topups
from db.tables.columns import written, written_all
from db.tables.lifecycle import organizations, standings
from domain.alerts import AlertKind
from domain.audit.reconciliation import BUCKETS
from domain.billing.subscription import ENDED, Provider, State, Subscription
from domain.lifecycle.standing import Standing

_ACCOUNTS = select(organizations, standings).join(
    standings, standings.c.organization_id == organizations.c.id
)
_SUBSCRIPTIONS = select(subscriptions, paid_back.AT.label("paid_back_at"))
_NOT_OVER = subscriptions.c.state.not_in(written_all(sorted(ENDED)))
LISTED = frozenset(State) - ENDED - {State.NONE, State.PENDING, State.UNKNOWN}
"""The states in which a provider lists a subscription: not while it is a checkout, or has ended."""
_LISTED = subscriptions.c.state.in_(written_all(sorted(LISTED)))
TOPUP_EVERY = timedelta(hours=6)
DUE_FOR = timedelta(minutes=17)
"""A little longer than the interval of what asks for them."""
_CHECKOUTS = subscriptions.c.state.in_(written_all([State.NONE, State.PENDING]))


def _bucket(column: ColumnElement[Any]) -> ColumnElement[int]:
    """As `domain.audit.reconciliation.bucket`."""
    digits = func.concat("x", func.left(func.md5(column), 4))
    number = digits.op("::")(literal_column("bit(16)")).op("::")(literal_column("integer"))
    return number.op("%", return_type=Integer())(literal_column(str(BUCKETS)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """An organization with its standing as last committed."""

    organization: Organization
    standing: Standing


async def of_accounts(conn: AsyncConnection, sids: Collection[str]) -> list[Recorded]:
    """The organizations that have these Twilio subaccounts."""
    query = _ACCOUNTS.where(organizations.c.twilio_account_sid.in_(sids))
    return [
        Recorded(organization=organization_of(row), standing=standing_of(row))
        for row in await conn.execute(query)
    ]


async def number_of_accounts(conn: AsyncConnection, *, before: datetime) -> int:
    """The number of organizations created before a time."""
    query = select(func.count()).where(organizations.c.created_at < before)
    number: int = (await conn.execute(query)).scalar_one()
    return number


async def accounts_by_bucket(conn: AsyncConnection, *, before: datetime) -> Mapping[int, int]:
    """The number of subaccounts in each bucket, of organizations created before a time."""
    number = _bucket(organizations.c.twilio_account_sid).label("bucket")
    query = select(number, func.count().label("all")).where(organizations.c.created_at < before)
    return {row.bucket: row.all for row in await conn.execute(query.group_by(number))}


async def accounts_in(
    conn: AsyncConnection, buckets: Collection[int], *, before: datetime, after: str, limit: int
) -> list[Organization]:
    """The organizations of these buckets, by id."""
    query = (
        select(organizations)
        .where(organizations.c.created_at < before, organizations.c.id > after)
        .where(_bucket(organizations.c.twilio_account_sid).in_(buckets))
        .order_by(organizations.c.id)
        .limit(limit)
    )
    return [organization_of(row) for row in await conn.execute(query)]


async def of_ids(
    conn: AsyncConnection, provider: Provider, subscription_ids: Collection[str]
) -> list[Subscription]:
    """Those of these subscriptions that are current."""
    query = _SUBSCRIPTIONS.where(
        subscriptions.c.provider == provider.value,
        subscriptions.c.provider_subscription_id.in_(subscription_ids),
        subscriptions.c.is_current,
    )
    return [stored.read(row) for row in await conn.execute(query)]


async def current(
    conn: AsyncConnection, provider: Provider, *, after: str, limit: int
) -> list[Subscription]:
    """The current subscriptions that have not ended, by organization."""
    query = _page(_of(provider), after, limit)
    return [stored.read(row) for row in await conn.execute(query)]


async def by_bucket(
    conn: AsyncConnection, provider: Provider, *, before: datetime
) -> Mapping[int, int]:
    """The number of current subscriptions that have to be listed in each bucket, of those linked
    before a time.
    """
    number = _bucket(subscriptions.c.provider_subscription_id).label("bucket")
    query = select(number, func.count().label("all")).where(
        *_of(provider), _LISTED, subscriptions.c.linked_at < before
    )
    return {row.bucket: row.all for row in await conn.execute(query.group_by(number))}


async def current_in(
    conn: AsyncConnection,
    provider: Provider,
    buckets: Collection[int],
    *,
    before: datetime,
    after: str,
    limit: int,
) -> list[Subscription]:
    """The same of these buckets, and checkouts, which are in no list; by organization."""
    some = and_(
        _bucket(subscriptions.c.provider_subscription_id).in_(buckets),
        subscriptions.c.linked_at < before,
    )
    query = _page([*_of(provider), or_(some, ~_LISTED)], after, limit)
    return [stored.read(row) for row in await conn.execute(query)]


async def clear_ended(conn: AsyncConnection) -> None:
    """Clear what was reported about subscriptions that are compared no more: they have ended. The
    caller commits.
    """
    compared = exists().where(
        subscriptions.c.organization_id == alerts.c.organization_id,
        subscriptions.c.is_current,
        _NOT_OVER,
    )
    await conn.execute(
        update(alerts)
        .where(alerts.c.kind == AlertKind.DIFFERS.value, alerts.c.cleared_at.is_(None))
        .where(~alerts.c.detail.contains("Twilio"), ~compared)
        .values(cleared_at=func.clock_timestamp())
    )


async def open_checkouts(
    conn: AsyncConnection,
    provider: Provider,
    *,
    since: datetime,
    after: tuple[str, str],
    limit: int,
) -> list[Subscription]:
    """Checkouts of ours that nobody completed, as far as we know, other than current ones; by
    organization and id. `after` is both of the last one before.
    """
    key = subscriptions.c.organization_id, subscriptions.c.provider_subscription_id
    query = (
        _SUBSCRIPTIONS.where(
            ~subscriptions.c.is_current, subscriptions.c.provider == provider.value, _CHECKOUTS
        )
        .where(subscriptions.c.checkout_url.is_not(None), subscriptions.c.linked_at >= since)
        .where(tuple_(*key) > tuple_(*after))
        .order_by(*key)
        .limit(limit)
    )
    return [stored.read(row) for row in await conn.execute(query)]


async def with_open_topups(conn: AsyncConnection, *, now: datetime, limit: int) -> list[str]:
    """The organizations with an open top-up that is due: one is due for some minutes in each period
    of `TOPUP_EVERY` after its begin.
    """
    age = func.extract("epoch", literal(now) - topups.c.created_at).cast(Integer)
    due = age % int(TOPUP_EVERY.total_seconds()) < int(DUE_FOR.total_seconds())
    query = (
        select(topups.c.organization_id)
        .where(topups.c.status == written("open"), topups.c.created_at < now - DUE_FOR, due)
        .distinct()
        .limit(limit)
    )
    return list((await conn.execute(query)).scalars())


def _of(provider: Provider) -> list[ColumnElement[bool]]:
    return [subscriptions.c.provider == provider.value, subscriptions.c.is_current, _NOT_OVER]


def _page(conditions: Collection[ColumnElement[bool]], after: str, limit: int) -> Any:
    return (
        _SUBSCRIPTIONS.where(*conditions, subscriptions.c.organization_id > after)
        .order_by(subscriptions.c.organization_id)
        .limit(limit)
    )
