"""The HTTP API: webhooks without a key; organizations, wallets, subscriptions, campaigns and
messages with one.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cache, partial

from fastapi import APIRouter, Depends, FastAPI

from activities.turns import Turns
from api import api_keys, docs, health, openapi
from api.audit import alerts, explanations, metrics
from api.billing import subscription_actions, subscriptions, topups
from api.campaigns import (
    callbacks,
    campaign_changes,
    campaigns,
    found_messages,
    margins,
    message_lists,
    message_refunds,
    messages,
    previews,
    rates,
    recipients,
    unpaid_messages,
)
from api.campaigns.fields import BODY_BYTES, FILE_BYTES
from api.carrier import bill as carrier_bill
from api.carrier import foreign_messages, recurring, tripwires, usage_callbacks
from api.carrier import policies as carrier_policies
from api.context import Context
from api.events import events
from api.http.background import Background
from api.http.error_handlers import install
from api.http.fast_routes import Application
from api.http.http_metrics import Answers
from api.http.key_cache import Keys
from api.http.queries import refuse_unknown
from api.http.requests import BodyLimits, Requests
from api.http.twilio_tokens import Tokens
from api.http.webhook_setups import Setups
from api.inbox import inbound_deliveries, parked, webhooks
from api.lifecycle import blocks, organization_changes, organizations, retries
from api.notifications import routes as notification_routes
from api.operations import at_risk, bulk_acts, money_waiting, operator_acts
from api.outbound import deliveries as webhook_deliveries
from api.outbound import endpoints as webhook_endpoints
from api.switching import switches
from api.wallet import holds, postings, wallets
from runtime import settings, wiring
from runtime.callback_batcher import Callbacks
from runtime.coalescer import Coalescer
from runtime.database_watch import DatabaseWatch
from runtime.settings import Settings
from runtime.wiring import Services

WRITES_WAITING = WEBHOOKS_WAITING = 100
"""The queue of one organization, in addition to running requests; further ones are refused with
Retry-After.
"""
ROUTES = (
    webhooks,
    parked,
    inbound_deliveries,
    callbacks,
    usage_callbacks,
    organization_changes,
    organizations,
    blocks,
    retries,
    explanations,
    alerts,
    notification_routes,
    wallets,
    postings,
    holds,
    topups,
    subscriptions,
    subscription_actions,
    switches,
    campaigns,
    campaign_changes,
    previews,
    recipients,
    margins,
    unpaid_messages,
    messages,
    message_refunds,
    message_lists,
    found_messages,
    foreign_messages,
    carrier_bill,
    carrier_policies,
    recurring,
    tripwires,
    rates,
    events,
    webhook_endpoints,
    webhook_deliveries,
    money_waiting,
    at_risk,
    bulk_acts,
    operator_acts,
    api_keys,
    health,
    metrics,
)
"""The modules with routes, in the order of the OpenAPI document."""
LONGER_BODIES = {
    "/campaigns": BODY_BYTES,
    "/campaigns/preview": BODY_BYTES,
    "/recipients": FILE_BYTES,
}
SHORTER_BODIES = {callbacks.PATH: 16 * 1024, usage_callbacks.PATH: 16 * 1024}
"""Twilio's callbacks are a tenth of this size, and are read before their signature can be
checked.
"""


def create_app(services: Services | None = None) -> FastAPI:
    """The application. Without `services` it builds them from the environment at startup and closes
    them at shutdown.
    """
    answers = Answers()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            ready = services
            if ready is None:
                ready = await stack.enter_async_context(wiring.from_environment("tollgate-api"))
            watch = DatabaseWatch(ready.engine, ready.client, ready.memory)
            watching = asyncio.create_task(watch.run(), name="database watch")
            stack.push_async_callback(_end, watching)
            background = Background()
            stack.push_async_callback(background.drain)
            coalescer = Coalescer(ready.engine)
            stack.push_async_callback(coalescer.close)
            batches = Callbacks(ready.engine)
            stack.push_async_callback(batches.close)
            app.state.readiness = health.Readiness(ready)
            stack.push_async_callback(app.state.readiness.close)
            app.state.context = Context(
                services=ready,
                background=background,
                keys=Keys(ready.engine),
                tokens=Tokens(ready.engine, ready.twilio),
                sending=ready.sending,
                coalescer=coalescer,
                callbacks=batches,
                answers=answers,
                turns=Turns(max(1, ready.settings.db_pool_size // 4), waiting=WRITES_WAITING),
                webhook_turns=Turns(
                    max(1, ready.settings.db_pool_size // 8), waiting=WEBHOOKS_WAITING
                ),
                setups=Setups(ready.engine),
            )
            yield

    common = services.settings if services is not None else settings.load(Settings)
    app = Application(lifespan=lifespan, redirect_slashes=False, openapi_url=None, **openapi.ABOUT)
    app.router.routes.extend(_routes().routes)
    app.include_router(docs.router)
    install(app)
    openapi.install(app, [module.router for module in ROUTES])
    limits = BodyLimits(common=common.max_body_bytes, longer=LONGER_BODIES, shorter=SHORTER_BODIES)
    around = partial(Requests, limits=limits, answered=answers.observe)
    app.add_middleware(around)
    app.serve_directly(
        [docs.router, *(module.router for module in ROUTES)],
        first=(postings.router, callbacks.router),
        around=around,
    )
    return app


@cache
def _routes() -> APIRouter:
    """The routes of all applications of a process: the framework analyzes each at its first
    request, and keeps the result here.
    """
    together = APIRouter()
    for module in ROUTES:
        signed = (
            "webhooks" in module.router.tags
        )  # the address is the operator's setting, with any query
        together.include_router(
            module.router,
            responses=openapi.problems(module.router),
            dependencies=[] if signed else [Depends(refuse_unknown)],
        )
    return together


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
