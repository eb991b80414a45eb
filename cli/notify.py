"""`tollgate notify`: who is told of alerts, and whether that works."""

import asyncio
import getpass
import json
import sys
from collections.abc import Sequence
from typing import NoReturn
from uuid import uuid4

import typer
from sqlalchemy.ext.asyncio import AsyncConnection

from api.notifications.fields import NotificationRouteOut
from cli.console import errors, output, table, write
from cli.schema import configured, database_url
from cli.transactions import in_transaction, run
from db.notifications import routes
from providers.channels import ChannelRefused, NotSent
from runtime import notifying
from runtime.outbound_endpoints import NoKeys

MOST = 10_000


def show_all(*, as_json: bool) -> None:
    found = run(lambda conn: routes.page(conn, limit=MOST))
    if as_json:
        rows = [NotificationRouteOut.of(route).model_dump(mode="json") for route in found]
        write(json.dumps({"data": rows, "next_cursor": None}))
        return
    shown = table("id", "name", "scheme", "severities", "kinds", "problem")
    for route in found:
        shown.add_row(
            route.id,
            route.name,
            route.scheme,
            ", ".join(route.severities) or "all",
            ", ".join(route.kinds) or "all",
            route.problem or "",
        )
    output.print(shown)


def add(name: str, *, severities: Sequence[str], kinds: Sequence[str]) -> None:
    url = (getpass.getpass("URL: ") if sys.stdin.isatty() else sys.stdin.readline()).strip()
    route_id = f"ntr_{uuid4().hex}"

    async def work(conn: AsyncConnection) -> None:
        async with notifying.channels(configured()) as channels:
            created = notifying.routes_from(configured(), channels)
            await created.create(
                conn, route_id, name=name, url=url, severities=severities, kinds=kinds
            )

    try:
        run(work)
    except ChannelRefused as refusal:
        _fail(f"the URL {refusal}")
    except NoKeys as problem:
        _fail(str(problem))
    write(route_id)


def remove(route_id: str) -> None:
    if not run(lambda conn: routes.remove(conn, route_id)):
        _fail(f"there is no route {route_id}")
    output.print(f"removed {route_id}")


def test(route_id: str) -> None:
    with database_url(configured()) as url:
        try:
            asyncio.run(_test(url, route_id))
        except NotSent as problem:
            _fail(f"not sent: {problem}")
    output.print("accepted")


async def _test(url: str, route_id: str) -> None:
    """No connection is held while the channel is called."""
    sealed = await in_transaction(url, lambda conn: routes.encrypted_url(conn, route_id))
    if sealed is None:
        raise NotSent(f"there is no route {route_id}")
    async with notifying.channels(configured()) as channels:
        await notifying.routes_from(configured(), channels).test(route_id, sealed)
    await in_transaction(url, lambda conn: routes.worked(conn, route_id))


def _fail(why: str) -> NoReturn:
    errors.print(why, style="red")
    raise typer.Exit(1)
