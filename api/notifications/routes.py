"""Notification routes: who is told of which alerts, by mail, chat or pager."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from hashlib import sha256
from typing import Annotated
from uuid import uuid4

import structlog
from fastapi import APIRouter, Depends, Path, Response
from pydantic import AwareDatetime, Field
from sqlalchemy.ext.asyncio import AsyncConnection

from api.context import Here, KeyOfAct
from api.http.auth import OPERATOR
from api.http.cursors import Cursor, Cursors, Limit, Page
from api.http.errors import Kind, Problem, invalid, not_found
from api.http.idempotency import Once
from api.notifications.fields import (
    NotificationRouteChangeRequest,
    NotificationRouteOut,
    NotificationRouteRequest,
    TestOut,
)
from db.notifications import routes
from domain.plain_text import is_plain
from providers.channels import ChannelRefused, NotSent
from runtime.outbound_endpoints import NoKeys

log = structlog.get_logger()
router = APIRouter(prefix="/v1/notification-routes", tags=["alerts"])
_CURSORS: Cursors[tuple[datetime, str]] = Cursors(
    "notification_routes", tuple[AwareDatetime, Annotated[str, Field(pattern="^ntr_[0-9a-f]{32}$")]]
)


async def _checked(
    route_id: Annotated[
        str,
        Path(description="The id of the route.", examples=["ntr_0195f1d26d3a7c419b1e3f0a5c7d2e90"]),
    ],
) -> str:
    if not is_plain(route_id):
        raise not_found("notification route")
    return route_id


RouteId = Annotated[
    str,
    Depends(_checked),
]


class NotificationRoutePage(Page[NotificationRouteOut]):
    pass


@router.get(
    "",
    dependencies=[OPERATOR],
    operation_id="list_notification_routes",
    summary="List notification routes",
)
async def page(here: Here, cursor: Cursor = None, limit: Limit = 100) -> NotificationRoutePage:
    """Returns the routes without their URLs, oldest first."""
    after = _CURSORS.read(cursor)
    async with here.snapshot() as conn:
        found = await routes.page(conn, after=after, limit=limit + 1)
    shown, following = _CURSORS.cut(found, limit, lambda route: (route.created_at, route.id))
    return NotificationRoutePage(
        data=[NotificationRouteOut.of(route) for route in shown], next_cursor=following
    )


@router.post(
    "",
    status_code=201,
    dependencies=[OPERATOR],
    operation_id="create_notification_route",
    summary="Create a notification route",
)
async def create(
    body: NotificationRouteRequest,
    here: Here,
    once: Once,
    response: Response,
    key: KeyOfAct = None,
) -> NotificationRouteOut:
    """Tells people of the alerts that are raised from now on. A URL that acts on this machine, or
    whose host is not public, is refused.
    """
    route_id = f"ntr_{(uuid4().bytes if key is None else _hash(key)).hex()}"
    async with here.services.engine.begin() as conn:
        if await once.do_once(conn, body):
            with _refusals():
                await here.services.notification_routes.create(
                    conn,
                    route_id,
                    name=body.name,
                    url=body.url,
                    severities=body.severities,
                    kinds=body.kinds,
                )
            log.info("notification_route_created", route_id=route_id)
        else:
            response.status_code = 200
        return await _shown(conn, route_id)


@router.get(
    "/{route_id}",
    dependencies=[OPERATOR],
    operation_id="get_notification_route",
    summary="Get a notification route",
)
async def get(route_id: RouteId, here: Here) -> NotificationRouteOut:
    """Returns the route without its URL, and whether it works."""
    async with here.snapshot() as conn:
        return await _shown(conn, route_id)


@router.patch(
    "/{route_id}",
    dependencies=[OPERATOR],
    operation_id="change_notification_route",
    summary="Change a notification route",
)
async def change(
    route_id: RouteId, body: NotificationRouteChangeRequest, here: Here
) -> NotificationRouteOut:
    """Changes what is given. By a new URL, what waits is sent at once."""
    changed = body.model_dump(exclude_none=True, exclude={"url"})
    async with here.services.engine.begin() as conn:
        if body.url is not None:
            with _refusals():
                scheme, sealed = here.services.notification_routes.sealed(route_id, body.url)
            changed |= {"scheme": scheme, "url_encrypted": sealed}
        if not await routes.change(conn, route_id, changed):
            raise not_found("notification route")
        shown = await _shown(conn, route_id)
    log.info("notification_route_changed", route_id=route_id, fields=sorted(changed))
    return shown


@router.delete(
    "/{route_id}",
    status_code=204,
    dependencies=[OPERATOR],
    operation_id="delete_notification_route",
    summary="Delete a notification route",
)
async def delete(route_id: RouteId, here: Here) -> None:
    """Nobody is told by it any more, not even of what waits."""
    async with here.services.engine.begin() as conn:
        if not await routes.remove(conn, route_id):
            raise not_found("notification route")
    log.info("notification_route_deleted", route_id=route_id)


@router.post(
    "/{route_id}/test",
    dependencies=[OPERATOR],
    operation_id="test_notification_route",
    summary="Send a test by a notification route",
)
async def test(route_id: RouteId, here: Here, once: Once) -> TestOut:
    """Sends a message that says that it is a test, and waits until the channel has accepted it. If
    it did, what waits is sent, too.
    """
    if (earlier := await once.begin(here)) and earlier.answer:
        return TestOut.model_validate_json(earlier.answer)
    async with here.services.engine.connect() as conn:
        sealed = await routes.encrypted_url(conn, route_id)
    if sealed is None:
        raise not_found("notification route")
    try:
        await here.services.notification_routes.test(route_id, sealed)
    except NotSent as problem:
        outcome = TestOut(accepted=False, message=str(problem))
    else:
        outcome = TestOut(accepted=True, message=None)
        async with here.services.engine.begin() as conn:
            await routes.worked(conn, route_id)
    await once.finish(here, answer=outcome)
    return outcome


async def _shown(conn: AsyncConnection, route_id: str) -> NotificationRouteOut:
    route = await routes.get(conn, route_id)
    if route is None:
        raise not_found("notification route")
    return NotificationRouteOut.of(route)


def _hash(key: str) -> bytes:
    return sha256(key.encode()).digest()[:16]


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except ChannelRefused as refusal:
        raise invalid("url", str(refusal)) from None
    except NoKeys as problem:
        raise Problem(Kind.SECRET_KEYS_MISSING, str(problem)) from None
