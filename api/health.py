"""Health: whether the process runs, and whether it can do its work."""

import asyncio
import time
from collections.abc import Awaitable
from datetime import timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field
from sqlalchemy.exc import SQLAlchemyError
from temporalio.service import RPCError

from db import lost_sessions
from db.inbox import pending_deliveries
from db.migrations import schema_support
from db.recovery import fences
from runtime import search_attributes
from runtime.database import create_engine
from runtime.migrations import schema_problem
from runtime.temporal_refusals import is_refusal, serves
from runtime.wiring import Services

router = APIRouter(prefix="/health", tags=["health"])
PATIENCE = 2.0
REMEMBERED = 1.0
LAG_LIMIT = timedelta(seconds=60)


Status = Literal["ready", "degraded", "draining", "unavailable"]


class Component(BaseModel):
    """The state of one component."""

    ok: bool = Field(description="Whether it works.")
    detail: str = Field(default="", description="What is wrong; empty if nothing is.")


class Relay(Component):
    """Webhook deliveries on which Tollgate has not acted yet."""

    waiting: int = Field(default=0, description="Deliveries that wait.")
    oldest_seconds: float = Field(default=0.0, description="The age of the oldest one.")
    parked: int = Field(
        default=0,
        description="Deliveries that wait for a person, or until a subscription is linked.",
    )


class Ready(BaseModel):
    """The state of the service."""

    status: Status = Field(
        description=(
            "`degraded`: webhooks, wallets and gates work, but work that needs Temporal waits"
            " until it is back. `draining`: the process is about to stop, and serves until then."
        )
    )
    database: Component
    migrations: Component
    temporal: Component
    relay: Relay


class Live(BaseModel):
    """The process answers."""

    status: Literal["live"] = Field(default="live", description="Always `live`.")


@router.get("/live", operation_id="check_liveness", summary="Check that the process answers")
async def live() -> Live:
    """Returns 200 while the process answers requests; checks nothing else."""
    return Live()


class Readiness:
    """Checks once for all concurrent requests, on its own connection, and caches the result for a
    second.

    So frequent requests cost nothing, and the database is checked even when all other connections
    are in use.
    """

    def __init__(self, services: Services) -> None:
        self._client = services.client
        self._engine = create_engine(
            services.engine.url, pool_size=1, application_name="tollgate health"
        )
        self._looking = asyncio.Lock()
        self._seen: Ready | None = None
        self._seen_at = 0.0
        self._search_attributes_known = False
        self._draining = False

    def drain(self) -> None:
        """Be ready no more: the process is about to stop."""
        self._draining, self._seen = True, None

    async def close(self) -> None:
        await self._engine.dispose()

    async def seen(self) -> Ready:
        async with self._looking:
            if self._seen is None or time.monotonic() - self._seen_at >= REMEMBERED:
                self._seen = await self._look()
                self._seen_at = time.monotonic()
            return self._seen

    async def _look(self) -> Ready:
        temporal, (database, migrations, relay) = await asyncio.gather(
            _checked(self._temporal()), self._look_at_database()
        )
        status: Status = "ready"
        if not (temporal.ok and relay.ok):
            status = "degraded"
        if self._draining:
            status = "draining"
        if not (database.ok and migrations.ok):
            status = "unavailable"
        return Ready(
            status=status, database=database, migrations=migrations, temporal=temporal, relay=relay
        )

    async def _look_at_database(self) -> tuple[Component, Component, Relay]:
        """Sequentially, since there is one connection."""
        database = await _checked(self._database())
        if not database.ok:
            return database, database, Relay(ok=False, detail=database.detail)
        return database, await _checked(self._migrations()), await self._relay()

    async def _database(self) -> str:
        async with self._engine.connect() as conn:
            if await lost_sessions.can_write(conn):
                fence = await fences.current(conn)
                await conn.commit()
                return "" if fence is None else f"nothing is sent: {fence.reason}"
            await conn.invalidate()  # the next look connects to the server that took over
        return "is read-only: a standby, or a server that was demoted"

    async def _migrations(self) -> str:
        async with self._engine.connect() as conn:
            return schema_problem(await schema_support.read(conn)) or ""

    async def _temporal(self) -> str:
        if not await serves(self._client, timedelta(seconds=PATIENCE)):
            return "it reports that it is not serving"
        return await self._search_attributes()

    async def _search_attributes(self) -> str:
        """Asks until all are known: without them Temporal refuses to start a workflow."""
        if not self._search_attributes_known:
            try:
                lacking = await search_attributes.missing(self._client)
            except RPCError as problem:
                # its visibility store may be away: that stops no workflow
                self._search_attributes_known = is_refusal(problem)
                return ""
            if lacking:
                return (
                    f"its namespace lacks the search attributes {', '.join(lacking)}: an operator "
                    "has to create them, see the deployment checklist"
                )
            self._search_attributes_known = True
        return ""

    async def _relay(self) -> Relay:
        try:
            async with asyncio.timeout(PATIENCE), self._engine.connect() as conn:
                backlog = await pending_deliveries.backlog(conn)
        except (SQLAlchemyError, TimeoutError, OSError):
            return Relay(ok=False, detail="unknown: the database does not answer")
        late = backlog.oldest > LAG_LIMIT
        return Relay(
            ok=not late,
            detail=f"the oldest delivery waits for more than {LAG_LIMIT.seconds} s" if late else "",
            waiting=backlog.unhandled,
            oldest_seconds=round(backlog.oldest.total_seconds(), 3),
            parked=backlog.parked,
        )


async def _readiness(request: Request) -> Readiness:
    readiness: Readiness = request.app.state.readiness
    return readiness


@router.get(
    "/ready",
    operation_id="check_readiness",
    summary="Check that the service can work",
    responses={503: {"model": Ready}},
)
async def ready(readiness: Annotated[Readiness, Depends(_readiness)], response: Response) -> Ready:
    """Returns 503 only if the database cannot be written to, if its schema does not suit this
    build, or if the process is about to stop: without Temporal, webhooks must still be accepted.

    Results are cached for one second.
    """
    seen = await readiness.seen()
    if seen.status in {"draining", "unavailable"}:
        response.status_code = 503
    return seen


async def _checked(check: Awaitable[str]) -> Component:
    try:
        async with asyncio.timeout(PATIENCE):
            problem = await check
    except Exception:  # noqa: BLE001 - whatever it is, the component is not ready
        return Component(ok=False, detail="does not answer")
    return Component(ok=not problem, detail=problem)
