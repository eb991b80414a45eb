"""Health: whether the process lives, and whether it can do its work."""

import asyncio
from collections.abc import Awaitable
from datetime import timedelta
from functools import cache
from typing import Literal

from alembic.script import ScriptDirectory
from fastapi import APIRouter, Response
from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from api.context import Context, Here
from db import inbox
from runtime.database import alembic_config

router = APIRouter(prefix="/health", tags=["health"])
PATIENCE = 2.0
LAG_LIMIT = timedelta(seconds=60)


class Component(BaseModel):
    ok: bool
    detail: str = ""


class Relay(Component):
    """What the lifecycle has not acted on yet. `parked` waits for a person or for a subscription to be linked."""

    waiting: int = 0
    oldest_seconds: float = 0.0
    parked: int = 0


class Ready(BaseModel):
    """`degraded`: webhooks, wallets and gates work, but what Temporal does waits until it is back."""

    status: Literal["ready", "degraded", "unavailable"]
    database: Component
    migrations: Component
    temporal: Component
    relay: Relay


class Live(BaseModel):
    status: Literal["live"] = "live"


@router.get("/live", summary="The process answers")
async def live() -> Live:
    return Live()


@router.get("/ready", summary="It can do its work", responses={503: {"model": Ready}})
async def ready(here: Here, response: Response) -> Ready:
    """503 only when the database or its schema is not there: with Temporal away, webhooks still have to be taken."""
    database, migrations, temporal, relay = await asyncio.gather(
        _checked(_database(here)), _checked(_migrations(here)), _checked(_temporal(here)), _relay(here)
    )
    status: Literal["ready", "degraded", "unavailable"] = "ready"
    if not (temporal.ok and relay.ok):
        status = "degraded"
    if not (database.ok and migrations.ok):
        status, response.status_code = "unavailable", 503
    return Ready(status=status, database=database, migrations=migrations, temporal=temporal, relay=relay)


async def _checked(check: Awaitable[str]) -> Component:
    try:
        async with asyncio.timeout(PATIENCE):
            problem = await check
    except Exception as failure:  # noqa: BLE001 - whatever it is, the component is not ready
        return Component(ok=False, detail=f"does not answer ({type(failure).__name__})")
    return Component(ok=not problem, detail=problem)


async def _database(here: Context) -> str:
    async with here.services.engine.connect() as conn:
        await conn.execute(text("SELECT 1"))
    return ""


async def _migrations(here: Context) -> str:
    async with here.services.engine.connect() as conn:
        found = (await conn.execute(text("SELECT version_num FROM alembic_version"))).scalar_one_or_none()
    return "" if found == _head() else f"the schema is at {found}, this build needs {_head()}"


async def _temporal(here: Context) -> str:
    healthy = await here.services.client.service_client.check_health(timeout=timedelta(seconds=PATIENCE))
    return "" if healthy else "it says that it is not serving"


async def _relay(here: Context) -> Relay:
    try:
        async with asyncio.timeout(PATIENCE), here.services.engine.connect() as conn:
            backlog = await inbox.backlog(conn)
    except (SQLAlchemyError, TimeoutError, OSError) as problem:
        return Relay(ok=False, detail=f"cannot be seen ({type(problem).__name__})")
    late = backlog.oldest > LAG_LIMIT
    return Relay(
        ok=not late,
        detail=f"the oldest delivery waits for more than {LAG_LIMIT.seconds} s" if late else "",
        waiting=backlog.unhandled,
        oldest_seconds=round(backlog.oldest.total_seconds(), 3),
        parked=backlog.parked,
    )


@cache
def _head() -> str | None:
    return ScriptDirectory.from_config(alembic_config("postgresql://")).get_current_head()
