"""The carrier's bill: what Twilio charged in a month, and who paid it."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncConnection

from api.carrier.recurring import in_words
from api.context import Here, OrganizationId
from api.http.auth import READ
from api.http.errors import invalid, not_found
from api.http.fields import CurrencyOut, Decimal
from db.carrier import bill, recurring
from db.lifecycle import organizations
from domain.carrier.bill import Apart, ApartSource, Bill, Line, Month, Total, month_of, parse_month
from domain.carrier.recurring import costing_together

router = APIRouter(prefix="/v1", tags=["carrier"])
InMonth = Annotated[
    str | None,
    Query(
        description="The month (UTC), such as `2026-11`; the present one unless it is given.",
        examples=["2026-11"],
    ),
]


class Sums(BaseModel):
    """Amounts in the currency in which Twilio charges. `charged` is the sum of the other three."""

    currency: CurrencyOut = Field(description="ISO 4217 code.")
    charged: Decimal = Field(description="What Twilio charged.")
    paid: Decimal = Field(description="What customers paid of it, without markups.")
    absorbed: Decimal = Field(description="What the company pays, by policy or since it waived it.")
    unpaid: Decimal = Field(description="What nobody paid.")


class LineOut(Sums):
    """One usage category."""

    category: str = Field(description="Twilio's usage category.", examples=["sms-inbound-longcode"])
    taken: Decimal = Field(
        description=(
            "What carrier charges took from the wallet for it, in the wallet's currency and with "
            "markups; messages that Tollgate sent were paid by debits instead."
        )
    )

    account_sid: str | None = Field(
        description=(
            "Of the company's own cost: the parent account, a subaccount that no organization has, or "
            "one on the days before its organization was charged. Null: of organizations."
        )
    )
    account: str | None = Field(
        examples=["the parent account itself"], description="What that account is, for people."
    )

    @classmethod
    def line(cls, line: Line) -> "LineOut":
        return cls(
            category=line.category,
            taken=line.taken_micros,
            account_sid=line.account_sid,
            account=line.account or None,
            **_sums(line),
        )


class ApartOut(BaseModel):
    """Charges that are none of a usage category's, in a wallet's currency."""

    source: ApartSource = Field(
        description=(
            "`foreign_messages`: messages past Tollgate that Twilio's usage does not show yet; what was "
            "taken for them is returned when it does. `segments`: segments that Twilio counted beyond ours, "
            "and that the wallet could not pay at once."
        )
    )
    currency: CurrencyOut = Field(description="ISO 4217 code.")
    charged: Decimal = Field(description="What was charged, taken or owed.")
    owed: Decimal = Field(description="What the wallet has not paid of it.")
    waived: Decimal = Field(description="What an operator waived of it.")

    @classmethod
    def of(cls, apart: Apart) -> "ApartOut":
        return cls(
            source=apart.source,
            currency=apart.currency,
            charged=apart.charged_micros,
            owed=apart.owed_micros,
            waived=apart.waived_micros,
        )


class BillOut(BaseModel):
    """The carrier's bill of a month."""

    month: str = Field(description="The month (UTC).", examples=["2026-11"])
    settled: bool = Field(
        description="Whether nothing is unpaid or owed, and the lines add up to Twilio's total."
    )
    lines: list[LineOut] = Field(description="By usage category, the most expensive first.")
    totals: list[Sums] = Field(
        description="By currency; `charged` is Twilio's own total of the month's days."
    )
    apart: list[ApartOut] = Field(
        description="Charges of the month that are none of a usage category's, besides the totals."
    )
    messages: list[str] = Field(
        examples=[["costing us 0.12 USD a day since 2026-05-04"]],
        description="What suspended organizations go on costing, for people.",
    )

    @classmethod
    def of(cls, found: Bill, messages: Sequence[str] = ()) -> "BillOut":
        return cls(
            messages=list(messages),
            month=str(found.month),
            settled=found.settled,
            lines=[LineOut.line(line) for line in found.lines],
            totals=[Sums(**_sums(total)) for total in found.totals],
            apart=[ApartOut.of(each) for each in found.apart],
        )


@router.get(
    "/organizations/{organization_id}/carrier-bill",
    dependencies=[READ],
    operation_id="get_carrier_bill",
    summary="Get the carrier's bill of an organization",
)
async def of_organization(
    organization_id: OrganizationId, here: Here, month: InMonth = None
) -> BillOut:
    """Returns what Twilio charged for the organization's subaccount in a month, by usage category,
    and who paid it.
    """
    chosen = _month(month)
    async with here.snapshot() as conn:
        if await organizations.get(conn, organization_id) is None:
            raise not_found("organization")
        found = await bill.get(conn, chosen, organization_id)
        return BillOut.of(found, await costing_now(conn, organization_id))


@router.get(
    "/carrier-bill",
    dependencies=[READ],
    operation_id="get_whole_carrier_bill",
    summary="Get the carrier's bill of all organizations",
)
async def of_everybody(here: Here, month: InMonth = None) -> BillOut:
    """Returns what Twilio charged for the subaccounts of all organizations in a month, by usage
    category, and who paid it; and what it charged the company itself, by account.
    """
    async with here.snapshot() as conn:
        return BillOut.of(await bill.get(conn, _month(month)), await costing_now(conn))


async def costing_now(conn: AsyncConnection, organization_id: str | None = None) -> list[str]:
    """What the suspended organization, or all of them, go on costing, for people."""
    if organization_id is None:
        found = await recurring.of_suspended(conn)
        return [costing_together(each.organizations, each.daily) for each in found]
    organization = await organizations.get(conn, organization_id)
    costs = await recurring.get(conn, organization_id)
    message = None if organization is None else in_words(organization.currency, costs)
    return [] if message is None else [message]


def _month(given: str | None) -> Month:
    found = month_of(datetime.now(UTC).date()) if given is None else parse_month(given)
    if found is None:
        raise invalid("month", "a month such as 2026-11")
    return found


def _sums(of: Line | Total) -> dict[str, object]:
    return {
        "currency": of.currency,
        "charged": of.charged_micros,
        "paid": of.paid_micros,
        "absorbed": of.absorbed_micros,
        "unpaid": of.unpaid_micros,
    }
