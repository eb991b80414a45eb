"""`tollgate parked`: lists the webhook deliveries that need a person, and dismisses resolved ones."""

import json

import typer
from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncConnection

from api.http.fields import ReasonRequest
from api.inbox.parked import ParkedOut
from cli.console import errors, output, table, write
from cli.transactions import run
from db.inbox import parking
from db.inbox.parking import Parked

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


def dismiss(delivery_id: int, reason: str) -> None:
    try:
        checked = ReasonRequest(reason=reason).reason
    except ValidationError as problem:
        raise typer.BadParameter(problem.errors()[0]["msg"], param_hint="--reason") from None
    if not run(lambda conn: parking.dismiss(conn, delivery_id, checked)):
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
