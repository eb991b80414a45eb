"""Charges for what Twilio billed: what a day costs now is compared with what was booked for it, and
the difference is booked, once, under a reference of its own.

Whoever learns something of a day (its usage, a price of a message, an exchange rate) calls
`settle`; it decides from all recorded facts, so calling it again changes nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import structlog
from sqlalchemy import Text, bindparam, exists, insert, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncConnection

from db import alerts
from db.billing import blocks, carrier
from db.carrier import policies, sent, usage
from db.carrier.policies import Policies
from db.events import log
from db.lifecycle import standings, unnotified
from db.lifecycle.standings import HeldBlock
from db.tables.carrier import carrier_charges
from db.wallet import wallets
from domain.alerts import AlertKind
from domain.carrier.categories import TOTAL
from domain.carrier.charges import NO_PRICE, Assessed, Sent, assess, is_ours
from domain.carrier.policies import Action, Policy
from domain.carrier.recurring import recurs
from domain.carrier.usage import UsageRecord
from domain.events.catalogue import EventType
from domain.lifecycle.standing import Block

logger = structlog.get_logger()
PRICED_AFTER = timedelta(days=3)
"""A price that is still missing is a problem after this."""
NEWEST = (
    select(carrier_charges)
    .ext(distinct_on(carrier_charges.c.day, carrier_charges.c.category))
    .where(carrier_charges.c.organization_id == bindparam("of", type_=Text))
    .order_by(carrier_charges.c.day, carrier_charges.c.category, carrier_charges.c.revision.desc())
)
_OF_DAY = NEWEST.where(carrier_charges.c.day == bindparam("on"))
_WITH_PROBLEM = (
    select(carrier_charges.c.day)
    .distinct()
    .where(carrier_charges.c.organization_id == bindparam("of", type_=Text))
    .where(carrier_charges.c.problem.is_not(None), carrier_charges.c.day >= bindparam("since"))
)


@dataclass(frozen=True, slots=True)
class _Day:
    organization_id: str
    day: date
    now: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """`moved_micros` left the wallet or became owed; below 0 it came back."""

    revisions: int = 0
    moved_micros: int = 0


async def settle(
    conn: AsyncConnection,
    organization_id: str,
    day: date,
    *,
    now: datetime,
    own: Sent | None = None,
) -> Settled:
    """Charge what the day costs beyond what was charged for it, or return what it costs less. A
    caller that holds nothing yet reads `own` messages first: a day can have a million of them.
    Raises NotBooked if the ledger has other entries with a charge's reference.

    Locks the standing, then the wallet; the caller commits.
    """
    await standings.lock(conn, organization_id)
    wallet = await wallets.get(conn, organization_id)
    records = await usage.of_day(conn, organization_id, day)
    if wallet is None or not records:
        return Settled()
    before = await _booked(conn, organization_id, day)
    chosen = await policies.get(conn, organization_id)
    rates = await policies.exchange_rates(conn)

    def policy_of(category: str) -> Policy:
        """The one by which the day's first charge was made: a policy is never retroactive."""
        row = before.get(category)
        return chosen.choose(category).policy if row is None else _policy(row)

    def rate_of(currency: str) -> Decimal | None:
        return Decimal(1) if currency == wallet.currency else rates.get((currency, wallet.currency))

    if own is None:
        own = await own_messages(conn, organization_id, day, records)
    assessed = assess(records, own, policy_of, rate_of)
    if now.date() - day < PRICED_AFTER:
        assessed = {name: each for name, each in assessed.items() if each.problem != NO_PRICE}
    for name in before.keys() - assessed.keys():
        assessed[name] = Assessed(
            currency=before[name].currency, cost_micros=0, policy=_policy(before[name])
        )
    return await _book(conn, _Day(organization_id, day, now), assessed, before, chosen)


async def own_messages(
    conn: AsyncConnection, organization_id: str, day: date, records: Sequence[UsageRecord] | None
) -> Sent:
    """Own messages of the day, if one of its records may be of them; the recorded ones by default."""
    if records is None:
        records = await usage.of_day(conn, organization_id, day)
    outbound = any(is_ours(each.category) for each in records)
    return await sent.of_day(conn, organization_id, day) if outbound else Sent()


async def with_problems(conn: AsyncConnection, organization_id: str, *, since: date) -> list[date]:
    """The days on which something could not be charged, now or once."""
    rows = await conn.execute(_WITH_PROBLEM, {"of": organization_id, "since": since})
    return list(rows.scalars())


async def _booked(conn: AsyncConnection, organization_id: str, day: date) -> dict[str, Any]:
    rows = await conn.execute(_OF_DAY, {"of": organization_id, "on": day})
    return {row.category: row for row in rows}


