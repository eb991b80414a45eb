"""Waits for the database that a process needs, and rejects a schema on which this build must not run."""

import re
from datetime import timedelta

import psycopg
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionFree
from sqlalchemy.ext.asyncio import AsyncEngine

from db.migrations import schema_support
from db.migrations.schema_support import Schema
from runtime import pooler
from runtime.database import create_engine
from runtime.migrations import schema_problem
from runtime.server_wait import Say, until_it_answers
from runtime.settings import BadSettings

OLDEST_POSTGRES = 16
_NOT_YET = re.compile(
    r"starting up|shutting down|recovery|not (?:yet )?accepting|terminating connection|too many|connection slots"
)
_REFUSED = re.compile(
    r"FATAL: +(.*)|invalid (?:sslmode|connection|port|integer).*|root certificate file .*"
    r"|server does not support SSL.*"
)


async def await_database(url: str, *, patience: timedelta, say: Say) -> Schema:
    """Wait until PostgreSQL responds; returns its schema.

    Raises ServerAway when `patience` is over, BadSettings if the server reports a configuration
    error.
    """
    try:
        engine = create_engine(url, pool_size=1)
    except ArgumentError:
        raise BadSettings("TOLLGATE_DATABASE_URL: is not a database URL") from None
    try:
        return await until_it_answers(
            f"PostgreSQL at {address(url)}",
            lambda: _look(engine),
            away=(OperationalError, NoConnectionFree, OSError),
            reason=_reason,
            patience=patience,
            say=say,
        )
    finally:
        await engine.dispose()


async def await_schema(url: str, *, patience: timedelta, say: Say) -> None:
    """Like `await_database`, and reject a schema on which this build must not run."""
    problem = schema_problem(await await_database(url, patience=patience, say=say))
    if problem is not None:
        raise BadSettings(problem)


def address(url: str) -> str:
    """The address of a database URL's server, without user and password."""
    parsed = make_url(url)
    if parsed.host is None:
        hosts = parsed.normalized_query.get("host", ("its socket",))
        return ", ".join(",".join(hosts).split(","))
    return f"{parsed.host}:{parsed.port or 5432}"


async def _look(engine: AsyncEngine) -> Schema:
    try:
        async with engine.connect() as conn:
            version = (
                int((await conn.execute(text("SHOW server_version_num"))).scalar_one()) // 10_000
            )
            encoding = (await conn.execute(text("SHOW server_encoding"))).scalar_one()
            if version < OLDEST_POSTGRES:
                raise BadSettings(
                    f"TOLLGATE_DATABASE_URL: is PostgreSQL {version}, and {OLDEST_POSTGRES} is "
                    "needed"
                )
            if encoding != "UTF8":
                raise BadSettings(
                    f"TOLLGATE_DATABASE_URL: the database's encoding is {encoding}, and UTF8 "
                    "is needed"
                )
            await pooler.check(conn)
            return await schema_support.read(conn)
    except DBAPIError as problem:
        refused = _REFUSED.search(str(problem.orig))
        if refused is not None and _NOT_YET.search(refused[0]) is None:
            reason = refused[1] or refused[0]
            remedy = pooler.startup_remedy(reason)
            raise BadSettings(f"TOLLGATE_DATABASE_URL: {reason}{remedy}") from None
        if isinstance(problem.orig, psycopg.ProgrammingError):
            raise BadSettings(
                f"TOLLGATE_DATABASE_URL: {str(problem.orig).strip().partition(chr(10))[0]}"
            ) from None
        raise


def _reason(problem: Exception) -> str:
    text = str(getattr(problem, "orig", None) or problem) or "it took too long"
    return text.partition("\n")[0].rpartition("failed: ")[2]
