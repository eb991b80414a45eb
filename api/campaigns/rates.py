"""The rate card: prices per segment by country; default rates and those of one organization."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.carrier import country_prices
from api.campaigns import numbers
from api.context import Context, Here, OrganizationId
from api.http.auth import READ, WRITE
from api.http.cursors import Cursor, Cursors, Limit, Page
from api.http.errors import invalid, not_found
from api.http.fields import Body, CountryOut, Currency, CurrencyOut, Decimal, PricePerSegment
from db.campaigns import rates
from db.campaigns.rates import EVERYBODY, Rate
from db.carrier import network_prices
from db.lifecycle import organizations
from db.lifecycle.organizations import Organization
from domain.carrier import floors
from domain.carrier.floors import NetworkPrice
from domain.money import Money

router = APIRouter(prefix="/v1", tags=["rates"])
_CURSORS: Cursors[tuple[str, str]] = Cursors(
    "rates", tuple[Annotated[str, Field(pattern="^[A-Z]{2}$")], Currency]
)
FOR_EVERYBODY = "/rates"
FOR_ONE = "/organizations/{organization_id}/rates"


async def _country(
    country: Annotated[
        str, Path(description="ISO 3166 code: two capital letters.", examples=["DE"])
    ],
) -> str:
    if country not in numbers.COUNTRIES:
        raise invalid("country", "an ISO 3166 code of a country with phone numbers, such as DE")
    return country


Country = Annotated[str, Depends(_country)]
InCurrency = Annotated[Currency, Query(description="The currency of the rate.")]


class RateRequest(Body):
    """A rate in the currency of the organization."""

    price_per_segment: PricePerSegment = Field(description="The price of one segment.")
    network: Annotated[str, Field(pattern="^[0-9]{5,6}$")] | None = Field(
        default=None,
        description=(
            "The mobile network (MCC and MNC) to which all messages go; without it, the rate has "
            "to cover the country's dearest network."
        ),
        examples=["26201"],
    )
    below_cost: bool = Field(
        default=False, description="Whether it may be lower than what Twilio charges."
    )


class DefaultRateRequest(RateRequest):
    """A rate for every organization whose wallet has this currency."""

    currency: Currency = Field(description="ISO 4217 code.")


class RateOut(BaseModel):
    """A price per segment. An organization's own rate precedes the default rate, which precedes the
    `price_per_segment` of the organization.
    """

    organization_id: str | None = Field(
        description="The id of the organization; null for a default rate."
    )
    country: CountryOut = Field(examples=["DE"], description="ISO 3166 code.")
    currency: CurrencyOut = Field(description="ISO 4217 code.")
    price_per_segment: Decimal = Field(description="The price of one segment.")
    network: str | None = Field(description="The network whose cost it covers; null: every one.")
    below_cost: bool = Field(description="Whether it may be lower than what Twilio charges.")
    cost: Decimal | None = Field(
        description=(
            "What Twilio charges for a segment at most, without carriers' fees; null if it is not "
            "known in this currency."
        )
    )
    changed_at: datetime = Field(description="When the rate was set.")

    @classmethod
    def of(cls, rate: Rate, prices: Sequence[NetworkPrice]) -> "RateOut":
        cost = floors.cost(prices, rate.price_per_segment.currency, rate.network)
        return cls(
            organization_id=None if rate.organization_id == EVERYBODY else rate.organization_id,
            country=rate.country,
            currency=rate.price_per_segment.currency,
            price_per_segment=rate.price_per_segment.micros,
            network=rate.network,
            below_cost=rate.below_cost,
            cost=None if cost is None else cost.micros,
            changed_at=rate.changed_at,
        )


class RatePage(Page[RateOut]):
    pass


@router.get(
    FOR_EVERYBODY, dependencies=[READ], operation_id="list_rates", summary="List default rates"
)
async def everybodys(here: Here, cursor: Cursor = None, limit: Limit = 100) -> RatePage:
    """Returns the rates that apply to all organizations, ordered by country, then by currency."""
    async with here.snapshot() as conn:
        return await _page(conn, EVERYBODY, cursor, limit)


@router.get(
    f"{FOR_EVERYBODY}/{{country}}",
    dependencies=[READ],
    operation_id="get_rate",
    summary="Get the default rate of a country",
)
async def get(country: Country, here: Here, currency: InCurrency) -> RateOut:
    """Returns the rate that applies to organizations without a rate of their own."""
    async with here.snapshot() as conn:
        return await _get(conn, EVERYBODY, country, currency)


@router.put(
    f"{FOR_EVERYBODY}/{{country}}",
    dependencies=[WRITE],
    operation_id="set_rate",
    summary="Set the default rate of a country",
)
async def put(country: Country, body: DefaultRateRequest, here: Here) -> RateOut:
    """Applies to recipients and messages that are added from now on; recipients that a campaign
    already has keep their price.
    """
    return await _put(here, EVERYBODY, country, body, body.currency)


@router.delete(
    f"{FOR_EVERYBODY}/{{country}}",
    dependencies=[WRITE],
    status_code=204,
    operation_id="delete_rate",
    summary="Delete the default rate of a country",
)
async def remove(country: Country, here: Here, currency: InCurrency) -> None:
    """Returns 404 if there is none."""
    await _remove(here, EVERYBODY, country, currency)


@router.get(
    FOR_ONE,
    dependencies=[READ],
    operation_id="list_organization_rates",
    summary="List the rates of an organization",
)
async def of_organization(
    organization_id: OrganizationId, here: Here, cursor: Cursor = None, limit: Limit = 100
) -> RatePage:
    """Returns the organization's own rates, ordered by country, then by currency."""
    async with here.snapshot() as conn:
        parent = (await _organization(conn, organization_id)).twilio_parent_sid
        return await _page(conn, organization_id, cursor, limit, parent)


