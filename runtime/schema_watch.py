"""Ends a worker whose build the schema no longer supports. The API is told so by its readiness."""

import asyncio
from datetime import timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from db.migrations import schema_support
from runtime.migrations import schema_problem

log = structlog.get_logger()
EVERY = timedelta(seconds=10)


async def until_unsupported(engine: AsyncEngine) -> str:
    """Wait until a migration says that this build must not run on; returns why."""
    while True:
        try:
            async with engine.connect() as conn:
                schema = await schema_support.read(conn)
        except Exception as problem:  # noqa: BLE001 - it ends no worker; `DatabaseWatch` raises the alert
            log.info("schema_not_read", reason=type(problem).__name__)
        else:
            if schema.revision is not None and (why := schema_problem(schema)):
                log.error("build_not_supported", detail=why)
                return why
        await asyncio.sleep(EVERY.total_seconds())
