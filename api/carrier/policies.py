"""Policies: who pays for which of Twilio's usage categories, and exchange rates."""

import decimal
from decimal import InvalidOperation
from typing import Annotated, Literal

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field

from api.context import Context, Here, OrganizationId
from api.http.auth import READ, WRITE
from api.http.errors import invalid, not_found
from api.http.fields import Amount, Body, Currency, Decimal
from db.carrier import policies
from db.lifecycle import organizations
from domain.carrier.policies import EVERYBODY, Action, Policy

router = APIRouter(prefix="/v1", tags=["carrier"])
ALL = "*"
Prefix = Annotated[
    str,
    Path(
        description="A usage category, or what its name begins with; `*` for every category.",
        examples=["sms-inbound"],
    ),
]
Code = Annotated[Currency, Path(description="ISO 4217 code.")]
Factor = Annotated[
    str,
    Field(description="Twilio's price is charged times this; a decimal string.", examples=["1.2"]),
]
_FOR_ONE = "/organizations/{organization_id}/carrier-policies"


class PolicyRequest(Body):
    """Who pays for a usage category."""

    action: Literal["charge", "absorb", "forbid"] = Field(
        description="`absorb`: the company pays. `forbid`: charged, and the organization is blocked."
    )
    factor: Factor = "1"
    unit_price: Amount | None = Field(
        default=None,
        description="The price of each unit of usage in the wallet's currency, in place of a factor.",
    )


class PolicyOut(BaseModel):
    """Who pays for a usage category."""

    category: str = Field(description="What a category's name begins with; `*`: every one.")
    action: str = Field(description="`charge`, `absorb` or `forbid`.", examples=["charge"])
    factor: Factor
    unit_price: Decimal | None = Field(description="The price of each unit of usage.")

    @classmethod
    def of(cls, policy: Policy) -> "PolicyOut":
        return cls(
            category=policy.prefix or ALL,
            action=policy.action.value,
            factor=f"{policy.factor.normalize():f}",
            unit_price=policy.unit_price_micros,
        )


class PoliciesOut(BaseModel):
    """The policies that were set. An organization's go before everybody's, and of each the longest
    category counts; what none covers is charged at Twilio's price.
    """

    organization: list[PolicyOut] = Field(description="Of the organization.")
    everybody: list[PolicyOut] = Field(description="Of every organization without one of its own.")


class ExchangeRateRequest(Body):
    """What a currency is worth."""

    rate: str = Field(description="A decimal string.", examples=["1.085"])


@router.get(
    "/carrier-policies",
    dependencies=[READ],
    operation_id="list_carrier_policies",
    summary="List everybody's policies",
)
async def everybodys(here: Here) -> PoliciesOut:
    """Returns the policies that count for every organization without one of its own."""
    return await _all(here, EVERYBODY)


@router.put(
    "/carrier-policies/{category}",
    dependencies=[WRITE],
    operation_id="set_carrier_policy",
    summary="Set everybody's policy for a category",
)
async def put(category: Prefix, body: PolicyRequest, here: Here) -> PolicyOut:
    """Counts from now on; a category of a day keeps the policy by which it was first charged."""
    return await _put(here, EVERYBODY, category, body)


@router.delete(
    "/carrier-policies/{category}",
    dependencies=[WRITE],
    status_code=204,
    operation_id="delete_carrier_policy",
    summary="Delete everybody's policy for a category",
)
async def remove(category: Prefix, here: Here) -> None:
    """Returns 404 if there is none."""
    await _remove(here, EVERYBODY, category)


@router.get(
    _FOR_ONE,
    dependencies=[READ],
    operation_id="list_organization_carrier_policies",
    summary="List the policies that count for an organization",
)
async def of_organization(organization_id: OrganizationId, here: Here) -> PoliciesOut:
    """Returns the organization's own policies, and everybody's."""
    return await _all(here, organization_id)


@router.put(
    f"{_FOR_ONE}/{{category}}",
    dependencies=[WRITE],
    operation_id="set_organization_carrier_policy",
    summary="Set an organization's policy for a category",
)
async def put_own(
    organization_id: OrganizationId, category: Prefix, body: PolicyRequest, here: Here
) -> PolicyOut:
    """Counts from now on; a category of a day keeps the policy by which it was first charged."""
    return await _put(here, organization_id, category, body)


@router.delete(
    f"{_FOR_ONE}/{{category}}",
    dependencies=[WRITE],
    status_code=204,
    operation_id="delete_organization_carrier_policy",
    summary="Delete an organization's policy for a category",
)
async def remove_own(organization_id: OrganizationId, category: Prefix, here: Here) -> None:
    """Returns 404 if there is none."""
    await _remove(here, organization_id, category)


@router.put(
    "/carrier-exchange-rates/{from_currency}/{to_currency}",
    dependencies=[WRITE],
    status_code=204,
    operation_id="set_carrier_exchange_rate",
    summary="Set an exchange rate",
)
async def put_rate(
    from_currency: Code, to_currency: Code, body: ExchangeRateRequest, here: Here
) -> None:
    """Sets what one unit of the currency in which Twilio charges is worth in that of wallets. What
    could not be charged without it is charged by the next reading.
    """
    rate = _number("rate", body.rate)
    if not 0 < rate < decimal.Decimal(10**9) or rate != round(rate, 9):
        raise invalid("rate", "above 0, with at most nine decimals")
    if from_currency == to_currency:
        raise invalid("to_currency", "another currency than the first")
    async with here.services.engine.begin() as conn:
        await policies.put_exchange_rate(conn, from_currency, to_currency, rate)


async def _all(here: Context, whose: str) -> PoliciesOut:
    async with here.snapshot() as conn:
        if whose != EVERYBODY and await organizations.get(conn, whose) is None:
            raise not_found("organization")
        found = await policies.get(conn, whose)
    own = () if whose == EVERYBODY else found.of_organization
    return PoliciesOut(
        organization=[PolicyOut.of(each) for each in own],
        everybody=[PolicyOut.of(each) for each in found.of_everybody],
    )


async def _put(here: Context, whose: str, category: str, body: PolicyRequest) -> PolicyOut:
    policy = Policy(
        prefix="" if category == ALL else category,
        action=Action(body.action),
        factor=_number("factor", body.factor),
        unit_price_micros=body.unit_price,
    )
    if policy.problem is not None:
        raise invalid("action", policy.problem)
    async with here.services.engine.begin() as conn:
        if whose != EVERYBODY and await organizations.get(conn, whose) is None:
            raise not_found("organization")
        await policies.put(conn, whose, policy)
    return PolicyOut.of(policy)


async def _remove(here: Context, whose: str, category: str) -> None:
    async with here.services.engine.begin() as conn:
        if not await policies.remove(conn, whose, "" if category == ALL else category):
            raise not_found("policy")


def _number(name: str, text: str) -> decimal.Decimal:
    try:
        value = decimal.Decimal(text)
    except InvalidOperation:
        raise invalid(name, "a decimal string") from None
    if not value.is_finite():
        raise invalid(name, "a decimal string")
    return value
