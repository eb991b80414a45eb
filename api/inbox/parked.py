"""Parked webhook deliveries: what a person must look at, what to do about it, and how to dismiss
it.
"""

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field

from api.context import Here
from api.http.auth import OPERATOR, READ, Caller
from api.http.cursors import Cursor, Cursors, Limit, Number, Page
from api.http.errors import not_found
from api.http.fields import CurrencyOut, ReasonRequest, Time
from api.http.idempotency import Once
from api.http.operator_notes import actor
from db.inbox import parking
from db.inbox.parking import Parked
from db.operations import delivery_acts
from domain.money import to_decimal_string

router = APIRouter(prefix="/v1/webhooks/parked", tags=["parked"])
_LARGEST_ID = 2**63 - 1
_CURSORS: Cursors[int] = Cursors("parked", Number)
DeliveryId = Annotated[
    int, Path(description="The id of the delivery.", ge=1, le=_LARGEST_ID, examples=[17])
]


class ParkedOut(BaseModel):
    """A webhook delivery that waits for a decision of a person."""

    model_config = ConfigDict(title="ParkedDelivery")

    id: int = Field(description="The id of the delivery.")
    provider: str = Field(examples=["paypal"], description="The provider that sent it.")
    event_id: str = Field(description="The provider's id of the event.")
    event_type: str = Field(description="The provider's type of the event.")
    received_at: Time = Field(description="When it was received.")
    organization_id: str | None = Field(
        description="The organization that it belongs to; null if unknown."
    )
    subscription_id: str | None = Field(
        description="The provider's id of the subscription that it names."
    )
    money: str | None = Field(
        examples=["capture"], description="What kind of payment object it is about."
    )
    money_id: str | None = Field(description="The provider's id of that object.")
    custom_id: str | None = Field(description="What the host application wrote into the payment.")
    amount: str | None = Field(
        examples=["7.00"], description="The amount that the provider reported."
    )
    currency: CurrencyOut | None = Field(description="ISO 4217 code.")
    payer: str = Field(description="The payer that the provider reported.")
    outcome: str = Field(description="Why it is parked.")
    to_do: str = Field(description="What a person should do.")

    @classmethod
    def of(cls, parked: Parked) -> "ParkedOut":
        delivery, money = parked.delivery, parked.delivery.money
        return cls(
            id=delivery.id,
            provider=delivery.provider.value,
            event_id=delivery.event_id,
            event_type=delivery.event_type,
            received_at=delivery.received_at,
            organization_id=delivery.organization_id,
            subscription_id=delivery.subscription_id,
            money=money.kind.value if money else None,
            money_id=money.id if money else None,
            custom_id=parked.custom_id,
            amount=to_decimal_string(parked.amount.micros) if parked.amount else None,
            currency=parked.amount.currency if parked.amount else None,
            payer=parked.payer,
            outcome=delivery.outcome,
            to_do=parking.to_do(parked),
        )


class ParkedDeliveryPage(Page[ParkedOut]):
    pass


@router.get(
    "",
    dependencies=[READ],
    operation_id="list_parked_deliveries",
    summary="List parked webhook deliveries",
)
async def page(here: Here, cursor: Cursor = None, limit: Limit = 100) -> ParkedDeliveryPage:
    """Returns the parked deliveries of all organizations, oldest first."""
    after = _CURSORS.read(cursor) or 0
    async with here.snapshot() as conn:
        found = await parking.page(conn, after=after, limit=limit + 1)
    shown, following = _CURSORS.cut(found, limit, lambda parked: parked.delivery.id)
    return ParkedDeliveryPage(
        data=[ParkedOut.of(parked) for parked in shown], next_cursor=following
    )


@router.post(
    "/{delivery_id}/dismiss",
    status_code=204,
    dependencies=[OPERATOR],
    operation_id="dismiss_parked_delivery",
    summary="Dismiss a parked webhook delivery",
)
async def dismiss(
    here: Here, body: ReasonRequest, delivery_id: DeliveryId, caller: Caller, once: Once
) -> None:
    """Marks the delivery as done, so that Tollgate does nothing more about it. Returns 404 if the
    delivery is not parked.
    """
    async with here.services.engine.begin() as conn:
        if await once.do_once(conn, body) and not await delivery_acts.dismiss(
            conn, delivery_id, by=actor(caller), reason=body.reason
        ):
            raise not_found("parked delivery")
