"""Webhook deliveries of all organizations: what arrived, what became of it, and what an operator
does with one that is parked.
"""

import json
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import ConfigDict, Field

from api.context import Here
from api.http.auth import OPERATOR, READ, Caller
from api.http.cursors import Cursor, Cursors, Limit, Number, Page
from api.http.errors import not_found
from api.http.fields import ReasonRequest, Time, options
from api.http.idempotency import Once
from api.http.operator_notes import actor
from api.inbox.parked import DeliveryId, ParkedOut
from db.inbox import delivery_lists
from db.inbox.delivery_lists import Filters, Stored
from db.operations import delivery_acts
from domain.billing.deliveries import InboxStatus
from domain.billing.subscription import Provider
from domain.lifecycle.organization import ID_PATTERN
from runtime.logging import redact

router = APIRouter(prefix="/v1/inbound-deliveries", tags=["parked"])
_CURSORS: Cursors[int] = Cursors("inbound_deliveries", Number)


class InboundDeliveryOut(ParkedOut):
    """A webhook delivery of a provider; one that is parked waits for a person or for something."""

    model_config = ConfigDict(title="InboundDelivery")

    status: str = Field(
        description="Whether it is handled, waits to be handled, or is parked.",
        json_schema_extra=options(InboxStatus),
    )
    deliveries: int = Field(description="How often it was delivered.")
    attempts: int = Field(description="How often it was tried again by itself.")
    next_attempt_at: Time | None = Field(
        description="When it is tried again by itself; null unless it waits."
    )
    handled_at: Time | None = Field(description="When it was handled or dismissed.")

    @classmethod
    def stored(cls, stored: Stored) -> "InboundDeliveryOut":
        delivery = stored.parked.delivery
        shown = dict(ParkedOut.of(stored.parked))
        if delivery.status is not InboxStatus.PARKED:
            shown["to_do"] = "nothing"
        return cls(
            **shown,
            status=delivery.status.value,
            deliveries=delivery.deliveries,
            attempts=stored.attempts,
            next_attempt_at=None if stored.handled_at else stored.next_attempt_at,
            handled_at=stored.handled_at,
        )


class InboundDeliveryBodyOut(InboundDeliveryOut):
    """A webhook delivery with its body."""

    model_config = ConfigDict(title="InboundDeliveryBody")

    body: Any = Field(
        description=(
            "What the provider sent, as JSON or text, with secrets and phone numbers redacted. "
            "Its signature and other headers are never shown."
        ),
        examples=[{"id": "evt_1"}],
    )


class InboundDeliveryPage(Page[InboundDeliveryOut]):
    pass


@router.get(
    "",
    dependencies=[READ],
    operation_id="list_inbound_deliveries",
    summary="List webhook deliveries",
)
async def page(
    here: Here,
    *,
    status: Annotated[InboxStatus | None, Query(description="Only those in this status.")] = None,
    provider: Annotated[Provider | None, Query(description="Only those of this provider.")] = None,
    organization_id: Annotated[
        str | None,
        Query(pattern=f"^{ID_PATTERN}$", description="Only those of this organization."),
    ] = None,
    event_id: Annotated[
        str | None, Query(max_length=255, description="Only those of the event with this id.")
    ] = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> InboundDeliveryPage:
    """Returns the deliveries of all organizations, the newest first; with several filters, those
    that match all of them.
    """
    before = _CURSORS.read(cursor)
    filters = Filters(
        status=status, provider=provider, organization_id=organization_id, event_id=event_id
    )
    async with here.snapshot() as conn:
        found = await delivery_lists.page(conn, filters, before=before, limit=limit + 1)
    shown, following = _CURSORS.cut(found, limit, lambda stored: stored.parked.delivery.id)
    return InboundDeliveryPage(
        data=[InboundDeliveryOut.stored(stored) for stored in shown], next_cursor=following
    )


@router.get(
    "/{delivery_id}",
    dependencies=[OPERATOR],
    operation_id="get_inbound_delivery",
    summary="Get a webhook delivery with its body",
)
async def get(here: Here, delivery_id: DeliveryId) -> InboundDeliveryBodyOut:
    """Returns the delivery and what the provider sent."""
    async with here.snapshot() as conn:
        found = await delivery_lists.get(conn, delivery_id)
    if found is None:
        raise not_found("delivery")
    return with_body(*found)


@router.post(
    "/{delivery_id}/retry",
    status_code=204,
    dependencies=[OPERATOR],
    operation_id="retry_inbound_delivery",
    summary="Try a parked delivery again",
)
async def retry(
    here: Here, body: ReasonRequest, delivery_id: DeliveryId, caller: Caller, once: Once
) -> None:
    """Queries the provider again at once, instead of when the next attempt is due. Returns 404 if
    the delivery is not parked, and 409 if it was not understood.
    """
    async with here.services.engine.begin() as conn:
        if not await once.do_once(conn, body):
            return
        is_parked, organization_id = await delivery_acts.retry(
            conn, delivery_id, by=actor(caller), reason=body.reason, now=datetime.now(UTC)
        )
        if not is_parked:
            raise not_found("parked delivery")
    if organization_id is not None:
        here.notify(organization_id)


@router.post(
    "/{delivery_id}/dismiss",
    status_code=204,
    dependencies=[OPERATOR],
    operation_id="dismiss_inbound_delivery",
    summary="Dismiss a parked delivery",
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


def with_body(stored: Stored, body: bytes) -> InboundDeliveryBodyOut:
    """The answer that shows a delivery with its redacted body."""
    text = body.decode(errors="replace")
    try:
        content: Any = json.loads(text)
    except ValueError:
        content = text
    shown = dict(InboundDeliveryOut.stored(stored))
    return InboundDeliveryBodyOut(**shown, body=redact(content))
