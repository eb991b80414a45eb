"""What happens by itself soon unless somebody acts: deadlines of organizations, of disputes, and of
the parent accounts' money.

When a card ends is not known here: providers announce it to the customer, not in what they report
about a subscription.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.carrier import parent_funds
from db.operations import money_waiting
from db.operations.money_waiting import Waiting
from domain.carrier.runway import Funds
from domain.money import Money

MOST_DISPUTES = 10_000
_DEADLINES = text("""
    WITH due AS MATERIALIZED (
        SELECT organization_id, deadline, ('standing:' || organization_id) COLLATE "C" AS place FROM standings
        WHERE deadline <= :until AND deadline >= coalesce(CAST(:at AS timestamptz), '-infinity')
          AND (CAST(:at AS timestamptz) IS NULL
               OR (deadline, ('standing:' || organization_id) COLLATE "C") > (:at, CAST(:place AS text)))
        ORDER BY deadline, place LIMIT :limit
    )
    SELECT due.*, c.state, c.provider_subscription_id, c.outstanding_micros, c.outstanding_currency
    FROM due LEFT JOIN LATERAL (
        SELECT * FROM subscriptions c
        WHERE c.organization_id = due.organization_id AND c.is_current OFFSET 0) c ON true
""")


class RiskKind(StrEnum):
    GRACE_ENDS = "grace_ends"
    SUBSCRIPTION_ENDS = "subscription_ends"
    DISPUTE_DUE = "dispute_due"
    BALANCE_RUNS_OUT = "balance_runs_out"


@dataclass(frozen=True, slots=True, kw_only=True)
class Risk:
    """`reference` is the subscription, the dispute or the parent account; `amount` is what is
    unpaid, disputed or left.
    """

    kind: RiskKind
    organization_id: str | None
    reference: str
    deadline: datetime
    place: str
    amount: Money | None
    consequence: str


Place = tuple[datetime, str]


async def page(
    conn: AsyncConnection, *, now: datetime, until: datetime, after: Place | None, limit: int
) -> list[Risk]:
    """What is due until then, the first deadline first; what is overdue, too."""
    at, place = after or (None, None)
    params = {"until": until, "at": at, "place": place, "limit": limit}
    found = [_deadline(row) for row in await conn.execute(_DEADLINES, params)]
    disputes = await money_waiting.disputes(conn, limit=MOST_DISPUTES)
    found += [_dispute(each, each.deadline) for each in disputes if each.deadline]
    funds = await parent_funds.read(conn)
    found += [_runs_out(each, now) for each in funds if each.lasts_at_most(until - now)]
    due = [
        risk
        for risk in found
        if risk.deadline <= until and (after is None or place_of(risk) > after)
    ]
    return sorted(due, key=place_of)[:limit]


def place_of(risk: Risk) -> Place:
    """What `page` takes as `after`."""
    return risk.deadline, risk.place


def _deadline(row: Row[Any]) -> Risk:
    past_due = row.state == "past_due"
    amount = None
    if row.outstanding_micros is not None:
        amount = Money(row.outstanding_micros, row.outstanding_currency)
    return Risk(
        kind=RiskKind.GRACE_ENDS if past_due else RiskKind.SUBSCRIPTION_ENDS,
        organization_id=row.organization_id,
        reference=row.provider_subscription_id or "",
        deadline=row.deadline,
        place=row.place,
        amount=amount,
        consequence=(
            "it is suspended unless it pays"
            if past_due
            else "it is suspended: what it paid for ends, and nothing follows"
        ),
    )


def _dispute(waiting: Waiting, deadline: datetime) -> Risk:
    return Risk(
        kind=RiskKind.DISPUTE_DUE,
        organization_id=waiting.organization_id,
        reference=waiting.reference,
        deadline=deadline,
        place=waiting.place,
        amount=waiting.amount,
        consequence="the dispute is lost unless it is answered at the provider",
    )


def _runs_out(funds: Funds, now: datetime) -> Risk:
    lasts = funds.lasts
    return Risk(
        kind=RiskKind.BALANCE_RUNS_OUT,
        organization_id=None,
        reference=funds.account_sid,
        deadline=now if lasts is None else now + lasts,
        place=f"parent:{funds.account_sid}",
        amount=funds.balance,
        consequence="Twilio suspends the parent account with all its subaccounts",
    )
