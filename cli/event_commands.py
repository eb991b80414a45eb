"""The command that lists what happened."""

from datetime import datetime
from typing import Annotated

import typer

from cli.bench_commands import Json
from domain.events.catalogue import EventType

TYPES = tuple(type_.value for type_ in EventType)


def known_type(text: str | None) -> str | None:
    if text is not None and text not in TYPES:
        raise typer.BadParameter(f"is none of {', '.join(TYPES)}")
    return text


def events(
    event_id: Annotated[
        str | None, typer.Argument(help="Show this event only: evt_...", show_default=False)
    ] = None,
    *,
    type_: Annotated[
        str | None,
        typer.Option("--type", help="Only events of this type.", callback=known_type),
    ] = None,
    organization: Annotated[
        str | None, typer.Option(help="Only events of the organization with this id.")
    ] = None,
    since: Annotated[
        datetime | None,
        typer.Option(
            help="Only events since then, in UTC.",
            formats=["%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d"],
        ),
    ] = None,
    limit: Annotated[int, typer.Option(help="How many.", min=1, max=10_000)] = 100,
    as_json: Json = False,
) -> None:
    """List what happened, the newest first. Read-only."""
    from cli.events import show_all, show_one

    if event_id is not None:
        show_one(event_id, as_json=as_json)
        return
    show_all(type_, organization, since, limit, as_json=as_json)
