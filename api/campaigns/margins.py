"""Margins: what a campaign was charged, and what Twilio took for it."""

from collections.abc import Sequence

from fastapi import APIRouter
from pydantic import BaseModel, Field

from api.context import CampaignId, Here, OrganizationId, parsed_uuid
from api.http.auth import READ
from api.http.errors import not_found
from api.http.fields import Decimal
from db.campaigns import campaigns, prices
from db.campaigns.prices import Margin
from db.lifecycle import organizations

router = APIRouter(prefix="/v1/organizations/{organization_id}/campaigns", tags=["campaigns"])


class Sums(BaseModel):
    """Of messages that Twilio accepted. `unpriced` ones have no price of Twilio's yet, which takes
    up to a day; `incomparable` ones have one in another currency. `margin` leaves both out.
    """

    messages: int
    unpriced: int
    incomparable: int
    charged: Decimal
    cost: Decimal
    margin: Decimal


class CountryMargin(Sums):
    """`country` is null where it is not known."""

    country: str | None = Field(examples=["US"])


class MarginOut(Sums):
    currency: str
    countries: list[CountryMargin]


@router.get(
    "/{campaign_id}/margin",
    dependencies=[READ],
    operation_id="get_margin",
    summary="Get the margin of a campaign",
)
async def get(organization_id: OrganizationId, campaign_id: CampaignId, here: Here) -> MarginOut:
    """Returns what the campaign was charged and what it cost. Tollgate reads the prices from the
    lists of Twilio every 15 minutes.
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
