"""An organization's usage trigger at Twilio: what was made of it, and the value that an operator
sets.
"""

import structlog
from fastapi import APIRouter
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncConnection

from api.context import Here, OrganizationId
from api.http.auth import OPERATOR, READ
from api.http.errors import not_found
from api.http.fields import Amount, Body, Decimal, Time
from db.carrier import tripwires
from db.carrier.tripwires import Tripwire

log = structlog.get_logger()
router = APIRouter(prefix="/v1/organizations/{organization_id}", tags=["organizations"])


class TripwireRequest(Body):
    """At which price of a day Tollgate looks at once."""

    value: Amount | None = Field(
        description="In the currency of the account at Twilio; null: twice the most expensive of "
        "the last 28 days."
    )


class TripwireOut(BaseModel):
    """The usage trigger of the subaccount. Amounts are in the currency of the account at Twilio."""

    set_value: Decimal | None = Field(
        description="What an operator set; null: the value is computed."
    )
    value: Decimal | None = Field(
        description="The value of the trigger at Twilio; null until it is made. A change is made "
        "by the next comparison, within minutes."
    )
    provider_sid: str | None = Field(description="Twilio's id of the trigger.")
    fired_at: Time | None = Field(description="When it fired last.")
    price_then: Decimal | None = Field(
        description="What the day had cost when it was looked at after it fired."
    )

    @classmethod
    def of(cls, tripwire: Tripwire) -> "TripwireOut":
        return cls(
            set_value=tripwire.set_micros,
            value=tripwire.value_micros,
            provider_sid=tripwire.trigger_sid,
            fired_at=tripwire.fired_at,
            price_then=tripwire.current_micros,
        )


@router.get(
    "/tripwire", dependencies=[READ], operation_id="get_tripwire", summary="Get the usage trigger"
)
async def get(organization_id: OrganizationId, here: Here) -> TripwireOut:
    """Returns the trigger with which Twilio reports at once that the subaccount spends."""
    async with here.snapshot() as conn:
        return await _shown(conn, organization_id)


@router.put(
    "/tripwire",
    dependencies=[OPERATOR],
    operation_id="set_tripwire",
    summary="Set the value of the usage trigger",
)
async def put(organization_id: OrganizationId, body: TripwireRequest, here: Here) -> TripwireOut:
    """Sets at which price of a day Twilio reports that the subaccount spends. Repeating it changes
    nothing.
    """
    async with here.services.engine.begin() as conn:
        await _shown(conn, organization_id)
        await tripwires.set_value(conn, organization_id, body.value)
        shown = await _shown(conn, organization_id)
    log.info("tripwire_set", organization_id=organization_id, value_micros=body.value)
    return shown


async def _shown(conn: AsyncConnection, organization_id: str) -> TripwireOut:
    tripwire = await tripwires.get(conn, organization_id)
    if tripwire is None:
        raise not_found("organization")
    return TripwireOut.of(tripwire)
