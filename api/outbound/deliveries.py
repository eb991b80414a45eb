"""Deliveries of events to webhook endpoints: what was tried, and trying it again."""

from datetime import UTC, datetime
from typing import Annotated

import structlog
from fastapi import APIRouter, Query
from sqlalchemy.ext.asyncio import AsyncConnection

from api.context import Here
from api.http.auth import OPERATOR
from api.http.cursors import Cursor, Cursors, Limit, Number, Page
from api.http.errors import invalid, not_found
from api.http.idempotency import Once
from api.outbound.fields import (
    DeliveryId,
    EndpointId,
    ReplayOut,
    ReplayRequest,
    WebhookDeliveryOut,
    WebhookDeliveryWithAttemptsOut,
)
from db.outbound import deliveries, endpoints
from domain.lifecycle.organization import is_organization_id
from domain.outbound.deliveries import EventDeliveryStatus

log = structlog.get_logger()
router = APIRouter(prefix="/v1/webhook-endpoints/{endpoint_id}", tags=["webhook-endpoints"])
_CURSORS: Cursors[int] = Cursors("webhook_deliveries", Number)
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


class WebhookDeliveryPage(Page[WebhookDeliveryOut]):
    pass


@router.get(
    "/deliveries",
    dependencies=[OPERATOR],
    operation_id="list_webhook_deliveries",
    summary="List deliveries to a webhook endpoint",
)
async def page(
    endpoint_id: EndpointId,
    here: Here,
    status: Annotated[EventDeliveryStatus | None, Query(description="Only in this status.")] = None,
    organization_id: Annotated[
        str | None, Query(description="Only events of this organization.", max_length=255)
    ] = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> WebhookDeliveryPage:
    """Returns the deliveries, newest first. Settled ones are kept for 30 days."""
    if organization_id is not None and not is_organization_id(organization_id):
        raise invalid("organization_id", "not an organization's id")
    before = _CURSORS.read(cursor)
    async with here.snapshot() as conn:
        await _must_exist(conn, endpoint_id)
        found = await deliveries.page(
            conn,
            endpoint_id,
            status=None if status is None else status.value,
            organization_id=organization_id,
            before=before,
            limit=limit + 1,
        )
    shown, following = _CURSORS.cut(found, limit, lambda delivery: delivery.position)
    data = [WebhookDeliveryOut.of(delivery) for delivery in shown]
    return WebhookDeliveryPage(data=data, next_cursor=following)


@router.get(
    "/deliveries/{delivery_id}",
    dependencies=[OPERATOR],
    operation_id="get_webhook_delivery",
    summary="Get a delivery with its attempts",
)
async def get(
    endpoint_id: EndpointId, delivery_id: DeliveryId, here: Here
) -> WebhookDeliveryWithAttemptsOut:
    """Returns the delivery with each attempt of the last 30 days."""
    async with here.snapshot() as conn:
        delivery = await _found(conn, endpoint_id, delivery_id)
        attempts = await deliveries.attempts(conn, delivery_id)
    return WebhookDeliveryWithAttemptsOut.with_attempts(delivery, attempts)


@router.post(
    "/deliveries/{delivery_id}/redeliver",
    dependencies=[OPERATOR],
    operation_id="redeliver_event",
    summary="Deliver an event again",
)
async def redeliver(
    endpoint_id: EndpointId, delivery_id: DeliveryId, here: Here, once: Once
) -> WebhookDeliveryOut:
    """Attempts a pending delivery now. A settled one is queued again, as a new delivery with the
    same event id, behind what waits already.
    """
    async with here.services.engine.begin() as conn:
        to_be_done = await once.do_once(conn)
        delivery = await _found(conn, endpoint_id, delivery_id)
        if to_be_done:
            position = await deliveries.again(conn, delivery)
            delivery = await _found(conn, endpoint_id, position)
            log.info("webhook_redelivered", endpoint=endpoint_id, event_id=delivery.event_id)
    return WebhookDeliveryOut.of(delivery)


@router.post(
    "/replay",
    dependencies=[OPERATOR],
    operation_id="replay_events",
    summary="Deliver past events again",
)
async def replay(endpoint_id: EndpointId, body: ReplayRequest, here: Here, once: Once) -> ReplayOut:
    """Queues the events that the endpoint wants from a time on, or after an event, in their order
    and behind what waits already; 10,000 at most. Repeating it with its `Idempotency-Key` queues
    nothing again, and answers 0 events.
    """
    if body.since is None and body.after_event_id is None:
        raise invalid("since", "needed, unless after_event_id is given")
    async with here.services.engine.begin() as conn:
        if not await once.do_once(conn, body):
            return ReplayOut(events=0, last_event_id=body.after_event_id, more=False)
        await _must_exist(conn, endpoint_id)
        after = 0
        if body.after_event_id is not None:
            after = await _sequence_of(conn, body.after_event_id)
        replayed = await deliveries.replay(
            conn, endpoint_id, since=body.since or BEGINNING, after=after
        )
    log.info("webhook_replayed", endpoint=endpoint_id, events=replayed.events)
    return ReplayOut(
        events=replayed.events, last_event_id=replayed.last_event_id, more=replayed.more
    )


async def _sequence_of(conn: AsyncConnection, event_id: str) -> int:
    sequence = None
    if event_id.isascii() and event_id.isprintable():
        sequence = await deliveries.sequence_of(conn, event_id)
    if sequence is None:
        raise invalid("after_event_id", "no such event, or it is no longer kept")
    return sequence


async def _must_exist(conn: AsyncConnection, endpoint_id: str) -> None:
    if await endpoints.get(conn, endpoint_id) is None:
        raise not_found("webhook endpoint")


async def _found(conn: AsyncConnection, endpoint_id: str, position: int) -> deliveries.Delivery:
    await _must_exist(conn, endpoint_id)
    delivery = await deliveries.get(conn, endpoint_id, position)
    if delivery is None:
        raise not_found("webhook delivery")
    return delivery
