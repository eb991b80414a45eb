"""`tollgate deliveries`: the webhooks that arrived, and trying a parked one again."""

from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from api.inbox.inbound_deliveries import InboundDeliveryOut, InboundDeliveryPage, with_body
from cli.console import output, table, write
from cli.failures import CommandFailed
from cli.reasons import checked, user
from cli.transactions import run
from db.inbox import delivery_lists
from db.inbox.delivery_lists import Filters
from db.operations import delivery_acts
from db.operations.delivery_acts import NotRetried


def show_all(filters: Filters, limit: int, *, as_json: bool) -> None:
    found = run(lambda conn: delivery_lists.page(conn, filters, before=None, limit=limit))
    rows = [InboundDeliveryOut.stored(stored) for stored in found]
    if as_json:
        write(InboundDeliveryPage(data=rows, next_cursor=None).model_dump_json())
        return
    shown = table("id", "received", "event", "event id", "organization", "status", "outcome")
    for row in rows:
        shown.add_row(
            str(row.id),
            row.received_at.strftime("%Y-%m-%d %H:%M UTC"),
            f"{row.provider} {row.event_type}",
            row.event_id,
            row.organization_id or "",
            row.status,
            row.outcome,
        )
    output.print(shown)


def show(delivery_id: int) -> None:
    found = run(lambda conn: delivery_lists.get(conn, delivery_id))
    if found is None:
        raise CommandFailed(f"there is no delivery {delivery_id}")
    write(with_body(*found).model_dump_json(indent=2))


def retry(delivery_id: int, *, reason: str, by: str) -> None:
    why = checked(reason)
    if not run(lambda conn: _retry(conn, delivery_id, by or user(), why)):
        raise CommandFailed(f"delivery {delivery_id} is not parked")
    output.print(f"{delivery_id} is tried again")


async def _retry(conn: AsyncConnection, delivery_id: int, by: str, reason: str) -> bool:
    try:
        is_parked, _ = await delivery_acts.retry(
            conn, delivery_id, by=by, reason=reason, now=datetime.now(UTC)
        )
    except NotRetried as problem:
        raise CommandFailed(f"delivery {delivery_id}: {problem}") from None
    return is_parked
