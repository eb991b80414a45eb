"""Organizations: their identity, their sender, and their price per segment where no rate is set."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from db.tables.lifecycle import organizations, standings
from db.wallet import wallets
from domain.lifecycle.funds import FundsPolicy, WhenEmpty
from domain.lifecycle.standing import Policy, Status
from domain.money import Money


@dataclass(frozen=True, slots=True, kw_only=True)
class Organization:
    """`sender` is a number, a short code, an alphanumeric id or a messaging service's sid.
    `price_per_segment` is the customer's price to countries without a rate; without it they are
    not served. It has to cover what Twilio charges there, unless `price_below_cost`.
    `messages_per_second` limits its campaigns; None: the limit of the whole account.
    `twilio_parent_sid` owns the subaccount; None: not known yet. `price_per_rcs_message` is the least
    that a message costs if the sender is a messaging service, which may send RCS; None: one that
    does is refused, and has a `sender_problem` if that was found later.
    """

    id: str
    name: str
    twilio_account_sid: str
    sender: str
    currency: str
    price_per_segment: Money | None
    grace: timedelta
    messages_per_second: int | None = None
    created_at: datetime | None = None
    twilio_parent_sid: str | None = None
    funds: FundsPolicy = field(default_factory=FundsPolicy)
    price_below_cost: bool = False
    price_per_rcs_message: Money | None = None
    sender_problem: str = ""

    @property
    def policy(self) -> Policy:
        return Policy(grace=self.grace)


class AccountTaken(Exception):
    """The Twilio subaccount belongs to another organization."""


async def create(conn: AsyncConnection, organization: Organization) -> bool:
    """Create it with an empty wallet and an ACTIVE standing; False if the id exists already. The
    caller commits.
    """
    owners = await by_accounts(conn, [organization.twilio_account_sid])
    if owners.get(organization.twilio_account_sid, organization.id) != organization.id:
        raise AccountTaken(organization.twilio_account_sid)
    created = await conn.execute(
        upsert(organizations)
        .values(
            id=organization.id,
            name=organization.name,
            currency=organization.currency,
            twilio_account_sid=organization.twilio_account_sid,
            twilio_parent_sid=organization.twilio_parent_sid,
            sender=organization.sender,
            price_per_segment_micros=_micros(organization.price_per_segment),
            price_below_cost=organization.price_below_cost,
            grace_seconds=int(organization.grace.total_seconds()),
            messages_per_second=organization.messages_per_second,
            price_per_rcs_message_micros=_micros(organization.price_per_rcs_message),
            **_funds(organization.funds),
        )
        .on_conflict_do_nothing(index_elements=[organizations.c.id])
        .returning(organizations.c.id)
    )
    if created.one_or_none() is None:
        return False
    await wallets.open_wallet(conn, organization.id, organization.currency)
    await conn.execute(
        insert(standings).values(organization_id=organization.id, status=Status.ACTIVE.value)
    )
    return True


async def get(conn: AsyncConnection, organization_id: str) -> Organization | None:
    row = (
        await conn.execute(select(organizations).where(organizations.c.id == organization_id))
    ).one_or_none()
    return None if row is None else organization_of(row)


async def lock(conn: AsyncConnection, organization_id: str) -> Organization | None:
    """Lock its row, after the standing's, so that concurrent changes are seen.

    Rows that refer to it are not blocked: transactions that write messages hold locks that are
    taken after this one.
    """
    query = (
        select(organizations)
        .where(organizations.c.id == organization_id)
        .with_for_update(key_share=True)
    )
    row = (await conn.execute(query)).one_or_none()
    return None if row is None else organization_of(row)


async def change(conn: AsyncConnection, changed: Organization) -> None:
    """Write its name, sender, prices, grace, pace and the policy of its funds, and what is known of
    its sender. The caller holds its row and commits.
    """
    await conn.execute(
        update(organizations)
        .where(organizations.c.id == changed.id)
        .values(
            name=changed.name,
            sender=changed.sender,
            price_per_segment_micros=_micros(changed.price_per_segment),
            price_below_cost=changed.price_below_cost,
            price_per_rcs_message_micros=_micros(changed.price_per_rcs_message),
            sender_problem=changed.sender_problem,
            grace_seconds=int(changed.grace.total_seconds()),
            messages_per_second=changed.messages_per_second,
            **_funds(changed.funds),
        )
    )


async def by_accounts(conn: AsyncConnection, twilio_account_sids: Sequence[str]) -> dict[str, str]:
    """The ids of our organizations that have these Twilio subaccounts."""
    query = select(organizations.c.twilio_account_sid, organizations.c.id).where(
        organizations.c.twilio_account_sid.in_(twilio_account_sids)
    )
    return {row.twilio_account_sid: row.id for row in await conn.execute(query)}


async def page(conn: AsyncConnection, *, after: str | None, limit: int) -> list[Organization]:
    """Organizations in order of id, after `after` if given."""
    query = select(organizations).order_by(organizations.c.id).limit(limit)
    if after is not None:
        query = query.where(organizations.c.id > after)
    return [organization_of(row) for row in await conn.execute(query)]


def organization_of(row: Row[Any]) -> Organization:
    return Organization(
        id=row.id,
        name=row.name,
        twilio_account_sid=row.twilio_account_sid,
        sender=row.sender,
        currency=row.currency,
        price_per_segment=_money(row.price_per_segment_micros, row.currency),
        price_below_cost=row.price_below_cost,
        price_per_rcs_message=_money(row.price_per_rcs_message_micros, row.currency),
        sender_problem=row.sender_problem,
        grace=timedelta(seconds=row.grace_seconds),
        messages_per_second=row.messages_per_second,
        created_at=row.created_at,
        twilio_parent_sid=row.twilio_parent_sid,
        funds=FundsPolicy(
            when_empty=WhenEmpty(row.when_empty),
            empty_grace=timedelta(seconds=row.empty_grace_seconds),
            reserve_days=row.reserve_days,
        ),
    )


def _micros(price: Money | None) -> int | None:
    return None if price is None else price.micros


def _money(micros: int | None, currency: str) -> Money | None:
    return None if micros is None else Money(micros, currency)


def _funds(policy: FundsPolicy) -> dict[str, Any]:
    return {
        "when_empty": policy.when_empty.value,
        "empty_grace_seconds": int(policy.empty_grace.total_seconds()),
        "reserve_days": policy.reserve_days,
    }
