"""Policies of categories, for everybody and for one organization, and what currencies are worth."""

from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from db import alerts
from db.tables.carrier import carrier_charges, carrier_exchange_rates, carrier_policies
from domain.alerts import AlertKind
from domain.carrier.categories import TOTAL
from domain.carrier.policies import EVERYBODY, Action, Chosen, Policy, choose


@dataclass(frozen=True, slots=True)
class Policies:
    of_organization: tuple[Policy, ...]
    of_everybody: tuple[Policy, ...]

    def choose(self, category: str) -> Chosen:
        return choose(category, self.of_organization, self.of_everybody)


async def get(conn: AsyncConnection, organization_id: str) -> Policies:
    """Those that an operator set, for the organization and for everybody."""
    query = (
        select(carrier_policies)
        .where(carrier_policies.c.organization_id.in_((organization_id, EVERYBODY)))
        .order_by(carrier_policies.c.prefix)
    )
    rows = (await conn.execute(query)).all()
    own, everybody = (
        tuple(
            Policy(
                prefix=row.prefix,
                action=Action(row.action),
                factor=row.factor,
                unit_price_micros=row.unit_price_micros,
            )
            for row in rows
            if row.organization_id == of
        )
        for of in (organization_id, EVERYBODY)
    )
    return Policies(own, everybody)


async def put(conn: AsyncConnection, organization_id: str, policy: Policy) -> None:
    """Set what counts for a prefix from now on; EVERYBODY in place of an organization's id. What is
    charged already for a category of a day keeps its policy. The caller commits.
    """
    values = {
        "action": policy.action.value,
        "factor": policy.factor,
        "unit_price_micros": policy.unit_price_micros,
    }
    await conn.execute(
        upsert(carrier_policies)
        .values(organization_id=organization_id, prefix=policy.prefix, **values)
        .on_conflict_do_update(
            index_elements=[carrier_policies.c.organization_id, carrier_policies.c.prefix],
            set_={**values, "changed_at": func.clock_timestamp()},
        )
    )
    await _clear_alerts(conn, organization_id)


async def _clear_alerts(conn: AsyncConnection, organization_id: str) -> None:
    """Clear the alert about unknown categories of each organization of which none is left."""
    kind = AlertKind.CARRIER_CATEGORY_UNKNOWN
    for alerted in await alerts.organizations_with(conn, kind):
        if organization_id not in (EVERYBODY, alerted):
            continue
        chosen = await get(conn, alerted)
        charged = (
            select(carrier_charges.c.category)
            .distinct()
            .where(
                carrier_charges.c.organization_id == alerted, carrier_charges.c.category != TOTAL
            )
        )
        if all(chosen.choose(name).known for name in (await conn.execute(charged)).scalars()):
            await alerts.clear(conn, alerted, kind)


async def remove(conn: AsyncConnection, organization_id: str, prefix: str) -> bool:
    """Returns whether there was such a policy. The caller commits."""
    removed = await conn.execute(
        delete(carrier_policies).where(
            carrier_policies.c.organization_id == organization_id,
            carrier_policies.c.prefix == prefix,
        )
    )
    return removed.rowcount > 0


async def exchange_rates(conn: AsyncConnection) -> dict[tuple[str, str], Decimal]:
    """By the currency that is charged and the wallet's."""
    return {
        (row.from_currency, row.to_currency): row.rate
        for row in await conn.execute(select(carrier_exchange_rates))
    }


async def put_exchange_rate(
    conn: AsyncConnection, from_currency: str, to_currency: str, rate: Decimal
) -> None:
    """What one unit of a currency is worth in the wallet's, for what is charged from now on. The
    caller commits.
    """
    await conn.execute(
        upsert(carrier_exchange_rates)
        .values(from_currency=from_currency, to_currency=to_currency, rate=rate)
        .on_conflict_do_update(
            index_elements=[
                carrier_exchange_rates.c.from_currency,
                carrier_exchange_rates.c.to_currency,
            ],
            set_={"rate": rate, "changed_at": func.clock_timestamp()},
        )
    )
