"""Webhook endpoints: where the host application is told what happened."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import structlog
from fastapi import APIRouter, Response
from pydantic import AwareDatetime
from sqlalchemy.ext.asyncio import AsyncConnection

from api.context import Here, KeyOfAct
from api.http.auth import OPERATOR
from api.http.cursors import Cursor, Cursors, Limit, Page
from api.http.errors import Kind, Problem, invalid, not_found
from api.http.idempotency import Once
from api.outbound.fields import (
    AttemptOut,
    EnablingRequest,
    EndpointId,
    RotationRequest,
    WebhookEndpointChangeRequest,
    WebhookEndpointOut,
    WebhookEndpointRequest,
)
from db.outbound import endpoints
from domain.outbound.deliveries import Disabled
from providers.outbound.urls import Refused
from runtime import outbound_endpoints
from runtime.outbound_endpoints import NoKeys, UnknownOrganization, check_organizations

log = structlog.get_logger()
router = APIRouter(prefix="/v1/webhook-endpoints", tags=["webhook-endpoints"])
_CURSORS: Cursors[tuple[datetime, str]] = Cursors("webhook_endpoints", tuple[AwareDatetime, str])


class WebhookEndpointPage(Page[WebhookEndpointOut]):
    pass


@router.post(
    "",
    dependencies=[OPERATOR],
    status_code=201,
    operation_id="create_webhook_endpoint",
    summary="Create a webhook endpoint",
)
async def create(
    body: WebhookEndpointRequest,
    here: Here,
    response: Response,
    once: Once,
    key: KeyOfAct = None,
) -> WebhookEndpointOut:
    """From now on events are delivered to the URL, signed by the secret of the answer, which is
    shown only here. Repeating the request with its `Idempotency-Key` returns the endpoint without
    the secret, with 200.
    """
    endpoint_id = endpoints.new_id() if key is None else _id_by(key)
    shown = None
    async with here.services.engine.begin() as conn:
        if await once.do_once(conn, body):
            with _refusals():
                shown = await here.services.endpoints.create(
                    conn,
                    endpoint_id,
                    url=body.url,
                    description=body.description,
                    types=body.types,
                    organization_ids=body.organization_ids,
                    scheme=body.scheme,
                )
            log.info("webhook_endpoint_created", endpoint=endpoint_id)
        else:
            response.status_code = 200
        return await _shown(conn, endpoint_id, shown)


@router.get(
    "",
    dependencies=[OPERATOR],
    operation_id="list_webhook_endpoints",
    summary="List webhook endpoints",
)
async def page(here: Here, cursor: Cursor = None, limit: Limit = 100) -> WebhookEndpointPage:
    """Returns all endpoints, newest first; never a secret."""
    last = _CURSORS.read(cursor)
    async with here.snapshot() as conn:
        found = await endpoints.page(conn, last=last, limit=limit + 1)
        shown, following = _CURSORS.cut(found, limit, lambda each: (each.created_at, each.id))
        secrets = await endpoints.valid_secrets(
            conn, [each.id for each in shown], now=datetime.now(UTC)
        )
    data = [WebhookEndpointOut.of(each, secrets[each.id]) for each in shown]
    return WebhookEndpointPage(data=data, next_cursor=following)


@router.get(
    "/{endpoint_id}",
    dependencies=[OPERATOR],
    operation_id="get_webhook_endpoint",
    summary="Get a webhook endpoint",
)
async def get(endpoint_id: EndpointId, here: Here) -> WebhookEndpointOut:
    """Returns the endpoint; never a secret."""
    async with here.snapshot() as conn:
        return await _shown(conn, endpoint_id)


@router.patch(
    "/{endpoint_id}",
    dependencies=[OPERATOR],
    operation_id="change_webhook_endpoint",
    summary="Change a webhook endpoint",
)
async def change(
    endpoint_id: EndpointId, body: WebhookEndpointChangeRequest, here: Here
) -> WebhookEndpointOut:
    """Counts from now on: what is queued already is delivered, to the new URL."""
    changed = body.model_dump(exclude_none=True)
    async with here.services.engine.begin() as conn:
        with _refusals():
            if body.url is not None:
                here.services.endpoints.check(body.url)
            await check_organizations(conn, body.organization_ids or ())
        if not await endpoints.change(conn, endpoint_id, changed):
            raise not_found("webhook endpoint")
        shown = await _shown(conn, endpoint_id)
    log.info("webhook_endpoint_changed", endpoint=endpoint_id, fields=sorted(changed))
    return shown


@router.delete(
    "/{endpoint_id}",
    dependencies=[OPERATOR],
    status_code=204,
    operation_id="delete_webhook_endpoint",
    summary="Delete a webhook endpoint",
)
async def delete(endpoint_id: EndpointId, here: Here) -> None:
    """Nothing is delivered to it any more, and what was is no longer shown."""
    async with here.services.engine.begin() as conn:
        if not await endpoints.remove(conn, endpoint_id):
            raise not_found("webhook endpoint")
    log.info("webhook_endpoint_deleted", endpoint=endpoint_id)


@router.post(
    "/{endpoint_id}/rotate-secret",
    dependencies=[OPERATOR],
    operation_id="rotate_webhook_secret",
    summary="Replace the secret of a webhook endpoint",
)
async def rotate(
    endpoint_id: EndpointId, body: RotationRequest, here: Here, once: Once
) -> WebhookEndpointOut:
    """The new secret is shown only in this answer. Until the overlap ends each event has the
    signatures of both.
    """
    shown = None
    async with here.services.engine.begin() as conn:
        if await once.do_once(conn, body):
            await _found(conn, endpoint_id)
            with _refusals():
                shown = await here.services.endpoints.rotate(
                    conn,
                    endpoint_id,
                    scheme=body.scheme,
                    overlap=timedelta(seconds=body.overlap_seconds),
                    now=datetime.now(UTC),
                )
            log.info("webhook_secret_rotated", endpoint=endpoint_id)
        return await _shown(conn, endpoint_id, shown)


@router.post(
    "/{endpoint_id}/enable",
    dependencies=[OPERATOR],
    operation_id="enable_webhook_endpoint",
    summary="Enable a webhook endpoint",
)
async def enable(
    endpoint_id: EndpointId, body: EnablingRequest, here: Here, once: Once
) -> WebhookEndpointOut:
    """Delivers again, beginning with what was queued while it was disabled, unless that is to be
    skipped.
    """
    now = datetime.now(UTC)
    async with here.services.engine.begin() as conn:
        if await once.do_once(conn, body):
            await _found(conn, endpoint_id)
            await outbound_endpoints.enable(
                conn, endpoint_id, skip_pending=body.skip_pending, now=now
            )
            log.info("webhook_endpoint_enabled", endpoint=endpoint_id, skipped=body.skip_pending)
        return await _shown(conn, endpoint_id)


@router.post(
    "/{endpoint_id}/disable",
    dependencies=[OPERATOR],
    operation_id="disable_webhook_endpoint",
    summary="Disable a webhook endpoint",
)
async def disable(endpoint_id: EndpointId, here: Here, once: Once) -> WebhookEndpointOut:
    """Delivers nothing until it is enabled; what happens meanwhile is queued."""
    now = datetime.now(UTC)
    async with here.services.engine.begin() as conn:
        if await once.do_once(conn):
            await endpoints.disable(conn, endpoint_id, Disabled.BY_HAND, now=now)
            log.info("webhook_endpoint_disabled", endpoint=endpoint_id)
        return await _shown(conn, endpoint_id)


@router.post(
    "/{endpoint_id}/test",
    dependencies=[OPERATOR],
    operation_id="test_webhook_endpoint",
    summary="Send a test event",
)
async def test(endpoint_id: EndpointId, here: Here, once: Once) -> AttemptOut:
    """Posts an event of the type `webhook.test` at once, and returns what came of it."""
    async with here.snapshot() as conn:
        endpoint = await _found(conn, endpoint_id)
    if (earlier := await once.begin(here)) and earlier.answer:
        return AttemptOut.model_validate_json(earlier.answer)
    attempt = AttemptOut.of(await here.services.endpoints.test(here.services.engine, endpoint))
    await once.finish(here, answer=attempt)
    return attempt


async def _found(conn: AsyncConnection, endpoint_id: str) -> endpoints.Endpoint:
    endpoint = await endpoints.get(conn, endpoint_id)
    if endpoint is None:
        raise not_found("webhook endpoint")
    return endpoint


async def _shown(
    conn: AsyncConnection, endpoint_id: str, secret: str | None = None
) -> WebhookEndpointOut:
    endpoint = await _found(conn, endpoint_id)
    secrets = await endpoints.valid_secrets(conn, [endpoint_id], now=datetime.now(UTC))
    return WebhookEndpointOut.of(endpoint, secrets[endpoint_id], secret)


def _id_by(key: str) -> str:
    """The same endpoint for the same key."""
    return f"we_{hashlib.sha256(f'webhook-endpoints {key}'.encode()).hexdigest()[:24]}"


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except Refused as refusal:
        raise invalid("url", str(refusal)) from None
    except UnknownOrganization as problem:
        raise invalid("organization_ids", f"there is no organization {problem}") from None
    except NoKeys as problem:
        raise Problem(Kind.SECRET_KEYS_MISSING, str(problem)) from None
