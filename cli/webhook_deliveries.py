"""`tollgate webhooks deliveries` and what follows from them, in the forms of the API."""

from sqlalchemy.ext.asyncio import AsyncConnection

from api.outbound.deliveries import BEGINNING
from api.outbound.fields import (
    ReplayOut,
    ReplayRequest,
    WebhookDeliveryOut,
    WebhookDeliveryWithAttemptsOut,
)
from cli.console import output, table, write
from cli.failures import CommandFailed, Misused
from cli.transactions import run
from cli.webhooks import checked, endpoint_of, write_list, written
from db.outbound import deliveries
from db.outbound.deliveries import Delivery
from domain.outbound.deliveries import EventDeliveryStatus


def show_deliveries(
    endpoint_id: str,
    *,
    status: str | None,
    organization_id: str | None,
    limit: int,
    as_json: bool,
) -> None:
    if status is not None and status not in set(EventDeliveryStatus):
        raise Misused(f"--status: one of {', '.join(EventDeliveryStatus)}")

    async def read(conn: AsyncConnection) -> list[Delivery]:
        await endpoint_of(conn, endpoint_id)
        return await deliveries.page(
            conn, endpoint_id, status=status, organization_id=organization_id, limit=limit
        )

    found = [WebhookDeliveryOut.of(delivery) for delivery in run(read)]
    if as_json:
        write_list(found)
        return
    shown = table("id", "queued", "event", "organization", "status", "attempts")
    for delivery in found:
        shown.add_row(
            str(delivery.id),
            written(delivery.created_at),
            f"{delivery.event_type or ''} {delivery.event_id}".strip(),
            delivery.organization_id or "(installation)",
            delivery.status,
            str(delivery.attempts),
        )
    output.print(shown)


def show_delivery(endpoint_id: str, delivery_id: int, *, as_json: bool) -> None:
    async def read(conn: AsyncConnection) -> WebhookDeliveryWithAttemptsOut:
        delivery = await _delivery(conn, endpoint_id, delivery_id)
        attempts = await deliveries.attempts(conn, delivery_id)
        return WebhookDeliveryWithAttemptsOut.with_attempts(delivery, attempts)

    found = run(read)
    if as_json:
        write(found.model_dump_json())
        return
    output.print(f"{found.event_type} {found.event_id}: {found.status}", highlight=False)
    shown = table("time", "status", "ms", "reason", "answer")
    for attempt in found.tried:
        shown.add_row(
            written(attempt.at),
            str(attempt.status or ""),
            str(attempt.latency_ms),
            attempt.reason,
            attempt.answer[:100],
        )
    output.print(shown)


def redeliver(endpoint_id: str, delivery_id: int) -> None:
    async def queue(conn: AsyncConnection) -> int:
        return await deliveries.again(conn, await _delivery(conn, endpoint_id, delivery_id))

    output.print(f"queued as {run(queue)}")


def replay(endpoint_id: str, *, since: str | None, after: str | None, as_json: bool) -> None:
    request = checked(ReplayRequest, since=since, after_event_id=after)
    if request.since is None and request.after_event_id is None:
        raise Misused("give --since or --after")

    async def queue(conn: AsyncConnection, after_event_id: str | None) -> ReplayOut:
        await endpoint_of(conn, endpoint_id)
        sequence = 0
        if after_event_id is not None:
            known = await deliveries.sequence_of(conn, after_event_id)
            if known is None:
                raise CommandFailed(f"there is no event {after_event_id}")
            sequence = known
        begin = request.since or BEGINNING
        replayed = await deliveries.replay(conn, endpoint_id, since=begin, after=sequence)
        return ReplayOut(
            events=replayed.events, last_event_id=replayed.last_event_id, more=replayed.more
        )

    number, last = 0, request.after_event_id
    while True:
        part = run(lambda conn, last=last: queue(conn, last))  # type: ignore[misc]
        number, last = number + part.events, part.last_event_id or last
        if not part.more:
            break
    whole = ReplayOut(events=number, last_event_id=last, more=False)
    write(whole.model_dump_json()) if as_json else output.print(f"queued {number} events")


async def _delivery(conn: AsyncConnection, endpoint_id: str, delivery_id: int) -> Delivery:
    await endpoint_of(conn, endpoint_id)
    delivery = await deliveries.get(conn, endpoint_id, delivery_id)
    if delivery is None:
        raise CommandFailed(f"{endpoint_id} has no delivery {delivery_id}")
    return delivery
