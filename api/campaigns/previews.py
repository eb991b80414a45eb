"""Previews of campaigns: the cost, and how far the wallet would pay for it. Stores nothing."""

import asyncio

from fastapi import APIRouter
from pydantic import BaseModel, Field

from api.campaigns import numbers
from api.campaigns.fields import CampaignRequest
from api.campaigns.pricing import refusals
from api.context import Here, OrganizationId
from api.http.auth import READ
from api.http.errors import not_found
from api.http.fields import CountryOut, CurrencyOut, Decimal
from db.campaigns import rates
from db.lifecycle import organizations
from db.wallet import wallets
from domain.campaigns.preview import Destination, preview
from domain.campaigns.segments import Encoding, count_segments
from domain.money import Money

router = APIRouter(prefix="/v1/organizations/{organization_id}/campaigns", tags=["campaigns"])
MOST_NAMED = 100


class DestinationOut(BaseModel):
    """The recipients in one country."""

    country: CountryOut | None = Field(
        examples=["DE"], description="ISO 3166 code; null if the country is unknown."
    )
    recipients: int = Field(description="How many recipients.")
    price_per_segment: Decimal = Field(description="The price of one segment.")
    cost: Decimal = Field(description="The price of all messages to this country.")

    @classmethod
    def of(cls, destination: Destination) -> "DestinationOut":
        return cls(
            country=destination.country,
            recipients=destination.recipients,
            price_per_segment=destination.price_per_segment.micros,
            cost=destination.cost.micros,
        )


class BadRecipientOut(BaseModel):
    """A number that cannot be sent to."""

    index: int = Field(description="Its place in the request, counted from 0.")
    message: str = Field(description="Why it cannot be sent to.")


class PreviewOut(BaseModel):
    """What a campaign would cost, and how far the wallet would pay for it."""

    recipients: int = Field(description="How many recipients would get a message.")
    duplicates: int = Field(description="Numbers that occur more than once.")
    bad: int = Field(description="Numbers that cannot be sent to.")
    bad_recipients: list[BadRecipientOut] = Field(description="The first hundred of them.")
    encoding: Encoding
    segments: int = Field(description="Segments of one message.")
    cost: Decimal = Field(description="The price of the campaign.")
    currency: CurrencyOut = Field(description="ISO 4217 code.")
    countries: list[DestinationOut] = Field(description="The cost by country.")
    available: Decimal = Field(description="What the wallet has available.")
    runs_dry_position: int | None = Field(
        examples=[41200],
        description=(
            "The first message, counted from 1, that `available` would not pay for; null if "
            "it pays for all."
        ),
    )


@router.post(
    "/preview",
    dependencies=[READ],
    operation_id="preview_campaign",
    summary="Preview the price of a campaign",
)
async def show(organization_id: OrganizationId, draft: CampaignRequest, here: Here) -> PreviewOut:
    """Takes the body of a creation and stores nothing. Names the numbers that a creation would
    refuse.
    """
    async with here.snapshot() as conn:
        organization = await organizations.get(conn, organization_id)
        wallet = await wallets.get(conn, organization_id)
        if organization is None or wallet is None:
            raise not_found("organization")
        card = await rates.card(conn, organization)
    checked = await numbers.check(draft.recipients)
    counted = count_segments(draft.body)
    available = Money(wallet.available_micros, wallet.currency)
    refused = refusals(checked.countries.values(), card, draft.quiet)
    sent = [country for country in checked.countries.values() if country not in refused]
    estimate = await asyncio.to_thread(preview, sent, counted.count, card, available)
    bad = list(checked.bad)
    if refused:
        unsent = [
            (number, country) for number, country in checked.countries.items() if country in refused
        ]
        bad += [
            (draft.recipients.index(number), refused[country])
            for number, country in unsent[:MOST_NAMED]
        ]
    return PreviewOut(
        recipients=estimate.recipients,
        duplicates=checked.duplicates,
        bad=len(checked.bad) + len(checked.countries) - estimate.recipients,
        bad_recipients=[
            BadRecipientOut(index=index, message=problem)
            for index, problem in sorted(bad)[:MOST_NAMED]
        ],
        encoding=counted.encoding,
        segments=counted.count,
        cost=estimate.cost.micros,
        currency=estimate.cost.currency,
        countries=[DestinationOut.of(destination) for destination in estimate.destinations],
        available=available.micros,
        runs_dry_position=estimate.runs_dry_at,
    )
