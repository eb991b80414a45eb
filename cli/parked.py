"""`tollgate parked`: lists the webhook deliveries that need a person, and dismisses resolved ones."""

import json

import typer
from sqlalchemy.ext.asyncio import AsyncConnection

from api.inbox.parked import ParkedOut
from cli.console import errors, output, table, write
from cli.reasons import checked, user
from cli.transactions import run
from db.inbox import parking
from db.inbox.parking import Parked
from db.operations import delivery_acts

PAGE = 500


def show_all(*, as_json: bool) -> None:
    """All parked deliveries, in the form of `GET /v1/webhooks/parked`."""
    deliveries = [ParkedOut.of(parked) for parked in run(_all)]
    if as_json:
        write(
            json.dumps(
                {
                    "data": [delivery.model_dump(mode="json") for delivery in deliveries],
                    "next_cursor": None,
                }
            )
        )
        return
    shown = table("id", "received", "event", "organization", "amount", "payer", "outcome", "to do")
    for delivery in deliveries:
        shown.add_row(
            str(delivery.id),
            delivery.received_at.strftime("%Y-%m-%d %H:%M UTC"),
            f"{delivery.provider} {delivery.event_type}",
            delivery.organization_id or delivery.custom_id or "",
            f"{delivery.amount} {delivery.currency}" if delivery.amount else "",
            delivery.payer,
            delivery.outcome,
            delivery.to_do,
        )
    output.print(shown)


def dismiss(delivery_id: int, reason: str, by: str) -> None:
    why = checked(reason)
    if not run(lambda conn: delivery_acts.dismiss(conn, delivery_id, by=by or user(), reason=why)):
        errors.print(f"delivery {delivery_id} is not parked", style="red")
        raise typer.Exit(1)
    output.print(f"dismissed {delivery_id}")


async def _all(conn: AsyncConnection) -> list[Parked]:
    parked: list[Parked] = []
    while True:
        page = await parking.page(conn, after=parked[-1].delivery.id if parked else 0, limit=PAGE)
        parked += page
        if len(page) < PAGE:
            return parked
