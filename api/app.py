"""The HTTP API: webhooks in, organizations, wallets, subscriptions, campaigns and messages behind API keys."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from fastapi import FastAPI

from activities.turns import Turns
from api import (
    alerts,
    billing,
    callbacks,
    campaigns,
    docs,
    health,
    holds,
    margins,
    messages,
    metrics,
    migrations,
    openapi,
    organization_changes,
    organizations,
    parked,
    postings,
    previews,
    rates,
    recipients,
    subscriptions,
    topups,
    wallets,
    webhooks,
)
from api.answers import Answers
from api.background import Background
from api.context import Context
from api.errors import install
from api.keys import Keys
from api.lean import Lean
from api.requests import Requests
from api.setups import Setups
from api.tokens import Tokens
from runtime import settings, wiring
from runtime.callback_batcher import Callbacks
from runtime.coalescer import Coalescer
from runtime.settings import Settings
from runtime.wiring import Services

WRITES_WAITING = WEBHOOKS_WAITING = 100
"""Of one organization, behind those under way; more are told to come again."""
ROUTES = (
    webhooks,
    parked,
    callbacks,
    organization_changes,
    organizations,
    alerts,
    wallets,
    postings,
    holds,
    topups,
    subscriptions,
    billing,
    migrations,
    campaigns,
    previews,
    recipients,
    margins,
    messages,
    rates,
    health,
    metrics,
)
"""The modules of the API's routes, in the order in which they are described."""


def create_app(services: Services | None = None) -> FastAPI:
    """The application. Without `services` it builds them from the environment when it starts, and closes them."""
    answers = Answers()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            ready = services
            if ready is None:
                ready = await stack.enter_async_context(wiring.from_environment("tollgate-api"))
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
                webhook_turns=Turns(max(1, ready.settings.db_pool_size // 8), waiting=WEBHOOKS_WAITING),
                setups=Setups(ready.engine),
            )
            yield

    common = services.settings if services is not None else settings.load(Settings)
    app = Lean(lifespan=lifespan, redirect_slashes=False, openapi_url=None, **openapi.ABOUT)
    for module in ROUTES:
        app.include_router(module.router, responses=openapi.problems(module.router))
    app.include_router(docs.router)
    install(app)
    openapi.install(app)
    around = partial(Requests, max_body_bytes=common.max_body_bytes, answered=answers.observe)
    app.add_middleware(around)
    app.be_lean((postings.router, callbacks.router), around)
    return app
