"""Previews of campaigns: what one would cost and how far the wallet would take it; nothing is
stored.
"""

import asyncio

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from api.campaigns import numbers
from api.campaigns.fields import NewCampaign
from api.campaigns.recipients import refusals
from api.context import Here, OrganizationId
from api.http.auth import READ
from api.http.errors import not_found
from api.http.fields import Decimal
from db.campaigns import rates
from db.lifecycle import organizations
from db.wallet import wallets
from domain.campaigns.preview import Destination, preview
from domain.campaigns.segments import Encoding, count_segments
from domain.money import Money

router = APIRouter(prefix="/v1/organizations/{organization_id}/campaigns", tags=["campaigns"])
MOST_NAMED = 100


class DestinationOut(BaseModel):
    """`country` is null for numbers whose country is not known."""

    model_config = ConfigDict(title="Destination")

    country: str | None = Field(examples=["DE"])
    recipients: int
    price_per_segment: Decimal
    cost: Decimal

    @classmethod
    def of(cls, one: Destination) -> "DestinationOut":
        return cls(
            country=one.country,
            recipients=one.recipients,
            price_per_segment=one.price_per_segment.micros,
            cost=one.cost.micros,
        )


class BadRecipientOut(BaseModel):
    model_config = ConfigDict(title="BadRecipient")

    index: int = Field(description="Its place in the request, counted from 0.")
    message: str


class PreviewOut(BaseModel):
    """`recipients` would get a message of `segments` segments each; the first hundred of `bad` ones
    are named.

    `runs_dry_position` is the first message, counted from 1, that `available` would not pay; null if it
    pays all.
    """

    model_config = ConfigDict(title="Preview")

    recipients: int
    duplicates: int
    bad: int
    bad_recipients: list[BadRecipientOut]
    encoding: Encoding
    segments: int
    cost: Decimal
    currency: str
    countries: list[DestinationOut]
    available: Decimal
    runs_dry_position: int | None = Field(examples=[41200])


@router.post("/preview", dependencies=[READ], summary="What a campaign would cost")
async def show(organization_id: OrganizationId, asked: NewCampaign, here: Here) -> PreviewOut:
    """Takes what the creation takes, and stores nothing. Where the creation would refuse a number,
    this names it.
    """
    async with here.snapshot() as conn:
        organization = await organizations.get(conn, organization_id)
        wallet = await wallets.get(conn, organization_id)
        if organization is None or wallet is None:
            raise not_found("organization")
        card = await rates.card(conn, organization)
    checked = await numbers.check(asked.recipients)
    counted = count_segments(asked.body)
    available = Money(wallet.available_micros, wallet.currency)
    refused = refusals(checked.countries.values(), card, asked.quiet)
    sent = [country for country in checked.countries.values() if country not in refused]
    told = await asyncio.to_thread(preview, sent, counted.count, card, available)
    bad = list(checked.bad)
    if refused:
        unsent = [
            (number, country) for number, country in checked.countries.items() if country in refused
        ]
        bad += [
            (asked.recipients.index(number), refused[country])
            for number, country in unsent[:MOST_NAMED]
        ]
    return PreviewOut(
        recipients=told.recipients,
        duplicates=checked.duplicates,
        bad=len(checked.bad) + len(checked.countries) - told.recipients,
        bad_recipients=[
            BadRecipientOut(index=index, message=problem)
            for index, problem in sorted(bad)[:MOST_NAMED]
        ],
        encoding=counted.encoding,
        segments=counted.count,
        cost=told.cost.micros,
        currency=told.cost.currency,
        countries=[DestinationOut.of(one) for one in told.destinations],
        available=available.micros,
        runs_dry_position=told.runs_dry_at,
    )
