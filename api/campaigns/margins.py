"""Margins: what a campaign was charged and what Twilio charged for it."""

from collections.abc import Sequence

from fastapi import APIRouter
from pydantic import BaseModel, Field

from api.context import CampaignId, Here, OrganizationId, parsed_uuid
from api.http.auth import READ
from api.http.errors import not_found
from api.http.fields import CountryOut, CurrencyOut, Decimal
from db.campaigns import campaigns, prices
from db.campaigns.prices import Margin
from db.lifecycle import organizations

router = APIRouter(prefix="/v1/organizations/{organization_id}/campaigns", tags=["campaigns"])


class Sums(BaseModel):
    """Sums over messages that Twilio accepted."""

    messages: int = Field(description="How many messages.")
    unpriced: int = Field(
        description="Messages whose price Twilio has not reported yet; it takes up to a day."
    )
    incomparable: int = Field(description="Messages that Twilio priced in another currency.")
    charged: Decimal = Field(description="What the organization was charged.")
    cost: Decimal = Field(description="What Twilio charged.")
    margin: Decimal = Field(
        description="The difference, without unpriced and incomparable messages."
    )


class CountryMargin(Sums):
    """Sums over the messages to one country."""

    country: CountryOut | None = Field(
        examples=["US"], description="ISO 3166 code; null if the country is unknown."
    )


class MarginOut(Sums):
    """What a campaign was charged and what it cost."""

    currency: CurrencyOut = Field(description="ISO 4217 code.")
    countries: list[CountryMargin] = Field(description="The same sums by country.")


@router.get(
    "/{campaign_id}/margin",
    dependencies=[READ],
    operation_id="get_margin",
    summary="Get the margin of a campaign",
)
async def get(organization_id: OrganizationId, campaign_id: CampaignId, here: Here) -> MarginOut:
    """Returns what the campaign was charged and what it cost. Tollgate reads the prices from the
    lists of Twilio every few hours.
    """
    async with here.snapshot() as conn:
        organization = await organizations.get(conn, organization_id)
        campaign = await campaigns.get(conn, organization_id, parsed_uuid(campaign_id, "campaign"))
        if organization is None or campaign is None:
            raise not_found("campaign")
        found = await prices.margins(conn, organization_id, campaign.id, organization.currency)
    return MarginOut(
        **_sums(found),
        currency=organization.currency,
        countries=[CountryMargin(**_sums([margin]), country=margin.country) for margin in found],
    )


def _sums(margins: Sequence[Margin]) -> dict[str, int]:
    return {
        "messages": sum(margin.messages for margin in margins),
        "unpriced": sum(margin.unpriced for margin in margins),
        "incomparable": sum(margin.incomparable for margin in margins),
        "charged": sum(margin.charged_micros for margin in margins),
        "cost": sum(margin.cost_micros for margin in margins),
        "margin": sum(margin.margin_micros for margin in margins),
    }
