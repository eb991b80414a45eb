"""`tollgate events`: lists what happened, or shows one event."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime

import typer

from api.events.events import EventOut
from cli.console import errors, output, table, write
from cli.transactions import run
from db.events import listing
from db.events.listing import Event, Filters


def show_all(
    type_: str | None,
    organization_id: str | None,
    since: datetime | None,
    limit: int,
    *,
    as_json: bool,
) -> None:
    filters = Filters(
        type=type_,
        organization_id=organization_id,
        since=None if since is None else since.replace(tzinfo=UTC),
    )
    found = run(lambda conn: listing.page(conn, filters, before=None, limit=limit))
    if as_json:
        shown = [EventOut.of(event).model_dump(mode="json") for event in found]
        write(json.dumps({"data": shown, "next_cursor": None}))
        return
    output.print(_table(found))


def show_one(event_id: str, *, as_json: bool) -> None:
    event = run(lambda conn: listing.get(conn, event_id))
    if event is None:
        errors.print(f"there is no event {event_id}", style="red")
        raise typer.Exit(1)
    if as_json:
        write(EventOut.of(event).model_dump_json())
        return
    output.print(_table([event]))


def _table(found: Sequence[Event]) -> object:
    shown = table("time", "organization", "type", "data", "id")
    for event in found:
        data = EventOut.of(event).data
        shown.add_row(
            event.occurred_at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
            event.organization_id or "(installation)",
            event.type,
            ", ".join(f"{name} {_text(value)}" for name, value in data.items()),
            event.id,
        )
    return shown


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
