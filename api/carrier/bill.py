"""The carrier's bill: what Twilio charged in a month, and who paid it."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from api.context import Here, OrganizationId
from api.http.auth import READ
from api.http.errors import invalid, not_found
from api.http.fields import CurrencyOut, Decimal
from db.carrier import bill
from db.lifecycle import organizations
from domain.carrier.bill import Bill, Line, Month, Total, month_of, parse_month

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

    @classmethod
    def line(cls, line: Line) -> "LineOut":
        return cls(category=line.category, taken=line.taken_micros, **_sums(line))


class BillOut(BaseModel):
    """The carrier's bill of a month."""

    month: str = Field(description="The month (UTC).", examples=["2026-11"])
    settled: bool = Field(
        description="Whether nothing is unpaid, and the lines add up to Twilio's total."
    )
    lines: list[LineOut] = Field(description="By usage category, the most expensive first.")
    totals: list[Sums] = Field(
        description="By currency; `charged` is Twilio's own total of the month's days."
    )

    @classmethod
    def of(cls, found: Bill) -> "BillOut":
        return cls(
            month=str(found.month),
            settled=found.settled,
            lines=[LineOut.line(line) for line in found.lines],
            totals=[Sums(**_sums(total)) for total in found.totals],
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
        return BillOut.of(await bill.get(conn, chosen, organization_id))


@router.get(
    "/carrier-bill",
    dependencies=[READ],
    operation_id="get_whole_carrier_bill",
    summary="Get the carrier's bill of all organizations",
)
async def of_everybody(here: Here, month: InMonth = None) -> BillOut:
    """Returns what Twilio charged for the subaccounts of all organizations in a month, by usage
    category, and who paid it.
    """
    async with here.snapshot() as conn:
        return BillOut.of(await bill.get(conn, _month(month)))


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
