"""The billing providers' webhooks: verified on the raw bytes, stored, applied, and only then
answered.

When the 200 to a suspension is sent, the gate is shut. Nothing opens here.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import structlog
from fastapi import APIRouter, Request, Response
from sqlalchemy.exc import SQLAlchemyError

from activities.turns import TooManyWait
from api.context import Context, Here
from api.http.errors import Kind, Problem, not_found
from db.inbox import deliveries, owners, state_updates
from db.inbox.deliveries import Delivery
from db.inbox.state_updates import Received
from db.pipeline import reading
from domain.billing.deliveries import InboxStatus
from domain.billing.events import BillingEvent
from domain.billing.subscription import Provider
from domain.lifecycle.evidence import EventEffect
from providers.billing import BillingProvider
from providers.errors import InvalidSignature, NotMeantForUs, ProviderError
from runtime.coalescer import Overloaded

log = structlog.get_logger()
router = APIRouter(tags=["webhooks"])
ASK_FOR = 2.0
"""Seconds that the provider has to clarify whether an unclear event is new."""
PROVIDER_NAMES = {Provider.PAYPAL: "PayPal", Provider.STRIPE: "Stripe"}
_DESCRIPTION = (
    "The provider signs the request; no API key. 200: the event is stored, and a suspension that it"
    " causes is in force. 400: the signature is wrong, or the event is not for this installation."
    " 503: the event could not be stored or its signature not checked; try again."
)


async def take(name: Provider, request: Request, here: Context) -> Response:
    provider = here.services.providers.get(name)
    if provider is None:
        raise not_found("webhook", f"{name.value} is not configured")
    raw = await request.body()
    headers = {
        name.decode("latin-1"): value.decode("latin-1") for name, value in request.scope["headers"]
    }
    now = datetime.now(UTC)
    try:
        await provider.verify_webhook(raw, headers, now=now)
    except InvalidSignature as problem:
        log.warning("webhook_signature_wrong", provider=provider.name, problem=str(problem))
        if isinstance(problem, NotMeantForUs):
            await here.setups.note_refused(name, str(problem))
        raise
    event = provider.parse_webhook(raw, headers)
    try:
        delivery, outcome = await store_and_fold(here, provider, event, raw, headers)
    except (SQLAlchemyError, OSError) as problem:
        log.warning(
            "webhook_not_stored", event_id=event.event_id, problem=str(problem).partition("\n")[0]
        )
        raise Problem(Kind.DATABASE_UNAVAILABLE) from problem
    await here.setups.note_refused(name, None)
    await here.setups.note_version(name, event.concern)
    if not delivery.kept:
        log.warning(
            "webhook_body_limit_reached",
            event_id=event.event_id,
            transmission_id=event.transmission_id,
        )
        # a genuine one is delivered again, and its provider lists it, too
        raise Problem(Kind.DELIVERY_NOT_STORED)
    log.info(
        "webhook",
        provider=provider.name,
        event_id=event.event_id,
        event_type=event.event_type,
        organization_id=delivery.organization_id,
        deliveries=delivery.deliveries,
        outcome=outcome or delivery.outcome or delivery.status.value,
    )
    return Response(status_code=200)


def _endpoint(name: Provider) -> Callable[[Request, Here], Awaitable[Response]]:
    async def endpoint(request: Request, here: Here) -> Response:
        return await take(name, request, here)

    return endpoint


for _name in Provider:
    router.add_api_route(
        f"/webhooks/{_name}",
        _endpoint(_name),
        methods=["POST"],
        name=f"{_name} webhook",
        operation_id=f"receive_{_name}_webhook",
        summary=f"Receive a webhook delivery from {PROVIDER_NAMES[_name]}",
        description=_DESCRIPTION,
    )


async def store_and_fold(
    here: Context,
    provider: BillingProvider,
    event: BillingEvent,
    raw: bytes,
    headers: Mapping[str, str],
) -> tuple[Delivery, str]:
    """Store a verified delivery and apply it. One that cannot be applied now is stored, and handled
    later.

    Raises `Overloaded` if too many of its organization wait: nothing is stored, and the provider
    delivers it again.
    """
    received = await _receive(here, event, raw, headers)
    delivery = received.delivery
    if delivery.folded:
        return delivery, "received before"
    if delivery.organization_id is None or delivery.status is InboxStatus.HANDLED:
        return delivery, ""
    outcome = "" if received.effect is None else received.effect.value
    if received.effect is EventEffect.UNCLEAR and event.subscription_id is not None:
        outcome = await _clear_up(here, provider, delivery, event, event.subscription_id)
    # even for one that was not understood: the provider will be queried
    here.notify(delivery.organization_id, urgent=outcome == EventEffect.SHUT)
    return delivery, outcome


async def _receive(
    here: Context, event: BillingEvent, raw: bytes, headers: Mapping[str, str]
) -> Received:
    """Store and apply it, in its organization's turn if it has to wait for a lock."""
    engine = here.services.engine
    try:
        async with engine.begin() as conn:
            received = await state_updates.receive_at_once(
                conn, event, raw, headers, now=datetime.now(UTC)
            )
        if received is not None:
            return received
        async with reading(engine).connect() as conn:
            owner = await owners.of_event(conn, event)
        async with _turn(here, owner), engine.begin() as conn:
            return await state_updates.receive(conn, event, raw, headers, now=datetime.now(UTC))
    except (SQLAlchemyError, OSError):
        await _keep(here, event, raw, headers)
        raise


@asynccontextmanager
async def _turn(here: Context, organization_id: str | None) -> AsyncIterator[None]:
    """Work that may wait for an organization's locks takes turns, so that connections are left for
    all others.

    Deliveries that name no organization share one turn: a forged copy waits for the genuine
    delivery that is being stored.
    """
    try:
        async with here.webhook_turns.of(organization_id or ""):
            yield
    except TooManyWait:
        raise Overloaded from None


async def _keep(here: Context, event: BillingEvent, raw: bytes, headers: Mapping[str, str]) -> None:
    """The gate could not be shut, so the response is an error; but the verified delivery is not
    lost.
    """
    async with here.services.engine.begin() as conn:
        owner = await owners.of_event(conn, event)
        await deliveries.receive(conn, event, raw, headers, owner)


async def _clear_up(
    here: Context,
    provider: BillingProvider,
    delivery: Delivery,
    event: BillingEvent,
    subscription_id: str,
) -> str:
    """The event would shut the gate if it is new: query the provider, and shut the gate if it does
    not answer in time.
    """
    try:
        async with asyncio.timeout(ASK_FOR):
            snapshot = await provider.get_subscription(subscription_id)
    except (ProviderError, TimeoutError) as problem:
        log.warning(
            "provider_query_failed",
            event_id=event.event_id,
            problem=f"{type(problem).__name__}: {problem}",
        )
        async with _turn(here, delivery.organization_id), here.services.engine.begin() as conn:
            return (
                await state_updates.apply_event(
                    conn, delivery, event, now=datetime.now(UTC), sure=True
                )
            ).value
    outcome = (
        f"it was unclear; {provider.name} was queried and reports "
        f"{snapshot.raw_status or snapshot.state.value}"
    )
    async with _turn(here, delivery.organization_id), here.services.engine.begin() as conn:
        await state_updates.clear_up(
            conn, delivery, event, snapshot, outcome=outcome, now=datetime.now(UTC)
        )
    return outcome