@router.get(
    f"{FOR_ONE}/{{country}}",
    dependencies=[READ],
    operation_id="get_organization_rate",
    summary="Get an organization's rate of a country",
)
async def get_own(organization_id: OrganizationId, country: Country, here: Here) -> RateOut:
    """Returns the rate of this organization alone."""
    async with here.snapshot() as conn:
        organization = await _organization(conn, organization_id)
        parent = organization.twilio_parent_sid
        return await _get(conn, organization_id, country, organization.currency, parent)


@router.put(
    f"{FOR_ONE}/{{country}}",
    dependencies=[WRITE],
    operation_id="set_organization_rate",
    summary="Set an organization's rate of a country",
)
async def put_own(
    organization_id: OrganizationId, country: Country, body: RateRequest, here: Here
) -> RateOut:
    """Applies to recipients and messages that are added from now on; recipients that a campaign
    already has keep their price.
    """
    async with here.snapshot() as conn:
        organization = await _organization(conn, organization_id)
    parent = organization.twilio_parent_sid
    return await _put(here, organization_id, country, body, organization.currency, parent)


@router.delete(
    f"{FOR_ONE}/{{country}}",
    dependencies=[WRITE],
    status_code=204,
    operation_id="delete_organization_rate",
    summary="Delete an organization's rate of a country",
)
async def remove_own(organization_id: OrganizationId, country: Country, here: Here) -> None:
    """Returns 404 if there is none."""
    async with here.snapshot() as conn:
        currency = (await _organization(conn, organization_id)).currency
    await _remove(here, organization_id, country, currency)


async def _organization(conn: AsyncConnection, organization_id: str) -> Organization:
    found = await organizations.get(conn, organization_id)
    if found is None:
        raise not_found("organization")
    return found


async def _page(
    conn: AsyncConnection, whose: str, cursor: str | None, limit: int, parent: str | None = None
) -> RatePage:
    """The cost is that of the organization's parent account; everybody's rates have the dearest."""
    after = _CURSORS.read(cursor)
    found = await rates.page(conn, whose, after=after, limit=limit + 1)
    shown, following = _CURSORS.cut(
        found, limit, lambda rate: (rate.country, rate.price_per_segment.currency)
    )
    prices = await network_prices.of(conn, sorted({rate.country for rate in shown}), parent)
    data = [RateOut.of(rate, prices.get(rate.country, ())) for rate in shown]
    return RatePage(data=data, next_cursor=following)


async def _get(
    conn: AsyncConnection, whose: str, country: str, currency: str, parent: str | None = None
) -> RateOut:
    found = await rates.get(conn, whose, country, currency)
    if found is None:
        raise not_found("rate")
    prices = await network_prices.of(conn, [country], parent)
    return RateOut.of(found, prices.get(country, ()))


async def _put(
    here: Context,
    whose: str,
    country: str,
    body: RateRequest,
    currency: str,
    parent: str | None = None,
) -> RateOut:
    price = Money(body.price_per_segment, currency)
    prices: Sequence[NetworkPrice] = ()
    if not body.below_cost:
        prices = await country_prices.known(
            here.services.engine, here.services.twilio, country, parent
        )
        _must_cover(price, prices, country, body.network)
    async with here.services.engine.begin() as conn:
        rate = await rates.put(
            conn, whose, country, price, network=body.network, below_cost=body.below_cost
        )
        await network_prices.warn(conn, whose)
        stored = await network_prices.of(conn, [country], parent)
    return RateOut.of(rate, stored.get(country, ()))


def _must_cover(
    price: Money, prices: Sequence[NetworkPrice], country: str, network: str | None
) -> None:
    known = {each.network for each in prices}
    if network is not None and known and network not in known:
        raise invalid("network", f"Twilio lists no such network of {country}")
    cost = floors.cost(prices, price.currency, network)
    if cost is not None and price.micros < cost.micros:
        raise invalid(
            "price_per_segment",
            f"Twilio charges up to {cost} for a segment to {country}; below_cost accepts a loss",
        )


async def _remove(here: Context, whose: str, country: str, currency: str) -> None:
    async with here.services.engine.begin() as conn:
        if not await rates.remove(conn, whose, country, currency):
            raise not_found("rate")
        await network_prices.warn(conn, whose)
