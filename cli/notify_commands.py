"""The commands about who is told of alerts."""

from typing import Annotated

import typer

from cli.bench_commands import Json
from cli.operator_commands import not_blank
from domain.alerts import AlertKind, Severity

notify = typer.Typer(help="Tell people of alerts: by mail, chat or pager.", no_args_is_help=True)
routes = typer.Typer(help="Who is told of which alerts.", no_args_is_help=True)
notify.add_typer(routes, name="routes")
RouteId = Annotated[str, typer.Argument(help="The route's id: ntr_...")]


@routes.command("list")
def list_routes(*, as_json: Json = False) -> None:
    """List the routes, the oldest first; never their URLs."""
    from cli.notify import show_all

    show_all(as_json=as_json)


@routes.command("add")
def add_route(
    name: Annotated[str, typer.Option(help="Who or what it is.", callback=not_blank)],
    severity: Annotated[
        list[Severity] | None, typer.Option(help="Only this severity; may be repeated.")
    ] = None,
    kind: Annotated[
        list[AlertKind] | None, typer.Option(help="Only this kind; may be repeated.")
    ] = None,
) -> None:
    """Add a route. Its URL, in the form of Apprise, is read from standard input or, on a terminal,
    asked for without showing it.
    """
    from cli.notify import add

    add(name, severities=severity or [], kinds=kind or [])


@routes.command("remove")
def remove_route(route_id: RouteId) -> None:
    """Remove a route. Exit status 1 if there is none."""
    from cli.notify import remove

    remove(route_id)


@notify.command("test")
def test_route(route_id: RouteId) -> None:
    """Send a test by a route. Exit status 1 if the channel does not accept it."""
    from cli.notify import test

    test(route_id)