async def _book(
    conn: AsyncConnection,
    of: _Day,
    assessed: Mapping[str, Assessed],
    before: Mapping[str, Any],
    chosen: Policies,
) -> Settled:
    booked, problems = Settled(), False
    for name, found in sorted(assessed.items()):
        row = before.get(name)
        if row is not None and _same(row, found):
            continue
        if row is None:
            await _note_first(conn, of, name, found, chosen)
        moved = await _move(conn, of, name, row, found)
        booked = Settled(revisions=booked.revisions + 1, moved_micros=booked.moved_micros + moved)
        problems |= found.problem is not None or (row is not None and row.problem is not None)
    if problems:
        await _agree(conn, of.organization_id)
    if booked.revisions:
        logger.info(
            "carrier_charged",
            organization_id=of.organization_id,
            day=of.day.isoformat(),
            revisions=booked.revisions,
            moved_micros=booked.moved_micros,
        )
    return booked


async def _move(conn: AsyncConnection, of: _Day, name: str, row: Any, found: Assessed) -> int:
    """Book the difference and its row."""
    revision = 1 if row is None else row.revision + 1
    charged = 0 if row is None else row.due_micros
    moved = found.due_micros - charged
    *earlier, reference = (f"{of.day.isoformat()}:{name}:{n}" for n in range(1, revision + 1))
    id_ = of.organization_id
    if moved > 0:
        await carrier.take_charge(conn, id_, moved, reference, of.now, recurs=recurs(name))
    elif moved < 0:
        await carrier.give_back(conn, id_, -moved, reference, of.now, of=earlier)
    await conn.execute(
        insert(carrier_charges).values(
            organization_id=id_,
            day=of.day,
            category=name,
            revision=revision,
            currency=found.currency,
            cost_micros=found.cost_micros,
            explained_micros=found.explained_micros,
            absorbed_micros=found.absorbed_micros,
            action=found.policy.action.value,
            factor=found.policy.factor,
            unit_price_micros=found.policy.unit_price_micros,
            due_micros=found.due_micros,
            moved_micros=moved,
            reference_id=reference if moved else None,
            problem=found.problem,
        )
    )
    return moved


async def _note_first(
    conn: AsyncConnection, of: _Day, name: str, found: Assessed, chosen: Policies
) -> None:
    """A category that appears for the first time on a day: a forbidden one blocks, an unknown one
    is alerted unless it was before.
    """
    id_ = of.organization_id
    if found.policy.action is Action.FORBID and found.due_micros > 0:
        reason = f"{name}: what Twilio charges for it is forbidden"
        block = HeldBlock(
            kind=Block.ADMIN,
            reference=f"{blocks.CARRIER}{name}",
            reason=reason,
            placed_by="tollgate",
        )
        await blocks.block(conn, id_, block, now=of.now)
        await unnotified.notify_now(conn, id_)
        await alerts.raise_(conn, id_, AlertKind.CARRIER_FORBIDDEN, reason)
        forbidden = {"day": of.day.isoformat(), "category": name}
        await log.append(conn, EventType.CARRIER_FORBIDDEN, id_, forbidden)
    if name == TOTAL or chosen.choose(name).known:
        return
    seen = exists().where(
        carrier_charges.c.organization_id == id_, carrier_charges.c.category == name
    )
    if not (await conn.execute(select(seen))).scalar_one():
        await alerts.raise_(conn, id_, AlertKind.CARRIER_CATEGORY_UNKNOWN, name)


async def _agree(conn: AsyncConnection, organization_id: str) -> None:
    """Keep one alert exactly while the newest rows have a problem."""
    newest = NEWEST.subquery()
    query = (
        select(newest.c.day, newest.c.category, newest.c.problem)
        .where(newest.c.problem.is_not(None))
        .order_by(newest.c.day.desc(), newest.c.category)
        .limit(5)
    )
    rows = (await conn.execute(query, {"of": organization_id})).all()
    if not rows:
        await alerts.clear(conn, organization_id, AlertKind.CARRIER_NOT_CHARGED)
        return
    detail = "; ".join(f"{row.day} {row.category}: {row.problem}" for row in rows)
    await alerts.raise_(conn, organization_id, AlertKind.CARRIER_NOT_CHARGED, detail)


def _same(row: Any, found: Assessed) -> bool:
    return (
        row.currency,
        row.cost_micros,
        row.explained_micros,
        row.absorbed_micros,
        row.due_micros,
        row.problem,
    ) == (
        found.currency,
        found.cost_micros,
        found.explained_micros,
        found.absorbed_micros,
        found.due_micros,
        found.problem,
    )


def _policy(row: Any) -> Policy:
    return Policy(
        prefix=row.category,
        action=Action(row.action),
        factor=row.factor,
        unit_price_micros=row.unit_price_micros,
    )
