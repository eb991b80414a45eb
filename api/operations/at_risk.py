"""What happens by itself soon unless somebody acts."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from api.context import Here
from api.http.auth import READ
from api.http.cursors import Cursor, Cursors, Limit, Page
from api.http.fields import CurrencyOut, Decimal, Reference, Time, options
from db.operations import at_risk
from db.operations.at_risk import Place, Risk, RiskKind

router = APIRouter(prefix="/v1/at-risk", tags=["operations"])
_CURSORS: Cursors[Place] = Cursors("at_risk", tuple[AwareDatetime, Reference])
WEEK = timedelta(days=7)


class RiskOut(BaseModel):
    """Something that happens by itself at its deadline."""

    model_config = ConfigDict(title="Risk")

    kind: str = Field(
        description=(
            "`grace_ends`: of a payment that is past due; `subscription_ends`: the end of what was "
            "paid for; `dispute_due`: a dispute has to be answered; `balance_runs_out`: of a parent "
            "account at Twilio, at last week's speed."
        ),
        json_schema_extra=options(RiskKind),
    )
    deadline: Time = Field(description="When it happens.")
    organization_id: str | None = Field(description="Whom it concerns; null: all of a parent.")
    reference: str = Field(description="The subscription, the dispute, or the parent account.")
    amount: Decimal | None = Field(
        description="What is unpaid, disputed, or left; null if it is unknown."
    )
    currency: CurrencyOut | None = Field(description="ISO 4217 code.")
    consequence: str = Field(description="What happens then.")

    @classmethod
    def of(cls, risk: Risk) -> "RiskOut":
        return cls(
            kind=risk.kind.value,
            deadline=risk.deadline,
            organization_id=risk.organization_id,
            reference=risk.reference,
            amount=risk.amount and risk.amount.micros,
            currency=risk.amount and risk.amount.currency,
            consequence=risk.consequence,
        )


class RiskPage(Page[RiskOut]):
    pass


@router.get("", dependencies=[READ], operation_id="list_risks", summary="List what is at risk")
async def page(
    here: Here,
    *,
    within: Annotated[
        timedelta,
        Query(
            gt=timedelta(0),
            le=timedelta(days=366),
            description="How far to look ahead, as an ISO 8601 duration.",
            examples=["P7D"],
        ),
    ] = WEEK,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> RiskPage:
    """Returns what happens within that time unless somebody acts, and what is overdue, the first
    deadline first. When a customer's card ends is not known here.
    """
    after = _CURSORS.read(cursor)
    now = datetime.now(UTC)
    async with here.snapshot() as conn:
        found = await at_risk.page(conn, now=now, until=now + within, after=after, limit=limit + 1)
    shown, following = _CURSORS.cut(found, limit, at_risk.place_of)
    return RiskPage(data=[RiskOut.of(risk) for risk in shown], next_cursor=following)
